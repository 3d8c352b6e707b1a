"""Tapetum: visible-infrared person re-identification.

`load` reads a trained model, `create_method` builds a new one, `models` holds the networks. Each is imported
when it is first asked for, so that importing the package alone stays quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tapetum import models
    from tapetum.methods import create_method
    from tapetum.model import load

__all__ = ["create_method", "load", "models"]

_HOMES = {"create_method": "tapetum.methods", "load": "tapetum.model"}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    if name == "models":
        return importlib.import_module("tapetum.models")
    raise AttributeError(f"module 'tapetum' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
