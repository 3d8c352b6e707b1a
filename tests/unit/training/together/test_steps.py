"""Two and three processes make the steps of one that has the whole batch: every method, every stage."""

import pytest
import torch

from tapetum.methods import create_method, method_names
from tapetum.training.devices import create_fabric

CASES = [
    "agw",
    "clip-baseline",
    "clip4vi-reid",
    "clip4vi-reid, convolutional, two learners",
    "lsmrl",
    "lsmrl, prompts first",
    "mun",
    "mun of single pictures",
    "small-cnn",
    "x-reid",
    "x-reid, projected",
]


@pytest.fixture(scope="module")
def alone(tasks):
    """Tensors of a case that one process trained."""
    fabric, kept = create_fabric(tasks.config()), {}

    def train(case):
        if case not in kept:
            with torch.random.fork_rng():
                found, losses = tasks.train_stages(case, fabric)
            kept[case] = found | {f"loss of {name}": value for name, value in losses.items()}
        return kept[case]

    return train


def test_every_method_that_learns_has_a_case(tasks):
    assert list(tasks.CASES) == CASES
    learn = {
        name
        for name in method_names()
        if create_method(name, num_identities=2, num_cameras=1, preset="tiny", weights="none").stages()
    }
    assert {name for name, _ in tasks.CASES.values()} == learn


def assert_alike(found, expected, tolerance):
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        share = 10 * tolerance if name.startswith("loss of") else tolerance  # norms gather all rounding
        torch.testing.assert_close(
            found[name], tensor, atol=tolerance, rtol=share, msg=lambda text, n=name: f"{n}: {text}"
        )


@pytest.mark.parametrize("case", CASES)
def test_two_processes_are_one(tasks, tensors, alone, case):
    first, second = tensors("steps2", case)
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name
    assert_alike(first, alone(case), 1e-5)
    before = {name: p.detach() for name, p in tasks.make_method(case).named_parameters()}
    moved = [(first[name] - p).abs().max().item() for name, p in before.items()]
    assert max(moved) > 1e-4


@pytest.mark.parametrize("case", ["lsmrl, prompts first", "small-cnn"])
def test_three_processes_are_one(tensors, alone, case):
    """Four people do not divide the seven whose prompts are shared out, nor the batches of a pass."""
    found = tensors("steps3", case)
    for name, tensor in found[0].items():
        assert all(torch.equal(tensor, other[name]) for other in found[1:]), name
    assert_alike(found[0], alone(case), 1e-5)


def test_shares_of_weights_make_the_same_steps(tensors, alone):
    first, second = tensors("shards", "x-reid")
    assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())
    assert_alike(first, alone("x-reid"), 1e-4)


@pytest.mark.parametrize("name", ["parts2", "parts3"])
def test_gathering_norms_and_turns_equal_one_process_in_float64(outcome, name):
    found = outcome(name)
    assert set(found["codes"]) == {0}, "\n".join(found["said"])
