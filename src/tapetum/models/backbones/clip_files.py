"""Load CLIP weights from the files in which the field keeps them, and save them in one of our own.

Every tensor is accounted for: a missing, left-over or wrongly shaped one is an error that names it. What a
file does not say (head count, activation) comes from the configuration beside it or from its maker's rule.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, cast

from torch import Tensor

from tapetum.errors import CheckpointError
from tapetum.files import replace_tensors
from tapetum.models.backbones.blocks import Activation
from tapetum.models.backbones.clip import Clip, ImageTowerShape
from tapetum.models.backbones.clip_layouts import OWN, find_layout
from tapetum.models.backbones.clip_resnet import (
    ClipResNet,
    ClipResNetConfig,
    LastStride,
    StemRelus,
    Stems,
)
from tapetum.models.backbones.clip_resnet_variants import ResNetVariant, vary
from tapetum.models.backbones.clip_shapes import read_shapes
from tapetum.models.backbones.clip_tensors import FileTensors, build_clip
from tapetum.models.backbones.positions import ResizeMode
from tapetum.models.backbones.text import TextConfig
from tapetum.models.backbones.vision import VisionConfig
from tapetum.models.weight_files import WeightFile, read_metadata, read_weights

_FORMAT = "tapetum-clip"
_VERSION = "1"
_RESERVED = ("format", "version", "vision", "text")
_FOLDER_FILES = (
    ("config.json", ("model.safetensors", "pytorch_model.bin")),
    ("open_clip_config.json", ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")),
)


def load_clip(
    path: str | Path,
    *,
    image_size: tuple[int, int] | None = None,
    resize: ResizeMode = "bilinear",
    activation: Activation | None = None,
    last_stride: LastStride | None = None,
    stems: Stems | None = None,
    stem_relus: StemRelus | None = None,
) -> Clip:
    """CLIP with the weights of a file or folder, in float32, on the CPU, in evaluation mode.

    Reads OpenAI's archives and state dicts, open_clip's `.pt` and `.safetensors`, Hugging Face folders and
    files (`CLIPModel`), and files of `save_clip`. A file with an image tower alone gives a CLIP without text.

    Args:
        path: Weight file, or a folder with one and its configuration.
        image_size: (height, width) of the frames to come; None: as in the file. The position grid is
            interpolated where it differs.
        resize: How positions are interpolated.
        activation: Of both towers; None: what the file or the configuration beside it says, else its maker's
            rule (OpenAI: quick_gelu; open_clip: gelu, with a warning in the log). A ResNet has none.
        last_stride: Of a ResNet's last layer; None: as in the file, which is 2 in all published ones.
        stems: Of a ResNet, see `ClipResNetConfig`; two are copies of the file's one. None: as in the file.
        stem_relus: Of a ResNet's stem, see `ClipResNetConfig`; None: as in the file.

    Raises:
        FileNotFoundError: There is no such file, or no weight file in the folder.
        CheckpointError: The file cannot be read, is no CLIP with towers of its own kinds, or a tensor is
            missing, left over or of the wrong shape; a ResNet's choices are made for a vision transformer.
        ValueError: `image_size` is no multiple of the patch size or too small for a map, `resize` is unknown,
            or one stem is asked of a file with two.
    """
    file, config = _find(Path(path))
    weights = read_weights(file)
    if weights.metadata.get("format") == _FORMAT:
        clip = _load_own(weights, activation)
    else:
        clip = _load_foreign(weights, config, activation, image_size, last_stride)
    variant = _given(last_stride, stems, stem_relus)
    if isinstance(clip.visual, ClipResNet):
        clip.visual = vary(clip.visual, image_size=image_size, resize=resize, **variant)
    elif variant:
        raise CheckpointError(
            f"{file}: holds a vision transformer, and {', '.join(variant)} belong to ResNets: these come in "
            "OpenAI's and open_clip's files (Hugging Face's CLIPModel has none)"
        )
    elif image_size is not None:
        clip.visual.resize_positions(*image_size, mode=resize)
    return clip.eval()


def save_clip(
    clip: Clip, path: str | Path, *, notes: Mapping[str, str] | None = None, half: bool = False
) -> None:
    """Write a CLIP with its configuration to one safetensors file that `load_clip` reads.

    Args:
        clip: What to save.
        path: Where to; written whole or not at all.
        notes: Further texts for the file's header, such as a word list; `read_notes` returns them.
        half: Store numbers as float16, half the size; they are loaded as float32.

    Raises:
        ValueError: A note under a name that the format uses.
        OSError: The file could not be written; what was there before is untouched.
    """
    notes = dict(notes or {})
    if reserved := sorted(set(notes) & set(_RESERVED)):
        raise ValueError(f"notes named {', '.join(reserved)}: these names belong to the file format")
    text = None if clip.text is None else asdict(clip.text.config)
    vision = asdict(clip.visual.config)
    header = {"format": _FORMAT, "version": _VERSION, "vision": json.dumps(vision), "text": json.dumps(text)}
    tensors = {name: _halved(name, t) if half else t for name, t in clip.state_dict().items()}
    replace_tensors(Path(path), tensors, {**header, **notes})


def read_notes(path: str | Path) -> dict[str, str]:
    """The notes that `save_clip` put into the header of a file.

    Raises:
        FileNotFoundError: There is no such file.
        CheckpointError: Not a file of `save_clip`.
    """
    metadata = read_metadata(Path(path))
    if metadata.get("format") != _FORMAT:
        raise CheckpointError(f"{path}: not written by save_clip: no header of format {_FORMAT!r}")
    return {name: value for name, value in metadata.items() if name not in _RESERVED}


def _halved(name: str, tensor: Tensor) -> Tensor:
    """A number of half the size, but for counters and running statistics, whose range it lacks."""
    is_kept = not tensor.is_floating_point() or "running_" in name
    return tensor if is_kept else tensor.half()


def _given(
    last_stride: LastStride | None, stems: Stems | None, stem_relus: StemRelus | None
) -> ResNetVariant:
    """What the caller chose of a ResNet."""
    choices = {"last_stride": last_stride, "stems": stems, "stem_relus": stem_relus}
    return cast(ResNetVariant, {name: value for name, value in choices.items() if value is not None})


def _load_own(weights: WeightFile, activation: Activation | None) -> Clip:
    vision, text = _read_header(weights)
    if activation is not None:
        if isinstance(vision, VisionConfig):
            vision = replace(vision, activation=activation)
        text = None if text is None else replace(text, activation=activation)
    return build_clip(vision, text, FileTensors(weights, OWN))


def _read_header(weights: WeightFile) -> tuple[ImageTowerShape, TextConfig | None]:
    try:
        vision, text = (json.loads(weights.metadata[tower]) for tower in ("vision", "text"))
        vision = {name: tuple(v) if isinstance(v, list) else v for name, v in vision.items()}
        kind = ClipResNetConfig if "last_stride" in vision else VisionConfig
        return kind(**vision), None if text is None else TextConfig(**text)
    except (KeyError, TypeError, ValueError) as error:
        version = weights.metadata.get("version")
        raise CheckpointError(
            f"{weights.path}: header of format version {version} (this release reads {_VERSION}): {error}"
        ) from error


def _load_foreign(
    weights: WeightFile,
    config: Mapping[str, Any],
    activation: Activation | None,
    image_size: tuple[int, int] | None,
    last_stride: LastStride | None,
) -> Clip:
    try:
        layout = find_layout(weights.tensors)
    except CheckpointError as error:
        raise CheckpointError(f"{weights.path}: {error}") from None
    tensors = FileTensors(weights, layout)
    vision, text = read_shapes(weights, tensors, config, activation, image_size, last_stride)
    return build_clip(vision, text, tensors)


def _find(path: Path) -> tuple[Path, dict[str, Any]]:
    """The weight file, and the configuration beside it (empty where there is none)."""
    if not path.is_dir():
        return path, _read_config_beside(path)
    for config, candidates in _FOLDER_FILES:
        for name in candidates:
            if (path / config).is_file() and (path / name).is_file():
                return path / name, _read_json(path / config)
    expected = " or ".join(f"{config} with {' / '.join(names)}" for config, names in _FOLDER_FILES)
    raise FileNotFoundError(f"{path}: no CLIP in this folder: expected {expected}")


def _read_config_beside(path: Path) -> dict[str, Any]:
    """The configuration of a file that lies in its published folder under its published name."""
    for config, candidates in _FOLDER_FILES:
        if path.name in candidates and path.with_name(config).is_file():
            return _read_json(path.with_name(config))
    return {}


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(f"{path}: not a JSON file: {error}") from None
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: expected a JSON object, found {type(content).__name__}")
    return content
