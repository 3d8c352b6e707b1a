"""Values of the shapes in an OpenAPI description, values that miss them, and what is wrong with one."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Schema = Mapping[str, Any]

LETTERS = "aZ09 _-./\\%&?#'\"<>{}~é\u00df\u4e2d\u202e\U0001f600\t\n\r\x01\x7f"
ODD: Sequence[Any] = (
    *(None, True, False, 0, -1, 1, 3.5, 2**31, 2**53, 2**63 - 1, 2**63, -(2**63) - 1, 10**30, 1e308, 5e-324),
    *(float("nan"), float("inf"), -0.0, "", " ", "0", "null", "nan", "\x00", "a\x00b", "\ud800", "\uffff"),
    *("../../etc/passwd", "/etc/passwd", "file:///etc/passwd", "http://127.0.0.1:9/x", "' OR 1=1 --"),
    *("${jndi:x}", "{{7*7}}", "%00", "%2e%2e%2f", "x" * 1025, "x" * 20_000, "-", "*", "\u0000\u200b"),
    *([], {}, [[]], [None], [""], [{}], {"": None}, {"$ref": "#"}, {"__proto__": 1}, ["x"] * 1001),
)
"""What no shape wants, and what some databases, paths and templates have stumbled over."""

_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
}
_LONGEST = 3
_MOST_FAULTS = 5


class Values:
    """Draws values from the schemas of a description."""

    def __init__(self, description: Mapping[str, Any], dice: random.Random) -> None:
        """Draw by these dice; `known` may be given values that mean something, by their field's name."""
        self._description = description
        self._dice = dice
        self.known: dict[str, list[Any]] = {}

    def fitting(self, schema: Schema, name: str = "") -> Any:
        """A value that fits a schema; often a known one of the field of this name."""
        schema = self.resolved(schema)
        if options := schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf"):
            return self.fitting(self._dice.choice(options), name)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self._dice.choice(schema["enum"])
        kind = schema.get("type")
        if kind in ("string", "integer", "number") and self._dice.random() < 0.93:
            wanted = _TYPES[kind]
            known = [v for v in self.known.get(name, ()) if isinstance(v, wanted)]
            if known:
                return self._dice.choice(known)
        match kind:
            case "string":
                return self._text(schema)
            case "integer" | "number":
                return self._number(schema, is_whole=kind == "integer")
            case "boolean":
                return self._dice.random() < 0.5
            case "array":
                return self._list(schema, name)
            case "object":
                return self._object(schema)
        return None

    def missing(self, schema: Schema) -> Any:
        """A value that hardly fits a schema: beside its bounds, or of another kind altogether."""
        schema = self.resolved(schema)
        if options := schema.get("anyOf"):
            return self.missing(self._dice.choice(options))
        near: list[Any] = [schema[key] + by for key, by in (("minimum", -1), ("maximum", 1)) if key in schema]
        near += [schema[key] for key in ("exclusiveMinimum", "exclusiveMaximum") if key in schema]
        if "maxLength" in schema:
            near += ["é" * (schema["maxLength"] + 1), "é" * schema["maxLength"]]
        if "maxItems" in schema:
            near.append([self.fitting(schema["items"])] * (schema["maxItems"] + self._dice.randrange(2)))
        if near and self._dice.random() < 0.4:
            return self._dice.choice(near)
        return self._dice.choice(ODD)

    def spoiled(self, value: Any, schema: Schema) -> Any:
        """A fitting value with one part of it replaced, removed or added."""
        schema = self.resolved(schema)
        if isinstance(value, dict) and value and self._dice.random() < 0.9:
            found, name = dict(value), self._dice.choice(list(value))
            match self._dice.randrange(8):
                case 0:
                    del found[name]
                case 1:
                    found[self._dice.choice(["", "unknown", "\x00", "__class__", name.upper()])] = 1
                case _:
                    part = schema.get("properties", {}).get(name, {})
                    found[name] = self.spoiled(value[name], part)
            return found
        if isinstance(value, list) and value and self._dice.random() < 0.6:
            place = self._dice.randrange(len(value))
            part = self.spoiled(value[place], schema.get("items", {}))
            return [*value[:place], part, *value[place + 1 :]]
        return self.missing(schema)

    def resolved(self, schema: Schema) -> Schema:
        """A schema, wherever it is written down."""
        while "$ref" in schema:
            found: Any = self._description
            for part in schema["$ref"].removeprefix("#/").split("/"):
                found = found[part]
            schema = found
        return schema

    def _text(self, schema: Schema) -> str:
        least = schema.get("minLength", 0)
        most = min(schema.get("maxLength", 12), max(12, least))
        if self._dice.random() < 0.03:
            most = schema.get("maxLength", 5000)
            least = most
        return "".join(self._dice.choices(LETTERS, k=self._dice.randint(least, most)))

    def _number(self, schema: Schema, *, is_whole: bool) -> int | float:
        least = schema.get("minimum", schema.get("exclusiveMinimum", -(2**31)))
        most = schema.get("maximum", schema.get("exclusiveMaximum", 2**31))
        if is_whole:
            near = min(int(most), int(least) + 40)
            return self._dice.choice([int(least), int(most), self._dice.randint(int(least), near)])
        return self._dice.uniform(least, most) or 0.5

    def _list(self, schema: Schema, name: str) -> list[Any]:
        least = schema.get("minItems", 0)
        length = self._dice.randint(least, max(least, min(_LONGEST, schema.get("maxItems", _LONGEST))))
        return [self.fitting(schema.get("items", {}), name) for _ in range(length)]

    def _object(self, schema: Schema) -> dict[str, Any]:
        required = schema.get("required", ())
        return {
            name: self.fitting(part, name)
            for name, part in schema.get("properties", {}).items()
            if name in required or self._dice.random() < 0.3
        }


def faults_of(description: Mapping[str, Any], schema: Schema, value: Any) -> list[str]:
    """What does not fit a schema of a description, a few of many; none where all does."""
    values = Values(description, random.Random(0))
    found = _faults(values, schema, value, "")
    return [fault for fault, _ in zip(found, range(_MOST_FAULTS), strict=False)]


def _faults(values: Values, schema: Schema, value: Any, place: str) -> Iterator[str]:
    schema = values.resolved(schema)
    for part in schema.get("allOf", ()):
        yield from _faults(values, part, value, place)
    if options := schema.get("anyOf") or schema.get("oneOf"):
        tries = [list(_faults(values, option, value, place)) for option in options]
        if all(tries):
            yield from min(tries, key=len)
        return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{place}: {value!r} is none of {schema['enum']}"
    if "const" in schema and value != schema["const"]:
        yield f"{place}: {value!r} is not {schema['const']!r}"
    if "type" in schema and not _is_of(value, schema["type"]):
        yield f"{place}: {str(value)[:80]!r} is no {schema['type']}"
        return
    yield from _beyond_bounds(schema, value, place)
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield from _faults(values, schema.get("items", {}), item, f"{place}[{number}]")
    if isinstance(value, dict):
        yield from _faults_of_object(values, schema, value, place)


def _faults_of_object(values: Values, schema: Schema, value: dict[str, Any], place: str) -> Iterator[str]:
    known = schema.get("properties", {})
    rest = schema.get("additionalProperties", True)
    for name in schema.get("required", ()):
        if name not in value:
            yield f"{place}.{name} is missing"
    for name, item in value.items():
        if name in known:
            yield from _faults(values, known[name], item, f"{place}.{name}")
        elif rest is False:
            yield f"{place}.{name} is not described"
        elif isinstance(rest, dict):
            yield from _faults(values, rest, item, f"{place}.{name}")


def _beyond_bounds(schema: Schema, value: Any, place: str) -> Iterator[str]:
    if isinstance(value, str):
        size, least, most = len(value), "minLength", "maxLength"
        if "pattern" in schema and not re.search(schema["pattern"], value):
            yield f"{place}: {value[:80]!r} is not like {schema['pattern']}"
    elif isinstance(value, list):
        size, least, most = len(value), "minItems", "maxItems"
    elif isinstance(value, int | float) and not isinstance(value, bool):
        size, least, most = value, "minimum", "maximum"
        if "exclusiveMinimum" in schema and not value > schema["exclusiveMinimum"]:
            yield f"{place}: {value} is not above {schema['exclusiveMinimum']}"
        if "exclusiveMaximum" in schema and not value < schema["exclusiveMaximum"]:
            yield f"{place}: {value} is not below {schema['exclusiveMaximum']}"
    else:
        return
    if not schema.get(least, size) <= size <= schema.get(most, size):
        yield f"{place}: {size} is beyond {least} or {most}"


def _is_of(value: Any, kind: str | Sequence[str]) -> bool:
    if not isinstance(kind, str):
        return any(_is_of(value, one) for one in kind)
    if isinstance(value, bool):
        return kind == "boolean"
    if isinstance(value, float) and not math.isfinite(value):
        return False
    return isinstance(value, _TYPES[kind])
