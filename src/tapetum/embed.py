"""From tracklets to embeddings by a method, and embeddings on disk: where scoring and search start from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from tapetum import processes
from tapetum.clip_encoding import average_clips, refuse_not_finite
from tapetum.data.clips import TestSampling
from tapetum.data.frames import FrameSource
from tapetum.data.loading import ClipBatch, clip_batches
from tapetum.embedding_files import load_embeddings, save_embeddings
from tapetum.methods._base import Method
from tapetum.methods._checkpoint import fingerprint
from tapetum.types import Embeddings, Id, Modality, TrackletSet

__all__ = ["Precision", "embed", "encode_clips", "load_embeddings", "save_embeddings"]

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
    name: str | None = None,
    shared: bool = False,
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
        name: The method's fingerprint, where it is known; None: it is made, which reads all tensors.
        shared: Processes that train together take the batches in turns, and each gets all rows, those of one
            process.

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
        turn=(processes.rank(), processes.count()) if shared else (0, 1),
        workers=workers,
        pin=where.type == "cuda",
    )
    made: list[tuple[Tensor, ...]] = []
    with _evaluating(method), _without_gradients(method), _precision(where, precision):
        for batch in batches:
            rows = torch.from_numpy(batch.rows).to(where, non_blocking=True)
            made.append((_encode(method, tracklets, batch, where, flip), rows))
            if progress is not None:
                progress(int(batch.rows[-1]) + 1, len(tracklets))
    if shared:
        made = processes.join_turns(made)
    vectors = np.zeros((0, _length(method, flip)), dtype=np.float32)
    if made:
        parts, places = (torch.cat(column).cpu().numpy() for column in zip(*made, strict=True))
        vectors = average_clips(parts, places)
    refuse_not_finite(vectors, tracklets)
    return Embeddings(vectors, tracklets, fingerprint(method) if name is None else name)


def encode_clips(
    method: Method, clips: NDArray[np.uint8], modality: Sequence[Modality], camera_ids: Sequence[Id | None]
) -> NDArray[np.float32]:
    """Embeddings `[B, D]`, L2-normalised, of clips uint8 `[B, T, 3, H, W]`, computed where the method is.

    Args:
        method: In evaluation mode.
        clips: Not normalised.
        modality: Of each clip.
        camera_ids: Of each clip; None where unknown.
    """
    with torch.inference_mode():
        given = method.preprocessing.normalise(torch.from_numpy(clips).to(_place(method, None)))
        found = method.encode(given, modality=list(modality), camera_ids=list(camera_ids))
    vectors: NDArray[np.float32] = found.float().cpu().numpy()
    return vectors


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


def _without_gradients(method: nn.Module) -> AbstractContextManager[object]:
    """Inference mode, or only no gradients where each process holds a shard, which that mode would harm."""
    sharded = any(processes.is_sharded(p) for p in method.parameters())
    return torch.no_grad() if sharded else torch.inference_mode()


def _precision(device: torch.device, precision: Precision) -> torch.autocast:
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")
