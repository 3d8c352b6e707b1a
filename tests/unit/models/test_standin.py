import json

import pytest

from tapetum.errors import CheckpointError
from tapetum.models import standin
from tapetum.models.backbones.clip import create_clip
from tapetum.models.backbones.clip_files import save_clip
from tapetum.models.standin import TINY_TEXT, TINY_VISION, WORDS_NOTE, read_words, standin_path


def test_a_missing_stand_in_names_the_command_that_makes_it(monkeypatch, tmp_path):
    monkeypatch.setattr(standin, "_PATH", tmp_path / "tiny.safetensors")
    with pytest.raises(FileNotFoundError, match="tapetum pretrain"):
        standin_path()
    (tmp_path / "tiny.safetensors").touch()
    assert standin_path() == tmp_path / "tiny.safetensors"


def test_words_are_read_from_the_file_s_notes(tmp_path):
    clip = create_clip(TINY_VISION, TINY_TEXT, warn=False)
    path = tmp_path / "clip.safetensors"
    save_clip(clip, path, notes={WORDS_NOTE: json.dumps(["a", "person"])})
    assert read_words(path) == ("a", "person")


def test_a_file_without_words_is_refused(tmp_path):
    path = tmp_path / "clip.safetensors"
    save_clip(create_clip(TINY_VISION, warn=False), path)
    with pytest.raises(CheckpointError, match="words"):
        read_words(path)
