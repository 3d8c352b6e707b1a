"""The gallery, leafed through: to see what is in it, and to pick whom to search by."""

from __future__ import annotations

import math

from fastapi import APIRouter, Request, Response

from tapetum.server.page.forms import PAGE, read_page, read_where
from tapetum.server.page.rendering import Pages
from tapetum.server.routes.parts import Viewer
from tapetum.server.service import SearchService


class Browsing:
    """The routes of the gallery's pages."""

    def __init__(self, service: SearchService, pages: Pages) -> None:
        """Leaf through the gallery of `service`."""
        self._service = service
        self._pages = pages

    def add_to(self, router: APIRouter) -> None:
        """Add the routes."""
        router.add_api_route("/gallery", self.browse, methods=["GET"], response_model=None)

    async def browse(self, request: Request, user: Viewer) -> Response:
        """One page of the tracklets that pass the filters of the address."""
        where = read_where(request.query_params)
        number = read_page(request.query_params)
        limit = min(PAGE, self._service.settings.limits.page)
        page = await self._service.items(where.filter(), by=user, offset=(number - 1) * limit, limit=limit)
        return self._pages.show(
            request,
            "gallery.html",
            user=user,
            here="gallery",
            where=where,
            fields=where.fields(),
            number=number,
            page=page,
            pages=math.ceil(page.total / limit),
            info=await self._service.info(),
            cameras=await self._service.cameras(),
        )
