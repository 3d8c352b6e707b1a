"""Load ImageNet weights of a ResNet from a file in torchvision's layout.

Every tensor is accounted for: a missing, left-over or wrongly shaped one is an error that names it, and so is
a file of another layout.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from tapetum.errors import CheckpointError
from tapetum.models.backbones.resnet import RESNET_50, ResNet, ResNetConfig
from tapetum.models.weight_files import read_weights

_LOG = logging.getLogger(__name__)

_UNUSED = re.compile(r"fc\.(weight|bias)")
"""ImageNet's classifier."""

_COUNTER = "num_batches_tracked"
"""What torchvision's older files lack; it has no influence here."""

_OTHERS = (
    (r"visual\.", "CLIP (visual.*)"),
    (r"attnpool\.", "CLIP's image tower alone (attnpool.*)"),
    (r"(resnet\.)?(embedder|encoder)\.", "transformers' ResNetModel (embedder.*, encoder.*)"),
    (r"(visible|thermal)_module\.", "a trained two-stream network of AGW's code (visible_module.*)"),
    (r"conv1\.\d", "a ResNet with a stem of several convolutions (conv1.0.*)"),
    (r"backbone\.", "a detector's or another project's backbone (backbone.*)"),
    (r"(stem|stages|res\d)\.", "a ResNet of detectron2 or timm (stem.*, res2.*, stages.*)"),
    (r"network\.", "a method of this package (network.*), which commands take as a model"),
    (r"patch_embed\.|blocks\.\d|cls_token", "a vision transformer (blocks.*)"),
)
"""Layouts that people may take for this one: how one of their names begins, and what to call them."""


def load_resnet(path: str | Path, config: ResNetConfig = RESNET_50) -> ResNet:
    """A ResNet with the weights of a file, in float32, on the CPU.

    Non-local blocks, which no such file holds, keep their first weights, with which they change nothing.
    What is left behind (ImageNet's classifier, `fc`) is named in the log.

    Args:
        path: A state dict as torchvision publishes them (`.pth`), or the same as `.safetensors`.
        config: Shape of the network; blocks and widths must be those of the file.

    Raises:
        FileNotFoundError: There is no such file.
        CheckpointError: The file cannot be read, is of another layout or another ResNet, or a tensor is
            missing, left over or of the wrong shape.
    """
    weights = read_weights(Path(path))
    _check_layout(weights.path, weights.tensors, config)
    network = ResNet(config)
    targets = {theirs: t for name, t in network.state_dict().items() if (theirs := _their_name(name))}
    _check_tensors(weights.path, weights.tensors, targets)
    with torch.no_grad():
        for name in targets.keys() & weights.tensors.keys():
            targets[name].copy_(weights.tensors[name])
    unused = sorted(name for name in weights.tensors if _UNUSED.fullmatch(name))
    if unused:
        _LOG.info("%s: not used: %s", weights.path, ", ".join(unused))
    return network


def _their_name(ours: str) -> str | None:
    """Published name of our tensor; None for tensors of non-local blocks."""
    if ".non_local." in ours:
        return None
    return ours.removeprefix("stem.").removeprefix("body.")


def _check_layout(path: Path, names: Iterable[str], config: ResNetConfig) -> None:
    known = sorted(names)
    if "conv1.weight" not in known or not any(name.startswith("layer1.0.") for name in known):
        raise CheckpointError(
            f"{path}: expected a ResNet in torchvision's layout (conv1.weight, layer1.0.conv1.weight, ...), "
            f"found {_describe(known)}"
        )
    for pattern, title in _OTHERS[:2]:
        if any(re.match(pattern, name) for name in known):
            raise CheckpointError(f"{path}: expected a plain ResNet, found {title}")
    if "layer1.0.conv3.weight" not in known:
        raise CheckpointError(
            f"{path}: expected a ResNet of bottlenecks, found basic blocks, as ResNet-18 and -34 have them"
        )
    if (found := _count_blocks(known)) != config.layers:
        raise CheckpointError(f"{path}: expected {config.layers} blocks in the layers, found {found}")


def _describe(names: list[str]) -> str:
    for pattern, title in _OTHERS:
        if any(re.match(pattern, name) for name in names):
            return title
    return f"{len(names)} tensors named {', '.join(names[:3])}, ..."


def _count_blocks(names: list[str]) -> tuple[int, ...]:
    matches = [match for name in names if (match := re.match(r"layer(\d+)\.(\d+)\.", name))]
    layers = sorted({int(match[1]) for match in matches})
    return tuple(1 + max(int(m[2]) for m in matches if int(m[1]) == layer) for layer in layers)


def _check_tensors(path: Path, given: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> None:
    """Do nothing where every tensor fits.

    Raises:
        CheckpointError: Some do not; all missing, left-over and misfitting ones are named, up to four each.
    """
    missing = [name for name in targets if name not in given and not name.endswith(_COUNTER)]
    left = [name for name in given if name not in targets and not _UNUSED.fullmatch(name)]
    wrong = [
        f"{name} {tuple(given[name].shape)} (expected {tuple(target.shape)})"
        for name, target in targets.items()
        if name in given and given[name].shape != target.shape
    ]
    kinds = (("missing tensors", missing), ("unexpected tensors", left), ("tensors of another shape", wrong))
    problems = [f"{kind}: {_some(names)}" for kind, names in kinds if names]
    if problems:
        raise CheckpointError(f"{path}: {'; '.join(problems)}")


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return ", ".join(names[:4]) + more
