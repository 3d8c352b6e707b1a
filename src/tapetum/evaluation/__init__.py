"""Scores by the field's protocols, how sure they are, what distances mean, and which cameras fail."""

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
from tapetum.evaluation.scores.confidence import Interval, Intervals, bootstrap, bootstrap_trials, over_trials
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
