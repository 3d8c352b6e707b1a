"""Embeddings of any size: data cut into shards with keys, workers that may be killed, loading in bulk."""

from tapetum.scale.collecting import Collection, collect_embeddings, collect_into_gallery, problems_of
from tapetum.scale.extraction import extract
from tapetum.scale.ledger import ExtractionReport
from tapetum.scale.plan import ExtractionPlan, Recipe, read_plan
from tapetum.scale.planning import SHARD_SIZE, plan_extraction
from tapetum.scale.ranks import device_of, part_of
from tapetum.scale.results import ShardResult
from tapetum.scale.shards import Shard
from tapetum.scale.store import Store, open_store
from tapetum.scale.worker import Job, Outcome, ShardWorker

__all__ = [
    "SHARD_SIZE",
    "Collection",
    "ExtractionPlan",
    "ExtractionReport",
    "Job",
    "Outcome",
    "Recipe",
    "Shard",
    "ShardResult",
    "ShardWorker",
    "Store",
    "collect_embeddings",
    "collect_into_gallery",
    "device_of",
    "extract",
    "open_store",
    "part_of",
    "plan_extraction",
    "problems_of",
    "read_plan",
]
