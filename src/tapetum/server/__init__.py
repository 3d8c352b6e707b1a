"""A service for a gallery: REST, a page, and what keeps strangers out. `app.create_app` puts it together."""

from tapetum.server.asking import Answer, Ask, Item, QueryHandle
from tapetum.server.settings import Limits, ServerSettings

__all__ = ["Answer", "Ask", "Item", "Limits", "QueryHandle", "ServerSettings"]
