"""Files of JSON that say their own format, damaged and foreign ones refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tapetum.errors import DataError


def read_json_of(path: Path, form: str, what: str) -> dict[str, Any]:
    """The object of a JSON file whose key "format" is `form`; versions are the caller's to check.

    Args:
        path: The file.
        form: Name of the format.
        what: What such a file is, for the message, such as "a gallery".

    Raises:
        OSError: The file cannot be read.
        DataError: It is no JSON, no object, or of another format.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not JSON: {error}") from None
    if not isinstance(content, dict) or content.get("format") != form:
        raise DataError(f"{path}: not {what} (expected format {form!r})")
    return content
