"""CLIP4VI-ReID: what is encoded, every switch, what is refused."""

import pytest
import torch
import torch.nn.functional as F

from tapetum.errors import ConfigError
from tapetum.methods._checkpoint import load_method, save_method
from tapetum.types import Modality

# --- what is encoded


def test_embeddings_are_the_mean_over_frames_of_both_features_before_their_norms(small):
    method = small.make_method().eval()
    clips = torch.randn(2, 3, 3, small.HEIGHT, small.WIDTH)
    with torch.no_grad():
        frames = [method.network.encode_clips(clips[:, t : t + 1]) for t in range(3)]
        g, f = (torch.stack([getattr(x, name) for x in frames]).mean(0) for name in "gf")
        expected = F.normalize(torch.cat([g, f], 1), dim=1)
        torch.testing.assert_close(method.encode(clips), expected)
        assert method.embedding_dim == expected.shape[1] == 48
        shuffled = method.encode(clips[:, [2, 0, 1]])
        torch.testing.assert_close(shuffled, expected)


def test_parts_may_be_normed_and_made_equally_long(small):
    method = small.make_method(test_feature=("bn_g", "f"), normalise_parts=True).eval()
    norm = method.network.necks["g"].norm
    norm.running_mean.uniform_(-1, 1)
    norm.running_var.uniform_(0.5, 2)
    clips = torch.randn(3, 1, 3, small.HEIGHT, small.WIDTH)
    with torch.no_grad():
        x = method.network.encode_clips(clips)
        g = (x.g.double() - norm.running_mean) / (norm.running_var.double() + norm.eps).sqrt() * norm.weight
        parts = [part / part.norm(dim=1, keepdim=True) for part in (g, x.f.double())]
        found = method.encode(clips).double()
    torch.testing.assert_close(found, torch.cat(parts, 1) / 2**0.5, atol=1e-6, rtol=0)
    cosines = (parts[0] @ parts[0].t() + parts[1] @ parts[1].t()) / 2
    torch.testing.assert_close(found @ found.t(), cosines, atol=1e-6, rtol=0)


def test_each_modality_passes_its_own_stem(small):
    method = small.make_method(modality_stems=True).eval()
    stems = method.network.images.visual.stem.stems
    clips = torch.randn(3, 2, 3, small.HEIGHT, small.WIDTH)
    with torch.no_grad():
        same = [method.encode(clips, modality=m) for m in Modality]
        assert torch.equal(*same)
        stems["infrared"].projection.weight.mul_(-1)
        visible, infrared = (method.encode(clips, modality=m) for m in Modality)
        assert torch.equal(visible, same[0])
        assert not torch.allclose(infrared, visible, atol=1e-3)
        mixed = method.encode(clips, modality=["visible", "infrared", "visible"])
    torch.testing.assert_close(mixed, torch.stack([visible[0], infrared[1], visible[2]]))


@pytest.mark.parametrize(
    ("modality", "message"),
    [
        (None, "3 of 3 clips are of unknown modality"),
        ([Modality.VISIBLE, None, Modality.INFRARED], "1 of 3 clips are of unknown modality.*modality_stems"),
        ([Modality.VISIBLE], "1 modalities for 3 clips"),
    ],
)
def test_clips_of_unknown_modality_are_refused_where_it_decides_the_stem(small, modality, message):
    clips = torch.randn(3, 1, 3, small.HEIGHT, small.WIDTH)
    with pytest.raises(ValueError, match=message):
        small.make_method(modality_stems=True).eval().encode(clips, modality=modality)
    assert small.make_method().eval().encode(clips, modality=None).shape == (3, 48)


@torch.no_grad()
def test_clips_of_unknown_modality_may_pass_both_stems(small):
    method = small.make_method(modality_stems=True, unknown_modality="mean").eval()
    method.network.images.visual.stem.stems["infrared"].projection.weight.mul_(-1)
    clips = torch.randn(3, 1, 3, small.HEIGHT, small.WIDTH)
    visible, infrared = (method.encode(clips, modality=m) for m in Modality)
    both = F.normalize(visible + infrared, dim=1)
    torch.testing.assert_close(method.encode(clips), both)
    found = method.encode(clips, modality=[Modality.VISIBLE, None, Modality.INFRARED])
    torch.testing.assert_close(found, torch.stack([visible[0], both[1], infrared[2]]))


def test_a_model_file_holds_the_texts_and_not_what_made_them(small, tmp_path):
    method = small.make_method().eval()
    method.network.refresh_text_bank()
    save_method(method, tmp_path / "model.safetensors")
    loaded = load_method(tmp_path / "model.safetensors").method
    clips = torch.randn(2, 1, 3, small.HEIGHT, small.WIDTH)
    assert torch.equal(loaded.encode(clips), method.encode(clips))
    assert torch.equal(loaded.network.text_bank, method.network.text_bank)
    assert not any(name.startswith(("network.text.", "network.prompts.")) for name in loaded.state_dict())
    begun = small.make_method(use_hsa=False)
    save_method(begun, tmp_path / "begun.safetensors")  # a later run may go on with its prompts
    kept = load_method(tmp_path / "begun.safetensors").method.network.prompts["shared"].tokens
    assert torch.equal(kept, begun.network.prompts["shared"].tokens)


@pytest.mark.parametrize("shape", [(2, 3, 24, 16), (2, 1, 1, 24, 16)])
def test_clips_of_another_shape_are_refused(small, shape):
    with pytest.raises(ValueError, match=r"clips of shape .*: expected"):
        small.make_method().encode(torch.zeros(shape))


def test_an_unknown_word_is_a_configuration_error(small):
    with pytest.raises(ConfigError, match="exactly one gap"):
        small.make_method(prompt="a person")
