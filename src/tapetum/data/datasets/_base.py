"""What a data set reader answers, and how one is found by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tapetum.registry import load, names
from tapetum.types import Id, TrackletSet

_PACKAGE = "tapetum.data.datasets"


@dataclass(frozen=True, slots=True)
class Count:
    """A number that the data set's authors state, and what was found."""

    what: str
    expected: int
    found: int


@dataclass(frozen=True, slots=True)
class DataSet:
    """A data set as its own files divide it.

    Attributes:
        name: Format name, such as "hitsz-vcm".
        root: Its folder.
        train: Training tracklets (`part == "train"`).
        query: Test tracklets that the data set's files name as queries (`part == "query"`).
        gallery: All other test tracklets (`part == "gallery"`).
        label_ids: Training identities in label order: label i is `label_ids[i]`.
        counts: Known counts of the true data beside what was found (empty where not applicable).
        notes: Oddities found while reading (dropped, short, foreign), one sentence each.
    """

    name: str
    root: Path
    train: TrackletSet
    query: TrackletSet
    gallery: TrackletSet
    label_ids: tuple[Id, ...]
    counts: tuple[Count, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def test(self) -> TrackletSet:
        """Queries, then gallery."""
        return TrackletSet(f"{self.name}/test", self.query.tracklets + self.gallery.tracklets)

    @property
    def camera_ids(self) -> tuple[Id, ...]:
        """Distinct cameras of the training tracklets, sorted."""
        found = {t.camera_id for t in self.train if t.camera_id is not None}
        return tuple(sorted(found, key=lambda i: (isinstance(i, str), i)))

    def split(self, name: str) -> TrackletSet:
        """One of "train", "query", "gallery", "test".

        Raises:
            ValueError: Another name.
        """
        if name not in ("train", "query", "gallery", "test"):
            raise ValueError(f"unknown split {name!r}; known: train, query, gallery, test")
        part: TrackletSet = getattr(self, name)
        return part


def dataset_names() -> list[str]:
    """Names of all data set formats."""
    return names(_PACKAGE)


def read_dataset(spec: str, **options: object) -> DataSet:
    """Read a data set given as FORMAT:ROOT.

    Raises:
        ValueError: `spec` is not of that form, or the format is unknown.
        FileNotFoundError: The folder or one of its files is missing.
        DataError: A file is not as the format says.
    """
    name, colon, root = spec.partition(":")
    if not colon or not root:
        raise ValueError(
            f"data {spec!r} is not of the form FORMAT:ROOT; formats: {', '.join(dataset_names())}"
        )
    read: Callable[..., DataSet] = load(_PACKAGE, name, "data set").read
    return read(Path(root), **options)
