"""Visible or infrared, decided from pixels: does a picture hold colours that no tint explains?

Night cameras write grey pictures, some with a tint: one colour cast, or gains that grow with brightness. So
in each frame the differences between channels are explained by brightness as well as they can be, and what
is left over is colour. docs/datasets/manifest.md has the measurements that the numbers here come from.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tapetum.data.frames import Frames, read_frame
from tapetum.errors import DataError
from tapetum.types import Modality

LOOKED_AT = 5
"""Frames of a tracklet that are looked at, spread evenly."""

_HEIGHT, _WIDTH = 16, 8
"""A frame is averaged down to this: a sixth of the noise of 96x48 pixels is left, and clothes, skin and
background are still apart."""

_COLOUR = 2.5
"""Levels of 255, root mean square, that no tint explains. Of walkers with faint colours, and with tinted and
noisy night pictures, about one in a hundred is on the wrong side of it, visible as often as infrared."""

_TINT = 35.0
"""Levels of 255 between channels, on average, up to which an even tint may be a night camera's."""

_SLOPE = 0.25
"""Levels between channels for each level of brightness that an uneven tint may have: gains that differ by a
quarter. Two flat colours also lie on a line, but on a steep one."""

_STEEPNESS = 5.0
"""Of the logistic curve over the logarithm of the evidence. Walkers alone would bear 14; real cameras differ
more than drawn ones."""

_CLIPPED = 240
"""Pixels with a channel from here on may be cut off at 255, where a tint is no longer one."""

_LUMINANCE = (0.299, 0.587, 0.114)


@dataclass(frozen=True, slots=True)
class ModalityGuess:
    """How a camera probably saw.

    Attributes:
        modality: The likelier one.
        certainty: 0 (a coin toss) to 1 (no doubt): the difference between the probabilities of the two.
    """

    modality: Modality
    certainty: float


def detect_modality(frames: Sequence[str], *, look_at: int = LOOKED_AT) -> ModalityGuess:
    """Visible where frames hold colours, infrared where they are grey or evenly tinted, and how sure that is.

    The probabilities of single frames are averaged, so frames that disagree leave little certainty.

    Args:
        frames: Image files of one tracklet.
        look_at: At most so many of them, spread evenly; those that cannot be read are passed over.

    Raises:
        DataError: None of them can be read, or there are none.
        ValueError: `look_at` below 1.
    """
    if not isinstance(look_at, int) or look_at < 1:
        raise ValueError(f"look_at is {look_at!r}; expected a whole number from 1 on")
    if not len(frames):
        raise DataError("no frames to tell the modality from")
    count = min(look_at, len(frames))
    chosen = [frames[(2 * i + 1) * len(frames) // (2 * count)] for i in range(count)]
    found: list[float] = []
    failure: DataError | None = None
    for path in chosen:
        try:
            found.append(visible_probability(read_frame(path, _HEIGHT, _WIDTH, scaled_decoding=True)))
        except DataError as error:
            failure = failure or error
    if failure is not None and not found:
        raise failure
    probability = float(np.mean(found))
    seen = Modality.VISIBLE if probability > 0.5 else Modality.INFRARED
    return ModalityGuess(seen, abs(2.0 * probability - 1.0))


def detect_modalities(
    tracklets: Sequence[Sequence[str]],
    *,
    look_at: int = LOOKED_AT,
    progress: Callable[[int, int], None] | None = None,
) -> list[ModalityGuess | DataError]:
    """What `detect_modality` says of each tracklet's frames, or why it can say nothing.

    Args:
        tracklets: Image files of each tracklet.
        look_at: Most frames of a tracklet to look at.
        progress: Called after each tracklet with (tracklets done, tracklets in all).
    """

    def detect(frames: Sequence[str]) -> ModalityGuess | DataError:
        try:
            return detect_modality(frames, look_at=look_at)
        except DataError as error:
            return error

    found: list[ModalityGuess | DataError] = []
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        try:
            for guess in pool.map(detect, tracklets):
                found.append(guess)
                if progress is not None:
                    progress(len(found), len(tracklets))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return found


def visible_probability(frame: Frames) -> float:
    """How probably a frame uint8 `[3, H, W]` was seen in visible light, 0..1.

    >>> ramp = np.arange(128, dtype=np.uint8).reshape(16, 8)
    >>> visible_probability(np.stack([ramp, ramp, ramp]))
    0.0
    >>> round(visible_probability(np.stack([ramp, ramp[::-1], ramp])), 3)
    1.0
    """
    pixels = frame.reshape(3, -1).astype(np.float64)
    whole = pixels.max(axis=0) < _CLIPPED
    if whole.sum() * 4 >= whole.size:  # else nearly all is clipped, and all is used
        pixels = pixels[:, whole]
    colour, tint = _colour_and_tint(pixels)
    evidence: float = max(colour / _COLOUR, tint / _TINT) ** _STEEPNESS
    return evidence / (1.0 + evidence)


def _colour_and_tint(pixels: NDArray[np.float64]) -> tuple[float, float]:
    """What of the differences between channels of `[3, N]` brightness does not explain, and what it does.

    Red minus green and blue minus green are each fitted by a straight line over luminance. Colour is the root
    mean square of what is left, tint the mean over the pixels of the larger fitted difference.
    """
    luminance = np.asarray(_LUMINANCE) @ pixels
    difference = np.stack([pixels[0] - pixels[1], pixels[2] - pixels[1]])
    spread = luminance - luminance.mean()
    centred = difference - difference.mean(axis=1, keepdims=True)
    slope = (centred @ spread) / max(float(spread @ spread), 1e-9)
    slope = np.clip(slope, -_SLOPE, _SLOPE)
    left = centred - slope[:, None] * spread
    fitted = difference - left
    return float(np.sqrt((left**2).mean())), float(np.abs(fitted).max(axis=0).mean())
