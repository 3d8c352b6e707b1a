"""What administrators do: erase, purge, and read the audit log."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query, Request

from tapetum.server.audit import records_before
from tapetum.server.refusals import Invalid, NotFound, Unavailable
from tapetum.server.routes.parts import GUARDED, Admin, Service, caretaker_of, errors
from tapetum.server.schemas.answered import AuditOut, RemovalOut
from tapetum.server.schemas.asked import EraseIn, PurgeIn

router = APIRouter(tags=["administration"], dependencies=GUARDED)


@router.post("/erase", summary="Erase people or tracklets", responses=errors())
async def erase(wish: EraseIn, request: Request, user: Admin) -> RemovalOut:
    """Remove tracklets from the gallery and from the disk, for good; `dry_run` only counts them.

    Kept in the audit log before it is done. Tracklets that are not there are passed over.
    """
    removal = await caretaker_of(request).erase(
        by=user,
        person_ids=wish.person_ids,
        item_ids=wish.item_ids,
        reason=wish.reason,
        dry_run=wish.dry_run,
    )
    return RemovalOut.of(removal)


@router.post("/purge", summary="Remove what is old", responses=errors())
async def purge(wish: PurgeIn, request: Request, user: Admin) -> RemovalOut:
    """Remove tracklets that are older than an instant, from the disk too; `dry_run` only counts them.

    Kept in the audit log before it is done.
    """
    removal = await caretaker_of(request).purge(
        wish.before, by=user, age=wish.by, reason=wish.reason, dry_run=wish.dry_run
    )
    return RemovalOut.of(removal)


@router.get("/audit", summary="Read the audit log", responses=errors(404))
async def get_audit(
    service: Service,
    user: Admin,
    before: Annotated[
        int | None, Query(ge=0, le=2**62, description="`next` of the page before; none: the newest.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=1000, description="At most so many.")] = 100,
) -> AuditOut:
    """Records of the audit log, newest first. That it was read is recorded too."""
    log = service.recorder.log
    if log is None:
        raise NotFound("this service keeps no audit log")
    most = min(limit, service.settings.limits.page)
    try:
        records, rest = await asyncio.to_thread(records_before, log.path, before, most)
    except ValueError as error:
        raise Invalid(str(error), field="before") from None
    except OSError as error:
        raise Unavailable("the audit log cannot be read") from error
    await service.recorder.write("audit", user, {"records": len(records)})
    return AuditOut(records=records, next=rest)
