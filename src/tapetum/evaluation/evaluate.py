"""Score embeddings by a protocol: every direction and every trial, with the level of chance beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from tapetum.errors import NoMatchError
from tapetum.evaluation.chance import chance_scores
from tapetum.evaluation.metrics import Scores, score_embeddings
from tapetum.evaluation.protocols._base import Protocol, Trial, create_protocol
from tapetum.types import Embeddings

FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True, eq=False)
class TrialResult:
    """What one trial gave.

    Attributes:
        trial: The trial; `ranked_lists` takes it to show what was scored.
        scores: Its scores.
        chance: Expected scores of a random ranking; None where ranks count identities.
    """

    trial: Trial
    scores: Scores
    chance: Scores | None

    @property
    def name(self) -> str:
        """Name of the trial."""
        return self.trial.name

    def to_json(self) -> dict[str, object]:
        """The trial's sizes, rules and scores, ready for `json.dumps`."""
        return {
            "trial": self.trial.name,
            "query_size": len(self.trial.query),
            "gallery_size": len(self.trial.gallery),
            "same_camera": self.trial.same_camera,
            "count": self.trial.count,
            **self.scores.to_json(),
            "chance": None if self.chance is None else self.chance.to_json(),
        }


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """All trials of a protocol, in its order.

    Attributes:
        protocol: Name of the protocol.
        data: Name of the tracklets that were scored.
        model: Fingerprint of the model; "" where unknown.
        seed: Seed of the protocol's draws.
        results: One per trial.
    """

    protocol: str
    data: str
    model: str
    seed: int
    results: tuple[TrialResult, ...]

    @property
    def scores(self) -> Mapping[str, Scores]:
        """Scores by trial name, in the protocol's order."""
        return {result.name: result.scores for result in self.results}

    def to_json(self) -> dict[str, object]:
        """All but the per-query numbers, ready for `json.dumps`; docs/evaluation.md names the fields."""
        return {
            "format_version": FORMAT_VERSION,
            "protocol": self.protocol,
            "data": self.data,
            "model": self.model,
            "seed": self.seed,
            "trials": [result.to_json() for result in self.results],
        }


def evaluate(
    embeddings: Embeddings,
    protocol: Protocol | str,
    *,
    seed: int = 0,
    max_rank: int = 20,
    device: torch.device | str | None = None,
) -> Evaluation:
    """Scores of embeddings by a protocol.

    Args:
        embeddings: Of all test tracklets, queries and gallery.
        protocol: A protocol or its name.
        seed: For protocols that draw their galleries.
        max_rank: Length of the CMC.
        device: Where products are computed; None: the processor.

    Raises:
        ValueError: Unknown protocol, or the tracklets do not have the parts that it needs.
        NoMatchError: A trial in which no query has a true match.
    """
    chosen = create_protocol(protocol) if isinstance(protocol, str) else protocol
    trials = chosen.trials(embeddings.tracklets, seed)
    results = tuple(_run(embeddings, trial, max_rank, device) for trial in trials)
    return Evaluation(chosen.name, embeddings.tracklets.name, embeddings.model, seed, results)


def _run(
    embeddings: Embeddings, trial: Trial, max_rank: int, device: torch.device | str | None
) -> TrialResult:
    query, gallery = embeddings.rows(trial.query), embeddings.rows(trial.gallery)
    keep = trial.same_camera
    try:
        scores = score_embeddings(
            query, gallery, same_camera=keep, count=trial.count, max_rank=max_rank, device=device
        )
    except NoMatchError as error:
        raise NoMatchError(f"{trial.name}: {error}") from None
    chance = None
    if trial.count == "images":
        chance = chance_scores(query.tracklets, gallery.tracklets, same_camera=keep, max_rank=max_rank)
    return TrialResult(trial, scores, chance)
