"""The table of exact cuts in docs/performance.md names files and tests that are there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
CUTS = re.findall(
    r"^\| .* \|$", (ROOT / "docs/performance.md").read_text().partition("## Exact cuts")[2], re.M
)
TESTS = re.compile(r"`([\w/]+\.py)::(\w+)`")


def test_every_cut_has_a_test_that_is_there():
    rows = [row for row in CUTS if "::" in row]
    assert len(rows) > 15
    for row in rows:
        for file, test in TESTS.findall(row):
            places = [p for p in (ROOT / "tests").rglob(Path(file).name) if str(p).endswith(f"/{file}")]
            found = [p for p in places if f"def {test}(" in p.read_text()]
            assert len(found) == 1, (file, test, places)


def test_every_cut_names_code_that_is_there():
    for row in (row for row in CUTS if "::" in row):
        for name in re.findall(r"`([\w/]+(?:\.py)?)`", row.split("|")[2]):
            assert (ROOT / "src/tapetum" / name).exists(), name
