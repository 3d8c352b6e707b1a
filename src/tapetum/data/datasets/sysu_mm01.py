"""SYSU-MM01 (Wu et al., ICCV 2017): visible and near-infrared images of 491 people, by 6 cameras.

Follows the readers in use in what decides results: the id lists rule, folders are named by camera and person,
and both training and validation people train. Departures: paths are parsed part by part, only images count as
images, and whatever is skipped is noted.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from tapetum.data.datasets._base import Count, DataSet, Fault, check_counts, check_root, is_synthetic
from tapetum.data.datasets._id_lists import IdList, read_twin_id_lists, refuse_shared_people
from tapetum.data.datasets._person_folders import PersonFolders, folder_notes, scan_people
from tapetum.types import Modality, Tracklet, TrackletSet

NAME = "sysu-mm01"
TITLE = "SYSU-MM01"
TRAIN_AND_VALIDATION, TRAIN_ONLY = "train+val", "train"
VISIBLE_CAMERAS = (1, 2, 4, 5)
INFRARED_CAMERAS = (3, 6)

_INDOOR_CAMERAS = (1, 2)
_CAMERAS = range(1, 7)
_PEOPLE = {"train": 296, "val": 99, "test": 96}
_IMAGES = {
    "train": (4_721, 5_753, 5_929, 4_821, 4_989, 4_000),
    "val": (0, 0, 1_980, 990, 984, 0),
    "test": (1_374, 1_565, 1_883, 1_918, 1_918, 1_920),
}
"""Images by camera 1 to 6."""
_PEOPLE_SEEN = {
    "train": (194, 195, 293, 283, 294, 200),
    "val": (0, 0, 99, 99, 96, 0),
    "test": (56, 56, 93, 94, 95, 96),
}
"""People with an image, by camera 1 to 6."""
_NUMBER = re.compile(r"[0-9]{4}\.[^.]+")

_Cameras = Mapping[int, PersonFolders]


def read(root: Path, *, train: str = TRAIN_AND_VALIDATION, strict: bool = False) -> DataSet:
    """The data set in the folder `root`, which holds `cam1` to `cam6` and `exp`.

    Queries are the infrared images of the test people, by person, camera (3, 6) and file name; the gallery
    part holds all their visible ones, by person, camera (1, 2, 4, 5) and file name: protocols draw from it.
    Images are not opened.

    Args:
        root: Folder of the data set.
        train: Who trains: "train+val", the 395 people of nearly all published results, or "train", without
            the people of the validation list.
        strict: Raise where a published count differs, instead of a warning.

    Raises:
        FileNotFoundError: `root`, an id list or every camera folder is missing.
        DataError: An id list is not as the format says, contradicts its `.mat` twin, or shares people with
            another; or a count differs and `strict` is set.
        ValueError: `train` is neither of the two.
    """
    if train not in (TRAIN_AND_VALIDATION, TRAIN_ONLY):
        raise ValueError(f"train must be {TRAIN_AND_VALIDATION!r} or {TRAIN_ONLY!r}, found {train!r}")
    root = check_root(root, TITLE)
    lists = {part: read_twin_id_lists(root / "exp" / f"{part}_id.txt") for part in _PEOPLE}
    refuse_shared_people(list(lists.values()))
    cameras = _scan(root, lists)
    validation = tuple(sorted(lists["val"].ids)) if train == TRAIN_AND_VALIDATION else ()
    learnt = sorted((*lists["train"].ids, *validation))
    tested = sorted(lists["test"].ids)
    counts = () if is_synthetic(root) else tuple(_counts(lists, cameras))
    check_counts(root, TITLE, counts, strict=strict)
    variant = "" if train == TRAIN_AND_VALIDATION else f"train={train}"
    title = f"{NAME}?{variant}" if variant else NAME
    return DataSet(
        name=NAME,
        root=root,
        train=TrackletSet(f"{title}/train", _tracklets(root, cameras, learnt, _CAMERAS, "train")),
        query=TrackletSet(f"{title}/query", _tracklets(root, cameras, tested, INFRARED_CAMERAS, "query")),
        gallery=TrackletSet(
            f"{title}/gallery", _tracklets(root, cameras, tested, VISIBLE_CAMERAS, "gallery")
        ),
        label_ids=tuple(learnt),
        counts=counts,
        notes=tuple(_notes(lists, cameras)),
        variant=variant,
        validation_ids=validation,
    )


def _scan(root: Path, lists: Mapping[str, IdList]) -> _Cameras:
    people = [person for listed in lists.values() for person in listed.ids]
    cameras = {camera: scan_people(root, f"cam{camera}", people) for camera in _CAMERAS}
    if not any(scan.exists for scan in cameras.values()):
        raise FileNotFoundError(f"{root}: no folder cam1 to cam6; expected the root of {TITLE}")
    return cameras


def _tracklets(
    root: Path, cameras: _Cameras, people: Sequence[int], numbers: Sequence[int], part: str
) -> tuple[Tracklet, ...]:
    """Images by person, then camera in the order of `numbers`, then file name."""
    return tuple(
        tracklet
        for person in people
        for camera in numbers
        for tracklet in cameras[camera].tracklets(root, (person,), _modality(camera), camera, part)
    )


def _modality(camera: int) -> Modality:
    return Modality.INFRARED if camera in INFRARED_CAMERAS else Modality.VISIBLE


def _notes(lists: Mapping[str, IdList], cameras: _Cameras) -> Iterator[str]:
    """One sentence for each oddity."""
    for part, listed in lists.items():
        yield from listed.notes
        unseen = [p for p in sorted(listed.ids) if not any(p in scan.names for scan in cameras.values())]
        if unseen:
            yield f"{part}: {len(unseen)} listed people have no image (first: {unseen[0]})"
    yield from folder_notes(list(cameras.values()))
    yield from _numbering_notes(cameras.values())


def _numbering_notes(scans: Collection[PersonFolders]) -> Iterator[str]:
    """What in the names keeps official permutations, which name images by number, from fitting."""
    odd, gaps = [], []
    for scan in scans:
        for person, names in scan.names.items():
            folder = f"{scan.folder}/{person:04d}"
            odd += [f"{folder}/{name}" for name in names if not _NUMBER.fullmatch(name)]
            present = {name[:4] for name in names}
            last = max((int(number) for number in present if number.isdecimal()), default=0)
            numbers = (f"{number:04d}" for number in range(1, max(last, len(names)) + 1))
            gaps += [f"{folder}/{number}" for number in numbers if number not in present]
    if odd:
        yield f"{len(odd)} images have other names than four digits (first: {odd[0]}); kept"
    if gaps:
        folders = len({gap.rpartition("/")[0] for gap in gaps})
        what = f"images of {folders} folders are not numbered from 0001 without gaps (first: no {gaps[0]})"
        yield Fault(what, [f"{gap}.jpg" for gap in gaps])


def _counts(lists: Mapping[str, IdList], cameras: _Cameras) -> Iterator[Count]:
    """What the lists and folders hold, beside the published numbers."""
    for part, expected in _PEOPLE.items():
        yield Count(f"{part} identities", expected, len(lists[part].ids))
    training = (*lists["train"].ids, *lists["val"].ids)
    tested = lists["test"].ids
    for what, expected, people, numbers in (
        ("visible train+val images", 22_258, training, VISIBLE_CAMERAS),
        ("infrared train+val images", 11_909, training, INFRARED_CAMERAS),
        ("query images", 3_803, tested, INFRARED_CAMERAS),
        ("visible test images", 6_775, tested, VISIBLE_CAMERAS),
    ):
        yield Count(what, expected, sum(cameras[camera].count(people) for camera in numbers))
    for part, listed in lists.items():
        for camera, scan in cameras.items():
            images, seen = _IMAGES[part][camera - 1], _PEOPLE_SEEN[part][camera - 1]
            found = [person for person in listed.ids if person in scan.names]
            yield Count(f"{part} images of camera {camera}", images, scan.count(found))
            yield Count(f"{part} identities of camera {camera}", seen, len(found))
    yield from _counts_of_searches(tested, cameras)


def _counts_of_searches(tested: Sequence[int], cameras: _Cameras) -> Iterator[Count]:
    """What the protocol makes of the test people, beside the published numbers."""
    for search, expected, numbers in (
        ("all-search", 301, VISIBLE_CAMERAS),
        ("indoor-search", 112, _INDOOR_CAMERAS),
    ):
        pairs = sum(person in cameras[camera].names for person in tested for camera in numbers)
        yield Count(f"gallery images of a single-shot {search}", expected, pairs)
    findable = {3: (1,), 6: _INDOOR_CAMERAS}
    matched = sum(
        cameras[camera].count([p for p in tested if any(p in cameras[i].names for i in indoor)])
        for camera, indoor in findable.items()
    )
    yield Count("query images with a match in indoor-search", 2_208, matched)
