"""What is searched for: pictures, a tracklet, an item of the gallery, embeddings, or several of these."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from tapetum.data.modality_detection import detect_modality
from tapetum.data.pictures import tracklet_from_path
from tapetum.search.storing import refuse_other_model, unit_rows
from tapetum.types import Embeddings, Modality, Tracklet, TrackletSet

if TYPE_CHECKING:
    from tapetum.search.gallery import Gallery


class Encoder(Protocol):
    """A trained model, as far as search needs it."""

    @property
    def fingerprint(self) -> str:
        """Names the model's weights and configuration."""

    def encode(self, items: Sequence[Tracklet], /) -> NDArray[np.float32]:
        """float32 `[N, D]`, L2-normalised."""


@dataclass(frozen=True, slots=True)
class GalleryItem:
    """A tracklet of the gallery, asked by its stored embedding; no answer shows it.

    Attributes:
        tracklet_id: Which.
    """

    tracklet_id: str


@dataclass(frozen=True, slots=True)
class Several:
    """Several images, tracklets or items of one person, asked as one: by the mean of their unit embeddings.

    Attributes:
        queries: Each of them as it would be asked alone.
    """

    queries: tuple[OneQuery, ...]

    def __post_init__(self) -> None:
        """Keep the queries as a tuple.

        Raises:
            ValueError: There is none.
            TypeError: One is itself several.
        """
        object.__setattr__(self, "queries", tuple(self.queries))
        if not self.queries:
            raise ValueError("there is no query among the several")
        if any(isinstance(query, Several) for query in self.queries):
            raise TypeError("one of several queries is itself several; give all of them at once")


OneQuery = Tracklet | str | Path | Sequence[str | Path] | Embeddings | GalleryItem
"""A tracklet; an image file; a folder of image files; the image files of one tracklet in time order;
embeddings by the gallery's model, several rows being of one person; or an item of the gallery."""

Query = OneQuery | Several
"""What is searched for."""


def as_tracklet(
    query: Tracklet | str | Path | Sequence[str | Path], modality: Modality | str | None = None
) -> Tracklet:
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


def embedded(
    query: Query, gallery: Gallery, model: Encoder | None, modality: Modality | str | None
) -> Embeddings:
    """The embedding of a query: one row, of several the mean of their unit embeddings, of length 1.

    The row's tracklet is the first of those in the modality that most of them have; where as many have
    either, the first of all.

    Args:
        query: What is searched for.
        gallery: Where items are looked up.
        model: Embeds pictures; None: only items and embeddings can be asked.
        modality: How files were seen; None: infrared where they have no colour.

    Raises:
        FileNotFoundError: A file or folder is missing.
        DataError: A folder without pictures, or a file that is no picture.
        KeyError: An item is not in the gallery.
        ModelMismatchError: Several were embedded by different models.
        ValueError: Pictures without a model, no files, an unknown modality, or embeddings of no or another
            length.
    """
    rows = _joined(list(_parts(query, gallery, model, modality)))
    tracklets = rows.tracklets.tracklets
    unit = unit_rows(rows.vectors, [f"the embedding of {t.tracklet_id}" for t in tracklets])
    if len(rows) == 1:
        return replace(rows, vectors=unit)
    counts = Counter(t.modality for t in tracklets)
    shown = next(t for t in tracklets if counts[t.modality] == max(counts.values()))
    mean = unit.mean(axis=0, dtype=np.float64)[None].astype(np.float32)
    vectors = unit_rows(mean, ["the mean of the queries"])
    return Embeddings(vectors, TrackletSet("query", (shown,)), rows.model, rows.trained_on)


def items_of(query: Query) -> tuple[str, ...]:
    """Identifiers of the gallery's items in a query, each once."""
    asked = query.queries if isinstance(query, Several) else (query,)
    return tuple(dict.fromkeys(one.tracklet_id for one in asked if isinstance(one, GalleryItem)))


def _parts(
    query: Query, gallery: Gallery, model: Encoder | None, modality: Modality | str | None
) -> Iterator[Embeddings]:
    """Embeddings of each query; pictures are embedded all at once."""
    asked = query.queries if isinstance(query, Several) else (query,)
    given = [one for one in asked if not isinstance(one, GalleryItem | Embeddings | Several)]
    encoded = iter(_encoded([as_tracklet(one, modality) for one in given], model))
    for one in asked:
        if isinstance(one, GalleryItem):
            yield gallery.get([one.tracklet_id])
        elif isinstance(one, Embeddings):
            yield one
        else:
            yield next(encoded)


def _encoded(tracklets: list[Tracklet], model: Encoder | None) -> list[Embeddings]:
    if not tracklets:
        return []
    if model is None:
        raise ValueError(f"{tracklets[0].tracklet_id}: pictures need a model to be embedded; none was given")
    vectors = model.encode(tracklets)
    return [
        Embeddings(vectors[row : row + 1], TrackletSet("query", (tracklet,)), model.fingerprint)
        for row, tracklet in enumerate(tracklets)
    ]


def _joined(parts: list[Embeddings]) -> Embeddings:
    """All rows of embeddings of one model."""
    first = parts[0]
    for part in parts[1:]:
        refuse_other_model(part.model, first.model)
        if part.vectors.shape[1] != first.vectors.shape[1]:
            lengths = first.vectors.shape[1], part.vectors.shape[1]
            raise ValueError(f"the queries have embeddings of dimensions {lengths[0]} and {lengths[1]}")
    tracklets = TrackletSet("query", tuple(t for part in parts for t in part.tracklets))
    if not len(tracklets):
        raise ValueError("the query has no rows; expected at least one")
    return replace(first, vectors=np.concatenate([part.vectors for part in parts]), tracklets=tracklets)
