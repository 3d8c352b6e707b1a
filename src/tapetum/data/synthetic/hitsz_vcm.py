"""Writes walkers as a data set in the on-disk layout of HITSZ-VCM (Lin et al., CVPR 2022).

```
ROOT/Train/0001/rgb/D1/1.jpg        identity, modality, camera, frame
ROOT/Test/...
ROOT/info/train_name.txt            one frame per line: 0001M2D1T1F1.jpg
ROOT/info/track_train_info.txt      modality, first and last line, identity, camera of each tracklet
ROOT/info/query_IDX.txt             the infrared rows of track_test_info.txt
ROOT/walkers.json                   how the set was made; readers ignore it
```
"""

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from io import BytesIO
from multiprocessing import get_context
from pathlib import Path

from PIL import Image

from tapetum.data.synthetic.options import WalkerOptions
from tapetum.data.synthetic.population import Population, Split, TrackletPlan
from tapetum.types import Modality

Progress = Callable[[int, int], None]

#: Version of the drawing: equal seed, options and version give equal frames.
WALKERS_VERSION = 1

_FOLDER: dict[Split, str] = {"train": "Train", "test": "Test"}
_MODALITY_FOLDER = {Modality.VISIBLE: "rgb", Modality.INFRARED: "ir"}
_MODALITY_CODE = {Modality.INFRARED: 1, Modality.VISIBLE: 2}

#: A further process is started only for so many more tracklets, as starting one takes seconds.
_TRACKLETS_PER_WORKER = 150


@dataclass(frozen=True, slots=True)
class WrittenSet:
    """What was written: the folder and how many identities, tracklets and frames it holds."""

    root: Path
    train_identities: int
    test_identities: int
    tracklets: int
    frames: int


def write_hitsz_vcm(
    root: Path,
    *,
    identities: int,
    seed: int,
    options: WalkerOptions | None = None,
    test_identities: int | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> WrittenSet:
    """Render a data set and write it, all or nothing.

    Frames are written into a hidden folder beside `root`, which takes its name at the end and is removed on
    failure. Processes are spawned, so that a script that writes a large set with several of them needs the
    usual guard of its main part.

    Args:
        root: folder to create; may exist if it is empty.
        identities: people in all, at least 4.
        seed: of everything.
        options: how the walkers are drawn; None means the defaults.
        test_identities: how many of the identities are for testing; None means a third.
        workers: most processes; None means one per core. Small sets are written by the calling process.
        progress: called with the number of tracklets written and their total.

    Raises:
        FileExistsError: if `root` exists and is not empty.
        ValueError: if there are too few identities or workers.
        OSError: if a file cannot be written; the error names it.
    """
    if workers is not None and workers < 1:
        raise ValueError(f"workers is {workers}; expected at least 1, or None for one per core")
    population = Population(
        seed, identities, WalkerOptions() if options is None else options, test_identities
    )
    plans = population.plan("train") + population.plan("test")
    with _replacing(Path(root)) as folder:
        _write_info(folder, population)
        _write_card(folder, population)
        _write_frames(folder, population, plans, workers or os.cpu_count() or 1, progress)
    return WrittenSet(
        root=Path(root),
        train_identities=population.count("train"),
        test_identities=population.count("test"),
        tracklets=len(plans),
        frames=sum(len(plan.frame_numbers) for plan in plans),
    )


def frame_path(plan: TrackletPlan, frame_number: int) -> str:
    """Path of a frame below the root of the data set."""
    modality = _MODALITY_FOLDER[plan.modality]
    return f"{_FOLDER[plan.split]}/{plan.person_id:04d}/{modality}/D{plan.camera_id}/{frame_number}.jpg"


def frame_name(plan: TrackletPlan, frame_number: int) -> str:
    """The line of a frame in `train_name.txt` or `test_name.txt`."""
    code = _MODALITY_CODE[plan.modality]
    return f"{plan.person_id:04d}M{code}D{plan.camera_id}T{plan.tracklet_number}F{frame_number}.jpg"


@contextmanager
def _replacing(root: Path) -> Iterator[Path]:
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


def _write_info(folder: Path, population: Population) -> None:
    info = folder / "info"
    info.mkdir()
    splits: tuple[Split, ...] = ("train", "test")
    for split in splits:
        plans = population.plan(split)
        names, rows, end = [], [], 0
        for plan in plans:
            names += [frame_name(plan, number) for number in plan.frame_numbers]
            start, end = end + 1, end + len(plan.frame_numbers)
            rows.append(f"{_MODALITY_CODE[plan.modality]} {start} {end} {plan.person_id} {plan.camera_id}")
        _write_lines(info / f"{split}_name.txt", names)
        _write_lines(info / f"track_{split}_info.txt", rows)
    queries = [row for row, plan in enumerate(plans, start=1) if plan.modality is Modality.INFRARED]
    _write_lines(info / "query_IDX.txt", [" ".join(map(str, queries))])


def _write_card(folder: Path, population: Population) -> None:
    card = {
        "maker": "tapetum synthetic walkers",
        "version": WALKERS_VERSION,
        "seed": population.seed,
        "train_identities": population.count("train"),
        "test_identities": population.count("test"),
        "options": asdict(population.options),
    }
    _write_lines(folder / "walkers.json", [json.dumps(card, indent=2)])


def _write_lines(path: Path, lines: list[str]) -> None:
    _write_bytes(path, "".join(f"{line}\n" for line in lines).encode("utf-8"))


def _write_bytes(path: Path, content: bytes) -> None:
    """Write a file; an error of writing (a full disk) names it, too."""
    try:
        path.write_bytes(content)
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error


def _write_frames(
    folder: Path, population: Population, plans: list[TrackletPlan], workers: int, progress: Progress | None
) -> None:
    for place in sorted({(folder / frame_path(plan, 0)).parent for plan in plans}):
        place.mkdir(parents=True)
    write = partial(_write_tracklet, folder, population)
    workers = min(workers, 1 + len(plans) // _TRACKLETS_PER_WORKER)
    if workers == 1:
        _count(map(write, plans), len(plans), progress)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        try:
            _count(pool.map(write, plans, chunksize=16), len(plans), progress)
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _count(done: Iterator[None], total: int, progress: Progress | None) -> None:
    for number, _ in enumerate(done, start=1):
        if progress is not None:
            progress(number, total)


def _write_tracklet(folder: Path, population: Population, plan: TrackletPlan) -> None:
    frames = population.render(plan)
    quality = population.options.jpeg_quality
    for number, frame in zip(plan.frame_numbers, frames, strict=True):
        jpeg = BytesIO()
        Image.fromarray(frame).save(jpeg, format="JPEG", quality=quality, subsampling=0)
        _write_bytes(folder / frame_path(plan, number), jpeg.getvalue())
