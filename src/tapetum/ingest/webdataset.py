"""Tar archives in WebDataset's manner: files of one sample share their name up to its first dot.

`KEY.jpg` is a frame, `KEY.000.jpg`, `KEY.001.jpg` are several; `KEY.json` says who, where and when. A sample
is a tracklet, unless its JSON names one: then the samples that name the same, one after the other, are it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from glob import glob
from itertools import groupby, product
from pathlib import Path
from typing import Any

from tapetum.data.containers import SEPARATOR
from tapetum.data.datasets._manifest_values import read_modality, read_time
from tapetum.data.pictures import is_image, natural_key
from tapetum.data.tar_files import TAR_ENDING, TarFile
from tapetum.errors import DataError
from tapetum.ingest.items import Draft, Group, Problem, Source
from tapetum.ingest.picture_files import PictureGroup, in_groups
from tapetum.ingest.plan import Plan
from tapetum.object_storage import is_remote, remote_files
from tapetum.types import Id, Modality

_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")
_WILD = re.compile(r"[*\[]")


def webdataset_source(
    tars: Sequence[Path],
    *,
    modality: Modality | None = None,
    camera: Id | None = None,
    name: str | None = None,
) -> Source:
    """The tracklets in some archives.

    Args:
        tars: The archives.
        modality: How all were seen where their JSON does not say; None: decided from the pixels.
        camera: Which camera saw all where their JSON does not say; None: unknown.
        name: What identifiers start with, before the archive's name without its ending and the sample's key;
            None: the archive's path, and the key.

    Raises:
        FileNotFoundError: An archive is missing.
    """
    for tar in tars:
        if not tar.is_file():
            raise FileNotFoundError(f"{tar}: no such file")

    def groups(plan: Plan) -> Iterator[Group]:
        for tar in tars:
            place = tar.resolve()
            start = f"{name}/{tar.stem}" if name else str(place)
            common = Draft(start, (), modality, camera_id=camera)
            drafts, problems = _look_into(place, common)
            if problems:
                yield PictureGroup((), plan, problems)
            yield from in_groups(drafts, plan)

    return Source(f"webdataset:{tars[0].resolve() if len(tars) == 1 else len(tars)}", groups)


def expand_tars(pattern: str) -> list[str]:
    """The archives that a pattern names: {000..011} and {a,b} as in a shell, then *.

    >>> expand_tars("day-{08..10}.tar")
    ['day-08.tar', 'day-09.tar', 'day-10.tar']

    Raises:
        DataError: The pattern has a * and there is no such file, or a name does not end in .tar.
    """
    found: list[str] = []
    for text in [pattern] if Path(pattern).is_file() else _without_braces(pattern):
        if not _WILD.search(text) or Path(text).is_file():
            found.append(text)
        elif is_remote(text):
            head = text[: _WILD.search(text).start()].rpartition("/")[0]  # type: ignore[union-attr]
            found += [file.address for file in remote_files(head) if fnmatch(file.address, text)]
        else:
            found += sorted(glob(text), key=natural_key)  # noqa: PTH207 (a text that may be absolute)
    if not found:
        raise DataError(f"{pattern}: no such files")
    for tar in found:
        if not tar.endswith(TAR_ENDING):
            raise DataError(
                f"{tar}: expected a name ending in {TAR_ENDING}; compressed archives are not read"
            )
    return found


def _without_braces(pattern: str) -> list[str]:
    parts = _BRACES.split(pattern)
    choices = [[part] if place % 2 == 0 else _choices(part) for place, part in enumerate(parts)]
    return ["".join(chosen) for chosen in product(*choices)]


def _choices(inside: str) -> list[str]:
    found = _RANGE.fullmatch(inside)
    if found is None:
        return inside.split(",")
    first, last = found.groups()
    return [f"{number:0{len(first)}}" for number in range(int(first), int(last) + 1)]


@dataclass(frozen=True, slots=True)
class _Sample:
    """Files of one key: pictures in their order, and what the JSON says."""

    key: str
    frames: tuple[str, ...]
    facts: Mapping[str, Any]


def _look_into(tar: Path, common: Draft) -> tuple[list[Draft], list[Problem]]:
    """The tracklets of an archive, and what is wrong with it."""
    try:
        archive = TarFile(tar)
    except DataError as error:
        return [], [Problem(common.name, "failed", str(error))]
    problems = [Problem(common.name, "partly", f"{tar}: {archive.damage}")] if archive.damage else []
    drafts: list[Draft] = []
    named = ""
    for key, names in groupby(archive.names(), _key):
        try:
            sample = _sample(archive, key, list(names))
            if not sample.frames:
                continue
            draft = _draft(tar, sample, common)
        except DataError as error:
            problems.append(Problem(f"{common.name}/{key}", "failed", str(error)))
            continue
        following = str(sample.facts.get("tracklet_id") or "")
        if following and following == named:
            former = drafts.pop()
            draft = replace(former, frames=(*former.frames, *draft.frames))
        drafts.append(draft)
        named = following
    return drafts, problems


def _key(name: str) -> str:
    """The name of a member up to the first dot of its last part.

    >>> _key("day/0012.000.jpg")
    'day/0012'
    """
    folder, slash, file = name.rpartition("/")
    return folder + slash + file.partition(".")[0]


def _sample(archive: TarFile, key: str, names: Sequence[str]) -> _Sample:
    frames = sorted((name for name in names if is_image(name.rpartition("/")[2])), key=natural_key)
    facts: Any = {}
    for name in names:
        if name.lower() == f"{key}.json".lower():
            try:
                facts = json.loads(archive.read(name))
            except (ValueError, UnicodeDecodeError) as error:
                raise DataError(f"{name}: not JSON: {error}") from None
            if not isinstance(facts, dict):
                raise DataError(f"{name}: expected a JSON object")
    return _Sample(key, tuple(frames), facts)


def _draft(tar: Path, sample: _Sample, common: Draft) -> Draft:
    said = sample.facts
    try:
        seen = read_modality(str(said.get("modality") or ""))
        time = _time(said.get("time"))
    except ValueError as error:
        raise DataError(f"{sample.key}.json: {error}") from None
    camera = _identifier(sample, "camera_id")
    return replace(
        common,
        name=str(said.get("tracklet_id") or f"{common.name}/{sample.key}"),
        frames=tuple(f"{tar}{SEPARATOR}{frame}" for frame in sample.frames),
        modality=seen or common.modality,
        person_id=_identifier(sample, "person_id"),
        camera_id=common.camera_id if camera is None else camera,
        time=time,
        part=str(said.get("part") or common.part),
    )


def _identifier(sample: _Sample, name: str) -> Id | None:
    found = sample.facts.get(name)
    if found is None or found == "":
        return None
    if isinstance(found, bool) or not isinstance(found, int | str):
        raise DataError(f"{sample.key}.json: {name} is {found!r}; expected a whole number or a text")
    return found


def _time(found: Any) -> float | None:
    if isinstance(found, int | float) and not isinstance(found, bool):
        if not math.isfinite(found):
            raise ValueError(f"time is {found}; expected seconds or a date")
        return float(found)
    time = read_time(str(found or ""))
    return None if time is None else time[0]
