"""People: body, hair, clothes, accessories and gait, drawn from a seeded generator.

Everything here is a fact about a person that both modalities can show, except the visible colours and the
infrared reflectances, which are independent of each other (see `materials`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, cast

import numpy as np

from tapetum.data.synthetic.gait import RHYTHMS, Gait, rhythmic_gait, sample_gait
from tapetum.data.synthetic.materials import (
    Material,
    sample_contrasting_clothes,
    sample_hair,
    sample_material,
    sample_material_pair,
    sample_skin,
)
from tapetum.data.synthetic.options import Cues

HairStyle = Literal["bald", "short", "long", "ponytail", "bun"]
UpperKind = Literal["shirt", "jacket", "coat", "hoodie"]
LowerKind = Literal["trousers", "shorts", "skirt"]
PatternKind = Literal["plain", "horizontal", "vertical", "checks", "print"]
PrintShape = Literal["disc", "square", "bar", "cross"]
BagKind = Literal["none", "backpack", "handbag", "shoulder"]
HatKind = Literal["none", "cap", "brimmed"]

_HAIR: dict[str, float] = {"bald": 0.12, "short": 0.38, "long": 0.2, "ponytail": 0.18, "bun": 0.12}
_UPPER: dict[str, float] = {"shirt": 0.3, "jacket": 0.24, "coat": 0.2, "hoodie": 0.26}
_LOWER: dict[str, float] = {"trousers": 0.5, "shorts": 0.25, "skirt": 0.25}
_UPPER_PATTERN: dict[str, float] = {
    "plain": 0.18,
    "horizontal": 0.22,
    "vertical": 0.18,
    "checks": 0.18,
    "print": 0.24,
}
_LOWER_PATTERN: dict[str, float] = {"plain": 0.6, "horizontal": 0.14, "vertical": 0.13, "checks": 0.13}
_PRINT: dict[str, float] = {"disc": 0.25, "square": 0.25, "bar": 0.25, "cross": 0.25}
_BAG: dict[str, float] = {"none": 0.34, "backpack": 0.26, "handbag": 0.2, "shoulder": 0.2}
_HAT: dict[str, float] = {"none": 0.56, "cap": 0.24, "brimmed": 0.2}


@dataclass(frozen=True, slots=True)
class Body:
    """Proportions.

    Args:
        height_m: standing height without hat, metres.
        shoulder_ratio: width across the shoulder joints / height.
        hip_ratio: width across the hips / height.
        leg_ratio: hip height / height.
        limb_thickness: 1 is average.
        build: width and depth of trunk and limbs, 1 is average.
        head_size: 1 is average.
    """

    height_m: float = 1.74
    shoulder_ratio: float = 0.215
    hip_ratio: float = 0.18
    leg_ratio: float = 0.495
    limb_thickness: float = 1.0
    build: float = 1.0
    head_size: float = 1.0


@dataclass(frozen=True, slots=True)
class Pattern:
    """Where the second material of a garment shows, in coordinates of the garment.

    Args:
        kind: the kind of pattern.
        period_m: of horizontal stripes and of the rows of checks, metres along the limb.
        around: whole number of vertical stripes around the trunk.
        phase: shift, fraction of a period.
        duty: fraction of a period covered by the second material.
        print_shape: outline of a print.
        print_size_m: half its height, metres.
        on_chest: whether the print is on the chest.
        on_back: whether it is on the back.
    """

    kind: PatternKind = "plain"
    period_m: float = 0.15
    around: int = 7
    phase: float = 0.0
    duty: float = 0.5
    print_shape: PrintShape = "disc"
    print_size_m: float = 0.1
    on_chest: bool = True
    on_back: bool = True


@dataclass(frozen=True, slots=True)
class Upper:
    """Upper garment; `hem_m` is how far it reaches below the hip joints, `looseness` widens it (1 = body)."""

    kind: UpperKind
    colour: Material
    accent: Material
    pattern: Pattern
    hem_m: float
    looseness: float


@dataclass(frozen=True, slots=True)
class Lower:
    """Lower garment; `length` is the fraction of the leg it covers, `looseness` widens it (1 = body)."""

    kind: LowerKind
    colour: Material
    accent: Material
    pattern: Pattern
    length: float
    looseness: float


@dataclass(frozen=True, slots=True)
class Bag:
    """A bag; `size` 1 is average."""

    kind: BagKind
    material: Material
    size: float


@dataclass(frozen=True, slots=True)
class Hat:
    """A hat."""

    kind: HatKind
    material: Material


@dataclass(frozen=True, slots=True)
class Person:
    """One person with everything that is worn and carried."""

    body: Body
    gait: Gait
    skin: Material
    hair_style: HairStyle
    hair: Material
    upper: Upper
    lower: Lower
    shoes: Material
    bag: Bag
    hat: Hat


def sample_person(rng: np.random.Generator, *, cues: Cues = "appearance", rank: int = 0) -> Person:
    """Draw a person.

    Args:
        rng: generator of this person, or with cues "gait" of the group of people who look alike.
        cues: what may differ between people (see `WalkerOptions`).
        rank: with cues "gait", which member of the sequence of rates; ignored otherwise.
    """
    if cues == "gait":
        return _gait_person(rng, rank)
    person = _any_person(rng)
    if cues == "appearance":
        return person
    pattern = Pattern()
    upper = replace(person.upper, kind="jacket", pattern=pattern, hem_m=float(rng.uniform(0.02, 0.2)))
    lower = replace(person.lower, kind="trousers", pattern=pattern, length=float(rng.uniform(0.9, 1.0)))
    return replace(person, upper=upper, lower=lower)


def redress(person: Person, rng: np.random.Generator) -> Person:
    """The same person and cut of clothes with all materials drawn anew."""
    upper_pair, lower_pair = sample_material_pair(rng), sample_material_pair(rng)
    return replace(
        person,
        skin=sample_skin(rng),
        hair=sample_hair(rng),
        upper=replace(person.upper, colour=upper_pair[0], accent=upper_pair[1]),
        lower=replace(person.lower, colour=lower_pair[0], accent=lower_pair[1]),
        shoes=sample_material(rng),
        bag=replace(person.bag, material=sample_material(rng)),
        hat=replace(person.hat, material=sample_material(rng)),
    )


def _any_person(rng: np.random.Generator) -> Person:
    return Person(
        body=_sample_body(rng),
        gait=sample_gait(rng),
        skin=sample_skin(rng),
        hair_style=cast(HairStyle, _pick(rng, _HAIR)),
        hair=sample_hair(rng),
        upper=_sample_upper(rng),
        lower=_sample_lower(rng),
        shoes=sample_material(rng),
        bag=Bag(cast(BagKind, _pick(rng, _BAG)), sample_material(rng), float(rng.uniform(0.85, 1.25))),
        hat=Hat(cast(HatKind, _pick(rng, _HAT)), sample_material(rng)),
    )


def _gait_person(rng: np.random.Generator, rank: int) -> Person:
    """Average body, plain close clothes and free limbs: nothing hides the motion, nothing else differs."""
    person = _any_person(rng)
    offset = rng.uniform(0.0, 1.0, size=len(RHYTHMS))
    dark, bright = sample_contrasting_clothes(rng)
    upper = replace(person.upper, kind="shirt", colour=dark, pattern=Pattern(), hem_m=0.04, looseness=1.0)
    lower = replace(
        person.lower, kind="trousers", colour=bright, pattern=Pattern(), length=1.0, looseness=1.0
    )
    return replace(
        person,
        body=Body(),
        gait=rhythmic_gait(rank, offset),
        hair_style="short",
        upper=upper,
        lower=lower,
        bag=replace(person.bag, kind="none"),
        hat=replace(person.hat, kind="none"),
    )


def _sample_body(rng: np.random.Generator) -> Body:
    return Body(
        height_m=float(rng.uniform(1.52, 1.95)),
        shoulder_ratio=float(rng.uniform(0.195, 0.235)),
        hip_ratio=float(rng.uniform(0.16, 0.20)),
        leg_ratio=float(rng.uniform(0.46, 0.53)),
        limb_thickness=float(rng.uniform(0.82, 1.22)),
        build=float(rng.uniform(0.82, 1.32)),
        head_size=float(rng.uniform(0.9, 1.12)),
    )


def _sample_upper(rng: np.random.Generator) -> Upper:
    kind = cast(UpperKind, _pick(rng, _UPPER))
    colour, accent = sample_material_pair(rng)
    hem = rng.uniform(0.2, 0.4) if kind == "coat" else rng.uniform(0.0, 0.09)
    loose = rng.uniform(1.0, 1.12) if kind == "shirt" else rng.uniform(1.05, 1.25)
    return Upper(kind, colour, accent, _sample_pattern(rng, _UPPER_PATTERN), float(hem), float(loose))


def _sample_lower(rng: np.random.Generator) -> Lower:
    kind = cast(LowerKind, _pick(rng, _LOWER))
    colour, accent = sample_material_pair(rng)
    spans = {"trousers": (0.9, 1.0), "shorts": (0.36, 0.52), "skirt": (0.38, 0.72)}
    length = rng.uniform(*spans[kind])
    return Lower(
        kind, colour, accent, _sample_pattern(rng, _LOWER_PATTERN), float(length), float(rng.uniform(1, 1.3))
    )


def _sample_pattern(rng: np.random.Generator, weights: Mapping[str, float]) -> Pattern:
    sides = int(rng.integers(0, 4))
    return Pattern(
        kind=cast(PatternKind, _pick(rng, weights)),
        period_m=float(rng.uniform(0.1, 0.26)),
        around=int(rng.integers(5, 11)),
        phase=float(rng.uniform(0.0, 1.0)),
        duty=float(rng.uniform(0.35, 0.65)),
        print_shape=cast(PrintShape, _pick(rng, _PRINT)),
        print_size_m=float(rng.uniform(0.08, 0.15)),
        on_chest=sides != 0,
        on_back=sides != 1,
    )


def _pick(rng: np.random.Generator, weights: Mapping[str, float]) -> str:
    return str(rng.choice(list(weights), p=list(weights.values())))
