"""The demo's table: one row per way to compare people, both directions, fractions."""

from __future__ import annotations

from collections.abc import Mapping

from tapetum.evaluation.evaluate import Evaluation
from tapetum.evaluation.scores.metrics import Scores

CHANCE = "chance"


def score_rows(results: Mapping[str, Evaluation]) -> dict[str, dict[str, Scores]]:
    """Row -> direction ("I2V", "V2I") -> scores; a random order comes first.

    Args:
        results: Row -> what `evaluate` gave, all on the same tracklets; not empty.
    """
    any_row = next(iter(results.values()))
    chance = {found.name: found.chance for found in any_row.results if found.chance is not None}
    return {CHANCE: chance, **{name: dict(found.scores) for name, found in results.items()}}


def to_json(rows: Mapping[str, Mapping[str, Scores]]) -> dict[str, list[dict[str, object]]]:
    """The table for programs: `{"rows": [{"name": ..., "i2v": {"rank1": ..., ...}, "v2i": {...}}, ...]}`."""
    return {
        "rows": [
            {"name": name, **{trial.lower(): _figures(scores) for trial, scores in trials.items()}}
            for name, trials in rows.items()
        ]
    }


def _figures(scores: Scores) -> dict[str, float]:
    return {
        "rank1": float(scores.rank(1)),
        "rank5": float(scores.rank(5)),
        "map": float(scores.mean_ap),
        "minp": float(scores.mean_inp),
    }
