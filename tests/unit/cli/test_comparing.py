import io
import json

import pytest
import yaml

from tapetum.cli import _cell_progress


@pytest.fixture
def save(tmp_path, data):
    """Write a plan on the small data set with these rows."""

    def write(rows):
        content = {
            "title": "T",
            "seeds": [0],
            "training": {"max_steps": 1},
            "data": {"walk": {"at": data, "set": {"height": 32, "width": 16}}},
            "rows": rows,
        }
        path = tmp_path / "plan.yaml"
        path.write_text(yaml.safe_dump(content))
        return path

    return write


def test_compare(ask, save, tmp_path):
    plan = save({"pixels": {"method": "raw-pixels", "untrained": True}})
    out, copy = tmp_path / "out", tmp_path / "t.json"
    dry = ask("compare", plan, "--out", out, "--dry-run")
    assert (dry.code, dry.out.split()) == (
        0,
        ["data", "row", "finished", "to", "do", "failed", "changed", "missing", "walk", "pixels", "1"],
    )
    assert not out.exists()
    made = ask("compare", plan, "--out", out, "--json", copy)
    assert (made.code, made.out) == (
        0,
        "".join(f"{out / f'table.{kind}'}\n" for kind in ("json", "md", "html")),
    )
    assert "1/1 walk/pixels/seed-0: I2V mAP" in made.err
    assert json.loads(copy.read_text()) == json.loads((out / "table.json").read_text())
    again = ask("compare", plan, "--out", out)
    assert (again.code, again.err) == (0, "")


def test_a_failed_cell_gives_code_1(ask, save, tmp_path):
    rows = {"none": {"method": "no-such"}, "pixels": {"method": "raw-pixels", "untrained": True}}
    plan = save(rows)
    made = ask("compare", plan, "--out", tmp_path / "out")
    assert made.code == 1
    assert "failed: walk/none/seed-0: unknown method 'no-such'" in made.out
    assert "1/1 walk/pixels/seed-0" in made.err
    assert "none: unknown method" in ask("compare", plan, "--out", tmp_path / "out", "--dry-run").out


def test_changed_settings_are_said(ask, save, tmp_path):
    ask("compare", save({"pixels": {"method": "raw-pixels", "untrained": True}}), "--out", tmp_path / "out")
    changed = save({"pixels": {"method": "raw-pixels", "untrained": True, "set": {"rows": 8}}})
    refused = ask("compare", changed, "--out", tmp_path / "out")
    assert (refused.code, "config.rows was 24, now 8" in refused.err) == (1, True)
    dry = ask("compare", changed, "--out", tmp_path / "out", "--dry-run")
    assert "walk/pixels/seed-0: config.rows was 24, now 8" in dry.out
    assert ask("compare", changed, "--out", tmp_path / "out", "--redo").code == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--only", "pixel"], "unknown row 'pixel'; did you mean 'pixels'"),
        (["--jobs", "0"], "jobs is 0"),
        (["--json", "none/t.json"], "its folder does not exist"),
    ],
)
def test_a_comparison_refuses_before_it_begins(ask, save, tmp_path, options, message):
    plan = save({"pixels": {"method": "raw-pixels", "untrained": True}})
    refused = ask("compare", plan, "--out", tmp_path / "out", *options)
    assert (refused.code, message in refused.err) == (1, True)
    assert not (tmp_path / "out").exists()


def test_bars_on_a_terminal(monkeypatch):
    from rich.console import Console

    from tapetum.comparison import Cell

    shown = Console(force_terminal=True, width=100, file=io.StringIO(), record=True)
    monkeypatch.setattr(_cell_progress, "ERR", shown)
    monkeypatch.setattr(_cell_progress, "note", shown.print)
    cell = Cell("walk", "cnn", 0)
    with _cell_progress.CellProgress() as progress:
        progress.plan([cell])
        bar = progress.begin(cell)
        bar.stage("network", 4, 0)
        bar.advance(2, {})
        bar.note("resumed")
        progress.end(cell, {"status": "failed", "error": "no"})
    text = shown.export_text()
    assert "walk/cnn/seed-0: resumed" in text
    assert "1/1 walk/cnn/seed-0: failed: no" in text
