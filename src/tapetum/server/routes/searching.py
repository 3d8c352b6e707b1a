"""Searches."""

from __future__ import annotations

from fastapi import APIRouter, Request

from tapetum.server.access import refuse_role
from tapetum.server.routes.parts import GUARDED, Operator, Service, Viewer, errors, unless_gone
from tapetum.server.schemas.answered import AnswerOut
from tapetum.server.schemas.asked import FeedbackIn, SearchIn
from tapetum.server.users import Role

router = APIRouter(tags=["search"], dependencies=GUARDED)


@router.post("/search", summary="Find a person", responses=errors(404, 409))
async def search(wish: SearchIn, request: Request, service: Service, user: Viewer) -> AnswerOut:
    """The tracklets nearest to a query, nearest first.

    By uploads (`query_ids`), of which several together show one person, or by a tracklet of the gallery
    (`item_id`), which is left out of the answer. Fewer hits than `top` mean that no more pass the filters.
    Every search is kept in the audit log, where there is one.
    """
    if wish.query_ids or wish.right or wish.wrong:
        refuse_role(user, Role.OPERATOR)
    return AnswerOut.of(await unless_gone(request, service.search(wish.ask(), by=user)))


@router.post("/feedback", summary="Search again with marked answers", responses=errors(404, 409))
async def search_with_feedback(
    wish: FeedbackIn, request: Request, service: Service, user: Operator
) -> AnswerOut:
    """The same search, improved by answers that were marked as right or wrong.

    Right ones stay in the answer, marked; wrong ones are left out. Send all marks each time: nothing is
    remembered between searches.
    """
    return AnswerOut.of(await unless_gone(request, service.search(wish.ask(), by=user)))
