"""The importer, against a forward pass of the released code written down anew under its own names."""

import math

import pytest
import torch
import torch.nn.functional as F

from tapetum.errors import CheckpointError
from tapetum.methods import _x_reid_released
from tapetum.methods._checkpoint import load_method
from tapetum.methods._x_reid_released import CAMERAS, convert_released

WIDTH, JOINT, LAYERS, PATCH, HEIGHT, BREADTH = 64, 32, 2, 8, 32, 16
PEOPLE, ROWS, FRAMES = 5, 12, 4
HEADS = WIDTH // 64
SIZES = {"image_size": (HEIGHT, BREADTH), "frames": FRAMES}


def released_shapes():
    """Every tensor of the released state dict, at these sizes."""
    patches = (HEIGHT // PATCH) * (BREADTH // PATCH)
    shapes = {
        "cv_embed": (ROWS, WIDTH),
        "image_encoder.class_embedding": (WIDTH,),
        "image_encoder.positional_embedding": (1 + patches, WIDTH),
        "image_encoder.proj": (WIDTH, JOINT),
        "image_encoder.conv1.weight": (WIDTH, 3, PATCH, PATCH),
        "classifier_clip_temp.weight": (PEOPLE, WIDTH + JOINT),
        "classifier_clip_frame.weight": (PEOPLE, WIDTH + JOINT),
    }

    def layer(name, *shape):
        shapes[f"{name}.weight"], shapes[f"{name}.bias"] = shape, shape[:1]

    for name in ("ln_pre", "ln_post"):
        layer(f"image_encoder.{name}", WIDTH)
    for i in range(LAYERS):
        block = f"image_encoder.transformer.resblocks.{i}"
        shapes[f"{block}.attn.in_proj_weight"] = (3 * WIDTH, WIDTH)
        shapes[f"{block}.attn.in_proj_bias"] = (3 * WIDTH,)
        layer(f"{block}.attn.out_proj", WIDTH, WIDTH)
        layer(f"{block}.ln_1", WIDTH)
        layer(f"{block}.ln_2", WIDTH)
        layer(f"{block}.mlp.c_fc", 4 * WIDTH, WIDTH)
        layer(f"{block}.mlp.c_proj", WIDTH, 4 * WIDTH)
    for unit in ("TSM_space.Reconstuct_shift", "TSM_space.Reconstuct_shift2", "TSM_temp.Reconstuct_shift"):
        for name in ("norm1", "norm2", "attn.normy"):
            layer(f"{unit}.Rotation.{name}", WIDTH)
        for name in ("q_", "k_", "v_"):
            shapes[f"{unit}.Rotation.attn.{name}.weight"] = (WIDTH, WIDTH)
        layer(f"{unit}.Rotation.attn.proj", WIDTH, WIDTH)
        layer(f"{unit}.Rotation.mlp.fc1", 4 * WIDTH, WIDTH)
        layer(f"{unit}.Rotation.mlp.fc2", WIDTH, 4 * WIDTH)
    for name, dim in (
        *(
            ("bn_feat_temp", WIDTH),
            ("bn_proj_temp", JOINT),
            ("bn_feat_frame", WIDTH),
            ("bn_proj_frame", JOINT),
        ),
        *((f"bn_TSM_{kind}{i}", WIDTH) for kind in ("tp", "frame") for i in (0, 1)),
        ("bottleneck_local", WIDTH),
    ):
        layer(name, dim)
        shapes[f"{name}.running_mean"] = shapes[f"{name}.running_var"] = (dim,)
        shapes[f"{name}.num_batches_tracked"] = ()
    for kind in ("tp", "frame"):
        for i in (0, 1):
            shapes[f"classifier_TSM_{kind}{i}.weight"] = (PEOPLE, WIDTH)
    return shapes


def random_weights(seed=0):
    generator = torch.Generator().manual_seed(seed)
    weights = {}
    for name, shape in released_shapes().items():
        drawn = torch.randn(shape, generator=generator) * (0.3 if len(shape) > 1 else 0.5)
        if name.endswith("running_var"):
            drawn = drawn.abs() + 0.5
        if name.endswith("num_batches_tracked"):
            drawn = torch.tensor(77)
        weights[name] = drawn
    return weights


def linear(w, name, x):
    return F.linear(x, w[f"{name}.weight"], w.get(f"{name}.bias"))


def layer_norm(w, name, x):
    return F.layer_norm(x, x.shape[-1:], w[f"{name}.weight"], w[f"{name}.bias"])


def batch_norm(w, name, x):
    mean, var = w[f"{name}.running_mean"], w[f"{name}.running_var"]
    return (x - mean) / torch.sqrt(var + 1e-5) * w[f"{name}.weight"] + w[f"{name}.bias"]


def attention(q, k, v):
    """Of `[N, L, D]`, with heads of 64 channels."""
    q, k, v = (x.unflatten(-1, (HEADS, -1)).transpose(1, 2) for x in (q, k, v))
    mixed = torch.softmax(q @ k.transpose(-1, -2) / math.sqrt(WIDTH // HEADS), -1) @ v
    return mixed.transpose(1, 2).flatten(2)


def image_encoder(w, images, camera_rows):
    """All tokens after the last norm, and projected."""
    x = F.conv2d(images, w["image_encoder.conv1.weight"], stride=PATCH).flatten(2).permute(0, 2, 1)
    classes = w["image_encoder.class_embedding"] + camera_rows
    x = torch.cat([classes[:, None], x], 1) + w["image_encoder.positional_embedding"]
    x = layer_norm(w, "image_encoder.ln_pre", x)
    for i in range(LAYERS):
        b = f"image_encoder.transformer.resblocks.{i}"
        qkv = F.linear(
            layer_norm(w, f"{b}.ln_1", x), w[f"{b}.attn.in_proj_weight"], w[f"{b}.attn.in_proj_bias"]
        )
        x = x + linear(w, f"{b}.attn.out_proj", attention(*qkv.chunk(3, -1)))
        hidden = linear(w, f"{b}.mlp.c_fc", layer_norm(w, f"{b}.ln_2", x))
        x = x + linear(w, f"{b}.mlp.c_proj", hidden * torch.sigmoid(1.702 * hidden))
    x = layer_norm(w, "image_encoder.ln_post", x)
    return x, x @ w["image_encoder.proj"]


def rotation(w, name, x, context):
    """The cross-attention unit on class tokens `[N, 1, D]` and patches `[N, P, D]`."""
    q = linear(w, f"{name}.attn.q_", layer_norm(w, f"{name}.norm1", x))
    k = linear(w, f"{name}.attn.k_", layer_norm(w, f"{name}.attn.normy", context))
    v = linear(w, f"{name}.attn.v_", context)
    x = x + linear(w, f"{name}.attn.proj", attention(q, k, v))
    return x + linear(
        w, f"{name}.mlp.fc2", F.gelu(linear(w, f"{name}.mlp.fc1", layer_norm(w, f"{name}.norm2", x)))
    )


def short_term(w, classes, patches):
    """Two units on patches that carry a quarter of their neighbours' channels, frame by frame."""
    shifted, quarter = patches.clone(), WIDTH // 4
    for t in range(patches.shape[1]):
        shifted[:, t, :, :quarter] = patches[:, max(t - 1, 0), :, :quarter]
        shifted[:, t, :, quarter : 2 * quarter] = patches[:, min(t + 1, FRAMES - 1), :, quarter : 2 * quarter]
    x, context = classes.flatten(0, 1)[:, None], shifted.flatten(0, 1)
    for unit in ("Reconstuct_shift", "Reconstuct_shift2"):
        x = rotation(w, f"TSM_space.{unit}.Rotation", x, context)
    return x[:, 0].view_as(classes)


def released_feature(w, clips, cameras):
    """The first test feature of the released code, with the shift done out of place."""
    rows = w["cv_embed"][cameras].repeat_interleave(FRAMES, 0)
    tokens, projected = image_encoder(w, clips.flatten(0, 1), rows)
    tokens, projected = tokens.unflatten(0, (-1, FRAMES)), projected.unflatten(0, (-1, FRAMES))
    g, p = tokens[:, :, 0].mean(1), projected[:, :, 0].mean(1)
    o = short_term(w, tokens[:, :, 0], tokens[:, :, 1:]).mean(1)
    parts = (("bn_feat_temp", g), ("bn_proj_temp", p), ("bn_TSM_tp0", o))
    return torch.cat([batch_norm(w, name, x) for name, x in parts], 1)


def save(weights, path):
    torch.save(weights, path)
    return path


def convert(weights, tmp_path, **options):
    return convert_released(
        save(weights, tmp_path / "x.pth"), tmp_path / "m.safetensors", **{**SIZES, **options}
    )


def test_embeddings_are_the_released_test_feature(tmp_path):
    weights = random_weights()
    convert(weights, tmp_path, camera_ids=CAMERAS["hitsz-vcm"])
    method = load_method(tmp_path / "m.safetensors").method
    clips = torch.randn(3, FRAMES, 3, HEIGHT, BREADTH, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        expected = released_feature(weights, clips, torch.tensor([0, 11, 6]))
        found = method.encode(clips, camera_ids=[1, 12, 7])
        elsewhere = method.encode(clips, camera_ids=[2, 12, 7])
    torch.testing.assert_close(found, F.normalize(expected, dim=1), atol=2e-6, rtol=1e-4)
    assert not torch.allclose(elsewhere[0], found[0], atol=1e-3)
    torch.testing.assert_close(elsewhere[1:], found[1:])


def test_every_tensor_is_taken_or_named(tmp_path):
    weights = random_weights()
    assert len(weights) == 249 - 12 * (12 - LAYERS)  # 249 with twelve blocks
    found = convert(weights, tmp_path)
    assert (found.num_identities, found.camera_ids) == (PEOPLE, tuple(range(ROWS)))
    assert "bottleneck_local.running_mean" in found.unused
    assert "classifier_TSM_frame0.weight" in found.unused
    assert all(
        name.startswith(("TSM_temp.", "bottleneck_local."))
        or "1." in name
        or name == "classifier_TSM_frame0.weight"
        or name.endswith("normy.bias")
        for name in found.unused
    )
    before = load_method(tmp_path / "m.safetensors")
    assert before.fingerprint == found.fingerprint
    for name in set(weights) - set(found.unused):
        changed = {**weights, name: weights[name] + 1}
        assert convert(changed, tmp_path).fingerprint != found.fingerprint, name
    for name in found.unused:
        changed = {**weights, name: weights[name] + 1}
        assert convert(changed, tmp_path).fingerprint == found.fingerprint, name


def test_data_parallel_files_and_files_without_the_unused(tmp_path):
    weights = random_weights()
    plain = convert(weights, tmp_path)
    parallel = convert({f"module.{name}": t for name, t in weights.items()}, tmp_path)
    assert parallel == plain
    lean = convert({name: t for name, t in weights.items() if name not in plain.unused}, tmp_path)
    assert (lean.fingerprint, lean.unused) == (plain.fingerprint, ())


def test_the_data_set_is_told_by_the_counts_or_checked_against_them(tmp_path, monkeypatch):
    monkeypatch.setattr(_x_reid_released, "IDENTITIES", {"hitsz-vcm": PEOPLE, "bupt-campus": 9})
    assert convert(random_weights(), tmp_path).camera_ids == tuple(range(1, 13))
    assert load_method(tmp_path / "m.safetensors").extra["trained_on"] == "hitsz-vcm"
    with pytest.raises(CheckpointError, match="was trained with 5 identities, but bupt-campus has 9"):
        convert(random_weights(), tmp_path, trained_on="bupt-campus")
    monkeypatch.setattr(_x_reid_released, "IDENTITIES", {"hitsz-vcm": PEOPLE, "bupt-campus": PEOPLE})
    with pytest.raises(CheckpointError, match="was trained with 12 cameras, but bupt-campus has 6"):
        convert(random_weights(), tmp_path, trained_on="bupt-campus")
    with pytest.raises(ValueError, match="unknown data set 'sysu'"):
        convert(random_weights(), tmp_path, trained_on="sysu")
    with pytest.raises(ValueError, match=r"2 camera_ids given, but .* 12 rows"):
        convert(random_weights(), tmp_path, camera_ids=(1, 2))


def without(name):
    return lambda w: w.pop(name)


def with_shape(name, *shape):
    return lambda w: w.update({name: torch.zeros(shape)})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("bn_TSM_tp0.running_var"), "tensor 'bn_TSM_tp0.running_var' is missing"),
        (with_shape("extra.weight", 2), "unexpected tensors: 'extra.weight'"),
        (
            with_shape("classifier_clip_frame.weight", 6, 96),
            r"'classifier_clip_frame.weight' \(6, 96\) does not fit",
        ),
        (
            with_shape("classifier_TSM_tp0.weight", 6, 64),
            r"'classifier_TSM_tp0.weight' \(6, 64\) does not fit",
        ),
        (with_shape("cv_embed", 12, 63), r"'cv_embed' \(12, 63\) does not fit"),
        (with_shape("cv_embed", 64), r"'cv_embed' \(64,\) does not fit: expected .* 2 dimensions"),
        (
            with_shape("image_encoder.positional_embedding", 163, 64),
            "has 163 positions, which frames of 32x16",
        ),
    ],
)
def test_files_that_do_not_fit_are_refused_and_nothing_is_written(tmp_path, change, message):
    weights = random_weights()
    change(weights)
    with pytest.raises(CheckpointError, match=message) as caught:
        convert(weights, tmp_path)
    assert str(tmp_path / "x.pth") in str(caught.value)
    assert not (tmp_path / "m.safetensors").exists()


def test_foreign_files_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing"):
        convert_released(tmp_path / "nothing.pth", tmp_path / "m.safetensors")
    (tmp_path / "x.pth").write_bytes(b"text")
    with pytest.raises(CheckpointError, match="cannot be read as a weight file"):
        convert_released(tmp_path / "x.pth", tmp_path / "m.safetensors")
    with pytest.raises(CheckpointError, match=r"is missing .* X-ReID's released code has it"):
        convert_released(save({"w": torch.ones(2)}, tmp_path / "y.pth"), tmp_path / "m.safetensors")


class Harmful:
    def __reduce__(self):
        return (eval, ("1 / 0",))


def test_no_file_runs_code(tmp_path):
    with pytest.raises(CheckpointError, match="cannot be read as a weight file"):
        convert_released(save({"w": Harmful()}, tmp_path / "x.pth"), tmp_path / "m.safetensors")
