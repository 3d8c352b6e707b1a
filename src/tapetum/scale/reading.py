"""The tracklets of a shard, read: from files that are as they were when they were planned for."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from tapetum.data.containers import Reference, close_container
from tapetum.errors import DataError
from tapetum.ingest.digests import digest_of
from tapetum.ingest.items import Draft, Event, Group, Problem, Reading, Source
from tapetum.ingest.picture_files import in_groups
from tapetum.ingest.plan import Plan
from tapetum.ingest.sources import open_source, parts_of
from tapetum.object_storage import RemoteAddress, copy_to, is_remote
from tapetum.scale.plan import Recipe
from tapetum.scale.shards import Shard, read_description, rows_key, source_key
from tapetum.scale.stamps import FileRule, Stamps
from tapetum.scale.store import Store


@dataclass(frozen=True, slots=True)
class OpenShard:
    """A shard whose tracklets can be read.

    Attributes:
        source: Its tracklets.
        local: Where its file was copied to, and where it lies in truth; None where it is read in its place.
        check: Raises an error where files have changed or vanished since they were planned for.
    """

    source: Source
    local: tuple[str, str] | None
    check: Callable[[Sequence[str]], None]


@contextmanager
def opened(shard: Shard, recipe: Recipe, store: Store) -> Iterator[OpenShard]:
    """A shard, its files as they were planned for; a file in object storage is copied to this machine.

    Raises:
        FileNotFoundError: The list of its tracklets, or its file, is missing.
        DataError: The list was changed, or the files have changed since.
        OSError: Object storage does not answer, or there is no place for the copy.
    """
    if shard.kind == "rows":
        yield _opened_rows(shard, recipe, store)
        return

    def check(names: Sequence[str]) -> None:
        if source_key(recipe.text, shard.address, recipe.files) != shard.key:
            raise DataError(f"{shard.title}: has changed or vanished since it was planned for; plan again")

    check(())
    parts = parts_of(shard.address)
    assert parts is not None
    if not is_remote(parts[1]):
        yield OpenShard(open_source(shard.address), None, check)
        return
    with TemporaryDirectory(prefix="tapetum-shard-") as folder:
        address, copy = _copied(*parts, Path(folder).resolve())
        try:
            yield OpenShard(open_source(address), (str(copy), parts[1]), check)
        finally:
            close_container(str(copy))


def events(found: OpenShard, key: str, plan: Plan, threads: int) -> Generator[Event, None, None]:
    """What becomes of each tracklet of a shard, in an order that depends on the shard alone."""
    with ThreadPoolExecutor(threads, thread_name_prefix="tapetum-read") as pool:
        try:
            for group in found.source.groups(plan):
                yield from (_restored(problem, found.local) for problem in group.problems)
                contents = _contents(found, group, key, pool)
                for event in group.read(range(len(group.drafts)), contents, pool):
                    yield _restored(event, found.local)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _contents(found: OpenShard, group: Group, key: str, pool: ThreadPoolExecutor) -> list[str]:
    """As ingest makes them; of a copy, whose own path and age mean nothing, by the shard's key."""
    if found.local is None:
        return group.contents(pool)
    return [digest_of(key, draft.name.removeprefix(found.local[0])) for draft in group.drafts]


def _opened_rows(shard: Shard, recipe: Recipe, store: Store) -> OpenShard:
    where = store.where(shard.description)
    drafts, stamps = read_description(store.read(shard.description), where)
    if rows_key(recipe.text, drafts, stamps) != shard.key:
        raise DataError(f"{where}: was changed after it was planned; plan again")
    planned = dict(zip([draft.name for draft in drafts], stamps, strict=True))
    known = {draft.name: draft for draft in drafts}

    def check(names: Sequence[str]) -> None:
        _refuse_changed([known[name] for name in names if name in known], planned, recipe.files)

    check([draft.name for draft in drafts])

    def groups(plan: Plan) -> Iterator[Group]:
        return in_groups(drafts, plan)

    return OpenShard(Source(shard.title, groups, len(drafts)), None, check)


def _refuse_changed(drafts: Sequence[Draft], planned: dict[str, str], rule: FileRule) -> None:
    stamps = Stamps(rule)
    with ThreadPoolExecutor(8, thread_name_prefix="tapetum-look") as pool:
        now = pool.map(stamps.of, [draft.frames for draft in drafts])
        changed = [draft for draft, stamp in zip(drafts, now, strict=True) if stamp != planned[draft.name]]
    if changed:
        first = changed[0]
        shown = Reference.parse(first.frames[0]) if first.frames else None
        file = shown.container if shown else (first.frames or ("no frames",))[0]
        raise DataError(
            f"files of {len(changed)} tracklets have changed or vanished since they were planned for, the "
            f"first of {first.name} ({file}); plan again"
        )


def _copied(kind: str, path: str, options: dict[str, str], folder: Path) -> tuple[str, Path]:
    """The address of a copy of a source's files in a folder, and the copy of the file itself."""
    copy = copy_to(path, folder / _file_name(path))
    here = dict(options)
    if "tracks" in here:
        tracks = folder / "tracks"
        tracks.mkdir()
        here["tracks"] = str(copy_to(here["tracks"], tracks / _file_name(here["tracks"])))
    rest = "&".join(f"{name}={value}" for name, value in here.items())
    return f"{kind}:{copy}" + (f"?{rest}" if rest else ""), copy


def _file_name(address: str) -> str:
    return os.path.basename(RemoteAddress.parse(address).path)  # noqa: PTH119 (no path of this machine)


def _restored(event: Event, local: tuple[str, str] | None) -> Event:
    """An event that names the file where it lies in truth."""
    if local is None:
        return event
    copy, truth = local

    def restored(text: str) -> str:
        return truth + text.removeprefix(copy) if text.startswith(copy) else text

    if isinstance(event, Problem):
        return Problem(restored(event.item), event.kind, event.reason.replace(copy, truth))
    if isinstance(event, Reading):
        tracklets = tuple(
            replace(t, tracklet_id=restored(t.tracklet_id), frames=tuple(map(restored, t.frames)))
            for t in event.tracklets
        )
        return replace(
            event, name=restored(event.name), tracklets=tracklets, note=event.note.replace(copy, truth)
        )
    return event
