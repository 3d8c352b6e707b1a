"""Read the tensors of a TorchScript archive without running it.

OpenAI publishes CLIP as TorchScript. `torch.load(weights_only=True)` refuses such files, and `torch.jit.load`
would compile and may run the code inside. The archive is a zip with a pickle of the module tree and one raw
record per tensor; here the pickle is read with a closed list of names, so nothing in the file is executed.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

_STORAGES = {
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "DoubleStorage": torch.float64,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}


def is_archive(path: Path) -> bool:
    """Whether the file is a TorchScript archive; plain `torch.save` files have no constants of a program."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def read_archive(path: Path) -> dict[str, Tensor]:
    """Tensors by their dotted names, as `torch.jit.load(path).state_dict()` names them.

    Raises:
        pickle.UnpicklingError: The module tree names something else than tensors and containers.
        Exception: The file is damaged; zipfile, pickle and torch each have errors of their own.
    """
    with zipfile.ZipFile(path) as archive:
        root = next(name for name in archive.namelist() if name.endswith("/data.pkl")).removesuffix(
            "data.pkl"
        )
        if f"{root}byteorder" in archive.namelist() and archive.read(f"{root}byteorder") != b"little":
            raise pickle.UnpicklingError("written on a big-endian machine")
        stream = io.BytesIO(archive.read(f"{root}data.pkl"))
        module = _Reader(stream, lambda key: archive.read(f"{root}data/{key}")).load()
    found: dict[str, Tensor] = {}
    _collect(module, "", found)
    return found


class _ScriptObject:
    """Stands for any object of the archive's program: keeps its attributes and does nothing."""

    attributes: Any = None

    def __setstate__(self, attributes: Any) -> None:
        self.attributes = attributes


class _Reader(pickle.Unpickler):
    """An unpickler that knows tensors, containers and `_ScriptObject`, and nothing else."""

    def __init__(self, stream: io.BytesIO, read_record: Callable[[str], bytes]) -> None:
        super().__init__(stream)
        self._read_record = read_record
        self._storages: dict[str, Tensor] = {}

    def find_class(self, module: str, name: str) -> Any:
        if module.split(".")[0] == "__torch__":
            return _ScriptObject
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        if module == "torch.jit._pickle":  # typed lists: the typing is of no interest here
            return _first
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild_tensor
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        raise pickle.UnpicklingError(f"refused to look up {module}.{name}")

    def persistent_load(self, pid: Any) -> Tensor:
        _, dtype, key, _, _ = pid
        if key not in self._storages:
            raw = bytearray(self._read_record(key))
            self._storages[key] = torch.frombuffer(raw, dtype=dtype) if raw else torch.empty(0, dtype=dtype)
        return self._storages[key]


def _first(value: Any, *_: Any) -> Any:
    return value


def _rebuild_tensor(
    storage: Tensor, offset: int, size: Sequence[int], stride: Sequence[int], *_: Any
) -> Tensor:
    return storage.as_strided(size, stride, offset)


def _collect(value: Any, prefix: str, found: dict[str, Tensor]) -> None:
    """Put every tensor below a script object into `found`."""
    if isinstance(value, Tensor):
        found[prefix] = value
    elif isinstance(value, _ScriptObject) and isinstance(value.attributes, dict):
        for name, attribute in value.attributes.items():
            _collect(attribute, f"{prefix}.{name}" if prefix else name, found)
