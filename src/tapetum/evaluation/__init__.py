"""Scores of rankings, by the field's protocols: CMC, mAP, mINP, ranked lists, and the level of chance."""

from tapetum.evaluation.averages import DirectionScores
from tapetum.evaluation.chance import chance_scores
from tapetum.evaluation.confidence import Interval, Intervals, bootstrap, bootstrap_trials, over_trials
from tapetum.evaluation.evaluate import Evaluation, Reranking, TrialResult, combine, evaluate
from tapetum.evaluation.metrics import Scores, score_distances, score_embeddings
from tapetum.evaluation.per_query import per_query_table, read_per_query, save_per_query
from tapetum.evaluation.protocols import Protocol, Trial, create_protocol, protocol_names
from tapetum.evaluation.ranking import RankedList, ranked_lists
from tapetum.evaluation.reranking import rerank

__all__ = [
    "DirectionScores",
    "Evaluation",
    "Interval",
    "Intervals",
    "Protocol",
    "RankedList",
    "Reranking",
    "Scores",
    "Trial",
    "TrialResult",
    "bootstrap",
    "bootstrap_trials",
    "chance_scores",
    "combine",
    "create_protocol",
    "evaluate",
    "over_trials",
    "per_query_table",
    "protocol_names",
    "ranked_lists",
    "read_per_query",
    "rerank",
    "save_per_query",
    "score_distances",
    "score_embeddings",
]
