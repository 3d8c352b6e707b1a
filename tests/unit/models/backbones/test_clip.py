import logging
import math

import pytest
import torch

from tapetum.models import Clip, TextConfig, VisionConfig, create_clip

VISION = VisionConfig(width=32, layers=2, heads=4, patch_size=8, image_size=(16, 16), output_dim=20)
TEXT = TextConfig(vocab_size=9, context_length=5, width=16, layers=1, heads=2, output_dim=20)


def test_joint_embeddings():
    clip = create_clip(VISION, TEXT, warn=False)
    assert clip.encode_image(torch.randn(3, 3, 16, 16)).shape == (3, 20)
    assert clip.encode_text(torch.tensor([[7, 1, 8, 0], [7, 8, 0, 0]])).shape == (2, 20)
    assert math.exp(clip.logit_scale.item()) == pytest.approx(1 / 0.07)


@pytest.mark.parametrize(("text", "named"), [(TEXT, "1-block text tower"), (None, "2-block image tower")])
def test_random_weights_are_announced(caplog, text, named):
    with caplog.at_level(logging.WARNING, logger="tapetum"):
        create_clip(VISION, text)
    assert "RANDOM CLIP WEIGHTS" in caplog.text
    assert named in caplog.text


def test_silence_on_request(caplog):
    create_clip(VISION, TEXT, warn=False)
    assert not caplog.records


def test_weights_follow_the_seed():
    made = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        made.append(torch.cat([p.flatten() for p in create_clip(VISION, TEXT, warn=False).parameters()]))
    assert torch.equal(made[0], made[1])
    assert not torch.equal(made[0], made[2])


def test_towers_must_meet_in_one_space():
    with pytest.raises(ValueError, match="20 from images, 12 from texts"):
        Clip(VISION, TextConfig(output_dim=12))


def test_text_of_an_image_tower():
    with pytest.raises(RuntimeError, match="image tower only"):
        create_clip(VISION, warn=False).encode_text(torch.zeros(1, 3, dtype=torch.int64))
