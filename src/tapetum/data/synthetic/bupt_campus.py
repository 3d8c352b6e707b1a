"""Writes walkers in the on-disk layout of BUPTCampus (Du et al., IEEE TIFS 2023).

```
ROOT/DATA/1/RGB/CQ1/1_RGB_CQ1_1_8535.jpg     person, modality, camera, tracklet, frame
ROOT/DATA/1/IR/CQ1/1_IR_CQ1_1_8535.jpg       its partner: the same moment through the same lens
ROOT/data_paths.json                         paths of the frames of every tracklet
ROOT/train.txt, train_auxiliary.txt          pairs, such as: 1 RGB/IR CQ1 1
ROOT/query.txt, gallery.txt                  tracklets, such as: 11 IR G25 1
```

Each of six cameras has a visible and an infrared sensor behind one lens. A test person has one query; the
gallery holds both tracklets of each pair by other cameras, and none of the query's camera.
"""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from tapetum.data.synthetic._format import PERSON_KEY, SET_KEY, Format
from tapetum.data.synthetic._writing import CARD, Job, SetPlan, as_lines
from tapetum.data.synthetic.cameras import Mount
from tapetum.data.synthetic.cast import Cast, Split, divide_people
from tapetum.data.synthetic.options import MIN_KEPT_FRAMES, WalkerOptions
from tapetum.data.synthetic.takes import Take, draw_take
from tapetum.types import Modality

CAMERAS = ("LS3", "G25", "CQ1", "W4", "TSG1", "TSG2")

_FEWEST_TRAIN, _FEWEST_TEST = 3, 2
#: Frames of the shortest tracklets, shorter than any usual clip; one of each split has them.
_SHORT, _SINGLE = 5, 1
#: Share of pairs, after a person's second, that follow another in the same view.
_SAME_CAMERA = 0.2

_SPLITS: tuple[Split, ...] = ("train", "auxiliary", "test")
_FOLDERS = {Modality.INFRARED: "IR", Modality.VISIBLE: "RGB"}


@dataclass(frozen=True, slots=True)
class _Pair:
    """A visible and an infrared tracklet of the same moments."""

    split: Split
    index: int
    person_id: int
    camera: int
    tracklet: int
    frames: range

    def line(self, modality: str) -> str:
        """Its line in a list."""
        return f"{self.person_id} {modality} {CAMERAS[self.camera]} {self.tracklet}"

    def paths(self, modality: Modality) -> list[str]:
        """Of its frames, below `DATA`."""
        camera, folder = CAMERAS[self.camera], _FOLDERS[modality]
        stem = f"{self.person_id}/{folder}/{camera}/{self.person_id}_{folder}_{camera}_{self.tracklet}"
        return [f"{stem}_{frame}.jpg" for frame in self.frames]


def plan(seed: int, identities: int, test_identities: int | None, options: WalkerOptions) -> SetPlan[Take]:
    """The whole data set before it is drawn.

    Raises:
        ValueError: if there are too few people, or too few pairs for two cameras.
    """
    if options.tracklets_per_modality[0] < 2:
        raise ValueError(
            f"tracklets_per_modality is {options.tracklets_per_modality}; expected at least 2 for "
            "bupt-campus, whose people are seen by two cameras"
        )
    training, test = divide_people(
        identities, test_identities, fewest_train=_FEWEST_TRAIN, fewest_test=_FEWEST_TEST, name="bupt-campus"
    )
    auxiliary = max(1, training // 4)
    cast = Cast(seed, {"train": training - auxiliary, "auxiliary": auxiliary, "test": test}, options)
    people = _plan_everyone(cast)
    return SetPlan(
        jobs=[_job(pair, modality) for pairs in people for pair in pairs for modality in _FOLDERS],
        draw=partial(draw_take, cast),
        options=options,
        files={**_list_files(people), "data_paths.json": _paths_file(people)},
        card=FORMAT.card(
            cast,
            format=FORMAT.name,
            train_identities=training - auxiliary,
            auxiliary_identities=auxiliary,
            test_identities=test,
        ),
        people=(training - auxiliary, test, auxiliary),
    )


def _plan_everyone(cast: Cast) -> list[list[_Pair]]:
    """The pairs of every person, by number."""
    everyone: list[tuple[Split, int]] = [
        (split, index) for split in _SPLITS for index in range(cast.count(split))
    ]
    order = cast.branch(SET_KEY).permutation(len(everyone)).tolist()
    return [_plan_person(cast, everyone[place], person_id) for person_id, place in enumerate(order, start=1)]


def _plan_person(cast: Cast, who: tuple[Split, int], person_id: int) -> list[_Pair]:
    """The pairs of a person; the first is a query's if the person is for testing."""
    rng = cast.rng(*who, PERSON_KEY)
    lengths = _draw_lengths(rng, cast.options, *who)
    order = rng.permutation(len(CAMERAS)).tolist()
    cameras = [order[place % len(order)] for place in range(len(lengths))]
    seen: dict[int, tuple[int, int]] = {}
    pairs = []
    for place, length in enumerate(lengths):
        # The extra tracklets of the first person follow the second, which is not the query's camera.
        if place > 1 and (rng.uniform() < _SAME_CAMERA or length < MIN_KEPT_FRAMES):
            cameras[place] = cameras[place - 1]
        number, start = seen.get(cameras[place], (0, int(rng.integers(1, 9000))))
        frames = range(start, start + length)
        seen[cameras[place]] = (number + 1, frames.stop + int(rng.integers(1, 60)))
        pairs.append(_Pair(*who, person_id, cameras[place], number + 1, frames))
    return pairs[:1] + sorted(pairs[1:], key=lambda pair: (pair.camera, pair.tracklet))


def _draw_lengths(rng: np.random.Generator, options: WalkerOptions, split: Split, index: int) -> list[int]:
    """Frames of each pair of a person: one pair of auxiliary people, two and more of others."""
    shortest, longest = options.tracklet_length
    fewest, most = (1, 1) if split == "auxiliary" else options.tracklets_per_modality
    count = int(rng.integers(fewest, most + 1))
    lengths = [int(length) for length in rng.integers(shortest, longest + 1, size=count)]
    if split == "auxiliary":
        return lengths
    if index == 0:
        return [*lengths, _SHORT, _SINGLE]
    short = int(rng.integers(_SHORT, MIN_KEPT_FRAMES))
    return [*lengths, short] if rng.uniform() < options.short_tracklet_share else lengths


def _job(pair: _Pair, modality: Modality) -> Job[Take]:
    mount = Mount(pair.camera, modality, place=pair.camera)
    return Job(
        Take(
            pair.split,
            pair.index,
            mount,
            frames=len(pair.frames),
            visit=pair.tracklet,
            partner="aligned",
        ),
        tuple((f"DATA/{path}",) for path in pair.paths(modality)),
    )


def _list_files(people: Sequence[Sequence[_Pair]]) -> dict[str, bytes]:
    """The four lists. Every second test person is asked for by day, the others by night."""
    lines: dict[str, list[str]] = {"train": [], "train_auxiliary": [], "query": [], "gallery": []}
    for first, *others in people:
        if first.split == "test":
            query = _FOLDERS[Modality.INFRARED if first.index % 2 else Modality.VISIBLE]
            lines["query"].append(first.line(query))
            kept = [pair for pair in others if pair.camera != first.camera]
            lines["gallery"] += [pair.line(folder) for pair in kept for folder in _FOLDERS.values()]
        else:
            name = "train" if first.split == "train" else "train_auxiliary"
            lines[name] += [pair.line("RGB/IR") for pair in (first, *others)]
    return {f"{name}.txt": as_lines(listed) for name, listed in lines.items()}


def _paths_file(people: Sequence[Sequence[_Pair]]) -> bytes:
    """Person, modality, camera, tracklet: paths; of all tracklets, listed or not."""
    table: dict[str, dict[str, dict[str, dict[str, list[str]]]]] = {}
    for pairs in people:
        for modality, folder in _FOLDERS.items():
            cameras = table.setdefault(str(pairs[0].person_id), {}).setdefault(folder, {})
            for pair in pairs:
                tracklets = cameras.setdefault(CAMERAS[pair.camera], {})
                tracklets[str(pair.tracklet)] = pair.paths(modality)
    return as_lines([json.dumps(table)])


def pack(folder: Path) -> None:
    """Add the LMDB packaging of a written set, in its folder `lmdb`, a data set of its own with a card."""
    # Only here, as the processes that draw need no reader.
    from tapetum.data.datasets._bupt_campus_lmdb import pack_dataset
    from tapetum.data.datasets.bupt_campus import read

    packed = pack_dataset(read(folder), folder / "lmdb")
    shutil.copyfile(folder / CARD, packed / CARD)


FORMAT = Format(
    "bupt-campus",
    plan,
    refused={"images_per_camera": "it holds tracklets"},
    holds="tracklets",
    pack=pack,
)
