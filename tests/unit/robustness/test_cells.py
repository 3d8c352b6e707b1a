import json
import logging
from dataclasses import replace

import pytest

from tapetum.data.corruptions import find_corruption
from tapetum.evaluation.evaluate import Reranking
from tapetum.robustness import RobustnessPlan
from tapetum.robustness.cells import StoredCells
from tapetum.types import TrackletSet

FOG = find_corruption("fog")
PLAN = RobustnessPlan("manifest", (FOG,), (1, 3))
CELL, CLEAN = ("fog", 3), ("clean", 0)


@pytest.fixture
def cells(tmp_path, model, tracklets):
    """Stored cells, of the plan or of another one."""

    def make(plan=PLAN, model=model, tracklets=tracklets):
        return StoredCells(tmp_path / "cells", model, tracklets, plan)

    return make


def test_what_was_written_is_read_back(cells):
    assert cells().read(CELL) is None
    cells().write(CELL, {"trials": [1.5]})
    assert cells().read(CELL) == {"trials": [1.5]}
    assert cells().read(("fog", 1)) is None
    assert cells().read(CLEAN) is None
    (file,) = cells().folder.iterdir()
    assert file.name.startswith("fog-3-")
    assert json.loads(file.read_text())["key"]["corruption"] == "fog"


@pytest.mark.parametrize(
    "change",
    [
        {"protocol": "market1501"},
        {"seed": 1},
        {"side": "query"},
        {"reranking": Reranking()},
        {"sampling": "dense"},
        {"flip": True},
        {"precision": "bf16"},
        {"corruptions": (replace(FOG, levels=(0.3, 0.4, 0.5, 0.6, 0.7)),)},
    ],
)
def test_other_settings_are_another_cell(cells, change):
    cells().write(CELL, {})
    assert cells(replace(PLAN, **change)).read(CELL) is None


@pytest.mark.parametrize("change", [{"batch_size": 1}, {"workers": 2}, {"severities": (3, 5)}])
def test_what_changes_no_figure_is_the_same_cell(cells, change):
    cells().write(CELL, {})
    assert cells(replace(PLAN, **change)).read(CELL) == {}


def test_other_models_and_tracklets_are_another_cell(cells, model, tracklets):
    cells().write(CELL, {})
    assert cells(model=replace(model, fingerprint="other")).read(CELL) is None
    fewer = TrackletSet(tracklets.name, tracklets.tracklets[:-1])
    assert cells(tracklets=fewer).read(CELL) is None
    assert cells(tracklets=TrackletSet("other", tracklets.tracklets)).read(CELL) is None


def test_clean_scores_do_not_depend_on_what_is_corrupted(cells):
    cells().write(CLEAN, {})
    other = replace(PLAN, side="query", corruptions=(find_corruption("rain"),))
    assert cells(other).read(CLEAN) == {}
    assert cells(replace(PLAN, seed=1)).read(CLEAN) is None


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"evaluation": {}}', '{"format": "tapetum-robustness-cell"}', "null"]
)
def test_a_damaged_cell_is_none_and_said(cells, caplog, content):
    cells().write(CELL, {})
    place = cells().place(CELL)
    place.write_text(content)
    with caplog.at_level(logging.WARNING, logger="tapetum"):
        assert cells().read(CELL) is None
    assert str(place) in caplog.text
    assert "measured again" in caplog.text
