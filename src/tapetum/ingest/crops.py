"""Folders of crops that no data set describes: a folder is a tracklet, or a pattern says what paths mean."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tapetum.data.datasets._manifest_values import read_ids, read_modality, read_time
from tapetum.data.path_patterns import PathPattern
from tapetum.data.pictures import files_below, is_image, natural_key
from tapetum.errors import DataError
from tapetum.ingest.items import Draft, Group, Source
from tapetum.ingest.picture_files import in_groups
from tapetum.ingest.plan import Plan
from tapetum.object_storage import RemoteAddress, is_remote, remote_files
from tapetum.types import Id, Modality

FIELDS = ("person_id", "modality", "camera_id", "tracklet_id", "frame", "time")
"""What a pattern may name."""

_KEY = ("person_id", "modality", "camera_id", "tracklet_id")


def crops_source(
    folder: Path | str,
    *,
    pattern: str | None = None,
    modality: Modality | None = None,
    camera: Id | None = None,
    name: str | None = None,
) -> Source:
    """The tracklets in a folder of pictures.

    Without a pattern each folder below that holds pictures is a tracklet, and so is each picture that lies in
    `folder` itself. With one, pictures that agree in folder and in all fields but `frame` and `time` are a
    tracklet; with `{tracklet_id}`, whatever their folders.

    Args:
        folder: Where the pictures are, at any depth; may be an address in object storage, s3://BUCKET/PREFIX.
        pattern: Of their paths in it, such as "{person_id}/{camera_id}/*.jpg"; see `PathPattern.compile`.
        modality: How all were seen; None: as the pattern says, else decided from the pixels.
        camera: Which camera saw all; None: as the pattern says, else unknown.
        name: What identifiers start with; None: the folder's path.

    Raises:
        NotADirectoryError: `folder` is none.
        ValueError: The pattern cannot be used.
        DataError: No picture is there, or none is of the pattern.
    """
    if is_remote(str(folder)):
        common = Draft(name or str(folder), (), modality, camera_id=camera)
        return _remote_source(str(folder), pattern, common)
    place = Path(folder).resolve()
    if not place.is_dir():
        raise NotADirectoryError(f"{folder}: no such folder")
    common = Draft(name or str(place), (), modality, camera_id=camera)
    if pattern is not None:
        drafts = _of_pattern(str(place), files_below(place), pattern, common)
        return Source(f"crops:{place}", lambda plan: in_groups(drafts, plan), len(drafts))
    if next(_of_folders(place, common), None) is None:
        raise DataError(f"{folder}: no pictures in it")

    def groups(plan: Plan) -> Iterator[Group]:
        return in_groups(_of_folders(place, common), plan)

    return Source(f"crops:{place}", groups)


def _remote_source(address: str, pattern: str | None, common: Draft) -> Source:
    """The tracklets of the pictures below an address in object storage."""
    base = f"s3://{RemoteAddress.parse(address).path}"
    names = [file.address[len(base) + 1 :] for file in remote_files(base)]
    paths = sorted((n for n in names if is_image(n.rpartition("/")[2])), key=natural_key)
    if not paths:
        raise DataError(f"{address}: no pictures below it")
    if pattern is not None:
        drafts = _of_pattern(base, paths, pattern, common)
    else:
        drafts = list(_of_prefixes(base, paths, common))
    return Source(f"crops:{base}", lambda plan: in_groups(drafts, plan), len(drafts))


def _of_prefixes(base: str, paths: Sequence[str], common: Draft) -> Iterator[Draft]:
    """As `_of_folders`, of keys in object storage."""
    folders: dict[str, list[str]] = {}
    for path in paths:
        folder, _, name = path.rpartition("/")
        folders.setdefault(folder or name, []).append(f"{base}/{path}")
    for folder, frames in folders.items():
        yield replace(common, name=f"{common.name}/{folder}", frames=tuple(frames))


def _of_folders(folder: Path, common: Draft) -> Iterator[Draft]:
    """A draft for each picture of the folder, then one for each folder below, as they are come upon."""
    for path, names in _pictures(folder, ""):
        if path:
            frames = tuple(f"{folder}/{path}/{name}" for name in names)
            yield replace(common, name=f"{common.name}/{path}", frames=frames)
        else:
            yield from (
                replace(common, name=f"{common.name}/{name}", frames=(f"{folder}/{name}",)) for name in names
            )


def _pictures(folder: Path, path: str) -> Iterator[tuple[str, list[str]]]:
    """Folders at `path` and below that hold pictures, with the names of these, in natural order.

    Hidden folders, and links to folders (which may lead in a circle), are passed over.
    """
    with os.scandir(folder / path) as entries:
        listed = sorted(entries, key=lambda entry: natural_key(entry.name))
    names = [entry.name for entry in listed if is_image(entry.name) and entry.is_file()]
    if names:
        yield path, names
    for entry in listed:
        if entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."):
            yield from _pictures(folder, f"{path}/{entry.name}" if path else entry.name)


def _of_pattern(folder: str, paths: Sequence[str], pattern_text: str, common: Draft) -> list[Draft]:
    """The tracklets that paths in a folder describe, in natural order of their first pictures.

    Raises:
        ValueError: The pattern cannot be used.
        DataError: No picture is of the pattern, or a path says what cannot be.
    """
    pattern = PathPattern.compile(pattern_text, FIELDS)
    groups: dict[tuple[str, ...], list[tuple[str, dict[str, str]]]] = {}
    pictures = [path for path in paths if is_image(path.rpartition("/")[2])]
    for path in pictures:
        found = pattern.match(path)
        if found is not None:
            parts = tuple(found[field] for field in _KEY if field in found)
            home = () if "tracklet_id" in found else (path.rpartition("/")[0],)
            groups.setdefault((*home, *parts), []).append((path, found))
    if not groups:
        raise DataError(
            f"{folder}: none of {len(pictures)} pictures is of the pattern {pattern.text!r}"
            + (f"; the first is {pictures[0]!r}" if pictures else "")
        )
    people, cameras = (
        _identifiers(group[0][1].get(field) for group in groups.values())
        for field in ("person_id", "camera_id")
    )
    in_name = {field for field in pattern.fields if f"{{{field}}}" in pattern.text.rpartition("/")[2]}
    drafts = [_draft(folder, group, common, people, cameras) for group in groups.values()]
    names = [_name(group[0], in_name) for group in groups.values()]
    return [replace(draft, name=f"{common.name}/{name}") for draft, name in zip(drafts, names, strict=True)]


def _identifiers(texts: Iterator[str | None]) -> Mapping[str, Id | None]:
    """What each text is as an identifier: an integer where all of them are."""
    known = list(dict.fromkeys(text or "" for text in texts))
    return dict(zip(known, read_ids(known)[0], strict=True))


def _name(first: tuple[str, dict[str, str]], in_name: Collection[str]) -> str:
    """What tells a tracklet from others: its folder and what the names of its files say, or all it is called.

    Args:
        first: Path and fields of its first picture.
        in_name: Fields that stand in the names of files.
    """
    path, said = first
    named = "tracklet_id" in said
    parts = [said[field] for field in _KEY if field in said and (named or field in in_name)]
    return "/".join(parts if named else filter(None, [path.rpartition("/")[0], *parts]))


def _draft(
    folder: str,
    group: list[tuple[str, dict[str, str]]],
    common: Draft,
    people: Mapping[str, Id | None],
    cameras: Mapping[str, Id | None],
) -> Draft:
    if "frame" in group[0][1]:
        group = sorted(group, key=lambda item: natural_key(item[1]["frame"]))
    path, said = group[0]
    try:
        seen = read_modality(said.get("modality", ""))
        time = read_time(said.get("time", ""))
    except ValueError as error:
        raise DataError(f"{folder}/{path}: {error}") from None
    camera = cameras[said.get("camera_id", "")]
    return replace(
        common,
        frames=tuple(f"{folder}/{place}" for place, _ in group),
        modality=seen or common.modality,
        person_id=people[said.get("person_id", "")],
        camera_id=common.camera_id if camera is None else camera,
        time=None if time is None else time[0],
    )
