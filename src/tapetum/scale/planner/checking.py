"""An estimate beside what an extraction took in truth, by the figures that its shards keep."""

from __future__ import annotations

from dataclasses import dataclass

from tapetum.scale.collecting import results_of
from tapetum.scale.plan import read_plan
from tapetum.scale.planner.rates import Rates
from tapetum.scale.results import ShardResult
from tapetum.scale.store import Store


@dataclass(frozen=True, slots=True)
class Check:
    """A figure as it was estimated and as it was.

    Attributes:
        what: What it is of.
        unit: Its unit.
        estimated: By the rates.
        found: In the files of the shards.
        formula: How the estimate was made.
    """

    what: str
    unit: str
    estimated: float
    found: float
    formula: str

    @property
    def ratio(self) -> float:
        """What was found, in parts of the estimate."""
        return self.found / self.estimated if self.estimated else float("nan")


def check_extraction(store: Store, rates: Rates) -> list[Check]:
    """What the finished shards of an extraction took, beside what rates say of them.

    Args:
        store: Place of the extraction.
        rates: Measured on the same machine, with the same model, threads and number type.

    Raises:
        FileNotFoundError: There is no extraction.
        ValueError: No shard is finished, or the model was not measured.
        DataError: A shard is damaged.
    """
    plan = read_plan(store)
    of = rates.of(plan.method)
    sums = _Sums()
    for result in results_of(store, plan.shards):
        sums.add(result)
    if not sums.frames:
        raise ValueError(f"{store.address}: no shard is finished, so there is nothing to compare")
    encoding = sums.frames / of.frames_per_s
    reading = sums.frames / rates.pictures_per_s
    shares = of.device == "cpu"
    total = encoding + reading if shares else max(encoding, reading)
    how = "encoding + reading on the same processor" if shares else "the longer of encoding and reading"
    return [
        Check("encoding", "s", encoding, sums.encoding_s, f"{sums.frames} frames / {of.frames_per_s:.1f}/s"),
        Check("workers, together", "s", total, sums.seconds, how),
    ]


@dataclass(slots=True)
class _Sums:
    """Figures of shards together."""

    frames: int = 0
    encoding_s: float = 0.0
    seconds: float = 0.0

    def add(self, result: ShardResult) -> None:
        """Take the figures of a shard."""
        self.frames += int(result.facts["frames"])
        self.encoding_s += float(result.facts["encoding_s"])
        self.seconds += float(result.facts["seconds"])
