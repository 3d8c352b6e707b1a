import numpy as np
import pytest

from tapetum.errors import DataError
from tapetum.search import Gallery
from tapetum.search.reindexing import reindex
from tapetum.types import Embeddings, Modality, Tracklet, TrackletSet


def make(numbers, model="m1", dimension=6) -> Embeddings:
    vectors = np.stack([np.random.default_rng(n).standard_normal(dimension) for n in numbers])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    rows = tuple(Tracklet(f"t{n}", (f"{n}.jpg",), Modality.INFRARED, n) for n in numbers)
    return Embeddings(vectors.astype(np.float32), TrackletSet("test", rows), model)


class Encoder:
    """Embeds by number; cannot read some."""

    def __init__(self, unreadable=(), meanwhile=None):
        self.unreadable = {f"t{n}" for n in unreadable}
        self.meanwhile = meanwhile
        self.asked = []

    def __call__(self, tracklets):
        names = [t.tracklet_id for t in tracklets]
        self.asked += names
        if self.meanwhile is not None:
            self.meanwhile, change = None, self.meanwhile
            change()
        readable = [name for name in names if name not in self.unreadable]
        found = make([int(name[1:]) for name in readable] or [0], "m2", 4)
        reasons = {name: "no such file" for name in names if name in self.unreadable}
        return found if readable else found.rows([]), reasons


@pytest.fixture
def gallery():
    place = Gallery.open("memory:")
    place.upsert(make(range(10)))
    return place


def test_every_tracklet_is_embedded_once_and_progress_told(gallery):
    encoder, told = Encoder(), []
    moved = reindex(gallery, "m2", encoder, at_once=4, progress=lambda *state: told.append(state))
    assert (moved.embedded, moved.left_out) == (10, {})
    assert encoder.asked == [f"t{n}" for n in range(10)]
    assert told == [(4, 10), (8, 10), (10, 10)]
    assert (gallery.info().model, gallery.info().dimension) == ("m2", 4)
    np.testing.assert_array_equal(gallery.get(["t7"]).vectors, make([7], "m2", 4).vectors)


def test_what_changes_meanwhile_is_embedded_too(gallery):
    def change():
        gallery.upsert(make([3, 20]))
        gallery.delete(["t5"])

    moved = reindex(gallery, "m2", Encoder(meanwhile=change))
    assert moved.embedded == 12  # t3 twice, and t20
    assert [t.tracklet_id for t in gallery.filter()] == [f"t{n}" for n in (0, 1, 2, 3, 4, 6, 7, 8, 9, 20)]


def test_nothing_is_moved_where_something_cannot_be_read(gallery):
    with pytest.raises(DataError, match=r"2 tracklets cannot be read \(t2: no such file\)"):
        reindex(gallery, "m2", Encoder(unreadable=[2, 8]), at_once=3)
    assert (gallery.info().model, gallery.count()) == ("m1", 10)


def test_what_cannot_be_read_is_left_out_where_that_is_wished(gallery):
    moved = reindex(gallery, "m2", Encoder(unreadable=[2, 8]), leave_out=True, at_once=3)
    assert (moved.embedded, list(moved.left_out)) == (8, ["t2", "t8"])
    assert (gallery.info().model, gallery.count()) == ("m2", 8)


def test_what_is_neither_embedded_nor_explained_is_an_error(gallery):
    with pytest.raises(RuntimeError, match="t4 was neither embedded nor called unreadable"):
        reindex(gallery, "m2", lambda tracklets: (make(range(4), "m2", 4), {}))
    assert (gallery.info().model, gallery.count()) == ("m1", 10)


def test_a_gallery_is_not_emptied(gallery):
    with pytest.raises(ValueError, match="no tracklet is left"):
        reindex(gallery, "m2", Encoder(unreadable=range(10)), leave_out=True)
    assert (gallery.info().model, gallery.count()) == ("m1", 10)


def test_bad_arguments_are_refused(gallery):
    with pytest.raises(ValueError, match="at_once is 0"):
        reindex(gallery, "m2", Encoder(), at_once=0)
    with pytest.raises(ValueError, match="of model m1 already"):
        reindex(gallery, "m1", Encoder())
