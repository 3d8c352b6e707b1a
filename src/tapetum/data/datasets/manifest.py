"""Your own pictures, listed in a CSV or Parquet file: a row for each frame, or for each folder of frames.

docs/datasets/manifest.md describes the columns; `tapetum manifest` writes such a file from a tree of folders.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tapetum.data.datasets._base import DataSet, Remark
from tapetum.data.datasets._identity_split import check_split, draw_test_people
from tapetum.data.datasets._manifest_groups import Field, Groups, frames_of, group_rows, refuse_mixtures
from tapetum.data.datasets._manifest_table import (
    COLUMNS,
    SUFFIXES,
    ManifestTable,
    Problems,
    describe_unknown,
    read_table,
)
from tapetum.data.datasets._manifest_values import (
    GALLERY,
    QUERY,
    TEST,
    TRAIN,
    read_certainty,
    read_ids,
    read_modality,
    read_split,
    read_times,
)
from tapetum.data.modality_detection import LOOKED_AT, ModalityGuess, detect_modalities
from tapetum.errors import DataError
from tapetum.types import Id, Modality, Tracklet, TrackletSet

NAME = "manifest"
SURE = 0.9
"""Certainty of a modality below which it is noted."""


@dataclass(frozen=True, slots=True, eq=False)
class _Fields:
    """The columns of a manifest, read.

    Attributes:
        person: Identity of each row.
        camera: Camera.
        modality: Modality; None where it is to be decided from pixels.
        certainty: How sure an earlier decision was; None where there was none.
        split: Part; "" where none is given.
        times: Seconds, NaN where unknown, `[rows]`.
        notes: Oddities of the texts.
    """

    person: Field[Id | None]
    camera: Field[Id | None]
    modality: Field[Modality | None]
    certainty: Field[float | None]
    split: Field[str]
    times: NDArray[np.float64]
    notes: tuple[str, ...]

    @property
    def has_split(self) -> bool:
        """Whether any row names a part."""
        return any(self.split.values)


def read(
    root: Path, *, test_share: float | None = None, seed: int | None = None, look_at: int = LOOKED_AT
) -> DataSet:
    """The data set that a manifest lists.

    Relative paths start from the manifest's folder and may lead out of it: the pictures are yours. They are
    opened only where a modality has to be decided from them. Tracklets of the split "test" are queries where
    infrared, else gallery; those of unknown people are in the gallery. A file that names no split gets a
    random one by identity, which `DataSet.variant` tells.

    Args:
        root: The file, or a folder that holds `manifest.csv` or `manifest.parquet`.
        test_share: Of the random split, share of the people to test on; None: 0.5.
        seed: Of the random split; None: 0.
        look_at: Where a modality is decided from pixels, most frames of a tracklet to look at.

    Raises:
        FileNotFoundError: There is no such file.
        DataError: The file or rows of it are not as they should be; each is named by line or row.
        ValueError: `test_share` outside 0..1, a negative seed, or either of them where the file has a split.
    """
    share, start = check_split(test_share, seed)
    table = read_table(find_manifest(Path(root)))
    problems = Problems(table)
    groups = group_rows(table, problems)
    fields = _read_fields(table, problems)
    frames = _checked_frames(groups, fields, problems)
    if fields.has_split and (test_share is not None or seed is not None):
        raise ValueError(
            f"{table.file}: has a split of its own; test_share and seed are for files without one"
        )
    guesses = _guess_modalities(groups, fields, frames, problems, look_at)
    tracklets = list(_tracklets(groups, fields, frames, guesses))
    notes = [*_notes(table, groups, fields, tracklets), *_guess_notes(groups, fields, guesses)]
    variant = ""
    if not fields.has_split and any(t.person_id is not None for t in tracklets):
        tracklets, variant = _divide(tracklets, share, start), f"test_share={share:g}&seed={start}"
        what = f"no split is given: a random one by identity, test_share {share:g}, seed {start}"
        notes.append(Remark(what))
    return _dataset(table.file.parent, tracklets, notes, variant)


def find_manifest(root: Path) -> Path:
    """The file itself, or the manifest in a folder.

    Raises:
        DataError: The folder holds none, or two.
    """
    if not root.is_dir():
        return root
    names = [NAME + suffix for suffix in SUFFIXES]
    found = [root / name for name in names if (root / name).is_file()]
    if len(found) != 1:
        what = f"holds both {' and '.join(names)}" if found else f"holds no {' or '.join(names)}"
        raise DataError(f"{root}: {what}; expected a file to read, such as `tapetum manifest` writes")
    return found[0]


def _read_fields(table: ManifestTable, problems: Problems) -> _Fields:
    """All columns but those that group rows and order frames."""
    notes = []
    ids = []
    for name in ("person_id", "camera_id"):
        column = table.column(name)
        values, merged = read_ids(column.values)
        ids.append(Field.of(column, values))
        if merged:
            notes.append(f"{name} {merged[0]!r} is the same whole number as another spelling of it")
    times, time_notes = read_times(table.column("time"), problems)
    modality, certainty, split = (
        problems.parse(table.column(name), read)
        for name, read in (
            ("modality", read_modality),
            ("modality_certainty", read_certainty),
            ("split", read_split),
        )
    )
    return _Fields(
        person=ids[0],
        camera=ids[1],
        modality=Field.of(table.column("modality"), modality),
        certainty=Field.of(table.column("modality_certainty"), certainty),
        split=Field.of(table.column("split"), split),
        times=times,
        notes=(*notes, *time_notes),
    )


def _checked_frames(groups: Groups, fields: _Fields, problems: Problems) -> list[tuple[str, ...]]:
    """Frames of each tracklet.

    Raises:
        ManifestError: Anything in the rows is wrong.
    """
    for name, field in (
        ("person_id", fields.person),
        ("camera_id", fields.camera),
        ("modality", fields.modality),
        ("split", fields.split),
    ):
        refuse_mixtures(groups, name, field, problems)
    people, parts = fields.person.at(groups.first), fields.split.at(groups.first)
    for row, person, part in zip(groups.first.tolist(), people, parts, strict=True):
        if part == TRAIN and person is None:
            problems.add(row, "split is train, but person_id is empty; training needs to know who it is")
    frames = frames_of(groups, fields.times, problems)
    problems.refuse()
    return frames


def _guess_modalities(
    groups: Groups,
    fields: _Fields,
    frames: Sequence[Sequence[str]],
    problems: Problems,
    look_at: int,
) -> dict[int, ModalityGuess]:
    """What pixels say of the tracklets without a modality.

    Raises:
        ManifestError: Of one of these no frame can be read.
    """
    open_ones = [t for t, seen in enumerate(fields.modality.at(groups.first)) if seen is None]

    guesses: dict[int, ModalityGuess] = {}
    found = detect_modalities([frames[tracklet] for tracklet in open_ones], look_at=look_at)
    for tracklet, seen in zip(open_ones, found, strict=True):
        if isinstance(seen, DataError):
            problems.add(int(groups.first[tracklet]), f"modality cannot be decided: {seen}")
        else:
            guesses[tracklet] = seen
    problems.refuse()
    return guesses


def _tracklets(
    groups: Groups,
    fields: _Fields,
    frames: Sequence[Sequence[str]],
    guesses: dict[int, ModalityGuess],
) -> Iterator[Tracklet]:
    """All tracklets, in the part that the file names; in the gallery where it names none."""
    earliest = np.full(len(groups), np.inf)
    np.minimum.at(earliest, groups.codes, np.where(np.isnan(fields.times), np.inf, fields.times))
    columns = (
        field.at(groups.first) for field in (fields.modality, fields.person, fields.camera, fields.split)
    )
    rows = zip(groups.ids, frames, *columns, earliest.tolist(), strict=True)
    for number, (name, paths, modality, person, camera, split, time) in enumerate(rows):
        seen = modality or guesses[number].modality
        part = _test_part(seen, person) if split == TEST else split or GALLERY
        yield Tracklet(name, paths, seen, person, camera, time if time < np.inf else None, part)


def _test_part(modality: Modality, person: Id | None) -> str:
    """Query or gallery: nothing can be learnt from a search for somebody unknown."""
    return QUERY if modality is Modality.INFRARED and person is not None else GALLERY


def _divide(tracklets: Sequence[Tracklet], share: float, seed: int) -> list[Tracklet]:
    """A random split by identity; tracklets of unknown people stay in the gallery."""
    seen: dict[Id, set[Modality]] = {}
    for t in tracklets:
        if t.person_id is not None:
            seen.setdefault(t.person_id, set()).add(t.modality)
    paired = {person for person, modalities in seen.items() if len(modalities) > 1}
    tested = draw_test_people(tuple(seen), paired, share, seed)

    def part(t: Tracklet) -> str:
        return (
            TRAIN
            if t.person_id in seen and t.person_id not in tested
            else _test_part(t.modality, t.person_id)
        )

    return [replace(t, part=part(t)) for t in tracklets]


def _notes(
    table: ManifestTable, groups: Groups, fields: _Fields, tracklets: Sequence[Tracklet]
) -> Iterator[str]:
    """One sentence for each oddity of the file."""
    yield from fields.notes
    for name in table.names:
        if name not in COLUMNS:
            sentence = describe_unknown(name)
            yield sentence if sentence.endswith("?") else Remark(sentence)
    beside = [name for name in ("video", "track", *(["frame"] * (groups.place == "folder"))) if name in table]
    for name in beside:
        yield Remark(f"column {name!r} is not looked at beside {groups.place!r}")
    outside = sum(1 for place in table.column(groups.place).values if _leads_out(place, table.file.parent))
    unknown = sum(t.person_id is None for t in tracklets)
    nowhere = fields.split.at(groups.first).count("") if fields.has_split else 0
    if outside:
        yield Remark(
            f"{outside} different {groups.place}s lead out of the manifest's folder; that is allowed"
        )
    if unknown:
        yield Remark(f"{unknown} tracklets are of unknown people")
    if nowhere:
        yield f"{nowhere} tracklets have no split where others have one; they are in the gallery"


def _guess_notes(groups: Groups, fields: _Fields, guesses: dict[int, ModalityGuess]) -> Iterator[str]:
    """What was decided from pixels, now or when the file was written, and how much of it is not sure."""
    known = {t: c for t, c in enumerate(fields.certainty.at(groups.first)) if c is not None}
    known.update({t: guess.certainty for t, guess in guesses.items()})
    if guesses:
        what = f"the modality of {len(guesses)} tracklets was decided from pixels, anew with each reading"
        yield Remark(what)
    unsure = sorted((c, t) for t, c in known.items() if c < SURE)
    if unsure:
        certainty, least = unsure[0]
        yield (
            f"the modality of {len(unsure)} tracklets was decided with a certainty under {SURE}; "
            f"the least sure is {groups.ids[least]} with {certainty:.2f}"
        )


def _leads_out(place: str, folder: Path) -> bool:
    """Whether a path is not below a folder, as it is written."""
    if not place.startswith(("/", "..")) and "/.." not in place:
        return False
    return os.path.relpath(os.path.join(folder, place), folder).startswith("..")  # noqa: PTH118


def _dataset(root: Path, tracklets: Sequence[Tracklet], notes: Sequence[str], variant: str) -> DataSet:
    title = f"{NAME}?{variant}" if variant else NAME

    def part(name: str) -> TrackletSet:
        return TrackletSet(f"{title}/{name}", tuple(t for t in tracklets if t.part == name))

    train = part(TRAIN)
    return DataSet(
        name=NAME,
        root=root,
        train=train,
        query=part(QUERY),
        gallery=part(GALLERY),
        label_ids=tuple(train.person_ids),
        notes=tuple(notes),
        variant=variant,
    )
