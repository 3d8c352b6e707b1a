"""The page joins the service's application."""

from __future__ import annotations

from fastapi import APIRouter, FastAPI

from tapetum.server.page.answering import Answering
from tapetum.server.page.browsing import Browsing
from tapetum.server.page.exporting import Exporting
from tapetum.server.page.files import StaticFolder, static_address
from tapetum.server.page.rendering import Pages
from tapetum.server.page.routing import PageRoute
from tapetum.server.page.searching import Searching
from tapetum.server.page.showing import Showing
from tapetum.server.page.signing_in import SigningIn
from tapetum.server.service import SearchService


def add_page(app: FastAPI, service: SearchService) -> None:
    """Give an application the page, at `/`.

    Args:
        app: Where the page is shown; its state holds who may ask.
        service: What answers.
    """
    address = static_address()
    pages = Pages(address)
    answering = Answering(service)
    router = APIRouter(route_class=PageRoute, include_in_schema=False)
    Searching(service, pages, answering).add_to(router)
    Browsing(service, pages).add_to(router)
    Exporting(service, pages, answering).add_to(router)
    Showing(service).add_to(router)
    SigningIn(pages).add_to(router)
    app.state.pages = pages
    app.mount(address, StaticFolder(), name="static")
    app.include_router(router)
