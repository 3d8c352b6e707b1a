"""Index files with an image a line: its path relative to the root, a blank, and an integer label."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tapetum.data.datasets._person_folders import is_image_name
from tapetum.data.datasets._text_files import read_lines
from tapetum.errors import DataError

_LINE = re.compile(r"([^/]+)/([0-9]{1,9})/([^/]+?)[ \t]+([0-9]{1,9})")


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """One line of an index file.

    Attributes:
        folder: Folder of the image, relative to the root of the data set, such as "Visible/285".
        name: Its file name.
        person: The person whose folder that is.
        label: The integer behind the path.
        line: Number of the line, from 1.
    """

    folder: str
    name: str
    person: int
    label: int
    line: int

    @property
    def place(self) -> str:
        """Path relative to the root of the data set."""
        return f"{self.folder}/{self.name}"


@dataclass(frozen=True, slots=True)
class LabelledList:
    """An index file, in its order."""

    path: Path
    images: tuple[LabelledImage, ...]

    @property
    def people(self) -> frozenset[int]:
        """Everybody whose folder a line names."""
        return frozenset(image.person for image in self.images)


def read_labelled_list(path: Path, tree: str) -> LabelledList:
    """The images of an index file; empty lines at its end do not count.

    Args:
        path: The file.
        tree: Folder of the person folders that its paths start with.

    Raises:
        FileNotFoundError: No such file.
        DataError: The file is empty or no text, a line is not of the form, or an image is listed twice.
    """
    expected = f"expected an image and its label on each line, {tree}/<person>/<image> <label>"
    images = []
    for number, line in enumerate(read_lines(path, expected), start=1):
        match = _LINE.fullmatch(line.rstrip())
        if not match or match[1] != tree or not is_image_name(match[3]):
            raise DataError(f"{path}:{number}: {line.rstrip()[:120]!r}; {expected}")
        folder = f"{match[1]}/{match[2]}"
        images.append(LabelledImage(folder, match[3], int(match[2]), int(match[4]), number))
    _refuse_repeats(path, images)
    return LabelledList(path, tuple(images))


def label_people(lists: Sequence[LabelledList]) -> dict[int, int]:
    """Person of each label, by ascending label; all `lists` must agree.

    Raises:
        DataError: A label stands for two people, or a person has two labels.
    """
    person_of: dict[int, tuple[int, str]] = {}
    label_of: dict[int, tuple[int, str]] = {}
    for file in lists:
        for image in file.images:
            here = f"{file.path.name}:{image.line}"
            person, where = person_of.setdefault(image.label, (image.person, here))
            if person != image.person:
                raise DataError(
                    f"{file.path}:{image.line}: label {image.label} for person {image.person}, but for "
                    f"person {person} in {where}; expected one person a label"
                )
            label, where = label_of.setdefault(image.person, (image.label, here))
            if label != image.label:
                raise DataError(
                    f"{file.path}:{image.line}: person {image.person} with label {image.label}, but with "
                    f"label {label} in {where}; expected one label a person"
                )
    return {label: person_of[label][0] for label in sorted(person_of)}


def label_notes(part: str, visible: LabelledList, infrared: LabelledList) -> Iterator[str]:
    """One sentence for each oddity in the people and labels of a part, whose lists agree with each other."""
    alone = sorted(visible.people ^ infrared.people)
    if alone:
        yield (
            f"{part}: {len(alone)} people are in only one of {visible.path.name} and {infrared.path.name} "
            f"(first: {alone[0]})"
        )
    labels = {image.label for file in (visible, infrared) for image in file.images}
    if labels != set(range(len(labels))):
        yield f"{part}: labels are not 0 to {len(labels) - 1} without gaps; people keep their order"


def file_notes(root: Path, lists: Iterable[LabelledList]) -> Iterator[str]:
    """One sentence if listed images are not in their folders, one if images beside them are on no list."""
    images = [image for file in lists for image in file.images]
    listed: dict[str, set[str]] = {}
    for image in images:
        listed.setdefault(image.folder, set()).add(image.name)
    present = {folder: _names_in(root / folder) for folder in listed}
    missing = [image.place for image in images if image.name not in present[image.folder]]
    if missing:
        yield f"{len(missing)} listed images are not in their folders (first: {missing[0]})"
    others = [(folder, name) for folder, names in listed.items() for name in present[folder] - names]
    beside = sorted(f"{folder}/{name}" for folder, name in others if is_image_name(name))
    if beside:
        yield f"{len(beside)} images beside listed ones are on no list (first: {beside[0]}); skipped"


def _names_in(folder: Path) -> frozenset[str]:
    """Names of all that lies in a folder; empty where there is none."""
    try:
        return frozenset(os.listdir(folder))  # noqa: PTH208
    except (FileNotFoundError, NotADirectoryError):
        return frozenset()


def _refuse_repeats(path: Path, images: Iterable[LabelledImage]) -> None:
    line_of: dict[str, int] = {}
    for image in images:
        first = line_of.setdefault(image.place, image.line)
        if first != image.line:
            raise DataError(f"{path}:{image.line}: {image.place} is listed again; first in line {first}")
