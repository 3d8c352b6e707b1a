import logging
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from tapetum.errors import DataError
from tapetum.methods._base import StageContext

PEOPLE = 6


def test_memories_are_filled_in_evaluation_mode_without_cameras(make_method, training_set, prepare):
    method = make_method()
    network = method.network
    with torch.no_grad():
        network.neck.norms[0].running_mean.fill_(0.5)
    statistics = {n: b.clone() for n, b in method.named_buffers() if "running" in n or "tracked" in n}
    prepare(method)
    assert method.training
    assert all(torch.equal(dict(method.named_buffers())[n], b) for n, b in statistics.items())
    method.eval()
    sums = {False: torch.zeros(PEOPLE, 48), True: torch.zeros(PEOPLE, 48)}
    with torch.no_grad():
        for batch in training_set():
            encoded = network.encode_frames(batch.clips)
            b = F.normalize(network.neck.normed(encoded.g, encoded.p), dim=1)
            for row, label, side in zip(b, batch.labels, batch.infrared, strict=True):
                sums[bool(side)][label] += row
    torch.testing.assert_close(network.memory.visible, F.normalize(sums[False], dim=1))
    torch.testing.assert_close(network.memory.infrared, F.normalize(sums[True], dim=1))
    assert all(p.grad is None for p in method.parameters())


def test_a_step_moves_the_memories_after_its_losses(make_method, make_batch, prepare):
    method = make_method()
    network = method.network
    stage = prepare(method)
    before = {n: b.clone() for n, b in network.memory.named_buffers()}
    losses = stage.step(make_batch())
    moved = {n: b.clone() for n, b in network.memory.named_buffers()}
    for name, bank in moved.items():
        assert torch.equal(bank[[2, 3, 5]], before[name][[2, 3, 5]])
        assert not torch.allclose(bank[[0, 1, 4]], before[name][[0, 1, 4]], atol=1e-3)
        assert not bank.requires_grad
    stage.total(losses).backward()
    assert all(torch.equal(b, moved[n]) for n, b in network.memory.named_buffers())


def test_memories_are_filled_once_or_before_each_epoch_and_never_on_resuming(make_method, training_set):
    for each_epoch, expected in ((False, [1, 1, 1]), (True, [0, 1, 2])):
        method = make_method(rebuild_memory_each_epoch=each_epoch)
        stage, passes = method.stages()[0], []
        context = StageContext(iterate_training_set=lambda p=passes: p.append(1) or training_set())
        counts = []
        stage.before_stage(context)
        counts.append(len(passes))
        for epoch in (0, 1):
            stage.before_epoch(epoch, context)
            counts.append(len(passes))
        assert counts == expected
        resumed = replace(context, resumed=True)
        passes.clear()
        stage.before_stage(resumed)
        assert not passes


def test_a_thinned_pass_is_asked_for_and_announced(make_method, prepare, caplog):
    caplog.set_level(logging.WARNING)
    whole, thinned = make_method(), make_method(memory_share=0.4)
    prepare(whole)
    assert "memory_share" not in caplog.text
    prepare(thinned)
    assert "memory_share = 0.4: the memories are of 12 tracklets, not of all" in caplog.text
    assert not torch.allclose(whole.network.memory.visible, thinned.network.memory.visible, atol=1e-3)


def test_a_pass_in_half_precision_gives_nearly_the_same_memories(make_method, prepare):
    whole, half = make_method(), make_method(memory_precision="bf16")
    prepare(whole)
    prepare(half)
    one, other = whole.network.memory.visible, half.network.memory.visible
    assert other.dtype is torch.float32
    assert not torch.equal(one, other)
    assert (one * other).sum(1).min() > 0.999


def test_people_of_one_modality_are_named(make_method, training_set):
    def without(share=1.0):
        for batch in training_set():
            keep = ~(batch.infrared & (batch.labels == 2))
            yield replace(
                batch, clips=batch.clips[keep], labels=batch.labels[keep], infrared=batch.infrared[keep]
            )

    context = StageContext(iterate_training_set=without, label_ids=[11, 12, 13, 14, 15, 16])
    with pytest.raises(DataError, match="no infrared tracklet of 13"):
        make_method().stages()[0].before_stage(context)
    with pytest.raises(RuntimeError, match="filled from the training set, which the context lacks"):
        make_method().stages()[0].before_stage(StageContext())
    make_method(loss={"cpc": 0}).stages()[0].before_stage(StageContext())
