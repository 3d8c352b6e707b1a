"""Whether an exported model gives the embeddings of its run: both asked for the same clips."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version

import numpy as np
from numpy.typing import NDArray

from tapetum.clip_encoding import ClipEncoder, Vectors
from tapetum.data.clip_reading import read_clips
from tapetum.model import Model
from tapetum.onnx_model import OnnxModel
from tapetum.types import Id, Modality, Preprocessing, Tracklet, TrackletSet

LEAST_COSINE = 0.9999
"""Between embeddings of the same clip; below it an export is refused."""

BATCH_SIZES = (1, 3, 8)

_COARSE = 6
"""Cells of a drawn frame across and down, before it is enlarged: pictures, not noise in every pixel."""


@dataclass(frozen=True, slots=True, eq=False)
class ClipSample:
    """Clips to ask both models for.

    Attributes:
        name: Where they come from.
        clips: uint8 `[B, T, 3, H, W]`.
        modality: Of each.
        camera_ids: Of each.
    """

    name: str
    clips: NDArray[np.uint8]
    modality: tuple[Modality, ...]
    camera_ids: tuple[Id | None, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What two models make of the same clips.

    Attributes:
        name: Where the clips come from.
        clips: How many.
        batch_sizes: With each of which the exported model was asked for all of them.
        max_abs_difference: Largest difference of two numbers in the same place.
        min_cosine: Least cosine of the two embeddings of a clip; nan where one is not finite.
    """

    name: str
    clips: int
    batch_sizes: tuple[int, ...]
    max_abs_difference: float
    min_cosine: float


@dataclass(frozen=True, slots=True)
class Parity:
    """How near an exported model is to its run.

    Attributes:
        fingerprint: Of both.
        comparisons: One for each sample of clips.
        versions: Of the packages that computed.
    """

    fingerprint: str
    comparisons: tuple[Comparison, ...]
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def max_abs_difference(self) -> float:
        """The largest of all."""
        return float(np.max([c.max_abs_difference for c in self.comparisons]))

    @property
    def min_cosine(self) -> float:
        """The least of all; nan where one is."""
        return float(np.min([c.min_cosine for c in self.comparisons]))

    @property
    def is_enough(self) -> bool:
        """Whether every cosine reaches `LEAST_COSINE`."""
        return self.min_cosine >= LEAST_COSINE

    def to_json(self) -> str:
        """The report as a JSON text."""
        content = {
            "format": "tapetum-parity",
            "format_version": 1,
            "least_cosine": LEAST_COSINE,
            "max_abs_difference": self.max_abs_difference,
            "min_cosine": self.min_cosine,
            **asdict(self),
        }
        return json.dumps(content, indent=1) + "\n"


def measure_parity(model: Model, exported: OnnxModel, samples: Sequence[ClipSample]) -> Parity:
    """How near an exported model is to its run on each of some samples of clips."""
    versions = {name: version(name) for name in ("tapetum", "torch", "onnx", "onnxscript", "onnxruntime")}
    found = tuple(compare(model, exported, sample) for sample in samples)
    return Parity(model.fingerprint, found, versions)


def compare(
    one: ClipEncoder, other: ClipEncoder, sample: ClipSample, batch_sizes: Sequence[int] = BATCH_SIZES
) -> Comparison:
    """How two models embed the same clips: one all of them at once, the other in batches of each size."""
    expected = one.encode_clips(sample.clips, sample.modality, sample.camera_ids).astype(np.float64)
    differences, cosines = [], []
    for size in batch_sizes:
        found = _in_batches(other, sample, size).astype(np.float64)
        differences.append(np.abs(found - expected).max())
        cosines.append(_cosines(found, expected).min())
    return Comparison(
        sample.name,
        len(sample.clips),
        tuple(batch_sizes),
        float(np.max(differences)),
        float(np.min(cosines)),
    )


def _cosines(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of each row with its partner; nan where one is zero or not finite."""
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        found: NDArray[np.float64] = np.einsum("nd,nd->n", first, second) / lengths
    return found


def _in_batches(encoder: ClipEncoder, sample: ClipSample, size: int) -> Vectors:
    parts = [slice(start, start + size) for start in range(0, len(sample.clips), size)]
    found = [
        encoder.encode_clips(sample.clips[part], sample.modality[part], sample.camera_ids[part])
        for part in parts
    ]
    return np.concatenate(found)


def drawn_sample(model: Model, count: int, seed: int) -> ClipSample:
    """Clips of coloured patches in both modalities, from all cameras that the model knows, in turns."""
    generator = np.random.default_rng(seed)
    modality = tuple(list(Modality)[row % 2] for row in range(count))
    size = model.preprocessing
    clips = np.stack([_drawn_clip(size, seen, generator) for seen in modality])
    cameras = _cameras(model)
    return ClipSample(
        f"drawn, seed {seed}", clips, modality, tuple(cameras[row % len(cameras)] for row in range(count))
    )


def _cameras(model: Model) -> list[Id | None]:
    """Cameras to ask with: an unknown one too, where the method takes that."""
    if not model.method.reads_cameras:
        return [None]
    takes_others = getattr(model.method.config, "unknown_camera", "mean") == "mean"
    return [*model.method.camera_ids, *([None] if takes_others else [])]


def _drawn_clip(size: Preprocessing, seen: Modality, generator: np.random.Generator) -> NDArray[np.uint8]:
    """uint8 `[T, 3, H, W]`: a coarse picture that changes a little from frame to frame; infrared is grey."""
    channels = 1 if seen is Modality.INFRARED else 3
    picture = generator.integers(0, 256, (1, channels, _COARSE, _COARSE))
    change = generator.integers(-40, 41, (size.frames, channels, _COARSE, _COARSE))
    coarse = np.clip(picture + change, 0, 255).astype(np.uint8)
    rows, columns = (np.arange(side) * _COARSE // side for side in (size.height, size.width))
    frames = coarse[:, :, rows[:, None], columns]
    return np.ascontiguousarray(np.broadcast_to(frames, (size.frames, 3, size.height, size.width)))


def read_sample(model: Model, tracklets: TrackletSet, count: int) -> ClipSample:
    """One clip of each of about `count` tracklets, spread evenly over those of each modality.

    Raises:
        ValueError: There are no tracklets.
        DataError: A frame cannot be read; the message names its file.
    """
    if not len(tracklets):
        raise ValueError(f"{tracklets.name} has no tracklets to compare on")
    sides = [side for side in map(tracklets.of_modality, Modality) if len(side)]
    share = -(-count // len(sides))
    few = TrackletSet(tracklets.name, tuple(t for side in sides for t in _spread(side, share)))
    (batch,) = read_clips(few, model.preprocessing, sampling="chunk-first", batch_size=len(few))
    modality, cameras = tuple(t.modality for t in few), tuple(t.camera_id for t in few)
    return ClipSample(tracklets.name, batch.clips, modality, cameras)


def _spread(side: TrackletSet, count: int) -> list[Tracklet]:
    """At most `count` tracklets, evenly over all."""
    taken = min(count, len(side))
    return [side[row * len(side) // taken] for row in range(taken)]
