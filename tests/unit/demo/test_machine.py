from typing import get_args, get_type_hints

import pytest
import torch

from tapetum.demo import machine
from tapetum.training.config import TrainingConfig


def test_the_answer_is_a_precision_of_a_run():
    answer = machine.quicker_precision()
    assert answer in get_args(get_type_hints(TrainingConfig)["precision"])
    assert TrainingConfig(precision=answer).precision == answer


@pytest.mark.parametrize(
    ("float32", "bfloat16", "expected"),
    [(1.0, 0.5, "bf16-mixed"), (1.0, 0.9, "32-true"), (1.0, 2.0, "32-true")],
)
def test_bfloat16_only_where_it_is_clearly_faster(monkeypatch, float32, bfloat16, expected):
    seconds = {torch.float32: float32, torch.bfloat16: bfloat16}
    monkeypatch.setattr(machine, "_linear_seconds", seconds.__getitem__)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert machine.quicker_precision() == expected


def test_an_accelerator_decides_for_itself(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert machine.quicker_precision() == "auto"
