"""Writes walkers in the on-disk layout of LLCM (Zhang and Wang, CVPR 2023).

```
ROOT/vis/0003/0003_c01_s093012_f118_vis.jpg           all people by day; nir/ by night
ROOT/test_vis/cam1/0003/0003_c01_s093012_f118_vis.jpg    test people once more, by camera; test_nir/ likewise
ROOT/idx/train_vis.txt, train_nir.txt, test_vis.txt, test_nir.txt    path and label
ROOT/idx/test_id.txt                                  the test people on one line
```

Nine cameras see by day and by night. Camera 3 has no test pictures by night, and its folder there is empty.
Of a few test people the only true pair lies in one camera, so that their queries have no match left.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np

from tapetum.data.synthetic._format import ONLY_TRACKLETS, PERSON_KEY, SET_KEY, Format
from tapetum.data.synthetic._numbers import gapped_numbers, unsorted
from tapetum.data.synthetic._writing import Job, SetPlan, as_lines
from tapetum.data.synthetic.cameras import Mount
from tapetum.data.synthetic.cast import Cast, Split, divide_people
from tapetum.data.synthetic.options import WalkerOptions
from tapetum.data.synthetic.takes import Take, draw_take
from tapetum.types import Modality

CAMERAS = tuple(range(1, 10))
IMAGES_PER_CAMERA = (2, 6)

#: Evaluators that read rank 20 need twenty people beside the query's own, whom the camera rule may take away.
_FEWEST_TEST = 21
_FEWEST_TRAIN = 2

#: Test people who are seen by one camera only, by day and by night.
_ONE_CAMERA = (1, 2, 3)
#: The camera without test pictures by night.
_BLIND_CAMERA = 3

_TREES = {Modality.VISIBLE: "vis", Modality.INFRARED: "nir"}
_SPLITS: tuple[Split, ...] = ("train", "test")


def plan(seed: int, identities: int, test_identities: int | None, options: WalkerOptions) -> SetPlan[Take]:
    """The whole data set before it is drawn.

    Raises:
        ValueError: if there are too few people, or more than four-digit numbers can tell apart.
    """
    train, test = divide_people(
        identities, test_identities, fewest_train=_FEWEST_TRAIN, fewest_test=_FEWEST_TEST, name="llcm"
    )
    cast = Cast(seed, {"train": train, "test": test}, options)
    numbers = cast.branch(SET_KEY).permutation(gapped_numbers(identities)).tolist()
    people = {"train": sorted(numbers[:train]), "test": sorted(numbers[train:])}
    listed = unsorted(cast.branch(SET_KEY, 1), people["test"])
    jobs = {
        (split, modality): [
            job
            for index, person in enumerate(people[split])
            for job in _plan_person(cast, split, index, person, modality)
        ]
        for split in _SPLITS
        for modality in Modality
    }
    return SetPlan(
        jobs=[job for part in jobs.values() for job in part],
        draw=partial(draw_take, cast),
        options=options,
        files={
            **{
                f"idx/{split}_{_TREES[modality]}.txt": _index_file(part)
                for (split, modality), part in jobs.items()
            },
            "idx/test_id.txt": as_lines([",".join(map(str, listed))]),
        },
        card=FORMAT.card(cast, format=FORMAT.name, train_identities=train, test_identities=test),
        people=(train, test, 0),
        folders=tuple(f"test_{tree}/cam{camera}" for tree in _TREES.values() for camera in CAMERAS),
    )


def _plan_person(cast: Cast, split: Split, index: int, person: int, modality: Modality) -> list[Job[Take]]:
    """The pictures of a person in one modality, one job for each camera."""
    seen = _cameras(cast, split, index)[modality]
    fewest, most = cast.options.images_per_camera or IMAGES_PER_CAMERA
    tree = _TREES[modality]
    jobs = []
    for camera in seen:
        rng = cast.rng(split, index, PERSON_KEY, camera, 1 + (modality is Modality.INFRARED))
        count = int(rng.integers(fewest, most + 1))
        frames = int(rng.integers(0, 5000)) + np.cumsum(rng.integers(1, 30, size=count))
        stem = f"{person:04d}_c{camera:02d}_s{_clock(rng, modality)}"
        places = [f"{tree}/{person:04d}"]
        if split == "test":
            places.append(f"test_{tree}/cam{camera}/{person:04d}")
        names = [f"{stem}_f{frame}_{tree}.jpg" for frame in frames.tolist()]
        jobs.append(
            Job(
                Take(split, index, Mount(camera, modality, place=camera), shots=count),
                tuple(tuple(f"{place}/{name}" for place in places) for name in names),
                tracklets=count,
            )
        )
    return jobs


def _cameras(cast: Cast, split: Split, index: int) -> dict[Modality, list[int]]:
    """Which cameras see a person by day and by night: two to four, but for a few test people."""
    rng = cast.rng(split, index, PERSON_KEY)
    by_night = [camera for camera in CAMERAS if split == "train" or camera != _BLIND_CAMERA]
    if split == "test" and index in _ONE_CAMERA:
        only = [int(rng.choice(by_night))]
        return {Modality.VISIBLE: only, Modality.INFRARED: only}
    visible = set(rng.choice(CAMERAS, size=int(rng.integers(2, 5)), replace=False).tolist())
    infrared = rng.choice(by_night, size=int(rng.integers(2, 5)), replace=False).tolist()
    if split == "test" and index == 0:
        visible.add(_BLIND_CAMERA)
    return {Modality.VISIBLE: sorted(visible), Modality.INFRARED: sorted(infrared)}


def _clock(rng: np.random.Generator, modality: Modality) -> str:
    """A time of day, hours, minutes and seconds: from seven to seven, by day or by night."""
    half_day = 12 * 3600
    seconds = 7 * 3600 + int(rng.integers(0, half_day)) + half_day * (modality is Modality.INFRARED)
    minutes, second = divmod(seconds % (2 * half_day), 60)
    return f"{minutes // 60:02d}{minutes % 60:02d}{second:02d}"


def _index_file(jobs: Sequence[Job[Take]]) -> bytes:
    """Paths in the tree of all people, each with a label: the person's place among those of the file."""
    return as_lines([f"{paths[0]} {job.what.index}" for job in jobs for paths in job.paths])


FORMAT = Format("llcm", plan, refused=ONLY_TRACKLETS, holds="images", avoid="cam")
