"""Whole runs of several processes: one writes, all agree, an end of one is told by all, and runs resume."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tapetum.methods._checkpoint import read_header
from tapetum.training.run_log import read_log


def lines(folder):
    return [
        (r["kind"], r["step"], r.get("losses"), r.get("validation"))
        for r in read_log(folder / "metrics.jsonl")
    ]


def check_whole(outcome, name):
    found = outcome(name)
    assert set(found["codes"]) == {0}, "\n".join(found["said"])


@pytest.fixture(scope="module")
def alone(tasks, forked):
    """The same run in one process."""
    with torch.random.fork_rng():
        tasks.run_method(forked, forked / "alone", tasks.config(**tasks.RUN))
    return forked / "alone"


def test_two_processes_learn_log_and_validate_as_one(forked, outcome, alone):
    check_whole(outcome, "whole")
    found, expected = lines(forked / "whole"), lines(alone)
    assert [line[:2] for line in found] == [line[:2] for line in expected]
    assert any(kind == "validation" for kind, *_ in found)
    for (_, step, losses, scores), (_, _, other_losses, other_scores) in zip(found, expected, strict=True):
        if losses is not None:
            assert losses == pytest.approx(other_losses, rel=1e-3 * step, abs=1e-4)
        assert (scores is None) == (other_scores is None)
        for way, figures in (scores or {}).items():
            assert figures["mAP"] == pytest.approx(other_scores[way]["mAP"], abs=0.1)
    assert found[0][2] == pytest.approx(expected[0][2], rel=1e-5)
    last = "checkpoints/step-000000006.safetensors"
    one, other = (load_file(folder / last) for folder in (alone, forked / "whole"))
    assert one.keys() == other.keys()
    for name in filter(lambda n: n.startswith("model/"), one):
        assert np.quantile((one[name] - other[name]).double().abs().numpy(), 0.9) < 1e-3, name


def test_a_run_whose_process_was_killed_resumes_as_if_it_had_not_been(forked, outcome):
    killed = outcome("killed")
    assert killed["codes"] == [1, -9]
    check_whole(outcome, "resumed")
    assert lines(forked / "killed") == lines(forked / "whole")
    names = [read_header(forked / f / "model.safetensors")["fingerprint"] for f in ("whole", "killed")]
    assert names[0] == names[1]


def test_what_two_processes_left_one_goes_on_with(forked, outcome, tasks, alone, tmp_path):
    assert outcome("first killed")["codes"] == [-9, 1]
    with torch.random.fork_rng():
        result, *_ = tasks.run_method(forked, forked / "first", tasks.config(**tasks.RUN), resume=True)
    assert result.steps == 6
    found, expected = lines(forked / "first"), lines(alone)
    assert [line[:2] for line in found] == [line[:2] for line in expected]
    assert found[-2][2] == pytest.approx(expected[-2][2], rel=0.02)


@pytest.mark.parametrize(
    ("name", "left", "expected"),
    [
        ("killed", 0, "process 0 of 2 stops: process 1 ended without a word (killed?)"),
        ("first killed", 1, "process 1 of 2 stops: process 0 ended without a word (killed?)"),
        ("silent", 1, "did not answer within 2 s"),
        ("failed", 0, "process 0 of 2 stops: process 1 stopped (OSError: [Errno 5] the camera caught fire"),
    ],
)
def test_the_end_of_one_process_is_one_clear_error_on_the_other(forked, outcome, name, left, expected):
    found = outcome(name)
    assert found["codes"][left] == 1
    assert found["seconds"] < 20
    (line,) = [
        one for one in found["said"][left].splitlines() if one.startswith("tapetum.errors.ProcessLost")
    ]
    assert expected in line
    assert "resume the run" in line
    assert "checkpoints is kept" in line


def test_people_that_cannot_be_shared_out_are_named(outcome):
    found = outcome("uneven")
    assert found["codes"] == [1, 1]
    for said in found["said"]:
        assert "stage 'network': batches.identities = 5 people cannot be shared by 2 processes" in said
        assert "set 4 or 6" in said


def test_a_run_whose_weights_are_cut_leaves_whole_ones_and_resumes(forked, outcome):
    assert outcome("cut killed")["codes"] == [1, -9]
    check_whole(outcome, "cut resumed")
    found, expected = lines(forked / "cut"), lines(forked / "whole")
    assert [line[:2] for line in found] == [line[:2] for line in expected]
    assert found[-2][2] == pytest.approx(expected[-2][2], rel=0.02)
    for kind in ("checkpoints/step-000000006", "model"):
        one, other = (load_file(forked / run / f"{kind}.safetensors") for run in ("cut", "whole"))
        assert {name: t.shape for name, t in one.items()} == {name: t.shape for name, t in other.items()}
