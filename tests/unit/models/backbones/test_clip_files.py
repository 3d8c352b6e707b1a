"""Weights of other people's files give other people's numbers: checked on random weights of small towers."""

import json
import logging
import shutil
import warnings
from collections import OrderedDict

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F

from tapetum.errors import CheckpointError
from tapetum.models import TextConfig, VisionConfig, create_clip, load_clip, read_notes, save_clip

TOLERANCE = 1e-5
WIDTH, TEXT_WIDTH, JOINT, VOCAB, CONTEXT, PATCH, SIDE = 128, 64, 48, 60, 20, 8, 32


class PlainBlock(nn.Module):
    """OpenAI's residual attention block: names and order of construction as in their state dicts."""

    def __init__(self, width, heads, activation, mask=None):
        super().__init__()
        self.attn = nn.MultiheadAttention(width, heads)
        self.ln_1 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            OrderedDict(
                c_fc=nn.Linear(width, 4 * width), act=nn.Identity(), c_proj=nn.Linear(4 * width, width)
            )
        )
        self.ln_2 = nn.LayerNorm(width)
        self.activation, self.mask = activation, mask

    def forward(self, x):
        y = self.ln_1(x)
        x = x + self.attn(y, y, y, need_weights=False, attn_mask=self.mask)[0]
        y = self.mlp.c_fc(self.ln_2(x))
        y = y * torch.sigmoid(1.702 * y) if self.activation == "quick_gelu" else F.gelu(y)
        return x + self.mlp.c_proj(y)


class PlainBlocks(nn.Module):
    def __init__(self, width, layers, heads, activation, mask=None):
        super().__init__()
        self.resblocks = nn.Sequential(*(PlainBlock(width, heads, activation, mask) for _ in range(layers)))

    def forward(self, x):
        return self.resblocks(x.transpose(0, 1)).transpose(0, 1)


class PlainVision(nn.Module):
    def __init__(self, activation, grid=(SIDE // PATCH, SIDE // PATCH)):
        super().__init__()
        self.class_embedding = nn.Parameter(torch.randn(WIDTH))
        self.positional_embedding = nn.Parameter(torch.randn(1 + grid[0] * grid[1], WIDTH))
        self.proj = nn.Parameter(torch.randn(WIDTH, JOINT) * WIDTH**-0.5)
        self.conv1 = nn.Conv2d(3, WIDTH, PATCH, PATCH, bias=False)
        self.ln_pre = nn.LayerNorm(WIDTH)
        self.transformer = PlainBlocks(WIDTH, 3, WIDTH // 64, activation)
        self.ln_post = nn.LayerNorm(WIDTH)

    def forward(self, images):
        x = self.conv1(images).flatten(2).transpose(1, 2)
        x = torch.cat([self.class_embedding.expand(x.shape[0], 1, -1), x], dim=1)
        x = self.transformer(self.ln_pre(x + self.positional_embedding))
        return self.ln_post(x[:, 0]) @ self.proj


class PlainClip(nn.Module):
    """OpenAI's CLIP over all positions and all tokens, with explicit causal mask."""

    def __init__(self, activation="quick_gelu", grid=(SIDE // PATCH, SIDE // PATCH)):
        super().__init__()
        mask = torch.full((CONTEXT, CONTEXT), float("-inf")).triu(1)
        self.positional_embedding = nn.Parameter(torch.randn(CONTEXT, TEXT_WIDTH))
        self.text_projection = nn.Parameter(torch.randn(TEXT_WIDTH, JOINT) * TEXT_WIDTH**-0.5)
        self.logit_scale = nn.Parameter(torch.tensor(3.5))
        self.visual = PlainVision(activation, grid)
        self.transformer = PlainBlocks(TEXT_WIDTH, 2, TEXT_WIDTH // 64, activation, mask)
        self.token_embedding = nn.Embedding(VOCAB, TEXT_WIDTH)
        self.ln_final = nn.LayerNorm(TEXT_WIDTH)
        for name, buffer in (("input_resolution", SIDE), ("context_length", CONTEXT), ("vocab_size", VOCAB)):
            self.register_buffer(name, torch.tensor(buffer))
        for parameter in self.parameters():  # no zero biases, no unit norms: every tensor must matter
            parameter.data += 0.05 * torch.randn_like(parameter)

    def encode_text(self, ids):
        x = self.transformer(self.token_embedding(ids) + self.positional_embedding)
        return self.ln_final(x)[torch.arange(len(x)), ids.argmax(-1)] @ self.text_projection

    def forward(self, images, ids):
        return self.visual(images), self.encode_text(ids)

    def weights(self):
        """The state dict that OpenAI's and open_clip's models have."""
        scalars = ("input_resolution", "context_length", "vocab_size")
        return {name: tensor for name, tensor in self.state_dict().items() if name not in scalars}


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.fixture
def images():
    return torch.randn(3, 3, SIDE, SIDE)


@pytest.fixture
def ids():
    rows = torch.randint(1, VOCAB - 2, (3, CONTEXT))
    for row, end in zip(rows, (4, 11, CONTEXT - 1), strict=True):
        row[0], row[end], row[end + 1 :] = VOCAB - 2, VOCAB - 1, 0
    return rows


@torch.no_grad()
def check_equal(plain, clip, images, ids):
    expected_images, expected_texts = plain.eval()(images, ids)
    torch.testing.assert_close(clip.encode_image(images), expected_images, atol=TOLERANCE, rtol=TOLERANCE)
    torch.testing.assert_close(clip.encode_text(ids), expected_texts, atol=TOLERANCE, rtol=TOLERANCE)
    assert float(clip.logit_scale) == pytest.approx(float(plain.logit_scale))


def save_archive(plain, path, images, ids):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing speaks up about constants, and is itself on its way out
        torch.jit.save(torch.jit.trace(plain.eval(), (images, ids)), path)


class TestOpenAi:
    def test_archive(self, tmp_path, images, ids):
        plain = PlainClip()
        save_archive(plain, tmp_path / "ViT.pt", images, ids)
        clip = load_clip(tmp_path / "ViT.pt")
        assert clip.visual.config.activation == clip.text.config.activation == "quick_gelu"
        assert not clip.training
        check_equal(plain, clip, images, ids)

    @pytest.mark.parametrize("wrap", ["plain", "wrapped", "data parallel"])
    def test_state_dict(self, tmp_path, images, ids, wrap):
        plain, path = PlainClip(), tmp_path / "clip.pt"
        state = plain.weights()
        if wrap == "data parallel":
            state = {f"module.{name}": tensor for name, tensor in state.items()}
        torch.save(state if wrap == "plain" else {"epoch": 3, "state_dict": state}, path)
        check_equal(plain, load_clip(path), images, ids)

    def test_half_precision_becomes_float32(self, tmp_path, images, ids):
        plain, path = PlainClip(), tmp_path / "clip.pt"
        torch.save({name: tensor.half() for name, tensor in plain.state_dict().items()}, path)
        clip = load_clip(path)
        assert {p.dtype for p in clip.parameters()} == {torch.float32}
        expected = plain.visual.conv1.weight.half().float()
        assert torch.equal(clip.visual.stem.projection.weight, expected)
        assert clip.visual.config.activation == "quick_gelu"

    def test_vision_only(self, tmp_path, images):
        plain, path = PlainClip(), tmp_path / "visual.pt"
        torch.save({n: t for n, t in plain.weights().items() if n.startswith("visual.")}, path)
        clip = load_clip(path)
        torch.testing.assert_close(
            clip.encode_image(images), plain.visual(images), atol=TOLERANCE, rtol=TOLERANCE
        )
        with pytest.raises(RuntimeError, match="image tower only"):
            clip.encode_text(torch.zeros(1, 4, dtype=torch.int64))


class TestOpenClip:
    def state(self, plain, nested):
        inner = ("transformer.", "token_embedding.", "positional_embedding", "ln_final.", "text_projection")
        return {
            f"text.{name}" if nested and name.startswith(inner) else name: tensor
            for name, tensor in plain.weights().items()
        }

    @pytest.mark.parametrize("nested", [False, True])
    def test_safetensors(self, tmp_path, images, ids, nested, caplog):
        plain, path = PlainClip("gelu"), tmp_path / "clip.safetensors"
        save_file(self.state(plain, nested), path)
        with caplog.at_level(logging.WARNING, logger="tapetum"):
            clip = load_clip(path)
        check_equal(plain, clip, images, ids)
        assert "assuming gelu" in caplog.text

    def test_order_of_tensors_tells_the_maker(self, tmp_path):
        state = PlainClip("gelu").weights()
        norms_first = sorted(state, key=lambda name: ".ln_1." not in name)
        torch.save({name: state[name] for name in norms_first}, tmp_path / "clip.pt")
        assert load_clip(tmp_path / "clip.pt").visual.config.activation == "gelu"

    def test_caller_decides_activation(self, tmp_path, images, ids, caplog):
        plain, path = PlainClip("quick_gelu"), tmp_path / "clip.safetensors"
        save_file(self.state(plain, nested=True), path)
        check_equal(plain, load_clip(path, activation="quick_gelu"), images, ids)
        assert not caplog.records

    def test_folder_with_config(self, tmp_path, images, ids):
        plain = PlainClip("quick_gelu")
        save_file(self.state(plain, nested=False), tmp_path / "open_clip_model.safetensors")
        cfg = {"quick_gelu": True, "vision_cfg": {"width": WIDTH, "layers": 3}, "text_cfg": {"heads": 1}}
        (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": cfg}))
        check_equal(plain, load_clip(tmp_path), images, ids)
        check_equal(plain, load_clip(tmp_path / "open_clip_model.safetensors"), images, ids)

    def test_wide_image_towers_have_16_heads(self, tmp_path):
        state = {
            name: tensor.new_zeros(
                [1280 * (size // WIDTH) if size % WIDTH == 0 else size for size in tensor.shape]
            )
            for name, tensor in PlainClip().weights().items()
            if name.startswith("visual.") and ".resblocks.1." not in name and ".resblocks.2." not in name
        }
        state["visual.conv1.weight"] = torch.zeros(1280, 3, PATCH, PATCH)
        save_file(state, tmp_path / "h.safetensors")
        assert load_clip(tmp_path / "h.safetensors").visual.config.heads == 16


@pytest.fixture
def hugging_face(tmp_path):
    """A function that saves a random transformers model and returns it."""
    transformers = pytest.importorskip("transformers")
    shape = {"num_hidden_layers": 2, "num_attention_heads": 4, "projection_dim": JOINT}

    def make(activation, **changes):
        vision = {"hidden_size": 64, "intermediate_size": 96, "image_size": SIDE, "patch_size": PATCH}
        text = {"hidden_size": 32, "intermediate_size": 128, "max_position_embeddings": CONTEXT}
        ends = {"vocab_size": VOCAB, "eos_token_id": VOCAB - 1, "bos_token_id": VOCAB - 2, "pad_token_id": 0}
        config = transformers.CLIPConfig(
            vision_config={**shape, **vision, "hidden_act": activation, **changes},
            text_config={**shape, **text, **ends, "hidden_act": activation},
            projection_dim=JOINT,
        )
        model = transformers.CLIPModel(config).eval()
        for parameter in model.parameters():
            parameter.data += 0.1 * torch.randn_like(parameter)
        model.save_pretrained(tmp_path)
        return model

    return make


class TestHuggingFace:
    @torch.no_grad()
    @pytest.mark.parametrize("activation", ["quick_gelu", "gelu"])
    def test_folder(self, tmp_path, hugging_face, images, ids, activation):
        model = hugging_face(activation)
        clip = load_clip(tmp_path)
        joint = model(pixel_values=images, input_ids=ids)  # normalised by transformers
        for ours, theirs in (
            (clip.encode_image(images), joint.image_embeds),
            (clip.encode_text(ids), joint.text_embeds),
        ):
            torch.testing.assert_close(F.normalize(ours, dim=-1), theirs, atol=TOLERANCE, rtol=TOLERANCE)
        pooled = model.vision_model(images).pooler_output
        torch.testing.assert_close(
            clip.encode_image(images), model.visual_projection(pooled), atol=TOLERANCE, rtol=TOLERANCE
        )

    def test_bin_file(self, tmp_path, hugging_face, images):
        model = hugging_face("gelu")
        torch.save(load_file(tmp_path / "model.safetensors"), tmp_path / "pytorch_model.bin")
        expected = load_clip(tmp_path).encode_image(images)
        (tmp_path / "model.safetensors").unlink()
        assert torch.equal(load_clip(tmp_path).encode_image(images), expected)
        assert model.config.vision_config.hidden_act == "gelu"

    def test_position_ids_of_older_files(self, tmp_path, hugging_face):
        hugging_face("gelu")
        state = load_file(tmp_path / "model.safetensors")
        old = {
            f"{tower}_model.embeddings.position_ids": torch.arange(20)[None] for tower in ("text", "vision")
        }
        save_file(state | old, tmp_path / "model.safetensors")
        load_clip(tmp_path)
        save_file(
            state | {"vision_model.embeddings.other_ids": torch.arange(3)}, tmp_path / "model.safetensors"
        )
        with pytest.raises(CheckpointError, match=r"unexpected .*embeddings\.other_ids"):
            load_clip(tmp_path)

    def test_file_alone_needs_the_activation(self, tmp_path, hugging_face, images):
        hugging_face("gelu", num_attention_heads=1)
        alone = tmp_path / "alone" / "vision.safetensors"
        alone.parent.mkdir()
        visual = {
            name: tensor
            for name, tensor in load_file(tmp_path / "model.safetensors").items()
            if name.startswith(("vision_model.", "visual_projection."))
        }
        save_file(visual, alone)
        with pytest.raises(CheckpointError, match=r"config\.json.*activation="):
            load_clip(alone)
        ours = load_clip(alone, activation="gelu").encode_image(images)
        assert torch.equal(ours, load_clip(tmp_path).encode_image(images))

    def test_text_without_head_count(self, tmp_path, hugging_face):
        hugging_face("gelu", num_attention_heads=1)
        shutil.move(tmp_path / "model.safetensors", tmp_path / "other.safetensors")
        with pytest.raises(CheckpointError, match="text tower of width 32"):
            load_clip(tmp_path / "other.safetensors", activation="gelu")

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"hidden_act": "relu"}, "hidden_act 'relu'"),
            ({"layer_norm_eps": 1e-6}, "layer_norm_eps"),
            ({"num_hidden_layers": 3}, "2 blocks of the visual tower"),
        ],
    )
    def test_config_that_does_not_fit(self, tmp_path, hugging_face, change, message):
        hugging_face("gelu")
        config = json.loads((tmp_path / "config.json").read_text())
        config["vision_config"].update(change)
        (tmp_path / "config.json").write_text(json.dumps(config))
        with pytest.raises(CheckpointError, match=message):
            load_clip(tmp_path)

    def test_folder_without_weights(self, tmp_path):
        (tmp_path / "config.json").write_text("{}")
        with pytest.raises(FileNotFoundError, match=r"model\.safetensors"):
            load_clip(tmp_path)

    @pytest.mark.parametrize(("content", "message"), [("{", "not a JSON file"), ("[]", "found list")])
    def test_config_that_is_no_json_object(self, tmp_path, hugging_face, content, message):
        hugging_face("gelu")
        (tmp_path / "config.json").write_text(content)
        with pytest.raises(CheckpointError, match=message):
            load_clip(tmp_path)


class TestPositions:
    @pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
    def test_resized_on_loading(self, tmp_path, mode):
        plain = PlainClip()
        torch.save(plain.state_dict(), tmp_path / "clip.pt")
        clip = load_clip(tmp_path / "clip.pt", image_size=(48, 24), resize=mode)
        stored = plain.visual.positional_embedding.detach()
        grid = stored[1:].reshape(1, 4, 4, WIDTH).permute(0, 3, 1, 2)
        resized = F.interpolate(grid, size=(6, 3), mode=mode, align_corners=False)[0].permute(1, 2, 0)
        assert clip.visual.grid == (6, 3)
        torch.testing.assert_close(clip.visual.positional_embedding[1:], resized.reshape(18, WIDTH))
        assert torch.equal(clip.visual.positional_embedding[0], stored[0])

    def test_grid_that_is_no_square_needs_its_size(self, tmp_path):
        plain = PlainClip(grid=(6, 3))
        torch.save(plain.state_dict(), tmp_path / "clip.pt")
        with pytest.raises(CheckpointError, match="18 patches"):
            load_clip(tmp_path / "clip.pt")
        clip = load_clip(tmp_path / "clip.pt", image_size=(48, 24))
        assert torch.equal(clip.visual.positional_embedding, plain.visual.positional_embedding)


class TestBrokenFiles:
    def test_missing(self, check_refusal):
        state = PlainClip().weights()
        del state["visual.transformer.resblocks.1.mlp.c_fc.bias"]
        check_refusal(state, "'visual.transformer.resblocks.1.mlp.c_fc.bias'", "(512,)", "missing")

    @pytest.mark.parametrize("name", ["visual.conv1.weight", "visual.proj", "token_embedding.weight"])
    def test_missing_of_those_that_give_the_shape(self, check_refusal, name):
        state = PlainClip().weights()
        del state[name]
        check_refusal(state, repr(name), "missing")

    def test_unexpected(self, check_refusal):
        state = PlainClip().weights() | {"visual.transformer.resblocks.0.ls_1.gamma": torch.ones(WIDTH)}
        check_refusal(state, "unexpected", "'visual.transformer.resblocks.0.ls_1.gamma' (128,)")

    @pytest.mark.parametrize(
        ("name", "shape"),
        [
            ("visual.ln_post.weight", (5,)),
            ("visual.transformer.resblocks.2.attn.in_proj_weight", (2 * WIDTH, WIDTH)),
            ("visual.conv1.weight", (WIDTH, 3, PATCH)),
            ("visual.conv1.weight", (WIDTH, 1, PATCH, PATCH)),
            ("visual.proj", (2, WIDTH, JOINT)),
            ("visual.transformer.resblocks.0.attn.in_proj_bias", ()),
            ("text_projection", (TEXT_WIDTH, JOINT + 1)),
        ],
    )
    def test_wrong_shape(self, check_refusal, name, shape):
        check_refusal(PlainClip().weights() | {name: torch.zeros(shape)}, f"'{name}' {shape}")

    def test_block_missing_in_the_middle(self, check_refusal):
        state = {n: t for n, t in PlainClip().weights().items() if ".resblocks.1." not in n}
        check_refusal(state, ".resblocks.1.", "missing")

    def test_timm(self, check_refusal):
        check_refusal({"visual.trunk.cls_token": torch.zeros(1)}, "timm")

    def test_no_clip(self, check_refusal):
        check_refusal({"fc.weight": torch.zeros(1)}, "no CLIP", "fc.weight")

    def test_heads_that_do_not_divide(self, check_refusal):
        state = {n: t for n, t in PlainClip().weights().items() if n.startswith("visual.")}
        check_refusal(state | {"visual.conv1.weight": torch.zeros(1030, 3, PATCH, PATCH)}, "1030")


class TestOwnFile:
    vision = VisionConfig(64, 2, 2, 8, (48, 24), 24, "gelu", 2.0, "conv", (8, 16), 1)
    text = TextConfig(20, 12, 32, 2, 2, 24, "gelu", 2.0)

    def test_round_trip(self, tmp_path):
        clip, path = create_clip(self.vision, self.text, warn=False), tmp_path / "clip.safetensors"
        save_clip(clip, path, notes={"words": "a red coat"})
        again = load_clip(path)
        assert (again.visual.config, again.text.config) == (self.vision, self.text)
        assert {n: t.tolist() for n, t in again.state_dict().items()} == {
            n: t.tolist() for n, t in clip.state_dict().items()
        }
        assert read_notes(path) == {"words": "a red coat"}
        assert [p.name for p in tmp_path.iterdir()] == [path.name]

    def test_vision_only_half_and_another_size(self, tmp_path):
        clip, path = create_clip(self.vision, warn=False), tmp_path / "clip.safetensors"
        save_clip(clip, path, half=True)
        again = load_clip(path, image_size=(64, 32), activation="quick_gelu")
        assert again.text is None
        assert again.visual.config.activation == "quick_gelu"
        assert again.visual.grid == (8, 4)
        assert torch.equal(again.visual.ln_post.weight, torch.ones(64))
        assert again.encode_image(torch.randn(2, 3, 64, 32)).dtype is torch.float32

    def test_reserved_note(self, tmp_path):
        clip = create_clip(self.vision, warn=False)
        with pytest.raises(ValueError, match="vision"):
            save_clip(clip, tmp_path / "x.safetensors", notes={"vision": "mine"})

    @pytest.mark.parametrize(
        "vision", ["no json", '{"colour": 3, "image_size": [8, 8], "stem_channels": []}']
    )
    def test_header_of_another_release(self, tmp_path, vision):
        path = tmp_path / "clip.safetensors"
        header = {"format": "tapetum-clip", "version": "9", "vision": vision, "text": "null"}
        save_file({"logit_scale": torch.zeros(())}, path, metadata=header)
        with pytest.raises(CheckpointError, match="version 9"):
            load_clip(path)

    def test_notes_of_a_foreign_file(self, tmp_path):
        save_file({"a": torch.zeros(1)}, tmp_path / "a.safetensors")
        with pytest.raises(CheckpointError, match="save_clip"):
            read_notes(tmp_path / "a.safetensors")
