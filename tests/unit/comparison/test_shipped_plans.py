from pathlib import Path

import pytest

from tapetum.comparison import plan_cells, read_plan
from tapetum.methods import create_method

PLANS = sorted((Path(__file__).parents[3] / "benchmarks" / "comparisons").glob("*.yaml"))


def test_there_are_plans():
    assert [plan.stem for plan in PLANS] == ["ablations", "big-table", "video-methods-gait", "video-methods"]


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_every_row_can_be_built(path):
    """Settings fit their methods, and methods take them together."""
    plan = read_plan(path)
    built = {}
    for cell in plan_cells(plan):
        assert cell.missing == ""
        key = str((cell.settings["method"], cell.settings["config"]))
        if key in built:
            continue
        config = {**cell.settings["config"], "weights": "none"}
        built[key] = create_method(
            cell.settings["method"],
            num_identities=4,
            num_cameras=3,
            preset=cell.settings["preset"],
            **config,
        )
        assert cell.settings["untrained"] or built[key].stages()


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_no_two_rows_are_the_same(path):
    plan = read_plan(path)
    fingerprints = [cell.fingerprint for cell in plan_cells(plan)]
    assert len(set(fingerprints)) == len(fingerprints)
