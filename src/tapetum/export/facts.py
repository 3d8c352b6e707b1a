"""What is known of a run beyond its weights: where its data came from, and how it was scored."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tapetum.config import read_yaml
from tapetum.data.datasets import DataSpec
from tapetum.data.datasets._base import is_synthetic
from tapetum.errors import ConfigError, DataError

SCORES = "scores.json"
"""In a run's folder, what `tapetum evaluate RUN --json RUN/scores.json` wrote."""

_CONFIG = "config.yaml"


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What a run's folder tells.

    Attributes:
        settings: Its `config.yaml`; empty where there is none.
        synthetic: Whether its training data were drawn by this package; None where their folder is gone, or
            nobody says which it was.
        scores: What `tapetum evaluate --json` wrote of it; None where it was not scored.
    """

    settings: Mapping[str, Any]
    synthetic: bool | None
    scores: Mapping[str, Any] | None


def read_facts(model_file: Path, fingerprint: str, scores: Path | None = None) -> RunFacts:
    """What is known of the run that left `model_file`.

    Args:
        model_file: In the run's folder.
        fingerprint: Of the model.
        scores: A file of `tapetum evaluate --json`; None: `scores.json` of the run, if it has one.

    Raises:
        FileNotFoundError: There is no such file of scores.
        DataError: The scores are no JSON of `tapetum evaluate`, or of another model.
    """
    settings = _read_settings(model_file.parent / _CONFIG)
    own = model_file.parent / SCORES
    place = scores or (own if own.is_file() else None)
    found = None if place is None else _read_scores(place, fingerprint)
    return RunFacts(settings, _is_synthetic(settings), found)


def _read_settings(path: Path) -> Mapping[str, Any]:
    try:
        return read_yaml(path) if path.is_file() else {}
    except ConfigError:
        return {}


def _is_synthetic(settings: Mapping[str, Any]) -> bool | None:
    try:
        root = Path(DataSpec.parse(str(settings.get("data", ""))).root)
    except ValueError:
        return None
    return is_synthetic(root if root.is_dir() else root.parent) if root.exists() else None


def _read_scores(path: Path, fingerprint: str) -> Mapping[str, Any]:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path}: not JSON: {error}") from None
    if not isinstance(content, dict) or not {"protocol", "data", "model", "directions"} <= content.keys():
        raise DataError(f"{path}: not what `tapetum evaluate --json` writes")
    if content["model"] != fingerprint:
        raise DataError(f"{path}: scores of model {content['model']}; this is {fingerprint}")
    return content
