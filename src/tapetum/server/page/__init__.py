"""The page: search in a browser. Templates and files lie here; no build step, nothing from elsewhere."""

from tapetum.server.page.mounting import add_page

__all__ = ["add_page"]
