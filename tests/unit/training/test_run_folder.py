import pytest

from tapetum.errors import CheckpointError, ConfigError
from tapetum.training.run_folder import RunFolder

SETTINGS = {"data": "hitsz-vcm:/a", "method": "toy", "training": {"seed": 1, "workers": 2, "ema": None}}


def test_a_new_run_writes_its_settings_and_origin(tmp_path):
    folder = RunFolder(tmp_path / "runs" / "one")
    folder.enter(SETTINGS, "f00", resume=False)
    text = folder.config.read_text()
    for part in ("method: toy", "seed: 1", "data_fingerprint: f00", "torch:"):
        assert part in text
    assert folder.checkpoints.is_dir()
    assert not folder.is_finished


def test_a_folder_with_content_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    for resume in (False, True):
        with pytest.raises(FileExistsError, match=f"{tmp_path} is not empty"):
            RunFolder(tmp_path).enter(SETTINGS, "f00", resume=resume)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_run_is_not_started_twice(tmp_path):
    RunFolder(tmp_path).enter(SETTINGS, "f00", resume=False)
    with pytest.raises(FileExistsError, match="resume the run in it"):
        RunFolder(tmp_path).enter(SETTINGS, "f00", resume=False)
    RunFolder(tmp_path).enter(SETTINGS, "f00", resume=True)


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "run").write_text("x")
    with pytest.raises(NotADirectoryError, match="is a file"):
        RunFolder(tmp_path / "run").check(SETTINGS, resume=False)


def test_other_settings_are_named(tmp_path):
    RunFolder(tmp_path).enter(SETTINGS, "f00", resume=False)
    other = {**SETTINGS, "method": "other", "training": {"seed": 2, "workers": 2, "ema": 0.9}}
    with pytest.raises(ConfigError) as caught:
        RunFolder(tmp_path).check(other, resume=True)
    message = str(caught.value)
    for part in (
        "method was 'toy', now 'other'",
        "training.seed was 1, now 2",
        "training.ema was None, now 0.9",
    ):
        assert part in message
    assert "workers" not in message


def test_settings_that_change_no_number_may_change(tmp_path):
    RunFolder(tmp_path).enter(SETTINGS, "f00", resume=False)
    moved = {**SETTINGS, "data": "hitsz-vcm:/b", "training": {**SETTINGS["training"], "workers": 8}}
    RunFolder(tmp_path).enter(moved, "f00", resume=True)


def test_other_data_is_refused(tmp_path):
    RunFolder(tmp_path).enter(SETTINGS, "f00", resume=False)
    with pytest.raises(CheckpointError, match="other data: fingerprint f00, now f01"):
        RunFolder(tmp_path).enter(SETTINGS, "f01", resume=True)


def test_what_a_killed_process_left_is_removed(tmp_path):
    folder = RunFolder(tmp_path)
    (tmp_path / ".config.yaml.123.part").write_text("half")
    folder.enter(SETTINGS, "f00", resume=False)
    (folder.checkpoints / ".tmpAbC").write_text("half")
    folder.enter(SETTINGS, "f00", resume=True)
    assert list(folder.checkpoints.iterdir()) == []
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_planned_steps_are_kept(tmp_path):
    folder = RunFolder(tmp_path)
    assert folder.planned_steps(0) is None
    folder.plan_steps(0, 120)
    folder.plan_steps(1, 7)
    assert (folder.planned_steps(0), folder.planned_steps(1), folder.planned_steps(2)) == (120, 7, None)


def test_a_resumed_run_multiplies_as_it_began(tmp_path):
    folder = RunFolder(tmp_path)
    folder.enter({"seed": 1}, "data", resume=False, onednn_products=("forward", "input"))
    assert folder.onednn_products == ("forward", "input")
    folder.enter({"seed": 1}, "data", resume=True, onednn_products=())
    assert folder.onednn_products == ("forward", "input")
