"""The log of a run: one JSON object per line, and the same numbers for TensorBoard."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tapetum.errors import CheckpointError, MissingExtraError

TENSORBOARD_BLOCKS = ("losses", "monitors", "lr", "seconds", "validation")
TENSORBOARD_FIELDS = ("grad_norm", "clips_per_s", "frames_per_s", "data_share", "compute_share")


class RunLog:
    """Appends records to a JSON-lines file; each is handed to the operating system at once.

    A process that is killed loses no line; a machine that fails loses none before the last `sync`.
    """

    def __init__(self, path: Path, size: int = 0, *, tensorboard: Path | None = None, step: int = 0) -> None:
        """Open the log as it was when it held `size` bytes; what was written later is cut off.

        Args:
            path: The JSON-lines file; made where there is none.
            size: Bytes to keep.
            tensorboard: Folder of TensorBoard's event files; None writes none.
            step: First step that TensorBoard should forget, for it will be written again.

        Raises:
            CheckpointError: The file has fewer than `size` bytes, so it is not the log this run wrote.
            MissingExtraError: TensorBoard is wanted and not installed.
        """
        self.path = path
        self._board = _open_board(tensorboard, step) if tensorboard is not None else None
        path.touch()
        found = path.stat().st_size
        if found < size:
            raise CheckpointError(
                f"{path} has {found} bytes, the checkpoint was written at {size}; was it edited?"
            )
        os.truncate(path, size)
        self._file = path.open("ab")

    def write(self, record: Mapping[str, Any]) -> None:
        """Append one record; its numbers must be finite.

        Raises:
            OSError: The disk refuses it; the file is named.
        """
        line = json.dumps(record, allow_nan=False, ensure_ascii=False) + "\n"
        try:
            self._file.write(line.encode())
            self._file.flush()
        except OSError as error:
            raise OSError(error.errno, f"cannot write: {error.strerror}", str(self.path)) from error
        if self._board is not None:
            for name, value in _board_values(record):
                self._board.add_scalar(name, value, record["step"])

    def sync(self) -> int:
        """Bring all lines to the disk and return the file's size in bytes."""
        os.fsync(self._file.fileno())
        return self._file.tell()

    def close(self) -> None:
        """Close the files."""
        self._file.close()
        if self._board is not None:
            self._board.close()

    def __enter__(self) -> RunLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_log(path: Path) -> list[dict[str, Any]]:
    """All complete records of a log, in order; an unfinished last line is left out."""
    lines = path.read_bytes().split(b"\n")[:-1]
    return [json.loads(line) for line in lines]


def _open_board(folder: Path, step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise MissingExtraError("tensorboard", "train") from None
    return SummaryWriter(str(folder), purge_step=step)


def _board_values(record: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """(tag, value) of every number of a record that TensorBoard shows."""
    for block in TENSORBOARD_BLOCKS:
        yield from _leaves(record.get(block, {}), block)
    yield from ((name, record[name]) for name in TENSORBOARD_FIELDS if name in record)


def _leaves(value: Any, name: str) -> Iterator[tuple[str, float]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(inner, f"{name}/{key}")
    elif isinstance(value, int | float):
        yield name, value
