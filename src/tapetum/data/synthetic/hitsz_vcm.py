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

from pathlib import Path

from tapetum.data.synthetic._format import Format
from tapetum.data.synthetic._writing import Job, Progress, SetPlan, WrittenSet, as_lines, write_set
from tapetum.data.synthetic.cast import Split
from tapetum.data.synthetic.options import WalkerOptions
from tapetum.data.synthetic.population import Population, TrackletPlan
from tapetum.types import Modality

_FOLDER: dict[Split, str] = {"train": "Train", "test": "Test"}
_MODALITY_FOLDER = {Modality.VISIBLE: "rgb", Modality.INFRARED: "ir"}
_MODALITY_CODE = {Modality.INFRARED: 1, Modality.VISIBLE: 2}


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
    """Render a data set and write it, all or nothing (see `write_walkers`).

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
    options = WalkerOptions() if options is None else options
    FORMAT.check(options)
    planned = plan(seed, identities, test_identities, options)
    return write_set(root, planned, workers=workers, progress=progress)


def plan(
    seed: int, identities: int, test_identities: int | None, options: WalkerOptions
) -> SetPlan[TrackletPlan]:
    """The whole data set before it is drawn.

    Raises:
        ValueError: if there are too few people.
    """
    population = Population(seed, identities, options, test_identities)
    train, test = population.plan("train"), population.plan("test")
    people = population.count("train"), population.count("test"), 0
    queries = [row for row, tracklet in enumerate(test, start=1) if tracklet.modality is Modality.INFRARED]
    return SetPlan(
        jobs=[Job(tracklet, _frame_paths(tracklet)) for tracklet in train + test],
        draw=population.render,
        options=options,
        files={
            **_info_files("train", train),
            **_info_files("test", test),
            "info/query_IDX.txt": as_lines([" ".join(map(str, queries))]),
        },
        card=FORMAT.card(population, train_identities=people[0], test_identities=people[1]),
        people=people,
    )


def frame_path(plan: TrackletPlan, frame_number: int) -> str:
    """Path of a frame below the root of the data set."""
    modality = _MODALITY_FOLDER[plan.modality]
    return f"{_FOLDER[plan.split]}/{plan.person_id:04d}/{modality}/D{plan.camera_id}/{frame_number}.jpg"


def frame_name(plan: TrackletPlan, frame_number: int) -> str:
    """The line of a frame in `train_name.txt` or `test_name.txt`."""
    code = _MODALITY_CODE[plan.modality]
    return f"{plan.person_id:04d}M{code}D{plan.camera_id}T{plan.tracklet_number}F{frame_number}.jpg"


def _frame_paths(plan: TrackletPlan) -> tuple[tuple[str, ...], ...]:
    return tuple((frame_path(plan, number),) for number in plan.frame_numbers)


def _info_files(split: Split, plans: list[TrackletPlan]) -> dict[str, bytes]:
    """Lists of the frames and the tracklets of a split."""
    names, rows, end = [], [], 0
    for plan in plans:
        names += [frame_name(plan, number) for number in plan.frame_numbers]
        start, end = end + 1, end + len(plan.frame_numbers)
        rows.append(f"{_MODALITY_CODE[plan.modality]} {start} {end} {plan.person_id} {plan.camera_id}")
    return {
        f"info/{split}_name.txt": as_lines(names),
        f"info/track_{split}_info.txt": as_lines(rows),
    }


FORMAT = Format(
    "hitsz-vcm",
    plan,
    refused={"images_per_camera": "it holds tracklets"},
    holds="tracklets",
)
