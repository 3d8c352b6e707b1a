import pytest
import torch
import torch.nn.functional as F
from safetensors import safe_open

from tapetum.methods._checkpoint import all_tensors, fingerprint, load_method, save_method, stored_tensors
from tapetum.models.streams import Segment
from tapetum.types import Modality

KINDS = [Modality.VISIBLE, Modality.INFRARED, Modality.INFRARED]


@pytest.fixture
def trained(make_method, run_steps):
    """A method whose every tensor has moved."""
    method = make_method()
    stage, losses = run_steps(method)
    stage.total(losses).backward()
    with torch.no_grad():
        for p in method.parameters():
            if p.grad is not None:
                p.sub_(0.1 * p.grad)
    return method.eval()


@pytest.fixture
def clips(make_batch):
    return make_batch(7, frames=2).clips[:3]


@pytest.mark.parametrize(
    "options", [{}, {"own_stem": False}, {"auxiliary": "mmn"}, {"auxiliary_level": "feature"}]
)
@torch.inference_mode()
def test_nothing_that_only_training_needs_is_read(make_method, clips, options):
    method = make_method(**options).eval()
    expected = method.encode(clips, modality=KINDS)
    assert method.training_parts[:2] == ("generator", "prototypes")
    method.drop_training_parts()
    names = set(method.state_dict())
    assert not any("generator" in name or "auxiliary" in name or "prototypes" in name for name in names)
    assert torch.equal(method.encode(clips, modality=KINDS), expected)


@torch.inference_mode()
def test_a_model_file_holds_neither_generator_nor_third_stem(trained, clips, tmp_path):
    path = tmp_path / "model.safetensors"
    save_method(trained, path)
    with safe_open(path, framework="pt") as file:
        names = set(file.keys())
    dropped = set(trained.state_dict()) - names
    assert {name.split(".")[0] for name in dropped} == {"generator", "network"}
    assert all(".auxiliary." in name or name.startswith("generator.") for name in dropped)
    assert any(".auxiliary." in name for name in dropped)
    found = load_method(path)
    assert torch.equal(found.method.encode(clips, modality=KINDS), trained.encode(clips, modality=KINDS))
    assert found.fingerprint == fingerprint(trained) == fingerprint(found.method)
    assert not hasattr(found.method, "generator")
    with pytest.raises(RuntimeError, match="a model file of mun holds no generator"):
        found.method.stages()


def test_a_name_says_nothing_of_what_only_training_needs(trained):
    before = fingerprint(trained)
    with torch.no_grad():
        trained.generator.decoder.weight.add_(1)
        trained.network.stems.stems["auxiliary"].conv1.weight.add_(1)
    assert fingerprint(trained) == before
    with torch.no_grad():
        trained.network.stems.stems["visible"].conv1.weight.add_(1)
    assert fingerprint(trained) != before


def test_checkpoints_hold_everything(trained):
    everything, stored = all_tensors(trained), stored_tensors(trained)
    extra = {name.split(".")[0] for name in everything.keys() - stored.keys()}
    assert extra == {"generator", "prototypes", "network"}
    assert {"prototypes.moments", "prototypes.begun"} <= set(everything)


@torch.inference_mode()
def test_an_embedding_is_the_mean_over_frames_behind_the_neck(trained, clips):
    network = trained.network
    f = network(clips.flatten(0, 1), [Segment("visible", 2), Segment("infrared", 4)])
    norm = network.neck.norm
    z = (f - norm.running_mean) / (norm.running_var + norm.eps).sqrt() * norm.weight
    found = trained.encode(clips, modality=KINDS)
    expected = F.normalize(z.view(3, 2, -1).mean(1), dim=1)  # mean of z is z of the mean
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)
    assert trained.embedding_dim == f.shape[1] == 256
