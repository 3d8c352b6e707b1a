"""RegDB (Nguyen et al., Sensors 2017): 10 visible and 10 thermal images of each of 412 people, in ten splits.

Follows the readers in use in what decides results: the index files of a trial say who trains and who tests.
Departures: a person is called by the number of their folder, since labels name other people in each file, and
the four files of a trial are checked against each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tapetum.data.datasets._base import Count, DataSet, check_counts, check_root, is_synthetic
from tapetum.data.datasets._labelled_lists import (
    LabelledList,
    file_notes,
    label_notes,
    label_people,
    read_labelled_list,
)
from tapetum.data.datasets._person_folders import image_tracklet
from tapetum.errors import DataError
from tapetum.types import Modality, Tracklet, TrackletSet

NAME = "regdb"
TITLE = "RegDB"
TRIALS = range(1, 11)
VISIBLE_CAMERA, THERMAL_CAMERA = 1, 2

_TREES = {"visible": "Visible", "thermal": "Thermal"}
_PEOPLE, _LINES, _PEOPLE_IN_HALF = 412, 2_060, 206


@dataclass(frozen=True, slots=True)
class _Half:
    """The people who train, or those who test.

    Attributes:
        name: "train" or "test".
        visible: Their visible images.
        thermal: Their thermal images.
        person_of: Person of each label, by ascending label.
    """

    name: str
    visible: LabelledList
    thermal: LabelledList
    person_of: Mapping[int, int]

    @property
    def lists(self) -> tuple[LabelledList, LabelledList]:
        """Both index files."""
        return self.visible, self.thermal


def read(root: Path, *, trial: int = 1, strict: bool = False) -> DataSet:
    """One trial of the data set in the folder `root`, which holds `Visible`, `Thermal` and `idx`.

    Each of the ten trials trains on one half of the people and tests on the other. Visible test images are
    the query part, thermal ones the gallery part, each in the order of its index file; the data set names no
    queries, and protocols search both ways. Images are not opened.

    Args:
        root: Folder of the data set.
        trial: Which split, 1 to 10.
        strict: Raise where a published count differs, instead of a warning.

    Raises:
        FileNotFoundError: `root` or an index file of the trial is missing.
        DataError: A line is not as the format says, labels and people are not one to one, or somebody is in
            both halves (the message names file and line); or a count differs and `strict` is set.
        ValueError: There is no such trial.
    """
    if isinstance(trial, bool) or not isinstance(trial, int) or trial not in TRIALS:
        raise ValueError(f"trial must be a whole number from 1 to {TRIALS[-1]}, found {trial!r}")
    root = check_root(root, TITLE)
    train, test = (_read_half(root, half, trial) for half in ("train", "test"))
    _refuse_shared_people(train, test)
    counts = () if is_synthetic(root) else tuple(_counts(root, train, test))
    check_counts(root, TITLE, counts, strict=strict)
    variant = f"trial={trial}"
    title = f"{NAME}?{variant}"
    learnt = _visible(root, train, "train") + _thermal(root, train, "train")
    return DataSet(
        name=NAME,
        root=root,
        train=TrackletSet(f"{title}/train", learnt),
        query=TrackletSet(f"{title}/query", _visible(root, test, "query")),
        gallery=TrackletSet(f"{title}/gallery", _thermal(root, test, "gallery")),
        label_ids=tuple(train.person_of.values()),
        counts=counts,
        notes=tuple(_notes(root, train, test)),
        variant=variant,
    )


def _read_half(root: Path, name: str, trial: int) -> _Half:
    visible, thermal = (
        read_labelled_list(root / "idx" / f"{name}_{modality}_{trial}.txt", tree)
        for modality, tree in _TREES.items()
    )
    return _Half(name, visible, thermal, label_people((visible, thermal)))


def _refuse_shared_people(train: _Half, test: _Half) -> None:
    learnt = {image.person: (file, image) for file in train.lists for image in reversed(file.images)}
    for file in test.lists:
        for image in file.images:
            if image.person in learnt:
                other, line = learnt[image.person]
                raise DataError(
                    f"{file.path}:{image.line}: person {image.person} is also in "
                    f"{other.path.name}:{line.line}; expected other people in the test half"
                )


def _visible(root: Path, half: _Half, part: str) -> tuple[Tracklet, ...]:
    return _tracklets(root, half.visible, Modality.VISIBLE, VISIBLE_CAMERA, part)


def _thermal(root: Path, half: _Half, part: str) -> tuple[Tracklet, ...]:
    return _tracklets(root, half.thermal, Modality.INFRARED, THERMAL_CAMERA, part)


def _tracklets(
    root: Path, file: LabelledList, modality: Modality, camera: int, part: str
) -> tuple[Tracklet, ...]:
    """The images of an index file, in its order."""
    base = root.as_posix()
    return tuple(image_tracklet(base, i.place, modality, i.person, camera, part) for i in file.images)


def _notes(root: Path, train: _Half, test: _Half) -> Iterator[str]:
    """One sentence for each oddity."""
    for half in (train, test):
        yield from label_notes(half.name, half.visible, half.thermal)
    yield from file_notes(root, (*train.lists, *test.lists))


def _counts(root: Path, train: _Half, test: _Half) -> Iterator[Count]:
    """What folders and index files hold, beside the published numbers."""
    for tree in _TREES.values():
        folders = [path for path in (root / tree).glob("*") if path.name.isdigit() and path.is_dir()]
        yield Count(f"identities in {tree}", _PEOPLE, len(folders))
    for half in (train, test):
        for file in half.lists:
            yield Count(f"images in {file.path.name}", _LINES, len(file.images))
            yield Count(f"labels in {file.path.name}", _PEOPLE_IN_HALF, len({i.label for i in file.images}))
