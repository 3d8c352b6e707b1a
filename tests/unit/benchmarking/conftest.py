import pytest

from tapetum.benchmarking import choose_config

TINY = {
    "rounds": 1,
    "layer": (8, 16, 4),
    "machine": {"product": 16, "copied_mib": 1, "pictures": 1},
    "training": {"methods": ("small-cnn",), "preset": "tiny", "precisions": ("float32",)},
    "extraction": {"methods": ("small-cnn",), "preset": "tiny", "onnx": (), "frames": 2},
    "reading": {"height": 48, "width": 24, "identities": 4},
    "metrics": {"queries": 12, "gallery": 30, "dimension": 8, "people": 4, "memory": False},
    "reranking": {"sizes": ((8, 40),), "dimension": 8, "memory": False},
    "search": {"rows": 200, "dimension": 8, "questions": 2},
    "rates": {"methods": ("small-cnn",), "preset": "tiny", "seconds": 0.01, "batch_size": 1},
}


@pytest.fixture
def make_config():
    """(overrides) -> the smallest work there is, on one thread."""

    def make(**overrides):
        return choose_config(TINY | overrides, threads=1)

    return make


class Shown:
    """Keeps what it is told."""

    def __init__(self):
        self.planned, self.begun, self.ended, self.skipped = None, [], [], {}

    def plan(self, parts, kept):
        self.planned = (parts, kept)

    def begin(self, stage, part):
        self.begun.append((stage, part))

    def end(self, result):
        self.ended.append((result.stage, result.part))

    def skip(self, stage, part, reason):
        self.skipped[stage, part] = reason


@pytest.fixture
def show():
    """What a run tells its user, kept."""
    return Shown()
