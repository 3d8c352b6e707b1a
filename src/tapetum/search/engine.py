"""Search by picture: a tracklet, its files or its folder -> embedding -> the nearest of a gallery."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from tapetum.errors import GalleryChangedError
from tapetum.search.feedback import Feedback, improved, with_marks
from tapetum.search.gallery import Gallery, refuse_bad_top
from tapetum.search.grouping import Grouping, grouped, refuse_unknown_grouping
from tapetum.search.head_reranking import refuse_bad_head, with_head_reranked
from tapetum.search.probabilities import with_probabilities
from tapetum.search.query import Filter, SearchResult, without
from tapetum.search.question import Encoder, GalleryItem, Query, as_tracklet, embedded, items_of
from tapetum.search.storing import refuse_other_model
from tapetum.types import Embeddings, Modality, Tracklet

if TYPE_CHECKING:
    from tapetum.evaluation.calibration.calibration import Calibration

__all__ = ["Encoder", "Query", "SearchEngine", "as_tracklet"]

_ATTEMPTS = 3
"""Times that hits are looked up where others delete some of them meanwhile."""


class SearchEngine:
    """A gallery and the model that its embeddings are of."""

    def __init__(
        self, gallery: Gallery, model: Encoder | None = None, calibration: Calibration | None = None
    ) -> None:
        """Bring both together.

        Args:
            gallery: Where to search.
            model: Of the gallery's embeddings; None: only items of the gallery and embeddings can be asked.
            calibration: What the model's distances mean; hits then carry probabilities. None: the one that is
                stored in the gallery, where there is one.

        Raises:
            ModelMismatchError: The gallery's embeddings, or the calibration, are of another model.
        """
        stored = gallery.info().model
        if model is not None:
            refuse_other_model(model.fingerprint, stored)
        of = stored if model is None else model.fingerprint
        if calibration is not None and of is not None:
            calibration.refuse_other_model(of)
        self.gallery = gallery
        self.model = model
        self._calibration = calibration

    @property
    def calibration(self) -> Calibration | None:
        """What distances mean: as it was given, or else as it is stored in the gallery now."""
        return self.gallery.calibration() if self._calibration is None else self._calibration

    def search(
        self,
        query: Query,
        *,
        modality: Modality | str | None = None,
        top: int = 20,
        where: Filter | None = None,
        min_probability: float | None = None,
        prior: float | None = None,
        rerank_head: int | None = None,
        group: Grouping | None = None,
        feedback: Feedback | None = None,
    ) -> SearchResult:
        """The tracklets of the gallery nearest to a query.

        Args:
            query: What to look for; a tracklet given by its files is found first where the gallery has it, an
                item of the gallery is left out.
            modality: How the query's files were seen; None: infrared where they have no colour.
            top: At most this many hits.
            where: Which tracklets are looked at; None: all.
            min_probability: With a calibration: where no hit reaches it, the answer is unknown.
            prior: With a calibration: probability that a tracklet shows the person, before it is compared;
                None: that of the calibration.
            rerank_head: So many of the nearest are ordered anew by k-reciprocal neighbours; None: none.
            group: Give the first hit of each person or camera, and at most `top` of these; None: all hits.
            feedback: Hits of a former answer that were right or wrong: the query is improved by them, right
                ones are marked, wrong ones left out.

        Raises:
            FileNotFoundError: A file or folder is missing.
            DataError: A folder without pictures, or a file that is no picture.
            KeyError: An item, or one of the feedback, is not in the gallery; it is named.
            ModelMismatchError: The gallery was filled by another model meanwhile.
            CalibrationError: A probability is wished that some hit cannot have.
            GalleryChangedError: Hits were deleted again and again while they were looked up.
            ValueError: A number out of range, a probability that is wished without a calibration, pictures
                without a model, or an item that is asked and marked as wrong.
        """
        refuse_bad_top(top)
        refuse_bad_head(rerank_head)
        refuse_unknown_grouping(group)
        calibration = self.calibration
        if calibration is None and not (min_probability is None and prior is None):
            raise ValueError("probabilities need a calibration of the gallery's model")
        marks = feedback or Feedback()
        items = items_of(query)
        marks.refuse_wrong(items)
        asked = self.embed(query, modality=modality)
        right = [name for name in marks.right if name not in items]  # an item counts as the query already
        better = improved(asked, self._get(right, asked), self._get(marks.wrong, asked))
        is_one_item = isinstance(query, GalleryItem) and not marks.wrong  # it was looked up already
        left_out = asked.tracklets if is_one_item else self._get((*items, *marks.wrong), asked).tracklets
        look = partial(self._look, better, where, left_out, rerank_head)
        if group is None:
            found = look(top)
        else:
            found = grouped(look, group, top=top, gallery=self.gallery, where=where, left_out=left_out)
        seen = asked.tracklets[0].modality
        found = replace(with_marks(found, marks), seen=seen)
        if calibration is None:
            return found
        return with_probabilities(found, calibration, seen, min_probability=min_probability, prior=prior)

    def embed(self, query: Query, *, modality: Modality | str | None = None) -> Embeddings:
        """The embedding of a query: one row; of several the mean of their unit embeddings, of length 1.

        Raises:
            KeyError: An item is not in the gallery.
            ValueError: Pictures without a model, or several whose mean has no direction.
        """
        return embedded(query, self.gallery, self.model, modality)

    def _get(self, tracklet_ids: Sequence[str], asked: Embeddings) -> Embeddings:
        """Tracklets of the gallery, which must be of the query's model; no rows where none are named."""
        if not tracklet_ids:
            return asked.rows([])
        found = self.gallery.get(tracklet_ids)
        refuse_other_model(asked.model, found.model)
        return found

    def _look(
        self,
        asked: Embeddings,
        where: Filter | None,
        left_out: Sequence[Tracklet],
        head: int | None,
        top: int,
    ) -> SearchResult:
        """The first `top` hits, the head re-ranked."""
        deep = max(top, head or 0)
        for _ in range(_ATTEMPTS):
            found = self.gallery.search(asked, top=deep + len(left_out), where=where)
            found = without(found, left_out, top=deep, where=where)
            if head is None:
                return found
            try:
                found = with_head_reranked(found, asked, self.gallery, head)
            except KeyError:  # it was deleted since it was found
                continue
            return replace(found, hits=found.hits[:top])
        uri = self.gallery.uri
        raise GalleryChangedError(f"{uri}: hits were deleted while they were looked up; ask again")
