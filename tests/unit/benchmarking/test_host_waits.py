import pytest
import torch

from tapetum.benchmarking.host_waits import HostWaits, count_host_waits


@pytest.mark.parametrize(
    "work",
    [
        lambda x: x.sum().item(),
        lambda x: x[x > 0],
        lambda x: x.unique(),
        lambda x: bool(x.any()),
        lambda x: x.masked_select(x > 0),
        lambda x: x.nonzero(),
        lambda x: x.index_put_((x > 0,), torch.zeros(3)),
        lambda x: x.long().bincount(),
        lambda x: x.repeat_interleave(torch.tensor([1, 2, 3])),
        lambda x: torch.equal(x, x),
    ],
)
def test_what_needs_a_number_on_the_host_is_seen(work):
    assert count_host_waits(lambda: work(torch.ones(3))) >= 1


@pytest.mark.parametrize(
    "work",
    [
        lambda x: x.to("meta"),
        lambda x: torch.empty(3, device="meta").copy_(x),
        lambda x: torch.empty(3, device="meta").new_tensor([1.0]),
        lambda x: torch.tensor([1.0], device="meta"),
        lambda x: torch.as_tensor([1.0], device="meta"),
    ],
)
def test_copies_that_are_waited_for_are_seen(work):
    assert count_host_waits(lambda: work(torch.ones(3))) == 1


@pytest.mark.parametrize(
    "work",
    [
        lambda x: (x * 2).sum(),
        lambda x: x.double().clone(),
        lambda x: torch.tensor([1.0]),
        lambda x: torch.zeros(3).copy_(x),
        lambda x: x.to("meta", non_blocking=True),
        lambda x: torch.empty(3, device="meta").copy_(x, non_blocking=True),
        lambda x: torch.full((3,), 2.0, device="meta"),
        lambda x: torch.where(x > 0, x, 0),
        lambda x: x.masked_fill(x > 0, 2),
        lambda x: x[torch.tensor([0, 2])],
        lambda x: x.repeat_interleave(2),
        lambda x: x.repeat_interleave(torch.tensor([1, 2, 3]), output_size=6),
    ],
)
def test_what_goes_on_without_the_host_is_not(work):
    assert count_host_waits(lambda: work(torch.ones(3))) == 0


def test_nothing_is_seen_behind_the_block():
    with HostWaits() as seen:
        torch.ones(2)
    torch.ones(2).sum().item()
    assert seen.found == []
