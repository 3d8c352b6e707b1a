"""What is measured: which corruptions, how strong, of which pictures, and how models are asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from tapetum.data.clips import TestSampling
from tapetum.data.corruptions import CORRUPTIONS, SEVERITIES, Corruption
from tapetum.embed import Precision
from tapetum.evaluation.evaluate import Reranking
from tapetum.evaluation.robustness import CLEAN, Cell
from tapetum.registry import unknown
from tapetum.robustness.sides import Side


@dataclass(frozen=True, slots=True)
class RobustnessPlan:
    """What is measured, and how.

    Attributes:
        protocol: Name of the protocol.
        corruptions: Which ones.
        severities: Of each, 1 to 5.
        side: Which pictures are corrupted.
        seed: Of the corruptions, and of protocols that draw their galleries.
        reranking: As `evaluate` takes it.
        sampling: As `embed` takes it, like all that follow.
        flip: Whether mirror images are added.
        precision: Inside the network.
        batch_size: Clips in a batch; changes no figure but for rounding.
        workers: Processes that read and corrupt frames; 0: one thread of this process.

    Raises:
        ValueError: No corruption or no severity, one that is listed twice, a severity outside 1..5, or an
            unknown side.
    """

    protocol: str
    corruptions: tuple[Corruption, ...] = CORRUPTIONS
    severities: tuple[int, ...] = SEVERITIES
    side: Side = "both"
    seed: int = 0
    reranking: Reranking | None = None
    sampling: TestSampling | None = None
    flip: bool = False
    precision: Precision = "32"
    batch_size: int = 32
    workers: int = 0

    def __post_init__(self) -> None:
        for what, values in (("corruption", self.names), ("severity", self.severities)):
            if not values:
                raise ValueError(f"robustness needs at least one {what}")
            if len(set(values)) != len(values):
                raise ValueError(f"each {what} can be listed once, found {', '.join(map(str, values))}")
        for severity in self.severities:
            if severity not in SEVERITIES:
                raise ValueError(
                    f"severity {severity}; expected {SEVERITIES[0]} to {SEVERITIES[-1]} (clean pictures are "
                    "scored in any case)"
                )
        if self.side not in get_args(Side):
            raise ValueError(unknown("side", self.side, list(get_args(Side))))

    @property
    def names(self) -> list[str]:
        """Names of the corruptions."""
        return [corruption.name for corruption in self.corruptions]

    @property
    def cells(self) -> list[Cell]:
        """The cells, the clean one first."""
        return [CLEAN, *((name, severity) for name in self.names for severity in self.severities)]
