import pytest
import torch

from tapetum.methods import create_method
from tapetum.types import Batch


def make_method(seed=0, **changes):
    torch.manual_seed(seed)
    return create_method("small-cnn", num_identities=4, num_cameras=1, preset="tiny", **changes)


def make_batch():
    labels = torch.tensor([0, 0, 3, 3] * 2)
    clips = torch.randn(8, 2, 3, 96, 48, generator=torch.Generator().manual_seed(0))
    return Batch(clips, labels, torch.arange(8) >= 4, labels, seed=0)


def test_features_are_means_of_stripes_and_frames():
    method = make_method().eval()
    clips = make_batch().clips[:2]
    maps = method.backbone(clips.flatten(0, 1))
    assert maps.shape == (4, 128, 12, 6)
    expected = maps.view(2, 2, 128, 4, 3, 6).mean((1, 4, 5)).transpose(1, 2)
    assert torch.allclose(method.features(clips), expected, atol=1e-5)


def test_a_change_in_one_stripe_stays_near_it():
    method = make_method(width=48).eval()
    clips = make_batch().clips[:1]
    changed = clips.clone()
    changed[..., :8, :] += 5
    moved = (method.features(changed) - method.features(clips)).abs().amax((0, 2)) > 1e-6
    assert moved.tolist() == [True, True, False, False] or moved.tolist() == [True, False, False, False]


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({}, {"id", "wrt"}),
        ({"loss.hard": 1.0}, {"id", "wrt", "hard"}),
        ({"loss.wrt": 0.0}, {"id"}),
        ({"loss.id": 0.0}, {"wrt"}),
    ],
)
def test_losses_are_those_with_a_weight(changes, names):
    (stage,) = make_method(**changes).stages()
    losses = stage.step(make_batch())
    assert set(losses) == names
    assert all(stage.loss_weights[name] > 0 for name in names)


@pytest.mark.parametrize("changes", [{"label_smooth": 0.3}, {"hard_margin": None}, {"stripes": 6}])
def test_every_switch_acts(changes):
    values = [
        make_method(**{"loss.hard": 1.0, **change}).stages()[0].step(make_batch()) for change in ({}, changes)
    ]
    assert any(not torch.equal(values[0][name], values[1][name]) for name in values[0])


def test_training_lowers_the_loss():
    method = make_method()
    (stage,) = method.stages()
    optimiser = torch.optim.AdamW([{"params": g.parameters, "lr": g.lr} for g in stage.parameter_groups()])
    history = []
    for _ in range(6):
        loss = stage.total(stage.step(make_batch()))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        history.append(loss.item())
    assert history[-1] < history[0]
