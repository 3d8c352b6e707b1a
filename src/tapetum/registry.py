"""Find things by name: a file in a package folder is an entry, and the file's name is its name.

`methods/clip_baseline.py` is the method "clip-baseline". A file is imported when its entry is first asked
for; files that start with an underscore are machinery and no entries.
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from types import ModuleType


def names(package: str) -> list[str]:
    """All entries of `package` (dotted), sorted, in their dashed spelling."""
    folder = importlib.import_module(package)
    found = (m.name for m in pkgutil.iter_modules(folder.__path__) if not m.name.startswith("_"))
    return sorted(name.replace("_", "-") for name in found)


def load(package: str, name: str, kind: str) -> ModuleType:
    """Import the entry `name` of `package`.

    Raises:
        ValueError: No such entry; the message lists the close ones. `kind` says what it should have been.
    """
    known = names(package)
    if name not in known:
        raise ValueError(unknown(kind, name, known))
    return importlib.import_module(f"{package}.{name.replace('-', '_')}")


def unknown(kind: str, name: str, known: list[str]) -> str:
    """One sentence for a name that does not exist: what was asked for, and what may have been meant."""
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f"known: {', '.join(known) or 'none'}"
    if close:
        hint = f"did you mean {' or '.join(map(repr, close))}?"
    return f"unknown {kind} {name!r}; {hint}"
