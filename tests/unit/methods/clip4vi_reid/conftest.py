import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

HELPERS = Path(__file__).with_name("small_method.py")


@pytest.fixture(scope="session")
def small() -> ModuleType:
    """A small CLIP4VI-ReID and what its tests share."""
    spec = importlib.util.spec_from_file_location("tapetum_test_small_clip4vi", HELPERS)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
