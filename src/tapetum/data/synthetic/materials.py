"""Surfaces: a visible colour with a name, and a near-infrared reflectance drawn independently of it.

Dyes that differ in the visible are often alike in the near infrared and the other way round; here the two are
independent, so that colour says nothing about infrared brightness.
"""

from dataclasses import dataclass

import numpy as np

PALETTE: dict[str, tuple[int, int, int]] = {
    "black": (28, 28, 30),
    "white": (236, 236, 232),
    "grey": (128, 128, 130),
    "red": (196, 36, 40),
    "orange": (236, 128, 32),
    "yellow": (232, 208, 56),
    "green": (48, 136, 64),
    "blue": (44, 80, 184),
    "purple": (124, 56, 152),
    "pink": (236, 140, 176),
    "brown": (112, 72, 40),
}

#: Each channel of a colour is moved by at most this much, so that its name stays the nearest of the palette.
COLOUR_JITTER = 12

#: Smallest difference of reflectance (of 255) between the two materials of one pattern.
MIN_INFRARED_CONTRAST = 90

#: Smallest Euclidean distance of palette colours in one pattern.
MIN_VISIBLE_CONTRAST = 110.0

_INFRARED_RANGE = (40, 236)


@dataclass(frozen=True, slots=True)
class Material:
    """A surface.

    Args:
        colour: name of the visible colour, a key of `PALETTE` for dyed surfaces, "" for skin.
        visible: red, green, blue, 0..255.
        infrared: near-infrared reflectance, 0..255.
    """

    colour: str
    visible: tuple[int, int, int]
    infrared: int


def nearest_colour(visible: tuple[int, int, int]) -> str:
    """Name of the palette colour nearest to red, green, blue (Euclidean)."""
    return min(PALETTE, key=lambda name: _distance(PALETTE[name], visible))


def sample_material(rng: np.random.Generator) -> Material:
    """One dyed surface: a palette colour, slightly moved, and an unrelated reflectance."""
    return _dyed(rng, str(rng.choice(list(PALETTE))), int(rng.integers(*_INFRARED_RANGE)))


def sample_material_pair(rng: np.random.Generator) -> tuple[Material, Material]:
    """Two surfaces that differ clearly in both modalities, with unrelated signs."""
    first = sample_material(rng)
    far = [
        name
        for name, colour in PALETTE.items()
        if _distance(colour, PALETTE[first.colour]) >= MIN_VISIBLE_CONTRAST
    ]
    low, high = _INFRARED_RANGE
    reflectances = [
        value for value in range(low, high) if abs(value - first.infrared) >= MIN_INFRARED_CONTRAST
    ]
    return first, _dyed(rng, str(rng.choice(far)), int(rng.choice(reflectances)))


def sample_contrasting_clothes(rng: np.random.Generator) -> tuple[Material, Material]:
    """A dark shirt and bright trousers in both modalities, so that arms show before the trunk."""
    dark = _dyed(rng, str(rng.choice(["black", "blue", "purple", "green"])), int(rng.integers(25, 60)))
    bright = _dyed(rng, str(rng.choice(["white", "yellow", "orange", "pink"])), int(rng.integers(120, 200)))
    return dark, bright


def sample_skin(rng: np.random.Generator) -> Material:
    """A skin tone; in the near infrared all skin is fairly bright."""
    tone = float(rng.uniform(0.0, 1.0))
    light, dark = (232, 190, 160), (104, 68, 48)
    red, green, blue = (round(a + (b - a) * tone) for a, b in zip(light, dark, strict=True))
    return Material("", (red, green, blue), int(rng.integers(150, 190)))


def sample_hair(rng: np.random.Generator) -> Material:
    """Hair in a natural colour with a reflectance that does not follow it."""
    tones = {"black": (26, 22, 20), "brown": (92, 58, 36), "yellow": (206, 172, 104), "grey": (150, 148, 146)}
    name = str(rng.choice(list(tones), p=[0.4, 0.3, 0.18, 0.12]))
    return Material(name, tones[name], int(rng.integers(40, 200)))


def _dyed(rng: np.random.Generator, name: str, infrared: int) -> Material:
    moved = (int(value + rng.integers(-COLOUR_JITTER, COLOUR_JITTER + 1)) for value in PALETTE[name])
    red, green, blue = (min(255, max(0, value)) for value in moved)
    return Material(name, (red, green, blue), infrared)


def _distance(first: tuple[int, int, int], second: tuple[int, int, int]) -> float:
    return float(sum((a - b) ** 2 for a, b in zip(first, second, strict=True)) ** 0.5)
