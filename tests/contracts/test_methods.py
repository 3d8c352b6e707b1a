"""What every method promises, run over the registry: a new method is tested by being there."""

from collections.abc import Iterator

import pytest
import torch

from tapetum.methods import Method, Stage, create_method, method_names
from tapetum.methods._base import StageContext
from tapetum.types import Batch, Modality

IDENTITIES, CAMERAS = 4, 2


@pytest.fixture(params=method_names())
def method(request) -> Method:
    return build(request.param)


def build(name: str, seed: int = 0) -> Method:
    torch.manual_seed(seed)
    return create_method(name, num_identities=IDENTITIES, num_cameras=CAMERAS, preset="tiny", weights="none")


def make_clips(method: Method, rows: int, frames: int | None = None, seed: int = 0) -> torch.Tensor:
    size = method.preprocessing
    shape = (rows, frames or size.frames, 3, size.height, size.width)
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def make_batch(method: Method, labels: list[int], seed: int = 0) -> Batch:
    """A cross-modal batch with the given labels in both halves."""
    half = len(labels)
    both = torch.tensor([*labels, *labels])
    infrared = torch.arange(2 * half) >= half
    return Batch(make_clips(method, 2 * half, seed=seed), both, infrared, infrared.long(), seed)


def context_of(method: Method) -> StageContext:
    def iterate() -> Iterator[Batch]:
        yield make_batch(method, [0, 1], seed=1)
        yield make_batch(method, [2, 3], seed=2)

    return StageContext(iterate_training_set=iterate)


def batch_for(method: Method, stage: Stage) -> Batch:
    if stage.reads_frames:
        return make_batch(method, [3, 3, 1, 1])
    nothing = torch.empty(0, dtype=torch.long)
    return Batch(torch.empty(0), nothing, nothing.bool(), nothing, seed=5)


def run_stage(method: Method, stage: Stage) -> None:
    """One update of one stage, as the training loop makes it."""
    context = context_of(method)
    method.train()
    stage.before_stage(context)
    stage.before_epoch(0, context)
    groups = stage.parameter_groups()
    optimiser = torch.optim.AdamW(
        [{"params": g.parameters, "lr": g.lr, "weight_decay": g.weight_decay} for g in groups]
    )
    losses = stage.step(batch_for(method, stage))
    assert losses
    for name, value in losses.items():
        assert value.shape == (), name
        assert value.dtype is torch.float32, name
        assert torch.isfinite(value), name
    stage.total(losses).backward()
    optimiser.step()
    stage.after_stage(context)
    method.zero_grad()


def test_method_declares_what_users_choose_from(method):
    assert {"paper", "tiny"} <= set(method.presets)
    assert method.embedding_dim > 0
    assert len({stage.name for stage in method.stages()}) == len(method.stages())


def test_every_stage_steps_and_moves_declared_parameters_only(method):
    for stage in method.stages():
        declared = {id(p) for group in stage.parameter_groups() for p in group.parameters}
        before = {name: p.detach().clone() for name, p in method.named_parameters()}
        run_stage(method, stage)
        moved = {name for name, p in method.named_parameters() if not torch.equal(p, before[name])}
        assert moved, stage.name
        assert {name for name, p in method.named_parameters() if id(p) in declared} >= moved, stage.name
        assert all(torch.isfinite(p).all() for p in method.parameters()), stage.name


def test_parameter_groups_are_disjoint_and_part_of_the_method(method):
    owned = {id(p) for p in method.parameters()}
    for stage in method.stages():
        members = [id(p) for group in stage.parameter_groups() for p in group.parameters]
        assert len(set(members)) == len(members)
        assert set(members) <= owned


def test_stages_say_what_they_need(method):
    for stage in method.stages():
        assert stage.batches.identities >= 1
        assert stage.schedule.epochs >= 1
        assert stage.optim.lr > 0
        assert stage.augment is not None
        assert all(weight >= 0 for weight in stage.loss_weights.values())


def test_a_trained_method_s_tensors_rebuild_its_embeddings(method):
    for stage in method.stages():
        run_stage(method, stage)
    clips = make_clips(method, 2)
    twin = build(method.name, seed=1)
    twin.load_state_dict(method.state_dict())
    with torch.inference_mode():
        assert torch.equal(twin.eval().encode(clips), method.eval().encode(clips))


@torch.inference_mode()
def test_embeddings_are_unit_float32_rows(method):
    clips = make_clips(method, 3)
    embeddings = method.eval().encode(clips, modality=Modality.INFRARED)
    assert embeddings.shape == (3, method.embedding_dim)
    assert embeddings.dtype is torch.float32
    assert torch.allclose(embeddings.norm(dim=1), torch.ones(3), atol=1e-5)


@torch.inference_mode()
def test_a_tracklet_s_embedding_does_not_depend_on_its_batch(method):
    clips = make_clips(method, 4)
    modality = [Modality.VISIBLE, Modality.INFRARED] * 2
    method.eval()
    together = method.encode(clips, modality=modality)
    alone = torch.cat([method.encode(clips[i : i + 1], modality=modality[i : i + 1]) for i in range(4)])
    assert torch.allclose(together, alone, atol=1e-5)
    assert not torch.allclose(together[:1], together[1:], atol=1e-3)


@torch.inference_mode()
def test_an_image_is_a_clip_of_one_frame(method):
    embeddings = method.eval().encode(make_clips(method, 2, frames=1), modality=Modality.VISIBLE)
    assert embeddings.shape == (2, method.embedding_dim)
    assert torch.isfinite(embeddings).all()
