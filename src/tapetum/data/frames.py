"""Decoded frames: one file, one clip, or a whole set of tracklets held in memory.

Frames are converted to RGB, then resized by Pillow's bilinear filter, which averages over the shrunk pixels:
the resampling that published numbers were made with. The JPEG decoder's own scaling is faster on large
pictures but gives slightly other pixels; it is off unless asked for.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tapetum.data.containers import open_picture
from tapetum.errors import DataError
from tapetum.types import Tracklet, TrackletSet

Frames = NDArray[np.uint8]
Progress = Callable[[int, int], None]
"""Called with (frames done, frames in all), from one thread at a time."""

_BROKEN = (OSError, SyntaxError, ValueError, IndexError, struct.error, Image.DecompressionBombError)
"""What Pillow raises on files that are missing, truncated, or no images."""
_DEEP_MODES = ("I", "F")


def read_frame(
    path: str, height: int, width: int, *, scaled_decoding: bool = False, out: Frames | None = None
) -> Frames:
    """The picture in a file as uint8 RGB `[3, H, W]`, resized by Pillow's bilinear filter.

    Args:
        path: An image file that Pillow reads, or a reference to one inside a container (see `containers`); a
            grey picture gets three equal channels.
        height: H in pixels.
        width: W in pixels.
        scaled_decoding: Let the JPEG decoder shrink by 2, 4 or 8 where both sides stay at least as asked,
            before the resize: about twice as fast on pictures of twice the size, pixels differ slightly.
        out: Where to write; None: a new array.

    Raises:
        DataError: The file is missing, truncated, no image, or has more than 8 bits a channel.
    """
    draft = (width, height) if scaled_decoding else None
    return resized_frame(read_picture(path, draft=draft), height, width, out=out)


def read_picture(path: str, *, draft: tuple[int, int] | None = None) -> Image.Image:
    """The picture in a file, decoded, in RGB and of its own size.

    Args:
        path: As of `read_frame`.
        draft: Least width and height down to which the JPEG decoder may shrink it; None: it does not.

    Raises:
        DataError: As `read_frame`.
    """
    try:
        with open_picture(path) as image:
            if draft is not None:
                image.draft(image.mode, draft)
            if image.mode.startswith(_DEEP_MODES):
                raise DataError(f"pixels of mode {image.mode!r}; expected 8 bits a channel")
            image.load()
            return image if image.mode == "RGB" else image.convert("RGB")
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    except _BROKEN as error:
        raise DataError(f"{path}: cannot read a picture: {_reason(error)}") from error


def resized_frame(picture: Image.Image, height: int, width: int, *, out: Frames | None = None) -> Frames:
    """An RGB picture as uint8 `[3, H, W]`, resized by Pillow's bilinear filter.

    Args:
        picture: In mode RGB.
        height: H in pixels.
        width: W in pixels.
        out: Where to write; None: a new array.
    """
    target = np.empty((3, height, width), dtype=np.uint8) if out is None else out
    if picture.size != (width, height):
        picture = picture.resize((width, height), Image.Resampling.BILINEAR)
    _write_planes(picture, target)
    return target


def read_clip(
    paths: Sequence[str],
    positions: Sequence[int] | NDArray[np.int64],
    height: int,
    width: int,
    *,
    scaled_decoding: bool = False,
) -> Frames:
    """The frames at `positions` as uint8 `[T, 3, H, W]`; a position that repeats is decoded once.

    Raises:
        DataError: A file cannot be read (see `read_frame`).
        IndexError: A position outside `paths`.
    """
    clip = np.empty((len(positions), 3, height, width), dtype=np.uint8)
    seen: dict[int, int] = {}
    for place, position in enumerate(int(p) for p in positions):
        if position in seen:
            clip[place] = clip[seen[position]]
        else:
            read_frame(paths[position], height, width, scaled_decoding=scaled_decoding, out=clip[place])
            seen[position] = place
    return clip


class FrameSource(Protocol):
    """Where the frames of a set of tracklets come from: files, or memory."""

    lengths: NDArray[np.int64]
    """Frames of each tracklet."""

    def clip(self, row: int, positions: NDArray[np.int64]) -> Frames:
        """Frames of tracklet `row` at `positions` as uint8 `[T, 3, H, W]`, a new array."""


class FrameFiles:
    """Frames decoded from their files each time they are asked for."""

    def __init__(
        self, tracklets: TrackletSet, height: int, width: int, *, scaled_decoding: bool = False
    ) -> None:
        self.tracklets = tracklets
        self.height = height
        self.width = width
        self.scaled_decoding = scaled_decoding
        self.lengths = tracklet_lengths(tracklets)

    def clip(self, row: int, positions: NDArray[np.int64]) -> Frames:
        """Frames of tracklet `row` at `positions` as uint8 `[T, 3, H, W]`.

        Raises:
            DataError: A file cannot be read; the message names it.
        """
        paths = self.tracklets[row].frames
        return read_clip(paths, positions, self.height, self.width, scaled_decoding=self.scaled_decoding)


class FrameCache:
    """All frames of a set of tracklets, decoded once and held in memory as uint8; for small data sets."""

    def __init__(self, frames: Frames, lengths: NDArray[np.int64]) -> None:
        """Hold `frames` `[sum of lengths, 3, H, W]`, tracklet after tracklet.

        Raises:
            ValueError: The lengths do not add up to the frames.
        """
        if int(lengths.sum()) != len(frames):
            raise ValueError(f"lengths add up to {int(lengths.sum())}, but there are {len(frames)} frames")
        self.frames = frames
        self.lengths = lengths
        self._starts = np.cumsum(lengths) - lengths

    @staticmethod
    def bytes_needed(tracklets: TrackletSet, height: int, width: int) -> int:
        """Bytes that the decoded frames of `tracklets` would take."""
        return int(tracklet_lengths(tracklets).sum()) * 3 * height * width

    @classmethod
    def decode(
        cls,
        tracklets: TrackletSet,
        height: int,
        width: int,
        *,
        limit_bytes: int,
        threads: int = 2,
        progress: Progress | None = None,
    ) -> FrameCache:
        """Read all frames of `tracklets`, in parallel threads (Pillow decodes outside Python's lock).

        Raises:
            MemoryError: The frames need more than `limit_bytes`; nothing has been read.
            DataError: A file cannot be read; the message names it.
        """
        needed = cls.bytes_needed(tracklets, height, width)
        if needed > limit_bytes:
            raise MemoryError(f"the frames of {tracklets.name} need {needed} bytes, more than {limit_bytes}")
        lengths = tracklet_lengths(tracklets)
        frames = np.empty((int(lengths.sum()), 3, height, width), dtype=np.uint8)
        cache = cls(frames, lengths)
        with ThreadPoolExecutor(max(1, threads)) as pool:
            try:
                done = 0
                for count in pool.map(cache._fill, range(len(tracklets)), tracklets):
                    done += count
                    if progress is not None:
                        progress(done, len(frames))
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        return cache

    def clip(self, row: int, positions: NDArray[np.int64]) -> Frames:
        """Frames of tracklet `row` at `positions` as uint8 `[T, 3, H, W]`, a copy.

        Raises:
            IndexError: A position outside the tracklet.
        """
        length = int(self.lengths[row])
        if positions.min(initial=0) < 0 or positions.max(initial=0) >= length:
            raise IndexError(f"positions {positions.tolist()} outside tracklet {row} of {length} frames")
        taken: Frames = self.frames[self._starts[row] + positions]
        return taken

    def _fill(self, row: int, tracklet: Tracklet) -> int:
        start = int(self._starts[row])
        height, width = self.frames.shape[-2:]
        for i, path in enumerate(tracklet.frames):
            read_frame(path, height, width, out=self.frames[start + i])
        return len(tracklet.frames)


def open_frames(
    tracklets: TrackletSet,
    height: int,
    width: int,
    *,
    cache_bytes: int = 0,
    threads: int = 2,
    progress: Progress | None = None,
) -> FrameSource:
    """A `FrameCache` of `tracklets` where it fits into `cache_bytes`, else their files.

    Raises:
        DataError: A frame that is to be held in memory cannot be read; the message names its file.
    """
    if FrameCache.bytes_needed(tracklets, height, width) > cache_bytes:
        return FrameFiles(tracklets, height, width)
    return FrameCache.decode(
        tracklets, height, width, limit_bytes=cache_bytes, threads=threads, progress=progress
    )


def tracklet_lengths(tracklets: TrackletSet) -> NDArray[np.int64]:
    """Number of frames of each tracklet, int64 `[N]`."""
    return np.fromiter((len(t.frames) for t in tracklets), dtype=np.int64, count=len(tracklets))


def _write_planes(picture: Image.Image, target: Frames) -> None:
    """Write an RGB picture to `target` `[3, H, W]`: of four bytes a pixel, a plane is a shift and a cast."""
    pixels = np.frombuffer(picture.tobytes("raw", "RGBX"), dtype="<u4").reshape(target.shape[1:])
    np.copyto(target[0], pixels, casting="unsafe")
    np.copyto(target[1], pixels >> 8, casting="unsafe")
    np.copyto(target[2], pixels >> 16, casting="unsafe")


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "no such file"
    return f"{type(error).__name__}: {error}"
