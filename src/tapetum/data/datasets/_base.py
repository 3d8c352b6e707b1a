"""What a data set reader answers, and how one is found by name."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from tapetum.errors import DataError
from tapetum.registry import load, names, unknown
from tapetum.types import Id, TrackletSet

SYNTHETIC_CARD = "walkers.json"
"""A file in the root that says the set was drawn by this package, so that published counts do not apply."""

_PACKAGE = "tapetum.data.datasets"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Count:
    """A number that the data set's authors state, and what was found."""

    what: str
    expected: int
    found: int


class Remark(str):
    """A note about something that is as it may be: worth knowing, nothing to mend."""

    __slots__ = ()


class Fault(str):
    """A note about pictures that ought to be there and are in no part, so that nobody else can miss them.

    Attributes:
        items: The pictures.
    """

    items: tuple[str, ...]

    def __new__(cls, text: str, items: Sequence[str] = ()) -> Fault:
        """The sentence `text` about `items`."""
        made = super().__new__(cls, text)
        made.items = tuple(items)
        return made


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
        notes: Oddities found while reading (dropped, short, foreign), one sentence each; those that need no
            mending are a `Remark`, those about missing pictures a `Fault`.
        variant: Which of the data set's own divisions this is, such as "trial=3"; "" where there is one.
        validation_ids: Training identities that the data set's own files set apart for validation.
    """

    name: str
    root: Path
    train: TrackletSet
    query: TrackletSet
    gallery: TrackletSet
    label_ids: tuple[Id, ...]
    counts: tuple[Count, ...] = ()
    notes: tuple[str, ...] = ()
    variant: str = ""
    validation_ids: tuple[Id, ...] = ()

    @property
    def title(self) -> str:
        """Name and variant, such as "regdb?trial=3": what names of its parts start with."""
        return f"{self.name}?{self.variant}" if self.variant else self.name

    @property
    def test(self) -> TrackletSet:
        """Queries, then gallery."""
        return TrackletSet(f"{self.title}/test", self.query.tracklets + self.gallery.tracklets)

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


@dataclass(frozen=True, slots=True)
class DataSpec:
    """A data set as users name it: FORMAT:ROOT, or FORMAT:ROOT?option=value&option=value.

    Attributes:
        name: The format.
        root: Its folder, or the file that lists it.
        options: Options of the format's reader.
    """

    name: str
    root: Path
    options: Mapping[str, object]

    @classmethod
    def parse(cls, text: str) -> DataSpec:
        """The parts of `text`; values of options are read as YAML, so that 3 is a number and true a truth.

        What stands behind a question mark belongs to the path where such a path exists.

        Raises:
            ValueError: `text` is not of the form, or the format is unknown.
        """
        name, colon, place = text.partition(":")
        if not colon or not place:
            raise ValueError(
                f"data {text!r} is not of the form FORMAT:ROOT; formats: {', '.join(dataset_names())}"
            )
        root, _, options = place.partition("?")
        if Path(place).exists():
            root, options = place, ""
        return cls(name, Path(root), parse_options(options))


def read_dataset(spec: str, **options: object) -> DataSet:
    """Read a data set given as FORMAT:ROOT, or FORMAT:ROOT?option=value (see `DataSpec`).

    Args:
        spec: What to read.
        options: Of the format's reader; they win over those in `spec`.

    Raises:
        ValueError: `spec` is not of that form, the format is unknown, or its reader has no such option.
        FileNotFoundError: The folder or one of its files is missing.
        DataError: A file is not as the format says.
    """
    parsed = DataSpec.parse(spec)
    read: Callable[..., DataSet] = load(_PACKAGE, parsed.name, "data set").read
    asked = {**parsed.options, **options}
    known = [name for name in inspect.signature(read).parameters if name != "root"]
    for option in asked:
        if option not in known:
            raise ValueError(f"{spec}: {unknown(f'option of {parsed.name}', option, known)}")
    return read(parsed.root, **asked)


def parse_options(text: str) -> dict[str, object]:
    """Options of the form "a=1&b=true" as a dictionary.

    >>> parse_options("trial=3&strict=true")
    {'trial': 3, 'strict': True}

    Raises:
        ValueError: A part has no name, or no equals sign.
    """
    options: dict[str, object] = {}
    for part in filter(None, text.split("&")):
        name, equals, value = part.partition("=")
        if not (name and equals):
            raise ValueError(f"option {part!r} is not of the form name=value")
        options[name] = yaml.safe_load(value)
    return options


def is_synthetic(root: Path) -> bool:
    """Whether the data set in `root` was drawn by this package."""
    return (root / SYNTHETIC_CARD).exists()


def check_counts(root: Path, title: str, counts: Sequence[Count], *, strict: bool = False) -> None:
    """Log one warning if numbers are not the published ones.

    Args:
        root: Folder of the data set.
        title: What the data set is called in its authors' paper.
        counts: Expected and found numbers.
        strict: Raise instead.

    Raises:
        DataError: A number differs and `strict` is set.
    """
    wrong = [count for count in counts if count.found != count.expected]
    if not wrong:
        return
    first = wrong[0]
    message = (
        f"{root}: {len(wrong)} of {len(counts)} counts differ from the published {title}, "
        f"first: {first.what} {first.found}, expected {first.expected}"
    )
    if strict:
        raise DataError(message)
    _log.warning("%s", message)


def check_root(root: Path, title: str) -> Path:
    """`root` as a path.

    Raises:
        FileNotFoundError: It is no folder; `title` says of what it should have been the root.
    """
    root = Path(root)
    if not root.is_dir():
        raise FileNotFoundError(f"{root}: no such folder; expected the root of {title}")
    return root
