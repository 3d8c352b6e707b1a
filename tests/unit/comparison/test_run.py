import json
import shutil

import pytest

from tapetum.comparison import ComparisonPlan, look, plan_cells, run_comparison
from tapetum.comparison import attempt as attempts
from tapetum.comparison.folder import read_result
from tapetum.config import build_config
from tapetum.data import read_dataset
from tapetum.embed import embed
from tapetum.errors import ConfigError
from tapetum.evaluation import evaluate
from tapetum.methods import create_method
from tapetum.training import resolve_run, train

NAMES = ["walk/pixels/seed-0", "walk/cnn/seed-0", "walk/cnn/seed-1"]


def scores(outcome):
    """Row -> direction -> values of all seeds, rank-1 and mAP."""
    return {
        row["name"]: {s["direction"]: (s["rank1"]["values"], s["map"]["values"]) for s in row["scores"]}
        for row in outcome.table["data"][0]["rows"]
    }


@pytest.fixture
def run(plan, folder):
    """Carry out the plan."""

    def carry_out(listener, plan=plan, **options):
        return run_comparison(plan, folder, listener, **options)

    return carry_out


def test_a_comparison(run, folder, listener, plan):
    outcome = run(listener)
    assert (listener.planned, listener.begun, list(listener.ended)) == (NAMES, NAMES, NAMES)
    assert listener.drawn in (["walk"], [])  # another test may have drawn them
    assert listener.stages == [("network", 2, 0)] * 2
    assert outcome.failed == {}
    assert [file.name for file in outcome.files] == ["table.json", "table.md", "table.html"]
    assert not (folder.root / "runs").exists()
    _, cell, _ = plan_cells(plan)
    result = read_result(folder.result(cell))
    assert result["training"]["steps"] == 2
    assert result["training"]["cpu_seconds"] > 0
    assert result["people"] == {"train": 4, "test": 3}
    assert result["costs"]["embedding"] == 512
    assert result["costs"]["trained"] > result["costs"]["parameters"]  # the classifiers too
    assert result["fingerprint"] == cell.fingerprint


def test_figures_are_those_of_the_single_steps(run, folder, listener, plan, tmp_path):
    outcome = run(listener, keep_runs=True)
    cnn = plan_cells(plan)[1]
    data = folder.spec(cnn.settings)
    dataset = read_dataset(data)
    settings = {"config": plan.data["walk"].set, "training": {"max_steps": 2, "seed": 0, "cache": "always"}}
    train(resolve_run("small-cnn", data, preset="tiny", overrides=settings), tmp_path / "own")
    from tapetum import load

    for row, method in (
        ("cnn", load(tmp_path / "own").method),
        ("pixels", create_method("raw-pixels", num_identities=4, num_cameras=2, height=32, width=16)),
    ):
        found = evaluate(embed(method, dataset.test), "hitsz-vcm")
        for direction, expected in found.directions.items():
            rank1, mean_ap = scores(outcome)[row][direction]
            assert (rank1[0], mean_ap[0]) == (expected.rank(1), expected.mean_ap)
    assert load(folder.work(cnn) / "run").fingerprint == load(tmp_path / "own").fingerprint
    chance = outcome.table["data"][0]["chance"][0]
    assert chance["map"] == found.chance[chance["direction"]].mean_ap


def test_what_is_finished_is_skipped(run, folder, listener, plan):
    whole = run(listener)
    lost = folder.result(plan_cells(plan)[1])
    before = json.loads(lost.read_text())
    lost.unlink()
    again = type(listener)()
    assert scores(run(again)) == scores(whole)
    assert again.begun == ["walk/cnn/seed-0"]
    after = json.loads(lost.read_text())
    assert (after["scores"], after["model"]) == (before["scores"], before["model"])


def test_only_some_rows(run, listener, folder, plan):
    outcome = run(listener, only=["pixels"])
    assert listener.begun == NAMES[:1]
    assert outcome.table["open"] == NAMES[1:]
    assert [len(row["seeds"]) for row in outcome.table["data"][0]["rows"]] == [1, 0]
    assert len(look(plan_cells(plan), folder).to_do) == 2


def test_an_interrupted_training_goes_on(run, folder, listener, plan):
    listener.interrupts = True
    with pytest.raises(KeyboardInterrupt):
        run(listener)
    cell = plan_cells(plan)[1]
    assert not folder.result(cell).exists()
    assert (folder.root / "table.json").exists()
    assert list((folder.work(cell) / "run" / "checkpoints").glob("*.safetensors"))
    again = type(listener)()
    resumed = run(again)
    assert again.stages[0] == ("network", 2, 1)
    assert read_result(folder.result(cell))["training"]["sittings"] == 2
    shutil.rmtree(folder.root / "cells")
    assert scores(run(type(listener)())) == scores(resumed)


def test_other_settings_are_refused_or_made_anew(run, folder, listener, content):
    run(listener)
    content["rows"]["cnn"]["set"] = {"loss": {"wrt": 2}}
    other = build_config(ComparisonPlan, content)
    again = type(listener)()
    with pytest.raises(
        ConfigError, match=r"2 cells .* first walk/cnn/seed-0: config\.loss\.wrt was 1\.0, now 2"
    ):
        run(again, other)
    assert again.begun == []
    outcome = run(again, other, redo=True)
    assert again.begun == NAMES[1:]
    assert outcome.table["other_settings"] == []


def test_results_of_other_settings_are_not_in_the_table(run, folder, listener, content):
    run(listener)
    content["rows"]["cnn"]["set"] = {"loss": {"wrt": 2}}
    outcome = run(listener, build_config(ComparisonPlan, content), only=["pixels"])
    assert outcome.table["other_settings"] == NAMES[1:]
    assert "scores" not in outcome.table["data"][0]["rows"][1]


def test_a_run_that_was_not_finished_by_other_settings(run, folder, listener, plan, content, monkeypatch):
    def fail(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(attempts, "work_on", fail)
    with pytest.raises(KeyboardInterrupt):
        run(listener)
    content["rows"]["pixels"]["set"]["rows"] = 8
    with pytest.raises(ConfigError, match=r"first walk/pixels/seed-0: config\.rows was 24, now 8"):
        run(listener, build_config(ComparisonPlan, content))


def test_a_failing_cell_does_not_stop_the_others(run, folder, listener, content):
    content["rows"] = {
        "bad": {
            "method": "lsmrl",
            "set": {"weights": "none", "sd_mode": "none", "loss": {"v2t": 1}, "stg_groups": 5},
        },
        "none": {"method": "no-such"},
        **content["rows"],
    }
    broken = build_config(ComparisonPlan, content)
    outcome = run(listener, broken)
    assert len(listener.ended) == 5
    assert list(outcome.failed) == [f"walk/{row}/seed-{seed}" for row in ("bad", "none") for seed in (0, 1)]
    assert "stg_groups" in outcome.failed["walk/bad/seed-0"]
    assert "unknown method" in outcome.failed["walk/none/seed-0"]
    assert set(scores(outcome_without(outcome, ("bad", "none")))) == {"pixels", "cnn"}
    kept = read_result(folder.root / "cells" / "walk" / "bad" / "seed-0.json")
    assert (kept["status"], "Traceback" in kept["details"]) == ("failed", True)
    again = type(listener)()
    run(again, broken, redo=True)
    assert again.begun == ["walk/bad/seed-0", "walk/bad/seed-1"]


def outcome_without(outcome, names):
    block = outcome.table["data"][0]
    block["rows"] = [row for row in block["rows"] if row["name"] not in names]
    return outcome


def test_jobs_below_one(run, listener):
    with pytest.raises(ValueError, match="jobs is 0"):
        run(listener, jobs=0)


def test_two_at_a_time_give_equal_figures(run, folder, listener):
    alone = run(listener)
    shutil.rmtree(folder.root / "cells")
    together = type(listener)()
    assert scores(run(together, jobs=2)) == scores(alone)
    assert sorted(together.ended) == sorted(NAMES)
    assert together.stages == [("network", 2, 0)] * 2
    assert not (folder.root / "runs").exists()
