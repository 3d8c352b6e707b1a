import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tapetum.config import build_config
from tapetum.data.synthetic import VOCABULARY
from tapetum.data.synthetic.crowd import Crowd, draw_crowd
from tapetum.errors import CheckpointError
from tapetum.models import WordTokenizer
from tapetum.training import pretraining
from tapetum.training.pretraining import (
    PretrainConfig,
    Pretraining,
    contrastive_loss,
    steps_per_epoch,
    zero_shot,
)

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def tiny(small_pretraining):
    changes = {"views": 2, "captions": 3, "epochs": 3, "warmup_steps": 2}
    return build_config(PretrainConfig, small_pretraining, changes)


@pytest.fixture(scope="module")
def crowd(tiny):
    return draw_crowd(tiny.crowd(unseen=False))


@pytest.fixture
def start(tiny):
    """(changes) -> a pretraining that begins."""
    return lambda **changes: Pretraining.start(tiny.model_copy(update=changes), CPU)


def run_epochs(run, crowd, count):
    losses = []
    for _ in range(count):
        run.epoch(crowd, lambda done, loss: losses.append((done, float(loss))))
    return losses


def weights(run):
    return {name: tensor.clone() for name, tensor in run.model.state_dict().items()}


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_contrastive_loss_against_a_loop():
    rng = np.random.default_rng(0)
    image, text, scale = rng.normal(size=(5, 7)), 3 * rng.normal(size=(5, 7)), 1.3
    cosine = [[float(i @ t / np.linalg.norm(i) / np.linalg.norm(t)) for t in text] for i in image]
    logits = np.exp(scale) * np.array(cosine)
    total = 0.0
    for i in range(5):
        rows = math.log(sum(math.exp(logits[i, j]) for j in range(5))) - logits[i, i]
        columns = math.log(sum(math.exp(logits[j, i]) for j in range(5))) - logits[i, i]
        total += (rows + columns) / 2 / 5
    tensors = [torch.tensor(x, dtype=torch.float32) for x in (image, text, scale)]
    assert float(contrastive_loss(*tensors)) == pytest.approx(total, rel=1e-5)
    half = contrastive_loss(tensors[0].bfloat16(), tensors[1].bfloat16(), tensors[2])
    assert half.dtype == torch.float32


def test_contrastive_loss_has_true_gradients():
    torch.manual_seed(0)
    image, text = (torch.randn(3, 4, requires_grad=True) for _ in range(2))
    scale = torch.tensor(0.5, requires_grad=True)
    contrastive_loss(image, text, scale).backward()
    step = 1e-3
    with torch.no_grad():
        for tensor in (image, text, scale):
            flat = tensor.view(-1)
            flat[0] += step
            above = contrastive_loss(image, text, scale)
            flat[0] -= 2 * step
            below = contrastive_loss(image, text, scale)
            flat[0] += step
            assert float(tensor.grad.view(-1)[0]) == pytest.approx(float(above - below) / 2 / step, abs=2e-3)


def test_batches_show_every_frame_once_an_epoch_and_each_person_once_a_batch(monkeypatch, tiny):
    """Frames and sentences carry their numbers instead of pictures."""
    config = tiny.model_copy(update={"identities": 7})
    visible = np.zeros((7, 2, 3, 32, 32), np.uint8)
    visible += np.arange(14, dtype=np.uint8).reshape(7, 2, 1, 1, 1)
    sentences = [[f"{VOCABULARY[0]} " * (1 + person)] * 3 for person in range(7)]
    monkeypatch.setattr(pretraining, "_augment", lambda frames, *_: frames)
    orders = []
    for epoch in range(2):
        batches = list(pretraining._batches(Crowd(visible, visible[:, :0], sentences), config, epoch))
        assert len(batches) == steps_per_epoch(config) == 4
        shown = [frames[:, 0, 0, 0].tolist() for frames, _ in batches]
        seen = [number for batch in shown for number in batch]
        assert len(set(seen)) == len(seen) == 12  # of 14: each turn leaves out one of seven people
        for numbers, (frames, tokens) in zip(shown, batches, strict=True):
            people = [number // 2 for number in numbers]
            assert len(set(people)) == 3
            assert frames.shape == (3, 3, 32, 32)
            expected = WordTokenizer(VOCABULARY).encode([sentences[p][0] for p in people], 40)
            assert torch.equal(tokens, expected)
        orders.append(seen)
    assert orders[0] != orders[1]


def test_augmentation_shifts_flips_and_greys(tiny):
    frames = torch.zeros(400, 3, 32, 32, dtype=torch.uint8)
    frames[:, :, 10:20, 4:12] = torch.tensor([200, 100, 50], dtype=torch.uint8).view(3, 1, 1)
    shown = pretraining._augment(frames, tiny, np.random.default_rng(0))
    assert (shown.dtype, shown.shape) == (torch.uint8, frames.shape)
    colours = {tuple(frame.amax((1, 2)).tolist()) for frame in shown}
    luminance = int(0.299 * 200 + 0.587 * 100 + 0.114 * 50)
    assert colours == {(200, 100, 50), (luminance,) * 3}
    grey = sum(frame[0].max() == luminance for frame in shown) / 400
    assert grey == pytest.approx(0.3, abs=0.08)
    corners = [torch.nonzero(frame[0]).amin(0).tolist() for frame in shown]
    assert {top for top, _ in corners} == set(range(6, 15))
    assert {left for _, left in corners} == set(range(9)) | set(range(16, 25))
    flipped = sum(left >= 16 for _, left in corners) / 400
    assert flipped == pytest.approx(0.5, abs=0.1)
    again = pretraining._augment(frames, tiny, np.random.default_rng(0))
    assert torch.equal(again, shown)


def test_rate_warms_up_then_falls_as_a_cosine():
    rates = [pretraining._rate(step, 10, 2) for step in range(10)]
    expected = [0.5, 1.0, *(0.5 * (1 + math.cos(math.pi * k / 8)) for k in range(8))]
    assert rates == pytest.approx(expected)
    assert pretraining._rate(0, 1, 0) == 1


def test_steps_are_counted_and_the_loss_falls(start):
    """Six people, each of one colour and with one word."""
    colours = [[250, 0, 0], [0, 250, 0], [0, 0, 250], [250, 250, 250], [0, 0, 0], [250, 250, 0]]
    frames = np.empty((6, 2, 3, 32, 32), np.uint8)
    frames[:] = np.array(colours).reshape(6, 1, 3, 1, 1)
    crowd = Crowd(frames, frames[:, :0], [[VOCABULARY[person]] * 3 for person in range(6)])
    run = start(epochs=40, batch=6, warmup_steps=5, grey=0.0)
    losses = run_epochs(run, crowd, 40)
    assert [done for done, _ in losses] == list(range(1, 81))
    assert np.mean([loss for _, loss in losses[-10:]]) < 0.7 * math.log(6)  # chance among six


def test_the_seed_decides_everything(crowd, tiny, start):
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    one, twin, other = start(), start(), start(seed=1)
    assert run_epochs(one, crowd, 1) == run_epochs(twin, crowd, 1)
    run_epochs(other, crowd, 1)
    assert torch.equal(torch.random.get_rng_state(), before)  # the caller's generator is left alone
    assert steps_per_epoch(tiny) == 4
    assert equal(weights(one), weights(twin))
    assert not equal(weights(one), weights(other))


@pytest.mark.parametrize("after", [1, 2])
def test_resume_after_an_epoch_is_exact(crowd, tmp_path, after, start):
    whole = start()
    expected = run_epochs(whole, crowd, 3)
    parted = start()
    losses = run_epochs(parted, crowd, after)
    parted.save(tmp_path / "state.safetensors")
    resumed = start()
    resumed.load(tmp_path / "state.safetensors")
    assert resumed.epochs == after
    assert losses + run_epochs(resumed, crowd, 3 - after) == expected
    assert equal(weights(whole), weights(resumed))


def test_a_state_of_another_configuration_is_refused(tmp_path, start):
    start().save(tmp_path / "state.safetensors")
    with pytest.raises(
        CheckpointError, match=r"state\.safetensors: of another configuration: .*\"lr\":0\.001"
    ):
        start(lr=0.1).load(tmp_path / "state.safetensors")
    for content in (b"no tensors", (tmp_path / "state.safetensors").read_bytes()[:-9]):
        (tmp_path / "broken.safetensors").write_bytes(content)
        with pytest.raises(CheckpointError, match=r"broken\.safetensors"):
            start().load(tmp_path / "broken.safetensors")


def test_only_matrices_decay_and_the_scale_is_bounded(crowd, start):
    run = start(weight_decay=0.3)
    decayed = {id(p) for p in run.optimiser.param_groups[0]["params"]}
    assert [group["weight_decay"] for group in run.optimiser.param_groups] == [0.3, 0.0]
    for parameter in run.model.parameters():
        assert (id(parameter) in decayed) == (parameter.ndim >= 2)
    with torch.no_grad():
        run.model.logit_scale.fill_(9.0)
    run_epochs(run, crowd, 1)
    assert float(run.model.logit_scale.detach()) <= math.log(100) + 1e-6


class Reader(torch.nn.Module):
    """Plays a CLIP whose embeddings are given: of a frame by its first pixel, of a sentence by its order."""

    def __init__(self, pictures, texts):
        super().__init__()
        self.table = torch.nn.Parameter(torch.tensor(np.array(pictures), dtype=torch.float32))
        self.texts = torch.tensor(np.array(texts), dtype=torch.float32)

    def encode_image(self, images):
        grey = (images[:, 0, 0, 0] * 0.229 + 0.485) * 255
        return self.table[grey.round().long()]

    def encode_text(self, ids):
        return self.texts


def test_zero_shot_on_a_case_worked_by_hand(tiny):
    """Person 0 is found first, person 1 second, person 2 last of six; by night everybody is found."""
    basis = np.eye(8)
    pictures = [basis[i] for i in range(6)] + [basis[6], basis[7]]
    texts = [
        3 * basis[0],  # right, and its length does not count
        basis[1] + 1.1 * basis[0],  # one picture is nearer
        -basis[2] + 0.1 * basis[[0, 1, 3, 4, 5]].sum(0),  # all five others are nearer
        *(basis[i] for i in (3, 4, 5)),
    ]
    frames = np.zeros((6, 1, 3, 32, 32), np.uint8) + np.arange(6, dtype=np.uint8).reshape(6, 1, 1, 1, 1)
    one = SimpleNamespace(visible=frames, infrared=frames, captions=[[VOCABULARY[0]]] * 6)
    model = Reader(pictures, texts).train()
    found = zero_shot(model, one, tiny.model_copy(update={"batch": 4}))
    expected = {"rank1": 4 / 6, "rank5": 5 / 6, "chance_rank1": 1 / 6, "people": 6.0}
    assert found == {"visible": pytest.approx(expected), "infrared": pytest.approx(expected)}
    assert not model.training


def test_sizes_follow_the_configuration(tiny, start):
    vision, text = tiny.vision(), tiny.text()
    assert (vision.width, vision.heads, vision.layers, vision.output_dim) == (64, 1, 1, 16)
    assert (vision.image_size, vision.patch_size, vision.stem_channels) == ((32, 32), 16, (8, 8, 8, 8))
    assert (text.width, text.context_length, text.output_dim) == (64, 40, 16)
    assert text.vocab_size == WordTokenizer(VOCABULARY).vocab_size
    model = start().model
    images = torch.zeros(2, 3, 32, 32)
    assert F.normalize(model.encode_image(images), dim=1).shape == (2, 16)
