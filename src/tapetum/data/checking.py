"""Look at every picture of a data set before hours of work depend on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from pathlib import Path

from tapetum.data.containers import Reference, has_frame
from tapetum.data.datasets._base import DataSet
from tapetum.data.frames import read_frame
from tapetum.errors import DataError
from tapetum.types import Tracklet, TrackletSet

_PROBE_SIZE = 8
_DIGEST_BYTES = 8
"""Of a file's content: two different ones among a million are alike with a probability of 3e-8."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class FileProblem:
    """A picture that cannot be used.

    Attributes:
        tracklet_id: Whose frame it is.
        path: The file, or the reference to a frame inside one.
        reason: What is wrong with it.
    """

    tracklet_id: str
    path: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason} (a frame of {self.tracklet_id})"

    @property
    def is_missing(self) -> bool:
        """Whether there is nothing at the place, now."""
        return not has_frame(self.path)


@dataclass(frozen=True, slots=True)
class FrameLook:
    """What was seen of a tracklet's frames.

    Attributes:
        problems: Those that cannot be used, in order.
        digests: Of each frame's file a number that tells contents apart; None where it was not read, or
            lies in a container.
    """

    problems: tuple[FileProblem, ...]
    digests: tuple[int | None, ...]


def check_files(
    data: DataSet | TrackletSet,
    *,
    decode: bool = True,
    threads: int = 2,
    progress: Progress | None = None,
) -> list[FileProblem]:
    """All frames of `data` that are missing or unreadable, in order; empty when all is well.

    Args:
        data: What to look at; of a data set training and test tracklets.
        decode: Decode every picture; else only look whether its file exists, which is much faster.
        threads: How many files to look at at the same time.
        progress: Called after each tracklet with (tracklets done, tracklets in all).
    """
    tracklets = (*data.train, *data.test) if isinstance(data, DataSet) else tuple(data)
    looks = look_at_frames(tracklets, decode=decode, compare=False, threads=threads, progress=progress)
    return [problem for look in looks for problem in look.problems]


def look_at_frames(
    tracklets: Sequence[Tracklet],
    *,
    decode: bool,
    compare: bool,
    threads: int,
    progress: Progress | None = None,
) -> Iterator[FrameLook]:
    """Look at the frames of each tracklet, in order.

    Args:
        tracklets: Whose frames.
        decode: Decode every picture; else only look whether there is something at its place.
        compare: Read every file for its digest.
        threads: How many files to look at at the same time.
        progress: Called after each tracklet with (tracklets done, tracklets in all).
    """
    look = partial(_look, decode=decode, compare=compare)
    with ThreadPoolExecutor(max(1, threads)) as pool:
        try:
            for done, seen in enumerate(pool.map(look, tracklets), start=1):
                if progress is not None:
                    progress(done, len(tracklets))
                yield seen
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _look(tracklet: Tracklet, *, decode: bool, compare: bool) -> FrameLook:
    problems: list[FileProblem] = []
    digests: list[int | None] = []
    for path in tracklet.frames:
        digest = None
        try:
            reason = _why_unreadable(path) if decode else _why_missing(path)
            if compare and not reason:
                digest = _digest(path)
        except OSError as error:
            reason = f"cannot be read: {error.strerror}"
        if reason:
            problems.append(FileProblem(tracklet.tracklet_id, path, reason))
        digests.append(digest)
    return FrameLook(tuple(problems), tuple(digests))


def _why_missing(path: str) -> str:
    """Why there can be no picture, "" where there may be one; nothing is opened."""
    if not has_frame(path):
        return "no such file"
    return "" if Reference.parse(path) or Path(path).stat().st_size else "the file is empty"


def _why_unreadable(path: str) -> str:
    """Why the picture cannot be decoded; "" where it can."""
    try:
        read_frame(path, _PROBE_SIZE, _PROBE_SIZE)
    except DataError as error:
        return str(error).removeprefix(f"{path}: ")
    return ""


def _digest(path: str) -> int | None:
    """A number made of a file's content; None for a frame inside a container."""
    if Reference.parse(path) is not None:
        return None
    return int.from_bytes(blake2b(Path(path).read_bytes(), digest_size=_DIGEST_BYTES).digest(), "little")
