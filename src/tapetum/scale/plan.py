"""What is to be embedded, by which model and how, cut into shards: `plan.json` of an extraction."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tapetum.errors import DataError
from tapetum.ingest.items import Problem
from tapetum.json_files import json_of
from tapetum.scale.shards import Shard
from tapetum.scale.stamps import FileRule
from tapetum.scale.store import Store

if TYPE_CHECKING:
    from tapetum.embed import Precision

FORMAT = "tapetum-extraction"
FORMAT_VERSION = 1
PLAN = "plan.json"


@dataclass(frozen=True, slots=True)
class Recipe:
    """What decides an embedding besides the pictures; part of the key of every shard.

    Attributes:
        model: Fingerprint of the model.
        clips: How tracklets become clips; see `tapetum.ingest.plan.Plan.key`.
        precision: Number type inside the network.
        thumbnails: Whether thumbnails are kept.
        files: What of files counts.
    """

    model: str
    clips: str
    precision: Precision = "32"
    thumbnails: bool = False
    files: FileRule = "stat"

    @property
    def text(self) -> str:
        """All of it in one text."""
        return json.dumps([FORMAT_VERSION, *self.to_json().values()])

    def to_json(self) -> dict[str, Any]:
        """What the plan keeps of it."""
        return {
            "model": self.model,
            "clips": self.clips,
            "precision": self.precision,
            "thumbnails": self.thumbnails,
            "files": self.files,
        }


@dataclass(frozen=True, slots=True)
class ExtractionPlan:
    """What is to be embedded.

    Attributes:
        name: Of the data, such as "regdb/test".
        data: Addresses that it was planned from.
        recipe: How.
        method: Name of the model's method.
        trained_on: Title of the data set that the model was trained on; "" where unknown.
        shards: In the order of the tracklets.
        problems: What was found wrong before anything was read.
    """

    name: str
    data: tuple[str, ...]
    recipe: Recipe
    method: str
    trained_on: str
    shards: tuple[Shard, ...]
    problems: tuple[Problem, ...] = ()

    @property
    def rows(self) -> int:
        """Tracklets that are known; those of videos and archives are not."""
        return sum(shard.rows or 0 for shard in self.shards)

    def part(self, rank: int, world: int) -> tuple[Shard, ...]:
        """The shards of one of `world` workers that do not know of each other: every `world`-th.

        Raises:
            ValueError: `rank` is not in 0..world-1.
        """
        if not 0 <= rank < world:
            raise ValueError(f"worker {rank} of {world}; expected 0 to {world - 1}")
        return self.shards[rank::world]

    def save(self, store: Store) -> None:
        """Put the plan into a store, whole or not at all.

        Raises:
            OSError: It could not be written.
        """
        content = self._to_json()
        content["digest"] = _digest(content)
        store.write(PLAN, (json.dumps(content, indent=1) + "\n").encode("utf-8"))

    def _to_json(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "name": self.name,
            "data": list(self.data),
            "recipe": self.recipe.to_json(),
            "method": self.method,
            "trained_on": self.trained_on,
            "shards": [shard.to_json() for shard in self.shards],
            "problems": [[p.item, p.kind, p.reason] for p in self.problems],
        }


def read_plan(store: Store) -> ExtractionPlan:
    """The plan in a store.

    Raises:
        FileNotFoundError: There is none.
        DataError: It is of another version, or was changed by hand.
    """
    where = store.where(PLAN)
    try:
        text = store.read(PLAN)
    except FileNotFoundError:
        raise FileNotFoundError(f"{where}: no such file; plan first: tapetum extract --data ...") from None
    content = json_of(text, FORMAT, where, "the plan of an extraction")
    version, digest = content.get("format_version"), content.pop("digest", None)
    if version != FORMAT_VERSION:
        raise DataError(f"{where}: format version {version!r}; this version reads {FORMAT_VERSION}")
    if digest != _digest(content):
        raise DataError(f"{where}: was changed after it was written; plan again")
    return ExtractionPlan(
        name=content["name"],
        data=tuple(content["data"]),
        recipe=Recipe(**content["recipe"]),
        method=content["method"],
        trained_on=content["trained_on"],
        shards=tuple(Shard(**shard) for shard in content["shards"]),
        problems=tuple(Problem(*problem) for problem in content["problems"]),
    )


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode("ascii")).hexdigest()
