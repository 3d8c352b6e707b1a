"""Whether the service is well, and what it is."""

from __future__ import annotations

from dataclasses import asdict

from fastapi import APIRouter, Response

from tapetum.server.metrics import CONTENT_TYPE
from tapetum.server.routes.parts import GUARDED, OPEN, Service, Viewer, errors
from tapetum.server.schemas.answered import AliveOut, CameraOut, CamerasOut, HealthOut, InfoOut

router = APIRouter(tags=["service"])


@router.get(
    "/health",
    summary="Whether the service can answer",
    dependencies=OPEN,
    responses={503: {"model": HealthOut, "description": "Something is not well."}, **errors(guarded=False)},
)
async def get_health(service: Service, response: Response) -> HealthOut:
    """Readiness: whether gallery, model and audit log can be used. Needs no token.

    The checks are made anew every few seconds.
    """
    found = await service.health()
    response.status_code = 200 if found.ready else 503
    return HealthOut.of(found)


@router.get(
    "/health/live",
    summary="Whether the process answers",
    dependencies=OPEN,
    responses=errors(guarded=False),
)
async def get_liveness() -> AliveOut:
    """Liveness: the process takes requests; nothing else is looked at. Needs no token."""
    return AliveOut()


@router.get(
    "/metrics",
    summary="Counts and times for Prometheus",
    dependencies=GUARDED,
    response_class=Response,
    responses={200: {"content": {"text/plain": {"example": "tapetum_waiting_clips 0.0"}}}, **errors()},
)
async def get_metrics(service: Service, user: Viewer) -> Response:
    """Requests and how long they took, batches, waiting clips, and the size of the gallery, as text."""
    return Response(await service.metrics_text(), media_type=CONTENT_TYPE)


@router.get("/info", summary="What is served", dependencies=GUARDED, responses=errors())
async def get_info(service: Service, user: Viewer) -> InfoOut:
    """The gallery, the model and what can be asked."""
    return InfoOut(**asdict(await service.info()))


@router.get("/cameras", summary="The gallery's cameras", dependencies=GUARDED, responses=errors())
async def get_cameras(service: Service, user: Viewer) -> CamerasOut:
    """Each camera with the number of its tracklets, integers first; counted anew every few seconds."""
    return CamerasOut(cameras=[CameraOut.of(camera) for camera in await service.cameras()])
