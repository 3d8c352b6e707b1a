"""Galleries of embedded tracklets, and search in them by vector, tracklet or picture."""

from tapetum.search.engine import SearchEngine, as_tracklet
from tapetum.search.gallery import Gallery, GalleryInfo
from tapetum.search.probabilities import with_probabilities
from tapetum.search.query import Filter, Hit, SearchResult

__all__ = [
    "Filter",
    "Gallery",
    "GalleryInfo",
    "Hit",
    "SearchEngine",
    "SearchResult",
    "as_tracklet",
    "with_probabilities",
]
