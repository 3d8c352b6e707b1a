"""The scores of a ranking drawn at random: what a model has to beat.

With n kept gallery items, R of them true, every order equally likely:

- E[AP] = (H + (n - H) (R - 1) / (n - 1)) / n with H = 1 + 1/2 + ... + 1/n. The item at rank k is true with
  probability R / n, and then 1 + (k - 1) (R - 1) / (n - 1) true items are expected up to k; the sum over k of
  their product divided by k and by R is the formula.
- E[INP] = sum over k of (R / k) P(last true item at k), with P = C(k - 1, R - 1) / C(n, R).
- P(first true item within r) = 1 - C(n - r, R) / C(n, R).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tapetum.errors import NoMatchError
from tapetum.types import Tracklet


@dataclass(frozen=True, slots=True, eq=False)
class ChanceScores:
    """Expected scores of a random ranking; ranks count images.

    Attributes:
        cmc: float64 `[max_rank]`.
        mean_ap: Expected mean average precision.
        mean_inp: Expected mean inverse negative penalty.
    """

    cmc: NDArray[np.float64]
    mean_ap: float
    mean_inp: float

    def to_json(self) -> dict[str, object]:
        """The numbers, ready for `json.dumps`."""
        return {"mean_ap": self.mean_ap, "mean_inp": self.mean_inp, "cmc": self.cmc.tolist()}


def chance_scores(
    query: Sequence[Tracklet], gallery: Sequence[Tracklet], *, same_camera: bool = False, max_rank: int = 20
) -> ChanceScores:
    """Expected scores when every query's gallery is in random order; queries without a match are skipped.

    Args:
        query: Queries.
        gallery: Gallery.
        same_camera: Whether gallery items of a query's own person and own camera are kept.
        max_rank: Length of the CMC.

    Raises:
        NoMatchError: No query has a true match in the gallery.
    """
    sizes = Counter(_kept_and_true(query, gallery, same_camera))
    sizes = Counter({size: times for size, times in sizes.items() if size[1] > 0})
    if not sizes:
        raise NoMatchError(
            f"none of {len(query)} queries has a true match among {len(gallery)} gallery items"
        )
    weights = np.array(list(sizes.values()), dtype=np.float64) / sizes.total()
    expected = [_expected(kept, true, max_rank) for kept, true in sizes]
    return ChanceScores(
        cmc=weights @ np.stack([cmc for _, _, cmc in expected]),
        mean_ap=float(weights @ np.array([ap for ap, _, _ in expected])),
        mean_inp=float(weights @ np.array([inp for _, inp, _ in expected])),
    )


def _kept_and_true(
    query: Sequence[Tracklet], gallery: Sequence[Tracklet], same_camera: bool
) -> list[tuple[int, int]]:
    """Of each query: how many gallery items are kept, and how many of them are true."""
    people = Counter(t.person_id for t in gallery if t.person_id is not None)
    passes = Counter((t.person_id, t.camera_id) for t in gallery if None not in (t.person_id, t.camera_id))
    removed = [0 if same_camera else passes[t.person_id, t.camera_id] for t in query]
    return [
        (len(gallery) - gone, people[t.person_id] - gone if t.person_id is not None else 0)
        for t, gone in zip(query, removed, strict=True)
    ]


def _expected(kept: int, true: int, max_rank: int) -> tuple[float, float, NDArray[np.float64]]:
    """Expected AP, expected INP and the probabilities of a hit within 1..max_rank.

    Example:
        Two items, one of them true: it stands first or second, each with probability 1/2.

        >>> ap, inp, cmc = _expected(2, 1, 3)
        >>> round(ap, 12), round(inp, 12), cmc.round(12).tolist()
        (0.75, 0.75, [0.5, 1.0, 1.0])
    """
    rank = np.arange(1, kept + 1)
    harmonic = float((1 / rank).sum())
    more = (true - 1) / max(1, kept - 1)
    average_precision = (harmonic + (kept - harmonic) * more) / kept
    log_factorial = np.concatenate([[0.0], np.cumsum(np.log(rank))])
    last = rank[true - 1 :]
    log_last = _log_choose(log_factorial, last - 1, true - 1) - _log_choose(log_factorial, kept, true)
    inp = float((true / last * np.exp(log_last)).sum())
    cmc = np.ones(max_rank)
    missing = np.arange(1, min(max_rank, kept - true) + 1)  # ranks at which a miss is possible
    log_miss = _log_choose(log_factorial, kept - missing, true) - _log_choose(log_factorial, kept, true)
    cmc[: len(missing)] = -np.expm1(log_miss)
    return average_precision, inp, cmc


def _log_choose(
    log_factorial: NDArray[np.float64], n: NDArray[np.int64] | int, k: int
) -> NDArray[np.float64]:
    result: NDArray[np.float64] = log_factorial[n] - log_factorial[k] - log_factorial[n - k]
    return result
