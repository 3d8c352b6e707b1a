"""A trained method in one safetensors file: its tensors and, in the header, all that rebuilds it alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from tapetum.config import build_config, telling_values
from tapetum.errors import CheckpointError
from tapetum.files import replace_tensors
from tapetum.methods._base import Method, method_class
from tapetum.types import Id

FORMAT = "tapetum-method-1"
"""First header field of a model file; the number rises with any change a reader must know of."""

TRAINING_FORMAT = "tapetum-training-1"
"""The same of a checkpoint to resume training from; its weights lie under `MODEL` and `AVERAGED`."""

MODEL = "model/"
"""Prefix of the weights in a training checkpoint."""

AVERAGED = "ema/"
"""Prefix of the averaged weights in a training checkpoint, where the run keeps them."""


TRAINED_ON = "trained_on"
"""Key under which `extra` names the data set that a method was trained on, as its title does."""


@dataclass(frozen=True, slots=True)
class StoredMethod:
    """A method read from a file.

    Attributes:
        method: The network, in evaluation mode, on the CPU.
        fingerprint: What the file says of its tensors and configuration, checked against them.
        label_ids: Person of each training label; empty where the file does not say.
        camera_ids: Camera of each training camera index; empty where the file does not say.
        extra: What the writer added to the header.
    """

    method: Method
    fingerprint: str
    label_ids: tuple[Id, ...] = ()
    camera_ids: tuple[Id, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)


def save_method(
    method: Method,
    path: Path,
    *,
    label_ids: Sequence[Id] = (),
    camera_ids: Sequence[Id] = (),
    extra: Mapping[str, Any] | None = None,
) -> str:
    """Write `method` to `path` (whole or not at all) and return its fingerprint.

    Args:
        method: The method; its tensors may lie on any device.
        path: A `.safetensors` file in an existing folder.
        label_ids: Person of each training label, in label order.
        camera_ids: Camera of each training camera index; where none is given, those that a method which
            reads cameras knows.
        extra: Anything JSON can hold, kept in the header.

    Raises:
        OSError: The file could not be written; what was there before is untouched.
    """
    name = fingerprint(method)
    header = describe_method(method, label_ids, camera_ids, extra)
    replace_tensors(path, stored_tensors(method), {"format": FORMAT, "fingerprint": name, **header})
    return name


def load_method(path: Path) -> StoredMethod:
    """Rebuild a method from its file alone: a model file, or a checkpoint that training resumes from.

    A training checkpoint gives its averaged weights where it holds them, else the plain ones. A method from a
    model file is without its `training_parts`.

    Raises:
        FileNotFoundError: There is no such file.
        CheckpointError: The file is no checkpoint of this package, was altered, or its tensors do not fit.
    """
    tensors, header = read_tensors(path)
    kind = header.get("format")
    if kind not in (FORMAT, TRAINING_FORMAT):
        raise CheckpointError(f"{path}: not a method of this package (format {kind!r}, expected {FORMAT!r})")
    method = _build(header, path)
    camera_ids = tuple(json.loads(header["camera_ids"]))
    method.camera_ids = camera_ids or method.camera_ids
    if kind == TRAINING_FORMAT:
        assign_tensors(all_tensors(method), {**_under(MODEL, tensors), **_under(AVERAGED, tensors)}, path)
    else:
        assign_tensors(stored_tensors(method), tensors, path)
        method.drop_training_parts()
    found = fingerprint(method)
    if kind == FORMAT and found != header["fingerprint"]:
        raise CheckpointError(f"{path}: the content does not match its fingerprint; the file was altered")
    return StoredMethod(
        method.eval(),
        found,
        label_ids=tuple(json.loads(header["label_ids"])),
        camera_ids=camera_ids,
        extra=json.loads(header["extra"]),
    )


def rebuild_method(header: Mapping[str, str], tensors: Mapping[str, Tensor], path: Path) -> Method:
    """The method that `header` describes, with `tensors` for all that `all_tensors` names, on their device.

    Raises:
        CheckpointError: They do not fit; `path` is named.
    """
    method = _build(header, path).to(next(iter(tensors.values())).device)
    assign_tensors(all_tensors(method), tensors, path)
    return method


def describe_method(
    method: Method,
    label_ids: Sequence[Id] = (),
    camera_ids: Sequence[Id] = (),
    extra: Mapping[str, Any] | None = None,
) -> dict[str, str]:
    """Header fields from which `load_method` rebuilds `method` without its tensors."""
    if method.reads_cameras and not camera_ids:
        camera_ids = method.camera_ids
    return {
        "method": method.name,
        "config": method.config.model_dump_json(),
        "num_identities": str(method.num_identities),
        "num_cameras": str(method.num_cameras),
        "label_ids": json.dumps(list(label_ids)),
        "camera_ids": json.dumps(list(camera_ids)),
        "extra": json.dumps(dict(extra or {})),
        "tapetum": version("tapetum"),
    }


def fingerprint(method: Method) -> str:
    """64 hexadecimal digits that name a method's weights, configuration and sizes.

    Equal for a method and its saved and loaded twin, in later versions too. The path the first weights came
    from does not count; where embeddings depend on cameras, which camera has which index does.
    """
    digest = hashlib.sha256()
    config = telling_values(method.config)
    del config["weights"]
    sizes: list[Any] = [method.name, config, method.num_identities, method.num_cameras]
    if method.reads_cameras:
        sizes.append(list(method.camera_ids))
    digest.update(json.dumps(sizes, sort_keys=True).encode())
    for name, tensor in sorted(stored_tensors(method).items()):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        digest.update(tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def stored_tensors(method: Method) -> dict[str, Tensor]:
    """What a model file holds: parameters and persistent buffers by name, detached, each tensor once.

    What nothing but training needs (`training_parts`) is left out.
    """
    persistent = set(method.state_dict(keep_vars=True))
    outside = tuple(f"{part}." for part in method.training_parts)
    found = all_tensors(method).items()
    return {name: t for name, t in found if name in persistent and not name.startswith(outside)}


def all_tensors(method: Method) -> dict[str, Tensor]:
    """Parameters and all buffers by name, detached; a tensor with several names appears once."""
    parameters: Iterator[tuple[str, Tensor]] = method.named_parameters()
    return {name: tensor.detach() for pairs in (parameters, method.named_buffers()) for name, tensor in pairs}


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """All tensors of a safetensors file, on the CPU, and the texts in its header.

    Raises:
        FileNotFoundError: There is no such file.
        CheckpointError: The file is not safetensors, or ends early.
    """
    with _opened(path) as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118


def read_header(path: Path) -> dict[str, str]:
    """The texts in the header of a safetensors file, without its tensors; raises as `read_tensors` does."""
    with _opened(path) as file:
        return file.metadata() or {}


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            yield file
    except SafetensorError as error:
        raise CheckpointError(f"{path}: not a complete safetensors file: {error}") from None


def assign_tensors(targets: Mapping[str, Tensor], sources: Mapping[str, Tensor], path: Path) -> None:
    """Copy `sources` into `targets` of the same names; nothing is copied unless everything fits.

    Raises:
        CheckpointError: A tensor is missing, unexpected, or of another shape or type; all are named.
    """
    problems = [
        *_named("missing", targets.keys() - sources.keys()),
        *_named("unexpected", sources.keys() - targets.keys()),
        *(
            f"{name} is {_shape(sources[name])}, expected {_shape(target)}"
            for name, target in targets.items()
            if name in sources and _shape(sources[name]) != _shape(target)
        ),
    ]
    if problems:
        raise CheckpointError(f"{path} does not fit the architecture: {'; '.join(problems)}")
    with torch.no_grad():
        for name, target in targets.items():
            target.copy_(sources[name])


def _build(header: Mapping[str, str], path: Path) -> Method:
    """The method that the header of `path` describes, its tensors still as initialised."""
    try:
        kind = method_class(header["method"])
        config = build_config(kind.config_type, json.loads(header["config"]), {"weights": "none"})
        return kind(config, int(header["num_identities"]), int(header["num_cameras"]))
    except KeyError as error:
        raise CheckpointError(f"{path}: the header lacks {error}") from None
    except ValueError as error:
        raise CheckpointError(f"{path}: the header describes no method of this version: {error}") from None


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}


def _named(problem: str, names: Iterable[str]) -> list[str]:
    found = sorted(names)
    return [f"{problem}: {', '.join(found)}"] if found else []


def _shape(tensor: Tensor) -> str:
    return f"{list(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')}"
