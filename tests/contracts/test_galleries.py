"""What every gallery answers, whatever it is stored in. A new kind is one more entry of `KINDS`.

With TAPETUM_QDRANT_URL=http://HOST:PORT everything is asked of a real server too; a cluster takes options
behind that, such as `?shards=2&replicas=2&consistency=1`. Collections that start with "tapetum-contract-"
are made and dropped there.
"""

import itertools
import os
import uuid
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tapetum.errors import ModelMismatchError
from tapetum.evaluation import calibrate
from tapetum.search import Filter, Gallery
from tapetum.types import Embeddings, Modality, Tracklet, TrackletSet

SERVER = os.environ.get("TAPETUM_QDRANT_URL", "")
KINDS = ("memory", "numpy", "lancedb", "qdrant", *(["qdrant-server"] if SERVER else []))


def on_server(name: str) -> str:
    """Address of a gallery on the server."""
    url, _, options = SERVER.partition("?")
    scheme = "qdrant+https" if url.startswith("https:") else "qdrant"
    host = url.rpartition("://")[2].rstrip("/")
    return f"{scheme}://{host}/{name}" + (f"?{options}" if options else "")


@pytest.fixture(params=KINDS)
def new_gallery(request, tmp_path):
    """A function that opens another empty gallery."""
    numbers = itertools.count()
    if request.param.startswith("qdrant"):
        pytest.importorskip("qdrant_client")
    address = {
        "memory": "memory:",
        "numpy": f"numpy:{tmp_path}/g%d",
        "lancedb": f"{tmp_path}/g%d",
        "qdrant": "qdrant::memory:",
        "qdrant-server": on_server(f"tapetum-contract-{uuid.uuid4().hex[:12]}-%d"),
    }[request.param]
    opened = []

    def new() -> Gallery:
        opened.append(Gallery.open(address % next(numbers) if "%" in address else address))
        return opened[-1]

    yield new
    for gallery in opened:
        if request.param == "qdrant-server":
            store = gallery._store
            for number in store.numbers():
                store.drop(f"{store.place.name}-{number}")
        gallery.close()


def tracklet(number: int, **changes) -> Tracklet:
    fields = {
        "modality": list(Modality)[number % 2],
        "person_id": number // 4,
        "camera_id": number % 3 + 1,
        "time": None if number % 5 == 0 else number * 10.0,
        **changes,
    }
    return Tracklet(f"t{number}", (f"{number}/1.jpg", f"{number}/2.jpg"), **fields)


def make(numbers, vectors=None, model="m1", dimension=6, **changes) -> Embeddings:
    if vectors is None:
        vectors = np.stack([np.random.default_rng(n).standard_normal(dimension) for n in numbers])
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    rows = tuple(tracklet(n, **changes) for n in numbers)
    return Embeddings(np.asarray(vectors, dtype=np.float32), TrackletSet("test", rows), model)


def names(found) -> list[str]:
    return [hit.tracklet.tracklet_id for hit in found]


def plain_search(embeddings: Embeddings, query, top, where):
    """Names and similarities, by a loop in float64."""
    query = np.asarray(query, np.float64) / np.linalg.norm(np.asarray(query, np.float64))
    scored = [
        (float(vector.astype(np.float64) @ query), t.tracklet_id)
        for vector, t in zip(embeddings.vectors, embeddings.tracklets, strict=True)
        if where is None or where.accepts(t)
    ]
    scored.sort(key=lambda pair: -pair[0])
    return scored[:top], len(scored)


FILTERS = [
    None,
    Filter(),
    Filter(modality=Modality.INFRARED),
    Filter(modality="visible", cameras=[1, "2"]),
    Filter(cameras="3"),
    Filter(cameras=99),
    Filter(exclude_cameras=[1]),
    Filter(after=100.0),
    Filter(before=100.0),
    Filter(after=100.0, before=300.0, exclude_cameras=2),
    Filter(persons=[3, 5, "7"]),
]


@pytest.mark.parametrize("where", FILTERS)
@pytest.mark.parametrize("top", [1, 7, 1000])
def test_search_equals_a_plain_loop(new_gallery, where, top):
    embeddings, gallery = make(range(120)), new_gallery()
    gallery.upsert(embeddings)
    for seed in range(3):
        query = np.random.default_rng(1000 + seed).standard_normal(6)
        expected, passing = plain_search(embeddings, query, top, where)
        found = gallery.search(query, top=top, where=where)
        assert names(found) == [name for _, name in expected]
        assert [hit.similarity for hit in found] == pytest.approx([s for s, _ in expected], abs=1e-6)
        assert [hit.distance for hit in found] == pytest.approx([1 - s for s, _ in expected], abs=1e-6)
        assert [hit.rank for hit in found] == list(range(1, len(found) + 1))
        assert (found.exact, found.searched, found.manner) == (True, passing, "exact")


@pytest.mark.parametrize("where", FILTERS)
def test_filter_and_count_accept_what_the_filter_accepts(new_gallery, where):
    embeddings, gallery = make(range(40)), new_gallery()
    gallery.upsert(embeddings)
    expected = [t for t in embeddings.tracklets if where is None or where.accepts(t)]
    assert list(gallery.filter(where)) == expected
    assert gallery.count(where) == len(expected)


def test_ties_are_in_gallery_order(new_gallery):
    gallery = new_gallery()
    vectors = np.tile([[0.6, 0.8]], (101, 1))
    vectors[50] = [1.0, 0.0]
    order = np.random.default_rng(0).permutation(101)
    gallery.upsert(make(order, vectors))
    expected = [f"t{n}" for i, n in enumerate(order) if i != 50]
    assert names(gallery.search([0.6, 0.8], top=30)) == expected[:30]
    assert names(gallery.search([0.6, 0.8], top=100)) == expected
    modality = Modality.VISIBLE
    seen = [name for name in expected if int(name[1:]) % 2 == 0]
    assert names(gallery.search([0.6, 0.8], top=20, where=Filter(modality=modality))) == seen[:20]


def test_an_empty_gallery_answers_nothing(new_gallery):
    gallery = new_gallery()
    found = gallery.search([1.0, 0.0])
    assert (len(found), found.exact, found.searched) == (0, True, 0)
    assert (gallery.count(), list(gallery.filter(Filter(cameras=1)))) == (0, [])
    assert gallery.delete(["t1"]) == 0
    info = gallery.info()
    assert (info.count, info.model, info.dimension, info.first_time) == (0, None, None, None)


def test_storing_twice_changes_nothing(new_gallery):
    gallery = new_gallery()
    assert gallery.upsert(make(range(10))) == 10
    before = gallery.get([f"t{n}" for n in range(10)])
    assert gallery.upsert(make(range(10))) == 0
    after = gallery.get([f"t{n}" for n in range(10)])
    np.testing.assert_array_equal(after.vectors, before.vectors)
    assert after.tracklets == before.tracklets
    assert gallery.count() == 10


def test_a_stored_tracklet_is_replaced_in_its_place(new_gallery):
    gallery = new_gallery()
    gallery.upsert(make(range(4), np.eye(4)))
    assert gallery.upsert(make([2, 9], np.eye(4)[[3, 0]], camera_id="gate")) == 1
    assert [t.tracklet_id for t in gallery.filter()] == ["t0", "t1", "t2", "t3", "t9"]
    assert names(gallery.search([0, 0, 0, 1], top=2)) == ["t2", "t3"]
    assert [t.tracklet_id for t in gallery.filter(Filter(cameras="gate"))] == ["t2", "t9"]


def test_deleted_tracklets_are_gone(new_gallery):
    embeddings, gallery = make(range(20)), new_gallery()
    gallery.upsert(embeddings)
    assert gallery.delete(["t3", "t3", "nobody", "t19"]) == 2
    assert gallery.count() == 18
    with pytest.raises(KeyError, match="t3"):
        gallery.get(["t3"])
    assert names(gallery.search(embeddings.vectors[3], top=20))[0] != "t3"
    assert gallery.upsert(embeddings) == 2
    assert [t.tracklet_id for t in gallery.filter()][-2:] == ["t3", "t19"]


def test_an_emptied_gallery_keeps_its_model(new_gallery):
    gallery = new_gallery()
    gallery.upsert(make(range(3)))
    gallery.delete([f"t{n}" for n in range(3)])
    assert len(gallery.search(np.ones(6))) == 0
    with pytest.raises(ModelMismatchError):
        gallery.upsert(make(range(3), model="m2"))
    assert gallery.upsert(make(range(3))) == 3


def test_get_is_in_the_order_asked(new_gallery):
    embeddings, gallery = make(range(5)), new_gallery()
    gallery.upsert(embeddings)
    found = gallery.get(["t4", "t0", "t4"])
    np.testing.assert_array_equal(found.vectors, embeddings.vectors[[4, 0, 4]])
    assert list(found.tracklets) == [embeddings.tracklets[i] for i in (4, 0, 4)]
    assert found.model == "m1"


def test_similar_to_leaves_itself_out(new_gallery):
    embeddings, gallery = make(range(30)), new_gallery()
    gallery.upsert(embeddings)
    expected, _ = plain_search(embeddings, embeddings.vectors[7], 6, None)
    found = gallery.similar_to("t7", top=5)
    assert names(found) == [name for _, name in expected[1:]]
    assert ([hit.rank for hit in found], found.searched) == ([1, 2, 3, 4, 5], 29)
    infrared = gallery.similar_to("t8", top=100, where=Filter(modality=Modality.INFRARED))
    assert (len(infrared), infrared.searched) == (15, 15)  # t8 itself is visible
    with pytest.raises(KeyError, match="t99"):
        gallery.similar_to("t99")


def test_similar_to_an_item_with_a_twin_leaves_only_itself_out(new_gallery):
    gallery = new_gallery()
    gallery.upsert(make(range(3), [[1, 0], [1, 0], [0, 1]]))
    assert names(gallery.similar_to("t1", top=1)) == ["t0"]


def test_embeddings_of_another_model_are_refused(new_gallery):
    gallery = new_gallery()
    gallery.upsert(make(range(3)))
    with pytest.raises(ModelMismatchError, match=r"m2.*m1"):
        gallery.upsert(make([5], model="m2"))
    with pytest.raises(ModelMismatchError, match="unknown"):
        gallery.upsert(make([5], model=""))
    with pytest.raises(ModelMismatchError):
        gallery.search(make([5], model="m2"))
    assert (gallery.count(), gallery.info().model) == (3, "m1")
    assert names(gallery.search(make([2]), top=1)) == ["t2"]


@pytest.mark.parametrize("query", [np.ones(5), make([1], dimension=5)])
def test_another_dimension_is_refused_naming_both(new_gallery, query):
    gallery = new_gallery()
    gallery.upsert(make(range(3)))
    with pytest.raises(ValueError, match="dimension 5; the gallery has 6"):
        gallery.search(query)
    with pytest.raises(ValueError, match="dimension 5; the gallery has 6"):
        gallery.upsert(make(range(9), dimension=5))
    assert gallery.count() == 3


@pytest.mark.parametrize("bad", [np.nan, np.inf, 0.0])
def test_vectors_without_direction_are_refused(new_gallery, bad):
    gallery = new_gallery()
    gallery.upsert(make(range(3)))
    with pytest.raises(ValueError, match="the query is zero or not finite"):
        gallery.search(np.full(6, bad))
    vectors = make([7, 8]).vectors
    vectors[1] = bad
    with pytest.raises(ValueError, match="tracklet t8 is zero or not finite"):
        gallery.upsert(make([7, 8], vectors))
    assert gallery.count() == 3


def test_other_bad_questions_are_refused(new_gallery):
    gallery = new_gallery()
    gallery.upsert(make(range(3)))
    with pytest.raises(ValueError, match="top is 0"):
        gallery.search(np.ones(6), top=0)
    with pytest.raises(ValueError, match="2 rows"):
        gallery.search(make([0, 1]))
    with pytest.raises(ValueError, match=r"shape \(2, 6\)"):
        gallery.search(np.ones((2, 6)))
    with pytest.raises(ValueError, match="'t4' occurs twice"):
        gallery.upsert(make([4, 4]))


def test_vectors_of_any_length_are_normalised(new_gallery):
    embeddings, gallery = make(range(10)), new_gallery()
    gallery.upsert(make(range(10), embeddings.vectors * np.linspace(0.1, 30, 10)[:, None]))
    np.testing.assert_allclose(
        gallery.get([f"t{n}" for n in range(10)]).vectors, embeddings.vectors, atol=1e-6
    )
    found = gallery.search(embeddings.vectors[4] * 1e-3, top=1)[0]
    assert (found.tracklet.tracklet_id, found.similarity) == ("t4", pytest.approx(1, abs=1e-6))


def test_optimise_changes_no_answer(new_gallery):
    embeddings, gallery = make(range(30)), new_gallery()
    gallery.upsert(embeddings)
    gallery.delete(["t0"])
    before = gallery.search(np.ones(6), top=30)
    gallery.optimise()
    assert gallery.search(np.ones(6), top=30) == before


def test_info_says_what_is_there(new_gallery):
    gallery = new_gallery()
    gallery.upsert(make(range(7)))
    gallery.upsert(make([8], camera_id="gate"))
    info = gallery.info()
    assert (info.count, info.dimension, info.model, info.exact) == (8, 6, "m1", True)
    assert info.modalities == {"visible": 5, "infrared": 3}
    assert info.cameras == (1, 2, 3, "gate")
    assert (info.first_time, info.last_time) == (10.0, 80.0)


def test_identifiers_and_times_come_back(new_gallery):
    gallery = new_gallery()
    embeddings = make([1, 2], person_id=None, camera_id=None, time=0.1)
    gallery.upsert(embeddings)
    assert gallery.filter().tracklets == embeddings.tracklets.tracklets
    assert gallery.count(Filter(exclude_cameras=1)) == 2  # no unknown camera is excluded
    assert gallery.count(Filter(cameras="None")) == 0


def test_searches_run_beside_a_writer(new_gallery):
    gallery = new_gallery()
    gallery.upsert(make(range(40)))

    def ask(_):
        found = gallery.search(np.ones(6), top=5)
        return len(found), found.searched

    with ThreadPoolExecutor(4) as pool:
        answers = pool.map(ask, range(40))
        for n in range(40, 60):
            gallery.upsert(make([n]))
    for length, searched in answers:
        assert length == 5
        assert 40 <= searched <= 60


def test_what_lies_beside_tracklets_is_kept(new_gallery):
    gallery = new_gallery()
    pictures = [[b"\xff\xd8 one", b"\xff\xd8 two"], [], [b"\xff\xd8 three"]]
    gallery.upsert(make(range(3)), thumbnails=pictures, contents=["abc", None, "def"])
    gallery.upsert(make([3]))
    assert [gallery.thumbnails(f"t{n}") for n in range(4)] == [*pictures, []]
    assert gallery.contents() == {"t0": "abc", "t2": "def"}
    assert gallery.contents(["t2", "t1", "nobody"]) == {"t2": "def"}
    gallery.upsert(make([0]), contents=["new"])
    assert (gallery.thumbnails("t0"), gallery.contents()["t0"]) == ([], "new")  # replaced whole
    gallery.optimise()
    assert gallery.thumbnails("t2") == pictures[2]
    with pytest.raises(KeyError, match="t9"):
        gallery.thumbnails("t9")


@pytest.mark.parametrize("beside", [{"thumbnails": [[b"x"]]}, {"contents": ["a", "b", "c"]}])
def test_as_much_must_lie_beside_as_is_stored(new_gallery, beside):
    gallery = new_gallery()
    with pytest.raises(ValueError, match=r"of [13] tracklets were given for 2"):
        gallery.upsert(make(range(2)), **beside)
    assert gallery.count() == 0


def test_people_and_tracklets_are_erased(new_gallery):
    gallery = new_gallery()
    gallery.upsert(make(range(20)))
    assert gallery.erase(person_ids="1", tracklet_ids="t19") == 5  # person 1: t4 to t7
    assert gallery.erase(person_ids=[0], tracklet_ids=["t0", "nobody"]) == 4
    assert [t.tracklet_id for t in gallery.filter()] == [f"t{n}" for n in range(8, 19)]
    assert gallery.erase(person_ids=[0]) == 0
    with pytest.raises(ValueError, match="nothing to erase"):
        gallery.erase()


def test_what_is_old_is_purged(new_gallery, monkeypatch):
    gallery = new_gallery()
    monkeypatch.setattr("time.time", lambda: 75.0)
    gallery.upsert(make(range(11)))  # t0, t5 and t10 have no time; the others 10 s times their number
    assert sorted(gallery.older_than(40.0)) == ["t1", "t2", "t3"]
    assert gallery.purge(40.0) == 3  # t1 to t3; t4 is as old as that
    assert gallery.purge(75.0) == 3  # t4, t6, t7
    assert gallery.purge(75.5) == 3  # now those without a time too
    assert [t.tracklet_id for t in gallery.filter()] == ["t8", "t9"]
    assert gallery.purge(75.0, by="stored") == 0
    assert gallery.purge(76.0, by="stored") == 2
    for bad in ({"older_than": float("nan")}, {"older_than": 1.0, "by": "size"}):
        with pytest.raises(ValueError, match=r"expected"):
            gallery.purge(**bad)


def calibration_of(model: str):
    rng = np.random.default_rng(0)
    people = np.repeat(np.arange(12), 4)
    vectors = rng.standard_normal((12, 6))[people] + 0.3 * rng.standard_normal((48, 6))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    rows = tuple(tracklet(n, person_id=int(p), camera_id=n) for n, p in enumerate(people))
    return calibrate(Embeddings(vectors.astype(np.float32), TrackletSet("test", rows), model))


def test_a_calibration_is_stored_with_the_gallery(new_gallery):
    gallery, calibration = new_gallery(), calibration_of("m1")
    assert gallery.calibration() is None
    with pytest.raises(ValueError, match="nothing was stored"):
        gallery.set_calibration(calibration)
    gallery.upsert(make(range(3)))
    gallery.set_calibration(calibration)
    found = gallery.calibration()
    for pairing, curve in calibration.curves.items():
        assert found.curve(pairing).probability(0.3) == curve.probability(0.3)
    with pytest.raises(ModelMismatchError):
        gallery.set_calibration(calibration_of("m2"))
    gallery.set_calibration(None)
    assert gallery.calibration() is None


def move(replacement, embeddings, limit=7):
    """Embed what is pending with the vectors of some embeddings, in parts."""
    row_of = {t.tracklet_id: row for row, t in enumerate(embeddings.tracklets)}
    while pending := replacement.pending(limit):
        assert len(pending) <= limit
        vectors = embeddings.vectors[[row_of[t.tracklet_id] for t in pending]]
        replacement.store(Embeddings(vectors, pending, embeddings.model))


def test_a_gallery_moves_to_another_model_at_once(new_gallery):
    gallery, old, new = new_gallery(), make(range(30)), make(range(30), model="m2", dimension=4)
    gallery.upsert(old, thumbnails=[[b"%d" % n] for n in range(30)], contents=[f"c{n}" for n in range(30)])
    gallery.set_calibration(calibration_of("m1"))
    with gallery.replacement("m2") as replacement:
        assert replacement.count_pending() == 30
        assert not replacement.finish()
        move(replacement, new)
        assert (gallery.info().model, len(gallery.search(old.rows([3])))) == ("m1", 20)
        gallery.upsert(make([3], camera_id="gate"))  # is pending again
        gallery.upsert(make([40]))
        gallery.delete(["t7"])
        assert [t.tracklet_id for t in replacement.pending(9)] == ["t3", "t40"]
        assert not replacement.finish()
        replacement.leave_out(["t40"])
        move(replacement, new)
        assert replacement.finish()
    info = gallery.info()
    assert (info.model, info.dimension, info.count) == ("m2", 4, 29)
    left = [n for n in range(30) if n != 7]
    assert [t.tracklet_id for t in gallery.filter()] == [f"t{n}" for n in left]
    np.testing.assert_array_equal(gallery.get(["t3", "t29"]).vectors, new.vectors[[3, 29]])
    assert gallery.get(["t3"]).tracklets[0].camera_id == "gate"
    assert (gallery.thumbnails("t5"), gallery.contents(["t5"])) == ([b"5"], {"t5": "c5"})
    assert gallery.calibration() is None  # it was of the former model
    expected, _ = plain_search(new.rows(left), new.vectors[9], 5, None)
    assert names(gallery.search(new.rows([9]), top=5)) == [name for _, name in expected]
    with pytest.raises(ModelMismatchError):
        gallery.search(old.rows([3]))


def test_moves_that_cannot_be_are_refused(new_gallery):
    gallery = new_gallery()
    with pytest.raises(ValueError, match="empty"):
        gallery.replacement("m2")
    gallery.upsert(make(range(3)))
    with pytest.raises(ValueError, match="of model m1 already"):
        gallery.replacement("m1")
    with gallery.replacement("m2") as replacement:
        with pytest.raises(ModelMismatchError):
            replacement.store(make(range(3), model="m3"))
        replacement.leave_out([f"t{n}" for n in range(3)])
        with pytest.raises(ValueError, match="no tracklet is left"):
            replacement.finish()
    assert gallery.info().model == "m1"


@pytest.mark.parametrize("where", FILTERS)
def test_pages_are_stretches_of_what_passes(new_gallery, where):
    gallery = new_gallery()
    nothing, total = gallery.page(where)
    assert (len(nothing), total) == (0, 0)
    gallery.upsert(make(range(12)))
    passing = [t.tracklet_id for t in gallery.filter(where)]
    for offset, limit in ((0, 5), (3, 4), (10, 5), (50, 5)):
        found, total = gallery.page(where, offset=offset, limit=limit)
        assert [t.tracklet_id for t in found] == passing[offset : offset + limit]
        assert total == len(passing)
    for offset, limit in ((-1, 5), (0, 0)):
        with pytest.raises(ValueError, match="offset"):
            gallery.page(where, offset=offset, limit=limit)
