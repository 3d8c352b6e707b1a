"""What the places of files say about them: patterns such as "{person_id}/{modality}/{camera_id}/*.jpg"."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tapetum.registry import unknown

_TOKEN = re.compile(r"\{(?P<field>[^{}/]*)\}|(?P<deep>\*\*/)|(?P<any>\*)|(?P<literal>[^*{}]+)|(?P<stray>.)")


@dataclass(frozen=True, slots=True)
class PathPattern:
    """A pattern of relative paths with forward slashes.

    Attributes:
        text: As it was written.
        fields: Its fields, in order of appearance, each once.
        expression: The same as a regular expression.
    """

    text: str
    fields: tuple[str, ...]
    expression: re.Pattern[str]

    @classmethod
    def compile(cls, text: str, known: Sequence[str]) -> PathPattern:
        r"""A pattern from its text.

        `{name}` stands for at least one character of a file's or folder's name and gives it to a field; the
        same field may stand in several places and must then be the same text. `*` stands for anything in a
        name, `**/` for any folders. Everything else stands for itself.

        >>> pattern = PathPattern.compile("{person}/*/{person}_c{camera}.jpg", ["person", "camera"])
        >>> pattern.match("0007/rgb/0007_c3.jpg")
        {'person': '0007', 'camera': '3'}
        >>> pattern.match("0007/rgb/0008_c3.jpg") is None
        True

        Args:
            text: The pattern.
            known: Fields that it may have.

        Raises:
            ValueError: An unknown field, two fields with nothing between them, a lone brace, no field at all.
        """
        parts: list[str] = []
        fields: list[str] = []
        open_end = False  # whether the last token has no end of its own
        for token in _TOKEN.finditer(text.removeprefix("./")):
            name = token["field"]
            if token["stray"]:
                raise ValueError(
                    f"pattern {text!r}: {token['stray']!r} without its partner; fields are {{name}}"
                )
            if name is not None and name not in known:
                raise ValueError(f"pattern {text!r}: {unknown('field', name, list(known))}")
            if open_end and (name is not None or token["any"]):
                raise ValueError(
                    f"pattern {text!r}: nothing parts {token[0]} from what is before it; put a text between"
                )
            open_end = name is not None or token["any"] is not None
            parts.append(_expression(token, name in fields))
            if name is not None and name not in fields:
                fields.append(name)
        if not fields:
            raise ValueError(f"pattern {text!r} has no field; known: {', '.join(known)}")
        return cls(text, tuple(fields), re.compile("".join(parts), re.DOTALL))

    def match(self, path: str) -> dict[str, str] | None:
        """The text of each field in a path; None where the path is not of the pattern."""
        found = self.expression.fullmatch(path)
        return found.groupdict() if found else None


def _expression(token: re.Match[str], again: bool) -> str:
    if token["field"] is not None:
        return f"(?P={token['field']})" if again else f"(?P<{token['field']}>[^/]+?)"
    if token["deep"]:
        return "(?:[^/]+/)*"
    return "[^/]*" if token["any"] else re.escape(token["literal"])
