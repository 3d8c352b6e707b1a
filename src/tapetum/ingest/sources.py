"""Sources by their addresses: FORMAT:ROOT, manifest:FILE, crops:FOLDER, video:FILE and webdataset:FILES."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from tapetum.data.datasets import read_dataset
from tapetum.data.datasets._manifest_values import read_ids, read_modality, read_time
from tapetum.ingest.crops import crops_source
from tapetum.ingest.items import Draft, Group, Source
from tapetum.ingest.picture_files import in_groups
from tapetum.ingest.plan import Plan
from tapetum.ingest.video import Limits, video_source
from tapetum.ingest.webdataset import expand_tars, webdataset_source
from tapetum.registry import unknown
from tapetum.types import Id, Modality, Tracklet

CROPS, VIDEO, WEBDATASET = "crops", "video", "webdataset"
_CROPS_OPTIONS = ("pattern", "modality", "camera", "name")
_VIDEO_OPTIONS = (
    "tracks",
    "camera",
    "modality",
    "start",
    "name",
    "min_width",
    "min_height",
    "min_frames",
)
_TAR_OPTIONS = ("modality", "camera", "name")


def open_source(address: str, *, split: str = "test") -> Source:
    """The source at an address.

    Args:
        address: "FORMAT:ROOT" or "manifest:FILE" as `read_dataset` takes them; "crops:FOLDER" with the
            options pattern, modality, camera and name (see `crops_source`); "video:FILE?tracks=FILE" with
            camera, modality, start, name, min_width, min_height and min_frames (see `video_source`; a start
            is seconds or a date); "webdataset:FILES" with modality, camera and name (see `webdataset_source`
            and `expand_tars`). Options stand behind a question mark, parted by "&". Folders of crops may be
            addresses in object storage.
        split: Of data sets and manifests: train, query, gallery or test.

    Raises:
        ValueError: No such form or option, or a value that an option cannot have.
        OSError: A file or folder is missing.
        DataError: A file is not as its format says, or nothing can be indexed of it.
    """
    kind, colon, place = address.partition(":")
    if colon and place and kind == CROPS:
        path, options = _parse(address, place, _CROPS_OPTIONS)
        return crops_source(
            path,
            pattern=options.get("pattern"),
            modality=_modality(address, options),
            camera=_camera(options),
            name=options.get("name"),
        )
    if colon and place and kind == VIDEO:
        return _video(address, *_parse(address, place, _VIDEO_OPTIONS))
    if colon and place and kind == WEBDATASET:
        path, options = _parse(address, place, _TAR_OPTIONS)
        return webdataset_source(
            [Path(tar) for tar in expand_tars(path)],
            modality=_modality(address, options),
            camera=_camera(options),
            name=options.get("name"),
        )
    found = read_dataset(address)
    return tracklets_source(f"{found.title}:{found.root.resolve()}", found.split(split))


def tracklets_source(title: str, tracklets: Sequence[Tracklet]) -> Source:
    """A source of tracklets that are known already, with their modalities.

    Args:
        title: Names it in the table of failures.
        tracklets: What to index.
    """

    def drafts() -> Iterator[Draft]:
        for t in tracklets:
            yield Draft(t.tracklet_id, t.frames, t.modality, t.person_id, t.camera_id, t.time, t.part)

    def groups(plan: Plan) -> Iterator[Group]:
        return in_groups(drafts(), plan)

    return Source(title, groups, len(tracklets))


def _video(address: str, path: str, options: dict[str, str]) -> Source:
    if "tracks" not in options:
        raise ValueError(f"{address}: a video needs its tracks: video:FILE?tracks=TRACKS.txt")
    try:
        start = read_time(options.get("start", ""))
    except ValueError as error:
        raise ValueError(f"{address}: start: {error}") from None
    least = {name: _whole(address, options, name) for name in ("width", "height", "frames")}
    return video_source(
        Path(path),
        Path(options["tracks"]),
        modality=_modality(address, options),
        camera=_camera(options),
        start=None if start is None else start[0],
        name=options.get("name"),
        limits=Limits(**{name: value for name, value in least.items() if value is not None}),
    )


def _parse(address: str, place: str, known: Sequence[str]) -> tuple[str, dict[str, str]]:
    """Path and options of an address; what follows a question mark belongs to a path that exists so."""
    path, _, text = place.partition("?")
    if Path(place).exists():
        path, text = place, ""
    options: dict[str, str] = {}
    for part in filter(None, text.split("&")):
        name, equals, value = part.partition("=")
        if not (equals and value):
            raise ValueError(f"{address}: option {part!r} is not of the form name=value")
        if name not in known:
            raise ValueError(f"{address}: {unknown('option', name, list(known))}")
        options[name] = value
    return path, options


def _modality(address: str, options: dict[str, str]) -> Modality | None:
    try:
        return read_modality(options.get("modality", ""))
    except ValueError as error:
        raise ValueError(f"{address}: {error}") from None


def _camera(options: dict[str, str]) -> Id | None:
    return read_ids([options.get("camera", "")])[0][0]


def _whole(address: str, options: dict[str, str], name: str) -> int | None:
    text = options.get(f"min_{name}")
    if text is None:
        return None
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"{address}: min_{name} is {text!r}; expected a whole number from 1 on")
    return int(text)


def parts_of(address: str) -> tuple[str, str, dict[str, str]] | None:
    """Kind, path and options of an address of one file that is read as a whole: a video or tar archives.

    None for an address of another kind.

    >>> parts_of("video:/d/gate.mp4?tracks=/d/gate.txt&camera=3")
    ('video', '/d/gate.mp4', {'tracks': '/d/gate.txt', 'camera': '3'})
    >>> parts_of("crops:/d/night")

    Raises:
        ValueError: An option is unknown, or of another form.
    """
    kind, _, place = address.partition(":")
    known = {VIDEO: _VIDEO_OPTIONS, WEBDATASET: _TAR_OPTIONS}.get(kind)
    return None if known is None or not place else (kind, *_parse(address, place, known))
