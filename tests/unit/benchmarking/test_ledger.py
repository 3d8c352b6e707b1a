import pytest

from tapetum.benchmarking import Result, Row
from tapetum.benchmarking.ledger import Ledger
from tapetum.errors import DataError

ROW = Row("what", 1.5, "s", limit=1.0, facts={"n": 1})


def result(part="part", value=1.5, **settings):
    return Result("stage", part, settings, (Row("what", value, "s"), ROW), 0.5)


def test_what_was_added_is_found_by_the_next_process(tmp_path):
    file = tmp_path / "new" / "results.jsonl"
    ledger = Ledger(file)
    assert ledger.find("stage", "part", {"threads": 1}) is None
    ledger.add(result(threads=1))
    ledger.add(result("other", threads=1))
    for one in (ledger, Ledger(file)):
        assert one.find("stage", "part", {"threads": 1}) == result(threads=1)
        assert one.find("stage", "part", {"threads": 2}) is None
        assert one.find("other", "part", {"threads": 1}) is None


def test_the_last_of_a_part_counts(tmp_path):
    file = tmp_path / "results.jsonl"
    ledger = Ledger(file)
    ledger.add(result(value=1.0))
    ledger.add(result(value=2.0))
    assert Ledger(file).find("stage", "part", {}).rows[0].value == 2.0
    assert len(file.read_text().splitlines()) == 2


def test_a_line_that_was_not_finished_is_passed_over_and_none_is_lost_behind_it(tmp_path):
    file = tmp_path / "results.jsonl"
    Ledger(file).add(result("first"))
    whole = file.read_bytes()
    file.write_bytes(whole + whole[:40])
    ledger = Ledger(file)
    ledger.add(result("second"))
    again = Ledger(file)
    assert again.find("stage", "first", {}) is not None
    assert again.find("stage", "second", {}) is not None


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"format_version": 7}', "line 2: format_version is 7; expected 1"),
        ("[]", "line 2: not the result of a benchmark"),
        ('{"format_version": 1, "rows": [{"a": 1}]}', "line 2: not the result of a benchmark"),
    ],
)
def test_files_of_something_else_are_refused(tmp_path, line, message):
    file = tmp_path / "results.jsonl"
    Ledger(file).add(result())
    file.write_text(file.read_text() + line + "\n")
    with pytest.raises(DataError, match=message):
        Ledger(file)
