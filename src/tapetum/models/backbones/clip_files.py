"""Load CLIP weights from the files in which the field keeps them, and save them in one of our own.

Every tensor is accounted for: a missing, left-over or wrongly shaped one is an error that names it. What a
file does not say (head count, activation) comes from the configuration beside it or from its maker's rule.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from tapetum.errors import CheckpointError
from tapetum.files import replace_tensors
from tapetum.models.backbones.blocks import Activation
from tapetum.models.backbones.clip import Clip
from tapetum.models.backbones.clip_layouts import OWN, find_layout
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
            rule (OpenAI: quick_gelu; open_clip: gelu, with a warning in the log).

    Raises:
        FileNotFoundError: There is no such file, or no weight file in the folder.
        CheckpointError: The file cannot be read, is no CLIP with a vision transformer, or a tensor is
            missing, left over or of the wrong shape.
        ValueError: `image_size` is no multiple of the patch size, or `resize` is unknown.
    """
    file, config = _find(Path(path))
    weights = read_weights(file)
    if weights.metadata.get("format") == _FORMAT:
        clip = _load_own(weights, activation)
    else:
        clip = _load_foreign(weights, config, activation, image_size)
    if image_size is not None:
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
    tensors = {name: t.half() if half else t for name, t in clip.state_dict().items()}
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


def _load_own(weights: WeightFile, activation: Activation | None) -> Clip:
    vision, text = _read_header(weights)
    if activation is not None:
        vision = replace(vision, activation=activation)
        text = None if text is None else replace(text, activation=activation)
    return build_clip(vision, text, FileTensors(weights, OWN))


def _read_header(weights: WeightFile) -> tuple[VisionConfig, TextConfig | None]:
    try:
        vision, text = (json.loads(weights.metadata[tower]) for tower in ("vision", "text"))
        for name in ("image_size", "stem_channels"):
            vision[name] = tuple(vision[name])
        return VisionConfig(**vision), None if text is None else TextConfig(**text)
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
) -> Clip:
    try:
        layout = find_layout(weights.tensors)
    except CheckpointError as error:
        raise CheckpointError(f"{weights.path}: {error}") from None
    tensors = FileTensors(weights, layout)
    vision, text = read_shapes(weights, tensors, config, activation, image_size)
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
