"""Writing a data set of walkers, whole or not at all: pictures drawn in parallel, lists, and a card.

A format plans a set (`SetPlan`): who is drawn into which files, and what its other files hold. Everything
else is done here, the same way for all formats.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from multiprocessing import get_context
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tapetum.data.synthetic.options import WalkerOptions

T = TypeVar("T")
Progress = Callable[[int, int], None]

#: Says how a set was made; readers take it that published counts do not apply.
CARD = "walkers.json"

#: Version of the drawing: equal seed, options and version give equal frames.
WALKERS_VERSION = 1

#: A further process is started only for so many more frames, as starting one takes seconds.
_FRAMES_PER_WORKER = 2500


@dataclass(frozen=True, slots=True)
class WrittenSet:
    """What was written: the folder and how many identities, tracklets and frames it holds.

    Attributes:
        root: The folder.
        train_identities: People for training, those set apart for validation included.
        test_identities: People for testing.
        tracklets: Of all people; a single picture is a tracklet of one frame.
        frames: Of all tracklets.
        auxiliary_identities: People of neither part.
    """

    root: Path
    train_identities: int
    test_identities: int
    tracklets: int
    frames: int
    auxiliary_identities: int = 0


@dataclass(frozen=True, slots=True)
class Job(Generic[T]):
    """Pictures that are drawn together.

    Attributes:
        what: What is drawn.
        paths: For each frame, all places below the root that it is written to; the ending says how.
        tracklets: How many tracklets the frames are.
    """

    what: T
    paths: tuple[tuple[str, ...], ...]
    tracklets: int = 1


@dataclass(frozen=True, slots=True)
class SetPlan(Generic[T]):
    """A data set before it is written.

    Attributes:
        jobs: All pictures.
        draw: Frames `[N, H, W, 3]` of what a job draws; runs in other processes.
        options: How the walkers are drawn.
        files: Other files: path below the root, and content.
        card: Facts about the set, for `CARD`.
        people: How many there are for training, for testing, and beside both.
        folders: Further folders, which may stay empty.
    """

    jobs: Sequence[Job[T]]
    draw: Callable[[T], NDArray[np.uint8]]
    options: WalkerOptions
    files: Mapping[str, bytes]
    card: Mapping[str, object]
    people: tuple[int, int, int]
    folders: tuple[str, ...] = field(default=())


def write_set(
    root: Path,
    plan: SetPlan[T],
    *,
    workers: int | None = None,
    progress: Progress | None = None,
    finish: Callable[[Path], None] | None = None,
) -> WrittenSet:
    """Draw and write a planned data set.

    Files are written into a hidden folder beside `root`, which takes its name at the end and is removed on
    failure. Processes are spawned, so that a script that writes a large set with several of them needs the
    usual guard of its main part.

    Args:
        root: folder to create; may exist if it is empty.
        plan: what to write.
        workers: most processes; None means one per core. Small sets are written by the calling process.
        progress: called with the number of tracklets written and their total.
        finish: called with the folder before it takes its name, when all files are there.

    Raises:
        FileExistsError: if `root` exists and is not empty.
        ValueError: if there are too few workers.
        OSError: if a file cannot be written; the error names it.
    """
    if workers is not None and workers < 1:
        raise ValueError(f"workers is {workers}; expected at least 1, or None for one per core")
    with _new_folder(Path(root)) as folder:
        for place in sorted(_folders(plan)):
            (folder / place).mkdir(parents=True, exist_ok=True)
        for name, content in plan.files.items():
            _write_bytes(folder / name, content)
        _write_bytes(folder / CARD, as_lines([json.dumps(plan.card, indent=2)]))
        _write_pictures(folder, plan, workers or os.cpu_count() or 1, progress)
        if finish is not None:
            finish(folder)
    train, test, auxiliary = plan.people
    return WrittenSet(
        root=Path(root),
        train_identities=train,
        test_identities=test,
        tracklets=sum(job.tracklets for job in plan.jobs),
        frames=sum(len(job.paths) for job in plan.jobs),
        auxiliary_identities=auxiliary,
    )


def as_lines(lines: Sequence[str]) -> bytes:
    """A text file of these lines."""
    return "".join(f"{line}\n" for line in lines).encode("utf-8")


@contextmanager
def _new_folder(root: Path) -> Iterator[Path]:
    """A new folder beside `root` that becomes `root` on success and vanishes otherwise."""
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise FileExistsError(f"{root} exists and is not an empty folder; give another one or remove it")
    root.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{root.name}-", dir=root.parent))
    try:
        yield folder
        folder.chmod(0o755)
        if root.exists():
            root.rmdir()
        folder.rename(root)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _folders(plan: SetPlan[T]) -> set[str]:
    """All folders that files go to."""
    places = {path for job in plan.jobs for paths in job.paths for path in paths} | set(plan.files)
    return {place.rpartition("/")[0] for place in places} | set(plan.folders)


def _write_bytes(path: Path, content: bytes) -> None:
    """Write a file; an error of writing (a full disk) names it, too."""
    try:
        path.write_bytes(content)
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error


def _write_pictures(folder: Path, plan: SetPlan[T], workers: int, progress: Progress | None) -> None:
    write = partial(_write_job, folder, plan.draw, plan.options.jpeg_quality)
    frames = sum(len(job.paths) for job in plan.jobs)
    workers = min(workers, 1 + frames // _FRAMES_PER_WORKER)
    if workers == 1:
        _count(map(write, plan.jobs), plan.jobs, progress)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        try:
            _count(pool.map(write, plan.jobs, chunksize=16), plan.jobs, progress)
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _count(done: Iterator[None], jobs: Sequence[Job[T]], progress: Progress | None) -> None:
    written, total = 0, sum(job.tracklets for job in jobs)
    for job, _ in zip(jobs, done, strict=True):
        written += job.tracklets
        if progress is not None:
            progress(written, total)


def _write_job(folder: Path, draw: Callable[[T], NDArray[np.uint8]], quality: int, job: Job[T]) -> None:
    for paths, frame in zip(job.paths, draw(job.what), strict=True):
        content = _encode(frame, paths[0], quality)
        for path in paths:
            _write_bytes(folder / path, content)


def _encode(frame: NDArray[np.uint8], path: str, quality: int) -> bytes:
    """The content of a picture file, of the kind that the ending of its path says."""
    file = BytesIO()
    if path.endswith(".jpg"):
        Image.fromarray(frame).save(file, format="JPEG", quality=quality, subsampling=0)
    else:
        Image.fromarray(frame).save(file, format="BMP")
    return file.getvalue()
