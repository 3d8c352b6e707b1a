"""Read tensors from weight files of others: safetensors, `torch.save` files, TorchScript archives.

No file is ever allowed to run code: safetensors cannot, `torch.load` is called with `weights_only=True`, and
archives are parsed (see `torchscript_archive`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from tapetum.errors import CheckpointError
from tapetum.models.torchscript_archive import is_archive, read_archive

_WRAPPED_IN = "state_dict"
_DATA_PARALLEL = "module."


@dataclass(frozen=True)
class WeightFile:
    """The content of a weight file.

    Attributes:
        path: Where it was read.
        kind: How it was stored.
        tensors: By name, in the file's order (safetensors keeps none).
        metadata: Header of a safetensors file; empty for the others.
    """

    path: Path
    kind: Literal["safetensors", "pickle", "archive"]
    tensors: dict[str, Tensor]
    metadata: dict[str, str] = field(default_factory=dict)


def read_weights(path: Path) -> WeightFile:
    """The tensors of a weight file, on the CPU, as stored.

    A state dict inside {"state_dict": ...} is unwrapped, and a "module." before every name is dropped.

    Raises:
        FileNotFoundError: There is no such file.
        CheckpointError: The file cannot be read, or holds something else than named tensors.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such weight file")
    try:
        if path.suffix == ".safetensors":
            return _read_safetensors(path)
        if is_archive(path):
            return WeightFile(path, "archive", read_archive(path))
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file fails in its reader's own way: anything from KeyError up
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise CheckpointError(f"{path}: cannot be read as a weight file: {reason}") from error
    return WeightFile(path, "pickle", _state_dict(path, content))


def read_metadata(path: Path) -> dict[str, str]:
    """The header of a safetensors file, without reading its tensors.

    Raises:
        FileNotFoundError: There is no such file.
        CheckpointError: Not a safetensors file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such weight file")
    try:
        with safe_open(path, framework="pt") as stored:
            return stored.metadata() or {}
    except SafetensorError as error:
        raise CheckpointError(f"{path}: not a safetensors file: {error}") from error


def _read_safetensors(path: Path) -> WeightFile:
    with safe_open(path, framework="pt") as stored:
        tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
        return WeightFile(path, "safetensors", tensors, stored.metadata() or {})


def _state_dict(path: Path, content: Any) -> dict[str, Tensor]:
    if isinstance(content, dict) and isinstance(content.get(_WRAPPED_IN), dict):
        content = content[_WRAPPED_IN]
    if not isinstance(content, dict) or not content:
        raise CheckpointError(f"{path}: expected named tensors, found {type(content).__name__}")
    for name, value in content.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise CheckpointError(
                f"{path}: expected named tensors, found {type(value).__name__} under {name!r}"
            )
    if all(name.startswith(_DATA_PARALLEL) for name in content):
        return {name.removeprefix(_DATA_PARALLEL): value for name, value in content.items()}
    return dict(content)
