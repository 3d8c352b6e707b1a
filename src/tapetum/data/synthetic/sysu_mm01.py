"""Writes walkers in the on-disk layout of SYSU-MM01 (Wu et al., ICCV 2017).

```
ROOT/cam1/0006/0001.jpg              camera, person, picture
ROOT/exp/train_id.txt                people on one line; val_id, test_id and available_id likewise
ROOT/exp/train_id.mat                the same for MATLAB, of all four
ROOT/exp/rand_perm_cam.mat           for each camera and person ten permutations of the pictures' numbers
```

Cameras 1, 2, 4 and 5 are visible, 3 and 6 infrared; 2 and 3 hang at the same place. Some test people are seen
by no indoor camera (1 and 2), one not by camera 3. A few folders hold a power of two of pictures or one less,
where seeded draws may go wrong, and one folder holds a single picture.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from io import BytesIO

import numpy as np
from numpy.typing import NDArray

from tapetum.data.synthetic._format import ONLY_TRACKLETS, PERSON_KEY, SET_KEY, Format
from tapetum.data.synthetic._numbers import gapped_numbers, unsorted
from tapetum.data.synthetic._writing import Job, SetPlan, as_lines
from tapetum.data.synthetic.cameras import Mount
from tapetum.data.synthetic.cast import Cast, Split, divide_people
from tapetum.data.synthetic.options import WalkerOptions
from tapetum.data.synthetic.takes import Take, draw_take
from tapetum.types import Modality

#: The six cameras; the third sees the place of the second.
MOUNTS = {
    1: Mount(1, Modality.VISIBLE, place=1),
    2: Mount(2, Modality.VISIBLE, place=2),
    3: Mount(3, Modality.INFRARED, place=2),
    4: Mount(4, Modality.VISIBLE, place=3),
    5: Mount(5, Modality.VISIBLE, place=4),
    6: Mount(6, Modality.INFRARED, place=5),
}
IMAGES_PER_CAMERA = (10, 16)
TRIALS = 10

#: Pictures that multi-shot galleries take of each person and camera.
_MULTI_SHOT = 10
#: Numbers of pictures are single bytes in the permutation file; the folders of a power of two need room.
_MOST_IMAGES = 127

#: Evaluators that read rank 20 need twenty people in camera 1, which is all that indoor galleries keep for a
#: query of camera 3; one more is seen outdoors only.
_FEWEST_TEST = 21
_INDOORS = 20
_FEWEST_TRAIN = 4

_ALL, _NOT_INDOORS, _LATE = (1, 2, 3, 4, 5, 6), (3, 4, 5, 6), (3, 4, 5)
#: Cameras that test people of the true data were seen by, and how many were.
_SEEN_BY = {
    _ALL: 53,
    _NOT_INDOORS: 37,
    (1, 2, 4, 5, 6): 2,
    (4, 5, 6): 1,
    (3, 4, 6): 1,
    (1, 2, 3, 5, 6): 1,
    (3, 5, 6): 1,
}


@dataclass(frozen=True, slots=True)
class _Seen:
    """A person, and how many pictures each camera has."""

    split: Split
    index: int
    person_id: int
    images: Mapping[int, int]


def plan(seed: int, identities: int, test_identities: int | None, options: WalkerOptions) -> SetPlan[Take]:
    """The whole data set before it is drawn.

    Raises:
        ValueError: if there are too few people, or more than four-digit numbers can tell apart, or too many
            pictures for the permutation file.
    """
    most = (options.images_per_camera or IMAGES_PER_CAMERA)[1]
    if most > _MOST_IMAGES:
        raise ValueError(
            f"images_per_camera goes up to {most}; expected at most {_MOST_IMAGES} for sysu-mm01, whose "
            "permutation file holds bytes"
        )
    training, test = divide_people(
        identities, test_identities, fewest_train=_FEWEST_TRAIN, fewest_test=_FEWEST_TEST, name="sysu-mm01"
    )
    validation = max(2, training // 4)
    cast = Cast(seed, {"train": training - validation, "validation": validation, "test": test}, options)
    people = _see_everyone(cast)
    return SetPlan(
        jobs=[_plan_folder(person, camera) for person in people for camera in person.images],
        draw=partial(draw_take, cast),
        options=options,
        files={**_id_files(cast, people), "exp/rand_perm_cam.mat": _permutation_file(cast, people)},
        card=FORMAT.card(
            cast,
            format=FORMAT.name,
            train_identities=training,
            validation_identities=validation,
            test_identities=test,
        ),
        people=(training, test, 0),
    )


def _see_everyone(cast: Cast) -> list[_Seen]:
    """All people, by number: those of validation behind the others, and the late ones behind them."""
    train = range(cast.count("train"))
    early: list[tuple[Split, int]] = [("train", index) for index in train if not _is_late(index)]
    early += [("test", index) for index in range(cast.count("test"))]
    order = cast.branch(SET_KEY).permutation(len(early)).tolist()
    behind: list[tuple[Split, int]] = [("validation", index) for index in range(cast.count("validation"))]
    behind += [("train", index) for index in train if _is_late(index)]
    everyone = [early[place] for place in order] + behind
    numbers = gapped_numbers(len(everyone))
    return [
        _Seen(split, index, number, _count_images(cast, split, index))
        for (split, index), number in zip(everyone, numbers, strict=True)
    ]


def _is_late(index: int) -> bool:
    """Whether a training person came after the cameras 1, 2 and 6 were taken down, as every third did."""
    return index % 3 == 2


def _count_images(cast: Cast, split: Split, index: int) -> dict[int, int]:
    rng = cast.rng(split, index, PERSON_KEY)
    fewest, most = cast.options.images_per_camera or IMAGES_PER_CAMERA
    cameras = _cameras(rng, split, index)
    counts = {camera: int(rng.integers(fewest, most + 1)) for camera in cameras}
    if split == "test":
        counts |= _edge_counts(fewest).get(index, {})
    return counts


def _cameras(rng: np.random.Generator, split: Split, index: int) -> tuple[int, ...]:
    if split == "validation" or (split == "train" and _is_late(index)):
        return _LATE
    if split == "train":
        gone = int(rng.integers(1, 7)) if index and rng.uniform() < 0.2 else 0
        return tuple(camera for camera in _ALL if camera != gone)
    if index <= _INDOORS:
        return {0: (1, 2, 4, 5, 6), 1: _NOT_INDOORS}.get(index, _ALL)
    shares = np.array(list(_SEEN_BY.values()))
    return list(_SEEN_BY)[int(rng.choice(len(shares), p=shares / shares.sum()))]


def _edge_counts(fewest: int) -> dict[int, dict[int, int]]:
    """Pictures by camera of a few test people, who are seen by all: numbers at which draws may go wrong.

    A single picture in a camera that galleries are drawn from would leave too few for multi-shot, so that it
    is in an infrared one unless others are too few anyway.
    """
    power = 1 << fewest.bit_length()
    counts = {2: {6: 1}, 3: {1: power, 4: power - 1}, 4: {1: power - 1, 5: power}}
    return counts if fewest >= _MULTI_SHOT else counts | {5: {1: 1}}


def _plan_folder(person: _Seen, camera: int) -> Job[Take]:
    count = person.images[camera]
    folder = f"cam{camera}/{person.person_id:04d}"
    return Job(
        Take(person.split, person.index, MOUNTS[camera], shots=count),
        tuple((f"{folder}/{number:04d}.jpg",) for number in range(1, count + 1)),
        tracklets=count,
    )


def _id_files(cast: Cast, people: Sequence[_Seen]) -> dict[str, bytes]:
    """The lists of people, unsorted, as text and for MATLAB."""
    parts = {
        "train": [p.person_id for p in people if p.split == "train"],
        "val": [p.person_id for p in people if p.split == "validation"],
        "test": [p.person_id for p in people if p.split == "test"],
        "available": [p.person_id for p in people],
    }
    files = {}
    for key, (part, numbers) in enumerate(parts.items(), start=1):
        listed = unsorted(cast.branch(SET_KEY, key), numbers)
        files[f"exp/{part}_id.txt"] = as_lines([",".join(map(str, listed))])
        files[f"exp/{part}_id.mat"] = _mat_file({"id": np.array([listed], dtype=np.uint16)})
    return files


def _permutation_file(cast: Cast, people: Sequence[_Seen]) -> bytes:
    """The galleries of ten trials: one cell for each camera, in it one for each number of a person."""
    cameras = np.empty((len(MOUNTS), 1), dtype=object)
    for camera in MOUNTS:
        last = max(person.person_id for person in people if camera in person.images)
        cells = np.empty((last, 1), dtype=object)
        for place in range(last):
            cells[place, 0] = np.empty((TRIALS, 0), dtype=np.uint8)
        for person in people:
            if camera in person.images:
                cells[person.person_id - 1, 0] = _permutations(cast, person, camera)
        cameras[camera - 1, 0] = cells
    return _mat_file({"rand_perm_cam": cameras})


def _permutations(cast: Cast, person: _Seen, camera: int) -> NDArray[np.uint8]:
    """`[trials, images]`, each row all numbers of pictures from 1."""
    rng = cast.rng(person.split, person.index, PERSON_KEY, camera)
    return np.stack([rng.permutation(person.images[camera]) + 1 for _ in range(TRIALS)]).astype(np.uint8)


def _mat_file(variables: dict[str, NDArray[np.generic]]) -> bytes:
    """A MATLAB 5 file; its header names neither machine nor hour, so that equal content gives equal bytes."""
    from scipy.io import savemat  # takes a while to import

    file = BytesIO()
    savemat(file, variables)
    header = b"MATLAB 5.0 MAT-file, tapetum synthetic walkers".ljust(_MAT_TEXT)
    return header + file.getvalue()[_MAT_TEXT:]


#: Bytes of text that a MATLAB 5 file starts with.
_MAT_TEXT = 116

FORMAT = Format("sysu-mm01", plan, refused=ONLY_TRACKLETS, holds="images")
