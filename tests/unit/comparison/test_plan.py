import pytest
import yaml

from tapetum.comparison import ComparisonPlan, plan_cells, read_plan
from tapetum.comparison.plan import chosen_rows, walker_options
from tapetum.config import build_config, merge
from tapetum.data.synthetic import WalkerOptions
from tapetum.errors import ConfigError


@pytest.fixture
def save(tmp_path):
    def write(content):
        path = tmp_path / "plan.yaml"
        path.write_text(yaml.safe_dump(content))
        return path

    return write


def test_a_plan_reads(save, content):
    plan = read_plan(save(content))
    assert (plan.seeds, plan.preset, plan.threads) == ((0, 1), "tiny", 1)
    assert plan.data["walk"].format == "hitsz-vcm"
    assert plan.data["walk"].scored_by == ("hitsz-vcm",)
    assert plan.rows["cnn"].runs_on("walk")
    training = plan.training_for(plan.rows["cnn"], 5)
    assert (training.seed, training.max_steps, training.tensorboard) == (5, 2, False)


def test_a_row_may_train_in_its_own_way(save, content):
    content["rows"]["cnn"]["training"] = {"max_steps": 7}
    plan = read_plan(save(content))
    steps = {name: plan.training_for(row, 0).max_steps for name, row in plan.rows.items()}
    assert steps == {"pixels": 2, "cnn": 7}
    cells = {(cell.row, cell.seed): cell.settings for cell in plan_cells(plan)}
    assert cells["cnn", 1]["training"]["max_steps"] == 7


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sedes": [1]}, "unknown key 'sedes'"),
        ({"seeds": []}, "seeds"),
        ({"rows": {"cnn": {"method": "small-cnn", "untraind": True}}}, "rows.cnn.untraind"),
        ({"rows": {"cnn": {"data": ["wlak"]}}}, "rows.cnn.data: unknown data set 'wlak'"),
        ({"rows": {"cnn": {"seeds": [1, 1]}}}, "rows.cnn: a seed stands twice"),
        ({"rows": {"a/b": {"method": "small-cnn"}}}, "name 'a/b'"),
        ({"training": {"seed": 3}}, "training.seed is not given here"),
        ({"rows": {"cnn": {"training": {"seed": 3}}}}, "rows.cnn.training.seed is not given here"),
        ({"rows": {"cnn": {"training": {"max_stps": 3}}}}, "max_stps"),
        ({"training": {"max_stps": 3}}, "max_stps"),
        ({"data": {"walk": {"at": "regdb:/x"}}}, "either `walkers` or `at`"),
        ({"data": {"walk": {"protocols": ["hitsz"]}}}, "unknown protocol 'hitsz'"),
        ({"data": {"walk": {"walkers": {"format": "vcm"}}}}, "unknown format 'vcm'"),
        ({"data": {"walk": {"walkers": {"options": {"cue": "gait"}}}}}, "unknown option of walkers 'cue'"),
        ({"data": {"walk": {"walkers": {"options": {"frame_size": 3}}}}}, "options of walkers"),
        ({"data": {"walk": {"walkers": {"options": {"difficulty": "harsh"}}}}}, "difficulty is 'harsh'"),
    ],
)
def test_a_bad_plan_names_file_and_key(save, content, change, message):
    path = save(merge(content, change))
    with pytest.raises(ConfigError) as refused:
        read_plan(path)
    assert str(refused.value).startswith(f"{path}: ")
    assert message in str(refused.value)


def test_an_image_format_refuses_gait(save, content):
    walkers = {"format": "regdb", "identities": 8, "test_identities": 4, "options": {"cues": "gait"}}
    content["data"] = {"walk": {"walkers": walkers}}
    with pytest.raises(ConfigError, match="single pictures"):
        read_plan(save(content))


def test_a_data_set_that_is_there(content):
    content["data"] = {"walk": {"at": "regdb:/data/RegDB", "read": {"trial": 3}}}
    data = build_config(ComparisonPlan, content).data["walk"]
    assert (data.format, data.scored_by) == ("regdb", ("regdb",))


def test_chosen_rows_keep_the_order_of_the_plan(plan):
    assert chosen_rows(plan) == ["pixels", "cnn"]
    assert chosen_rows(plan, ["cnn", "pixels"]) == ["pixels", "cnn"]
    with pytest.raises(ValueError, match="unknown row 'cn'; did you mean 'cnn'"):
        chosen_rows(plan, ["cn"])


def test_lists_stand_for_pairs():
    options = walker_options({"frame_size": [64, 32], "cues": "shape"})
    assert options == WalkerOptions(frame_size=(64, 32), cues="shape")
