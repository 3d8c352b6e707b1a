"""What a report is made from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tapetum.evaluation.evaluate import Evaluation, TrialResult
from tapetum.evaluation.scores.metrics import Scores
from tapetum.report.score_tables import CHANCE
from tapetum.types import Embeddings, TrackletSet


@dataclass(frozen=True, slots=True)
class ReportData:
    """One run: its data, its results and how it came about.

    Attributes:
        dataset: Name of the data set.
        is_synthetic: Whether its people were drawn by a program; the page then says so at the top.
        method: Name of the row that the report is about.
        train: Training tracklets.
        test: Embeddings of the test set (queries and gallery) by that method's model.
        results: Row name -> what `evaluate` gave for it, all by one protocol; that of `method` must be of
            `test`, computed without a device, as the ranked lists are. The row "chance" comes from there and
            need not be given.
        log: The training log, as a JSON-lines file or as its records; None where there is none.
        config: The resolved configuration.
        environment: Versions, machine, device; name -> value.
        timings_s: Seconds that each part took.
        counts: Counts to state besides those of tracklets, persons and cameras.
    """

    dataset: str
    is_synthetic: bool
    method: str
    train: TrackletSet
    test: Embeddings
    results: Mapping[str, Evaluation]
    log: Path | Iterable[Mapping[str, Any]] | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    timings_s: Mapping[str, float] = field(default_factory=dict)
    counts: Mapping[str, int | str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse a report about a row without results, and rows that do not compare."""
        known = ", ".join(self.results) or "none"
        if self.method not in self.results:
            raise ValueError(f"no results of method {self.method!r}; rows: {known}")
        others = {
            name: found.protocol for name, found in self.results.items() if found.protocol != self.protocol
        }
        if others:
            raise ValueError(f"{self.method} was scored by protocol {self.protocol}, other rows by {others}")

    @property
    def protocol(self) -> str:
        """Name of the protocol that every row was scored by."""
        return self.results[self.method].protocol

    @property
    def trials(self) -> tuple[TrialResult, ...]:
        """The method's results, one per direction: the first trial where there are several."""
        return tuple(found[0] for found in self.results[self.method].by_direction().values())

    def trial_count(self, result: TrialResult) -> int:
        """How many trials the direction of one of the method's results has."""
        return len(self.results[self.method].by_direction()[result.direction])

    def scores(self, result: TrialResult) -> dict[str, Scores]:
        """Scores of every row in the trial of one of the method's results; chance where that is known."""
        chance = {} if result.chance is None else {CHANCE: result.chance}
        return {**chance, **{name: found.scores[result.name] for name, found in self.results.items()}}
