"""Test clips as arrays, in the order of their tracklets: what `loading` makes tensors of, without torch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tapetum.data.clips import Positions, TestSampling, select_test_frames
from tapetum.data.frames import FrameFiles, FrameSource
from tapetum.data.prefetching import Prefetcher
from tapetum.types import Preprocessing, TrackletSet


@dataclass(frozen=True, slots=True, eq=False)
class ClipArrays:
    """Test clips in row order.

    Attributes:
        rows: int64 `[B]`, the tracklet that each clip is of; a tracklet may have several clips, in a row.
        clips: uint8 `[B, T, 3, H, W]`.
    """

    rows: NDArray[np.int64]
    clips: NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class ClipReader:
    """Number of a batch -> its clips; small enough to be sent to worker processes.

    Attributes:
        frames: Where frames come from.
        rows: int64 `[N]`, tracklet of each clip.
        positions: int64 `[N, T]`, frames of each clip.
        batch_size: B, clips in a batch; the last batch may be smaller.
    """

    frames: FrameSource
    rows: NDArray[np.int64]
    positions: Positions
    batch_size: int

    @classmethod
    def of(
        cls,
        tracklets: TrackletSet,
        preprocessing: Preprocessing,
        *,
        sampling: TestSampling,
        batch_size: int,
        source: FrameSource | None = None,
        rows: NDArray[np.int64] | None = None,
    ) -> ClipReader:
        """The reader of the test clips of `tracklets`; the arguments are those of `read_clips`.

        Raises:
            ValueError: `batch_size` below 1 or an unknown `sampling`.
            DataError: A tracklet has no frames.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, found {batch_size}")
        frames = source or FrameFiles(tracklets, preprocessing.height, preprocessing.width)
        read = np.arange(len(frames.lengths)) if rows is None else rows
        length = preprocessing.frames
        chosen = [select_test_frames(sampling, int(frames.lengths[row]), length) for row in read]
        clips = np.concatenate([np.zeros((0, length), dtype=np.int64), *chosen])
        counts = np.array([len(some) for some in chosen], dtype=np.int64)
        return cls(frames, np.repeat(read, counts), clips, batch_size)

    def __len__(self) -> int:
        """Number of batches."""
        return -(-len(self.rows) // self.batch_size)

    def __call__(self, index: int) -> ClipArrays:
        """The clips of batch `index`.

        Raises:
            DataError: A frame cannot be read; the message names its file.
        """
        part = slice(index * self.batch_size, (index + 1) * self.batch_size)
        chosen = zip(self.rows[part], self.positions[part], strict=True)
        clips = [self.frames.clip(int(row), positions) for row, positions in chosen]
        return ClipArrays(self.rows[part], np.stack(clips))


def read_clips(
    tracklets: TrackletSet,
    preprocessing: Preprocessing,
    *,
    sampling: TestSampling = "chunk-first",
    batch_size: int = 32,
    source: FrameSource | None = None,
    rows: NDArray[np.int64] | None = None,
    workers: int = 0,
) -> Iterator[ClipArrays]:
    """The test clips of `tracklets` in their order, `batch_size` at a time; the last batch may be smaller.

    With "dense" sampling a tracklet has several clips: average their features, then L2-normalise.

    Args:
        tracklets: What to read.
        preprocessing: Height, width and frames of a clip.
        sampling: How frames are chosen; see `select_test_frames`.
        batch_size: B, clips in a batch.
        source: Frames of `tracklets` at the right size; None: their files.
        rows: The tracklets to read, ascending; None: all.
        workers: Processes that make batches; 0: one thread of this process.

    Raises:
        ValueError: `batch_size` below 1 or an unknown `sampling`.
        DataError: A tracklet has no frames, or a frame cannot be read; the message names its file.
    """
    reader = ClipReader.of(
        tracklets, preprocessing, sampling=sampling, batch_size=batch_size, source=source, rows=rows
    )
    feed = Prefetcher(reader, workers=workers)
    with closing(feed), closing(feed.stream(range(len(reader)))) as stream:
        yield from stream
