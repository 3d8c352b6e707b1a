"""Plan an extraction: from data to shards with keys. Nothing is decoded; files are looked at, not read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from tapetum.data.datasets import DataSet, read_dataset
from tapetum.errors import DataError, ModelMismatchError
from tapetum.ingest.items import Draft, Problem, Source
from tapetum.ingest.plan import Plan
from tapetum.ingest.sources import CROPS, WEBDATASET, open_source, parts_of, tracklets_source
from tapetum.ingest.webdataset import expand_tars
from tapetum.model import TrainedModel
from tapetum.object_storage import is_remote
from tapetum.scale.cutting import Names, cut
from tapetum.scale.plan import PLAN, ExtractionPlan, Recipe, read_plan
from tapetum.scale.shards import Shard, describe, read_description, rows_key, source_files, source_key
from tapetum.scale.stamps import MISSING, FileRule, Stamps, absolute, check_rule, file_stamp
from tapetum.scale.store import Store
from tapetum.types import TrackletSet

if TYPE_CHECKING:
    from tapetum.embed import Precision

SHARD_SIZE = 2048
"""Tracklets of a shard, about: minutes on a processor, seconds on an accelerator, a few megabytes."""

_LOOKING = 16
"""Threads that look at files."""

ReadData = Callable[[str], DataSet]
Progress = Callable[[int], None]
"""Called with the number of tracklets planned so far."""


def recipe_for(
    model: TrainedModel, *, precision: Precision = "32", thumbnails: bool = False, files: FileRule = "stat"
) -> Recipe:
    """How a model's embeddings are made, as the keys of shards name it.

    Raises:
        ValueError: `files` is unknown.
    """
    check_rule(files)
    return Recipe(model.fingerprint, _clips(model).key, precision, thumbnails, files)


def plan_extraction(
    data: Sequence[str],
    model: TrainedModel,
    store: Store,
    *,
    split: str = "test",
    shard_size: int = SHARD_SIZE,
    precision: Precision = "32",
    thumbnails: bool = False,
    files: FileRule = "stat",
    read_data: ReadData = read_dataset,
    progress: Progress | None = None,
) -> ExtractionPlan:
    """Cut data into shards, put the plan into a store, and return it.

    A plan that is there already is replaced; results of shards that are in both stay good. Those who work by
    the former plan are not disturbed: what they need has other names.

    Args:
        data: Addresses, as `tapetum.ingest.open_source` takes them; videos, archives and folders of crops may
            lie in object storage, and the frames that a manifest lists.
        model: Whose fingerprint the keys name.
        store: Where the plan goes.
        split: Of data sets and manifests.
        shard_size: Tracklets of a shard on average; a video or an archive is one shard, however many it has.
        precision: Number type inside the network.
        thumbnails: Keep thumbnails beside the embeddings.
        files: "stat": a picture that is written again makes another key. "names": files are not looked at,
            for storage where that takes too long; changed pictures are not noticed then.
        read_data: Reads data sets.
        progress: Told how far it is.

    Raises:
        ModelMismatchError: The plan that is there is of another model.
        ValueError: An address, or an option, that is none.
        DataError: An identifier occurs twice, or data is not as its format says.
        OSError: A file is missing, or the store cannot be written.
    """
    if not data:
        raise ValueError("no data to plan for: give at least one address")
    recipe = recipe_for(model, precision=precision, thumbnails=thumbnails, files=files)
    _refuse_other_model(store, recipe)
    planner = _Planner(store, recipe, _clips(model), split, shard_size, read_data, progress)
    titles = {planner.add(address): None for address in data}
    planner.refuse_doubles()
    plan = ExtractionPlan(
        name=next(iter(titles)) if len(titles) == 1 else "several",
        data=tuple(data),
        recipe=recipe,
        method=model.name,
        trained_on=model.trained_on,
        shards=tuple(planner.shards),
        problems=tuple(planner.problems),
    )
    plan.save(store)
    return plan


@dataclass(slots=True)
class _Planner:
    """Shards that were planned so far, and how to plan more.

    Attributes:
        shards: All of them.
        listed: Those of rows.
        problems: What cannot be planned for.
        names: Identifiers in `listed`.
        rows: How many.
    """

    store: Store
    recipe: Recipe
    clips: Plan
    split: str
    size: int
    read_data: ReadData
    progress: Progress | None
    shards: list[Shard] = field(default_factory=list)
    listed: list[Shard] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    names: Names = field(default_factory=Names)
    rows: int = 0

    def add(self, address: str) -> str:
        """Plan the shards of one address; returns what its data is called."""
        if parts_of(address) is not None:
            self.shards += [_source_shard(one, self.recipe) for one in _single(address)]
            return address.partition(":")[0]
        source, title = _listed_source(address, self.split, self.read_data)
        with ThreadPoolExecutor(_LOOKING, thread_name_prefix="tapetum-look") as pool:
            for drafts in cut(_drafts(source, self.clips, self.problems), self.size):
                stamps = pool.map(Stamps(self.recipe.files).of, [draft.frames for draft in drafts])
                self._add_rows(drafts, list(stamps))
        return title

    def _add_rows(self, drafts: list[Draft], stamps: list[str]) -> None:
        key = rows_key(self.recipe.text, drafts, stamps)
        shard = Shard(key, "rows", drafts[0].name, len(drafts))
        self.store.write(shard.description, describe(drafts, stamps))
        self.shards.append(shard)
        self.listed.append(shard)
        self.names.add(draft.name for draft in drafts)
        self.rows += len(drafts)
        if self.progress is not None:
            self.progress(self.rows)

    def refuse_doubles(self) -> None:
        """Nothing, or an error where two tracklets have one identifier.

        Raises:
            DataError: They have; it is named.
        """
        names = [self._name(*place) for place in self.names.twice() or ()]
        if names and names[0] == names[1]:
            raise DataError(f"the identifier {names[0]!r} occurs twice in the data; expected different ones")

    def _name(self, piece: int, place: int) -> str:
        shard = self.listed[piece]
        drafts, _ = read_description(self.store.read(shard.description), self.store.where(shard.description))
        return drafts[place].name


def _clips(model: TrainedModel) -> Plan:
    return Plan(model.preprocessing, model.sampling)


def _listed_source(address: str, split: str, read_data: ReadData) -> tuple[Source, str]:
    """A source whose tracklets are listed here, and what its data is called."""
    if address.startswith(f"{CROPS}:"):
        return open_source(address), CROPS
    tracklets: TrackletSet = read_data(address).split(split)
    return tracklets_source(tracklets.name, tracklets), tracklets.name


def _drafts(source: Source, clips: Plan, problems: list[Problem]) -> Iterator[Draft]:
    """The tracklets of a source with absolute paths; those that no table can hold become problems."""
    for group in source.groups(clips):
        problems.extend(group.problems)
        for draft in group.drafts:
            placed = replace(draft, frames=absolute(draft.frames))
            if _is_text(placed):
                yield placed
            else:
                name = placed.name.encode("utf-8", "backslashreplace").decode()
                problems.append(Problem(name, "failed", "its name or a path of it is no UTF-8 text"))


def _is_text(draft: Draft) -> bool:
    try:
        "".join((draft.name, *draft.frames)).encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _single(address: str) -> Iterator[str]:
    """An address for each file that is read as a whole, with absolute paths."""
    parts = parts_of(address)
    assert parts is not None
    kind, path, options = parts
    options.update({name: absolute([options[name]])[0] for name in ("tracks",) if name in options})
    rest = "&".join(f"{name}={value}" for name, value in options.items())
    for file in expand_tars(path) if kind == WEBDATASET else [path]:
        yield f"{kind}:{absolute([file])[0]}" + (f"?{rest}" if rest else "")


def _source_shard(address: str, recipe: Recipe) -> Shard:
    """The shard of a video or an archive.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: A video without tracks, or with tracks somewhere else than itself.
    """
    parts = parts_of(address)
    assert parts is not None
    kind, path, options = parts
    if kind != WEBDATASET and "tracks" not in options:
        raise ValueError(f"{address}: a video needs its tracks: video:FILE?tracks=TRACKS.txt")
    files = source_files(address)
    if len({is_remote(file) for file in files}) > 1:
        raise ValueError(f"{address}: a video and its tracks must both be in object storage, or neither")
    for file in files:
        if file_stamp(file) == MISSING:
            raise FileNotFoundError(f"{file}: no such file")
    return Shard(source_key(recipe.text, address, recipe.files), "source", path, address=address)


def _refuse_other_model(store: Store, recipe: Recipe) -> None:
    if not store.has(PLAN):
        return
    known = read_plan(store).recipe
    if known.model != recipe.model:
        raise ModelMismatchError(
            f"{store.where(PLAN)}: is of model {known.model}, not of {recipe.model}; choose another place"
        )
