"""Pictures to search by: uploaded, looked at, forgotten."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response

from tapetum.server.receiving import FORM, Receiver
from tapetum.server.routes.parts import GUARDED, Operator, Service, errors
from tapetum.server.schemas.answered import QueryOut

router = APIRouter(prefix="/queries", tags=["queries"], dependencies=GUARDED)

QueryId = Annotated[str, Path(min_length=1, max_length=64, description="As the upload was answered.")]
Number = Annotated[int, Path(ge=0, le=100_000, description="Which picture, from 0.")]

_FORM_SCHEMA: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            FORM: {
                "schema": {
                    "type": "object",
                    "required": ["files"],
                    "additionalProperties": False,
                    "properties": {
                        "files": {
                            "type": "array",
                            "minItems": 1,
                            "items": {"type": "string", "format": "binary"},
                            "description": (
                                "JPEG, PNG, BMP or WebP; what a file is, its content says. In time order "
                                "where they are frames of a tracklet."
                            ),
                        },
                        "kind": {
                            "type": "string",
                            "enum": ["images", "tracklet"],
                            "default": "images",
                            "description": "Several views of one person, or the frames of one tracklet.",
                        },
                        "modality": {
                            "type": "string",
                            "enum": ["auto", "visible", "infrared"],
                            "default": "auto",
                            "description": "How they were seen; auto: infrared where they have no colour.",
                        },
                    },
                },
                "encoding": {"files": {"contentType": "image/jpeg, image/png, image/bmp, image/webp"}},
            }
        },
    }
}


@router.post(
    "",
    status_code=201,
    summary="Upload pictures to search by",
    responses=errors(409, 415),
    openapi_extra=_FORM_SCHEMA,
)
async def create_query(request: Request, service: Service, user: Operator) -> QueryOut:
    """Keep pictures of one person for a while, for searches by the query's id.

    They are turned as their EXIF data say; all else that a file holds beside its pixels is dropped. Nobody
    but the user who uploaded them can use or see them. Nothing is written to a disk.
    """
    service.model()  # nothing is received in vain
    receiver: Receiver = request.app.state.receiver
    upload = await receiver.receive(request)
    handle = await service.upload(upload.files, by=user, kind=upload.kind, modality=upload.modality)
    return QueryOut.of(handle)


@router.get("/{query_id}", summary="An upload", responses=errors(404))
async def get_query(query_id: QueryId, service: Service, user: Operator) -> QueryOut:
    """What was said of an upload; it is kept longer for it."""
    return QueryOut.of(service.query(query_id, by=user))


@router.delete("/{query_id}", status_code=204, summary="Forget an upload", responses=errors(404))
async def delete_query(query_id: QueryId, service: Service, user: Operator) -> None:
    """Forget the pictures and what was made of them."""
    service.drop_query(query_id, by=user)


@router.get(
    "/{query_id}/pictures/{number}",
    summary="A picture of an upload",
    response_class=Response,
    responses={200: {"content": {"image/jpeg": {}}}, **errors(404)},
)
async def get_query_picture(query_id: QueryId, number: Number, service: Service, user: Operator) -> Response:
    """A picture as it was understood, small, as JPEG."""
    return Response(service.query_picture(query_id, number, by=user), media_type="image/jpeg")
