"""Score embeddings by a protocol: every direction and every trial, with the level of chance beside them."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from tapetum.errors import ModelMismatchError, NoMatchError
from tapetum.evaluation.protocols._base import Protocol, Trial, create_protocol
from tapetum.evaluation.ranking.reranking import Distance, rerank
from tapetum.evaluation.scores.averages import DirectionScores, average
from tapetum.evaluation.scores.chance import chance_scores
from tapetum.evaluation.scores.metrics import Scores, score_distances, score_embeddings
from tapetum.types import Embeddings

FORMAT_VERSION = 1

_log = logging.getLogger(__name__)

_OVERLAPPING = re.compile(r"regdb\?(?:.*&)?trial=(\d+)")
"""Titles of data sets with several divisions, the test people of one being training people of others."""


@dataclass(frozen=True, slots=True)
class Reranking:
    """K-reciprocal re-ranking; settings as `rerank` takes them."""

    k1: int = 20
    k2: int = 6
    lambda_value: float = 0.3
    distance: Distance = "squared"


@dataclass(frozen=True, slots=True, eq=False)
class TrialResult:
    """What one trial gave.

    Attributes:
        trial: The trial; `ranked_lists` takes it to show what was scored.
        scores: Its scores.
        chance: Expected scores of a random ranking; None where ranks count identities.
        data: Name of the tracklets that were scored.
        model: Fingerprint of the model; "" where unknown.
    """

    trial: Trial
    scores: Scores
    chance: Scores | None
    data: str = ""
    model: str = ""

    @property
    def name(self) -> str:
        """Name of the trial."""
        return self.trial.name

    @property
    def direction(self) -> str:
        """Name of the direction, under which trials are averaged."""
        return self.trial.direction or self.trial.name

    def to_json(self) -> dict[str, object]:
        """The trial's sizes, rules and scores, ready for `json.dumps`."""
        return {
            "trial": self.name,
            "direction": self.direction,
            "data": self.data,
            "model": self.model,
            "query_size": len(self.trial.query),
            "gallery_size": len(self.trial.gallery),
            "same_camera": self.trial.same_camera,
            "hidden_cameras": [list(pair) for pair in self.trial.hidden_cameras],
            "count": self.trial.count,
            **self.scores.to_json(),
            "chance": None if self.chance is None else self.chance.to_json(),
        }


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """All trials of a protocol, in its order.

    Attributes:
        protocol: Name of the protocol, with its variant.
        data: Name of the tracklets that were scored; several of them are joined by commas.
        model: Fingerprint of the model, or of several; "" where unknown.
        seed: Seed of the protocol's draws.
        results: One per trial.
        reranking: How distances were re-ranked before they were scored; None: they were not.
    """

    protocol: str
    data: str
    model: str
    seed: int
    results: tuple[TrialResult, ...]
    reranking: Reranking | None = None

    @property
    def scores(self) -> Mapping[str, Scores]:
        """Scores by trial name, in the protocol's order."""
        return {result.name: result.scores for result in self.results}

    @property
    def directions(self) -> Mapping[str, DirectionScores]:
        """Means over the trials of each direction, by its name, in the protocol's order."""
        return {name: average([r.scores for r in found]) for name, found in self.by_direction().items()}

    @property
    def chance(self) -> Mapping[str, DirectionScores | None]:
        """Means of the level of chance of each direction; None where ranks count identities."""
        found = {
            name: [r.chance for r in results if r.chance is not None]
            for name, results in self.by_direction().items()
        }
        return {name: average(scores) if scores else None for name, scores in found.items()}

    def by_direction(self) -> Mapping[str, list[TrialResult]]:
        """The trials of each direction, by its name."""
        found: dict[str, list[TrialResult]] = {}
        for result in self.results:
            found.setdefault(result.direction, []).append(result)
        return found

    def to_json(self) -> dict[str, object]:
        """All but the per-query numbers, ready for `json.dumps`; docs/evaluation.md names the fields."""
        chance = {name: found and found.to_json() for name, found in self.chance.items()}
        return {
            "format_version": FORMAT_VERSION,
            "protocol": self.protocol,
            "data": self.data,
            "model": self.model,
            "seed": self.seed,
            "reranking": None if self.reranking is None else asdict(self.reranking),
            "directions": {
                name: {**found.to_json(), "chance": chance[name]} for name, found in self.directions.items()
            },
            "trials": [result.to_json() for result in self.results],
        }


def evaluate(
    embeddings: Embeddings,
    protocol: Protocol | str,
    *,
    seed: int = 0,
    max_rank: int = 20,
    root: Path | str | None = None,
    reranking: Reranking | None = None,
    device: torch.device | str | None = None,
) -> Evaluation:
    """Scores of embeddings by a protocol.

    Args:
        embeddings: Of all test tracklets, queries and gallery.
        protocol: A protocol or its name.
        seed: For protocols that draw their galleries; 0 gives the published draws.
        max_rank: Length of the CMC.
        root: Folder of the data set, for protocols whose galleries are listed in one of its files.
        reranking: Re-rank each trial's distances first; None: score them as they are.
        device: Where products are computed; None: the processor.

    Raises:
        ValueError: Unknown protocol, or the tracklets do not have the parts that it needs.
        ModelMismatchError: The model was trained on another trial of RegDB, and so on people that it would be
            tested on.
        NoMatchError: A trial in which no query has a true match.
    """
    chosen = create_protocol(protocol) if isinstance(protocol, str) else protocol
    _refuse_other_division(embeddings)
    trials = chosen.trials(embeddings.tracklets, seed, None if root is None else Path(root))
    sides = _Sides(embeddings)
    results = tuple(_run(sides, trial, max_rank, reranking, device) for trial in trials)
    return Evaluation(chosen.name, embeddings.tracklets.name, embeddings.model, seed, results, reranking)


def combine(evaluations: Sequence[Evaluation]) -> Evaluation:
    """Several evaluations as one: its directions are averaged over all their trials.

    For data sets that train a model per trial (RegDB), or for one method trained with several seeds. Trials
    of the same name are told apart by the place of their evaluation: "I2V, run 2".

    Raises:
        ValueError: There is none, or they differ in protocol, seed or re-ranking.
    """
    kinds = dict.fromkeys((e.protocol, e.seed, e.reranking) for e in evaluations)
    if len(kinds) != 1:
        found = "; ".join(f"{name}, seed {seed}, {reranking}" for name, seed, reranking in kinds) or "none"
        raise ValueError(
            f"only evaluations by one protocol, seed and re-ranking are averaged; given: {found}"
        )
    ((protocol, seed, reranking),) = kinds
    return Evaluation(
        protocol,
        _joined(e.data for e in evaluations),
        _joined(e.model for e in evaluations),
        seed,
        tuple(_told_apart(evaluations)),
        reranking,
    )


def _told_apart(evaluations: Sequence[Evaluation]) -> Iterable[TrialResult]:
    names = Counter(result.name for e in evaluations for result in e.results)
    for run, evaluation in enumerate(evaluations, start=1):
        for result in evaluation.results:
            if names[result.name] == 1:
                yield result
                continue
            name = f"{result.name}, run {run}"
            yield replace(result, trial=replace(result.trial, name=name, direction=result.direction))


def _joined(names: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(filter(None, names)))


def _refuse_other_division(embeddings: Embeddings) -> None:
    """Refuse a model that was trained on some of the people it would be tested on."""
    trained, scored = embeddings.trained_on, embeddings.tracklets.name.partition("/")[0]
    divisions = _division(trained), _division(scored)
    if None not in divisions and divisions[0] != divisions[1]:
        raise ModelMismatchError(
            f"the model was trained on {trained}, and people of that training half are among the test people "
            f"of {scored}: the scores would say nothing; score it on the test part of {trained}"
        )
    if trained != scored and all(title.startswith("manifest?") for title in (trained, scored)):
        _log.warning(
            "the model was trained on %s and is scored on %s: if that is one file, "
            "it may have seen these people",
            *(trained, scored),
        )


def _division(title: str) -> str | None:
    """The number of the division in the title of a data set that has several over the same people."""
    found = _OVERLAPPING.match(title)
    return found[1] if found else None


class _Sides:
    """Embeddings of queries and galleries; what several trials share is picked out once."""

    def __init__(self, embeddings: Embeddings) -> None:
        self.all = embeddings
        self._query: tuple[object, Embeddings] | None = None

    def query(self, trial: Trial) -> Embeddings:
        """The trial's queries."""
        if self._query is None or self._query[0] is not trial.query:
            self._query = trial.query, self.all.rows(trial.query)
        return self._query[1]

    def gallery(self, trial: Trial) -> Embeddings:
        """The trial's gallery."""
        return self.all.rows(trial.gallery)


def _run(
    sides: _Sides,
    trial: Trial,
    max_rank: int,
    reranking: Reranking | None,
    device: torch.device | str | None,
) -> TrialResult:
    query, gallery = sides.query(trial), sides.gallery(trial)
    try:
        if reranking is not None:
            scores = _score_reranked(sides, trial, max_rank, reranking, device)
        else:
            scores = score_embeddings(
                query,
                gallery,
                same_camera=trial.same_camera,
                hidden_cameras=trial.hidden_cameras,
                count=trial.count,
                max_rank=max_rank,
                device=device,
            )
    except NoMatchError as error:
        raise NoMatchError(f"{trial.name}: {error}") from None
    chance = None
    if trial.count == "images":
        chance = chance_scores(
            query.tracklets,
            gallery.tracklets,
            same_camera=trial.same_camera,
            hidden_cameras=trial.hidden_cameras,
            max_rank=max_rank,
        )
    return TrialResult(trial, scores, chance, query.tracklets.name, query.model)


def _score_reranked(
    sides: _Sides,
    trial: Trial,
    max_rank: int,
    reranking: Reranking,
    device: torch.device | str | None,
) -> Scores:
    """Scores of a trial's re-ranked distances, whose whole matrix is held."""
    query, gallery = sides.query(trial), sides.gallery(trial)
    return score_distances(
        rerank(query, gallery, **asdict(reranking), device=device),
        [t.person_id for t in query.tracklets],
        [t.person_id for t in gallery.tracklets],
        leave_out=trial.left_out(sides.all.tracklets),
        count=trial.count,
        max_rank=max_rank,
    )
