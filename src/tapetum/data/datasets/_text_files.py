"""Small text files of data sets; what is wrong with one is said with its name and what was expected."""

from __future__ import annotations

from pathlib import Path

from tapetum.errors import DataError


def read_lines(path: Path, expected: str) -> list[str]:
    """The lines of a list; empty lines at its end do not count, so there is at least one.

    Args:
        path: The file.
        expected: What should be in it, such as "expected a name on each line".

    Raises:
        FileNotFoundError: No such file.
        DataError: The file is empty or no text.
    """
    lines = read_text(path, expected).rstrip().split("\n")
    if lines == [""]:
        raise DataError(f"{path}: the file is empty; {expected}")
    return lines


def read_text(path: Path, expected: str) -> str:
    """What a file holds, in UTF-8 with or without a mark; arguments as `read_lines` takes them.

    Raises:
        FileNotFoundError: No such file.
        DataError: The file is no text.
    """
    refuse_missing(path, expected)
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: no text ({error}); {expected}") from None


def refuse_missing(path: Path, expected: str) -> None:
    """Nothing, or an error where there is no file; arguments as `read_lines` takes them.

    Raises:
        FileNotFoundError: No such file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; {expected}")
