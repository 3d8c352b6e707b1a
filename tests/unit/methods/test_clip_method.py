import json
from dataclasses import replace

import pytest
import torch

from tapetum.errors import CheckpointError, ConfigError
from tapetum.methods import _image_towers, create_method
from tapetum.methods._checkpoint import load_method, save_method
from tapetum.methods._clip_method import ClipMethodConfig, build_towers
from tapetum.models import DAY_AND_NIGHT, PHOTO, TEXT_B, create_clip, save_clip, standin
from tapetum.models.standin import TINY_TEXT, TINY_VISION, WORDS_NOTE

WORDS = ["a", "person", "red", "walking"]
TINY = {"backbone": "tiny", "height": 96, "width": 48, "prompt": "a {} person walking."}


def config_of(**changes):
    return ClipMethodConfig(**{**TINY, **changes})


@pytest.fixture
def weights(tmp_path):
    """A file as pretraining leaves it: other sizes than the built-in ones, a word list in its notes."""
    torch.manual_seed(0)
    vision = replace(TINY_VISION, layers=2, width=64, heads=1, output_dim=32)
    text = replace(TINY_TEXT, layers=1, width=64, heads=1, output_dim=32, vocab_size=len(WORDS) + 3)
    path = tmp_path / "clip.safetensors"
    save_clip(create_clip(vision, text, warn=False), path, notes={WORDS_NOTE: json.dumps(WORDS)})
    return path


def test_sizes_and_words_come_from_the_weight_file(weights):
    towers, filled = build_towers(config_of(weights=str(weights)), with_text=True)
    assert (filled.vision.layers, filled.text.width) == (2, 64)
    assert towers.template.ids == (5, 1, 0, 0, 0, 0, 2, 4, 6)
    assert (towers.template.first, towers.template.count) == (2, 4)
    assert filled.template == towers.template
    assert not any(p.requires_grad for p in towers.text.parameters())
    assert all(p.requires_grad for p in towers.visual.parameters())


def test_the_stand_in_is_the_file_in_the_package(weights, monkeypatch):
    monkeypatch.setattr(standin, "_PATH", weights)
    towers, _ = build_towers(config_of(weights="stand-in"), with_text=True)
    given, _ = build_towers(config_of(weights=str(weights)), with_text=True)
    assert torch.equal(towers.visual.class_embedding, given.visual.class_embedding)


def test_a_filled_in_configuration_builds_the_same_sizes_without_the_file(weights):
    _, filled = build_towers(config_of(weights=str(weights)), with_text=True)
    again, same = build_towers(filled.model_copy(update={"weights": "none"}), with_text=True)
    assert again.visual.config == filled.vision
    assert again.text.config == filled.text
    assert same.template == filled.template


def test_a_saved_method_is_rebuilt_without_its_weight_file(weights, tmp_path):
    method = create_method(
        "lsmrl",
        num_identities=3,
        num_cameras=1,
        preset="tiny",
        weights=str(weights),
        prompt="red {}",
        stfl_split=(0, 1, 1),
    ).eval()
    save_method(method, tmp_path / "model.safetensors")
    weights.unlink()
    loaded = load_method(tmp_path / "model.safetensors").method
    clips = torch.randn(2, 6, 3, 96, 48)
    assert torch.equal(loaded.encode(clips), method.encode(clips))
    assert loaded.config.vision == method.config.vision


def test_frames_of_another_size_resize_the_positions(weights):
    towers, filled = build_towers(config_of(weights=str(weights), height=128, width=64), with_text=False)
    assert towers.visual.grid == (8, 4)
    assert filled.vision.image_size == (128, 64)
    assert (towers.text, filled.text, filled.template) == (None, None, None)


def test_random_towers_are_announced_once_and_not_when_rebuilt(caplog):
    _, filled = build_towers(config_of(), with_text=True)
    assert "RANDOM CLIP WEIGHTS" in caplog.text
    caplog.clear()
    build_towers(filled, with_text=True)
    assert caplog.text == ""


def test_stated_sizes_that_the_weights_do_not_have_are_refused(weights):
    with pytest.raises(ConfigError, match=r"vision = .* but the weights"):
        build_towers(config_of(weights=str(weights), vision=TINY_VISION), with_text=False)


def test_weights_of_another_backbone_are_refused(weights):
    config = config_of(weights=str(weights), backbone="ViT-B/16")
    with pytest.raises(CheckpointError, match="expected an image tower of ViT-B/16"):
        build_towers(config, with_text=False)


def test_weights_without_a_text_tower_serve_methods_without_text_only(tmp_path):
    path = tmp_path / "visual.safetensors"
    save_clip(create_clip(TINY_VISION, warn=False), path)
    config = config_of(weights=str(path))
    assert build_towers(config, with_text=False)[0].visual.config == TINY_VISION
    with pytest.raises(CheckpointError, match="no text tower"):
        build_towers(config, with_text=True)


@pytest.mark.parametrize(
    ("prompt", "message"),
    [("a dog {}", "unknown word 'dog'"), ("a person", "exactly one gap"), ("{} {}", "exactly one gap")],
)
def test_prompts_that_the_words_cannot_say_are_refused(weights, prompt, message):
    with pytest.raises(ConfigError, match=message):
        build_towers(config_of(weights=str(weights), prompt=prompt), with_text=True)
    if "gap" in message:
        with pytest.raises(ConfigError, match=message):
            build_towers(config_of(prompt=prompt), with_text=True)


def small_clip_vocabulary(**changes):
    """Random towers, small but with CLIP's vocabulary."""
    vision = replace(TINY_VISION, layers=1, width=64, heads=1)
    text = replace(TINY_TEXT, vocab_size=TEXT_B.vocab_size, width=8, layers=1, heads=1)
    return ClipMethodConfig(height=96, width=48, vision=vision, text=text, **changes)


def test_known_prompts_have_their_ids_in_the_vocabulary_of_clip():
    towers, _ = build_towers(small_clip_vocabulary(), with_text=True)
    assert towers.template.ids[6:] == DAY_AND_NIGHT.ids[6:]
    assert (towers.template.first, towers.template.count) == (2, 4)
    photo, _ = build_towers(
        small_clip_vocabulary(prompt="A photo of a {} person.", prompt_tokens=2), with_text=True
    )
    assert photo.template.ids == (*PHOTO.ids[:5], 0, 0, *PHOTO.ids[9:])


def test_other_prompts_need_the_vocabulary_file():
    with pytest.raises(ConfigError, match="without `vocabulary` only these are known"):
        build_towers(small_clip_vocabulary(prompt="a {}"), with_text=True)


MERGES = "#version\na b</w>\n"
IDS_WITH_MERGES = 2 * 256 + 1 + 2


def test_other_prompts_are_tokenised_by_the_vocabulary_file(tmp_path):
    path = tmp_path / "merges.txt"
    path.write_text(MERGES, encoding="utf-8")
    config = small_clip_vocabulary(prompt="ab {}", vocabulary=str(path), prompt_tokens=1)
    fitting = config.model_copy(update={"text": replace(config.text, vocab_size=IDS_WITH_MERGES)})
    towers, _ = build_towers(fitting, with_text=True)
    assert towers.template.ids == (IDS_WITH_MERGES - 2, 512, 0, IDS_WITH_MERGES - 1)
    assert towers.template.first == 2
    with pytest.raises(ConfigError, match=r"merges\.txt has the end token 514, but that of .* is 49407"):
        build_towers(config, with_text=True)


def test_prompts_longer_than_the_context_of_the_weights_are_refused(weights):
    long = config_of(weights=str(weights), prompt_tokens=40)
    with pytest.raises(
        ConfigError, match=r"prompt_tokens = 40 has 45 tokens, but .*clip.safetensors takes 40"
    ):
        build_towers(long, with_text=True)
    fitting = config_of(weights=str(weights), prompt_tokens=35)
    assert len(build_towers(fitting, with_text=True)[0].template.ids) == 40


def test_a_stated_template_of_another_vocabulary_is_refused(weights):
    with pytest.raises(ConfigError, match="the built-in ids has the end token 49407"):
        build_towers(config_of(weights=str(weights), template=PHOTO), with_text=True)


def test_the_backbone_names_the_sizes_of_random_towers(monkeypatch):
    made = []

    def record(vision, text, *, warn):
        made.append((vision.width, vision.layers, vision.image_size, None if text is None else text.layers))
        return create_clip(TINY_VISION, TINY_TEXT, warn=False)

    monkeypatch.setattr(_image_towers, "create_clip", record)
    build_towers(ClipMethodConfig(height=96, width=48), with_text=False)
    build_towers(config_of(), with_text=True)
    assert made == [
        (768, 12, (96, 48), None),
        (TINY_VISION.width, TINY_VISION.layers, (96, 48), TINY_TEXT.layers),
    ]
