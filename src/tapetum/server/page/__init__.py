"""The page: search in a browser. Templates and files in this folder, no build step, nothing from elsewhere."""

from tapetum.server.page.mounting import add_page

__all__ = ["add_page"]
