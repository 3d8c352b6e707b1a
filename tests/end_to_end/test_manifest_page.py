"""The worked example of docs/datasets/manifest.md, as it stands there."""

import shlex
from pathlib import Path

import pytest

from tapetum.cli import main

PAGE = Path(__file__).parents[2] / "docs" / "datasets" / "manifest.md"


@pytest.mark.slow
def test_the_worked_example_runs(tmp_path, monkeypatch, capsys):
    section = PAGE.read_text(encoding="utf-8").partition("## A worked example")[2].partition("\n## ")[0]
    commands, shown = (block.partition("\n")[2] for block in section.split("```")[1:4:2])
    monkeypatch.chdir(tmp_path)
    for line in commands.strip().splitlines():
        program, *words = shlex.split(line)
        assert program == "tapetum"
        capsys.readouterr()
        assert main(words) == 0, capsys.readouterr().err
        told = capsys.readouterr().out
    assert (tmp_path / "pictures" / "manifest.csv").read_text().startswith(shown)
    assert told.count("visible") == 3
