"""Where the true items of queries stand in their ranked galleries, and how many people before the first.

On a processor nothing is ranked: the items before each true one are counted. An accelerator ranks every row,
and the host waits for it once in many blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from tapetum.evaluation._identities import GalleryOrder, IntArray
from tapetum.evaluation.distances.blocks import Block, BlockSource
from tapetum.evaluation.distances.products import blocks_at_a_time
from tapetum.evaluation.distances.workers import map_on_cores
from tapetum.evaluation.scores._counting import count_people_before, rank_rows

_HELD = 1 << 22  # positions that an accelerator holds before they are fetched

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class BlockRanks:
    """Where the true items of each query stand, counted from 1.

    Attributes:
        positions: `[b, P]` ascending; only the first `matches` of a row mean something.
        matches: `[b]` number of true items.
        people_rank: `[b]` 1 + other people whose first item stands before the first true one, or None.
    """

    positions: IntArray
    matches: IntArray
    people_rank: IntArray | None


def rank_block(block: Block, gallery: GalleryOrder, count_people: bool) -> BlockRanks:
    """Positions of the true items of every query of a block on the processor, ties by gallery order.

    Args:
        block: The queries; in person order if people are counted.
        gallery: The gallery's people.
        count_people: Whether people before the first true item are counted.
    """
    values, columns, matches = (part.numpy() for part in _true_items(block))
    distance, places = block.distance.numpy(), block.place[columns]
    positions = rank_rows(distance, values, places, block.place)
    people = None
    if count_people:
        first = values[:, 0], places[:, 0]
        people = 1 + count_people_before(distance, gallery.starts, *first, block.place)
    return BlockRanks(positions, matches, people)


def rank_blocks(
    source: BlockSource, device: torch.device, count_people: bool, then: Callable[[BlockRanks], Result]
) -> list[Result]:
    """What `then` makes of the ranks of every block of a source, in order.

    Args:
        source: The blocks; in person order if people are counted on a processor, else in gallery order.
        device: Where the blocks are.
        count_people: Whether people before the first true item are counted.
        then: Reduces a block's ranks; on a processor it is called in several threads.
    """
    if device.type != "cpu":
        return [then(ranks) for ranks in _on_device(source, device, count_people)]
    return map_on_cores(
        lambda rows: then(rank_block(source(rows), source.gallery, count_people)),
        source.parts,
        blocks_at_a_time(len(source.gallery.codes)),
    )


def _on_device(source: BlockSource, device: torch.device, count_people: bool) -> Iterator[BlockRanks]:
    waiting: list[tuple[Tensor, Tensor, Tensor]] = []
    person = torch.from_numpy(source.gallery.codes).to(device) if count_people else None
    for block in source:
        waiting.append(_rank_on_device(block, person, source.gallery.people))
        if sum(positions.numel() for positions, *_ in waiting) > _HELD:
            yield from _fetched(waiting, count_people)
            waiting = []
    yield from _fetched(waiting, count_people)


def _true_items(block: Block) -> tuple[Tensor, Tensor, Tensor]:
    """Distances `[b, P]` of the true items, ascending, +inf beyond the last; their columns; their number."""
    values = block.distance.gather(1, block.columns).masked_fill_(~block.present, float("inf"))
    values, order = values.sort(dim=1, stable=True)
    return values, block.columns.gather(1, order), (values < float("inf")).sum(dim=1)


def _rank_on_device(block: Block, person: Tensor | None, people: int) -> tuple[Tensor, Tensor, Tensor]:
    """Positions, matches and people's rank of a block in gallery order; nothing waits for the device."""
    _, columns, matches = _true_items(block)
    order = block.distance.sort(dim=1, stable=True).indices
    numbers = torch.arange(1, order.shape[1] + 1, device=order.device).expand_as(order)
    position = torch.empty_like(order).scatter_(1, order, numbers)
    positions = position.gather(1, columns)
    if person is None:
        return positions, matches, matches
    earliest = position.new_full((len(position), people), position.shape[1] + 1)
    earliest.scatter_reduce_(1, person.expand_as(position), position, "amin")
    return positions, matches, 1 + (earliest < positions[:, :1]).sum(dim=1)


def _fetched(waiting: list[tuple[Tensor, Tensor, Tensor]], count_people: bool) -> Iterator[BlockRanks]:
    if not waiting:
        return
    flat = (
        torch.cat([part.flatten() for part in parts]).cpu().numpy() for parts in zip(*waiting, strict=True)
    )
    positions, matches, people = flat
    slot = row = 0
    for block, *_ in waiting:
        rows = slice(row, row + len(block))
        found = positions[slot : slot + block.numel()].reshape(block.shape)
        yield BlockRanks(found, matches[rows], people[rows] if count_people else None)
        slot, row = slot + block.numel(), row + len(block)
