"""What an exported model says of itself: texts in the metadata of its ONNX file, and the file's two parts.

A file is the graph with its weights, then its metadata. Both are protocol buffers, one after the other: to
read them together is to read one model. So the metadata can name the digest of all bytes before it, and a
reader needs no ONNX package to check it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from tapetum.clip_encoding import Mirror
from tapetum.data.clips import TestSampling
from tapetum.errors import CheckpointError
from tapetum.types import Id, Preprocessing

FORMAT = "tapetum-onnx"
FORMAT_VERSION = 1
"""Rises with any change that a reader must know of."""

CLIPS, INFRARED, CAMERAS, EMBEDDINGS = "clips", "infrared", "cameras", "embeddings"
"""Inputs of the graph, and its output: float32 `[B, T, 3, H, W]`, normalised; bool `[B]`; int64 `[B]`, row of
the camera table, -1 for others; float32 `[B, D]`, L2-normalised."""

_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class OnnxMetadata:
    """What a reader needs to know beside the graph.

    Attributes:
        fingerprint: That of the model that was exported; embeddings of both are the same to rounding.
        method: Its method's name.
        config: The method's configuration, as in the run.
        preprocessing: What clips look like.
        embedding_dim: D.
        sampling: How frames of a test clip are chosen.
        mirror: What becomes of mirror images where they are asked for.
        inputs: Of the graph, in order.
        camera_ids: Camera of each row of the camera table; empty where embeddings do not depend on cameras
            and the run did not say.
        unknown_camera: What becomes of a camera that is not in the table.
        is_frame_count_free: Whether clips of any number of frames fit the graph.
        trained_on: Title of the data set; "" where unknown.
        precision: Number type of the weights.
        opset: Version of ONNX's operators.
        content_bytes: Length of the graph's part of the file.
        content_sha256: Its digest.
        tapetum: Version that wrote the file.
    """

    fingerprint: str
    method: str
    config: Mapping[str, Any] = field(repr=False)
    preprocessing: Preprocessing
    embedding_dim: int
    sampling: TestSampling
    mirror: Mirror = "add"
    inputs: tuple[str, ...] = (CLIPS,)
    camera_ids: tuple[Id, ...] = field(default=(), repr=False)
    unknown_camera: Literal["mean", "error"] = "mean"
    is_frame_count_free: bool = False
    trained_on: str = ""
    precision: str = "32"
    opset: int = 0
    content_bytes: int = 0
    content_sha256: str = ""
    tapetum: str = ""

    def to_properties(self) -> dict[str, str]:
        """Texts by name, as ONNX keeps them; what is no text is JSON."""
        values = asdict(self)
        return {
            "format": FORMAT,
            "format_version": str(FORMAT_VERSION),
            **{name: v if isinstance(v, str) else json.dumps(v) for name, v in values.items()},
        }

    @classmethod
    def from_properties(cls, properties: Mapping[str, str], path: Path) -> OnnxMetadata:
        """What a file's texts say; of texts that this version does not know nothing is taken.

        Raises:
            CheckpointError: They are not of this package, of a newer version, or not complete.
        """
        if properties.get("format") != FORMAT:
            raise CheckpointError(
                f"{path}: an ONNX file without the metadata that `tapetum export` writes, so nobody knows "
                "what it takes and gives; export the run again"
            )
        version = properties.get("format_version", "")
        if not version.isdecimal() or int(version) > FORMAT_VERSION:
            raise CheckpointError(
                f"{path}: format version {version!r}; this version of tapetum reads up to {FORMAT_VERSION}"
            )
        try:
            return cls(**{f.name: _read(f.name, f.type, properties[f.name]) for f in fields(cls)})
        except (KeyError, ValueError, TypeError) as error:
            raise CheckpointError(f"{path}: damaged metadata: {error}") from None


def digest_of(path: Path, length: int) -> tuple[int, str]:
    """How many of the first `length` bytes a file has, and their SHA-256."""
    digest, left = hashlib.sha256(), length
    with path.open("rb") as file:
        while left and (block := file.read(min(left, _BLOCK))):
            digest.update(block)
            left -= len(block)
    return length - left, digest.hexdigest()


def _read(name: str, kind: Any, text: str) -> Any:
    """The value of a field from its text; `kind` is its annotation, which is a text itself."""
    if kind in ("str", "TestSampling", "Mirror") or kind.startswith("Literal"):
        return text
    value = json.loads(text)
    if name == "preprocessing":
        size: dict[str, Any] = {
            key: tuple(part) if isinstance(part, list) else part for key, part in value.items()
        }
        return Preprocessing(**size)
    expected: dict[str, type] = {"int": int, "bool": bool}
    if kind in expected and type(value) is not expected[kind]:
        raise ValueError(f"{name} is {text}; expected {kind}")
    return tuple(value) if kind.startswith("tuple") else value
