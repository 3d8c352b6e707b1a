"""From tracklets to embeddings by a method, and embeddings on disk: where scoring and search start from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from tapetum.data.clips import TestSampling
from tapetum.data.frames import FrameSource
from tapetum.data.loading import ClipBatch, clip_batches
from tapetum.embedding_files import load_embeddings, save_embeddings
from tapetum.methods._base import Method
from tapetum.methods._checkpoint import fingerprint
from tapetum.types import Embeddings, TrackletSet

__all__ = ["Precision", "embed", "load_embeddings", "save_embeddings"]

Precision = Literal["32", "bf16"]
Progress = Callable[[int, int], None]


def embed(
    method: Method,
    tracklets: TrackletSet,
    *,
    batch_size: int = 32,
    device: torch.device | str | None = None,
    precision: Precision = "32",
    sampling: TestSampling | None = None,
    flip: bool = False,
    workers: int = 0,
    progress: Progress | None = None,
    cache: FrameSource | None = None,
) -> Embeddings:
    """Embeddings of tracklets, row by row: float32, L2-normalised.

    A row depends on its own tracklet alone, not on order, batch size or neighbours (up to rounding). Where a
    tracklet gives several clips ("dense"), their embeddings are averaged, then normalised.

    Args:
        method: Any method; used in evaluation mode and given back in the mode it was in.
        tracklets: What to embed; may be empty.
        batch_size: Clips in a batch.
        device: Where to compute; the method is moved there. None: where the method is.
        precision: "32", or "bf16": bfloat16 inside the network; embeddings are float32 in both.
        sampling: How frames are chosen from a tracklet; None: as the method's configuration says.
        flip: Add the embedding of each clip's mirror image, then normalise again: the test feature of many
            image methods, whose scripts leave the sum as it is (which weighs gallery items by how alike
            they are to their mirror images). A method whose `mirror` is "append" has it appended instead:
            rows are twice as long, and their product is the mean of that of clips and that of mirror images.
        workers: Processes that read frames; 0: one thread of this process.
        progress: Called with (tracklets reached, tracklets in all) after each batch.
        cache: Frames of `tracklets` at the method's size; None: they are read from their files.

    Raises:
        ValueError: Unknown precision or sampling, a batch size below 1, or an embedding that is not finite.
        DataError: A tracklet has no frames, or a frame cannot be read; the message names its file.
    """
    if precision not in get_args(Precision):
        raise ValueError(f"unknown precision {precision!r}; known: {', '.join(get_args(Precision))}")
    where = _place(method, device)
    batches = clip_batches(
        tracklets,
        method.preprocessing,
        sampling=sampling or method.config.test_sampling,
        batch_size=batch_size,
        source=cache,
        workers=workers,
        pin=where.type == "cuda",
    )
    rows: list[NDArray[np.int64]] = []
    parts: list[Tensor] = []
    with _evaluating(method), torch.inference_mode(), _precision(where, precision):
        for batch in batches:
            parts.append(_encode(method, tracklets, batch, where, flip))
            rows.append(batch.rows)
            if progress is not None:
                progress(int(batch.rows[-1]) + 1, len(tracklets))
    vectors = np.zeros((0, _length(method, flip)), dtype=np.float32)
    if parts:
        vectors = _average(torch.cat(parts).cpu().numpy(), np.concatenate(rows))
    _refuse_not_finite(vectors, tracklets)
    return Embeddings(vectors, tracklets, fingerprint(method))


def _place(method: Method, device: torch.device | str | None) -> torch.device:
    """The device to compute on, with the method on it."""
    if device is not None:
        method.to(device)
        return torch.device(device)
    tensors = (*method.parameters(), *method.buffers())
    return tensors[0].device if tensors else torch.device("cpu")


def _encode(
    method: Method, tracklets: TrackletSet, batch: ClipBatch, where: torch.device, flip: bool
) -> Tensor:
    """float32 `[B, D]` on the device, so that the next batch can be read meanwhile."""
    clips = method.preprocessing.normalise(batch.clips.to(where, non_blocking=True))
    shown = [tracklets[int(row)] for row in batch.rows]
    cameras = [t.camera_id for t in shown]
    modality = [t.modality for t in shown]
    encoded = method.encode(clips, modality=modality, camera_ids=cameras).float()
    if not flip:
        return encoded
    mirrored = method.encode(clips.flip(-1), modality=modality, camera_ids=cameras).float()
    both = torch.cat([encoded, mirrored], dim=1) if method.mirror == "append" else encoded + mirrored
    return functional.normalize(both, dim=1)


def _length(method: Method, flip: bool) -> int:
    """Length of a row."""
    return method.embedding_dim * (2 if flip and method.mirror == "append" else 1)


def _average(vectors: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Mean of the clips of each row (rows ascend), L2-normalised; a single clip's embedding is as it was."""
    starts = np.flatnonzero(np.diff(rows, prepend=-1))
    if len(starts) == len(rows):
        return vectors
    sums = np.add.reduceat(vectors.astype(np.float64), starts, axis=0)
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    means: NDArray[np.float32] = (sums / np.maximum(lengths, np.finfo(np.float32).tiny)).astype(np.float32)
    return means


def _refuse_not_finite(vectors: NDArray[np.float32], tracklets: TrackletSet) -> None:
    bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(bad):
        name = tracklets[int(bad[0])].tracklet_id
        raise ValueError(
            f"the embedding of tracklet {name} is not finite ({len(bad)} of {len(vectors)} are not)"
        )


@contextmanager
def _evaluating(method: nn.Module) -> Iterator[None]:
    """The method in evaluation mode; afterwards every part is in the mode that it was in."""
    modes = [(module, module.training) for module in method.modules()]
    method.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def _precision(device: torch.device, precision: Precision) -> torch.autocast:
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")
