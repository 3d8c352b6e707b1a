from dataclasses import replace

import pytest
import torch


def test_interactions_train_the_tower_only_where_they_are_not_detached(make_method, run_step):
    for detach in (True, False):
        method = make_method(mii_detach=detach)
        _, losses = run_step(method)
        inside = [losses[name] for name in ("id_o", "frame_o", "triplet_o", "cmcl_sii", "cmcl_lii")]
        torch.stack(inside).sum().backward()
        tower = [p.grad for p in method.network.visual.blocks.parameters()]
        assert all((g is None) == detach for g in tower)
        assert all(p.grad is not None for p in method.network.interaction.parameters())


def test_the_last_block_for_class_tokens_alone_changes_no_gradient(make_method, make_batch):
    """Patches beside the graph, against the whole block with its patches detached."""
    gradients = []
    for is_cut in (True, False):
        method = make_method().double()
        network, batch = method.network, make_batch()
        network.detaches = is_cut
        features = network.encode_frames(batch.clips.double(), batch.cameras)
        if not is_cut:
            features = replace(features, patches=features.patches.detach())
        network.detaches = True
        fused = network.interact(features).fused
        (features.g.square().sum() + features.p.sum() + fused.square().sum()).backward()
        gradients.append({n: p.grad for n, p in network.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][name], msg=name)


@torch.inference_mode()
def test_class_tokens_alone_are_those_of_the_whole_last_block(make_method, make_batch):
    network = make_method().eval().network
    clips = make_batch().clips
    lean, full = network.encode_frames(clips, with_patches=False), network.encode_frames(clips)
    torch.testing.assert_close(lean.classes, full.classes)
    torch.testing.assert_close(lean.projected, full.projected)


def test_features_without_patches_cannot_interact(make_method, make_batch):
    network = make_method().network
    features = network.encode_frames(make_batch().clips, with_patches=False)
    assert features.patches is None
    with pytest.raises(RuntimeError, match="without patches"):
        network.interact(features)


def test_parts_that_are_off_are_not_there(make_method, make_batch, run_step):
    bare = make_method(use_sii=False, use_lii=False, use_cii=False)
    network = bare.network
    assert network.interaction is network.mii_neck is network.mii_frame_norm is None
    assert bare.embedding_dim == 48
    assert bare.encode(make_batch().clips).shape == (12, 48)
    _, losses = run_step(bare)
    assert set(losses) == {"cpc_visible", "cpc_infrared", "triplet_g", "triplet_p", "id", "frame"}
    assert make_method(loss={"cpc": 0}).network.memory is None
    alone = make_method(use_sii=False, use_lii=False, mii_detach=False)
    _, losses = run_step(alone)
    assert {"cmcl_class", "norm_class"} < set(losses)
    losses["cmcl_class"].backward()
    assert alone.network.visual.blocks[0].mlp.expand.weight.grad.abs().sum() > 0
