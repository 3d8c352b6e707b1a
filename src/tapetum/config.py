"""Configurations: frozen pydantic models, YAML files, and `a.b=c` overrides. An unknown key is an error."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from tapetum.errors import ConfigError
from tapetum.registry import unknown

ConfigT = TypeVar("ConfigT", bound="Config")


class Config(BaseModel):
    """Base of every configuration: immutable, no unknown key, defaults checked too."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


ADDED_LATER: dict[str, JsonValue] = {"added_later": True}
"""`json_schema_extra` of a field that files of earlier versions lack; its default is what they did."""


def build_config(kind: type[ConfigT], *layers: Mapping[str, Any]) -> ConfigT:
    """Merge `layers` (later wins, nested mappings merged, dotted keys allowed) and check them against `kind`.

    What the layers leave open is as in the defaults of `kind`, inside its nested configurations too.

    Raises:
        ConfigError: An unknown key (the nearest one is named) or a value that does not fit.
    """
    merged = _nested_defaults(kind)
    for layer in layers:
        merged = merge(merged, _nested(layer))
    try:
        return kind.model_validate(merged)
    except ValidationError as error:
        raise ConfigError(_explain(kind, error)) from None


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the values of `over`; mappings are merged key by key, all else is replaced."""
    result = dict(base)
    for key, value in over.items():
        known = result.get(key)
        both_nested = isinstance(value, Mapping) and isinstance(known, Mapping)
        result[key] = merge(known, value) if both_nested else value  # type: ignore[arg-type]
    return result


def telling_values(config: Config) -> dict[str, Any]:
    """The values that tell a configuration from others: all but those `ADDED_LATER` at their default.

    What is named by them keeps its name when a later version adds a field.
    """
    content = config.model_dump(mode="json")
    for name, field in type(config).model_fields.items():
        value = getattr(config, name)
        if isinstance(value, Config):
            content[name] = telling_values(value)
        elif field.json_schema_extra == ADDED_LATER and value == field.default:
            del content[name]
    return content


def parse_overrides(assignments: Iterable[str]) -> dict[str, Any]:
    """Turn `["a.b=3", "c=[1, 2]"]` into a nested mapping; values are read as YAML.

    Raises:
        ConfigError: An assignment without "=" or with an empty key, or a value that is not YAML.

    >>> parse_overrides(["loss.msel=0.5", "stfl_split=[6, 3, 3]"])
    {'loss': {'msel': 0.5}, 'stfl_split': [6, 3, 3]}
    """
    result: dict[str, Any] = {}
    for assignment in assignments:
        key, sign, text = assignment.partition("=")
        if not sign or not all(key.strip().split(".")):
            raise ConfigError(f"override {assignment!r} is not of the form key=value, such as loss.msel=0.5")
        try:
            value = yaml.safe_load(text) if text.strip() else None
        except yaml.YAMLError as error:
            raise ConfigError(f"override {assignment!r}: the value is not YAML: {error}") from None
        result = merge(result, _nested({key.strip(): _as_number(value)}))
    return result


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file that holds one mapping.

    Raises:
        ConfigError: The file is not YAML or does not hold a mapping.
        FileNotFoundError: There is no such file.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not a YAML file: {error}") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: expected a mapping at the top, found {type(content).__name__}")
    return content


def to_yaml(config: Mapping[str, Any] | Config) -> str:
    """YAML text of a configuration, keys in their declared order."""
    content = config.model_dump(mode="json") if isinstance(config, Config) else dict(config)
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)


def _nested(layer: Mapping[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in layer.items():
        nested: Any = _nested(value) if isinstance(value, Mapping) else value
        for part in reversed(str(key).split(".")):
            nested = {part: nested}
        result = merge(result, nested)
    return result


def _nested_defaults(kind: type[Config]) -> dict[str, Any]:
    """Default values of nested configurations: a layer that names some of them leaves the others alone."""
    defaults = {name: field.default for name, field in kind.model_fields.items()}
    return {name: value.model_dump() for name, value in defaults.items() if isinstance(value, Config)}


def _as_number(value: Any) -> Any:
    """YAML 1.1 reads 2.5e-5 as a number but 1e-4 as text; take both as numbers."""
    if isinstance(value, str):
        try:
            return float(value) if "e" in value.lower() else value
        except ValueError:
            return value
    return value


def _explain(kind: type[Config], error: ValidationError) -> str:
    lines = []
    for item in error.errors():
        where = ".".join(str(part) for part in item["loc"])
        if item["type"] == "extra_forbidden":
            known = _keys_at(kind, item["loc"][:-1])
            lines.append(unknown("key", where, [".".join([*map(str, item["loc"][:-1]), k]) for k in known]))
        else:
            lines.append(f"{where or kind.__name__} = {item['input']!r}: {item['msg']}")
    return "; ".join(lines)


def _keys_at(kind: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    """Field names of the configuration nested at `path`."""
    for part in path:
        field = kind.model_fields.get(str(part))
        inner = field.annotation if field is not None else None
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            return []
        kind = inner
    return list(kind.model_fields)
