import json
import resource
import subprocess
import sys
import threading

import pytest

from tapetum.errors import DataError
from tapetum.server import audit
from tapetum.server.audit import AuditLog, read_head, records_before, verify

MANY = """
import sys
from pathlib import Path
from tapetum.server.audit import AuditLog
log = AuditLog(Path(sys.argv[1]))
for number in range(int(sys.argv[3])):
    log.append({"who": sys.argv[2], "number": number})
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "audit.jsonl"


@pytest.fixture
def log(path):
    """A log of five records."""
    log = AuditLog(path)
    for number in range(5):
        log.append({"action": "search", "number": number})
    return log


def lines_of(path):
    return path.read_bytes().split(b"\n")[:-1]


def write_lines(path, lines):
    path.write_bytes(b"".join(line + b"\n" for line in lines))


def test_each_line_names_the_one_before(log, path):
    lines = [json.loads(line) for line in lines_of(path)]
    assert [line["number"] for line in lines] == list(range(5))
    assert lines[0]["previous"] == "0" * 64
    found = verify(path)
    assert (found.lines, found.faults, found.notes) == (5, (), ())
    assert read_head(path).lines == 5
    assert read_head(path).digest == found.digest
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_log_is_gone_on_with(log, path):
    AuditLog(path).append({"number": 5})
    assert verify(path).lines == 6
    assert not verify(path).faults


def test_edited_lines_are_found_wherever_they_are(log, path):
    lines = lines_of(path)
    for place in range(5):
        edited = list(lines)
        edited[place] = edited[place].replace(b'"search"', b'"look"')
        write_lines(path, edited)
        assert verify(path).faults, place


@pytest.mark.parametrize("place", range(5))
def test_removed_and_doubled_lines_are_found(log, path, place):
    lines = lines_of(path)
    write_lines(path, lines[:place] + lines[place + 1 :])
    assert verify(path).faults
    write_lines(path, lines[: place + 1] + lines[place:])
    assert verify(path).faults


def test_exchanged_lines_are_found(log, path):
    lines = lines_of(path)
    write_lines(path, [lines[0], lines[2], lines[1], *lines[3:]])
    assert any("line 2" in fault for fault in verify(path).faults)


@pytest.mark.parametrize("kept", [0, 2, 4])
def test_lines_cut_off_the_end_are_found_even_if_it_is_added_to(log, path, kept):
    write_lines(path, lines_of(path)[:kept])
    assert any("cut off" in fault or "had 5 lines" in fault for fault in verify(path).faults)
    AuditLog(path).append({"number": 9})
    assert any("were lost" in fault for fault in verify(path).faults)


def test_a_removed_head_is_found(log, path):
    (path.parent / "audit.jsonl.head").unlink()
    assert any("missing or damaged" in fault for fault in verify(path).faults)
    log.append({"number": 5})
    assert any("were lost" in fault for fault in verify(path).faults)


def test_a_log_that_was_forged_throughout_lacks_the_noted_line(log, path, tmp_path):
    noted = verify(path).digest
    log.append({"number": 5})
    assert not verify(path, holds=noted).faults
    forged = AuditLog(tmp_path / "forged.jsonl")
    for number in range(6):
        forged.append({"action": "look", "number": number})
    assert not verify(forged.path).faults
    assert verify(forged.path, holds=noted).faults


@pytest.mark.parametrize("left", [1, 20, -1])
def test_a_line_cut_short_by_a_crash_is_vouched_for_by_the_next(log, path, left):
    *whole, last = lines_of(path)
    head = (path.parent / "audit.jsonl.head").read_bytes()
    log.append({"number": 5})
    torn = lines_of(path)[-1]
    path.write_bytes(b"".join(line + b"\n" for line in (*whole, last)) + torn[:left])
    (path.parent / "audit.jsonl.head").write_bytes(head)  # the crash came before it was written
    log.append({"number": 6})
    found = verify(path)
    assert found.faults == ()
    assert any("line 6 was cut short" in note for note in found.notes)
    assert [r["number"] for r in records_before(path, None, 10)[0]] == [6, 4, 3, 2, 1, 0]
    assert json.loads(lines_of(path)[-1])["after_cut"] is True


def test_a_line_that_was_made_unreadable_is_no_crash(log, path):
    lines = lines_of(path)
    lines[2] = b"x"
    write_lines(path, lines)
    assert any("does not vouch" in fault for fault in verify(path).faults)


def test_a_head_that_lags_behind_is_no_fault(path):
    log = AuditLog(path)
    log.append({"number": 0})
    head = path.parent / "audit.jsonl.head"
    before = head.read_bytes()
    log.append({"number": 1})
    head.write_bytes(before)  # as if the machine had stopped in between
    assert not verify(path).faults
    log.append({"number": 2})
    assert not verify(path).faults
    assert read_head(path).lines == 3


def test_what_cannot_be_written_leaves_the_log_as_it_was(log, path, monkeypatch):
    before = path.read_bytes()

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(audit.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        log.append({"number": 5})
    monkeypatch.undo()
    assert path.read_bytes() == before
    log.append({"number": 6})
    assert not verify(path).faults


def test_a_disk_that_is_full_in_the_middle_of_a_line_leaves_the_log_as_it_was(log, path):
    """The kernel takes the first bytes of the line, as on a disk that is full, and refuses the rest."""
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 40, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            log.append({"number": 5})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
    log.append({"number": 6})
    assert not verify(path).faults


def test_two_processes_and_threads_append_at_once(path):
    started = [
        subprocess.Popen([sys.executable, "-c", MANY, str(path), name, "25"]) for name in ("first", "second")
    ]
    log = AuditLog(path)
    threads = [threading.Thread(target=log.append, args=({"who": "thread", "number": n},)) for n in range(10)]
    for thread in threads:
        thread.start()
    try:
        assert [process.wait(50) for process in started] == [0, 0]
    finally:
        for process in started:
            process.kill()
    for thread in threads:
        thread.join(20)
    found = verify(path)
    assert found.lines == 60
    assert found.faults == ()
    for name in ("first", "second"):
        numbers = [r["number"] for r in records_before(path, None, 99)[0] if r["who"] == name]
        assert numbers == list(range(24, -1, -1))


def test_records_are_given_page_by_page(log, path, monkeypatch):
    monkeypatch.setattr(audit, "_BLOCK", 7)  # lines span many blocks
    first, rest = records_before(path, None, 2)
    second, rest = records_before(path, rest, 2)
    third, rest = records_before(path, rest, 2)
    assert [[r["number"] for r in page] for page in (first, second, third)] == [[4, 3], [2, 1], [0]]
    assert rest is None
    assert records_before(path.with_name("none.jsonl"), None, 2) == ([], None)
    with pytest.raises(ValueError, match="no place"):
        records_before(path, 10**9, 2)


def test_any_text_can_be_recorded(path):
    log = AuditLog(path)
    odd = "a\nb\u2028\x00é\ud800"
    log.append({"reason": odd})
    assert verify(path).lines == 1
    assert records_before(path, None, 1)[0][0]["reason"] == odd


def test_other_files_are_not_added_to(tmp_path):
    other = tmp_path / "notes.txt"
    other.write_text("milk\n")
    with pytest.raises(DataError, match=r"notes\.txt: not an audit log"):
        AuditLog(other)
    with pytest.raises(FileNotFoundError, match="folder does not exist"):
        AuditLog(tmp_path / "none" / "audit.jsonl")
    assert other.read_text() == "milk\n"
