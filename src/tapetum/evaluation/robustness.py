"""What corruptions cost: scores of clean and of corrupted pictures side by side, and their means.

A *cell* is one corruption at one severity. The figure of a corruption is the mean over its severities, the
figure of a direction the mean over its corruptions, so each corruption counts the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

Cell = tuple[str, int]
"""Name of a corruption and its severity."""

CLEAN: Cell = ("clean", 0)
FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True)
class Figures:
    """What a table shows of a direction: means over its trials, fractions 0..1."""

    mean_ap: float
    mean_inp: float
    rank_1: float
    rank_5: float
    rank_10: float
    rank_20: float

    def drop(self, clean: Figures) -> Figures:
        """Each figure's relative loss: 0 where nothing is lost, 1 where all is, NaN where `clean` is 0.

        >>> Figures(0.2, 0.1, 0.3, 0.5, 0.6, 0.7).drop(Figures(0.4, 0.1, 0.3, 0.5, 0.6, 0.7)).mean_ap
        0.5
        """
        pairs = zip(_values(self), _values(clean), strict=True)
        return Figures(*(1 - own / other if other else math.nan for own, other in pairs))


def mean_figures(figures: Iterable[Figures]) -> Figures:
    """The mean of each figure.

    Raises:
        ValueError: There are none.
    """
    rows = [_values(one) for one in figures]
    if not rows:
        raise ValueError("there are no figures to average")
    return Figures(*(math.fsum(column) / len(rows) for column in zip(*rows, strict=True)))


@dataclass(frozen=True, slots=True, eq=False)
class Robustness:
    """Scores of clean and of corrupted pictures.

    Attributes:
        protocol: Name of the protocol, with its variant.
        data: Name of the tracklets that were scored; several of them are joined by commas.
        model: Fingerprint of the model; several are joined by commas.
        seed: Of the protocol's draws and of the corruptions.
        side: What was corrupted: "both", "query", "gallery", "visible" or "infrared".
        clean: Direction -> its figures without corruption.
        cells: Corruption and severity -> direction -> its figures.
    """

    protocol: str
    data: str
    model: str
    seed: int
    side: str
    clean: Mapping[str, Figures]
    cells: Mapping[Cell, Mapping[str, Figures]]

    @classmethod
    def of(cls, measured: Sequence[Mapping[Cell, Mapping[str, Any]]], side: str) -> Robustness:
        """From evaluations in the form of `Evaluation.to_json`, of one model or of several, by their cells.

        Trials of several models are averaged, each counting the same.

        Raises:
            ValueError: There is no model, the models differ in protocol, seed or cells, or there is no
                corrupted cell.
        """
        if not measured or any(set(one) != set(measured[0]) for one in measured):
            raise ValueError(f"{len(measured)} models with different cells cannot be averaged")
        cells = {cell: figures_of(one[cell] for one in measured) for cell in measured[0]}
        clean = cells.pop(CLEAN)
        if not cells:
            raise ValueError("there is no corrupted cell to compare with the clean scores")
        documents = [one[CLEAN] for one in measured]
        if len({(d["protocol"], d["seed"]) for d in documents}) != 1:
            raise ValueError("only evaluations by one protocol and seed are averaged")
        return cls(
            protocol=documents[0]["protocol"],
            data=_joined(d["data"] for d in documents),
            model=_joined(d["model"] for d in documents),
            seed=documents[0]["seed"],
            side=side,
            clean=clean,
            cells=cells,
        )

    @property
    def directions(self) -> list[str]:
        """Names of the directions, in the protocol's order."""
        return list(self.clean)

    @property
    def corruptions(self) -> list[str]:
        """Names of the corruptions, in the order in which they were measured."""
        return list(dict.fromkeys(name for name, _ in self.cells))

    @property
    def severities(self) -> list[int]:
        """The severities, ascending."""
        return sorted({severity for _, severity in self.cells})

    def of_corruption(self, name: str, direction: str) -> Figures:
        """Means over the severities of a corruption.

        Raises:
            ValueError: It was not measured.
        """
        return mean_figures(found[direction] for (own, _), found in self.cells.items() if own == name)

    def overall(self, direction: str) -> Figures:
        """Means over the corruptions of a direction, each counting the same."""
        return mean_figures(self.of_corruption(name, direction) for name in self.corruptions)

    def to_json(self) -> dict[str, object]:
        """All figures, ready for `json.dumps`; docs/robustness.md names the fields."""
        return {
            "format_version": FORMAT_VERSION,
            "protocol": self.protocol,
            "data": self.data,
            "model": self.model,
            "seed": self.seed,
            "side": self.side,
            "severities": self.severities,
            "directions": {name: self._direction(name) for name in self.directions},
        }

    def _direction(self, direction: str) -> dict[str, object]:
        clean, overall = self.clean[direction], self.overall(direction)
        return {
            "clean": asdict(clean),
            "mean": _with_drop(overall, clean),
            "corruptions": {name: self._corruption(name, direction) for name in self.corruptions},
        }

    def _corruption(self, name: str, direction: str) -> dict[str, object]:
        found = {severity: own[direction] for (other, severity), own in self.cells.items() if other == name}
        return {
            **_with_drop(mean_figures(found.values()), self.clean[direction]),
            "severities": {str(severity): asdict(found[severity]) for severity in sorted(found)},
        }


def figures_of(evaluations: Iterable[Mapping[str, Any]]) -> dict[str, Figures]:
    """Direction -> means over the trials of all these evaluations, in the form of `Evaluation.to_json`."""
    trials: dict[str, list[Figures]] = {}
    for evaluation in evaluations:
        for trial in evaluation["trials"]:
            cmc = trial["cmc"]
            ranks = (cmc[min(rank, len(cmc)) - 1] for rank in (1, 5, 10, 20))
            figures = Figures(trial["mean_ap"], trial["mean_inp"], *ranks)
            trials.setdefault(trial["direction"], []).append(figures)
    return {direction: mean_figures(found) for direction, found in trials.items()}


def _with_drop(figures: Figures, clean: Figures) -> dict[str, object]:
    """The figures, and their relative losses; None where there is nothing to lose."""
    drop = {name: None if math.isnan(loss) else loss for name, loss in asdict(figures.drop(clean)).items()}
    return {**asdict(figures), "drop": drop}


def _values(figures: Figures) -> list[float]:
    return [getattr(figures, field.name) for field in fields(figures)]


def _joined(names: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(filter(None, names)))
