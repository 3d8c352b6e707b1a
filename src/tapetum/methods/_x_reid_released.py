"""Weights of X-ReID's released code as a method of this package.

The released code saves a state dict of its whole network. What its training and its test feature are made of
is taken over; what its forward pass never touches is left behind, by name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from tapetum.errors import CheckpointError
from tapetum.methods._base import method_config
from tapetum.methods._checkpoint import TRAINED_ON, assign_tensors, save_method, stored_tensors
from tapetum.methods.x_reid import XReid
from tapetum.models.backbones.clip_layouts import OPENAI, Layout, Recipe
from tapetum.models.backbones.clip_tensors import FileTensors
from tapetum.models.interaction import HEAD_DIM
from tapetum.models.weight_files import read_weights
from tapetum.types import Id

CAMERAS: Mapping[str, tuple[Id, ...]] = {
    "hitsz-vcm": tuple(range(1, 13)),
    "bupt-campus": ("LS3", "G25", "CQ1", "W4", "TSG1", "TSG2"),
}
"""Camera behind each row of the camera table, by the data set that the weights were trained on."""

IDENTITIES: Mapping[str, int] = {"hitsz-vcm": 500, "bupt-campus": 1074}
"""Training identities of these data sets."""

_NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")

_UNUSED = re.compile(
    r"TSM_temp\..*|(bn|classifier)_TSM_(tp|frame)1\..*|classifier_TSM_frame0\.weight|bottleneck_local\..*"
    r"|TSM_space\.Reconstuct_shift2?\.Rotation\.attn\.normy\.bias"
)
"""The disabled long-term branch, a classifier and a norm that nothing calls, a shift of all keys alike."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """What came of a file.

    Attributes:
        fingerprint: Names the method that was written.
        num_identities: Classes of its classifiers.
        camera_ids: Camera of each row of its camera table.
        unused: Names in the file that were left behind, sorted.
    """

    fingerprint: str
    num_identities: int
    camera_ids: tuple[Id, ...]
    unused: tuple[str, ...]


def convert_released(
    path: Path,
    out: Path,
    *,
    trained_on: str | None = None,
    camera_ids: Sequence[Id] | None = None,
    image_size: tuple[int, int] = (288, 144),
    frames: int = 10,
) -> Conversion:
    """Write a state dict of the released code as a model file of this package, preset `released`.

    Its embeddings are the code's first test feature, normalised, with the shift between frames as the paper
    has it (the code lets frame 0 spread over the clip).

    Args:
        path: The state dict, as `torch.save` wrote it; a `module.` before every name is dropped.
        out: The model file to write, whole or not at all.
        trained_on: A key of `CAMERAS`; None: the data set with as many cameras as the file.
        camera_ids: Camera of each row of the file's table; None: those of the data set, else 0, 1, ....
        image_size: (height, width) in pixels of the frames it was trained with.
        frames: T, frames of a test clip.

    Raises:
        FileNotFoundError: There is no such file.
        CheckpointError: The file is no such state dict; a tensor is missing, left over or of the wrong shape;
            or it was trained with another number of people or cameras than the data set has.
        ValueError: An unknown data set, or another number of `camera_ids` than cameras.
    """
    weights = read_weights(path)
    tensors = FileTensors(weights, _LAYOUT)
    identities, cameras = _count(tensors)
    trained_on = _data_set(path, trained_on, identities, cameras)
    names: tuple[Id, ...] = tuple(camera_ids or CAMERAS.get(trained_on) or range(cameras))
    if len(names) != cameras:
        raise ValueError(f"{len(names)} camera_ids given, but the table of {path} has {cameras} rows")
    method = _build(tensors, identities, cameras, image_size, frames)
    targets = stored_tensors(method)
    sources = {name: tensors.take(name.removeprefix("network."), t) for name, t in targets.items()}
    tensors.check_all_used()
    assign_tensors(targets, sources, path)
    method.camera_ids = names
    fingerprint = save_method(method, out, extra={TRAINED_ON: trained_on, "converted_from": path.name})
    unused = sorted(name for name in weights.tensors if _UNUSED.fullmatch(name))
    return Conversion(fingerprint, identities, names, tuple(unused))


def _count(tensors: FileTensors) -> tuple[int, int]:
    """Training identities and cameras of the file."""
    return tensors.sizes("neck.classifier.weight", 2)[0], tensors.sizes("cameras.table", 2)[0]


def _data_set(path: Path, told: str | None, identities: int, cameras: int) -> str:
    """The data set that the weights are of, "" where it is none that is known."""
    if told is None:
        found = [
            name for name, some in CAMERAS.items() if (IDENTITIES[name], len(some)) == (identities, cameras)
        ]
        return found[0] if found else ""
    if told not in CAMERAS:
        raise ValueError(f"unknown data set {told!r}; known: {', '.join(CAMERAS)}")
    for what, found_count, expected in (
        ("identities", identities, IDENTITIES[told]),
        ("cameras", cameras, len(CAMERAS[told])),
    ):
        if found_count != expected:
            raise CheckpointError(f"{path}: was trained with {found_count} {what}, but {told} has {expected}")
    return told


def _build(
    tensors: FileTensors, identities: int, cameras: int, image_size: tuple[int, int], frames: int
) -> XReid:
    """The method that the file's tensors fit, with weights yet to be assigned."""
    joint, width = tensors.sizes("visual.projection.weight", 2)
    patch = tensors.sizes("visual.stem.projection.weight", 4)[-1]
    height, breadth = image_size
    positions = tensors.sizes("visual.positional_embedding", 2)[0]
    if height % patch or breadth % patch or positions != 1 + height // patch * (breadth // patch):
        raise CheckpointError(
            f"{tensors.path}: has {positions} positions, which frames of {height}x{breadth} in patches of "
            f"{patch} pixels do not give"
        )
    hidden = tensors.sizes("visual.blocks.0.mlp.expand.weight", 2)[0]
    vision = {
        "width": width,
        "layers": _LAYOUT.count_blocks("visual", tensors.names),
        "heads": max(1, width // HEAD_DIM),
        "patch_size": patch,
        "image_size": image_size,
        "output_dim": joint,
        "mlp_ratio": hidden / width,
    }
    shape = {"height": height, "width": breadth, "frames": frames, "vision": vision}
    config = method_config("x-reid", "released", shape)
    with torch.random.fork_rng(devices=[]):
        return XReid(config, identities, cameras)  # type: ignore[arg-type]


def _unit(ours: str, theirs: str) -> dict[str, str]:
    """Names of a cross-attention unit."""
    layers = {
        "query_norm": "norm1",
        "mlp_norm": "norm2",
        "attention.out": "attn.proj",
        "mlp.expand": "mlp.fc1",
        "mlp.contract": "mlp.fc2",
    }
    projections = {"query": "q_", "key": "k_", "value": "v_"}
    return {
        **{
            f"{ours}.{a}.{kind}": f"{theirs}.{b}.{kind}"
            for a, b in layers.items()
            for kind in ("weight", "bias")
        },
        **{f"{ours}.attention.{a}.weight": f"{theirs}.attn.{b}.weight" for a, b in projections.items()},
        f"{ours}.context_norm.weight": f"{theirs}.attn.normy.weight",
    }


def _norm(ours: str, theirs: str) -> dict[str, str]:
    return {f"{ours}.{part}": f"{theirs}.{part}" for part in _NORM}


_RENAMED = {
    "cameras.table": "cv_embed",
    "neck.classifier.weight": "classifier_clip_temp.weight",
    "frame_neck.classifier.weight": "classifier_clip_frame.weight",
    "mii_neck.classifier.weight": "classifier_TSM_tp0.weight",
    **_norm("neck.norms.0", "bn_feat_temp"),
    **_norm("neck.norms.1", "bn_proj_temp"),
    **_norm("frame_neck.norms.0", "bn_feat_frame"),
    **_norm("frame_neck.norms.1", "bn_proj_frame"),
    **_norm("mii_neck.norm", "bn_TSM_tp0"),
    **_norm("mii_frame_norm", "bn_TSM_frame0"),
    **_unit("interaction.short.0", "TSM_space.Reconstuct_shift.Rotation"),
    **_unit("interaction.short.1", "TSM_space.Reconstuct_shift2.Rotation"),
}

_LAYOUT = Layout(
    title="X-ReID's released code",
    outside={
        **{ours: Recipe((theirs,), lambda tensor: tensor) for ours, theirs in _RENAMED.items()},
        **{
            ours: Recipe(
                tuple(s.replace("visual.", "image_encoder.", 1) for s in recipe.sources), recipe.make
            )
            for ours, recipe in OPENAI.outside.items()
            if ours.startswith("visual.")
        },
    },
    block=OPENAI.block,
    roots={"visual": "image_encoder.transformer.resblocks."},
    text_names=(),
    harmless=_UNUSED,
)
"""Our names (without `network.`) in its state dicts."""
