"""CLIP4VI-ReID as whole runs on written data sets: images, video by frames, shared early stages."""

import pytest
import torch

import tapetum
from tapetum.data import read_dataset
from tapetum.data.synthetic import WalkerOptions, write_walkers
from tapetum.embed import embed
from tapetum.errors import ConfigError
from tapetum.training import resolve_run, train
from tapetum.training.run_log import read_log

SHORT = {"epochs": 1, "steps_per_epoch": 2, "warmup_epochs": 0}
SMALL = {
    "weights": "none",
    "height": 48,
    "width": 32,
    "frames": 1,
    "batches": {"identities": 2, "tracklets": 2},
    "schedule": SHORT,
    "tsg": {"schedule": SHORT, "batch_size": 8},
    "ife": {"schedule": SHORT, "batches": {"identities": 2, "tracklets": 2}},
    "training": {"device": "cpu", "log_every": 1, "tensorboard": False},
}


def write(root, name) -> str:
    options = WalkerOptions(frame_size=(48, 32))
    write_walkers(root, name, identities=8, test_identities=4, seed=0, options=options, workers=1)
    return f"{name}:{root}"


@pytest.fixture(scope="module", params=["regdb", "hitsz-vcm"])
def data(request, tmp_path_factory) -> str:
    return write(tmp_path_factory.mktemp("walkers") / request.param, request.param)


@pytest.fixture(scope="module")
def regdb(tmp_path_factory) -> str:
    return write(tmp_path_factory.mktemp("walkers") / "regdb", "regdb")


def run(data, out, start=None, **overrides):
    overrides = {**SMALL, **overrides, **({"start": start} if start else {})}
    return train(resolve_run("clip4vi-reid", data, preset="tiny", overrides=overrides), out)


@pytest.mark.slow
def test_a_run_of_three_stages_encodes_images_and_video(data, tmp_path):
    steps = {"steps_per_epoch": "from-data"} if data.startswith("regdb") else {}
    run(data, tmp_path / "run", tsg={**SMALL["tsg"], "schedule": {**SHORT, **steps}})
    model = tapetum.load(tmp_path / "run")
    test = read_dataset(data).test
    found = embed(model.method, test, flip=True)
    assert found.vectors.shape == (len(test), 2 * model.method.embedding_dim)
    records = read_log(tmp_path / "run" / "metrics.jsonl")
    monitors = [(r["stage"], r["step"]) for r in records if r["kind"] == "monitor"]
    last = {name: max(r["step"] for r in records if r["stage"] == name) for name in ("tsg", "ife", "hsa")}
    assert monitors == [
        *[("tsg", 0), ("tsg", last["tsg"])],
        *[("ife", last["tsg"]), ("ife", last["ife"])],
        *[("hsa", last["ife"]), ("hsa", last["hsa"])],
    ]


@pytest.mark.slow
def test_later_stages_go_on_from_an_earlier_run_as_if_it_were_their_own(regdb, tmp_path):
    whole = tmp_path / "whole"
    expected = run(regdb, whole).fingerprint
    for stage in ("ife", "hsa"):
        result = run(regdb, tmp_path / stage, {"stage": stage, "weights": str(whole)})
        assert (result.fingerprint, result.steps) == (expected, {"ife": 4, "hsa": 2}[stage])
    other = run(regdb, tmp_path / "fixed", {"stage": "hsa", "weights": str(whole)}, tune_prompts=False)
    assert other.fingerprint != expected
    banks = [tapetum.load(tmp_path / name).method.network.text_bank for name in ("hsa", "fixed")]
    assert not torch.equal(*banks)


@pytest.mark.slow
def test_stage_1_is_shared_by_runs_with_and_without_stage_2_and_by_no_others(regdb, tmp_path):
    lender = {"stage": "hsa", "weights": str(tmp_path / "whole")}
    run(regdb, tmp_path / "whole")
    run(regdb, tmp_path / "without", lender, use_ife=False)
    stages = {r["stage"] for r in read_log(tmp_path / "without" / "metrics.jsonl")}
    assert stages == {"hsa"}
    for refused in ({"text_from": "both"}, {"prompt_tokens": 2}, {"tsg": {**SMALL["tsg"], "batch_size": 4}}):
        with pytest.raises(ConfigError, match=next(iter(refused))):
            run(regdb, tmp_path / "refused", lender, **refused)
    back = {"stage": "hsa", "weights": str(tmp_path / "without")}
    with pytest.raises(ConfigError, match="use_ife"):
        run(regdb, tmp_path / "refused", back)
