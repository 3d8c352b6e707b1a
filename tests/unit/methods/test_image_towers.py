import json
from dataclasses import replace

import pytest
import torch

from tapetum.config import build_config
from tapetum.errors import CheckpointError, ConfigError
from tapetum.methods import create_method
from tapetum.methods._clip_method import ClipMethodConfig, build_towers
from tapetum.methods._image_towers import ImageTowerConfig, build_transformer
from tapetum.models import CLIP_RN50, ClipResNetConfig, TextConfig, VisionConfig, create_clip, save_clip
from tapetum.models.backbones.clip_resnet import TINY_RESNET
from tapetum.models.standin import TINY_VISION, WORDS_NOTE

WORDS = ["a", "person", "walking"]
SIZE = {"height": 96, "width": 48}
TINY = {**SIZE, "backbone": "tiny-RN", "prompt": "a {} person walking."}


def config_of(**changes):
    return build_config(ClipMethodConfig, {**TINY, **changes})


@pytest.fixture
def weights(tmp_path):
    """A file with a small ResNet and a word list."""
    torch.manual_seed(0)
    path = tmp_path / "rn.safetensors"
    text = TextConfig(len(WORDS) + 3, 12, 32, 1, 1, 40)
    vision = replace(TINY_RESNET, width=8, heads=4, output_dim=40)
    save_clip(create_clip(vision, text, warn=False), path, notes={WORDS_NOTE: json.dumps(WORDS)})
    return path


def test_random_resnets_have_the_last_stride_of_re_identification():
    towers, filled = build_towers(config_of(), with_text=True, resnet={})
    expected = replace(TINY_RESNET, last_stride=1)
    assert towers.visual.config == filled.vision == expected
    assert towers.text.config.output_dim == expected.output_dim
    assert towers.template.count == 4


def test_a_method_chooses_the_variant():
    chosen = {"last_stride": 2, "stems": 2, "stem_relus": 1}
    towers, filled = build_towers(config_of(gradient_checkpointing=True), with_text=False, resnet=chosen)
    assert towers.visual.config == filled.vision == replace(TINY_RESNET, **chosen)
    assert towers.visual.gradient_checkpointing


def test_sizes_come_from_the_weight_file(weights):
    towers, filled = build_towers(config_of(weights=str(weights)), with_text=True, resnet={"stems": 2})
    assert towers.visual.config.width == 8
    assert filled.vision == towers.visual.config
    stems = towers.visual.stem.stems
    assert torch.equal(stems["visible"].conv1.weight, stems["infrared"].conv1.weight)


@pytest.mark.parametrize("resnet", [{}, {"stems": 2, "stem_relus": 1}])
def test_a_stored_configuration_builds_the_same_tower_without_the_file(weights, resnet):
    """As a saved method does: through JSON, where tuples become lists."""
    towers, filled = build_towers(config_of(weights=str(weights)), with_text=True, resnet=resnet)
    stored = json.loads(filled.model_dump_json())
    again, same = build_towers(
        build_config(ClipMethodConfig, stored, {"weights": "none"}), with_text=True, resnet=resnet
    )
    assert same.vision == filled.vision
    assert same.model_copy(update={"weights": filled.weights}) == filled
    again.visual.load_state_dict(towers.visual.state_dict())
    assert again.text.config == towers.text.config


def test_a_vision_is_of_the_kind_its_layers_say():
    for vision in (TINY_VISION, CLIP_RN50, None):
        config = ImageTowerConfig(vision=vision)
        assert config.vision == vision
        assert ImageTowerConfig.model_validate_json(config.model_dump_json()).vision == vision
    fields = {"layers": [1, 1, 1, 1], "width": 8, "heads": 4, "image_size": [64, 32], "stems": 2}
    assert isinstance(build_config(ImageTowerConfig, {"vision": fields}).vision, ClipResNetConfig)
    assert isinstance(build_config(ImageTowerConfig, {"vision": {"layers": 3}}).vision, VisionConfig)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"layers": 3, "stems": 2}, "stems"),
        ({"layers": [1, 1, 1, 1], "patch_size": 16}, "patch_size"),
        ({"layers": [1, 1, 1]}, "layers"),
        ({"layers": [1, 1, 1, 1], "last_stride": 3}, "last_stride"),
        ({"layers": [1, 1, 1, 1], "width": 7}, "width 7"),
    ],
)
def test_visions_that_cannot_be(fields, message):
    with pytest.raises(ConfigError, match=message):
        build_config(ImageTowerConfig, {"vision": fields})


@pytest.mark.parametrize("backbone", ["RN50", "tiny-RN"])
@pytest.mark.parametrize("method", ["lsmrl", "clip-baseline", "x-reid"])
def test_methods_on_tokens_refuse_resnets(method, backbone):
    with pytest.raises(ConfigError, match=rf"backbone = '{backbone}': .* choose ViT-B/16 or tiny"):
        create_method(
            method, num_identities=3, num_cameras=2, preset="tiny", weights="none", backbone=backbone
        )


def test_the_stand_in_is_no_resnet():
    with pytest.raises(ConfigError, match=r"weights = 'stand-in'.*'tiny-RN' is a ResNet"):
        build_towers(config_of(weights="stand-in"), with_text=True, resnet={})


def test_backbone_and_vision_that_disagree():
    with pytest.raises(ConfigError, match="backbone = 'tiny-RN', but vision = VisionConfig"):
        build_towers(config_of(vision=TINY_VISION), with_text=False, resnet={})
    with pytest.raises(ConfigError, match="backbone = 'tiny', but vision = ClipResNetConfig"):
        build_transformer(ImageTowerConfig(**SIZE, backbone="tiny", vision=TINY_RESNET))


def test_weights_of_another_backbone_are_refused(weights, tmp_path):
    with pytest.raises(CheckpointError, match="expected an image tower of RN50, found ClipResNetConfig"):
        build_towers(config_of(weights=str(weights), backbone="RN50"), with_text=False, resnet={})
    with pytest.raises(CheckpointError, match="expected an image tower of tiny, found ClipResNetConfig"):
        build_transformer(ImageTowerConfig(**SIZE, backbone="tiny", weights=str(weights)))
    save_clip(create_clip(TINY_VISION, warn=False), tmp_path / "vit.safetensors")
    with pytest.raises(CheckpointError, match="holds a vision transformer"):
        build_towers(config_of(weights=str(tmp_path / "vit.safetensors")), with_text=False, resnet={})


def test_stated_sizes_that_the_weights_do_not_have_are_refused(weights):
    stated = config_of(weights=str(weights), vision=TINY_RESNET)
    with pytest.raises(ConfigError, match=r"vision = .* but the weights"):
        build_towers(stated, with_text=False, resnet={})


def test_towers_that_are_no_transformer_say_so():
    towers, _ = build_towers(config_of(), with_text=False, resnet={})
    with pytest.raises(TypeError, match="found a tower of ClipResNetConfig"):
        towers.transformer  # noqa: B018
