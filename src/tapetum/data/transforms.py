"""Training augmentation of uint8 clips: shift, flip, erase, and channel exchange, from an explicit generator.

The order is that of the field's code for visible-infrared video (VLD, after CAJ): resize, pad and crop, flip,
normalise, erase, exchange channels. Here everything happens on uint8 and normalisation comes last, on the
device. To get the same pictures, what the original does to normalised values is done to the uint8 values
that normalise to the same: the fill of an erased box, a copied channel, the grey of normalised channels. The
result equals the original within one grey level, except where a copied channel leaves 0..255 and is clipped
(the channels' means and deviations differ a little, so black in red is slightly below black in green).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from tapetum.types import IMAGENET_MEAN, IMAGENET_STD, Modality

Clip = NDArray[np.uint8]
Triple = tuple[float, float, float]
Exchange = Literal["drawn", "always", "never"]
"""Whether channels are exchanged: as `draw_channel` says, a random one into all three, or not at all."""

ERASE_AREA = (0.02, 0.4)
ERASE_ASPECT = (0.3, 1 / 0.3)
ERASE_FILL: Triple = (0.4914, 0.4822, 0.4465)
"""Value of an erased box per channel, after normalisation."""
LUMINANCE: Triple = (0.2989, 0.5870, 0.1140)
_ERASE_ATTEMPTS = 100
_GREY = 3
_NOTHING = -1


class Box(NamedTuple):
    """A rectangle of pixels: rows `top` to `top + height`, columns `left` to `left + width`."""

    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True)
class Augmentation:
    """What is drawn, and how often. All defaults are those of VLD's released code, except `sync`.

    Attributes:
        pad: Zero padding in pixels before the random crop back to the frame's size; 0: no crop.
        flip: Probability of a horizontal flip.
        erase: Probability that a box of a frame is erased; always drawn frame by frame.
        erase_area: Smallest and largest share of the frame that a box takes.
        erase_random: Paint each box in a colour of its own, drawn uniformly, instead of `ERASE_FILL`.
        channels: Whether to exchange channels (see `draw_channel`).
        sync: Draw crop, flip and channels once per clip, so that a place in the picture means the same in
            all frames (the released code draws crop and flip for each frame).
        mean: Normalisation that follows, per channel, of values in 0..1.
        std: Normalisation that follows, per channel, of values in 0..1.

    Raises:
        ValueError: A probability outside 0..1, negative padding, shares that are not ascending inside 0..1,
            or a deviation that is not positive.
    """

    pad: int = 10
    flip: float = 0.5
    erase: float = 0.5
    erase_area: tuple[float, float] = ERASE_AREA
    erase_random: bool = False
    channels: bool = True
    sync: bool = True
    mean: Triple = IMAGENET_MEAN
    std: Triple = IMAGENET_STD

    def __post_init__(self) -> None:
        for name in ("flip", "erase"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be a probability in 0..1, found {getattr(self, name)}")
        if not 0 < self.erase_area[0] <= self.erase_area[1] <= 1:
            raise ValueError(f"erase_area must be two ascending shares in 0..1, found {self.erase_area}")
        if self.pad < 0:
            raise ValueError(f"pad must be 0 or more pixels, found {self.pad}")
        if min(self.std) <= 0:
            raise ValueError(f"std must be positive in each channel, found {self.std}")

    @cached_property
    def fill(self) -> NDArray[np.uint8]:
        """The uint8 colour `[3]` of an erased box: it normalises to `ERASE_FILL`, within half a level."""
        values = np.multiply(ERASE_FILL, self.std) + self.mean
        return _to_uint8(values)

    @cached_property
    def tables(self) -> NDArray[np.uint8]:
        """`[3, 3, 256]`: entry [a, b, v] is the value of channel b that normalises as v does in channel a."""
        return channel_tables(self.mean, self.std)


def augment(
    clip: Clip,
    modality: Modality,
    generator: np.random.Generator,
    options: Augmentation,
    out: Clip | None = None,
    *,
    exchange: Exchange | None = None,
) -> Clip:
    """The clip `[T, 3, H, W]`, augmented: a pure function of the clip, its modality, generator and options.

    Args:
        clip: uint8 `[T, 3, H, W]`; not changed.
        modality: Decides how channels are exchanged.
        generator: Where all draws come from.
        options: What is drawn, and how often.
        out: Where to write the result; None: a new array. Must not overlap `clip`.
        exchange: Whether channels are exchanged; None: "drawn" with `options.channels`, else "never".
    """
    chosen = exchange or ("drawn" if options.channels else "never")
    result = np.empty_like(clip) if out is None else out
    height, width = clip.shape[-2:]
    for part in _parts(len(clip), options.sync):
        down, right = generator.integers(-options.pad, options.pad + 1, 2)
        flip = bool(generator.random() < options.flip)
        shift_and_flip(clip[part], int(down), int(right), flip, result[part])
    for frame in result:
        if generator.random() < options.erase:
            box = draw_box(height, width, generator, options.erase_area)
            erase(frame, box, _draw_colour(generator) if options.erase_random else options.fill)
    if chosen != "never":
        for part in _parts(len(clip), options.sync):
            always = chosen == "always"
            channel = int(generator.integers(3)) if always else draw_channel(modality, generator)
            exchange_channels(result[part], channel, options)
    return result


def shift_and_flip(clip: Clip, down: int, right: int, flip: bool, out: Clip) -> None:
    """Write `clip` `[..., H, W]`, moved and then mirrored left to right, into `out`; what moves in is black.

    Padding by p pixels and cropping at (y, x) is a move by p - y down and p - x right.
    """
    if flip:  # a move, then a mirror, is a mirror, then the opposite move; torch mirrors bytes 5x faster
        clip, right = torch.from_numpy(np.array(clip)).flip(-1).numpy(), -right
    rows_to, rows_from = _overlap(down, clip.shape[-2])
    columns_to, columns_from = _overlap(right, clip.shape[-1])
    out[..., : rows_to.start, :] = 0
    out[..., rows_to.stop :, :] = 0
    out[..., rows_to, : columns_to.start] = 0
    out[..., rows_to, columns_to.stop :] = 0
    out[..., rows_to, columns_to] = clip[..., rows_from, columns_from]


def draw_box(
    height: int, width: int, generator: np.random.Generator, shares: tuple[float, float] = ERASE_AREA
) -> Box | None:
    """A random box inside a frame, area 2-40 % of it (`shares`), height / width 0.3-3.33; None if none fits.

    Area and aspect are uniform. A box as high or as wide as the frame is drawn again, up to 100 times, as in
    the published code. Sides are rounded, so the area may leave its range by half a pixel on each side.
    """
    for _ in range(_ERASE_ATTEMPTS):
        area = generator.uniform(*shares) * height * width
        aspect = generator.uniform(*ERASE_ASPECT)
        box_height = round(math.sqrt(area * aspect))
        box_width = round(math.sqrt(area / aspect))
        if 0 < box_height < height and 0 < box_width < width:
            top = int(generator.integers(0, height - box_height + 1))
            left = int(generator.integers(0, width - box_width + 1))
            return Box(top, left, box_height, box_width)
    return None


def _draw_colour(generator: np.random.Generator) -> NDArray[np.uint8]:
    return generator.integers(0, 256, 3, dtype=np.uint8)


def erase(frame: Clip, box: Box | None, fill: NDArray[np.uint8]) -> None:
    """Paint `box` of `frame` `[3, H, W]` in the colour `fill` `[3]`, in place; None: nothing."""
    if box is not None:
        frame[:, box.top : box.top + box.height, box.left : box.left + box.width] = fill[:, None, None]


def draw_channel(modality: Modality, generator: np.random.Generator) -> int:
    """Which channel is copied into all three: 0, 1 or 2; 3 for grey; -1 for nothing.

    Visible: nothing with probability 1/2, else R, G or B with 1/6 each. Infrared: R, G or B with 1/4 each,
    grey 1/8, nothing 1/8.
    """
    if modality is Modality.VISIBLE:
        return int(generator.integers(3)) if generator.random() < 0.5 else _NOTHING
    drawn = int(generator.integers(4))
    if drawn == _GREY and generator.random() < 0.5:
        return _NOTHING
    return drawn


def exchange_channels(clip: Clip, channel: int, options: Augmentation) -> None:
    """Carry out what `draw_channel` drew on `clip` `[T, 3, H, W]`, in place.

    A channel is copied such that all three have the same normalised values, as in the published code, which
    copies after normalising; so is the luminance (0.2989 R + 0.5870 G + 0.1140 B of normalised values).
    """
    if channel == _NOTHING:
        return
    for frame in clip:
        if channel == _GREY:
            _make_grey(frame, options)
            continue
        for other in range(3):
            if other != channel:
                np.take(options.tables[channel, other], frame[channel], out=frame[other], mode="clip")


@lru_cache(maxsize=8)
def channel_tables(mean: Triple, std: Triple) -> NDArray[np.uint8]:
    """`[3, 3, 256]`: entry [a, b, v] is the level of channel b that normalises as v does in channel a."""
    levels = np.arange(256) / 255
    normalised = (levels - np.asarray(mean)[:, None]) / np.asarray(std)[:, None]
    back = normalised[:, None, :] * np.asarray(std)[None, :, None] + np.asarray(mean)[None, :, None]
    tables = _to_uint8(back)
    tables.setflags(write=False)
    return tables


def _make_grey(frame: Clip, options: Augmentation) -> None:
    """Give all channels of `frame` `[3, H, W]` the level that normalises to its luminance, in place."""
    mean, std = np.asarray(options.mean), np.asarray(options.std)
    weights = np.asarray(LUMINANCE) / std
    scale = (weights / 255).astype(np.float32)
    luminance = frame[0] * scale[0]
    luminance += frame[1] * scale[1]
    luminance += frame[2] * scale[2]
    luminance -= np.float32(weights @ mean)
    for plane, centre, spread in zip(frame, mean, std, strict=True):
        plane[:] = _to_uint8(luminance * np.float32(spread) + np.float32(centre))


def _to_uint8(values: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    """Values in 0..1 as the nearest of 256 levels; values outside are clipped."""
    levels: NDArray[np.uint8] = np.clip(np.rint(values * 255), 0, 255).astype(np.uint8)
    return levels


def _parts(frames: int, sync: bool) -> list[slice]:
    """The frames that share their draws: all of them, or each alone."""
    return [slice(0, frames)] if sync else [slice(i, i + 1) for i in range(frames)]


def _overlap(move: int, size: int) -> tuple[slice, slice]:
    """Where pixels land and where they come from when a line of `size` pixels moves by `move`."""
    move = max(-size, min(size, move))
    return slice(max(0, move), size + min(0, move)), slice(max(0, -move), size - max(0, move))
