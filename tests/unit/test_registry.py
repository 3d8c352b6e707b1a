import sys

import pytest

from tapetum.registry import load, names, unknown


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package with two entries, one of which cannot be imported, and some machinery."""
    folder = tmp_path / "tapetum_test_kinds"
    folder.mkdir()
    for name, content in {
        "__init__": "",
        "_base": "",
        "two_words": "VALUE = 2",
        "broken": "raise RuntimeError('imported')",
    }.items():
        (folder / f"{name}.py").write_text(content)
    monkeypatch.syspath_prepend(tmp_path)
    yield folder.name
    for name in [name for name in sys.modules if name.startswith(folder.name)]:
        del sys.modules[name]


def test_a_file_is_an_entry_and_imported_when_asked_for(package):
    assert names(package) == ["broken", "two-words"]
    assert f"{package}.broken" not in sys.modules
    assert load(package, "two-words", "kind").VALUE == 2
    with pytest.raises(RuntimeError, match="imported"):
        load(package, "broken", "kind")


@pytest.mark.parametrize("name", ["two_words", "two-word", "_base", "-base"])
def test_an_unknown_name_is_told_what_was_meant(package, name):
    with pytest.raises(ValueError, match=f"unknown kind '{name}'"):
        load(package, name, "kind")


def test_the_sentence():
    assert unknown("colour", "bleu", ["blue", "red"]) == "unknown colour 'bleu'; did you mean 'blue'?"
    assert unknown("colour", "x", ["blue", "red"]) == "unknown colour 'x'; known: blue, red"
    assert unknown("colour", "x", []) == "unknown colour 'x'; known: none"
    assert unknown("n", "abc", ["abcd", "abce"]) == "unknown n 'abc'; did you mean 'abce' or 'abcd'?"
