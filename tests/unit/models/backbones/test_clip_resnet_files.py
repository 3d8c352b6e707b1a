"""Files of CLIPs with a ResNet; that their numbers are OpenAI's is in tests/golden/test_clip_resnet.py."""

import json
import logging
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from tapetum.errors import CheckpointError
from tapetum.models import ClipResNetConfig, TextConfig, VisionConfig, create_clip, load_clip, save_clip
from tapetum.models.streams import Segment

VISION = ClipResNetConfig(layers=(2, 1, 1, 1), width=8, heads=4, output_dim=12, image_size=(96, 96))
TEXT = TextConfig(20, 10, 64, 2, 1, 12)


@pytest.fixture
def clip():
    torch.manual_seed(0)
    made = create_clip(VISION, TEXT, warn=False).eval()
    for tensor in made.state_dict().values():
        if tensor.is_floating_point():
            tensor.add_(0.05 * torch.rand_like(tensor))
    return made


@pytest.fixture
def images():
    return torch.randn(2, 3, 96, 96)


def openai_state(clip, text=""):
    """The tensors under OpenAI's names; `text` stands before those of the text tower."""
    state = {}
    for name, tensor in clip.state_dict().items():
        if name.startswith("visual.stem."):
            state[name.replace("visual.stem.", "visual.")] = tensor
        elif not name.startswith("text.blocks."):
            state[name.replace("text.", text)] = tensor
    state[f"{text}text_projection"] = state.pop(f"{text}projection.weight").t().contiguous()
    for number, block in enumerate(clip.text.blocks):
        root = f"{text}transformer.resblocks.{number}."
        for kind in ("weight", "bias"):
            packed = [getattr(layer, kind) for layer in (block.attn.query, block.attn.key_value)]
            state[f"{root}attn.in_proj_{kind}"] = torch.cat(packed).detach()
            for theirs, layer in (
                ("attn.out_proj", block.attn.out),
                ("ln_1", block.ln_1),
                ("mlp.c_fc", block.mlp.expand),
                ("mlp.c_proj", block.mlp.contract),
                ("ln_2", block.ln_2),
            ):
                state[f"{root}{theirs}.{kind}"] = getattr(layer, kind).detach()
    return state


@torch.no_grad()
def check_equal(clip, found, images):
    assert found.visual.config == clip.visual.config
    assert torch.equal(found.encode_image(images), clip.encode_image(images))
    ids = torch.tensor([[18, 3, 4, 19], [18, 5, 19, 0]])
    assert torch.equal(found.encode_text(ids), clip.encode_text(ids))


class TestForeignFiles:
    def test_openai(self, tmp_path, clip, images, caplog):
        scalars = {"input_resolution": torch.tensor(96), "context_length": torch.tensor(10)}
        torch.save(openai_state(clip) | scalars, tmp_path / "RN.pt")
        found = load_clip(tmp_path / "RN.pt")
        check_equal(clip, found, images)
        assert found.text.config.activation == "quick_gelu"
        assert not found.training
        assert not caplog.records

    @pytest.mark.parametrize("text", ["", "text."])
    def test_open_clip_safetensors(self, tmp_path, clip, images, text, caplog):
        save_file(openai_state(clip, text), tmp_path / "rn.safetensors")
        with caplog.at_level(logging.WARNING, logger="tapetum"):
            found = load_clip(tmp_path / "rn.safetensors")
        assert "assuming gelu" in caplog.text
        assert found.text.config.activation == "gelu"
        caplog.clear()
        check_equal(clip, load_clip(tmp_path / "rn.safetensors", activation="quick_gelu"), images)
        assert not caplog.records

    def test_open_clip_checkpoint(self, tmp_path, clip, images):
        state = {f"module.{name}": tensor for name, tensor in openai_state(clip).items()}
        torch.save({"epoch": 3, "state_dict": state}, tmp_path / "rn.pt")
        check_equal(clip, load_clip(tmp_path / "rn.pt", activation="quick_gelu"), images)

    def test_order_of_tensors_tells_the_maker(self, tmp_path, clip):
        torch.save(openai_state(clip), tmp_path / "rn.pt")
        assert load_clip(tmp_path / "rn.pt").text.config.activation == "quick_gelu"

    def test_open_clip_folder(self, tmp_path, clip, images):
        save_file(openai_state(clip), tmp_path / "open_clip_model.safetensors")
        vision = {"image_size": 96, "layers": [2, 1, 1, 1], "width": 8, "head_width": 64, "patch_size": None}
        config = {
            "model_cfg": {"quick_gelu": True, "vision_cfg": vision, "text_cfg": {"heads": 1, "layers": 2}}
        }
        path = tmp_path / "open_clip_config.json"
        path.write_text(json.dumps(config))
        check_equal(clip, load_clip(tmp_path), images)
        vision["head_width"] = 32
        path.write_text(json.dumps(config))
        assert load_clip(tmp_path).visual.config.heads == 8
        vision["layers"] = [3, 4, 6, 3]
        path.write_text(json.dumps(config))
        with pytest.raises(CheckpointError, match=r"\(2, 1, 1, 1\) blocks .* says \(3, 4, 6, 3\)"):
            load_clip(tmp_path)

    def test_image_tower_alone_without_counters(self, tmp_path, clip, images, caplog):
        state = {
            name: tensor
            for name, tensor in openai_state(clip).items()
            if name.startswith("visual.") and not name.endswith("num_batches_tracked")
        }
        save_file(state, tmp_path / "rn.safetensors")
        found = load_clip(tmp_path / "rn.safetensors")
        assert found.text is None
        assert not caplog.records
        assert torch.equal(found.encode_image(images), clip.encode_image(images))

    def test_choices_at_loading(self, tmp_path, clip):
        torch.save(openai_state(clip), tmp_path / "rn.pt")
        found = load_clip(
            tmp_path / "rn.pt", image_size=(64, 32), last_stride=1, stems=2, stem_relus=1
        ).visual
        expected = replace(VISION, image_size=(64, 32), last_stride=1, stems=2, stem_relus=1)
        assert found.config == expected
        assert found.attnpool.positional_embedding.shape == (1 + 4 * 2, 256)
        for stem in found.stem.stems.values():
            assert torch.equal(stem.conv2.weight, clip.visual.stem.conv2.weight)
        segments = [Segment("infrared", 2), Segment("visible", 1)]
        assert found(torch.randn(3, 3, 64, 32), segments).shape == (3, 12)

    def test_positions_that_are_no_square_need_their_size(self, tmp_path, clip):
        state = openai_state(clip)
        positions = torch.randn(1 + 4 * 2, 256)
        torch.save(state | {"visual.attnpool.positional_embedding": positions}, tmp_path / "rn.pt")
        with pytest.raises(CheckpointError, match=r"8 patches.* image_size and last_stride"):
            load_clip(tmp_path / "rn.pt")
        with pytest.raises(CheckpointError, match="8 patches"):
            load_clip(tmp_path / "rn.pt", image_size=(64, 32))
        for size, stride in (((64, 32), 1), ((128, 64), None)):
            found = load_clip(tmp_path / "rn.pt", image_size=size, last_stride=stride).visual
            assert (found.config.image_size, found.grid) == (size, (4, 2))
            assert torch.equal(found.attnpool.positional_embedding, positions)


class TestBrokenFiles:
    @pytest.mark.parametrize(
        "name",
        [
            "visual.conv2.weight",
            "visual.layer1.1.bn2.running_var",
            "visual.layer1.0.conv1.weight",
            "visual.attnpool.c_proj.weight",
            "visual.attnpool.positional_embedding",
            "visual.layer3.0.downsample.0.weight",
        ],
    )
    def test_missing(self, check_refusal, clip, name):
        state = openai_state(clip)
        del state[name]
        check_refusal(state, repr(name), "missing", "OpenAI with a ResNet")

    def test_unexpected(self, check_refusal, clip):
        state = openai_state(clip) | {"visual.layer2.0.se.weight": torch.ones(3)}
        check_refusal(state, "unexpected", "'visual.layer2.0.se.weight' (3,)")

    @pytest.mark.parametrize(
        ("name", "shape"),
        [
            ("visual.conv1.weight", (4, 3, 7, 7)),
            ("visual.layer4.0.conv3.weight", (256, 64)),
            ("visual.bn1.num_batches_tracked", (2,)),
            ("visual.layer1.0.conv1.weight", (8, 8)),
        ],
    )
    def test_wrong_shape(self, check_refusal, clip, name, shape):
        check_refusal(openai_state(clip) | {name: torch.zeros(shape)}, f"'{name}' {shape}")

    def test_whole_layer_missing(self, check_refusal, clip):
        state = {n: t for n, t in openai_state(clip).items() if not n.startswith("visual.layer3.")}
        check_refusal(state, "layers (2, 1, 0, 1)")

    def test_choices_of_resnets_for_a_transformer(self, tmp_path):
        vision = VisionConfig(64, 1, 1, 16, (32, 32), 12)
        save_clip(create_clip(vision, warn=False), tmp_path / "vit.safetensors")
        with pytest.raises(CheckpointError, match=r"last_stride, stems belong to ResNets.*Hugging Face"):
            load_clip(tmp_path / "vit.safetensors", last_stride=1, stems=2)


class TestOwnFile:
    @pytest.mark.parametrize("stems", [1, 2])
    def test_round_trip(self, tmp_path, stems):
        config = replace(VISION, stems=stems, last_stride=1, stem_relus=1, image_size=(64, 32))
        clip, path = create_clip(config, TEXT, warn=False), tmp_path / "rn.safetensors"
        save_clip(clip, path)
        again = load_clip(path)
        assert (again.visual.config, again.text.config) == (config, TEXT)
        expected = clip.state_dict()
        found = again.state_dict()
        assert found.keys() == expected.keys()
        for name, tensor in found.items():
            assert tensor.dtype is expected[name].dtype
            assert torch.equal(tensor, expected[name]), name

    def test_half_keeps_statistics_and_counters_whole(self, tmp_path, clip, images):
        path = tmp_path / "rn.safetensors"
        clip.visual.layer1[0].bn1.running_var.fill_(1e-9)
        clip.visual.stem.bn1.num_batches_tracked.fill_(100_001)
        save_clip(clip, path, half=True)
        assert load_file(path)["visual.layer1.0.conv1.weight"].dtype is torch.float16
        again = load_clip(path, activation="quick_gelu", image_size=(96, 48), stems=2)
        assert again.visual.layer1[0].bn1.running_var[0].item() == pytest.approx(1e-9)
        assert again.visual.stem.stems["infrared"].bn1.num_batches_tracked.item() == 100_001
        assert {p.dtype for p in again.parameters()} == {torch.float32}
        assert again.visual.grid == (3, 1)

    def test_two_stems_do_not_become_one(self, tmp_path):
        path = tmp_path / "rn.safetensors"
        save_clip(create_clip(replace(VISION, stems=2), warn=False), path)
        with pytest.raises(ValueError, match="stems = 1"):
            load_clip(path, stems=1)

    def test_header_of_another_release(self, tmp_path):
        path = tmp_path / "rn.safetensors"
        vision = json.dumps({"last_stride": 1, "colour": 3})
        header = {"format": "tapetum-clip", "version": "9", "vision": vision, "text": "null"}
        save_file({"logit_scale": torch.zeros(())}, path, metadata=header)
        with pytest.raises(CheckpointError, match="version 9"):
            load_clip(path)
