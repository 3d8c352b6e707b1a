"""Results of parts in a file of JSON lines, which grows: what is finished is not measured again."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tapetum.benchmarking.rows import Row
from tapetum.errors import DataError

FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True)
class Result:
    """What a part of a stage gave.

    Attributes:
        stage: Name of the stage.
        part: Name of the part.
        settings: Under which it was measured; with others it is another result.
        rows: The figures.
        seconds: That measuring took.
    """

    stage: str
    part: str
    settings: Mapping[str, Any]
    rows: tuple[Row, ...]
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """The result, ready for `json.dumps`."""
        return {
            "format_version": FORMAT_VERSION,
            "stage": self.stage,
            "part": self.part,
            "settings": dict(self.settings),
            "rows": [row.to_json() for row in self.rows],
            "seconds": self.seconds,
        }


class Ledger:
    """Results in a file; of each part under the same settings the last one counts."""

    def __init__(self, file: Path) -> None:
        """Read what is there; it need not be.

        Raises:
            DataError: A line is of something else, or of another version. One that was not finished is passed
                over: a process was killed while it wrote.
            OSError: The file cannot be read.
        """
        self.file = file
        self._found: dict[tuple[str, str, str], Result] = {}
        for result in _read(file):
            self._found[_key(result.stage, result.part, result.settings)] = result

    def find(self, stage: str, part: str, settings: Mapping[str, Any]) -> Result | None:
        """The result of a part under these settings; None where there is none."""
        return self._found.get(_key(stage, part, settings))

    def add(self, result: Result) -> None:
        """Write a result behind the others; it is on the disk when this returns.

        Raises:
            OSError: It could not be written.
        """
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with self.file.open("ab+") as out:
            if out.tell():
                out.seek(-1, os.SEEK_END)
                torn = out.read(1) != b"\n"
                out.write(b"\n" if torn else b"")
            out.write(json.dumps(result.to_json(), allow_nan=False).encode() + b"\n")
            out.flush()
            os.fsync(out.fileno())
        self._found[_key(result.stage, result.part, result.settings)] = result


def _key(stage: str, part: str, settings: Mapping[str, Any]) -> tuple[str, str, str]:
    return stage, part, json.dumps(settings, sort_keys=True)


def _read(file: Path) -> list[Result]:
    """The results of a file."""
    if not file.is_file():
        return []
    found = []
    for number, line in enumerate(file.read_bytes().split(b"\n"), start=1):
        if line:
            result = _parse(line, f"{file}, line {number}")
            found += [] if result is None else [result]
    return found


def _parse(line: bytes, where: str) -> Result | None:
    try:
        content = json.loads(line)
    except ValueError:
        return None  # not finished
    try:
        if content["format_version"] != FORMAT_VERSION:
            raise DataError(
                f"{where}: format_version is {content['format_version']}; expected {FORMAT_VERSION}"
            )
        rows = tuple(Row.from_json(row) for row in content["rows"])
        return Result(content["stage"], content["part"], content["settings"], rows, content["seconds"])
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{where}: not the result of a benchmark: {error!r}") from None
