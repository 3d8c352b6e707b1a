"""Galleries of embedded tracklets, and search in them by vector, tracklet or picture."""

from tapetum.search.engine import SearchEngine, as_tracklet
from tapetum.search.feedback import Feedback
from tapetum.search.gallery import Gallery, GalleryInfo
from tapetum.search.probabilities import with_probabilities
from tapetum.search.query import Filter, Group, Hit, SearchResult
from tapetum.search.question import GalleryItem, Several

__all__ = [
    "Feedback",
    "Filter",
    "Gallery",
    "GalleryInfo",
    "GalleryItem",
    "Group",
    "Hit",
    "SearchEngine",
    "SearchResult",
    "Several",
    "as_tracklet",
    "with_probabilities",
]
