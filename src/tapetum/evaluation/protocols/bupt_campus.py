"""BUPTCampus: tracklets of one modality against those of the other (Du et al., IEEE TIFS 2023).

Each direction has queries of its own: the second is not the first with the roles swapped. Nothing is left
out.

The authors' script cuts the visible tracklets of either list down to a multiple of its batch size 64,
dropping the last lines: 512 of 540 queries and 2,368 of 2,422 gallery tracklets are left.
"bupt-campus/truncated" does the same, to compare with numbers that were published that way (AuxNet, VLD,
DMTA); those of MITML and M3-ReID are on the full lists. One thing is not repeated: where the number is a
multiple of 64 already, the script drops every visible tracklet, this variant none.
"""

from __future__ import annotations

from pathlib import Path

from tapetum.evaluation.protocols._base import Protocol, Trial
from tapetum.evaluation.protocols._rows import Rows, rows_of
from tapetum.types import Modality, TrackletSet

TEST_BATCH = 64
"""Of the authors' script, whose options forbid another."""

_SIDES = {"V": Modality.VISIBLE, "I": Modality.INFRARED}


class BuptCampus(Protocol):
    """Queries of one modality in the gallery of one modality, for some pairs of modalities."""

    def __init__(
        self,
        name: str,
        about: str,
        *,
        directions: tuple[str, ...] = ("V2I", "I2V"),
        is_truncated: bool = False,
        same_camera: bool = True,
    ) -> None:
        """Choose a variant.

        Args:
            name: Of the variant.
            about: One sentence.
            directions: Which modality searches which.
            is_truncated: Whether visible tracklets are cut down to a multiple of the script's batch size.
            same_camera: Whether gallery tracklets of the query's own person and camera are kept.
        """
        self.name, self.about, self.directions = name, about, directions
        self.is_truncated, self.same_camera = is_truncated, same_camera

    def trials(self, tracklets: TrackletSet, seed: int = 0, root: Path | None = None) -> list[Trial]:
        """One trial per direction; `seed` and `root` change nothing.

        Raises:
            ValueError: There are no query or gallery tracklets of a modality, or too few to truncate.
        """
        return [
            Trial(
                direction,
                self._side(tracklets, "query", _SIDES[direction[0]]),
                self._side(tracklets, "gallery", _SIDES[direction[-1]]),
                self.same_camera,
            )
            for direction in self.directions
        ]

    def _side(self, tracklets: TrackletSet, part: str, modality: Modality) -> Rows:
        rows = rows_of(self.name, tracklets, part=part, modality=modality)
        if not self.is_truncated or modality is not Modality.VISIBLE:
            return rows
        kept = rows[: len(rows) // TEST_BATCH * TEST_BATCH]
        if not len(kept):
            raise ValueError(
                f"{self.name} needs at least {TEST_BATCH} visible {part} tracklets; {tracklets.name} has "
                f"{len(rows)}"
            )
        return kept


class BuptCampusAll(Protocol):
    """All queries in the whole gallery, whatever their modalities."""

    name = "bupt-campus/all-modalities"
    about = "all queries against the whole gallery (a further line of the authors' script)"

    def trials(self, tracklets: TrackletSet, seed: int = 0, root: Path | None = None) -> list[Trial]:
        """One trial, "all"; `seed` and `root` change nothing.

        Raises:
            ValueError: There are no query or no gallery tracklets.
        """
        query = rows_of(self.name, tracklets, part="query")
        return [Trial("all", query, rows_of(self.name, tracklets, part="gallery"), True)]


VARIANTS = (
    BuptCampus("bupt-campus", "queries of one modality against the gallery of the other, full lists"),
    BuptCampus(
        "bupt-campus/truncated",
        "visible tracklets cut to a multiple of 64 (the authors' script: AuxNet, VLD, DMTA)",
        is_truncated=True,
    ),
    BuptCampus(
        "bupt-campus/same-modality",
        "visible against visible, infrared against infrared (further lines of the authors' script)",
        directions=("V2V", "I2I"),
    ),
    BuptCampusAll(),
    BuptCampus(
        "bupt-campus/camera-rule",
        "gallery tracklets of the query's own person and camera left out (X-ReID, M3-ReID)",
        same_camera=False,
    ),
)
