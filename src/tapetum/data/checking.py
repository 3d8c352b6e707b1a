"""Look at every picture of a data set before hours of work depend on them."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tapetum.data.containers import has_frame
from tapetum.data.datasets._base import DataSet
from tapetum.data.frames import read_frame
from tapetum.errors import DataError
from tapetum.types import Tracklet, TrackletSet

_PROBE_SIZE = 8


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


def check_files(
    data: DataSet | TrackletSet,
    *,
    decode: bool = True,
    threads: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> list[FileProblem]:
    """All frames of `data` that are missing or unreadable, in order; empty when all is well.

    Args:
        data: What to look at; of a data set training and test tracklets.
        decode: Decode every picture; else only look whether its file exists, which is much faster.
        threads: How many files to look at at the same time.
        progress: Called after each tracklet with (tracklets done, tracklets in all).
    """
    look = _unreadable if decode else _missing
    tracklets = (*data.train, *data.test) if isinstance(data, DataSet) else tuple(data)
    found: list[FileProblem] = []
    with ThreadPoolExecutor(max(1, threads)) as pool:
        try:
            for done, problems in enumerate(pool.map(look, tracklets), start=1):
                found += problems
                if progress is not None:
                    progress(done, len(tracklets))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return found


def _missing(tracklet: Tracklet) -> list[FileProblem]:
    return [
        FileProblem(tracklet.tracklet_id, path, "no such file")
        for path in tracklet.frames
        if not has_frame(path)
    ]


def _unreadable(tracklet: Tracklet) -> list[FileProblem]:
    problems = []
    for path in tracklet.frames:
        try:
            read_frame(path, _PROBE_SIZE, _PROBE_SIZE)
        except DataError as error:
            reason = str(error).removeprefix(f"{path}: ")
            problems.append(FileProblem(tracklet.tracklet_id, path, reason))
    return problems
