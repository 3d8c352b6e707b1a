"""The shapes of what REST takes: the outside's words for the inside's questions."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field, model_validator

from tapetum.search.gallery import Age
from tapetum.search.query import Filter
from tapetum.server.asking import Ask, Grouping
from tapetum.server.schemas.base import Shape
from tapetum.types import Modality

MOST_HITS = 1000
_MOST_IDS = 1000
_MOST_MARKS = 200
_MOST_QUERIES = 32

Text = Annotated[str, Field(min_length=1, max_length=1024, pattern=r"^[^\x00]+$")]
"""An identifier of a tracklet, camera or person as text; the character NUL cannot be stored."""

Number = Annotated[int, Field(strict=True, ge=-(2**63), le=2**63 - 1)]
Identifier = Number | Text
Reason = Annotated[str, Field(max_length=1000, description="Why it is asked; the audit log keeps it.")]


class FiltersIn(Shape):
    """Which tracklets are looked at; every condition that is given must hold."""

    modality: Modality | None = Field(None, description="Only this modality.")
    cameras: list[Identifier] | None = Field(
        None, max_length=_MOST_IDS, description='Only these cameras; 3 and "3" are the same.'
    )
    exclude_cameras: list[Identifier] | None = Field(
        None, max_length=_MOST_IDS, description="None of these cameras."
    )
    persons: list[Identifier] | None = Field(None, max_length=_MOST_IDS, description="Only these people.")
    after: float | None = Field(None, description="Earliest time in seconds, included.")
    before: float | None = Field(None, description="End of the time span in seconds, not included.")

    @model_validator(mode="after")
    def _span(self) -> FiltersIn:
        if self.after is not None and self.before is not None and self.before < self.after:
            raise ValueError("before is earlier than after")
        return self

    def filter(self) -> Filter:
        """The same for a gallery."""
        return Filter(
            modality=self.modality,
            cameras=self.cameras,
            exclude_cameras=self.exclude_cameras,
            persons=self.persons,
            after=self.after,
            before=self.before,
        )


class SearchIn(Shape):
    """A search: by uploads, or by a tracklet of the gallery."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "item_id": "0007/visible/c1/0003",
                    "filters": {"modality": "infrared", "exclude_cameras": [1]},
                    "top": 20,
                    "reason": "missing person, case 2025-114",
                }
            ]
        }
    )

    query_ids: list[Text] = Field(
        [], max_length=_MOST_QUERIES, description="Uploads to search by, all of one person; or none."
    )
    item_id: Text | None = Field(None, description="Tracklet of the gallery to search by instead.")
    filters: FiltersIn = Field(default_factory=FiltersIn, description="Which tracklets are looked at.")
    top: int = Field(20, ge=1, le=MOST_HITS, description="At most this many hits.")
    rerank_head: int | None = Field(
        None, ge=1, le=MOST_HITS, description="So many of the nearest are ranked anew by their neighbours."
    )
    group: Grouping | None = Field(None, description="Answer with the best hit of each person or camera.")
    min_probability: float | None = Field(
        None, ge=0, le=1, description="Where no hit reaches it, the person is unknown; needs a calibration."
    )
    prior: float | None = Field(
        None, gt=0, lt=1, description="Probability that a tracklet shows the person, before it is compared."
    )
    right: list[Text] = Field(
        [], max_length=_MOST_MARKS, description="Tracklets that show the person; needs the role operator."
    )
    wrong: list[Text] = Field(
        [], max_length=_MOST_MARKS, description="Tracklets of somebody else; needs the role operator."
    )
    reason: Reason = ""

    @model_validator(mode="after")
    def _one_question(self) -> SearchIn:
        if (self.item_id is None) == (not self.query_ids):
            raise ValueError("give either query_ids or item_id")
        return self

    def ask(self) -> Ask:
        """The same for the service."""
        return Ask(
            query_ids=self.query_ids,
            item_id=self.item_id,
            filters=self.filters.filter(),
            top=self.top,
            rerank_head=self.rerank_head,
            group=self.group,
            min_probability=self.min_probability,
            prior=self.prior,
            right=self.right,
            wrong=self.wrong,
            reason=self.reason,
        )


class FeedbackIn(SearchIn):
    """A search again, with answers of the last one marked."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "query_ids": ["mV0m0mYkS0S0M3q1b1d2Xw"],
                    "right": ["0007/infrared/c3/0012"],
                    "wrong": ["0019/infrared/c3/0004"],
                }
            ]
        }
    )

    @model_validator(mode="after")
    def _marks(self) -> FeedbackIn:
        if not self.right and not self.wrong:
            raise ValueError("mark at least one tracklet as right or wrong")
        return self


class EraseIn(Shape):
    """Whose tracklets, or which, are removed for good."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"person_ids": ["0007"], "reason": "request of 2025-11-03"}]}
    )

    person_ids: list[Identifier] = Field(
        [], max_length=_MOST_IDS, description="All tracklets of these people."
    )
    item_ids: list[Text] = Field([], max_length=_MOST_IDS, description="These tracklets.")
    reason: Reason = ""
    dry_run: bool = Field(False, description="Only count them.")

    @model_validator(mode="after")
    def _something(self) -> EraseIn:
        if not self.person_ids and not self.item_ids:
            raise ValueError("give person_ids or item_ids")
        return self


class PurgeIn(Shape):
    """How old what is removed for good is."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"before": 1761069600.0, "by": "seen"}]})

    before: float = Field(description="Unix time in seconds; what is older is removed.")
    by: Age = Field("seen", description='Whether age counts from when it was "seen" or "stored".')
    reason: Reason = ""
    dry_run: bool = Field(False, description="Only count them.")


class SignInIn(Shape):
    """A token, to be shown once for a session."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"token": "tpt_zH2v0mYkS0S0M3q1b1d2XwzH2v0mYkS0S0M3q1b1d2"}]}
    )

    token: str = Field(min_length=1, max_length=256)
