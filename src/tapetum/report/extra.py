"""Loading of the packages that only reports need."""

from __future__ import annotations

import importlib
from types import ModuleType

from tapetum.errors import MissingExtraError


def load_extra(module: str) -> ModuleType:
    """A module of the `report` extra (matplotlib, scikit-learn, jinja2), imported when first asked for.

    Raises:
        MissingExtraError: It is not installed; the message says what to install.
    """
    try:
        return importlib.import_module(module)
    except ImportError:
        raise MissingExtraError(module.partition(".")[0], "report") from None
