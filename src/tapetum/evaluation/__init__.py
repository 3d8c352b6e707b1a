"""Scores by the field's protocols, how sure they are, what distances mean, and which cameras fail.

Each name is imported when it is first asked for: to read a calibration, search needs no torch.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tapetum.evaluation.calibration.calibration import Calibration, Decision, calibrate
    from tapetum.evaluation.calibration.files import load_calibration, save_calibration
    from tapetum.evaluation.calibration.open_set import OpenSetScores, open_set_scores
    from tapetum.evaluation.diagnosis.diagnosis import Diagnosis, diagnose
    from tapetum.evaluation.evaluate import Evaluation, Reranking, TrialResult, combine, evaluate
    from tapetum.evaluation.per_query import per_query_table, read_per_query, save_per_query
    from tapetum.evaluation.protocols import Protocol, Trial, create_protocol, protocol_names
    from tapetum.evaluation.ranking.lists import RankedList, ranked_lists
    from tapetum.evaluation.ranking.reranking import rerank
    from tapetum.evaluation.scores.averages import DirectionScores
    from tapetum.evaluation.scores.chance import chance_scores
    from tapetum.evaluation.scores.confidence import (
        Interval,
        Intervals,
        bootstrap,
        bootstrap_trials,
        over_trials,
    )
    from tapetum.evaluation.scores.metrics import Scores, score_distances, score_embeddings

__all__ = [
    "Calibration",
    "Decision",
    "Diagnosis",
    "DirectionScores",
    "Evaluation",
    "Interval",
    "Intervals",
    "OpenSetScores",
    "Protocol",
    "RankedList",
    "Reranking",
    "Scores",
    "Trial",
    "TrialResult",
    "bootstrap",
    "bootstrap_trials",
    "calibrate",
    "chance_scores",
    "combine",
    "create_protocol",
    "diagnose",
    "evaluate",
    "load_calibration",
    "open_set_scores",
    "over_trials",
    "per_query_table",
    "protocol_names",
    "ranked_lists",
    "read_per_query",
    "rerank",
    "save_calibration",
    "save_per_query",
    "score_distances",
    "score_embeddings",
]

_HOMES = {
    "calibration.calibration": {"Calibration", "Decision", "calibrate"},
    "calibration.files": {"load_calibration", "save_calibration"},
    "calibration.open_set": {"OpenSetScores", "open_set_scores"},
    "diagnosis.diagnosis": {"Diagnosis", "diagnose"},
    "evaluate": {"Evaluation", "Reranking", "TrialResult", "combine", "evaluate"},
    "per_query": {"per_query_table", "read_per_query", "save_per_query"},
    "protocols": {"Protocol", "Trial", "create_protocol", "protocol_names"},
    "ranking.lists": {"RankedList", "ranked_lists"},
    "ranking.reranking": {"rerank"},
    "scores.averages": {"DirectionScores"},
    "scores.chance": {"chance_scores"},
    "scores.confidence": {"Interval", "Intervals", "bootstrap", "bootstrap_trials", "over_trials"},
    "scores.metrics": {"Scores", "score_distances", "score_embeddings"},
}
"""Modules of this package, and what of them is offered here."""

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        for home, names in _HOMES.items():
            if name in names:
                return getattr(importlib.import_module(f"{__name__}.{home}"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    class _Package(ModuleType):
        """A package in which a name that is offered stays what it is where a module is called alike.

        Importing the module `evaluate` would put it in the place of the function.
        """

        def __setattr__(self, name: str, value: object) -> None:
            if not (name in __all__ and isinstance(value, ModuleType)):
                super().__setattr__(name, value)

    sys.modules[__name__].__class__ = _Package
