"""What is wrong with a gallery, its model or the files around it is named, and nothing is changed by it."""

import errno
import json
import os
import resource
import shutil
from contextlib import contextmanager

import pytest

from tapetum.search import Gallery
from tapetum.search.memory_gallery import MemoryGallery

REASON = os.strerror(errno.EFBIG)


@pytest.fixture
def place(gallery, tmp_path):
    """A copy of the gallery to spoil."""
    return shutil.copytree(gallery, tmp_path / "gallery")


@pytest.fixture
def commands(run, other_run, data, place):
    """By name, what may be asked of a gallery."""
    first = Gallery.open(place).filter()[0].tracklet_id
    return {
        "info": ["info", place],
        "search": ["search", place, first],
        "index": ["index", run, "--data", data, "--gallery", place],
        "reindex": ["reindex", place, "--model", other_run],
        "erase": ["erase", place, "--tracklet", first, "--yes"],
        "purge": ["purge", place, "--older-than", "1d", "--by", "stored", "--yes"],
        "serve": ["serve", "--gallery", place, "--port", "0"],
    }


def bytes_in(folder):
    """Every file below a folder, but the empty one by which writers wait for each other."""
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.name != ".lock"}


@contextmanager
def largest_file(size):
    """No file may grow beyond `size` bytes; the kernel refuses the write as it does on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_gallery_of_a_newer_version_is_refused_by_every_command(ask, commands, place):
    summary = place / "gallery.json"
    summary.write_text(json.dumps({**json.loads(summary.read_text()), "format_version": 2}))
    before = bytes_in(place)
    for name, command in commands.items():
        refused = ask(*command)
        assert (refused.code, refused.out) == (1, ""), name
        assert f"{summary}: format_version is 2" in refused.err, name
        assert "newer version" in refused.err, name
    assert bytes_in(place) == before


def test_another_model_is_refused_by_every_command(ask, other_run, data, place):
    before, query = bytes_in(place), Gallery.open(place).filter()[0].frames[0]
    for command in (
        ["index", other_run, "--data", data, "--gallery", place],
        ["search", place, query, "--model", other_run],
        ["serve", "--gallery", place, "--model", other_run, "--port", "0"],
    ):
        refused = ask(*command)
        assert (refused.code, "of model" in refused.err) == (1, True), (command, refused.err)
    assert bytes_in(place) == before


@pytest.mark.parametrize(
    "name", ["gallery", "calibration", "failures", "tokens", "model", "picture", "manifest", "archive"]
)
def test_empty_files_are_named(ask, run, commands, place, tmp_path, name):
    """As a crash of the machine, or a copy that broke off, leaves them."""
    empty = {
        "gallery": place / "gallery.json",
        "calibration": place / "calibration.json",
        "failures": place / "failures.parquet",
        "tokens": tmp_path / "tokens.json",
        "model": tmp_path / "model.onnx",
        "picture": tmp_path / "query.jpg",
        "manifest": tmp_path / "people.csv",
        "archive": tmp_path / "people.tar",
    }[name]
    empty.write_bytes(b"")
    empty.chmod(0o600)
    command = {
        "gallery": commands["search"],
        "calibration": commands["search"],
        "failures": commands["index"],
        "tokens": [*commands["serve"], "--tokens", empty],
        "model": ["serve", "--gallery", place, "--model", empty],
        "picture": ["search", place, empty, "--model", run],
        "manifest": ["index", run, "--data", f"manifest:{empty}", "--gallery", place],
        "archive": ["index", run, "--data", f"webdataset:{empty}", "--gallery", tmp_path / "new"],
    }[name]
    before = bytes_in(place)
    refused = ask(*command)
    assert (refused.code, str(empty) in refused.err) == (1, True), refused.err
    assert bytes_in(place) == before


@pytest.mark.parametrize("scheme", ["", "numpy:"])
def test_moves_and_removals_on_a_full_disk_can_be_done_again(ask, run, other_run, data, tmp_path, scheme):
    folder = tmp_path / "place"
    uri = f"{scheme}{folder}"
    assert ask("index", run, "--data", data, "--gallery", uri).code == 0
    before = Gallery.open(uri)
    names, model = [t.tracklet_id for t in before.filter()], before.info().model
    move = ["reindex", uri, "--model", other_run]
    remove = ["erase", uri, "--tracklet", names[0], "--yes"]
    for command in (move, remove):
        with largest_file(1000):
            refused = ask(*command)
        assert (refused.code, REASON in refused.err, str(folder) in refused.err) == (1, True, True), refused
        found = Gallery.open(uri)
        assert found.info().model == model
        left = [t.tracklet_id for t in found.filter()]
        assert left == names or (command is remove and left == names[1:])  # no longer shown, not yet gone
    assert ask(*remove).code == 0
    assert [path for path, content in bytes_in(folder).items() if names[0].encode() in content] == []
    assert ask(*move).code == 0
    moved = Gallery.open(uri)
    assert moved.info().model != model
    assert [t.tracklet_id for t in moved.filter()] == names[1:]


def test_a_gallery_that_another_process_changed_is_refused_in_a_line(ask, run, data, tmp_path, monkeypatch):
    """The plain store is for one writer; who comes second loses nothing of the first one's."""
    uri = f"numpy:{tmp_path / 'place'}"
    assert ask("index", run, "--data", data, "--gallery", uri, "--split", "train").code == 0
    names = [t.tracklet_id for t in Gallery.open(uri).filter()]
    upsert = MemoryGallery.upsert

    def meanwhile(gallery, *given, **options):
        monkeypatch.undo()
        Gallery.open(uri).erase(tracklet_ids=names[0])
        return upsert(gallery, *given, **options)

    monkeypatch.setattr(MemoryGallery, "upsert", meanwhile)
    refused = ask("index", run, "--data", data, "--gallery", uri)
    assert (refused.code, "was changed by another process" in refused.err) == (1, True), refused.err
    assert [t.tracklet_id for t in Gallery.open(uri).filter()] == names[1:]
    assert ask("index", run, "--data", data, "--gallery", uri).code == 0
