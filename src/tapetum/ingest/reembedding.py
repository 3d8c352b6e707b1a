"""Tracklets of a gallery embedded again, from the frames they name, as ingest embeds them."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from tapetum.ingest.encoding import ClipBatches, ClipEncoder, Embedded, Vector
from tapetum.ingest.items import Reading
from tapetum.ingest.plan import Plan
from tapetum.ingest.sources import tracklets_source
from tapetum.types import Embeddings, TrackletSet


def embed_again(
    tracklets: TrackletSet, encoder: ClipEncoder, *, batch_size: int = 32, threads: int = 2
) -> tuple[Embeddings, Mapping[str, str]]:
    """Embeddings of the tracklets that can be read, in their order, and why the others cannot.

    Args:
        tracklets: With frames that are files, or references to frames inside another file.
        encoder: The model.
        batch_size: Clips in a batch.
        threads: Threads that read pictures.

    Raises:
        ValueError: A batch size below 1.
    """
    found: dict[str, Vector] = {}
    reasons: dict[str, str] = {}

    def keep(embedded: Embedded) -> None:
        vector = embedded.vectors[0]
        if np.isfinite(vector).all() and vector.any():
            found[embedded.reading.name] = vector
        else:
            reasons[embedded.reading.name] = "its embedding is zero or not finite"

    batches = ClipBatches(encoder, batch_size)
    source = tracklets_source("the gallery", tracklets)
    with ThreadPoolExecutor(threads, thread_name_prefix="tapetum-read") as pool:
        for group in source.groups(Plan(encoder.preprocessing, encoder.sampling)):
            names = [draft.name for draft in group.drafts]
            reasons.update((problem.item, problem.reason) for problem in group.problems)
            for event in group.read(range(len(names)), names, pool):
                if isinstance(event, Reading):
                    for embedded in batches.add(event):
                        keep(embedded)
                else:
                    reasons[event.item] = event.reason
    for embedded in batches.flush():
        keep(embedded)
    rows = tuple(t for t in tracklets if t.tracklet_id in found)
    vectors = np.stack([found[t.tracklet_id] for t in rows]) if rows else np.zeros((0, 1), np.float32)
    return Embeddings(vectors, TrackletSet(tracklets.name, rows), encoder.fingerprint), reasons
