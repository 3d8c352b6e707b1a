"""The examples of docs/diagnosis.md give what is printed there."""

import doctest
from pathlib import Path

DOCUMENT = Path(__file__).parents[4] / "docs" / "diagnosis.md"


def test_examples_of_the_page():
    found = doctest.testfile(str(DOCUMENT), module_relative=False)
    assert found.attempted > 20
    assert found.failed == 0
