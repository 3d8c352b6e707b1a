"""Pictures for the page: of tracklets of the gallery, and of uploads, each as one sheet."""

from __future__ import annotations

from fastapi import APIRouter, Response

from tapetum.server.page.files import static_file
from tapetum.server.page.sheets import draw_sheet
from tapetum.server.refusals import NotFound, refusing
from tapetum.server.routes.parts import Viewer
from tapetum.server.service import SearchService

FILM = 4
"""Pictures of a tracklet at most: the width of its film."""

_OF_QUERY = 8
_KEPT = {"Cache-Control": "private, max-age=300"}
"""The browser of whoever may see a picture keeps it for a while; nothing between does."""


class Showing:
    """The routes of the page's pictures."""

    def __init__(self, service: SearchService) -> None:
        """Show pictures of `service`."""
        self._service = service
        self._nothing = static_file("no-picture.svg")

    def add_to(self, router: APIRouter) -> None:
        """Add the routes."""
        router.add_api_route("/sheets/item", self.item, methods=["GET"], response_model=None)
        router.add_api_route("/sheets/query", self.query, methods=["GET"], response_model=None)

    async def item(self, _: Viewer, id: str, most: int = FILM) -> Response:
        """Pictures of a tracklet, the best first; a drawing that says so where it has none."""
        gallery, most = self._service.gallery, min(max(most, 1), FILM)
        try:
            with refusing():
                sheet = await self._service.reads.run(lambda: draw_sheet(gallery.thumbnails(id)[:most], most))
        except NotFound:
            return self._drawing(404)
        return self._picture(sheet)

    async def query(self, user: Viewer, id: str) -> Response:
        """Pictures of an upload of the user's own."""
        try:
            count = self._service.query(id, by=user).pictures
            pictures = [self._service.query_picture(id, number, by=user) for number in range(count)]
        except NotFound:
            return self._drawing(404)
        return self._picture(await self._service.reads.run(lambda: draw_sheet(pictures, _OF_QUERY)))

    def _picture(self, sheet: bytes | None) -> Response:
        if sheet is None:
            return self._drawing(200)
        return Response(sheet, media_type="image/jpeg", headers=_KEPT)

    def _drawing(self, status: int) -> Response:
        return Response(self._nothing, status, media_type="image/svg+xml", headers=_KEPT)
