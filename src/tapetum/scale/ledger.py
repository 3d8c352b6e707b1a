"""What became of the shards of an extraction, and when it is of no use to go on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import perf_counter

from tapetum.ingest.items import Problem
from tapetum.scale.shards import Shard
from tapetum.scale.worker import Outcome

GIVE_UP_AFTER = 8
"""Shards that fail one after the other, none going well between, before the rest is not tried."""


@dataclass(slots=True)
class ExtractionReport:
    """What an extraction has done so far.

    Attributes:
        shards: How many there are to do.
        done: Shards that were made.
        skipped: Shards that were finished already.
        rows: Embeddings in the files of both.
        new_rows: Embeddings in the files of those that were made.
        size: Bytes of the files of both.
        failed: Shards that failed, with the reason of each.
        problems: What of finished shards could not be embedded, or not all of it.
        encoding_s: Seconds that the model took, of all workers together.
        seconds: Seconds since the beginning.
        stopped: Why the rest was not tried; "" where it was.
    """

    shards: int
    done: int = 0
    skipped: int = 0
    rows: int = 0
    new_rows: int = 0
    size: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    encoding_s: float = 0.0
    seconds: float = 0.0
    stopped: str = ""

    @property
    def is_complete(self) -> bool:
        """Whether every shard is finished."""
        return self.done + self.skipped == self.shards


class Ledger:
    """Takes outcomes as they come, and says whether more should be begun."""

    def __init__(
        self,
        shards: Sequence[Shard],
        progress: Callable[[ExtractionReport], None] | None = None,
        give_up_after: int = GIVE_UP_AFTER,
    ) -> None:
        """Nothing done yet.

        Args:
            shards: What is to be done.
            progress: Told of each outcome.
            give_up_after: Failures in a row before the rest is not tried.
        """
        self.report = ExtractionReport(len(shards))
        self._progress = progress
        self._give_up_after = give_up_after
        self._in_a_row = 0
        self._began = perf_counter()

    @property
    def is_over(self) -> bool:
        """Whether it is of no use to begin another shard."""
        return bool(self.report.stopped)

    def note(self, outcome: Outcome) -> None:
        """Take an outcome."""
        report = self.report
        if outcome.status == "failed":
            self._note_failure(outcome)
        else:
            self._in_a_row = 0
            report.done += outcome.status == "done"
            report.skipped += outcome.status == "skipped"
            report.rows += outcome.rows
            report.size += outcome.size
            report.problems += outcome.problems
            if outcome.status == "done":
                report.new_rows += outcome.rows
                report.encoding_s += float(outcome.facts.get("encoding_s", 0))
        report.seconds = perf_counter() - self._began
        if self._progress is not None:
            self._progress(report)

    def stop(self, reason: str) -> None:
        """Begin no more shards; the first reason counts."""
        self.report.stopped = self.report.stopped or reason

    def _note_failure(self, outcome: Outcome) -> None:
        self.report.failed[f"{outcome.shard.key} ({outcome.shard.title})"] = outcome.reason
        self._in_a_row += 1
        if outcome.is_hopeless:
            self.stop(outcome.reason)
        elif self._in_a_row >= self._give_up_after:
            self.stop(f"{self._in_a_row} shards failed one after the other, the last: {outcome.reason}")
