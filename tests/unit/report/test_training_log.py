import json

import numpy as np
import pytest

from tapetum.errors import DataError
from tapetum.report.training_log import Curve, read_training_log


def record(step, stage="one", **fields):
    return {"step": step, "stage": stage, **fields}


def test_every_number_under_losses_lr_and_validation_becomes_a_curve():
    log = read_training_log(
        [
            record(0, losses={"id": 3.0, "msel": 1}, lr=0.1),
            record(1, losses={"id": 2.0}, lr={"head": 0.2, "body": [0.3, 0.4]}),
            record(1, validation={"infrared-to-visible": {"mAP": 0.5, "name": "x", "done": True}}),
            {"event": "start", "seed": 3},
        ]
    )
    assert {c.name: c.values.tolist() for c in log.losses} == {"id": [3.0, 2.0], "msel": [1.0]}
    assert {c.name for c in log.rates} == {"lr", "head", "body.0", "body.1"}
    assert [(c.name, c.steps.tolist(), c.values.tolist()) for c in log.validation] == [
        ("infrared-to-visible.mAP", [1], [0.5])
    ]
    assert log.not_finite == 0


def test_a_stage_that_starts_again_from_0_follows_the_one_before_and_a_global_step_stays():
    restarted = read_training_log([record(i, s, losses={"a": i}) for s in ("one", "two") for i in range(3)])
    assert restarted.losses[0].steps.tolist() == [0, 1, 2, 3, 4, 5]
    assert restarted.stages == (("one", 0), ("two", 3))
    counted_through = read_training_log([record(2, "one", lr=1), record(7, "two", lr=2)])
    assert counted_through.stages == (("one", 2), ("two", 7))


def test_a_resumed_run_overwrites_the_steps_it_repeats():
    log = read_training_log(
        [record(i, losses={"a": v}) for i, v in ((0, 0.0), (1, 1.0), (2, 9.0), (1, 1.5), (2, 2.5))]
    )
    assert log.losses[0].steps.tolist() == [0, 1, 2]
    assert log.losses[0].values.tolist() == [0.0, 1.5, 2.5]


def test_monitors_of_one_step_stand_side_by_side_with_its_line():
    log = read_training_log(
        [
            record(7, losses={"a": 1.0}, monitors={"norm/body": 2.0}),
            record(7, monitors={"top-1/visible": 0.5}),
            record(7, monitors={"top-1/infrared": 0.25, "top-1/nothing": None}),
            record(8, monitors={"top-1/visible": 0.75}),
        ]
    )
    assert {c.name: (c.steps.tolist(), c.values.tolist()) for c in log.monitors} == {
        "norm/body": ([7], [2.0]),
        "top-1/visible": ([7, 8], [0.5, 0.75]),
        "top-1/infrared": ([7], [0.25]),
    }
    assert log.losses[0].values.tolist() == [1.0]
    assert log.not_finite == 1


def test_what_is_measured_before_a_stage_s_first_step_moves_no_step():
    """Hooks write at the last step of the stage before, which is no sign that steps begin anew."""
    one = [record(0, "one", monitors={"a/b": 0.0}), *(record(i, "one", losses={"a": 1.0}) for i in (3, 6))]
    end = [record(6, "one", monitors={"a/b": 1.0})]
    two = [record(6, "two", monitors={"a/b": 2.0}), record(9, "two", losses={"a": 1.0})]
    log = read_training_log([*one, *end, *two])
    assert log.losses[0].steps.tolist() == [3, 6, 9]
    assert log.monitors[0].steps.tolist() == [0, 6, 6]
    assert log.stages == (("one", 0), ("two", 6))


def test_values_that_are_not_finite_are_counted_not_drawn():
    log = read_training_log(
        [record(0, losses={"a": 1.0}), record(1, losses={"a": float("nan"), "b": float("inf")})]
    )
    assert [c.name for c in log.losses] == ["a"]
    assert log.not_finite == 2


def test_a_file_may_end_in_an_unfinished_line_but_not_hold_one(tmp_path):
    path = tmp_path / "log.jsonl"
    good = json.dumps(record(0, losses={"a": 1.0}))
    path.write_text(f'{good}\n\n{{"step": 1, "los')
    assert read_training_log(path).losses[0].values.tolist() == [1.0]
    path.write_text(f"{{broken\n{good}\n")
    with pytest.raises(DataError, match=r"log\.jsonl, line 1: not JSON"):
        read_training_log(path)
    path.write_text(f"[1]\n{good}\n")
    with pytest.raises(DataError, match="line 1: expected a JSON object, found list"):
        read_training_log(path)


def test_averaging_takes_means_of_neighbours_and_keeps_short_curves():
    curve = Curve("a", np.arange(7) * 10, np.array([1.0, 3.0, 5.0, 7.0, 9.0, 11.0, 20.0]))
    assert curve.averaged(7) is curve
    halved = curve.averaged(3)
    assert halved.values.tolist() == [3.0, 9.0, 20.0]
    assert halved.steps.tolist() == [10, 40, 60]
