"""Processes that train together: rows of a batch, and of passes over data, gathered from all of them.

Each process computes the features of its share of a batch. What compares rows, counts them or remembers them
works on the rows of all processes, gathered with their gradients, and every process does it alike. The
gradients of weights are averaged over the processes; so the gradient of a gathered row is summed over them
when it comes back, and the mean is what one process with the whole batch computes, for weights before the
gathering and behind it. With one process all of this does nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import Function, once_differentiable

from tapetum.types import Batch

T = TypeVar("T")


def count() -> int:
    """How many processes train together; 1 where this one is alone."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Which of them this one is, from 0."""
    return dist.get_rank() if count() > 1 else 0


# --- rows of a batch


def gather(*rows: Tensor, parts: int = 1) -> tuple[Tensor, ...]:
    """The rows of all processes, in the order in which one process would have them; with gradients.

    Args:
        rows: Tensors `[N, ...]` of one N, the same on every process.
        parts: Of how many equal parts, one after the other, the rows consist (`Batch.parts`): visible and
            infrared ones, say. Each part of the result holds that part of all processes.
    """
    if count() == 1:
        return rows
    length = rows[0].shape[0]
    flat = torch.cat([some.reshape(length, -1) for some in rows], dim=1)
    gathered: Tensor = _Gather.apply(flat)  # type: ignore[no-untyped-call]
    ordered = gathered.view(count(), parts, length // parts, -1).transpose(0, 1).reshape(-1, flat.shape[1])
    columns = ordered.split_with_sizes([some[:1].numel() for some in rows], dim=1)
    return tuple(
        column.reshape(-1, *some.shape[1:]).to(some.dtype) for column, some in zip(columns, rows, strict=True)
    )


def gather_named(rows: dict[str, Tensor], parts: int = 1) -> dict[str, Tensor]:
    """`gather` of tensors by name."""
    return dict(zip(rows, gather(*rows.values(), parts=parts), strict=True))


def gather_batch(batch: Batch) -> Batch:
    """Labels, modalities and cameras of the batch of all processes; no clips, but their shape.

    The batch itself, clips and all, where there is one process.
    """
    if count() == 1:
        return batch
    told = torch.stack([batch.labels, batch.infrared.long(), batch.cameras], dim=1)
    (gathered,) = gather(told, parts=batch.parts)
    labels, infrared, cameras = gathered.unbind(1)
    return replace(
        batch,
        clips=batch.clips[:0],
        labels=labels,
        infrared=infrared.bool(),
        cameras=cameras,
        views=batch.views * count(),
    )


def own_rows(places: Tensor, batch: Batch) -> Tensor:
    """Of a place for each row of all processes, those of this one's rows, as places among its own rows.

    Args:
        places: int64, for each row of the whole batch a row of the same process, such as its partner.
        batch: This process's share.
    """
    if count() == 1:
        return places
    rows, parts = batch.labels.shape[0], batch.parts
    each, device = rows // parts, places.device
    first = rank() * each
    starts = torch.arange(parts, device=device) * (each * count())
    mine = (starts[:, None] + first + torch.arange(each, device=device)).flatten()
    part, inside = places[mine] // (each * count()), places[mine] % (each * count())
    return part * each + inside - first


class _Gather(Function):
    """Rows `[N, D]` of all processes one after the other; a row's gradient is summed over all of them."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        return torch.cat(_gathered(rows))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total.chunk(count())[rank()]


def _gathered(tensor: Tensor) -> list[Tensor]:
    """The tensors of all processes, which have the same shape."""
    sent = tensor.contiguous()
    received = [torch.empty_like(sent) for _ in range(count())]
    dist.all_gather(received, sent)
    return received


# --- work that all need the result of


def share_of(rows: int, device: torch.device) -> Tensor | None:
    """Which of `rows` rows this process computes, int64; None: it is alone and computes all.

    Shares are equally long: where they do not divide, some compute the last row once more.
    """
    if count() == 1:
        return None
    each = -(-rows // count())
    return (torch.arange(each, device=device) + rank() * each).clamp(max=rows - 1)


def join_shares(computed: Tensor, rows: int) -> Tensor:
    """All `rows` rows of what each process computed of its `share_of` them; with gradients."""
    return computed if count() == 1 else gather(computed)[0][:rows]


def join_turns(own: Sequence[tuple[Tensor, ...]]) -> list[tuple[Tensor, ...]]:
    """What all processes made of batches that they took in turns, in the order of the batches; no gradients.

    Args:
        own: What this process made of the batches that were its turn (the `rank()`-th of each `count()`): for
            each batch as many tensors, of any lengths.
    """
    if count() == 1:
        return list(own)
    told = share_objects([[(tuple(t.shape), t.dtype) for t in some] for some in own])
    device = own[0][0].device if own else _device_of_group()
    made = [_from_one(source, shapes, own, device) for source, shapes in enumerate(told)]
    batches = sum(map(len, made))
    return [made[index % count()][index // count()] for index in range(batches)]


def _from_one(
    source: int,
    shapes: Sequence[Sequence[tuple[tuple[int, ...], torch.dtype]]],
    own: Sequence[tuple[Tensor, ...]],
    device: torch.device,
) -> list[tuple[Tensor, ...]]:
    """What the process `source` made of its batches, sent by it to all."""
    columns: list[list[Tensor]] = []
    for column in zip(*shapes, strict=True):
        position, dtype = len(columns), column[0][1]
        lengths = [torch.Size(shape).numel() for shape, _ in column]
        sent = torch.uint8 if dtype is torch.bool else dtype
        if source == rank():
            buffer = torch.cat([some[position].detach().flatten() for some in own]).to(sent)
        else:
            buffer = torch.empty(sum(lengths), dtype=sent, device=device)
        if buffer.numel():
            dist.broadcast(buffer, source)
        pieces = buffer.to(dtype).split_with_sizes(lengths)
        columns.append([piece.view(shape) for piece, (shape, _) in zip(pieces, column, strict=True)])
    return list(zip(*columns, strict=True))


def share_objects(own: T) -> list[T]:
    """What each process says, in their order; anything that can be pickled."""
    if count() == 1:
        return [own]
    told: list[Any] = [None] * count()
    dist.all_gather_object(told, own)
    return told


def mean(value: Tensor) -> Tensor:
    """The mean over all processes, without gradients."""
    if count() == 1:
        return value
    total = value.detach().clone()
    dist.all_reduce(total)
    return total / count()


def pooled_moments(mean: Tensor, variance: Tensor, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean, variance (over N) and number of the rows of all processes, from those of each one's own.

    Args:
        mean: `[C]` of this process's rows.
        variance: `[C]`, over N.
        rows: `[1]`, how many; processes may have different numbers.
    """
    told = torch.stack(_gathered(torch.cat([mean, variance, rows])))
    means, variances, numbers = told.split_with_sizes([len(mean), len(mean), 1], dim=1)
    total = numbers.sum(0)
    weights = numbers / total
    pooled = (weights * means).sum(0)
    spread = (weights * (variances + (means - pooled).square())).sum(0)
    return pooled, spread, total


def summed(value: Tensor) -> Tensor:
    """The sum over all processes, without gradients."""
    total = value.clone()
    dist.all_reduce(total)
    return total


# --- tensors of which each process holds a shard


def is_sharded(tensor: Tensor) -> bool:
    """Whether processes hold a shard of the tensor each."""
    return hasattr(tensor, "full_tensor")


def whole(tensor: Tensor) -> Tensor:
    """The tensor itself; where processes hold shards of it all of it, for which all of them must ask."""
    return cast(Any, tensor).full_tensor() if is_sharded(tensor) else tensor


def own_shard(tensor: Tensor) -> Tensor:
    """The tensor itself, or this process's share of it; the memory is the tensor's."""
    return cast(Any, tensor).to_local() if is_sharded(tensor) else tensor


def shared_like(tensor: Tensor, other: Tensor) -> Tensor:
    """The whole `tensor` itself, or where processes hold shares of `other`, cut as that one is."""
    if not is_sharded(other):
        return tensor
    from torch.distributed.tensor import distribute_tensor

    cut: Tensor = distribute_tensor(tensor.to(other.device), other.device_mesh, other.placements)  # type: ignore[attr-defined]
    return cut


def _device_of_group() -> torch.device:
    if dist.get_backend() == "nccl":
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("cpu")
