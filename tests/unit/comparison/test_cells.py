import pytest

from tapetum.comparison import ComparisonPlan, plan_cells
from tapetum.comparison.cells import changed_settings
from tapetum.config import build_config
from tapetum.errors import ConfigError
from tapetum.training import TrainingConfig


def cells_of(content):
    return plan_cells(build_config(ComparisonPlan, content))


def test_seeds_come_before_rows(plan):
    assert [cell.name for cell in plan_cells(plan)] == [
        "walk/pixels/seed-0",
        "walk/cnn/seed-0",
        "walk/cnn/seed-1",
    ]
    assert [cell.name for cell in plan_cells(plan, ["pixels"])] == ["walk/pixels/seed-0"]


def test_settings_are_written_out(plan):
    pixels, cnn, other = plan_cells(plan)
    assert cnn.settings["config"]["batches"]["identities"] == 2
    assert cnn.settings["config"]["schedule"]["epochs"] == 24
    assert cnn.settings["training"]["max_steps"] == 2
    assert [cell.settings["training"]["seed"] for cell in (cnn, other)] == [0, 1]
    assert cnn.settings["data"] == other.settings["data"]
    assert cnn.fingerprint != other.fingerprint
    assert pixels.settings["training"] == TrainingConfig(seed=0).model_dump(mode="json")


def test_changes_of_data_set_row_and_pair(content):
    content["data"]["more"] = {**content["data"]["walk"], "set": {"loss.wrt": 0.5, "label_smooth": 0.2}}
    content["rows"] = {
        "cnn": {
            "method": "small-cnn",
            "set": {"label_smooth": 0.3},
            "data": {"walk": {}, "more": {"stripes": 2, "loss": {"id": 2}}},
        },
        "only": {"method": "small-cnn", "data": ["more"], "seeds": [4]},
    }
    cells = {cell.name: cell for cell in cells_of(content)}
    assert list(cells) == [
        *("walk/cnn/seed-0", "walk/cnn/seed-1"),
        *("more/cnn/seed-0", "more/cnn/seed-1", "more/only/seed-4"),
    ]
    config = cells["more/cnn/seed-0"].settings["config"]
    assert (config["stripes"], config["label_smooth"]) == (2, 0.3)
    assert config["loss"] == {"id": 2, "wrt": 0.5, "hard": 0}
    assert cells["walk/cnn/seed-0"].settings["config"]["stripes"] == 4
    assert cells["more/only/seed-4"].settings["config"]["label_smooth"] == 0.2


def test_walkers_of_each_seed(content):
    content["data"]["walk"]["walkers"]["seed"] = "training"
    seeds = [cell.settings["data"]["walkers"]["seed"] for cell in cells_of(content)]
    assert seeds == [0, 0, 1]


def test_an_unknown_method_is_a_missing_cell(content):
    content["rows"] = {"new": {"method": "small-cn"}}
    assert [cell.missing for cell in cells_of(content)] == [
        "unknown method 'small-cn'; did you mean 'small-cnn'?"
    ] * 2


def test_a_wrong_setting_names_row_and_key(content):
    content["rows"]["cnn"]["set"] = {"loss.wtr": 1}
    with pytest.raises(ConfigError, match=r"rows\.cnn on walk: unknown key 'loss\.wtr'"):
        cells_of(content)


def test_changed_settings(content):
    (_, before, _), _ = cells_of(content), content["rows"]["cnn"].update(set={"loss": {"wrt": 2}})
    content["training"] |= {"max_steps": 3, "workers": 1, "log_every": 1}
    (_, now, _) = cells_of(content)
    assert changed_settings(before.settings, before.settings) == {}
    assert changed_settings(before.settings, now.settings) == {
        "config.loss.wrt": (1.0, 2.0),
        "training.max_steps": (2, 3),
    }


def test_a_setting_that_was_not_there_yet_counts_as_its_default(plan):
    _, cell, _ = plan_cells(plan)
    config = {name: value for name, value in cell.settings["config"].items() if name != "label_smooth"}
    old = {**cell.settings, "config": config}
    assert changed_settings(old, cell.settings) == {}
    other = {**cell.settings, "config": {**cell.settings["config"], "label_smooth": 0.4}}
    assert changed_settings(old, other) == {"config.label_smooth": (0.1, 0.4)}
    assert changed_settings(other, old) == {"config.label_smooth": (0.4, None)}


def test_none_is_a_value_and_not_a_setting_that_was_not_there(content):
    def settings(value):
        content["rows"]["cnn"]["set"] = {} if value == "default" else {"hard_margin": value}
        return cells_of(content)[1].settings

    soft, default = settings(None), settings("default")
    assert changed_settings(soft, default) == {"config.hard_margin": (None, 0.3)}
    assert changed_settings(default, soft) == {"config.hard_margin": (0.3, None)}
    without = {**default, "config": {k: v for k, v in default["config"].items() if k != "hard_margin"}}
    assert changed_settings(without, default) == {}
    assert changed_settings(without, soft) == {"config.hard_margin": (0.3, None)}
