"""Search by picture: a tracklet, its files or its folder -> embedding -> the nearest of a gallery."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tapetum.data.modality_detection import detect_modality
from tapetum.data.pictures import tracklet_from_path
from tapetum.evaluation.calibration.calibration import Calibration
from tapetum.search.gallery import Gallery
from tapetum.search.probabilities import with_probabilities
from tapetum.search.query import Filter, SearchResult
from tapetum.search.storing import refuse_other_model
from tapetum.types import Embeddings, Modality, Tracklet, TrackletSet

Query = Tracklet | str | Path | Sequence[str | Path]
"""A tracklet; an image file; a folder of image files; or the image files of one tracklet in time order."""


class Encoder(Protocol):
    """A trained model, as far as search needs it."""

    @property
    def fingerprint(self) -> str:
        """Names the model's weights and configuration."""

    def encode(self, items: Sequence[Tracklet], /) -> NDArray[np.float32]:
        """float32 `[N, D]`, L2-normalised."""


class SearchEngine:
    """A gallery and the model that its embeddings are of."""

    def __init__(self, gallery: Gallery, model: Encoder, calibration: Calibration | None = None) -> None:
        """Bring both together.

        Args:
            gallery: Where to search.
            model: Of the gallery's embeddings.
            calibration: What the model's distances mean; hits then carry probabilities.

        Raises:
            ModelMismatchError: The gallery's embeddings, or the calibration, are of another model.
        """
        refuse_other_model(model.fingerprint, gallery.info().model)
        if calibration is not None:
            calibration.refuse_other_model(model.fingerprint)
        self.gallery = gallery
        self.model = model
        self.calibration = calibration

    def search(
        self,
        query: Query,
        *,
        modality: Modality | str | None = None,
        top: int = 20,
        where: Filter | None = None,
        min_probability: float | None = None,
        prior: float | None = None,
    ) -> SearchResult:
        """The tracklets of the gallery nearest to a query.

        Args:
            query: What to look for; a tracklet of the gallery itself is found first.
            modality: How the query's files were seen; None: infrared where they have no colour.
            top: At most this many hits.
            where: Which tracklets are looked at; None: all.
            min_probability: With a calibration: where no hit reaches it, the answer is unknown.
            prior: With a calibration: probability that a tracklet shows the person, before it is compared;
                None: that of the calibration.

        Raises:
            FileNotFoundError: A file or folder is missing.
            DataError: A folder without pictures, or a file that is no picture.
            ModelMismatchError: The gallery was filled by another model meanwhile.
            CalibrationError: A probability is wished that some hit cannot have.
            ValueError: A probability out of range, or one that is wished without a calibration.
        """
        asked = self.embed(query, modality=modality)
        found = self.gallery.search(asked, top=top, where=where)
        if self.calibration is not None:
            seen = asked.tracklets[0].modality
            return with_probabilities(
                found, self.calibration, seen, min_probability=min_probability, prior=prior
            )
        if min_probability is not None or prior is not None:
            raise ValueError("probabilities need a calibration of the gallery's model")
        return found

    def embed(self, query: Query, *, modality: Modality | str | None = None) -> Embeddings:
        """The embedding of a query: one row."""
        tracklet = as_tracklet(query, modality)
        vectors = self.model.encode([tracklet])
        return Embeddings(vectors, TrackletSet("query", (tracklet,)), self.model.fingerprint)


def as_tracklet(query: Query, modality: Modality | str | None = None) -> Tracklet:
    """A query as a tracklet.

    Args:
        query: A tracklet (given back as it is), or files; those of a folder are ordered by the numbers in
            their names.
        modality: How the files were seen; None: infrared where they have no colour.

    Raises:
        FileNotFoundError: A file or folder is missing.
        DataError: A folder without pictures, or a first file that is no picture.
        ValueError: No files, or an unknown modality.
    """
    if isinstance(query, Tracklet):
        return query
    seen = None if modality is None else Modality(modality)
    if isinstance(query, str | Path):
        return replace(tracklet_from_path(query, seen), part="query")
    frames = tuple(str(path) for path in query)
    if not frames:
        raise ValueError("the query has no files")
    for frame in frames:
        if not Path(frame).is_file():
            raise FileNotFoundError(f"{frame}: no such file")
    return Tracklet(frames[0], frames, seen or detect_modality(frames).modality, part="query")
