"""What storage and transmission do: JPEG, few pixels, lost blocks."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tapetum.data.corruptions._base import Corruption, Filter, Frame, Moment, Scene

_BLOCK = 16
"""Side of a macroblock, pixels of a frame of 288 rows."""
_RUN = 4
"""Blocks that are lost together."""


def jpeg(scene: Scene, quality: float) -> Filter:
    """Writes and reads a JPEG of this quality (libjpeg's scale), colours at half the resolution."""

    def through(frame: Frame, moment: Moment) -> NDArray[np.uint8]:
        written = io.BytesIO()
        _picture(frame).save(written, "JPEG", quality=int(quality), subsampling="4:2:0")
        with Image.open(written) as picture:
            return _planes(picture.convert("RGB"))

    return through


def pixelation(scene: Scene, rows: float) -> Filter:
    """Keeps `rows` of large pixels, each the mean of what it covers; smaller frames stay as they are."""
    high = min(int(rows), scene.height)
    small = (max(1, round(scene.width * high / scene.height)), high)

    def through(frame: Frame, moment: Moment) -> NDArray[np.uint8]:
        few = _picture(frame).resize(small, Image.Resampling.BOX)
        return _planes(few.resize((scene.width, scene.height), Image.Resampling.NEAREST))

    return through


def block_loss(scene: Scene, share: float) -> Filter:
    """Loses runs of four blocks in a row; each column goes on downwards with the last value above the block.

    Runs may overlap, and may begin before the frame's left edge. The share of lost blocks is `share` on
    average. Where nothing is above, the block is mid-grey.
    """
    side = max(1, round(_BLOCK * scene.unit))
    rows, columns = -(-scene.height // side), -(-scene.width // side)
    begins = 1 - (1 - share) ** (1 / _RUN)

    def through(frame: Frame, moment: Moment) -> Frame:
        starts = moment.generator.random((rows, columns + _RUN - 1)) < begins
        lost = np.logical_or.reduce([starts[:, late : late + columns] for late in range(_RUN)])
        return _conceal(frame, lost, side)

    return through


def _conceal(frame: Frame, lost: NDArray[np.bool_], side: int) -> Frame:
    """The frame with its lost blocks filled from the pixels above them, top to bottom."""
    result = frame.copy()
    for row, column in np.argwhere(lost):
        top, across = row * side, slice(column * side, (column + 1) * side)
        above = result[:, top - 1 : top, across] if top else np.float32(128)
        result[:, top : top + side, across] = above
    return result


def _picture(frame: Frame) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(frame.astype(np.uint8).transpose(1, 2, 0)))


def _planes(picture: Image.Image) -> NDArray[np.uint8]:
    return np.asarray(picture).transpose(2, 0, 1)


CORRUPTIONS = (
    Corruption(
        "jpeg",
        "compression",
        "Strong JPEG compression.",
        "quality",
        (40, 22, 13, 8, 4),
        jpeg,
    ),
    Corruption(
        "pixelation",
        "compression",
        "Few pixels, as of somebody far away.",
        "rows that are left",
        (90, 62, 44, 31, 22),
        pixelation,
    ),
    Corruption(
        "block-loss",
        "compression",
        "Runs of 16 x 16 blocks are lost and filled from above, as a decoder does.",
        "share of blocks",
        (0.05, 0.12, 0.2, 0.3, 0.42),
        block_loss,
    ),
)
