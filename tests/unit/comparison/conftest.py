"""A plan of an instant, its data drawn once, and somebody who remembers what a comparison told."""

import copy
import signal
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from tapetum.comparison import ComparisonFolder, ComparisonPlan
from tapetum.config import build_config

PLAN: dict[str, Any] = {
    "title": "Small",
    "seeds": [0, 1],
    "training": {"max_steps": 2, "cache": "always"},
    "data": {
        "walk": {
            "walkers": {
                "format": "hitsz-vcm",
                "identities": 7,
                "test_identities": 3,
                "options": {
                    "difficulty": "easy",
                    "frame_size": [32, 16],
                    "tracklet_length": [12, 12],
                    "tracklets_per_modality": [2, 2],
                    "short_tracklet_share": 0,
                },
            },
            "set": {"height": 32, "width": 16, "frames": 2, "batches": {"identities": 2, "tracklets": 2}},
        }
    },
    "rows": {
        "pixels": {
            "method": "raw-pixels",
            "untrained": True,
            "seeds": [0],
            "set": {"height": 32, "width": 16},
        },
        "cnn": {"method": "small-cnn"},
    },
}


class Listener:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.planned: list[str] = []
        self.drawn: list[str] = []
        self.begun: list[str] = []
        self.ended: dict[str, dict[str, Any]] = {}
        self.stages: list[tuple[str, int, int]] = []
        self.interrupts = False

    def plan(self, cells):
        self.planned = [cell.name for cell in cells]

    def drawing(self, title):
        self.drawn.append(title)
        return nullcontext(lambda done, total: None)

    def begin(self, cell):
        self.begun.append(cell.name)
        return self

    def end(self, cell, result):
        self.ended[cell.name] = dict(result)

    def stage(self, name, steps, done):
        self.stages.append((name, steps, done))
        if self.interrupts:
            signal.raise_signal(signal.SIGINT)

    def advance(self, done, record):
        pass

    def note(self, text):
        pass


@pytest.fixture
def content() -> dict[str, Any]:
    """The plan as a file holds it, to change."""
    return copy.deepcopy(PLAN)


@pytest.fixture
def plan(content) -> ComparisonPlan:
    """The plan."""
    return build_config(ComparisonPlan, content)


@pytest.fixture(scope="session")
def drawn(tmp_path_factory) -> Path:
    """Where data sets are drawn, once for all tests."""
    return tmp_path_factory.mktemp("walkers")


@pytest.fixture
def folder(tmp_path, drawn) -> ComparisonFolder:
    """A new comparison's folder."""
    return ComparisonFolder(tmp_path / "out", drawn)


@pytest.fixture
def listener() -> Listener:
    """Who is told."""
    return Listener()
