import importlib.util
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
TOOL = ROOT / "tools" / "comparison_tables.py"


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("comparison_tables", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def root(tmp_path):
    plan = {"preset": "tiny", "seeds": [0], "threads": 1, "training": {}}
    table = {
        **{"title": "T", "about": "About.", "plan": plan, "data": [], "failed": [], "missing": []},
        **{"other_settings": [], "open": [], "made_with": []},
    }
    (tmp_path / "docs" / "comparisons").mkdir(parents=True)
    (tmp_path / "docs" / "comparisons" / "one.json").write_text(json.dumps(table))
    page = "# C\n<!-- comparison-one:start -->\nnothing\n<!-- comparison-one:end -->\n"
    (tmp_path / "docs" / "comparison.md").write_text(page)
    return tmp_path


def test_check_then_write(tool, root, capsys):
    assert tool.main(["--check"], root) == 1
    assert "docs/comparison.md: table one is not as docs/comparisons says" in capsys.readouterr().out
    assert "nothing" in (root / "docs" / "comparison.md").read_text()
    assert tool.main([], root) == 0
    assert "About." in (root / "docs" / "comparison.md").read_text()
    assert tool.main(["--check"], root) == 0


def test_a_result_without_a_block(tool, root, capsys):
    (root / "docs" / "comparison.md").write_text("# C\n")
    assert tool.main([], root) == 1
    assert "comparison.md: expected one block" in capsys.readouterr().err


def test_the_page_is_as_its_results_say(tool):
    assert tool.stale_blocks(ROOT) == []
