"""BUPTCampus (Du et al., TIFS 2023): pairs of visible and infrared tracklets of 3,080 people, by six cameras.

Follows the authors' reader in what decides results: the lists rule, every line counts, no tracklet is too
short. Departures: labels are the training identities sorted as numbers (the authors sort them as texts), and
the visible test tracklets that the authors' sampler drops stay (a variant of the protocol drops them).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from tapetum.data.datasets._base import Count, DataSet, Remark, check_counts, check_root, is_synthetic
from tapetum.data.datasets._bupt_campus_files import (
    GENERATED,
    INFRARED,
    PAIR,
    PATHS_FILE,
    PICTURES,
    VISIBLE,
    DataPaths,
    Listed,
    read_list,
)
from tapetum.data.datasets._bupt_campus_lmdb import DATABASES, read_database
from tapetum.data.datasets._numbered_frames import NumberedFrames
from tapetum.errors import DataError
from tapetum.types import Modality, Tracklet, TrackletSet

NAME = "bupt-campus"
TITLE = "BUPTCampus"

_MODALITIES = {VISIBLE: Modality.VISIBLE, INFRARED: Modality.INFRARED}
_TRAINING_LISTS = ("train", "train_auxiliary")
_COUNTS = {
    # identities; visible tracklets and frames; infrared tracklets and frames
    "train": (1_074, 3_574, 398_069, 3_574, 398_069),
    "train_auxiliary": (930, 930, 104_575, 930, 104_575),
    "query": (1_076, 540, 48_521, 536, 53_417),
    "gallery": (1_076, 2_422, 298_771, 2_422, 298_771),
}
"""What users of the true data count, list by list."""
_PEOPLE = 3_080

_Item = tuple[Tracklet, ...]
"""A test tracklet alone; of a training line the visible and the infrared one."""
_Lists = Mapping[str, Sequence[_Item]]


@dataclass(frozen=True, slots=True)
class _Content:
    """What lies in a folder, in whichever packaging.

    Attributes:
        lists: What each list names, before anything is left out.
        counts: Of what only this packaging has.
        errors: What contradicts the format, one sentence each.
        notes: What does not, but should be known.
    """

    lists: _Lists
    counts: tuple[Count, ...]
    errors: tuple[str, ...]
    notes: tuple[str, ...]


def read(
    root: Path,
    *,
    auxiliary: bool = False,
    lmdb: bool = False,
    skip_single_frames: bool = False,
    fake_infrared: bool = False,
    strict: bool = False,
) -> DataSet:
    """The data set in the folder `root`, which holds `data_paths.json`, the lists and the pictures in `DATA`.

    `root` may also be that `DATA`. Pictures are not opened: a missing one is an error when it is needed
    (`tapetum.data.checking` looks at all of them). A training line is a pair, and gives a visible and an
    infrared tracklet, in this order.

    Args:
        root: Folder of the data set.
        auxiliary: Train on the people of `train_auxiliary.txt`, too, who were seen by one camera each.
        lmdb: Read six LMDB databases in `root` instead of lists and pictures. Use those of a source that you
            trust. Training identities are labels in them.
        skip_single_frames: Leave out tracklets of one frame (a training pair if its infrared one has one),
            as X-ReID's reader of folders does.
        fake_infrared: For each visible frame, in training and testing, take the infrared one that the authors
            generated from it, as for the second of AuxNet's two models. Tracklets stay visible by name.
        strict: Raise on what contradicts the format or the published counts; else it is noted.

    Raises:
        FileNotFoundError: `root` or one of its lists is missing.
        DataError: A line is not as the format says or names what `data_paths.json` does not have, a tracklet
            is listed twice, or a database is damaged; the message names file and line.
        ValueError: Options that do not go together, or that are neither true nor false.
        MissingExtraError: `lmdb` is set and that package is not installed.
    """
    chosen = {
        "auxiliary": auxiliary,
        "fake_infrared": fake_infrared,
        "skip_single_frames": skip_single_frames,
    }
    _check_options(chosen | {"lmdb": lmdb, "strict": strict})
    root = check_root(root, TITLE)
    if lmdb:
        content = _read_databases(root)
    else:
        root, pictures = _locate(root)
        content = _read_lists(root, pictures, auxiliary, fake_infrared)
    counts = () if is_synthetic(root) else (*content.counts, *_counts(content.lists))
    check_counts(root, TITLE, counts, strict=strict)
    if strict and content.errors:
        raise DataError(f"{root}: {content.errors[0]}")
    variant = "&".join(f"{name}=true" for name, value in chosen.items() if value)
    title = f"{NAME}?{variant}" if variant else NAME
    train = [item for name in _TRAINING_LISTS for item in content.lists.get(name, ())]
    parts = {"train": train, "query": content.lists["query"], "gallery": content.lists["gallery"]}
    kept = {part: _keep(items, skip_single_frames) for part, items in parts.items()}
    return DataSet(
        name=NAME,
        root=root,
        train=TrackletSet(f"{title}/train", kept["train"]),
        query=TrackletSet(f"{title}/query", kept["query"]),
        gallery=TrackletSet(f"{title}/gallery", kept["gallery"]),
        label_ids=tuple(sorted(_people(train))),
        counts=counts,
        notes=(*content.errors, *content.notes, *_notes_of_single_frames(parts, skip_single_frames)),
        variant=variant,
    )


def _check_options(options: Mapping[str, object]) -> None:
    for name, value in options.items():
        if not isinstance(value, bool):
            raise ValueError(f"{name} must be true or false, found {value!r}")
    for name in ("auxiliary", "fake_infrared"):
        if options["lmdb"] and options[name]:
            raise ValueError(f"{name}=true does not go with lmdb=true: the databases do not hold it")


def _keep(items: Sequence[_Item], skip_single_frames: bool) -> tuple[Tracklet, ...]:
    return tuple(chain.from_iterable(i for i in items if not (skip_single_frames and _is_single_frame(i))))


def _is_single_frame(item: _Item) -> bool:
    """Whether a tracklet has one frame; of a pair, its infrared one."""
    return len(item[-1].frames) == 1


def _notes_of_single_frames(parts: _Lists, skipped: bool) -> Iterator[str]:
    for part, items in parts.items():
        found = [item[0].tracklet_id for item in items if _is_single_frame(item)]
        if found:
            done = "left out" if skipped else "kept"
            what = f"{part}: {len(found)} tracklets or pairs have a single frame"
            yield Remark(f"{what} (first: {found[0]}); {done}")


# Folder, JSON and lists


def _locate(root: Path) -> tuple[Path, Path]:
    """The folder of the lists and that of the pictures, of which `root` is one."""
    if (root / PATHS_FILE).is_file():
        return root, root if _has_people(root) else root / PICTURES
    above = root.absolute().parent
    if (above / PATHS_FILE).is_file():
        return above, root
    if (root / DATABASES["train", Modality.INFRARED]).exists():
        raise FileNotFoundError(
            f"{root / PATHS_FILE}: no such file; for the databases in this folder, if you trust them, "
            f"give {NAME}:{root}?lmdb=true"
        )
    raise FileNotFoundError(
        f"{root / PATHS_FILE}: no such file; expected the root of {TITLE}, or its {PICTURES}"
    )


def _has_people(root: Path) -> bool:
    """Whether the pictures lie beside the lists, without a folder of their own."""
    inside = (root / PICTURES).is_dir()
    return not inside and any(path.name.isdecimal() and path.is_dir() for path in root.iterdir())


def _read_lists(root: Path, pictures: Path, auxiliary: bool, fake_infrared: bool) -> _Content:
    training = _TRAINING_LISTS if auxiliary else _TRAINING_LISTS[:1]
    listed = {name: read_list(root / f"{name}.txt", (PAIR,)) for name in training}
    listed |= {name: read_list(root / f"{name}.txt", (VISIBLE, INFRARED)) for name in ("query", "gallery")}
    _refuse_repeats(listed)
    paths = DataPaths(root / PATHS_FILE, pictures, generated=fake_infrared)
    lists = {
        name: [_item(line, "train" if name in training else name, paths) for line in lines]
        for name, lines in listed.items()
    }
    sample = pictures / listed["train"][0].person
    if fake_infrared and not (sample / GENERATED).is_dir():
        raise FileNotFoundError(
            f"{sample / GENERATED}: no such folder; fake_infrared=true needs generated frames"
        )
    return _Content(
        lists=lists,
        counts=(Count(f"identities in {PATHS_FILE}", _PEOPLE, paths.people),),
        errors=(*_misplaced(listed, paths), *_unaligned(lists), *_strange_people(lists)),
        notes=tuple(_notes_of_files(listed, paths, sample)),
    )


def _sides(line: Listed) -> tuple[str, ...]:
    return (VISIBLE, INFRARED) if line.modality == PAIR else (line.modality,)


def _tracklet_id(line: Listed, side: str) -> str:
    return f"{line.person}/{side}/{line.camera}/{line.tracklet}"


def _refuse_repeats(listed: Mapping[str, Sequence[Listed]]) -> None:
    first: dict[str, str] = {}
    for line in chain.from_iterable(listed.values()):
        for side in _sides(line):
            name = _tracklet_id(line, side)
            place = first.setdefault(name, line.place)
            if place != line.place:
                raise DataError(f"{line.place}: tracklet {name} is listed again; first in {place}")


def _item(line: Listed, part: str, paths: DataPaths) -> _Item:
    """The tracklets of a line."""
    return tuple(
        Tracklet(
            tracklet_id=_tracklet_id(line, side),
            frames=paths.frames(line, side),
            modality=_MODALITIES[side],
            person_id=int(line.person),
            camera_id=line.camera,
            part=part,
        )
        for side in _sides(line)
    )


def _notes_of_files(listed: Mapping[str, Sequence[Listed]], paths: DataPaths, sample: Path) -> Iterator[str]:
    """One sentence if there are no pictures, and one if there are tracklets that no list names."""
    if not sample.is_dir():
        yield f"no folder {sample}: where are the pictures?"
    unlisted = paths.tracklets - sum(len(_sides(line)) for line in chain.from_iterable(listed.values()))
    if unlisted:
        yield Remark(f"{unlisted} tracklets of {PATHS_FILE} are on no list that was read")


def _misplaced(listed: Mapping[str, Sequence[Listed]], paths: DataPaths) -> Iterator[str]:
    """One sentence if frames are named otherwise than their place in the JSON file says."""
    wrong = [
        _tracklet_id(line, side)
        for line in chain.from_iterable(listed.values())
        for side in _sides(line)
        if not paths.are_in_place(line, side)
    ]
    if wrong:
        yield (
            f"{len(wrong)} tracklets have frames of another name than their identity, modality, camera and "
            f"number make (first: {wrong[0]}); kept, as {PATHS_FILE} lists them"
        )


def _unaligned(lists: _Lists) -> Iterator[str]:
    """One sentence if training pairs are not frame by frame of the same moments."""
    pairs = [item for name in _TRAINING_LISTS for item in lists.get(name, ())]
    wrong = [item[0].tracklet_id for item in pairs if not _are_aligned(item[0].frames, item[1].frames)]
    if wrong:
        yield (
            f"{len(wrong)} training pairs have visible and infrared frames of other lengths or numbers "
            f"(first: {wrong[0]}); kept"
        )


def _are_aligned(visible: Sequence[str], infrared: Sequence[str]) -> bool:
    if isinstance(visible, NumberedFrames) and isinstance(infrared, NumberedFrames):
        return np.array_equal(visible.numbers, infrared.numbers)
    return len(visible) == len(infrared)


def _strange_people(lists: _Lists) -> Iterator[str]:
    """One sentence for each way in which people are on other lists than they should be."""
    learnt, auxiliary = (_people(lists.get(name, ())) for name in _TRAINING_LISTS)
    queries, gallery = _people(lists["query"]), _people(lists["gallery"])
    asked = Counter(person for item in lists["query"] if isinstance(person := item[0].person_id, int))
    for people, what in (
        (learnt & auxiliary, "people are in train.txt and in train_auxiliary.txt"),
        ((learnt | auxiliary) & (queries | gallery), "people are in training and in testing"),
        (queries - gallery, "query people have no tracklet in gallery.txt"),
        (gallery - queries, "gallery people have no query"),
        ({person for person, count in asked.items() if count > 1}, "people have several queries"),
    ):
        if people:
            yield f"{len(people)} {what} (first: {min(people)})"


# Databases


def _read_databases(root: Path) -> _Content:
    found = {place: read_database(root, *place) for place in DATABASES}
    visible, infrared = (found["train", modality] for modality in Modality)
    paired = [_seen(t) for t in visible] == [_seen(t) for t in infrared]
    test = {part: _alone(found[part, modality] for modality in Modality) for part in ("query", "gallery")}
    lists = {
        "train": list(zip(visible, infrared, strict=True)) if paired else _alone((visible, infrared)),
        **test,
    }
    errors = (
        list(_unaligned(lists)) if paired else ["the two training databases do not hold pairs, in one order"]
    )
    labels = _people(lists["train"])
    if labels != set(range(len(labels))):
        errors.append(f"training identities are not the labels 0 to {len(labels) - 1} without gaps")
    note = Remark("training identities are the labels that the databases hold, not those of the data set")
    return _Content(lists, counts=(), errors=(*errors, *_strange_people(test)), notes=(note,))


def _seen(tracklet: Tracklet) -> tuple[object, object]:
    return tracklet.person_id, tracklet.camera_id


def _alone(tracklets: Iterable[Sequence[Tracklet]]) -> list[_Item]:
    return [(tracklet,) for tracklet in chain.from_iterable(tracklets)]


# Both


def _people(items: Sequence[_Item]) -> set[int]:
    return {person for item in items if isinstance(person := item[0].person_id, int)}


def _counts(lists: _Lists) -> Iterator[Count]:
    """What the lists name, beside the numbers that users of the true data report."""
    for name, items in lists.items():
        people, *expected = _COUNTS[name]
        tracklets = list(chain.from_iterable(items))
        yield Count(f"{name} identities", people, len(_people(items)))
        for modality in Modality:
            frames = [len(t.frames) for t in tracklets if t.modality is modality]
            yield Count(f"{name} {modality.value} tracklets", expected.pop(0), len(frames))
            yield Count(f"{name} {modality.value} frames", expected.pop(0), sum(frames))
