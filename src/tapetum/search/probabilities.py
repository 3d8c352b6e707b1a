"""Hits with the probability that they show the person who is searched for."""

from __future__ import annotations

from dataclasses import replace

from tapetum.errors import CalibrationError
from tapetum.evaluation.calibration.calibration import Calibration, check_probability
from tapetum.evaluation.calibration.pair_counts import Pairing
from tapetum.search.query import Hit, SearchResult
from tapetum.types import Modality


def with_probabilities(
    found: SearchResult,
    calibration: Calibration,
    modality: Modality,
    *,
    min_probability: float | None = None,
    prior: float | None = None,
) -> SearchResult:
    """The same answer, each hit with its probability, and "unknown" where none is probable enough.

    A hit of a pairing that the calibration has no curve for has no probability.

    Args:
        found: Hits of embeddings of the calibration's model.
        calibration: What their distances mean.
        modality: How the query was seen.
        min_probability: What a hit must reach for the person to be known; None: any answer is given.
        prior: Probability of one person before the distance is seen; None: that of each curve.

    Raises:
        CalibrationError: A probability is wished, but a hit's pairing has no curve: it might be the person.
        ValueError: A probability out of range.
    """
    if min_probability is not None:
        check_probability(min_probability)
        for pairing in dict.fromkeys(Pairing.of(modality, hit.tracklet.modality) for hit in found):
            if pairing not in calibration.curves:
                raise CalibrationError(
                    f"the calibration has no {pairing} pairs, so such hits may or may not be the person: "
                    "search one modality only, or calibrate with such pairs"
                )
    hits = tuple(_calibrated(hit, calibration, modality, prior) for hit in found)
    return replace(found, hits=hits, min_probability=min_probability)


def _calibrated(hit: Hit, calibration: Calibration, modality: Modality, prior: float | None) -> Hit:
    curve = calibration.curves.get(Pairing.of(modality, hit.tracklet.modality))
    if curve is None:
        return hit
    return replace(hit, probability=float(curve.probability(hit.distance, prior=prior)))
