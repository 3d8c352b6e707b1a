"""The audit log: one line of JSON for each thing that was done, each bound to the line before it.

A line holds the SHA-256 of the line before it, so an edited, removed or inserted line is found. A small file
beside the log says how many lines there are and what the last one is, so that lines cut off the end are
found too. Both can be forged by somebody who may write them and takes the trouble: note the last line's
digest elsewhere now and then, and `verify` finds that as well.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tapetum.errors import DataError
from tapetum.search._writer_lock import WriterLock

FORMAT = 1
START = "0" * 64
"""What the first line names as the line before it."""

_BEGINNING = f'{{"format": {FORMAT}, "previous": '.encode("ascii")
_HEAD_FORM = "{lines:020d} {digest}\n"
_BLOCK = 1 << 16
_MODE = 0o600


@dataclass(frozen=True, slots=True)
class Head:
    """How far a log reaches: its lines, and the digest of the last."""

    lines: int
    digest: str


@dataclass(frozen=True, slots=True)
class Findings:
    """What `verify` found.

    Attributes:
        lines: How many lines there are.
        digest: Of the last line; note it elsewhere to prove later that nothing before it was changed.
        faults: What is wrong, each with its line's number; none where all is well.
        notes: What is worth knowing and no fault: lines that a crash cut short.
    """

    lines: int
    digest: str
    faults: tuple[str, ...]
    notes: tuple[str, ...]


class AuditLog:
    """Appends records to a file; several threads and processes may do so at a time."""

    def __init__(self, path: Path) -> None:
        """Append to `path`, which is made, readable by its owner alone, with the first record.

        Raises:
            DataError: `path` holds something else.
            OSError: Its folder is missing, or it cannot be read.
        """
        self.path = path
        self._lock = WriterLock(path.parent, f".{path.name}.lock")
        if not path.parent.is_dir():
            raise FileNotFoundError(f"{path}: its folder does not exist")
        if path.exists() and path.stat().st_size:
            _refuse_other_file(path)

    def append(self, record: Mapping[str, Any]) -> None:
        """Add a record, and return once it is on the disk.

        Raises:
            OSError: It could not be written; what was there before is as it was, but for bytes that the next
                record vouches for as cut off.
        """
        with self._lock.held():
            handle = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, _MODE)
            try:
                self._write(handle, record)
            finally:
                os.close(handle)

    def can_write(self) -> bool:
        """Whether a record could be added, as far as that is known without adding one."""
        place = self.path if self.path.exists() else self.path.parent
        return os.access(place, os.W_OK)

    def _write(self, handle: int, record: Mapping[str, Any]) -> None:
        size = os.fstat(handle).st_size
        last, is_whole = _last_line(handle, size)
        former = START if last is None else _digest(last)
        lines, lost = _standing(self.path, former)
        content = {"format": FORMAT, "previous": former, **record}
        if not is_whole:
            content["after_cut"] = True
        if lost is not None:
            content["lost"] = [lost.lines, lost.digest]
        data = json.dumps(content, ensure_ascii=True).encode("ascii")
        try:
            _write_all(handle, data + b"\n" if is_whole else b"\n" + data + b"\n")
            os.fsync(handle)
            if not size:
                _flush_folder(self.path.parent)
        except OSError:
            os.ftruncate(handle, size)
            raise
        _write_head(self.path, Head(lines + 1, _digest(data)))


def verify(path: Path, *, holds: str | None = None) -> Findings:
    """Look through a log for lines that were edited, removed, inserted or cut off.

    Args:
        path: The log.
        holds: Digest of a line that was noted earlier and must still be there; None: none was.

    Raises:
        OSError: The file cannot be read.
    """
    faults: list[str] = []
    notes: list[str] = []
    head = read_head(path)
    former, number = START, 0
    is_cut = reaches_head = reaches_noted = False
    for number, line in enumerate(_lines(path), start=1):
        digest = _digest(line)
        record = _record(line)
        if record is None:
            is_cut = True
            notes.append(f"line {number} was cut short while it was written; it was never acknowledged")
        else:
            faults += _faults_of(record, number, former, is_cut)
            is_cut = False
        reaches_head |= head is not None and head == Head(number, digest)
        reaches_noted |= digest == holds
        former = digest
    if number and not reaches_head:
        faults.append(_head_fault(head, number))
    if not number and head is not None and head.lines:
        faults.append(f"the log is empty, but had {head.lines} lines")
    if holds is not None and not reaches_noted:
        faults.append("the line that was noted is not there any more")
    return Findings(number, former, tuple(faults), tuple(notes))


def _faults_of(record: Mapping[str, Any], number: int, former: str, is_cut: bool) -> Iterator[str]:
    if record.get("previous") != former:
        yield f"line {number} does not follow the line before it: one was edited, or lines are missing"
    if "lost" in record:
        yield f"line {number} was written after lines before it were lost, or the file that counts them"
    if is_cut and not record.get("after_cut"):
        yield f"line {number - 1} is no record, and line {number} does not vouch for that"


def _head_fault(head: Head | None, lines: int) -> str:
    if head is None:
        return "the file beside the log that says where it ends is missing or damaged"
    if head.lines > lines:
        return f"the log has {lines} lines, but had {head.lines}: lines were cut off its end"
    return f"line {head.lines} is not the line that was written"


def records_before(path: Path, end: int | None, limit: int) -> tuple[list[dict[str, Any]], int | None]:
    """The newest records before a place in a log, newest first, and the place to go on from.

    Args:
        path: The log; one that is not there yet has no records.
        end: Where to begin, in bytes from the start; None: at the end.
        limit: At most this many records; lines that a crash cut short are passed over.

    Returns:
        Records, and the `end` of the next call; None where nothing is left.

    Raises:
        ValueError: `end` is no place in the log.
        OSError: It cannot be read.
    """
    if not path.exists():
        return [], None
    found: list[dict[str, Any]] = []
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        place = size if end is None else end
        if not 0 <= place <= size:
            raise ValueError(f"the log has no place {place}")
        while place > 0 and len(found) < limit:
            line, place = _line_before(file.fileno(), place)
            record = _record(line)
            if record is not None:
                found.append(record)
    return found, place or None


def read_head(path: Path) -> Head | None:
    """How far a log is said to reach; None where nothing can be read."""
    try:
        lines, digest = _head_path(path).read_text(encoding="ascii").split()
        return Head(int(lines), digest)
    except (OSError, ValueError):
        return None


def _standing(path: Path, former: str) -> tuple[int, Head | None]:
    """Lines so far, and where the log was said to reach if it does not: what was there is lost then.

    The log is only read through where the last append was cut off, or somebody else changed the file.

    Args:
        path: The log.
        former: Digest of its last line.
    """
    head = read_head(path)
    if head is not None and head.digest == former:
        return head.lines, None
    lines, is_there = 0, head is None
    for lines, line in enumerate(_lines(path), start=1):
        is_there |= head is not None and lines == head.lines and _digest(line) == head.digest
    if head is None and lines > 1:  # one line alone: cut off before its head was written
        return lines, Head(0, START)
    return lines, None if is_there else head


def _head_path(path: Path) -> Path:
    return path.with_name(path.name + ".head")


def _write_head(path: Path, head: Head) -> None:
    """Write the few bytes in place. They may reach the disk later than the line: they only ever lag."""
    handle = os.open(_head_path(path), os.O_WRONLY | os.O_CREAT, _MODE)
    try:
        text = _HEAD_FORM.format(lines=head.lines, digest=head.digest)
        os.pwrite(handle, text.encode("ascii"), 0)
    finally:
        os.close(handle)


def _flush_folder(folder: Path) -> None:
    """Bring the name of a new file to the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _write_all(handle: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(handle, left) :]


def _lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        for line in file:
            yield line.removesuffix(b"\n")


def _last_line(handle: int, size: int) -> tuple[bytes | None, bool]:
    """The last line, None where there is none; and whether it has an end."""
    if size == 0:
        return None, True
    is_whole = os.pread(handle, 1, size - 1) == b"\n"
    return _line_before(handle, size)[0], is_whole


def _line_before(handle: int, end: int) -> tuple[bytes, int]:
    """The line that ends at `end`, with or without its newline there, and where it begins."""
    stop = end - 1 if os.pread(handle, 1, end - 1) == b"\n" else end
    start, found = stop, b""
    while start > 0:
        begin = max(0, start - _BLOCK)
        block = os.pread(handle, start - begin, begin)
        cut = block.rfind(b"\n")
        if cut >= 0:
            return block[cut + 1 :] + found, begin + cut + 1
        start, found = begin, block + found
    return found, 0


def _digest(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()


def _record(line: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) and "previous" in record else None


def _refuse_other_file(path: Path) -> None:
    with path.open("rb") as file:
        first = file.readline(_BLOCK).removesuffix(b"\n")
    if not first.startswith(_BEGINNING[: len(first)]):
        raise DataError(f"{path}: not an audit log; expected lines of JSON that name the line before them")
