"""The shapes of what REST gives: the outside's words for the inside's answers."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field, JsonValue

from tapetum.search.query import Group, Hit
from tapetum.server.asking import Answer, Camera, Health, Item, QueryHandle, Removal, UploadKind
from tapetum.server.schemas.base import Shape
from tapetum.server.users import Role
from tapetum.types import Id, Modality, Tracklet

# In the published description no value of an example may be null: it would be missing there.
_ITEM: dict[str, JsonValue] = {
    "item_id": "0007/infrared/c3/0012",
    "person_id": 7,
    "camera_id": 3,
    "modality": "infrared",
    "time": 1763661600.0,
    "frames": 24,
}


_RECORD: dict[str, JsonValue] = {
    "format": 1,
    "previous": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "time": "2026-05-04T06:00:00.000+00:00",
    "action": "look",
    "user": "ada",
    "role": "operator",
    "address": "192.0.2.7",
    "request_id": "1701fc78b229f73c",
    "reason": "",
    "ids": ["0007/infrared/c3/0012"],
}
_INFO: dict[str, JsonValue] = {
    "version": "0.1.0",
    "storage": "lancedb",
    "count": 5120,
    "modalities": {"visible": 2560, "infrared": 2560},
    "cameras": 8,
    "first_time": 1777852800.0,
    "last_time": 1777939200.0,
    "exact": False,
    "recall": 0.97,
    "model": "6b86b273ff34",
    "dimension": 768,
    "trained_on": "hitsz-vcm",
    "takes_pictures": True,
    "calibrated": True,
    "requires_reason": False,
    "audited": True,
}


class ItemOut(Shape):
    """A tracklet of the gallery."""

    model_config = ConfigDict(json_schema_extra={"examples": [_ITEM]})

    item_id: str = Field(description="Names it.")
    person_id: Id | None = Field(description="Who it is, where somebody said so.")
    camera_id: Id | None = Field(description="Which camera saw it.")
    modality: Modality = Field(description="How the camera saw.")
    time: float | None = Field(description="When, in seconds; Unix time where the source had it.")
    frames: int = Field(description="Frames that it was made of.")

    @classmethod
    def of(cls, tracklet: Tracklet) -> ItemOut:
        """A tracklet without its files."""
        return cls(
            item_id=tracklet.tracklet_id,
            person_id=tracklet.person_id,
            camera_id=tracklet.camera_id,
            modality=tracklet.modality,
            time=tracklet.time,
            frames=len(tracklet.frames),
        )


class ItemDetailOut(Shape):
    """A tracklet of the gallery with the number of its pictures."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"item": _ITEM, "thumbnails": 4}]})

    item: ItemOut
    thumbnails: int = Field(description="Pictures of it, numbered from 0, the best first.")

    @classmethod
    def of(cls, item: Item) -> ItemDetailOut:
        """An item as it is shown."""
        return cls(item=ItemOut.of(item.tracklet), thumbnails=item.thumbnails)


class ItemsOut(Shape):
    """A stretch of the gallery's tracklets, in gallery order."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"items": [_ITEM], "offset": 0, "total": 5120}]}
    )

    items: list[ItemOut]
    offset: int = Field(description="How many stand before them.")
    total: int = Field(description="How many pass the filter.")


class GroupOut(Shape):
    """The group whose first hit an answer shows."""

    key: Id | None = Field(description="The person or camera; null where unknown.")
    size: int = Field(description="Tracklets of it that were searched.")

    @classmethod
    def of(cls, group: Group) -> GroupOut:
        """A group as it is shown."""
        return cls(key=group.key, size=group.size)


class HitOut(Shape):
    """A tracklet that was found."""

    rank: int = Field(description="Place in the answer, from 1.")
    similarity: float = Field(description="Cosine, -1 to 1; higher is nearer.")
    distance: float = Field(description="1 - similarity; lower is nearer.")
    probability: float | None = Field(description="That it shows the person; null without a calibration.")
    marked: Literal["right"] | None = Field(description="Whether the asker marked it as right.")
    group: GroupOut | None = Field(description="Its group, where the answer is grouped.")
    item: ItemOut

    @classmethod
    def of(cls, hit: Hit, group: Group | None) -> HitOut:
        """A hit as it is shown."""
        return cls(
            rank=hit.rank,
            similarity=hit.similarity,
            distance=hit.distance,
            probability=hit.probability,
            marked=hit.marked,
            group=None if group is None else GroupOut.of(group),
            item=ItemOut.of(hit.tracklet),
        )


class AnswerOut(Shape):
    """What was found, nearest first."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "seen": "visible",
                    "manner": "approximate, recall 0.97",
                    "exact": False,
                    "recall": 0.97,
                    "searched": 5120,
                    "reranked": False,
                    "unknown": False,
                    "took_ms": 12.5,
                    "hits": [
                        {
                            "rank": 1,
                            "similarity": 0.83,
                            "distance": 0.17,
                            "probability": 0.91,
                            "marked": "right",
                            "group": {"key": 7, "size": 12},
                            "item": _ITEM,
                        }
                    ],
                }
            ]
        }
    )

    seen: Modality = Field(description="How the query was seen.")
    manner: str = Field(description='"exact", or "approximate, recall 0.97".')
    exact: bool = Field(description="Whether every tracklet that passes the filter was compared.")
    recall: float | None = Field(
        description="Where not exact: share of true nearest tracklets that is found."
    )
    searched: int = Field(description="Tracklets that pass the filter.")
    reranked: bool = Field(description="Whether the head was ranked anew; distances then need not rise.")
    unknown: bool | None = Field(
        description="With min_probability: whether no hit reaches it; null where it was not asked."
    )
    took_ms: float = Field(description="From the question to the answer, in milliseconds.")
    hits: list[HitOut]

    @classmethod
    def of(cls, answer: Answer) -> AnswerOut:
        """An answer as it is shown."""
        found = answer.result
        groups = found.groups or (None,) * len(found)
        return cls(
            seen=answer.seen,
            manner=answer.manner,
            exact=found.exact,
            recall=found.recall,
            searched=found.searched,
            reranked=found.reranked,
            unknown=None if found.min_probability is None else found.is_unknown,
            took_ms=answer.took_ms,
            hits=[HitOut.of(hit, group) for hit, group in zip(found.hits, groups, strict=True)],
        )


class QueryOut(Shape):
    """Pictures that were uploaded and are kept for a while."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "query_id": "mV0m0mYkS0S0M3q1b1d2Xw",
                    "kind": "images",
                    "pictures": 1,
                    "modalities": ["infrared"],
                    "sha256": ["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"],
                    "expires_at": 1763663400.0,
                }
            ]
        }
    )

    query_id: str = Field(description="Names them in a search.")
    kind: UploadKind = Field(description="Several views of one person, or the frames of one tracklet.")
    pictures: int = Field(description="How many there are.")
    modalities: list[Modality] = Field(description="How each was seen; one for a tracklet.")
    sha256: list[str] = Field(description="Digest of each file.")
    expires_at: float = Field(description="Unix time at which they are forgotten; every use puts it off.")

    @classmethod
    def of(cls, handle: QueryHandle) -> QueryOut:
        """An upload as it is shown."""
        return cls(
            query_id=handle.query_id,
            kind=handle.kind,
            pictures=handle.pictures,
            modalities=list(handle.modalities),
            sha256=list(handle.digests),
            expires_at=handle.expires_at,
        )


class CameraOut(Shape):
    """A camera of the gallery."""

    camera_id: Id
    tracklets: int = Field(description="What it saw.")

    @classmethod
    def of(cls, camera: Camera) -> CameraOut:
        """A camera as it is shown."""
        return cls(camera_id=camera.camera_id, tracklets=camera.tracklets)


class CamerasOut(Shape):
    """The cameras of the gallery, integers first."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"cameras": [{"camera_id": 3, "tracklets": 640}]}]}
    )

    cameras: list[CameraOut]


class InfoOut(Shape):
    """What is served; see each field."""

    model_config = ConfigDict(json_schema_extra={"examples": [_INFO]})

    version: str = Field(description="Of Tapetum.")
    storage: str = Field(description='How the gallery is stored: "memory", "numpy", "lancedb" or "qdrant".')
    count: int = Field(description="Tracklets in the gallery.")
    modalities: dict[str, int] = Field(description="Tracklets of each modality.")
    cameras: int = Field(description="Number of cameras.")
    first_time: float | None = Field(description="Earliest known time in seconds.")
    last_time: float | None = Field(description="Latest known time in seconds.")
    exact: bool = Field(description="Whether all searches are exact.")
    recall: float | None = Field(description="Where not: share of true nearest tracklets that is found.")
    model: str | None = Field(description="Fingerprint of the model; null where the gallery is empty.")
    dimension: int | None = Field(description="Length of an embedding.")
    trained_on: str = Field(description='What the model was trained on; "" where unknown.')
    takes_pictures: bool = Field(description="Whether pictures can be uploaded and searched by.")
    calibrated: bool = Field(description="Whether hits carry probabilities.")
    requires_reason: bool = Field(description="Whether every search must say why.")
    audited: bool = Field(description="Whether an audit log is kept.")


class HealthOut(Shape):
    """Whether the service can answer."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"status": "ok", "checks": {"gallery": True, "encoder": True, "audit": True}}]
        }
    )

    status: Literal["ok", "unavailable"]
    checks: dict[str, bool] = Field(description="What was looked at, and whether it is well.")

    @classmethod
    def of(cls, health: Health) -> HealthOut:
        """Health as it is shown."""
        return cls(status="ok" if health.ready else "unavailable", checks=health.checks)


class AliveOut(Shape):
    """That the process answers."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"status": "alive"}]})

    status: Literal["alive"] = "alive"


class RemovalOut(Shape):
    """What was removed, or would be."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"count": 12, "done": True}]})

    count: int = Field(description="Tracklets.")
    done: bool = Field(description="False where they were only counted.")

    @classmethod
    def of(cls, removal: Removal) -> RemovalOut:
        """A removal as it is shown."""
        return cls(count=removal.count, done=removal.done)


class AuditOut(Shape):
    """Records of the audit log, newest first."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"records": [_RECORD], "next": 20480}]})

    records: list[dict[str, Any]] = Field(description="As they stand in the log.")
    next: int | None = Field(
        description="Value of `before` for the records before these; null: none are left."
    )


class UserOut(Shape):
    """Who asks."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "ada", "role": "operator", "csrf_token": "dGhlIHBhZ2U"}]}
    )

    name: str = Field(description='Of the token; "local" where there are none.')
    role: Role
    csrf_token: str | None = Field(
        description="What a browser sends as X-CSRF-Token with POST and DELETE; null where a token was shown."
    )
