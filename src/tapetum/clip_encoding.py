"""From clips to the embeddings of tracklets, whatever computes them: what runs and exported models share.

Nothing here needs torch.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tapetum.data.clip_reading import ClipArrays, read_clips
from tapetum.data.clips import TestSampling
from tapetum.data.frames import FrameSource
from tapetum.data.pictures import tracklet_from_path
from tapetum.types import Id, Modality, Preprocessing, Tracklet, TrackletSet

Vectors = NDArray[np.float32]
Mirror = Literal["add", "append"]
"""What becomes of the embedding of a clip's mirror image; see `tapetum.methods.Method.mirror`."""

Progress = Callable[[int, int], None]
Item: TypeAlias = Tracklet | str | os.PathLike[str]
"""What can be embedded: a tracklet, an image file, or a folder of one tracklet's frames."""


class ClipEncoder(Protocol):
    """A trained model, as far as ingest and the service need it."""

    @property
    def fingerprint(self) -> str:
        """Names weights and configuration; the gallery keeps to it."""

    @property
    def preprocessing(self) -> Preprocessing:
        """Size of a clip."""

    @property
    def sampling(self) -> TestSampling:
        """How the frames of a clip are chosen."""

    def encode_clips(
        self, clips: NDArray[np.uint8], modality: Sequence[Modality], camera_ids: Sequence[Id | None]
    ) -> Vectors:
        """Embeddings `[B, D]`, L2-normalised, of clips uint8 `[B, T, 3, H, W]`."""


def as_tracklets(items: Iterable[Item] | Item, modality: Modality | str | None = None) -> TrackletSet:
    """Items as tracklets, in their order.

    Args:
        items: Tracklets, image files (one frame each), folders (one tracklet each), or one such alone.
        modality: Of the paths among the items; None: decided from the colours of a few frames of each (see
            `detect_modality`). Tracklets have their own.

    Raises:
        FileNotFoundError: A path leads nowhere.
        DataError: A file is no image, or a folder holds none.
        ValueError: An unknown modality.
    """
    told = None if modality is None else Modality(modality)
    listed = [items] if isinstance(items, Tracklet | str | os.PathLike) else items
    found = tuple(t if isinstance(t, Tracklet) else tracklet_from_path(t, told) for t in listed)
    return TrackletSet("items", found)


def embed_tracklets(
    encoder: ClipEncoder,
    tracklets: TrackletSet,
    dim: int,
    *,
    batch_size: int = 32,
    sampling: TestSampling | None = None,
    mirror: Mirror | None = None,
    workers: int = 0,
    progress: Progress | None = None,
    source: FrameSource | None = None,
) -> Vectors:
    """Embeddings of tracklets, row by row: float32 `[N, D]`, L2-normalised.

    Args:
        encoder: The model.
        tracklets: What to embed; may be empty.
        dim: Length of a row, mirror images included.
        batch_size: Clips in a batch.
        sampling: How frames are chosen; None: as the encoder says.
        mirror: What becomes of the embeddings of mirror images; None: they are not asked for.
        workers: Processes that read frames; 0: one thread of this process.
        progress: Called with (tracklets reached, tracklets in all) after each batch.
        source: Frames of `tracklets` at the encoder's size; None: they are read from their files.

    Raises:
        ValueError: Unknown sampling, a batch size below 1, or an embedding that is not finite.
        DataError: A tracklet has no frames, or a frame cannot be read; the message names its file.
    """
    rows: list[NDArray[np.int64]] = []
    parts: list[Vectors] = []
    for batch in read_clips(
        tracklets,
        encoder.preprocessing,
        sampling=sampling or encoder.sampling,
        batch_size=batch_size,
        source=source,
        workers=workers,
    ):
        parts.append(_encode(encoder, tracklets, batch, mirror))
        rows.append(batch.rows)
        if progress is not None:
            progress(int(batch.rows[-1]) + 1, len(tracklets))
    if not parts:
        return np.zeros((0, dim), dtype=np.float32)
    vectors = average_clips(np.concatenate(parts), np.concatenate(rows))
    refuse_not_finite(vectors, tracklets)
    return vectors


def _encode(
    encoder: ClipEncoder, tracklets: TrackletSet, batch: ClipArrays, mirror: Mirror | None
) -> Vectors:
    shown = [tracklets[int(row)] for row in batch.rows]
    sides = [t.modality for t in shown], [t.camera_id for t in shown]
    encoded = encoder.encode_clips(batch.clips, *sides)
    if mirror is None:
        return encoded
    mirrored = encoder.encode_clips(np.ascontiguousarray(batch.clips[..., ::-1]), *sides)
    both = np.concatenate([encoded, mirrored], axis=1) if mirror == "append" else encoded + mirrored
    return unit_rows(both)


def unit_rows(vectors: Vectors) -> Vectors:
    """Rows `[N, D]` divided by their lengths; one of length 0 stays as it is."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    found: Vectors = vectors / np.maximum(lengths, np.float32(1e-12))
    return found


def average_clips(vectors: Vectors, rows: NDArray[np.int64]) -> Vectors:
    """Mean of the clips of each row, L2-normalised; a single clip's embedding is as it was.

    Args:
        vectors: float32 `[clips, D]`.
        rows: int64 `[clips]`, ascending: the row of each clip.

    >>> rows = np.array([[1, 0], [0, 1], [0, 1]], dtype=np.float32)
    >>> average_clips(rows, np.array([0, 0, 1])).astype(float).round(3).tolist()
    [[0.707, 0.707], [0.0, 1.0]]
    """
    starts = np.flatnonzero(np.diff(rows, prepend=-1))
    if len(starts) == len(rows):
        return vectors
    sums = np.add.reduceat(vectors.astype(np.float64), starts, axis=0)
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    means: Vectors = (sums / np.maximum(lengths, np.finfo(np.float32).tiny)).astype(np.float32)
    return means


def refuse_not_finite(vectors: Vectors, tracklets: TrackletSet) -> None:
    """Nothing, or an error where an embedding is not finite.

    Raises:
        ValueError: It is not; the message names its tracklet.
    """
    bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(bad):
        name = tracklets[int(bad[0])].tracklet_id
        raise ValueError(
            f"the embedding of tracklet {name} is not finite ({len(bad)} of {len(vectors)} are not)"
        )
