"""Which tracklets make a training batch: P identities with K tracklets each of both modalities, or of one.

Batches are a pure function of (seed, epoch, step), so a run resumes at any step and every process of a
distributed run knows the whole batch without a word to the others.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from tapetum.types import Modality

Rows = NDArray[np.int64]

_IDENTITY_DRAWS, _TRACKLET_DRAWS = 0, 1


class PkSampler:
    """Batches of P identities x K tracklets per modality: all visible rows, then all infrared rows.

    Row j of both halves is the same person, K consecutive rows a person; a sampler of one modality has that
    half alone. Identities come in random permutations, each one used up before the next begins, so all occur
    equally often; no identity occurs twice in a batch. Its tracklets are drawn anew in each batch, without
    replacement; where there are fewer than K, all are taken, and again from the start in another order, until
    K are there.

    Attributes:
        steps: Batches in an epoch.
        rows: Rows of the batch of all processes together: P K for each modality that is drawn.
        parts: Modalities that are drawn, whose rows stand one after the other.
        labels_used: Labels that are drawn from, sorted.
        excluded: Labels left out because they have no tracklet of a modality that is drawn, sorted.
        positions: Where this process's rows stand in the global batch, int64 `[rows / world_size]`.
    """

    def __init__(
        self,
        labels: Sequence[int] | Rows,
        modalities: Sequence[Modality],
        *,
        identities: int,
        tracklets: int,
        steps: int,
        drawn: Sequence[Modality] = tuple(Modality),
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        """Sort rows by identity and modality.

        Args:
            labels: Training class of each row, `[N]`.
            modalities: Modality of each row, `[N]`.
            identities: P, identities in a batch of all processes together.
            tracklets: K, tracklets per identity and modality.
            steps: Batches in an epoch.
            drawn: The modalities that a batch holds, in the order of its rows.
            seed: Seed of the run.
            rank: This process, from 0.
            world_size: Processes; each takes P / world_size identities of every batch.

        Raises:
            ValueError: Numbers out of range, lengths that differ, P not a multiple of `world_size`, or fewer
                than P identities with tracklets of every modality that is drawn.
        """
        if len(labels) != len(modalities):
            raise ValueError(f"{len(labels)} labels do not fit {len(modalities)} modalities")
        if min(identities, tracklets, steps, world_size) < 1 or not 0 <= rank < world_size:
            raise ValueError(
                "identities, tracklets, steps, world_size must be at least 1, rank below world_size; found "
                f"{identities}, {tracklets}, {steps}, {world_size} and rank {rank}"
            )
        if identities % world_size:
            raise ValueError(f"{identities} identities in a batch cannot be shared by {world_size} processes")
        self._pools = [_rows_by_label(labels, modalities, modality) for modality in drawn]
        self.labels_used, self.excluded = divide_labels(labels, modalities, drawn)
        if len(self.labels_used) < identities:
            raise ValueError(
                f"a batch needs {identities} identities with {_listed(drawn)} tracklets, found "
                f"{len(self.labels_used)}; {len(self.excluded)} more {_what_is_missing(drawn)}"
            )
        self.identities, self.tracklets, self.steps, self.seed = identities, tracklets, steps, seed
        self._share = slice(rank * identities // world_size, (rank + 1) * identities // world_size)
        block = identities * tracklets
        self.parts = len(self._pools)
        self.rows = self.parts * block
        own = np.arange(block).reshape(identities, tracklets)[self._share].reshape(-1)
        self.positions: Rows = np.concatenate([own + start for start in range(0, self.rows, block)])
        self._round: tuple[int, Rows] | None = None

    def __len__(self) -> int:
        return self.steps

    def batch(self, epoch: int, step: int) -> Rows:
        """Rows of this process in batch `step` of `epoch`, int64 `[rows / world_size]`, by modality.

        Raises:
            IndexError: `step` outside the epoch, or a negative epoch.
        """
        if not 0 <= step < self.steps or epoch < 0:
            raise IndexError(
                f"epoch {epoch}, step {step}: expected epoch >= 0 and step in 0..{self.steps - 1}"
            )
        generator = np.random.default_rng([self.seed, _TRACKLET_DRAWS, epoch, step])
        labels = self._identities_of(epoch * self.steps + step)
        blocks = [[_draw(pool[i], self.tracklets, generator) for i in labels] for pool in self._pools]
        return np.concatenate([rows for block in blocks for rows in block[self._share]])

    def epoch(self, epoch: int, start_step: int = 0) -> Iterator[Rows]:
        """The batches of `epoch` from `start_step` on."""
        return (self.batch(epoch, step) for step in range(start_step, self.steps))

    def _identities_of(self, batch: int) -> list[int]:
        """Labels of the P identities of a batch, counted from the start of the run."""
        total = len(self.labels_used)
        batches_in_round = total // math.gcd(total, self.identities)
        index, offset = divmod(batch, batches_in_round)
        if self._round is None or self._round[0] != index:
            self._round = index, self._draw_round(index)
        places = self._round[1][offset * self.identities : (offset + 1) * self.identities]
        return [self.labels_used[i] for i in places]

    def _draw_round(self, index: int) -> Rows:
        """The shortest run of batches that uses whole permutations: places of identities, `[lcm(I, P)]`.

        Where a batch begins in one permutation and ends in the next, the people it already has are moved
        behind the others of the next one's first P, so that none occurs in it twice.
        """
        generator = np.random.default_rng([self.seed, _IDENTITY_DRAWS, index])
        total, size = len(self.labels_used), self.identities
        places = np.empty(math.lcm(total, size), dtype=np.int64)
        for start in range(0, len(places), total):
            order = generator.permutation(total)
            begun = places[start - start % size : start]
            taken = np.isin(order[:size], begun)
            order[:size] = np.concatenate([order[:size][~taken], order[:size][taken]])
            places[start : start + total] = order
        return places


def divide_labels(
    labels: Sequence[int] | Rows, modalities: Sequence[Modality], drawn: Sequence[Modality]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Labels with tracklets of every modality in `drawn`, and those that lack one; both sorted.

    >>> divide_labels([4, 4, 7], [Modality.VISIBLE, Modality.INFRARED, Modality.VISIBLE], tuple(Modality))
    ((4,), (7,))
    """
    used = set.intersection(*(set(_rows_by_label(labels, modalities, m)) for m in drawn))
    return tuple(sorted(used)), tuple(sorted({int(label) for label in labels} - used))


def _listed(drawn: Sequence[Modality]) -> str:
    return " and ".join(drawn)


def _what_is_missing(drawn: Sequence[Modality]) -> str:
    return "have one modality only" if len(drawn) > 1 else "have none"


def _rows_by_label(
    labels: Sequence[int] | Rows, modalities: Sequence[Modality], modality: Modality
) -> dict[int, Rows]:
    """Rows of one modality for each label, in their order."""
    chosen = np.array([m is modality for m in modalities], dtype=bool)
    rows = np.flatnonzero(chosen)
    own = np.asarray(labels, dtype=np.int64)[rows]
    return {int(label): rows[own == label] for label in np.unique(own)}


def _draw(rows: Rows, count: int, generator: np.random.Generator) -> Rows:
    """`count` of `rows`: permutations one after the other, so that none repeats before all are there."""
    whole = [generator.permutation(rows) for _ in range(-(-count // len(rows)))]
    return np.concatenate(whole)[:count]
