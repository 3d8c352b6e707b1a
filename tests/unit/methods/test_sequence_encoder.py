import pytest
import torch

from tapetum.errors import ConfigError
from tapetum.methods._sequence_encoder import SequenceEncoder, TemporalLayout
from tapetum.models import VisionConfig, VisionTransformer

CONFIG = VisionConfig(width=32, layers=4, heads=2, patch_size=8, image_size=(48, 24), output_dim=16)


def make_encoder(split=(4, 0, 0), frames=4, seed=0, options=None, **layout):
    torch.manual_seed(seed)
    visual = VisionTransformer(CONFIG).double().eval()
    plan = TemporalLayout(split=split, **{"stripes": 3, "frame_groups": 2, **layout})
    return SequenceEncoder(visual, plan, frames, **(options or {})).double()


def make_clips(rows=2, frames=4, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(rows, frames, 3, 48, 24, generator=generator, dtype=torch.float64)


def test_without_temporal_blocks_features_are_frame_means_of_the_plain_tower():
    encoder, clips = make_encoder(), make_clips()
    found = encoder(clips)
    tokens = encoder.visual.embed(clips.flatten(0, 1))
    states = [tokens]
    for index in range(4):
        states.append(encoder.visual.run_block(index, states[-1]))
    feature, joint = encoder.visual.finish(states[-1][:, 0])

    def pooled(x):
        return x.view(2, 4, -1).mean(1).float()

    assert torch.allclose(found.last, pooled(states[3][:, 0]))
    assert torch.allclose(found.pooled, pooled(feature))
    assert torch.allclose(found.projected, pooled(joint))
    assert torch.allclose(found.tokens.flatten(0, 1), encoder.visual(clips.flatten(0, 1)))


LAYOUTS = {
    "stripes": {"split": (1, 2, 1)},
    "heads": {"split": (1, 2, 1), "group_mode": "head_split"},
    "groups": {"split": (1, 2, 1), "group_mode": "frame_group"},
    "short": {"split": (1, 0, 3), "shift_pattern": "short"},
    "shift": {"split": (1, 0, 3)},
    "alternate": {"split": (1, 0, 3), "alternate": True},
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_asking_for_patches_changes_no_other_feature(name):
    encoder, clips = make_encoder(**LAYOUTS[name]), make_clips()
    lean, full = encoder(clips), encoder(clips, with_patches=True)
    assert lean.patches is None
    assert full.patches.shape == (2, 4, 18, 16)
    for part in ("last", "pooled", "tokens", "projected"):
        assert torch.allclose(getattr(lean, part), getattr(full, part))


def test_every_layout_is_its_own_function():
    clips = make_clips()
    found = [make_encoder(**layout)(clips).pooled for layout in ({}, *LAYOUTS.values())]
    for i, one in enumerate(found):
        assert all(not torch.allclose(one, other, atol=1e-6) for other in found[:i])


def test_stripe_tubes_alone_do_not_know_the_order_of_frames_but_shifts_do():
    clips = make_clips()
    order = [2, 0, 3, 1]
    tubes, shifts = make_encoder(split=(2, 2, 0)), make_encoder(split=(1, 0, 3))
    assert torch.allclose(tubes(clips[:, order]).pooled, tubes(clips).pooled)
    assert not torch.allclose(shifts(clips[:, order]).pooled, shifts(clips).pooled, atol=1e-6)


@pytest.mark.parametrize("name", LAYOUTS)
def test_clips_of_any_length_work_and_stand_alone(name):
    encoder = make_encoder(**LAYOUTS[name])
    for frames in (1, 3, 6):
        clips = make_clips(frames=frames)
        both = encoder(clips).pooled
        assert torch.allclose(encoder(clips[1:]).pooled, both[1:])


def test_gradient_checkpointing_gives_equal_gradients():
    gradients = []
    for is_on in (False, True):
        encoder = make_encoder(split=(1, 1, 2))
        encoder.visual.gradient_checkpointing = is_on
        encoder(make_clips()).pooled.square().sum().backward()
        gradients.append(torch.cat([p.grad.flatten() for p in encoder.parameters() if p.grad is not None]))
    assert torch.allclose(*gradients)


def test_learned_frame_positions_start_without_effect_and_fit_any_length():
    plain, learned = make_encoder(), make_encoder(options={"learned_positions": True})
    for frames in (1, 4, 7):
        clips = make_clips(frames=frames)
        assert torch.equal(plain(clips).pooled, learned(clips).pooled)
    torch.nn.init.normal_(learned.frame_positions)
    for frames in (1, 4, 7):
        clips = make_clips(frames=frames)
        assert not torch.allclose(plain(clips).pooled, learned(clips).pooled)


def test_a_frozen_stem_does_not_train():
    encoder = make_encoder(options={"freeze_stem": True})
    frozen = {name for name, p in encoder.named_parameters() if not p.requires_grad}
    assert frozen == {"visual.stem.projection.weight"}


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        ({"split": (6, 3, 3)}, r"stfl_split \[6, 3, 3\] does not sum to the tower's 4 blocks"),
        ({"split": (5, -1, 0)}, "stfl_split"),
        ({"split": (1, 1, 2), "stripes": 4}, "stg_groups 4 does not divide the 6 rows"),
        (
            {"split": (1, 1, 2), "group_mode": "frame_group", "frame_groups": 3},
            "stg_frame_groups 3 .* 4 frames",
        ),
    ],
)
def test_layouts_that_do_not_fit_are_refused(layout, message):
    with pytest.raises(ConfigError, match=message):
        make_encoder(**layout)


def test_groups_are_not_checked_where_there_is_no_grouped_block():
    assert make_encoder(split=(3, 0, 1), stripes=5)(make_clips()).pooled.shape == (2, 32)


def test_alternation_starts_with_the_channel_shift():
    layout = TemporalLayout(split=(1, 1, 3), alternate=True)
    assert layout.encoders() == ["basic", "grouped", "channel_shift", "patch_shift", "channel_shift"]
