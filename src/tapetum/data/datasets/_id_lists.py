"""Lists of person ids: a text file with one line of comma-separated integers, or its MATLAB twin."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tapetum.data.datasets._text_files import read_text
from tapetum.errors import DataError
from tapetum.matlab_files import read_matlab_numbers

_ID = re.compile(r"[0-9]{1,9}")
_EXPECTED = "expected one line of person ids such as 6,10,17"
_MATLAB_NAME = "id"


@dataclass(frozen=True, slots=True)
class IdList:
    """The people of one part of a data set.

    Attributes:
        path: The file that names them.
        ids: Distinct identities, in the file's order.
        notes: Oddities of the file, one sentence each.
    """

    path: Path
    ids: tuple[int, ...]
    notes: tuple[str, ...] = ()


def read_id_list(path: Path) -> IdList:
    """The ids on the first line of a text file; a comma at its end is allowed.

    Later lines are not read, as by the readers in use, but noted; so are ids that repeat.

    Raises:
        FileNotFoundError: No such file.
        DataError: The file is no text, or its first line is empty or holds anything but ids.
    """
    first, *others = read_text(path, _EXPECTED).splitlines() or [""]
    ids = tuple(_parse(path, first))
    notes = list(_repeats(path, ids))
    if any(line.strip() for line in others):
        notes.append(f"{path.name}: only the first of its lines is read, as in published results")
    return IdList(path, tuple(dict.fromkeys(ids)), tuple(notes))


def read_twin_id_lists(path: Path) -> IdList:
    """The ids of a text file; of the `.mat` file beside it where there is no text file.

    Raises:
        FileNotFoundError: There is neither file.
        DataError: The file that counts is not as the format says, or both can be read and name other people.
    """
    twin = path.with_suffix(".mat")
    if not path.is_file():
        if not twin.is_file():
            raise FileNotFoundError(f"{path}: no such file, nor {twin.name}; {_EXPECTED}")
        return read_matlab_ids(twin)
    text = read_id_list(path)
    if not twin.is_file():
        return text
    try:
        matlab = read_matlab_ids(twin)
    except DataError as error:
        return IdList(path, text.ids, (*text.notes, f"{path.name} is not compared: {error}"))
    differing = sorted(set(text.ids) ^ set(matlab.ids))
    if differing:
        raise DataError(
            f"{path}: {len(differing)} people are in only one of {path.name} and {twin.name}, "
            f"first: {differing[0]}; expected the same people in both"
        )
    return text


def read_matlab_ids(path: Path) -> IdList:
    """The ids of the variable `id`, 1 x N, of a MATLAB file (version 5 to 7.2).

    Raises:
        DataError: The file cannot be read, or has no such variable, or one that is not whole numbers from 0.
    """
    values = read_matlab_numbers(path, _MATLAB_NAME)
    if not values.size or max(values.shape) != values.size:
        raise DataError(f"{path}: {_MATLAB_NAME!r} is of shape {values.shape}; expected whole numbers, 1 x N")
    wrong = values[~((values >= 0) & (values < 10**9) & (values == np.floor(values)))]
    if wrong.size:
        raise DataError(f"{path}: {wrong[0]} in {_MATLAB_NAME!r}; expected whole numbers from 0")
    ids = tuple(values.astype(np.int64).ravel().tolist())
    return IdList(path, tuple(dict.fromkeys(ids)), tuple(_repeats(path, ids)))


def refuse_shared_people(lists: Sequence[IdList]) -> None:
    """Check that nobody is on two lists.

    Raises:
        DataError: Somebody is.
    """
    for one, other in itertools.combinations(lists, 2):
        shared = sorted(set(one.ids) & set(other.ids))
        if shared:
            raise DataError(
                f"{other.path}: {len(shared)} people are also in {one.path.name}, first: {shared[0]}; "
                "expected other people in each part"
            )


def _parse(path: Path, line: str) -> Iterator[int]:
    tokens = [token.strip() for token in line.split(",")]
    if len(tokens) > 1 and not tokens[-1]:
        tokens.pop()
    for token in tokens:
        if not _ID.fullmatch(token):
            raise DataError(f"{path}:1: {token[:80]!r}; {_EXPECTED}")
        yield int(token)


def _repeats(path: Path, ids: Sequence[int]) -> Iterator[str]:
    again = len(ids) - len(set(ids))
    if again:
        yield f"{path.name}: {again} ids are listed again; each counts once"
