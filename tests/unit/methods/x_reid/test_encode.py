import pytest
import torch
import torch.nn.functional as F


@torch.inference_mode()
def test_an_embedding_is_its_parts_behind_their_norms(make_method, make_batch):
    method = make_method().eval()
    network, clips = method.network, make_batch().clips
    for norm in (*network.neck.norms, network.mii_neck.norm):
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
    features = network.encode_frames(clips, torch.full((12,), -1))
    o = network.mii_neck.norm(network.interact(features).fused.mean(1))
    parts = [network.neck.norms[0](features.g), network.neck.norms[1](features.p), o]
    torch.testing.assert_close(method.encode(clips), F.normalize(torch.cat(parts, 1), dim=1))
    assert method.embedding_dim == 32 + 16 + 32
    for chosen in (("g",), ("g", "o"), ("o",)):
        method.config = method.config.model_copy(update={"test_feature": chosen})
        expected = torch.cat([part for part, name in zip(parts, "gpo", strict=True) if name in chosen], 1)
        torch.testing.assert_close(method.encode(clips), F.normalize(expected, dim=1))
        assert method.embedding_dim == expected.shape[1]


@torch.inference_mode()
def test_cameras_are_known_by_their_ids_and_others_get_the_mean(make_method, make_batch):
    method = make_method().eval()
    clips = make_batch().clips[:3]
    assert method.camera_ids == (0, 1, 2)
    method.camera_ids = ("D1", 7, "D3")
    found = method.encode(clips, camera_ids=["D3", 7, "D1"])
    features = method.network.encode_frames(clips, torch.tensor([2, 1, 0]))
    expected = F.normalize(method.network.neck.normed(features.g, features.p), dim=1)
    torch.testing.assert_close(F.normalize(found[:, :48], dim=1), expected)
    unknown = method.encode(clips, camera_ids=["D9", None, "7"])
    torch.testing.assert_close(unknown, method.encode(clips))
    assert not torch.allclose(unknown, found, atol=1e-4)
    mixed = method.encode(clips, camera_ids=["D3", None, "D1"])
    torch.testing.assert_close(mixed, torch.stack([found[0], unknown[1], found[2]]))


def test_unknown_cameras_are_refused_where_asked(make_method, make_batch):
    method = make_method(unknown_camera="error")
    clips = make_batch().clips[:2]
    with pytest.raises(ValueError, match="camera 3 is not among those of the training data: 0, 1, 2"):
        method.encode(clips, camera_ids=[0, 3])
    with pytest.raises(ValueError, match="camera None is not among"):
        method.encode(clips)
    with pytest.raises(ValueError, match="1 camera_ids for 2 clips"):
        method.encode(clips, camera_ids=[0])
    assert method.reads_cameras
    without = make_method(camera_embedding=False, unknown_camera="error")
    assert not without.reads_cameras
    torch.testing.assert_close(without.encode(clips), without.encode(clips, camera_ids=[8, 9]))


@torch.inference_mode()
@pytest.mark.parametrize("frames", [1, 2, 7])
def test_clips_of_any_length_stand_alone(make_method, make_batch, frames):
    method = make_method().eval()
    clips = make_batch(frames=frames).clips[:3]
    together = method.encode(clips, camera_ids=[0, 1, 2])
    for i in range(3):
        alone = method.encode(clips[i : i + 1], camera_ids=[i])
        torch.testing.assert_close(alone, together[i : i + 1], atol=1e-5, rtol=1e-4)


@torch.inference_mode()
def test_training_mode_parts_are_not_needed_to_encode(make_method, make_batch):
    method = make_method().eval()
    clips = make_batch().clips
    expected = method.encode(clips)
    method.network.memory = None
    method.network.interaction.partner = None
    assert torch.equal(method.encode(clips), expected)


@pytest.mark.parametrize("shape", [(2, 3, 24, 16), (2, 4, 1, 24, 16)])
def test_clips_of_another_shape_are_refused(make_method, shape):
    with pytest.raises(ValueError, match=r"clips of shape .*: expected"):
        make_method().encode(torch.zeros(shape))
