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
    return json_of(path.read_bytes(), form, str(path), what)


def json_of(text: str | bytes, form: str, where: str, what: str) -> dict[str, Any]:
    """The object of a JSON text whose key "format" is `form`; versions are the caller's to check.

    Args:
        text: The text; bytes are UTF-8.
        form: Name of the format.
        where: Where the text was found, for the message.
        what: What such a text is, for the message, such as "a gallery".

    Raises:
        DataError: It is no JSON, no object, or of another format.
    """
    try:
        content = json.loads(text)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{where}: not JSON: {error}") from None
    if not isinstance(content, dict) or content.get("format") != form:
        raise DataError(f"{where}: not {what} (expected format {form!r})")
    return content
