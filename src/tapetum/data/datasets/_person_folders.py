"""Images in a folder for each person, as tracklets of one frame.

Folders are listed with `os.scandir`, which asks the file system once a folder and not once a file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tapetum.data.pictures import SUFFIXES
from tapetum.types import Modality, Tracklet

_PERSON = re.compile(r"[0-9]{4}|[1-9][0-9]{4,8}")


@dataclass(frozen=True, slots=True)
class PersonFolders:
    """What lies in a folder of person folders.

    Attributes:
        folder: The folder, relative to the root of the data set.
        exists: Whether there is such a folder.
        names: File names of a person's images, sorted as text; people without an image are absent.
        stray: Files and folders that are neither, relative to the root of the data set.
        unlisted: People that were not asked for; their folders were not opened.
    """

    folder: str
    exists: bool
    names: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    stray: tuple[str, ...] = ()
    unlisted: tuple[int, ...] = ()

    def count(self, people: Collection[int]) -> int:
        """How many images there are of `people`."""
        return sum(len(self.names.get(person, ())) for person in people)

    def tracklets(
        self, root: Path, people: Collection[int], modality: Modality, camera: int, part: str
    ) -> Iterator[Tracklet]:
        """The images of `people`, person by person in the given order, by file name."""
        base = root.as_posix()
        for person in people:
            for name in self.names.get(person, ()):
                place = f"{self.folder}/{person:04d}/{name}"
                yield image_tracklet(base, place, modality, person, camera, part)


def scan_people(root: Path, folder: str, people: Collection[int]) -> PersonFolders:
    """The images of `people` in `root/folder/<person>`, persons written with four digits."""
    names: dict[int, tuple[str, ...]] = {}
    stray: list[str] = []
    unlisted: list[int] = []
    if not (root / folder).is_dir():
        return PersonFolders(folder, exists=False)
    wanted = frozenset(people)
    with os.scandir(root / folder) as entries:
        for entry in entries:
            if not _PERSON.fullmatch(entry.name) or not entry.is_dir():
                stray.append(f"{folder}/{entry.name}")
            elif int(entry.name) not in wanted:
                unlisted.append(int(entry.name))
            else:
                images, others = _images(entry.path)
                stray += [f"{folder}/{entry.name}/{name}" for name in others]
                if images:
                    names[int(entry.name)] = images
    return PersonFolders(folder, True, names, tuple(sorted(stray)), tuple(sorted(unlisted)))


def image_tracklet(
    base: str, place: str, modality: Modality, person: int, camera: int | None, part: str
) -> Tracklet:
    """An image as a tracklet of one frame, named by its place.

    Args:
        base: Root of the data set, with forward slashes.
        place: The image's path relative to it.
        modality: How the camera saw.
        person: Who it is.
        camera: Which camera.
        part: "train", "query" or "gallery".
    """
    return Tracklet(place, (f"{base}/{place}",), modality, person, camera, None, part)


def is_image_name(name: str) -> bool:
    """Whether a file's name has the ending of an image, and is not hidden."""
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in SUFFIXES  # noqa: PTH122


def folder_notes(scans: Collection[PersonFolders]) -> Iterator[str]:
    """One sentence for each kind of thing in the folders that was not read."""
    absent = [scan.folder for scan in scans if not scan.exists]
    if absent:
        yield f"no folder {', '.join(absent)}"
    stray = [place for scan in scans for place in scan.stray]
    if stray:
        yield f"{len(stray)} files or folders are no images of a person (first: {stray[0]}); skipped"
    unlisted = sorted({person for scan in scans for person in scan.unlisted})
    if unlisted:
        yield f"folders of {len(unlisted)} people that no list names (first: {unlisted[0]}); skipped"


def _images(folder: str) -> tuple[tuple[str, ...], list[str]]:
    """Names of the images of a folder, sorted as text, and of all else."""
    images: list[str] = []
    others: list[str] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            (images if is_image_name(entry.name) and entry.is_file() else others).append(entry.name)
    return tuple(sorted(images)), others
