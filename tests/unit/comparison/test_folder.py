import pytest

from tapetum.comparison import ComparisonFolder, plan_cells
from tapetum.comparison.folder import read_result, remove_work, write_result
from tapetum.errors import DataError


def test_places(plan, tmp_path):
    folder = ComparisonFolder(tmp_path / "out", tmp_path / "data")
    _, cell, other = plan_cells(plan)
    assert folder.result(cell) == tmp_path / "out" / "cells" / "walk" / "cnn" / "seed-0.json"
    assert folder.work(other) == tmp_path / "out" / "runs" / "walk" / "cnn" / "seed-1"
    recipe = cell.settings["data"]["walkers"]
    place = folder.drawn(recipe)
    assert place.parent == tmp_path / "data"
    assert place.name.startswith("hitsz-vcm-appearance-")
    assert folder.spec(cell.settings) == f"hitsz-vcm:{place}"
    assert folder.drawn({**recipe, "seed": 1}) != place


@pytest.mark.parametrize(
    ("at", "read", "spec"),
    [
        ("regdb:/r", {}, "regdb:/r"),
        ("regdb:/r", {"trial": 3}, "regdb:/r?trial=3"),
        ("regdb:/r?trial=3", {"strict": True}, "regdb:/r?trial=3&strict=true"),
    ],
)
def test_options_of_the_reader(tmp_path, at, read, spec):
    assert ComparisonFolder(tmp_path, tmp_path).spec({"data": {"at": at, "read": read}}) == spec


def test_results(tmp_path):
    path = tmp_path / "cells" / "a.json"
    assert read_result(path) is None
    write_result(path, {"format_version": 1, "status": "done"})
    assert read_result(path) == {"format_version": 1, "status": "done"}
    assert [file.name for file in path.parent.iterdir()] == ["a.json"]


@pytest.mark.parametrize("text", ["", "[1]", "{}", "null", '{"format_version": 9}'])
def test_a_spoilt_result_is_named(tmp_path, text):
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(DataError, match=r"a\.json"):
        read_result(path)


def test_work_is_removed_with_its_empty_folders(tmp_path):
    for name in ("a/b/c", "a/d"):
        (tmp_path / "runs" / name).mkdir(parents=True)
    remove_work(tmp_path / "runs/a/b/c", tmp_path)
    assert [path.name for path in (tmp_path / "runs" / "a").iterdir()] == ["d"]
    remove_work(tmp_path / "runs/a/d", tmp_path)
    assert list(tmp_path.iterdir()) == []
