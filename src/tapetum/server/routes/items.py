"""The gallery's tracklets and their pictures."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import FiniteFloat

from tapetum.search.query import Filter
from tapetum.server.refusals import Invalid
from tapetum.server.routes.parts import GUARDED, Admin, Service, Viewer, caretaker_of, errors
from tapetum.server.schemas.answered import ItemDetailOut, ItemOut, ItemsOut, RemovalOut
from tapetum.server.schemas.asked import Reason, Text
from tapetum.types import Modality

router = APIRouter(prefix="/items", tags=["items"], dependencies=GUARDED)

ItemId = Annotated[
    str,
    Path(
        min_length=1,
        max_length=1024,
        pattern=r"^[^\x00]+$",
        description="Names a tracklet; it may hold slashes, written as they are or as %2F.",
    ),
]
Number = Annotated[int, Path(ge=0, le=100_000, description="Which thumbnail, from 0; the best is the first.")]

_DEEPEST = 10_000_000


async def _filters(
    modality: Annotated[Modality | None, Query(description="Only this modality.")] = None,
    camera: Annotated[list[Text] | None, Query(max_length=100, description="Only these cameras.")] = None,
    exclude_camera: Annotated[
        list[Text] | None, Query(max_length=100, description="None of these cameras.")
    ] = None,
    person: Annotated[list[Text] | None, Query(max_length=100, description="Only these people.")] = None,
    after: Annotated[FiniteFloat | None, Query(description="Earliest time in seconds.")] = None,
    before: Annotated[FiniteFloat | None, Query(description="End of the time span, not included.")] = None,
) -> Filter:
    if after is not None and before is not None and before < after:
        raise Invalid("before is earlier than after", field="before")
    return Filter(
        modality=modality,
        cameras=camera,
        exclude_cameras=exclude_camera,
        persons=person,
        after=after,
        before=before,
    )


@router.get("", summary="Leaf through the gallery", responses=errors())
async def list_items(
    service: Service,
    user: Viewer,
    where: Annotated[Filter, Depends(_filters)],
    offset: Annotated[int, Query(ge=0, le=_DEEPEST, description="How many to pass over.")] = 0,
    limit: Annotated[
        int, Query(ge=1, le=1000, description="At most so many; the service may give fewer.")
    ] = 50,
) -> ItemsOut:
    """Tracklets that pass the filters, in gallery order. Kept in the audit log."""
    page = await service.items(where, by=user, offset=offset, limit=limit)
    return ItemsOut(items=[ItemOut.of(t) for t in page.tracklets], offset=page.offset, total=page.total)


@router.get(
    "/{item_id:path}/thumbnails/{number}",
    summary="A picture of a tracklet",
    response_class=Response,
    responses={200: {"content": {"image/jpeg": {}}}, **errors(404)},
)
async def get_thumbnail(item_id: ItemId, number: Number, service: Service, user: Viewer) -> Response:
    """One of a tracklet's pictures, as JPEG."""
    return Response(await service.thumbnail(item_id, number), media_type="image/jpeg")


@router.get("/{item_id:path}", summary="A tracklet", responses=errors(404))
async def get_item(item_id: ItemId, service: Service, user: Viewer) -> ItemDetailOut:
    """What is known of a tracklet, and how many pictures there are. Kept in the audit log."""
    return ItemDetailOut.of(await service.item(item_id, by=user))


@router.delete("/{item_id:path}", summary="Erase a tracklet", responses=errors(404))
async def erase_item(
    item_id: ItemId, request: Request, user: Admin, reason: Annotated[Reason, Query()] = ""
) -> RemovalOut:
    """Remove a tracklet from the gallery and from the disk, for good. Kept in the audit log."""
    return RemovalOut.of(await caretaker_of(request).erase_item(item_id, by=user, reason=reason))
