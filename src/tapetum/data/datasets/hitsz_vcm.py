"""HITSZ-VCM (Lin et al., CVPR 2022): visible and infrared tracklets of 927 people, by 12 cameras.

Follows the authors' reader in what decides results: the info files rule, tracklets under 12 frames are
dropped everywhere, labels are the sorted training identities before that. Departures: all integers of
`query_IDX.txt` are read (the authors' reader keeps its last line only), and frames whose coded name disagrees
with their row are reported.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tapetum.data.datasets._base import Count, DataSet, Remark, check_counts, is_synthetic
from tapetum.data.datasets._hitsz_vcm_files import (
    INFRARED,
    VISIBLE,
    Names,
    Numbers,
    Tracks,
    read_names,
    read_query_rows,
    read_tracks,
)
from tapetum.data.datasets._numbered_frames import NumberedFrames
from tapetum.errors import DataError
from tapetum.types import Modality, Tracklet, TrackletSet

NAME = "hitsz-vcm"
MIN_FRAMES = 12
FRAMES_PER_SECOND = 25.0
"""Assumed: the data set does not state the rate of its cameras."""

_FOLDERS = {INFRARED: "ir", VISIBLE: "rgb"}
_MODALITIES = {INFRARED: Modality.INFRARED, VISIBLE: Modality.VISIBLE}
_PROBED_IDENTITIES = 10


@dataclass(frozen=True, slots=True)
class _Half:
    """The training or the test half.

    Attributes:
        name: "train" or "test".
        pictures: Folder that holds the identities' folders.
        has_pictures: Whether any was found there.
        names: The frames that the half's name file lists.
        tracks: The rows of its track file.
        lines: Line of the name file of each frame of each row, row after row, `[frames]`.
        rows: Row of each of these frames, `[frames]`.
        foreign: Whether the frame's coded name disagrees with its row, `[frames]`.
        first: Line of each row's first frame that is not foreign, or its first where all are, `[rows]`.
    """

    name: str
    pictures: Path
    has_pictures: bool
    names: Names
    tracks: Tracks
    lines: Numbers
    rows: Numbers
    foreign: NDArray[np.bool_]
    first: Numbers


def read(
    root: Path, *, min_frames: int = MIN_FRAMES, drop_foreign: bool = False, strict: bool = False
) -> DataSet:
    """The data set in the folder `root`, which holds `info` and the pictures.

    Pictures may lie in `root/Train/0001`, `root/Train/Train/0001` or `root/0001` (likewise `Test`). They are
    not opened: a missing one is an error when it is needed (`tapetum.data.checking` looks at all of them).
    The time of a tracklet is its first frame's number at an assumed 25 frames a second: seconds on a clock of
    the identity's folder and camera, not comparable between cameras.

    Args:
        root: Folder of the data set.
        min_frames: Shorter tracklets are dropped, in training, query and gallery.
        drop_foreign: Drop frames whose coded identity, modality or camera disagrees with their row; else they
            stay, as in published results, and are counted in the notes.
        strict: Raise on such frames.

    Raises:
        FileNotFoundError: `root` or one of its info files is missing.
        DataError: A line is not as the format says, or a frame is foreign and `strict` is set; the message
            names file and line.
        ValueError: `min_frames` below 1.
    """
    if min_frames < 1:
        raise ValueError(f"min_frames must be at least 1, found {min_frames}")
    root = Path(root)
    if not root.is_dir():
        raise FileNotFoundError(f"{root}: no such folder; expected the root of HITSZ-VCM")
    train, test = _read_half(root, "train"), _read_half(root, "test")
    queries = read_query_rows(root / "info" / "query_IDX.txt", len(test.tracks.person))
    if strict:
        for half in (train, test):
            _refuse_foreign(root, half)
    every = _tracklets(train, drop_foreign, ()) + _tracklets(test, drop_foreign, set(queries.tolist()))
    kept = [t for t in every if len(t.frames) >= min_frames]
    splits = {part: tuple(t for t in kept if t.part == part) for part in ("train", "query", "gallery")}
    counts = () if is_synthetic(root) else _counts_of_rows(train, test, queries)
    if counts and min_frames == MIN_FRAMES and not drop_foreign:
        counts += _counts_of_tracklets(splits)
    check_counts(root, "HITSZ-VCM", counts)
    notes = [*_notes(train, drop_foreign), *_notes(test, drop_foreign), *_query_notes(test.tracks, queries)]
    if len(kept) < len(every):
        short = len(every) - len(kept)
        what = f"{short} of {len(every)} tracklets have fewer than {min_frames} frames; dropped"
        notes.insert(0, Remark(what))
    return DataSet(
        name=NAME,
        root=root,
        train=TrackletSet(f"{NAME}/train", splits["train"]),
        query=TrackletSet(f"{NAME}/query", splits["query"]),
        gallery=TrackletSet(f"{NAME}/gallery", splits["gallery"]),
        label_ids=tuple(np.unique(train.tracks.person).tolist()),
        counts=counts,
        notes=tuple(notes),
    )


def _read_half(root: Path, name: str) -> _Half:
    names = read_names(root / "info" / f"{name}_name.txt")
    tracks = read_tracks(root / "info" / f"track_{name}_info.txt", len(names.person))
    rows = np.repeat(np.arange(len(tracks.person)), tracks.lengths)
    begun = np.cumsum(tracks.lengths) - tracks.lengths
    lines = np.arange(len(rows)) + np.repeat(tracks.start - begun, tracks.lengths)
    foreign = (
        (names.person[lines] != tracks.person[rows])
        | (names.modality[lines] != tracks.modality[rows])
        | (names.camera[lines] != tracks.camera[rows])
    )
    first = tracks.start.copy()
    if foreign.any():
        own_rows, place = np.unique(rows[~foreign], return_index=True)
        first[own_rows] = lines[~foreign][place]
    pictures = _find_pictures(root, name, names)
    return _Half(
        name,
        pictures or root / name.capitalize(),
        pictures is not None,
        names,
        tracks,
        lines,
        rows,
        foreign,
        first,
    )


def _find_pictures(root: Path, name: str, names: Names) -> Path | None:
    """The folder that holds the identities' folders, in one of the three layouts in circulation."""
    folder = name.capitalize()
    probed = np.unique(names.person)[:_PROBED_IDENTITIES].tolist()
    for base in (root / folder, root / folder / folder, root):
        if any((base / f"{person:04d}").is_dir() for person in probed):
            return base
    return None


def _refuse_foreign(root: Path, half: _Half) -> None:
    if half.foreign.any():
        place = int(np.flatnonzero(half.foreign)[0])
        row, line = int(half.rows[place]), int(half.lines[place])
        raise DataError(
            f"{root / 'info' / f'track_{half.name}_info.txt'}:{row + 1}: the row is of "
            f"{_code(half.tracks, row)}, but line {line + 1} of the name file, in its range, is of "
            f"{_code(half.names, line)}"
        )


def _code(table: Names | Tracks, row: int) -> str:
    """Identity, modality and camera as coded in names, such as 0001M1D4."""
    return f"{table.person[row]:04d}M{table.modality[row]}D{table.camera[row]}"


def _tracklets(half: _Half, drop_foreign: bool, queries: Collection[int]) -> list[Tracklet]:
    """All rows as tracklets, in the file's order; a row may have lost all its frames."""
    base = half.pictures.as_posix()
    numbers = half.names.frame.astype(np.int32)
    times = (half.names.frame[half.first] / FRAMES_PER_SECOND).tolist()
    mixed = set(half.rows[half.foreign].tolist())
    made = []
    for row, (name, columns) in enumerate(zip(_tracklet_ids(half), _rows_of(half.tracks), strict=True)):
        modality, start, end, person, camera = columns
        frames: Sequence[str] = NumberedFrames(_folder(base, person, modality, camera), numbers[start:end])
        if row in mixed:
            frames = _frames_by_name(half, base, row, drop_foreign)
        part = "train" if half.name == "train" else "query" if row in queries else "gallery"
        made.append(Tracklet(name, frames, _MODALITIES[modality], person, camera, times[row], part))
    return made


def _rows_of(tracks: Tracks) -> Iterator[tuple[int, ...]]:
    """Modality, start, end, person and camera of each row, as Python's integers."""
    columns = (tracks.modality, tracks.start, tracks.end, tracks.person, tracks.camera)
    return zip(*(column.tolist() for column in columns), strict=True)


def _tracklet_ids(half: _Half) -> list[str]:
    """A name for each row from its codes, such as test/0503M1D2T1; where it is taken, with #row (from 1)."""
    number = half.names.tracklet[half.first].tolist()
    ids: dict[str, None] = {}
    for row, (modality, _, _, person, camera) in enumerate(_rows_of(half.tracks)):
        name = f"{half.name}/{person:04d}M{modality}D{camera}T{number[row]}"
        ids[f"{name}#{row + 1}" if name in ids else name] = None
    return list(ids)


def _frames_by_name(half: _Half, base: str, row: int, drop_foreign: bool) -> tuple[str, ...]:
    """Paths of a row with foreign frames, each where its own coded name says."""
    own = half.rows == row
    if drop_foreign:
        own &= ~half.foreign
    names = half.names
    coded = np.stack([names.person, names.modality, names.camera, names.frame])[:, half.lines[own]]
    return tuple(f"{_folder(base, p, m, c)}/{frame}.jpg" for p, m, c, frame in coded.T.tolist())


def _folder(base: str, person: int, modality: int, camera: int) -> str:
    return f"{base}/{person:04d}/{_FOLDERS[modality]}/D{camera}"


def _notes(half: _Half, drop_foreign: bool) -> Iterator[str]:
    """One sentence for each oddity of a half."""
    if not half.has_pictures:
        yield f"{half.name}: no folder of an identity found in {half.pictures}, beside it or below it"
    foreign_rows = np.unique(half.rows[half.foreign])
    if len(foreign_rows):
        done = "dropped" if drop_foreign else "kept, as in published results"
        yield (
            f"{half.name}: {int(half.foreign.sum())} frames in {len(foreign_rows)} tracklets are of another "
            f"identity, modality or camera than their row says (first in row {foreign_rows[0] + 1}); {done}"
        )
    other = half.names.tracklet[half.lines] != half.names.tracklet[half.first][half.rows]
    several = np.unique(half.rows[other & ~half.foreign])
    if len(several):
        yield f"{half.name}: {len(several)} rows join several coded tracklets (first: {several[0] + 1}); kept"


def _query_notes(tracks: Tracks, queries: Numbers) -> Iterator[str]:
    """One sentence for each departure of the query list from naming every infrared row once and no other."""
    infrared = tracks.modality == INFRARED
    named = np.zeros(len(infrared), dtype=bool)
    named[queries] = True
    for count, what in (
        (int((named & ~infrared).sum()), "query rows are visible"),
        (int((~named & infrared).sum()), "infrared rows are no queries and so in the gallery"),
        (len(queries) - int(named.sum()), "query rows are listed again"),
    ):
        if count:
            yield f"test: {count} {what}"


def _counts_of_rows(train: _Half, test: _Half, queries: Numbers) -> tuple[Count, ...]:
    """What the info files hold, beside the published numbers."""
    test_rows, query_rows = len(test.tracks.person), len(np.unique(queries))
    return (
        Count("training identities", 500, len(np.unique(train.tracks.person))),
        Count("training tracklets", 11_061, len(train.tracks.person)),
        Count("training frames", 232_496, len(train.names.person)),
        Count("test identities", 427, len(np.unique(test.tracks.person))),
        Count("test tracklets", 10_802, test_rows),
        Count("test frames", 230_763, len(test.names.person)),
        Count("query tracklets", 5_159, query_rows),
        Count("gallery tracklets", 5_643, test_rows - query_rows),
    )


def _counts_of_tracklets(splits: Mapping[str, Sequence[Tracklet]]) -> tuple[Count, ...]:
    """What is left of 12 frames and more, beside the numbers that users of the true data report."""
    train = splits["train"]
    counts: list[Count] = []
    for what, tracklets, frames, found in (
        ("infrared training", 4_291, 98_214, [t for t in train if t.modality is Modality.INFRARED]),
        ("visible training", 5_460, 126_543, [t for t in train if t.modality is Modality.VISIBLE]),
        ("query", 4_584, 105_979, splits["query"]),
        ("gallery", 5_099, 118_137, splits["gallery"]),
    ):
        counts.append(Count(f"{what} tracklets of 12 frames and more", tracklets, len(found)))
        counts.append(Count(f"{what} frames in these", frames, sum(len(t.frames) for t in found)))
    return tuple(counts)
