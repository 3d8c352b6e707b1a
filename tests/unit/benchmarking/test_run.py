import pytest

from tapetum.benchmarking import STAGES, Row, run, run_bench
from tapetum.errors import MissingExtraError


@pytest.fixture
def stages(monkeypatch):
    """Two stages of made-up parts; a part that is an error fails so, else its value is the row's."""
    made = {"machine": {"a": 1.0, "b": 2.0}, "reading": {"c": 3.0}}
    ran = []

    def part(name, value):
        def measured():
            ran.append(name)
            if isinstance(value, BaseException):
                raise value
            return [Row(name, value, "s")]

        return measured

    monkeypatch.setattr(
        run,
        "parts_of",
        lambda stage, config, folder: {
            name: part(name, value) for name, value in made.get(stage, {}).items()
        },
    )
    return made, ran


def test_all_parts_are_measured_in_the_order_of_the_table(make_config, tmp_path, show, stages):
    found = run_bench(make_config(), ["reading", "machine"], tmp_path / "out", show)
    assert [(r.stage, r.part, r.rows[0].value) for r in found] == [
        ("machine", "a", 1.0),
        ("machine", "b", 2.0),
        ("reading", "c", 3.0),
    ]
    assert show.planned == (3, 0)
    assert show.begun == show.ended == [("machine", "a"), ("machine", "b"), ("reading", "c")]


def test_an_interrupted_run_goes_on_where_it_was(make_config, tmp_path, show, stages):
    made, ran = stages
    made["machine"]["b"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        run_bench(make_config(), [], tmp_path, show)
    made["machine"]["b"] = 2.0
    found = run_bench(make_config(), [], tmp_path, show)
    assert ran == ["a", "b", "b", "c"]
    assert [r.rows[0].value for r in found] == [1.0, 2.0, 3.0]
    assert show.planned == (3, 1)


def test_other_sizes_are_measured_anew_and_of_its_own_stage_alone(make_config, tmp_path, show, stages):
    _, ran = stages
    run_bench(make_config(), [], tmp_path, show)
    run_bench(make_config(reading={"height": 32}), [], tmp_path, show)
    assert ran == ["a", "b", "c", "c"]
    run_bench(make_config(rounds=2), ["machine"], tmp_path, show)
    assert ran[4:] == ["a", "b"]


def test_what_is_there_is_measured_again_on_request(make_config, tmp_path, show, stages):
    _, ran = stages
    run_bench(make_config(), ["reading"], tmp_path, show)
    run_bench(make_config(), ["reading"], tmp_path, show, redo=True)
    assert ran == ["c", "c"]


def test_what_a_machine_lacks_is_said_and_the_rest_goes_on(make_config, tmp_path, show, stages):
    made, ran = stages
    made["machine"]["a"] = MissingExtraError("onnxruntime", "export")
    found = run_bench(make_config(), [], tmp_path, show)
    assert [r.part for r in found] == ["b", "c"]
    assert "onnxruntime" in show.skipped["machine", "a"]
    assert ran == ["a", "b", "c"]


def test_unknown_stages_are_refused_before_anything_is_measured(make_config, tmp_path, show):
    with pytest.raises(ValueError, match="unknown stage 'trainig'; did you mean 'training'"):
        run_bench(make_config(), ["machine", "trainig"], tmp_path / "out", show)
    assert not (tmp_path / "out").exists()


def test_settings_name_the_machine_and_only_what_matters(make_config):
    found = run.settings_of(make_config(), "reading")
    assert found["reading"]["height"] == 48
    assert "metrics" not in found
    assert (found["threads"], found["device"]) == (1, "cpu")
    assert found["processor"] == run.processor() != ""


def test_every_stage_has_parts(make_config, tmp_path):
    for stage in STAGES:
        assert run.plan_tasks(make_config(), [stage], tmp_path), stage
    assert not list(tmp_path.iterdir())
