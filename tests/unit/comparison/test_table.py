import json
from statistics import mean, stdev

import pytest

from tapetum.comparison import ComparisonFolder, ComparisonPlan, look, plan_cells
from tapetum.comparison.folder import write_result
from tapetum.comparison.table import MEASURES, build_table, spread
from tapetum.config import build_config


def result(cell, level, *, trials=("I2V", "V2I"), chance=0.1, seconds=10.0):
    """The result of a cell, every measure of its first direction `level` and of the next a half of it."""
    scores = [
        {
            "protocol": "hitsz-vcm",
            "direction": direction,
            "trials": 1,
            **dict.fromkeys(MEASURES, level / (1 + place)),
            "chance": None if chance is None else dict.fromkeys(MEASURES, chance),
        }
        for place, direction in enumerate(trials)
    ]
    return {
        "format_version": 1,
        **{"data": cell.data, "row": cell.row, "seed": cell.seed, "settings": dict(cell.settings)},
        "status": "done",
        "scores": scores,
        "training": {"steps": 2, "seconds": seconds, "cpu_seconds": seconds},
        "embedding": {"cpu_seconds": 1.0},
        "costs": {
            **{"embedding": 8, "parameters": 2_000_000, "trained": 1_000_000, "flops_per_clip": 5e8},
            **{"clips_per_tracklet": 2.0, "flops_per_tracklet": 1e9},
        },
        "people": {"train": 4, "test": 3},
        "made_with": {
            **{"tapetum": "0", "torch": "2", "python": "3", "device": "processor", "machine": "x"},
            "processors": 2,
        },
    }


@pytest.fixture
def keep(plan, folder):
    """Keep results of some cells: name -> level."""

    def write(levels, **options):
        for cell in plan_cells(plan):
            if cell.name in levels:
                write_result(folder.result(cell), result(cell, levels[cell.name], **options))

    return write


def test_spread_by_hand():
    found = spread([0.2, 0.5, 0.8])
    assert found["mean"] == pytest.approx(mean([0.2, 0.5, 0.8]))
    assert found["sd"] == pytest.approx(stdev([0.2, 0.5, 0.8])) == pytest.approx(0.3)
    assert found["values"] == [0.2, 0.5, 0.8]


def test_mean_and_spread_over_the_seeds(plan, folder, keep):
    keep({"walk/pixels/seed-0": 0.1, "walk/cnn/seed-0": 0.4, "walk/cnn/seed-1": 0.6})
    table = build_table(plan, folder)
    (block,) = table["data"]
    pixels, cnn = block["rows"]
    assert block["people"] == [{"train": 4, "test": 3}]
    assert block["synthetic"]
    assert (cnn["seeds"], pixels["seeds"]) == ([0, 1], [0])
    first, second = cnn["scores"]
    assert (first["direction"], second["direction"]) == ("I2V", "V2I")
    for measure in MEASURES:
        assert first[measure]["mean"] == pytest.approx(0.5)
        assert first[measure]["sd"] == pytest.approx(0.2 / 2**0.5)
        assert second[measure]["mean"] == pytest.approx(0.25)
    assert pixels["scores"][0]["map"] == {"mean": 0.1, "sd": None, "values": [0.1]}
    assert [level["map"] for level in block["chance"]] == [pytest.approx(0.1)] * 2
    assert cnn["costs"]["flops_per_tracklet"] == 1e9
    assert len(table["made_with"]) == 1
    assert json.loads(json.dumps(table, allow_nan=False)) == table


def test_what_is_not_there(plan, folder, keep):
    keep({"walk/cnn/seed-1": 0.6}, seconds=None, chance=None)
    failed = plan_cells(plan)[1]
    write_result(folder.result(failed), {**result(failed, 0), "status": "failed", "error": "no"})
    table = build_table(plan, folder)
    pixels, cnn = table["data"][0]["rows"]
    assert table["failed"] == [{"cell": "walk/cnn/seed-0", "error": "no"}]
    assert table["open"] == ["walk/pixels/seed-0"]
    assert (cnn["seeds"], cnn["seeds_wanted"]) == ([1], [0, 1])
    assert cnn["training"]["seconds"] is None
    assert table["data"][0]["chance"] == []
    assert "scores" not in pixels


def test_one_unknown_time_hides_the_mean(plan, folder, keep):
    keep({"walk/cnn/seed-1": 0.6}, seconds=None)
    keep({"walk/cnn/seed-0": 0.6}, seconds=4.0)
    cnn = build_table(plan, folder)["data"][0]["rows"][1]
    assert cnn["training"]["seconds"] is None
    assert cnn["training"]["steps"]["mean"] == 2


def test_status(plan, folder, keep, content):
    keep({"walk/pixels/seed-0": 0.1, "walk/cnn/seed-0": 0.4})
    content["rows"]["cnn"]["set"] = {"label_smooth": 0.5}
    content["rows"]["new"] = {"method": "no-such", "seeds": [0]}
    changed = build_config(ComparisonPlan, content)
    status = look(plan_cells(changed), folder)
    names = {
        kind: [cell.name for cell in getattr(status, kind)]
        for kind in ("finished", "changed", "failed", "open", "missing", "to_do")
    }
    assert names == {
        "finished": ["walk/pixels/seed-0"],
        "changed": ["walk/cnn/seed-0"],
        "failed": [],
        "open": ["walk/cnn/seed-1"],
        "missing": ["walk/new/seed-0"],
        "to_do": ["walk/cnn/seed-0", "walk/cnn/seed-1"],
    }
    assert status.differences == {"walk/cnn/seed-0": {"config.label_smooth": (0.1, 0.5)}}


def test_data_that_are_there_may_be_true_ones(content, tmp_path):
    content["data"] = {"walk": {"at": f"hitsz-vcm:{tmp_path}"}}
    plan, folder = build_config(ComparisonPlan, content), ComparisonFolder(tmp_path / "o", tmp_path)
    assert not build_table(plan, folder)["data"][0]["synthetic"]
    (tmp_path / "walkers.json").touch()
    assert build_table(plan, folder)["data"][0]["synthetic"]
