import shutil

import numpy as np
import pytest

from tapetum import load
from tapetum.search import Gallery


@pytest.fixture
def place(gallery, tmp_path):
    """A copy of the gallery to move."""
    return shutil.copytree(gallery, tmp_path / "gallery")


@pytest.fixture(scope="module")
def second(ask_once, data, walkers, small):
    """Another run on the same data."""
    out = walkers.parent / "second"
    ask_once(
        "train",
        "small-cnn",
        "--data",
        data,
        "--out",
        out,
        *small,
        "--max-steps",
        1,
        "--set",
        "training.seed=7",
    )
    return out


@pytest.fixture(scope="module")
def ask_once():
    from tapetum.cli import main

    def run(*arguments):
        assert main([str(argument) for argument in arguments]) == 0

    return run


def test_a_gallery_is_moved_with_all_that_lies_beside_it(ask, place, second):
    before = Gallery.open(place)
    ids = [t.tracklet_id for t in before.filter()]
    contents, thumbnails = before.contents(), before.thumbnails(ids[0])
    made = ask("reindex", place, "--model", second, "--at-once", 3)
    model = load(second)
    count = len(ids)
    assert made.code == 0
    assert made.out == f"{place}: {count} tracklets, now of model {model.fingerprint}; 0 left out\n"
    gallery = Gallery.open(place)
    assert [t.tracklet_id for t in gallery.filter()] == ids
    assert (gallery.contents(), gallery.thumbnails(ids[0])) == (contents, thumbnails)
    found = gallery.get(ids[:3])
    np.testing.assert_allclose(found.vectors, model.encode(list(found.tracklets)), atol=1e-5)
    again = ask("reindex", place, "--model", second)
    assert (again.code, "of model" in again.err, "already" in again.err) == (1, True, True)


def test_what_cannot_be_read_stops_the_move_or_is_left_out(ask, place, second, data, tmp_path):
    gallery = Gallery.open(place)
    first = gallery.filter()[0]
    shutil.move(place, tmp_path / "elsewhere")
    lost = type(first)("lost", (str(tmp_path / "gone.jpg"),), first.modality)
    gallery = Gallery.open(tmp_path / "elsewhere")
    known = gallery.get([first.tracklet_id])
    gallery.upsert(type(known)(known.vectors, type(known.tracklets)("x", (lost,)), known.model))
    count = gallery.count()
    place = tmp_path / "elsewhere"
    refused = ask("reindex", place, "--model", second)
    assert (refused.code, "1 tracklets cannot be read (lost:" in refused.err) == (1, True)
    assert Gallery.open(place).info().model == known.model
    made = ask("reindex", place, "--model", second, "--leave-out-unreadable", "--data", data)
    assert (made.code, "left out: lost:" in made.err) == (0, True)
    assert Gallery.open(place).count() == count - 1


def test_a_place_without_a_gallery_is_refused(ask, second, tmp_path):
    refused = ask("reindex", tmp_path / "none", "--model", second)
    assert (refused.code, "there is no gallery" in refused.err) == (1, True)
