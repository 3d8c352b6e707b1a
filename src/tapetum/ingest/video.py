"""A video with tracks: decoded once, in order; of each frame only the boxes that are needed are kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import overload

from tapetum.data.containers import SEPARATOR
from tapetum.data.video_files import Box, Pixels, VideoFile, video_entry
from tapetum.errors import DataError
from tapetum.ingest.digests import digest_of, file_digest
from tapetum.ingest.gathering import Gathering
from tapetum.ingest.items import Draft, Group, Problem, Reading, Source
from tapetum.ingest.mot_tracks import TrackedBox, Tracks, read_tracks
from tapetum.ingest.plan import Plan
from tapetum.types import Id, Modality


@dataclass(frozen=True, slots=True)
class Limits:
    """Which boxes and tracks are worth a place in a gallery.

    Attributes:
        width: Least width in pixels of what of a box is inside the picture.
        height: Least height.
        frames: Least number of such boxes of a track.
    """

    width: int = 8
    height: int = 16
    frames: int = 5


def video_source(
    video: Path,
    tracks: Path,
    *,
    modality: Modality | None = None,
    camera: Id | None = None,
    start: float | None = None,
    name: str | None = None,
    limits: Limits | None = None,
) -> Source:
    """The tracks of a video.

    Args:
        video: A file that FFmpeg reads.
        tracks: Its tracks, see `mot_tracks`.
        modality: How the camera saw; None: decided from the pixels of each track.
        camera: Which camera it was; None: unknown.
        start: When the first frame was taken, in seconds; None: unknown.
        name: What identifiers start with, before "#" and the track's number; None: the video's path.
        limits: Which boxes and tracks are left out.

    Raises:
        FileNotFoundError: One of the files is missing.
        DataError: The file of tracks has no track in it.
    """
    if not video.is_file():
        raise FileNotFoundError(f"{video}: no such file")
    place = video.resolve()
    found = read_tracks(tracks)
    common = Draft(name or str(place), (), modality, camera_id=camera, time=start, keeps_all=False)

    def groups(plan: Plan) -> Iterator[Group]:
        bad_lines = [
            Problem(f"{tracks.resolve()}, line {number}", "failed", reason)
            for number, reason in found.bad_lines
        ]
        try:
            opened = VideoFile(place).indexed()
        except DataError as error:
            yield _Unreadable([*bad_lines, Problem(str(place), "failed", _without(str(place), error))])
        else:
            yield VideoGroup(opened, found, common, limits or Limits(), plan, bad_lines)

    return Source(f"video:{place}", groups, len(found.boxes))


class BoxFrames(Sequence[str]):
    """References to the boxes of a track inside a video, made when they are asked for."""

    __slots__ = ("boxes", "numbers", "video")

    def __init__(self, video: str, numbers: Sequence[int], boxes: Sequence[Box]) -> None:
        """References to one box of each of these frames."""
        self.video, self.numbers, self.boxes = video, numbers, boxes

    def __len__(self) -> int:
        return len(self.numbers)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> BoxFrames: ...
    def __getitem__(self, index: int | slice) -> str | BoxFrames:
        if isinstance(index, slice):
            return BoxFrames(self.video, self.numbers[index], self.boxes[index])
        return f"{self.video}{SEPARATOR}{video_entry(self.numbers[index], self.boxes[index])}"


@dataclass(frozen=True, slots=True)
class _Track:
    """A track that is worth a place: its boxes inside the picture, and what was left out of it."""

    draft: Draft
    frames: BoxFrames
    left_out: str


@dataclass(frozen=True, slots=True)
class _Unreadable:
    """A video of which nothing can be read."""

    problems: Sequence[Problem]
    drafts: Sequence[Draft] = ()

    def contents(self, pool: ThreadPoolExecutor) -> list[str]:
        return []

    def read(
        self, chosen: Sequence[int], contents: Sequence[str], pool: ThreadPoolExecutor
    ) -> Iterator[Reading | Problem]:
        return iter(())


class VideoGroup:
    """The tracks of one video, read in one pass over it."""

    def __init__(
        self,
        video: VideoFile,
        tracks: Tracks,
        common: Draft,
        limits: Limits,
        plan: Plan,
        problems: Sequence[Problem] = (),
    ) -> None:
        """Sort out which tracks are worth a place.

        Args:
            video: The opened video.
            tracks: Its tracks.
            common: What all drafts have in common; its name is what theirs start with, its time that of the
                first frame.
            limits: Which boxes and tracks are left out.
            plan: Which frames are read.
            problems: What was found wrong already.
        """
        self._video, self._plan = video, plan
        self._tracks: list[_Track] = []
        skipped: list[Problem] = []
        for number, boxes in tracks.boxes.items():
            found = _track(video, f"{common.name}#{number}", boxes, common, limits)
            if isinstance(found, _Track):
                self._tracks.append(found)
            else:
                skipped.append(found)
        self.drafts: Sequence[Draft] = [track.draft for track in self._tracks]
        self.problems: Sequence[Problem] = [*problems, *skipped]

    def contents(self, pool: ThreadPoolExecutor) -> list[str]:
        """Digests of the whole file, the boxes of each track, and what is known of it."""
        if not self._tracks:
            return []
        file = file_digest(self._video.path)
        return [
            digest_of(self._plan.key, file, list(t.frames), t.draft.facts(), t.left_out) for t in self._tracks
        ]

    def read(
        self, chosen: Sequence[int], contents: Sequence[str], pool: ThreadPoolExecutor
    ) -> Iterator[Reading | Problem]:
        """The chosen tracks, each as soon as its last frame has passed."""
        if not chosen:
            return
        open_tracks = {place: Gathering(self.drafts[place], self._plan) for place in chosen}
        wanted = self._wanted(open_tracks)
        for number, frame in self._video.frames(max(wanted)):
            if number not in wanted:
                continue
            pixels: Pixels = frame.to_ndarray(format="rgb24")
            for place, position in wanted.pop(number):
                gathering = open_tracks[place]
                self._cut(pixels, place, position, gathering)
                if gathering.is_complete:
                    yield self._finish(open_tracks.pop(place), place, contents[place])
        for place in sorted(open_tracks):
            yield self._finish(open_tracks[place], place, contents[place])

    def _wanted(self, gatherings: Mapping[int, Gathering]) -> dict[int, list[tuple[int, int]]]:
        """By frame of the video, which tracks need it, and as which of their frames."""
        found: dict[int, list[tuple[int, int]]] = {}
        for place, gathering in gatherings.items():
            numbers = self._tracks[place].frames.numbers
            for position in gathering.places:
                found.setdefault(numbers[position], []).append((place, position))
        return found

    def _cut(self, pixels: Pixels, place: int, position: int, gathering: Gathering) -> None:
        """Add a box of a frame, unless the frame is smaller than the head of the file said."""
        box = self._tracks[place].frames.boxes[position]
        height, width = pixels.shape[:2]
        if box.left < width and box.top < height:
            gathering.add(position, box.cut(pixels))

    def _finish(self, gathering: Gathering, place: int, content: str) -> Reading | Problem:
        notes = [self._tracks[place].left_out] if self._tracks[place].left_out else []
        missing = gathering.missing
        if missing:
            numbers = self._tracks[place].frames.numbers
            shown = ", ".join(str(numbers[position]) for position in missing[:5])
            more = ", ..." if len(missing) > 5 else ""
            notes.append(f"{len(missing)} frames are past the video's end or damaged: {shown}{more}")
        try:
            return gathering.finish(content, "; ".join(notes))
        except DataError as error:
            return Problem(gathering.draft.name, "failed", str(error))


def _track(
    video: VideoFile, name: str, boxes: Sequence[TrackedBox], common: Draft, limits: Limits
) -> _Track | Problem:
    """A track with its boxes inside the picture, or why it has no place in a gallery."""
    clipped = [(box.frame, box.clipped(video.width, video.height)) for box in boxes]
    inside = [(number, box) for number, box in clipped if box is not None]
    large = [(n, box) for n, box in inside if box.width >= limits.width and box.height >= limits.height]
    outside, small = len(clipped) - len(inside), len(inside) - len(large)
    reasons = []
    if outside:
        size = f"{video.width} x {video.height}"
        reasons.append(f"{outside} of {len(boxes)} boxes lie outside the {size} picture")
    if small:
        reasons.append(
            f"{small} of {len(boxes)} boxes are smaller than {limits.width} x {limits.height} pixels"
        )
    if len(large) < limits.frames:
        short = f"{len(large)} usable boxes; expected at least {limits.frames}"
        return Problem(name, "skipped", "; ".join([*reasons, short]))
    frames = BoxFrames(str(video.path), [number for number, _ in large], [box for _, box in large])
    seconds = 0.0 if video.rate is None else (large[0][0] - 1) / video.rate
    draft = Draft(
        name,
        frames,
        common.modality,
        camera_id=common.camera_id,
        time=None if common.time is None else common.time + seconds,
        keeps_all=False,
    )
    return _Track(draft, frames, "; ".join(reasons))


def _without(path: str, error: DataError) -> str:
    """The message of an error without the path that it starts with."""
    return str(error).removeprefix(f"{path}: ")
