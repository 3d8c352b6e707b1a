"""From a tree of folders to a manifest: what the places of pictures say about them, written into one file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tapetum.data.datasets._identity_split import check_split, draw_test_people
from tapetum.data.datasets._manifest_table import COLUMNS, SUFFIXES, write_table
from tapetum.data.datasets._manifest_values import (
    AUTO,
    INFRARED_WORDS,
    TEST,
    TRAIN,
    VISIBLE_WORDS,
    read_ids,
    read_split,
    read_time,
)
from tapetum.data.datasets.manifest import NAME
from tapetum.data.modality_detection import ModalityGuess, detect_modalities
from tapetum.data.path_patterns import PathPattern
from tapetum.data.pictures import files_below, is_image
from tapetum.errors import DataError
from tapetum.types import Id, Modality

FIELDS = ("person_id", "modality", "camera_id", "tracklet_id", "frame", "time", "split")
"""What a pattern may name."""

_KEY = ("person_id", "modality", "camera_id", "tracklet_id", "split")
_SHOWN = 5

Row = dict[str, str]
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class BuiltManifest:
    """What was written, and what was left out.

    Attributes:
        file: The manifest.
        pictures: Rows of it.
        tracklets: How many they make.
        people: How many different ones.
        cameras: How many different ones.
        tracklets_of: Tracklets by split ("" where there is none) and modality.
        unmatched: Pictures that are not of the pattern, relative to the folder.
        others: Files that are no pictures, or hidden.
        guesses: By tracklet, what its pixels said of its modality; empty where the paths say it.
    """

    file: Path
    pictures: int
    tracklets: int
    people: int
    cameras: int
    tracklets_of: Mapping[tuple[str, str], int]
    unmatched: tuple[str, ...]
    others: tuple[str, ...]
    guesses: Mapping[str, ModalityGuess]


def build_manifest(
    folder: Path | str,
    *,
    pattern: str,
    out: Path | str | None = None,
    modality: Modality | str = AUTO,
    visible_words: Iterable[str] = (),
    infrared_words: Iterable[str] = (),
    folder_tracklets: bool = False,
    test_share: float | None = None,
    seed: int | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> BuiltManifest:
    """Write a manifest of the pictures in a folder, whole or not at all, and return what is in it.

    A tracklet is what agrees in all fields but `frame` and `time`, where the pattern has `{tracklet_id}`;
    else each picture is one of its own, or with `folder_tracklets` each folder. Where the pattern has no
    `{split}`, people are divided at random into training and test.

    Args:
        folder: Where the pictures are, at any depth.
        pattern: Of their paths in it, such as "{person_id}/{modality}/{camera_id}/{tracklet_id}/{frame}.jpg";
            see `PathPattern.compile`, and `FIELDS` for the names.
        out: The file, .csv or .parquet; None: `manifest.csv` in the folder. Paths in it are relative where
            the pictures are below its own folder, else absolute.
        modality: Where the pattern has no `{modality}`: of all pictures, or "auto": decided from the pixels
            of each tracklet.
        visible_words: Words in the place of `{modality}` that mean visible, besides the usual ones.
        infrared_words: Words that mean infrared.
        folder_tracklets: Make the pictures of a folder one tracklet.
        test_share: Share of the people to test on; None: 0.5.
        seed: Of the division; None: 0.
        overwrite: Replace a file that is there.
        progress: Called with (tracklets done, tracklets in all) while modalities are decided.

    Raises:
        NotADirectoryError: `folder` is none.
        FileExistsError: `out` exists, and `overwrite` is false.
        ValueError: The pattern or an option cannot be used.
        DataError: No picture is of the pattern, or what paths say cannot be: an unknown modality or split, a
            frame twice, or pictures of one folder that disagree. Files are named.
    """
    base, place = Path(folder), Path(folder) / f"{NAME}.csv" if out is None else Path(out)
    compiled = PathPattern.compile(pattern, FIELDS)
    _check_place(base, place, overwrite)
    _check_options(compiled.fields, modality, folder_tracklets, test_share, seed)
    paths = [path for path in files_below(base) if (base / path).absolute() != place.absolute()]
    rows, unmatched, others = _match(paths, compiled)
    if not rows:
        raise DataError(_nothing_matched(base, pattern, unmatched))
    _read_words(rows, visible_words, infrared_words)
    tracklets = _group(rows, compiled, folder_tracklets)
    guesses = _decide_modalities(base, tracklets, modality, progress)
    if "split" not in compiled.fields and "person_id" in compiled.fields:
        _divide(rows, *check_split(test_share, seed))
    _write(place, base, [row for group in tracklets.values() for row in group])
    return BuiltManifest(
        file=place,
        pictures=len(rows),
        tracklets=len(tracklets),
        people=len({row["person_id"] for row in rows if "person_id" in row}),
        cameras=len({row["camera_id"] for row in rows if "camera_id" in row}),
        tracklets_of=Counter((g[0].get("split", ""), g[0]["modality"]) for g in tracklets.values()),
        unmatched=tuple(unmatched),
        others=tuple(others),
        guesses=guesses,
    )


def _check_place(folder: Path, out: Path, overwrite: bool) -> None:
    """Nothing, or an error before any work is done."""
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder}: no such folder")
    if out.suffix.lower() not in SUFFIXES:
        raise ValueError(f"{out}: expected a file that ends in {' or '.join(SUFFIXES)}")
    if not out.parent.is_dir():
        raise FileNotFoundError(f"{out}: its folder does not exist")
    if out.exists() and not overwrite:
        raise FileExistsError(f"{out} exists; pass overwrite=True (--overwrite) to replace it")


def _check_options(
    fields: Sequence[str],
    modality: Modality | str,
    folder_tracklets: bool,
    test_share: float | None,
    seed: int | None,
) -> None:
    """Nothing, or an error where an option is wrong or would change nothing."""
    check_split(test_share, seed)
    if modality not in (AUTO, *Modality):
        raise ValueError(f"unknown modality {modality!r}; expected one of {', '.join((AUTO, *Modality))}")
    divides = "split" not in fields and "person_id" in fields
    for needless, what in (
        (
            modality != AUTO and "modality" in fields,
            f"modality is {modality!r}, but the pattern has {{modality}}",
        ),
        (
            folder_tracklets and "tracklet_id" in fields,
            "folders make tracklets, but the pattern has {tracklet_id}",
        ),
        (
            not divides and (test_share is not None or seed is not None),
            "test_share and seed divide people, for which the pattern needs {person_id} and no {split}",
        ),
    ):
        if needless:
            raise ValueError(f"{what}; choose one")


def _match(paths: Sequence[str], pattern: PathPattern) -> tuple[list[Row], list[str], list[str]]:
    """What each picture's path says, pictures that are not of the pattern, and files that are no pictures."""
    rows: list[Row] = []
    unmatched: list[str] = []
    others: list[str] = []
    _refuse([f"{path!r}: not a UTF-8 name" for path in paths if not _is_text(path)])
    for path in paths:
        if not is_image(path.rpartition("/")[2]):
            others.append(path)
            continue
        found = pattern.match(path)
        if found is None:
            unmatched.append(path)
        else:
            rows.append({"path": path, **found})
    return rows, unmatched, others


def _is_text(path: str) -> bool:
    """Whether a path can be written into a text file; names on disk may be any bytes."""
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _nothing_matched(folder: Path, pattern: str, pictures: Sequence[str]) -> str:
    if not pictures:
        return f"{folder}: no pictures in it"
    example = pictures[0]
    depths = f"it has {example.count('/')} folders, the pattern {pattern.count('/')}"
    what = f"none of {len(pictures)} pictures is of the pattern {pattern!r}"
    return f"{folder}: {what}; the first is {example!r} ({depths})"


def _read_words(rows: Sequence[Row], visible: Iterable[str], infrared: Iterable[str]) -> None:
    """Put the usual words in the place of those that paths have for modalities and splits, and check times.

    Raises:
        DataError: Words that mean nothing; each is given with a path.
    """
    known = {
        **dict.fromkeys((*VISIBLE_WORDS, *(word.lower() for word in visible)), Modality.VISIBLE.value),
        **dict.fromkeys((*INFRARED_WORDS, *(word.lower() for word in infrared)), Modality.INFRARED.value),
    }

    def modality(text: str) -> str:
        if text.lower() not in known:
            raise ValueError(
                f"unknown modality {text!r}; expected one of {', '.join(known)}, or a word given a meaning"
            )
        return known[text.lower()]

    def time(text: str) -> str:
        read_time(text)
        return text

    readers: dict[str, Callable[[str], str]] = {"modality": modality, "split": read_split, "time": time}
    wrong: dict[str, str] = {}
    for name, read in readers.items():
        for row in rows:
            if name in row:
                try:
                    row[name] = read(row[name])
                except ValueError as error:
                    wrong.setdefault(str(error), row["path"])
    _refuse([f"{path}: {message}" for message, path in wrong.items()])


def _group(rows: Sequence[Row], pattern: PathPattern, folder_tracklets: bool) -> dict[str, list[Row]]:
    """Rows by tracklet, which gets its name in them unless it is a single picture.

    Raises:
        DataError: A frame occurs twice, or pictures of one folder disagree.
    """
    named = "tracklet_id" in pattern.fields
    keys = [name for name in pattern.fields if name in _KEY]
    groups: dict[str, list[Row]] = {}
    wrong: list[str] = []
    for row in rows:
        name = "/".join(row[key] for key in keys) if named else row["path"]
        if folder_tracklets:
            name = row["path"].rpartition("/")[0] or "."
        group = groups.setdefault(name, [])
        if group and any(group[0][key] != row[key] for key in keys if key != "tracklet_id"):
            wrong.append(f"{row['path']}: says other than {group[0]['path']}, which is in the same folder")
        group.append(row)
    for name, group in groups.items():
        if named or folder_tracklets:
            wrong += _repeated_frames(group)
            for row in group:
                row["tracklet_id"] = name
    _refuse(wrong)
    return groups


def _repeated_frames(group: Sequence[Row]) -> list[str]:
    seen: dict[str, str] = {}
    return [
        f"{row['path']}: is frame {row['frame']} of its tracklet, as is {seen[row['frame']]}"
        for row in group
        if "frame" in row and seen.setdefault(row["frame"], row["path"]) != row["path"]
    ]


def _decide_modalities(
    folder: Path, tracklets: Mapping[str, list[Row]], modality: Modality | str, progress: Progress | None
) -> dict[str, ModalityGuess]:
    """Give all rows a modality; what was decided from pixels also comes back.

    Raises:
        DataError: Of a tracklet no picture can be read.
    """
    if modality != AUTO:
        for row in (row for group in tracklets.values() for row in group):
            row["modality"] = str(Modality(modality))
    if all("modality" in group[0] for group in tracklets.values()):
        return {}

    paths = [[str(folder / row["path"]) for row in group] for group in tracklets.values()]
    found: dict[str, ModalityGuess] = {}
    wrong: list[str] = []
    for name, seen in zip(tracklets, detect_modalities(paths, progress=progress), strict=True):
        if isinstance(seen, DataError):
            wrong.append(f"modality cannot be decided: {seen}")
            continue
        found[name] = seen
        for row in tracklets[name]:
            row["modality"] = seen.modality.value
            row["modality_certainty"] = f"{seen.certainty:.4f}"
    _refuse(wrong)
    return found


def _divide(rows: Sequence[Row], test_share: float, seed: int) -> None:
    """Draw who is tested on, as the reader of a manifest without a split does."""
    texts = list(dict.fromkeys(row["person_id"] for row in rows))
    person = dict(zip(texts, read_ids(texts)[0], strict=True))
    seen: dict[Id, set[str]] = {}
    for row in rows:
        who = person[row["person_id"]]
        if who is not None:
            seen.setdefault(who, set()).add(row["modality"])
    paired = {who for who, modalities in seen.items() if len(modalities) > 1}
    tested = draw_test_people(tuple(seen), paired, test_share, seed)
    for row in rows:
        row["split"] = TEST if person[row["person_id"]] in tested else TRAIN


def _write(out: Path, folder: Path, rows: Sequence[Row]) -> None:
    """Write the rows, with paths as they are seen from the file."""
    pictures, home = folder.absolute(), out.absolute().parent
    start = pictures.relative_to(home) if pictures.is_relative_to(home) else pictures
    prefix = "" if start == Path() else f"{start.as_posix().rstrip('/')}/"
    names = [name for name in COLUMNS if name in rows[0]]
    columns = [[row[name] for row in rows] for name in names]
    columns[0] = [prefix + path for path in columns[0]]
    write_table(out, dict(zip(names, columns, strict=True)))


def _refuse(problems: Sequence[str]) -> None:
    """Nothing, or an error with the first of the problems."""
    if problems:
        lines = list(problems[:_SHOWN])
        if len(problems) > _SHOWN:
            lines.append(f"and {len(problems) - _SHOWN} more")
        raise DataError("\n".join(lines))
