"""Where there is one process nothing is sent, copied or reordered; several are tested with training."""

import torch

from tapetum import processes
from tapetum.models.batch_statistics import MapNorm
from tapetum.types import Batch

BATCH = Batch(
    torch.zeros(4, 1, 3, 2, 2),
    torch.tensor([1, 0, 1, 0]),
    torch.arange(4) >= 2,
    torch.zeros(4).long(),
    parts=2,
)


def test_one_process_has_all_rows_already():
    rows, others = torch.randn(4, 3, requires_grad=True), torch.arange(4)
    assert (processes.count(), processes.rank()) == (1, 0)
    assert processes.gather(rows, others, parts=2) == (rows, others)
    assert processes.gather_named({"rows": rows})["rows"] is rows
    assert processes.gather_batch(BATCH) is BATCH
    assert processes.own_rows(others, BATCH) is others
    assert processes.mean(rows) is rows


def test_one_process_does_all_the_work():
    rows = torch.randn(5, 3)
    assert processes.share_of(5, rows.device) is None
    assert processes.join_shares(rows, 5) is rows
    assert processes.join_turns([(rows,), (rows,)]) == [(rows,), (rows,)]
    assert processes.share_objects("alone") == ["alone"]


def test_nothing_is_cut_into_shares():
    tensor = torch.randn(2)
    assert not processes.is_sharded(tensor)
    for found in (
        processes.whole(tensor),
        processes.own_shard(tensor),
        processes.shared_like(tensor, tensor),
    ):
        assert found is tensor


def test_a_norm_of_maps_is_a_plain_one():
    torch.manual_seed(0)
    maps, plain, shared = torch.randn(3, 2, 4, 4), torch.nn.BatchNorm2d(2), MapNorm(2)
    for _ in range(2):
        assert torch.equal(plain(maps), shared(maps))
    assert all(torch.equal(a, b) for a, b in zip(plain.buffers(), shared.buffers(), strict=True))
    assert torch.equal(plain.eval()(maps), shared.eval()(maps))
