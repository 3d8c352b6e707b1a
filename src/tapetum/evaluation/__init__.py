"""Scores of rankings, by the field's protocols: CMC, mAP, mINP, ranked lists, and the level of chance."""

from tapetum.evaluation.chance import chance_scores
from tapetum.evaluation.evaluate import Evaluation, TrialResult, evaluate
from tapetum.evaluation.metrics import Scores, score_distances, score_embeddings
from tapetum.evaluation.protocols import Protocol, Trial, create_protocol, protocol_names
from tapetum.evaluation.ranking import RankedList, ranked_lists

__all__ = [
    "Evaluation",
    "Protocol",
    "RankedList",
    "Scores",
    "Trial",
    "TrialResult",
    "chance_scores",
    "create_protocol",
    "evaluate",
    "protocol_names",
    "ranked_lists",
    "score_distances",
    "score_embeddings",
]
