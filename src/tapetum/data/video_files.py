"""Frames of a video file, numbered from 1 in the order in which they are shown, and boxes cut out of them.

The number of a frame follows from the time stamps of all frames, so a damaged stretch does not shift what
comes after it. Tags that ask a player to turn the picture are not followed: boxes are in stored pixels.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tapetum.errors import DataError, MissingExtraError

VIDEO_ENDINGS = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts")
"""Endings of files whose frames can be referred to; FFmpeg tells by the content what they are."""

_FURTHER_BACK = 64
"""Frames; where a file is entered too late, it is entered so much earlier, and then read from the start."""

_ENTRY = re.compile(r"frame=(\d{1,9})(?:&box=(\d{1,6}),(\d{1,6}),(\d{1,6}),(\d{1,6}))?")

Pixels = NDArray[np.uint8]
"""A frame, uint8 RGB `[H, W, 3]`."""


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle of whole pixels inside a frame."""

    left: int
    top: int
    width: int
    height: int

    def cut(self, pixels: Pixels) -> Image.Image:
        """The picture inside the box.

        Raises:
            DataError: Nothing of the frame is inside it.
        """
        part = pixels[self.top : self.top + self.height, self.left : self.left + self.width]
        if not part.size:
            raise DataError(f"{self} lies outside the frame of {pixels.shape[1]} x {pixels.shape[0]} pixels")
        return Image.fromarray(np.ascontiguousarray(part))


def video_entry(frame: int, box: Box) -> str:
    """How a reference names a box of a frame; see `containers.Reference`.

    >>> video_entry(12, Box(40, 8, 32, 80))
    'frame=12&box=40,8,32,80'
    """
    return f"frame={frame}&box={box.left},{box.top},{box.width},{box.height}"


class VideoFile:
    """A video whose frames are read in order, or one at a time; threads may share it."""

    def __init__(self, path: Path) -> None:
        """Look at the head of the file at `path`.

        Raises:
            FileNotFoundError: There is none.
            DataError: It is empty, or no video that can be read.
            MissingExtraError: The package `av` is not installed.
        """
        self.path = path
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such file")
        if path.stat().st_size == 0:
            raise DataError(f"{path}: the file is empty (0 bytes)")
        with self._open() as (_, stream):
            if stream.codec_context is None:
                raise DataError(f"{path}: pictures in a coding that is unknown here, or the file is damaged")
            self.width, self.height = int(stream.width), int(stream.height)
            rate = stream.average_rate or stream.guessed_rate
            self.rate = float(rate) if rate else None
        if not (self.width and self.height):
            raise DataError(f"{path}: the size of its pictures is unknown; the file is damaged")

    @cached_property
    def stamps(self) -> dict[int, int] | None:
        """Frame number of each time stamp, from the packets alone; None where some have no stamp.

        Raises:
            DataError: The file holds no frames.
        """
        found: list[int | None] = []
        with self._open() as (container, stream):
            for packet in _packets(container, stream):
                if packet.size and not packet.is_discard:
                    found.append(packet.pts)
        if not found:
            raise DataError(f"{self.path}: no frames in it")
        if any(stamp is None for stamp in found):
            return None
        return {stamp: number for number, stamp in enumerate(sorted({s for s in found if s is not None}), 1)}

    def indexed(self) -> VideoFile:
        """This video, once it is known that there are frames in it, and what their time stamps are.

        Raises:
            DataError: There are none.
        """
        _ = self.stamps
        return self

    def frames(self, last: int | None = None) -> Iterator[tuple[int, Any]]:
        """Numbers and frames in order, as far as they can be decoded; what is damaged is passed over.

        Args:
            last: Number of the last frame that is wanted; None: of the file.

        Raises:
            DataError: The file cannot be opened.
        """
        stamps = self.stamps
        number = 0
        with self._open() as (container, stream):
            stream.thread_type = "AUTO"
            for frame in _decoded(container, stream):
                number = number + 1 if stamps is None else stamps.get(frame.pts, number + 1)
                if last is not None and number > last:
                    return
                yield number, frame

    def picture(self, entry: str) -> Image.Image:
        """The picture of an entry `frame=N` or `frame=N&box=LEFT,TOP,WIDTH,HEIGHT`.

        Raises:
            DataError: It is no such entry, there is no such frame, or it cannot be decoded.
        """
        number, box = _parse(entry)
        pixels: Pixels = self._frame(number).to_ndarray(format="rgb24")
        return Image.fromarray(pixels) if box is None else box.cut(pixels)

    def __contains__(self, entry: str) -> bool:
        """Whether there is such a frame; it may still be damaged."""
        try:
            number, _ = _parse(entry)
        except DataError:
            return False
        return number >= 1 and (self.stamps is None or number <= len(self.stamps))

    def _frame(self, number: int) -> Any:
        stamps = self.stamps
        if stamps is not None and not 1 <= number <= len(stamps):
            raise DataError(f"no such frame: the video has {len(stamps)}")
        if stamps is not None:
            by_number = list(stamps)
            for start in (number, max(1, number - _FURTHER_BACK)):
                frame = self._sought(by_number[number - 1], by_number[start - 1])
                if frame is not None:
                    return frame
        for at, frame in self.frames(number):
            if at == number:
                return frame
        raise DataError(f"frame {number} cannot be decoded")

    def _sought(self, stamp: int, start: int) -> Any:
        """The frame of a time stamp, decoded from about the stamp `start` on; None where it was passed over.

        Files without an index, such as MPEG streams, are entered somewhere near, often behind the place.
        """
        av = _library()
        with self._open() as (container, stream):
            try:
                container.seek(start, stream=stream, backward=True)
            except av.FFmpegError:
                return None
            for frame in _decoded(container, stream):
                if frame.pts == stamp:
                    return frame
                if frame.pts is not None and frame.pts > stamp:
                    return None
        return None

    @contextmanager
    def _open(self) -> Iterator[tuple[Any, Any]]:
        """The opened file and its first stream of pictures."""
        av = _library()
        try:
            container = av.open(str(self.path))
        except (av.FFmpegError, OSError) as error:
            raise DataError(f"{self.path}: no video that can be read: {_reason(error)}") from error
        with container:
            if not container.streams.video:
                raise DataError(f"{self.path}: no pictures in it; expected a video")
            yield container, container.streams.video[0]


def _decoded(container: Any, stream: Any) -> Iterator[Any]:
    """Frames of a stream; packets that cannot be decoded give none."""
    av = _library()
    for packet in _packets(container, stream):
        try:
            frames = packet.decode()
        except av.FFmpegError:
            continue
        yield from frames


def _packets(container: Any, stream: Any) -> Iterator[Any]:
    """Packets of a stream up to its end, or to where the file breaks off."""
    av = _library()
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except av.FFmpegError:
            return
        if packet is None:
            return
        yield packet


def _parse(entry: str) -> tuple[int, Box | None]:
    found = _ENTRY.fullmatch(entry)
    if found is None:
        raise DataError(
            f"no entry of a video: {entry[:80]!r}; expected frame=N or frame=N&box=LEFT,TOP,WIDTH,HEIGHT"
        )
    number, *box = (None if part is None else int(part) for part in found.groups())
    sides = [side for side in box if side is not None]
    return number or 0, Box(*sides) if sides else None


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _library() -> Any:
    try:
        import av
    except ImportError:
        raise MissingExtraError("av", "video") from None
    av.logging.set_level(None)
    return av
