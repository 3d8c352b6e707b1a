"""LLCM (Zhang and Wang, CVPR 2023): visible and near-infrared images of 1,064 people, by 9 cameras.

Follows the authors' reader in what decides results: lists say what trains, the folders by camera what is
tested, the person is the folder, and a camera is the same in both modalities. Departures: paths are parsed
part by part, so that the root may be called anything, and names that disagree with their folders are noted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tapetum.data.datasets._base import Count, DataSet, check_counts, check_root, is_synthetic
from tapetum.data.datasets._id_lists import IdList, read_id_list
from tapetum.data.datasets._labelled_lists import (
    LabelledImage,
    LabelledList,
    file_notes,
    label_notes,
    label_people,
    read_labelled_list,
)
from tapetum.data.datasets._person_folders import PersonFolders, folder_notes, image_tracklet, scan_people
from tapetum.errors import DataError
from tapetum.types import Modality, Tracklet, TrackletSet

NAME = "llcm"
TITLE = "LLCM"
CAMERAS = tuple(range(1, 10))
INFRARED_CAMERAS = (1, 2, 4, 5, 6, 7, 8, 9)
"""Cameras of near-infrared test images: the folder of camera 3 is there, and empty."""

_UNUSED_CAMERA = 3
_MODALITIES = {"vis": Modality.VISIBLE, "nir": Modality.INFRARED}
_FILE_NAME = re.compile(r"([0-9]{1,9})_c([0-9]{1,9})_.*_(vis|nir)\.[^.]+")
_PEOPLE = {"training": 713, "test": 351}
_IMAGES = {
    ("training", "vis"): 16_946,
    ("training", "nir"): 13_975,
    ("test", "vis"): 8_680,
    ("test", "nir"): 7_166,
}

_Cameras = Mapping[int, PersonFolders]


def read(root: Path, *, strict: bool = False) -> DataSet:
    """The data set in the folder `root`, which holds `vis`, `nir`, `test_vis`, `test_nir` and `idx`.

    Infrared test images are the query part, by person, camera (1, 2, 4 to 9) and file name; visible ones the
    gallery part, by person, camera (1 to 9) and file name; the data set names no queries, and protocols
    search both ways and draw their galleries. The camera of a training image is in its name, that of a test
    image is its folder. Images are not opened.

    Args:
        root: Folder of the data set.
        strict: Raise on an image whose name disagrees with its folder, and where a published count differs;
            else the first is noted and the second a warning.

    Raises:
        FileNotFoundError: `root`, a list, or all camera folders of a modality are missing.
        DataError: A line of a list is not as the format says, labels and people are not one to one, or
            somebody both trains and is tested; or `strict` is set and applies.
    """
    root = check_root(root, TITLE)
    learnt = {code: read_labelled_list(root / "idx" / f"train_{code}.txt", code) for code in _MODALITIES}
    person_of = label_people(list(learnt.values()))
    tested = read_id_list(root / "idx" / "test_id.txt")
    _refuse_shared_people(learnt, tested)
    scans = {code: _scan(root, code, tested) for code in _MODALITIES}
    train = tuple(t for code, file in learnt.items() for t in _training_tracklets(root, code, file))
    foreign = [*_foreign_training(learnt), *_foreign_test(scans)]
    if foreign and strict:
        raise DataError(
            f"{root / foreign[0]}: the name disagrees with the folder ({len(foreign)} such images)"
        )
    counts = () if is_synthetic(root) else tuple(_counts(learnt, tested, scans))
    check_counts(root, TITLE, counts, strict=strict)
    people = sorted(tested.ids)
    query = _test_tracklets(root, scans["nir"], people, Modality.INFRARED, "query")
    gallery = _test_tracklets(root, scans["vis"], people, Modality.VISIBLE, "gallery")
    return DataSet(
        name=NAME,
        root=root,
        train=TrackletSet(f"{NAME}/train", train),
        query=TrackletSet(f"{NAME}/query", query),
        gallery=TrackletSet(f"{NAME}/gallery", gallery),
        label_ids=tuple(person_of.values()),
        counts=counts,
        notes=tuple(_notes(root, learnt, tested, scans, foreign)),
    )


def _refuse_shared_people(learnt: Mapping[str, LabelledList], tested: IdList) -> None:
    people = frozenset(tested.ids)
    for file in learnt.values():
        for image in file.images:
            if image.person in people:
                raise DataError(
                    f"{file.path}:{image.line}: person {image.person} is also in {tested.path.name}; "
                    "expected other people in training than in testing"
                )


def _scan(root: Path, code: str, tested: IdList) -> _Cameras:
    """The test images of a modality, by camera."""
    tree = f"test_{code}"
    cameras = {camera: scan_people(root, f"{tree}/cam{camera}", tested.ids) for camera in CAMERAS}
    if not any(scan.exists for scan in cameras.values()):
        raise FileNotFoundError(f"{root / tree}: no folder cam1 to cam9; expected the root of {TITLE}")
    return cameras


def _training_tracklets(root: Path, code: str, file: LabelledList) -> Iterator[Tracklet]:
    """The images of a training list, in its order."""
    base = root.as_posix()
    for image in file.images:
        camera = _camera(file, image)
        yield image_tracklet(base, image.place, _MODALITIES[code], image.person, camera, "train")


def _camera(file: LabelledList, image: LabelledImage) -> int:
    """The camera in the name of a training image."""
    match = _FILE_NAME.fullmatch(image.name)
    if not match or int(match[2]) not in CAMERAS:
        raise DataError(
            f"{file.path}:{image.line}: {image.name[:80]!r}; expected a name such as "
            "0003_c01_s185734_f3195_nir.jpg, with a camera from 1 to 9"
        )
    return int(match[2])


def _test_tracklets(
    root: Path, scans: _Cameras, people: Sequence[int], modality: Modality, part: str
) -> tuple[Tracklet, ...]:
    """Test images of a modality by person, camera and file name."""
    return tuple(
        tracklet
        for person in people
        for camera in (CAMERAS if modality is Modality.VISIBLE else INFRARED_CAMERAS)
        for tracklet in scans[camera].tracklets(root, (person,), modality, camera, part)
    )


def _foreign_training(learnt: Mapping[str, LabelledList]) -> Iterator[str]:
    """Places of training images whose name is of another person or modality than their folder."""
    for code, file in learnt.items():
        for image in file.images:
            match = _FILE_NAME.fullmatch(image.name)
            if match and (int(match[1]) != image.person or match[3] != code):
                yield image.place


def _foreign_test(scans: Mapping[str, _Cameras]) -> Iterator[str]:
    """Places of test images whose name is of another person, camera or modality than their folder."""
    for code, cameras in scans.items():
        for camera, scan in cameras.items():
            for person, names in scan.names.items():
                for name in names:
                    match = _FILE_NAME.fullmatch(name)
                    if not match or (int(match[1]), int(match[2]), match[3]) != (person, camera, code):
                        yield f"{scan.folder}/{person:04d}/{name}"


def _notes(
    root: Path,
    learnt: Mapping[str, LabelledList],
    tested: IdList,
    scans: Mapping[str, _Cameras],
    foreign: Sequence[str],
) -> Iterator[str]:
    """One sentence for each oddity."""
    yield from label_notes("train", learnt["vis"], learnt["nir"])
    yield from (f"train: {note}" for note in file_notes(root, learnt.values()))
    yield from tested.notes
    every = [scan for cameras in scans.values() for scan in cameras.values()]
    unseen = [person for person in sorted(tested.ids) if not any(person in s.names for s in every)]
    if unseen:
        yield f"test: {len(unseen)} listed people have no image (first: {unseen[0]})"
    unused = scans["nir"][_UNUSED_CAMERA]
    yield from folder_notes([scan for scan in every if scan is not unused or scan.exists])
    if unused.names:
        yield f"{unused.folder}: {unused.count(tested.ids)} images; skipped, as by the authors' reader"
    if foreign:
        yield f"{len(foreign)} images have names that disagree with their folders (first: {foreign[0]}); kept"


def _counts(
    learnt: Mapping[str, LabelledList], tested: IdList, scans: Mapping[str, _Cameras]
) -> Iterator[Count]:
    """What lists and folders hold, beside the published numbers."""
    people = {"training": frozenset().union(*(file.people for file in learnt.values())), "test": tested.ids}
    for part, expected in _PEOPLE.items():
        yield Count(f"{part} identities", expected, len(people[part]))
    for (part, code), expected in _IMAGES.items():
        found = len(learnt[code].images)
        if part == "test":
            found = sum(scan.count(tested.ids) for scan in scans[code].values())
        yield Count(f"{part} {_MODALITIES[code].value} images", expected, found)
    unused = scans["nir"][_UNUSED_CAMERA].count(tested.ids)
    yield Count("infrared test images of camera 3", 0, unused)
