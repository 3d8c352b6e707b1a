import time

import numpy as np
import pytest

from tapetum.search import Gallery
from tapetum.types import Embeddings, Modality, Tracklet, TrackletSet

DAY = 86_400
NOW = time.time()


def made(times, first=0):
    """Tracklets t0, t1, ... of two people in turn, seen at these times."""
    rows = tuple(
        Tracklet(f"t{first + n}", (f"{n}.jpg",), list(Modality)[n % 2], n % 2, None, time)
        for n, time in enumerate(times)
    )
    vectors = np.eye(len(rows), 8, dtype=np.float32)
    return Embeddings(vectors, TrackletSet("seen", rows), "model-1")


@pytest.fixture
def place(request, tmp_path):
    """Address of a gallery with tracklets of 40, 20, 10 and 1 days, and of an unknown time."""
    uri = f"{getattr(request, 'param', 'numpy:')}{tmp_path / 'gallery'}"
    gallery = Gallery.open(uri)
    gallery.upsert(made([NOW - 40 * DAY, NOW - 20 * DAY, NOW - 10 * DAY, NOW - DAY, None]))
    gallery.close()
    return uri


def left(uri):
    return [t.tracklet_id for t in Gallery.open(uri).filter()]


@pytest.mark.parametrize("place", ["", "numpy:"], indirect=True)
def test_purge_counts_first_and_removes_with_yes(ask, place):
    counted = ask("purge", place, "--older-than", "15d")
    assert counted.code == 0
    assert counted.out.startswith(f"{place}: 2 of 5 tracklets seen before 20")
    assert counted.out.endswith("nothing was removed: give --yes to remove them\n")
    assert counted.err.split() == ["t0", "t1"]
    assert len(left(place)) == 5
    done = ask("purge", place, "--older-than", "15d", "--yes")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"{place}: 2 tracklets seen before 20")
    assert done.out.endswith(" removed, 3 left\n")
    assert left(place) == ["t2", "t3", "t4"]
    again = ask("purge", place, "--older-than", "15d")
    assert (again.code, "0 of 3 tracklets" in again.out, "--yes" in again.out) == (0, True, False)


def test_purge_by_when_it_was_stored(ask, place):
    assert "0 of 5 tracklets stored before" in ask("purge", place, "--older-than", "1h", "--by", "stored").out
    done = ask("purge", place, "--older-than", "0s", "--by", "stored", "--yes")
    assert (done.code, left(place)) == (0, [])
    assert "5 tracklets stored before" in done.out


def test_times_of_another_epoch_are_not_taken_for_old(ask, tmp_path):
    uri = f"numpy:{tmp_path / 'gallery'}"
    Gallery.open(uri).upsert(made([72_000.0, 80_000.0]))
    refused = ask("purge", uri, "--older-than", "30d", "--yes")
    assert refused.code == 1
    assert "80000 s, which would be 1970-01-01 22:13 UTC: its times do not count from 1970" in refused.err
    assert len(left(uri)) == 2
    assert "0 of 2 tracklets stored" in ask("purge", uri, "--older-than", "30d", "--by", "stored").out


@pytest.mark.parametrize(
    ("span", "message"),
    [
        ("soon", "'soon' is no time: expected such as 30d"),
        ("30", "'30' is no time"),
        ("9999-01-01", "lies in the future"),
    ],
)
def test_purge_refuses_spans_that_it_cannot_read(ask, place, span, message):
    refused = ask("purge", place, "--older-than", span, "--yes")
    assert (refused.code, message in refused.err) == (1, True)
    assert len(left(place)) == 5


@pytest.mark.parametrize("place", ["", "numpy:"], indirect=True)
def test_erase_counts_first_and_removes_with_yes(ask, place):
    counted = ask("erase", place, "--person", 1, "--tracklet", "t0", "--tracklet", "t1")
    assert counted.err.split() == ["t1", "t3", "t0"]
    assert counted.out == (
        f"{place}: 3 of 5 tracklets found; nothing was removed: give --yes to remove them\n"
    )
    assert len(left(place)) == 5
    done = ask("erase", place, "--person", 1, "--tracklet", "t0", "--tracklet", "t1", "--yes")
    assert (done.code, done.out) == (0, f"{place}: 3 tracklets erased, 2 left\n")
    assert left(place) == ["t2", "t4"]


def test_erase_names_what_is_not_there(ask, place):
    counted = ask("erase", place, "--person", 7, "--tracklet", "t9")
    assert counted.code == 0
    missing = [f"{option}: nothing of it is in {place}" for option in ("--person 7", "--tracklet t9")]
    assert counted.err.splitlines() == missing
    assert counted.out == f"{place}: 0 of 5 tracklets found\n"
    assert ask("erase", place, "--tracklet", "t9", "--yes").out == f"{place}: 0 tracklets erased, 5 left\n"
    refused = ask("erase", place)
    assert (refused.code, "give --person or --tracklet" in refused.err) == (1, True)
    assert ask("erase", f"{place}-none", "--person", 1).code == 1


def test_many_are_not_all_listed(ask, tmp_path):
    uri = f"numpy:{tmp_path / 'gallery'}"
    gallery = Gallery.open(uri)
    for first in range(0, 24, 8):
        gallery.upsert(made([None] * 8, first))
    counted = ask("purge", uri, "--older-than", "0s")
    assert (len(counted.err.splitlines()), counted.err.splitlines()[-1]) == (21, "and 4 more")


def test_what_comes_back_while_it_is_removed_is_an_error(ask, place, monkeypatch):
    monkeypatch.setattr(Gallery, "erase", lambda self, **what: 3)
    refused = ask("erase", place, "--person", 1, "--yes")
    assert (refused.code, "2 of them are there again: somebody stores them" in refused.err) == (1, True)
