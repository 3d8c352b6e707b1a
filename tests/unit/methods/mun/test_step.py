import re
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from tapetum.errors import DataError
from tapetum.losses import assignment_gap, identity_centre_alignment, weighted_regularised_triplet
from tapetum.methods import _mun_stage
from tapetum.methods._base import StageContext
from tapetum.models.streams import Segment

V, R, A = "visible", "infrared", "auxiliary"
LABELS = torch.tensor([4, 4, 1, 1, 0, 0])


def unit_means(features, groups):
    return torch.stack([F.normalize(f, dim=1).mean(0) for f in features.split(groups)])


def test_losses_are_the_documented_ones(make_method, make_batch):
    method, twin, batch = make_method(sample_triplet=True), make_method(), make_batch()
    (stage,) = method.stages()
    found = stage.step(batch)
    images = batch.clips[:, 0]
    made = twin.generator(images[:6], images[6:])
    segments = [Segment(name, 6) for name in (V, R, A)]
    f = twin.network(torch.cat([images, made]), segments)
    labels, kinds = LABELS.repeat(3), torch.arange(3).repeat_interleave(6)
    z = (f - f.mean(0)) / (f.var(0, correction=0) + 1e-5).sqrt()
    p = unit_means(f, 6)
    expected = {
        "id": F.cross_entropy(z @ twin.network.neck.classifier.weight.t(), labels),
        "ia": identity_centre_alignment(f, labels, kinds, 0.3),
        "triplet": weighted_regularised_triplet(f, labels),
        "ma": (p[0] - p[2]).square().sum() + (p[1] - p[2]).square().sum(),
    }
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.allclose(found[name], value, rtol=1e-4), name
    weights = {name: stage.loss_weights.get(name, 1.0) for name in found}
    assert weights == {"id": 1, "ia": 1, "triplet": 1, "ma": 0.5}


@pytest.mark.parametrize("name", ["id", "ia", "ma"])
def test_each_loss_reaches_the_generator_and_every_stem(make_method, run_steps, name):
    method = make_method()
    _, losses = run_steps(method)
    losses[name].backward()
    assert all(p.grad.abs().sum() > 0 for n, p in method.generator.named_parameters() if "bias" not in n)
    for stem in (V, R, A):
        assert method.network.stems.stems[stem].conv1.weight.grad.abs().sum() > 0


# --- modality alignment


def gradient_of(method, losses):
    return torch.autograd.grad(losses["ma"], method.network.body.layer4[0].conv1.weight, retain_graph=True)[0]


def test_accumulated_prototypes_enter_the_loss_and_its_value_is_without_the_factor(
    make_method, make_batch, run_steps
):
    method, batches = make_method(ma_momentum=0.75), [make_batch(seed) for seed in range(3)]
    (stage,) = method.stages()
    accumulated = None
    for number, batch in enumerate(batches):
        with torch.no_grad():
            twin = make_method()
            twin.load_state_dict(method.state_dict())
            rows = twin.stages()[0]._encode(batch)
        means = unit_means(rows.features, 6)
        accumulated = means if accumulated is None else 0.75 * accumulated + 0.25 * means
        losses = stage.step(batch)
        gaps = (accumulated[:2] - accumulated[2]).square().sum()
        assert torch.allclose(losses["ma"], gaps, rtol=1e-4), number
        assert torch.allclose(method.prototypes.moments[0], accumulated, atol=1e-6)


def test_on_a_fixed_batch_the_gradient_is_that_of_plain_matching_at_every_step(make_method, make_batch):
    batch, sizes = make_batch(), []
    for momentum in (0.0, 0.9):
        method = make_method(ma_momentum=momentum)
        (stage,) = method.stages()
        sizes.append([gradient_of(method, stage.step(batch)).norm().item() for _ in range(3)])
    assert sizes[1] == pytest.approx(sizes[0], rel=1e-3)
    assert sizes[1][0] == pytest.approx(sizes[1][2], rel=1e-3)


def test_prototypes_move_in_training_alone(make_method, make_batch, run_steps):
    method = make_method()
    run_steps(method, make_batch(0))
    kept = method.prototypes.moments.clone()
    assert method.prototypes.begun == 1
    assert kept.dtype is torch.float32
    method.eval()
    run_steps(method, make_batch(1))
    assert torch.equal(method.prototypes.moments, kept)
    method.train()
    run_steps(method, make_batch(1))
    assert not torch.equal(method.prototypes.moments, kept)
    assert not method.prototypes.moments.requires_grad


@pytest.mark.parametrize("reading", ["means", "moments", "assignments"])
@pytest.mark.parametrize("pairs", ["bridge", "direct"])
def test_readings_of_modality_alignment(make_method, make_batch, reading, pairs):
    method, batch = make_method(ma_reading=reading, ma_pairs=pairs), make_batch()
    (stage,) = method.stages()
    found = stage.step(batch)["ma"]
    rows = make_method().stages()[0]._encode(batch)
    f = rows.features.detach()
    mean = unit_means(f, 6)
    variance = torch.stack([F.normalize(x, dim=1).var(0, correction=0) for x in f.split(6)])
    meeting = [(0, 2), (1, 2)] if pairs == "bridge" else [(0, 1)]
    gaps = [sum((x[a] - x[b]).square().sum() for a, b in meeting) for x in (mean, variance)]
    expected = {
        "means": gaps[0],
        "moments": gaps[0] + gaps[1],
        "assignments": assignment_gap(f, rows.modalities, mean, pairs, 0.1),
    }
    assert torch.allclose(found, expected[reading], rtol=1e-3)


# --- rows


def test_views_count_as_visible_rows_and_are_not_fused(make_method, make_batch):
    method, batch = make_method(), make_batch(views=True)
    (stage,) = method.stages()
    rows = stage._encode(batch)
    assert rows.modalities.tolist() == [0] * 6 + [1] * 6 + [0] * 6 + [2] * 6
    assert torch.equal(rows.labels, LABELS.repeat(4))
    assert torch.equal(rows.fused[0], batch.clips[:6, 0])
    assert torch.equal(rows.fused[1], batch.clips[6:12, 0])
    stems = method.network.stems.stems
    assert [int(stems[name].bn1.num_batches_tracked) for name in (V, R, A)] == [1, 1, 1]


def test_frames_of_clips_are_fused_in_pairs_and_their_features_averaged(make_method, make_batch):
    method, twin, batch = make_method(), make_method(), make_batch(frames=3)
    rows = method.stages()[0]._encode(batch)
    images = batch.clips.flatten(0, 1)
    made = twin.generator(images[:18], images[18:])
    f = twin.network(torch.cat([images, made]), [Segment(name, 18) for name in (V, R, A)])
    torch.testing.assert_close(rows.features, f.view(18, 3, -1).mean(1))
    torch.testing.assert_close(rows.fused[2], made)


@pytest.mark.parametrize("own_stem", [True, False])
def test_the_stem_of_the_third_modality(make_method, run_steps, own_stem):
    method = make_method(own_stem=own_stem)
    run_steps(method)
    assert method.network.stems.names == ((V, R, A) if own_stem else (V, R))


def test_mmn_s_pictures_pass_the_stems_they_came_from(make_method, make_batch):
    method, batch = make_method(auxiliary="mmn"), make_batch()
    rows = method.stages()[0]._encode(batch)
    assert method.network.stems.names == (V, R)
    assert rows.features.shape[0] == 24
    assert rows.modalities.tolist() == [0] * 6 + [1] * 6 + [2] * 12
    twin = make_method(auxiliary="mmn")
    images = batch.clips[:, 0]
    made = twin.generator(images[:6], images[6:])
    f = twin.network(torch.cat([images, made]), [Segment(name, 6) for name in (V, R, V, R)])
    torch.testing.assert_close(rows.features, f)


def test_maps_instead_of_pictures(make_method, make_batch):
    method, batch = make_method(auxiliary_level="feature"), make_batch()
    assert method.generator.decoder is None
    assert method.generator.width == method.network.stems.stems[V].conv1.out_channels
    assert method.network.stems.names == (V, R)
    rows = method.stages()[0]._encode(batch)
    twin = make_method(auxiliary_level="feature")
    maps = twin.network.stems(batch.clips[:, 0], [Segment(V, 6), Segment(R, 6)])
    made = twin.generator(maps[:6], maps[6:])
    assert made.shape == maps[:6].shape
    f = twin.network.pool(twin.network.body(torch.cat([maps, made])))
    torch.testing.assert_close(rows.features, f, atol=1e-5, rtol=1e-4)


def test_without_a_third_modality_there_are_two(make_method, make_batch):
    method = make_method(auxiliary="none", ma_pairs="direct")
    stage = method.stages()[0]
    losses = stage.step(make_batch())
    assert method.generator is None
    assert losses.keys() == {"id", "ia", "ma"}
    assert stage._last.features.shape[0] == 12
    assert method.prototypes.moments.shape[1] == 2


# --- what is refused, and what is not waited for


def test_rows_that_do_not_pair_are_refused_by_name(make_method, make_batch):
    (stage,) = make_method().stages()
    batch = make_batch()
    labels = batch.labels.clone()
    labels[8] = 3
    wrong = replace(batch, labels=labels)
    message = "row 2 of the batch pairs label 1 (visible) with label 3 (infrared)"
    for refuse in (stage.check, stage.step):
        with pytest.raises(DataError, match=re.escape(message)):
            refuse(wrong)
    stage.before_stage(StageContext(label_ids=("Ann", "Bea", 7, "Cleo", "Dora")))
    with pytest.raises(DataError, match=re.escape("pairs person Bea (visible) with person Cleo (infrared)")):
        stage.check(wrong)
    swapped = replace(batch, infrared=~batch.infrared)
    with pytest.raises(DataError, match="expected 6 visible ones, then 6 infrared ones"):
        stage.check(swapped)
    stage.check(batch)
    stage.check(make_batch(views=True))


def test_on_an_accelerator_the_device_itself_refuses_them(make_method, make_batch):
    batch = make_batch(views=True)
    assert _mun_stage._are_paired(batch, 6)
    assert not _mun_stage._are_paired(replace(batch, infrared=~batch.infrared), 6)
    labels = batch.labels.clone()
    labels[7] = 0
    assert not _mun_stage._are_paired(replace(batch, labels=labels), 6)


@pytest.mark.parametrize("reading", ["moments", "assignments"])
def test_a_step_never_waits_for_the_device(make_method, make_batch, host_waits, reading):
    method = make_method(ma_reading=reading, sample_triplet=True, ia_anchors="auxiliary")
    (stage,), batch = method.stages(), make_batch(views=True)
    with host_waits as seen:
        stage.total(stage.step(batch)).backward()
        stage.monitors()
        _mun_stage._are_paired(batch, 6)
    assert seen.found == []


def test_a_step_under_autocast_is_near_one_without(make_method, make_batch):
    plain, mixed = (make_method().stages()[0] for _ in range(2))
    losses = plain.step(make_batch())
    with torch.autocast("cpu", torch.bfloat16):
        found = mixed.step(make_batch())
    assert all(value.dtype is torch.float32 for value in found.values())
    for name, value in losses.items():
        assert found[name].item() == pytest.approx(value.item(), rel=0.05), name
    mixed.total(found).backward()
    assert all(p.grad.isfinite().all() for p in mixed.generator.parameters())


def test_training_lowers_the_losses(make_method, make_batch):
    method, batch = make_method(), make_batch()
    (stage,) = method.stages()
    optimiser = torch.optim.Adam(method.parameters(), lr=3e-3)
    totals = []
    for _ in range(12):
        total = stage.total(stage.step(batch))
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
        totals.append(total.item())
    assert totals[-1] < 0.7 * totals[0]
