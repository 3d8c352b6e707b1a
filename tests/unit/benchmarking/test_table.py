import json

import pytest

from tapetum.benchmarking import Result, Row, table_json, write_page, write_table
from tapetum.benchmarking.table import COLUMNS, cells

SETTINGS = {"processor": "A | B", "device": "cpu", "threads": 2, "rounds": 5, "torch": "2.13"}
STEP = Row(
    *("step", 2.0, "s a step", 1.0, "linear layer"),
    cpu_ratio=0.75,
    spread=0.125,
    rounds=5,
    usual=3.0,
    memory_mib=1234.5,
    facts={"clips": 4, "least cosine": 0.99999876, "by <b>": "x"},
)
RESULTS = [
    Result("training", "lsmrl, float32", SETTINGS, (STEP,), 10.0),
    Result("reading", "files", SETTINGS, (Row("clips", 2075.3, "frames/s"),), 1.0),
]


def test_a_line_says_what_is_known_and_dashes_what_is_not():
    assert cells(STEP) == (
        *("step", "2", "s a step", "1", "50 %", "75 %", "12 %", "1.5", "1,234", "linear layer"),
    )
    assert cells(RESULTS[1].rows[0]) == ("clips", "2,075", "frames/s", *"-------")
    assert len(cells(STEP)) == len(COLUMNS)


def test_markdown_has_a_line_for_each_row(tmp_path):
    text = write_table(tmp_path / "table.md", RESULTS).read_text()
    lines = text.splitlines()
    assert lines[0] == "A | B; cpu, 2 threads, 5 rounds, torch 2.13"
    rows = [line for line in lines if line.startswith("| ")]
    assert len(rows) == 2 + 2 + 2
    assert all(line.count("|") == len(COLUMNS) + 1 for line in rows)
    assert "- lsmrl, float32: step: clips 4, least cosine 0.999999, by <b> x" in lines


def test_json_holds_everything():
    found = json.loads(json.dumps(table_json(RESULTS)))
    assert found["format"] == "tapetum-bench"
    assert [r["stage"] for r in found["results"]] == ["training", "reading"]
    assert found["results"][0]["rows"][0]["ratio"] == 0.5


def test_a_page_escapes_and_fetches_nothing(tmp_path):
    pytest.importorskip("jinja2")
    text = write_page(tmp_path / "bench.html", RESULTS).read_text()
    assert "by &lt;b&gt; x" in text
    assert "lsmrl, float32: step" in text
    assert "http" not in text.replace("http-equiv", "")
    assert "Nothing is measured yet" in write_page(tmp_path / "none.html", []).read_text()
