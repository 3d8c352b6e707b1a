"""Market-1501 style: the query part against the gallery part, in any modality (Zheng et al., ICCV 2015).

Gallery items of the query's own person and camera are left out; ranks count images. A person that no query
has, such as the 0 that Market-1501 gives its distractors, stays in the gallery and pushes others down.
"""

from __future__ import annotations

from pathlib import Path

from tapetum.evaluation.protocols._base import Protocol, Trial
from tapetum.evaluation.protocols._rows import rows_of
from tapetum.types import TrackletSet


class Market1501(Protocol):
    """The query part searches the gallery part."""

    name = "market1501"
    about = "query part against gallery part in any modality, own camera left out (most single-modality sets)"

    def trials(self, tracklets: TrackletSet, seed: int = 0, root: Path | None = None) -> list[Trial]:
        """One trial, "query to gallery"; `seed` and `root` change nothing.

        Raises:
            ValueError: There are no query or no gallery tracklets.
        """
        query = rows_of(self.name, tracklets, part="query")
        return [Trial("query to gallery", query, rows_of(self.name, tracklets, part="gallery"))]


VARIANTS = (Market1501(),)
