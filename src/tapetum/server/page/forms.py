"""What people fill in, read from the fields of a form and shown in them again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, cast, get_args

from tapetum.search.query import Filter
from tapetum.server.asking import Ask, Grouping
from tapetum.server.page.times import read_time
from tapetum.server.refusals import Invalid
from tapetum.types import Modality

HEAD = 100
"""How many of the nearest are ranked anew where that is switched on."""

TOPS = (10, 20, 50, 100)
"""Numbers of hits to choose from."""

PAGE = 48
"""Tracklets on one page of the gallery."""


class Fields(Protocol):
    """The fields of a form or of an address; a name may occur several times."""

    def get(self, name: str, /) -> object:
        """The last value of a name; None where there is none."""

    def getlist(self, name: str, /) -> Sequence[object]:
        """All values of a name, in order."""


@dataclass(frozen=True, slots=True)
class Where:
    """Which tracklets are looked at.

    Attributes:
        modality: "visible", "infrared", or "" for both.
        cameras: Only these; none given: all.
        exclude_cameras: None of these.
        after: Earliest time in seconds.
        before: Time in seconds before which it ends.
    """

    modality: str = ""
    cameras: tuple[str, ...] = ()
    exclude_cameras: tuple[str, ...] = ()
    after: float | None = None
    before: float | None = None

    def filter(self) -> Filter:
        """The conditions, as search knows them.

        Raises:
            Invalid: They contradict each other.
        """
        try:
            return Filter(
                modality=self.modality or None,
                cameras=self.cameras or None,
                exclude_cameras=self.exclude_cameras or None,
                after=self.after,
                before=self.before,
            )
        except ValueError as error:
            raise Invalid(str(error), field="before") from None

    def __bool__(self) -> bool:
        return self != Where()

    def fields(self) -> list[tuple[str, str]]:
        """Name and value of each condition that is given, as in an address."""
        one = [("modality", self.modality)] if self.modality else []
        several = [("cameras", camera) for camera in self.cameras]
        several += [("exclude_cameras", camera) for camera in self.exclude_cameras]
        times = [("after", self.after), ("before", self.before)]
        return [*one, *several, *((name, repr(value)) for name, value in times if value is not None)]


@dataclass(frozen=True, slots=True)
class SearchForm:
    """A search as it is filled in.

    Attributes:
        query_ids: Uploads to search by.
        item_id: Tracklet of the gallery to search by instead; "" for none.
        where: Which tracklets are looked at.
        top: At most this many hits.
        rerank: Whether the head of the list is ranked anew.
        group: "person", "camera", or "" for neither.
        min_probability: What a hit must reach for the person to be known.
        prior: Probability before comparing.
        right: Tracklets marked as the person.
        wrong: Tracklets marked as somebody else.
        reason: Why it is asked.
    """

    query_ids: tuple[str, ...] = ()
    item_id: str = ""
    where: Where = field(default_factory=Where)
    top: int = 20
    rerank: bool = False
    group: str = ""
    min_probability: float | None = None
    prior: float | None = None
    right: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()
    reason: str = ""

    def by_item(self, item_id: str) -> SearchForm:
        """The same search, by a tracklet of the gallery instead; marks of another query are dropped."""
        return replace(self, query_ids=(), item_id=item_id, right=(), wrong=())

    def by_upload(self, query_id: str) -> SearchForm:
        """The same search, by one more upload."""
        return replace(self, query_ids=(*self.query_ids, query_id), item_id="")

    def ask(self) -> Ask:
        """The search, as the service knows it.

        Raises:
            Invalid: There is nothing to search by, or values contradict each other.
        """
        if not self.query_ids and not self.item_id:
            raise Invalid("choose what to look for first: pictures, or a tracklet of the gallery")
        contradicted = set(self.right) & set(self.wrong)
        if contradicted:
            raise Invalid(f"{min(contradicted)} is marked both right and wrong", field="right")
        return Ask(
            query_ids=self.query_ids,
            item_id=None if self.query_ids else self.item_id,
            filters=self.where.filter(),
            top=self.top,
            rerank_head=HEAD if self.rerank else None,
            group=cast(Grouping, self.group) if self.group else None,
            min_probability=self.min_probability,
            prior=self.prior,
            right=self.right,
            wrong=self.wrong,
            reason=self.reason,
        )


def read_search(fields: Fields) -> SearchForm:
    """The search in the fields of a form.

    A button "search from this hit" sends the hit's tracklet beside all else, and stands before it.

    Raises:
        Invalid: A value is not of its kind.
    """
    form = SearchForm(
        query_ids=_texts(fields, "query_id"),
        item_id=_text(fields, "item_id"),
        where=read_where(fields),
        top=_whole(fields, "top", 20),
        rerank=bool(_text(fields, "rerank")),
        group=_chosen(fields, "group", get_args(Grouping)),
        min_probability=_percent(fields, "min_probability"),
        prior=_percent(fields, "prior"),
        right=_texts(fields, "right"),
        wrong=_texts(fields, "wrong"),
        reason=_text(fields, "reason").strip(),
    )
    from_hit = _text(fields, "from_hit")
    return form.by_item(from_hit) if from_hit else form


def read_where(fields: Fields) -> Where:
    """The conditions in the fields of a form or of an address.

    Raises:
        Invalid: A value is not of its kind.
    """
    return Where(
        modality=_chosen(fields, "modality", tuple(Modality)),
        cameras=_texts(fields, "cameras"),
        exclude_cameras=_texts(fields, "exclude_cameras"),
        after=read_time(_text(fields, "after"), "after"),
        before=read_time(_text(fields, "before"), "before"),
    )


def read_page(fields: Fields) -> int:
    """Number of a page of the gallery, from 1.

    Raises:
        Invalid: It is no such number.
    """
    page = _whole(fields, "page", 1)
    if not 1 <= page <= 1 << 40:
        raise Invalid(f"page is {page}; expected at least 1", field="page")
    return page


def _text(fields: Fields, name: str) -> str:
    value = fields.get(name)
    return value if isinstance(value, str) else ""


def _texts(fields: Fields, name: str) -> tuple[str, ...]:
    """All texts of a name that are not blank, each once."""
    return tuple(dict.fromkeys(v for v in fields.getlist(name) if isinstance(v, str) and v))


def _chosen(fields: Fields, name: str, allowed: Sequence[str]) -> str:
    value = _text(fields, name)
    if value and value not in allowed:
        raise Invalid(f"{name} is {value!r}; expected one of {', '.join(allowed)}", field=name)
    return value


def _whole(fields: Fields, name: str, default: int) -> int:
    text = _text(fields, name).strip()
    try:
        return int(text) if text else default
    except ValueError:
        raise Invalid(f"{name} is {text!r}; expected a whole number", field=name) from None


def _percent(fields: Fields, name: str) -> float | None:
    """A share that is written in percent; None where blank."""
    text = _text(fields, name).strip().removesuffix("%")
    try:
        share = float(text) / 100 if text else None
    except ValueError:
        raise Invalid(f"{name} is {text!r}; expected a number of percent", field=name) from None
    if share is not None and not 0 < share < 1:
        raise Invalid(f"{name} is {text} %; expected more than 0 and less than 100", field=name)
    return share
