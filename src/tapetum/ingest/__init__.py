"""Ingest: data sets, manifests, folders of crops and videos with tracks, put into a searchable gallery."""

from tapetum.ingest.encoding import ClipEncoder, MethodEncoder
from tapetum.ingest.failures import Failure, failures_file, load_failures
from tapetum.ingest.items import Problem, Source
from tapetum.ingest.run import IngestReport, ingest
from tapetum.ingest.sources import open_source, tracklets_source

__all__ = [
    "ClipEncoder",
    "Failure",
    "IngestReport",
    "MethodEncoder",
    "Problem",
    "Source",
    "failures_file",
    "ingest",
    "load_failures",
    "open_source",
    "tracklets_source",
]
