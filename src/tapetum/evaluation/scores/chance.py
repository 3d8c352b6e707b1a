"""The scores of a ranking drawn at random: what a model has to beat.

With n kept gallery items, R of them true, every order equally likely:

- E[AP] = (H + (n - H) (R - 1) / (n - 1)) / n with H = 1 + 1/2 + ... + 1/n. The item at rank k is true with
  probability R / n, and then 1 + (k - 1) (R - 1) / (n - 1) true items are expected up to k; the sum over k of
  their product divided by k and by R is the formula.
- E[INP] = sum over k of (R / k) P(last true item at k), with P = C(k - 1, R - 1) / C(n, R).
- P(first true item within r) = 1 - C(n - r, R) / C(n, R).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tapetum.errors import NoMatchError
from tapetum.evaluation._camera_rules import HiddenCameras, cameras_hidden_from
from tapetum.evaluation.scores.metrics import Scores
from tapetum.types import Id, Tracklet


def chance_scores(
    query: Sequence[Tracklet],
    gallery: Sequence[Tracklet],
    *,
    same_camera: bool = False,
    hidden_cameras: HiddenCameras = (),
    max_rank: int = 20,
) -> Scores:
    """Expected scores, ranks counted over images, when every query's gallery is in random order.

    AP and INP of each query are its expected ones; its first rank, (n + 1) / (R + 1) expected, is rounded.
    The CMC is the expected one, not made from these rounded ranks.

    Args:
        query: Queries.
        gallery: Gallery.
        same_camera: Whether gallery items of a query's own person and own camera are kept.
        hidden_cameras: Pairs (query camera, gallery camera): such gallery items are left out for such
            queries, whoever they show.
        max_rank: Length of the CMC.

    Raises:
        NoMatchError: No query has a true match in the gallery.
    """
    sizes = _kept_and_true(query, gallery, same_camera, hidden_cameras)
    valid = np.array([true > 0 for _, true in sizes], dtype=np.bool_)
    if not valid.any():
        raise NoMatchError(
            f"none of {len(query)} queries has a true match among {len(gallery)} gallery items"
        )
    expected = {size: _expected(*size, max_rank) for size in set(sizes) if size[1] > 0}
    skipped = math.nan, math.nan, np.full(max_rank, np.nan)
    average_precision, inp, cmc = zip(*(expected.get(size, skipped) for size in sizes), strict=True)
    return Scores(
        cmc=np.stack(cmc)[valid].mean(axis=0),
        mean_ap=float(np.array(average_precision)[valid].mean()),
        mean_inp=float(np.array(inp)[valid].mean()),
        queries=int(valid.sum()),
        skipped=int((~valid).sum()),
        average_precision=np.array(average_precision),
        inp=np.array(inp),
        first_rank=np.array([round((kept + 1) / (true + 1)) if true else 0 for kept, true in sizes]),
    )


def _kept_and_true(
    query: Sequence[Tracklet], gallery: Sequence[Tracklet], same_camera: bool, hidden_cameras: HiddenCameras
) -> list[tuple[int, int]]:
    """Of each query: how many gallery items are kept, and how many of them are true."""
    people = Counter(t.person_id for t in gallery)
    cameras = Counter(t.camera_id for t in gallery)
    passes = Counter((t.person_id, t.camera_id) for t in gallery)
    unseen = cameras_hidden_from(hidden_cameras)
    sizes = []
    for t in query:
        hidden: set[Id] = unseen.get(t.camera_id, set()) if t.camera_id is not None else set()
        own_is_out = not same_camera and None not in (t.person_id, t.camera_id) and t.camera_id not in hidden
        own = passes[t.person_id, t.camera_id] if own_is_out else 0
        kept = len(gallery) - own - sum(cameras[camera] for camera in hidden)
        found = people[t.person_id] - own - sum(passes[t.person_id, camera] for camera in hidden)
        sizes.append((kept, found if t.person_id is not None else 0))
    return sizes


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
