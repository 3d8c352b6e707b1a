"""A data set looked over as a whole: what is missing, double, unpaired, or on both sides of the split."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tapetum.data.checking import FileProblem, Progress, look_at_frames
from tapetum.data.datasets._base import DataSet, Fault, Remark
from tapetum.types import Id, Modality, Tracklet

TRAIN, TEST = "train", "test"


class Severity(StrEnum):
    """How much a finding matters."""

    ERROR = "error"
    """Work with this data will stop."""

    WARNING = "warning"
    """Work will go on, and its results may mean something else than they seem to."""

    REMARK = "remark"
    """Worth knowing."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something found in a data set.

    Attributes:
        kind: What kind of thing, a fixed word for programs; docs/doctor.md lists them.
        severity: How much it matters.
        text: One sentence.
        items: All files, tracklets or people that it is about.
    """

    kind: str
    severity: Severity
    text: str
    items: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CameraRow:
    """What a camera saw in one modality.

    Attributes:
        camera: Its identifier; None where unknown.
        modality: "visible" or "infrared".
        people: Different known ones.
        train: Training tracklets.
        query: Query tracklets.
        gallery: Gallery tracklets.
        frames: Frames of all of these.
    """

    camera: Id | None
    modality: str
    people: int
    train: int
    query: int
    gallery: int
    frames: int


@dataclass(frozen=True, slots=True)
class Examination:
    """What `examine` found.

    Attributes:
        data: The data set.
        decoded: Whether pictures were decoded, or only looked for.
        problems: Frames that cannot be used.
        findings: Everything else and these, gravest first.
        cameras: A row for each camera and modality.
    """

    data: DataSet
    decoded: bool
    problems: tuple[FileProblem, ...]
    findings: tuple[Finding, ...]
    cameras: tuple[CameraRow, ...]

    def is_well(self, *, strict: bool = False) -> bool:
        """Whether there are no errors, and if `strict` no warnings either."""
        bad = (Severity.ERROR, Severity.WARNING) if strict else (Severity.ERROR,)
        return not any(finding.severity in bad for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        """Everything, ready for `json.dumps`."""
        parts = {name: self.data.split(name) for name in ("train", "query", "gallery")}
        return {
            "data": self.data.title,
            "root": str(self.data.root),
            "decoded": self.decoded,
            "tracklets": {name: len(part) for name, part in parts.items()},
            "frames": {name: sum(len(t.frames) for t in part) for name, part in parts.items()},
            "people": {name: len(part.person_ids) for name, part in parts.items()},
            "counts": [asdict(count) for count in self.data.counts],
            "notes": list(self.data.notes),
            "cameras": [asdict(row) for row in self.cameras],
            "problems": [str(problem) for problem in self.problems],
            "findings": [asdict(finding) for finding in self.findings],
        }


def examine(
    data: DataSet, *, decode: bool = True, threads: int = 2, progress: Progress | None = None
) -> Examination:
    """Look a data set over: its counts, its people, its tracklets, and every picture.

    Args:
        data: What to look at.
        decode: Decode every picture; else only read its file, to compare it with the others, which is faster.
        threads: How many files to look at at the same time.
        progress: Called after each tracklet with (tracklets done, tracklets in all).
    """
    tracklets = (*data.train, *data.test)
    looks = list(look_at_frames(tracklets, decode=decode, compare=True, threads=threads, progress=progress))
    problems = tuple(problem for look in looks for problem in look.problems)
    frames = _Frames.of(tracklets, [look.digests for look in looks])
    findings = [
        *_file_findings(problems),
        *_tracklet_findings(tracklets),
        *_people_findings(data),
        *_duplicates(frames),
        *_reader_findings(data),
    ]
    order = list(Severity)
    findings.sort(key=lambda finding: order.index(finding.severity))
    return Examination(data, decode, problems, tuple(findings), tuple(_cameras(tracklets)))


def _file_findings(problems: Sequence[FileProblem]) -> Iterator[Finding]:
    missing = [problem.path for problem in problems if problem.is_missing]
    unreadable = [problem.path for problem in problems if not problem.is_missing]
    for kind, paths, what in (
        ("missing", missing, "frames are missing"),
        ("unreadable", unreadable, "frames cannot be read"),
    ):
        if paths:
            yield Finding(kind, Severity.ERROR, f"{len(paths)} {what}", tuple(paths))


def _tracklet_findings(tracklets: Sequence[Tracklet]) -> Iterator[Finding]:
    empty = tuple(t.tracklet_id for t in tracklets if not len(t.frames))
    single = tuple(t.tracklet_id for t in tracklets if len(t.frames) == 1)
    if not tracklets:
        yield Finding("no-tracklets", Severity.WARNING, "there are no tracklets")
    if empty:
        yield Finding("empty-tracklet", Severity.ERROR, f"{len(empty)} tracklets have no frame", empty)
    if single and len(single) < len(tracklets):
        what = f"{len(single)} of {len(tracklets)} tracklets have one frame"
        yield Finding("one-frame", Severity.REMARK, what, single)


def _people_findings(data: DataSet) -> Iterator[Finding]:
    """Who is on both sides of the split, and on each side who was seen in one modality only."""
    sides = {TRAIN: data.train, TEST: data.test}
    tested = set(data.test.person_ids)
    both = [person for person in data.train.person_ids if person in tested]
    if both:
        what = f"{len(both)} people are in both training and test"
        yield Finding("person-in-both", Severity.WARNING, what, tuple(map(str, both)))
    for side, part in sides.items():
        seen = {modality: set(part.of_modality(modality).person_ids) for modality in Modality}
        for modality in Modality:
            alone = [person for person in part.person_ids if person not in seen[modality.other]]
            if alone:
                what = f"{side}: {len(alone)} people are seen in {modality.value} only"
                yield Finding("no-partner", Severity.WARNING, what, tuple(map(str, alone)))


def _reader_findings(data: DataSet) -> Iterator[Finding]:
    """Counts that are not the published ones, and what the reader noted."""
    for count in data.counts:
        if count.found != count.expected:
            what = f"{count.what}: {count.found}, expected {count.expected}"
            yield Finding("count", Severity.WARNING, what)
    for note in data.notes:
        if isinstance(note, Fault):
            yield Finding("missing", Severity.ERROR, str(note), note.items)
        else:
            yield Finding(
                "note", Severity.REMARK if isinstance(note, Remark) else Severity.WARNING, str(note)
            )


@dataclass(frozen=True, slots=True)
class _Frames:
    """All frames of a data set, row by row.

    Attributes:
        tracklets: The tracklets.
        owner: Tracklet of each frame, `[N]`.
        position: Place in the tracklet, `[N]`.
        places: A number for each path, equal for equal ones, `[N]`.
        contents: A number for each content, `[N]`.
        known: Whether the content is known, `[N]`.
    """

    tracklets: Sequence[Tracklet]
    owner: NDArray[np.int64]
    position: NDArray[np.int64]
    places: NDArray[np.int64]
    contents: NDArray[np.uint64]
    known: NDArray[np.bool_]

    @classmethod
    def of(cls, tracklets: Sequence[Tracklet], digests: Sequence[Sequence[int | None]]) -> _Frames:
        """The frames of tracklets, whose contents have these digests."""
        lengths = np.array([len(found) for found in digests], dtype=np.int64)
        owner = np.repeat(np.arange(len(lengths)), lengths)
        flat = [digest for found in digests for digest in found]
        return cls(
            tracklets=tracklets,
            owner=owner,
            position=np.arange(len(owner)) - np.repeat(np.cumsum(lengths) - lengths, lengths),
            places=np.array([hash(path) for t in tracklets for path in t.frames], dtype=np.int64),
            contents=np.array([digest or 0 for digest in flat], dtype=np.uint64),
            known=np.array([digest is not None for digest in flat], dtype=np.bool_),
        )

    def path(self, row: int) -> str:
        """Path of a frame."""
        return self.tracklets[int(self.owner[row])].frames[int(self.position[row])]

    def side(self, row: int) -> str:
        """Which side of the split a frame is on."""
        return TRAIN if self.tracklets[int(self.owner[row])].part == TRAIN else TEST


_KINDS = {
    "leak": (Severity.WARNING, "pictures are in both training and test"),
    "two-people": (Severity.WARNING, "pictures are listed under several people"),
    "repeated-path": (Severity.WARNING, "files are listed more than once"),
    "duplicate": (Severity.WARNING, "pictures occur under several names"),
    "duplicate-in-tracklet": (Severity.REMARK, "pictures occur again in their own tracklet"),
}


def _duplicates(frames: _Frames) -> Iterator[Finding]:
    """Files listed again, and other files of equal content: a finding for each kind of harm they do."""
    items: dict[str, list[str]] = {kind: [] for kind in _KINDS}
    every = np.arange(len(frames.owner))
    for rows in _groups(frames.places, every):
        items[_kind(frames, rows, "repeated-path")].append(_describe(frames, rows))
    for rows in _groups(frames.contents, every[frames.known]):
        different = {frames.path(row): row for row in reversed(rows)}
        if len(different) > 1:
            within = len({int(frames.owner[row]) for row in rows}) == 1
            kind = "duplicate-in-tracklet" if within else "duplicate"
            items[_kind(frames, rows, kind)].append(_describe(frames, sorted(different.values())))
    for kind, found in items.items():
        if found:
            severity, what = _KINDS[kind]
            yield Finding(kind, severity, f"{len(found)} {what}", tuple(found))


def _groups(keys: NDArray[Any], rows: NDArray[np.int64]) -> list[list[int]]:
    """Of the rows, those with equal keys, where there are two and more; in the order of the first ones."""
    order = rows[np.argsort(keys[rows], kind="stable")]
    cuts = np.flatnonzero(keys[order][1:] != keys[order][:-1]) + 1
    return sorted(part.tolist() for part in np.split(order, cuts) if len(part) > 1)


def _kind(frames: _Frames, rows: Sequence[int], harmless: str) -> str:
    """What equal frames are: the gravest kind, or `harmless`."""
    people = {frames.tracklets[int(frames.owner[row])].person_id for row in rows} - {None}
    if len({frames.side(row) for row in rows}) > 1:
        return "leak"
    return "two-people" if len(people) > 1 else harmless


def _describe(frames: _Frames, rows: Sequence[int]) -> str:
    """Equal frames and their sides, with tracklets where paths do not name them: "a.jpg (test, t2) = ..."."""
    texts = []
    for row in rows:
        path, owner = frames.path(row), frames.tracklets[int(frames.owner[row])].tracklet_id
        alone = f"/{path}".endswith(f"/{owner}")  # an image, which is named after its place
        texts.append(f"{path} ({frames.side(row)}{'' if alone else f', {owner}'})")
    return " = ".join(texts)


def _cameras(tracklets: Sequence[Tracklet]) -> Iterator[CameraRow]:
    """A row for each camera and modality, integers before texts, unknown cameras last."""
    seen: dict[tuple[Id | None, str], list[Tracklet]] = defaultdict(list)
    for t in tracklets:
        seen[t.camera_id, t.modality.value].append(t)

    def order(key: tuple[Id | None, str]) -> tuple[bool, bool, Id, str]:
        camera, modality = key
        return camera is None, isinstance(camera, str), "" if camera is None else camera, modality

    for camera, modality in sorted(seen, key=order):
        group = seen[camera, modality]
        parts = Counter(t.part for t in group)
        yield CameraRow(
            camera=camera,
            modality=modality,
            people=len({t.person_id for t in group} - {None}),
            train=parts[TRAIN],
            query=parts["query"],
            gallery=parts["gallery"],
            frames=sum(len(t.frames) for t in group),
        )
