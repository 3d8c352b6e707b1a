"""Cells that were scored, on disk: a file each, named by all that its figures depend on.

So a run that was stopped goes on where it was, one with more severities adds only those, and figures of
another model, protocol or setting are never taken for these. Contents of picture files are not looked at.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict
from hashlib import blake2b
from pathlib import Path
from typing import Any

from tapetum.errors import DataError
from tapetum.evaluation.robustness import CLEAN, Cell
from tapetum.files import replace_text
from tapetum.json_files import read_json_of
from tapetum.model import TrainedModel
from tapetum.robustness.plan import RobustnessPlan
from tapetum.types import TrackletSet

FORMAT = "tapetum-robustness-cell"
_VERSION = 1
"""To be raised when corruptions change in another way than by their levels."""

_log = logging.getLogger(__name__)


class StoredCells:
    """The evaluations of a model's cells in a folder."""

    def __init__(
        self, folder: Path, model: TrainedModel, tracklets: TrackletSet, plan: RobustnessPlan
    ) -> None:
        """Prepare; nothing is read or written."""
        self.folder, self._plan = folder, plan
        self._levels = {corruption.name: corruption.levels for corruption in plan.corruptions}
        listed = "\n".join(f"{t.tracklet_id}\t{t.modality}\t{len(t.frames)}" for t in tracklets)
        self._shared = {
            "version": _VERSION,
            "model": model.fingerprint,
            "data": tracklets.name,
            "tracklets": _digest(listed),
            "protocol": plan.protocol,
            "seed": plan.seed,
            "reranking": None if plan.reranking is None else asdict(plan.reranking),
            "sampling": plan.sampling,
            "flip": plan.flip,
            "precision": plan.precision,
        }

    def read(self, cell: Cell) -> Mapping[str, Any] | None:
        """The evaluation of a cell; None where it was not written, or is damaged."""
        place = self.place(cell)
        if not place.is_file():
            return None
        try:
            found = read_json_of(place, FORMAT, "a stored cell").get("evaluation")
            if isinstance(found, dict):
                return found
            _log.warning("%s: holds no evaluation; it is measured again", place)
        except DataError as error:
            _log.warning("%s; it is measured again", error)
        return None

    def write(self, cell: Cell, evaluation: Mapping[str, Any]) -> None:
        """Keep the evaluation of a cell; the folder is made where there is none.

        Raises:
            OSError: It cannot be written.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        content = {"format": FORMAT, "key": self._key(cell), "evaluation": evaluation}
        replace_text(self.place(cell), json.dumps(content, indent=1) + "\n")

    def place(self, cell: Cell) -> Path:
        """The file of a cell."""
        name, severity = cell
        return self.folder / f"{name}-{severity}-{_digest(json.dumps(self._key(cell), sort_keys=True))}.json"

    def _key(self, cell: Cell) -> dict[str, object]:
        """All that the figures of a cell depend on; clean ones depend on less."""
        if cell == CLEAN:
            return self._shared
        name, severity = cell
        level = self._levels[name][severity - 1]
        own = {"corruption": name, "severity": severity, "level": level, "side": self._plan.side}
        return {**self._shared, **own}


def _digest(text: str) -> str:
    return blake2b(text.encode("utf-8"), digest_size=8).hexdigest()
