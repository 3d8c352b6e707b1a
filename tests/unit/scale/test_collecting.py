import numpy as np
import pytest

from tapetum.embedding_files import load_embeddings
from tapetum.errors import DataError, ModelMismatchError
from tapetum.ingest import ingest, open_source
from tapetum.scale import collect_embeddings, collect_into_gallery, extract, open_store, plan_extraction
from tapetum.search import Gallery
from tapetum.types import Embeddings, Modality, Tracklet, TrackletSet


@pytest.fixture
def finished(planned, model_file):
    """The store and plan of a finished extraction of nine tracklets."""
    store, plan = planned(9, shard_size=3, thumbnails=True)
    extract(store.address, str(model_file))
    return store, plan


def test_one_folder_of_embeddings_in_the_order_of_the_data(finished, model, tmp_path):
    store, _ = finished
    found = collect_embeddings(store, tmp_path / "e")
    embeddings = load_embeddings(tmp_path / "e")
    assert (found.rows, found.problems, len(embeddings)) == (9, [], 9)
    assert [t.tracklet_id for t in embeddings.tracklets] == [f"c/{n:03}" for n in range(9)]
    assert (embeddings.model, embeddings.tracklets.name) == (model.fingerprint, "crops")
    with pytest.raises(FileExistsError):
        collect_embeddings(store, tmp_path / "e")


def test_a_gallery_is_loaded_once_however_often_it_is_asked_for(finished, tmp_path):
    store, _ = finished
    gallery = Gallery.open(tmp_path / "g")
    first = collect_into_gallery(store, gallery, commit=4)
    assert (first.new, first.unchanged, gallery.count()) == (9, 0, 9)
    assert first.rate > 0
    assert len(gallery.thumbnails("c/004")) == 2
    again = collect_into_gallery(store, gallery, commit=4)
    assert (again.new, again.unchanged, again.rate, gallery.count()) == (0, 9, 0.0, 9)
    gallery.delete(["c/000"])
    assert collect_into_gallery(store, gallery).new == 1
    gallery.close()


def test_a_load_that_was_cut_off_is_gone_on_with(finished):
    store, _ = finished

    class Broken(Exception):
        pass

    gallery = Gallery.open("memory:")
    upsert, calls = gallery.upsert, []

    def cut_off(*given, **more):
        calls.append(given)
        if len(calls) == 2:
            raise Broken
        return upsert(*given, **more)

    gallery.upsert = cut_off
    with pytest.raises(Broken):
        collect_into_gallery(store, gallery, commit=1)
    there = gallery.count()
    assert 0 < there < 9
    found = collect_into_gallery(store, gallery, commit=1)
    assert (found.unchanged, found.new, gallery.count()) == (there, 9 - there, 9)


def test_index_knows_what_was_collected(finished, model):
    store, plan = finished
    gallery = Gallery.open("memory:")
    collect_into_gallery(store, gallery)
    report = ingest(open_source(plan.data[0]), gallery, model)
    assert (report.unchanged, report.stored) == (9, 0)


def test_a_gallery_of_another_model_is_refused(finished):
    store, _ = finished
    gallery = Gallery.open("memory:")
    tracklets = TrackletSet("t", (Tracklet("t", ("1.jpg",), Modality.VISIBLE),))
    gallery.upsert(Embeddings(np.ones((1, 4), np.float32), tracklets, "other"))
    with pytest.raises(ModelMismatchError):
        collect_into_gallery(store, gallery)
    assert gallery.count() == 1


def test_nothing_is_stored_where_a_shard_is_damaged_or_an_identifier_occurs_twice(
    finished, archive, model, model_file, tmp_path
):
    store, plan = finished
    name = plan.shards[0].result
    store.write(name, store.read(name)[:-20])
    gallery = Gallery.open("memory:")
    with pytest.raises(DataError, match=plan.shards[0].key):
        collect_into_gallery(store, gallery)
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        archive(2, f"{folder}/a.tar")
    twice = open_store(tmp_path / "twice")
    plan_extraction([f"webdataset:{tmp_path}/{f}/a.tar?name=n" for f in ("one", "two")], model, twice)
    extract(twice.address, str(model_file))
    with pytest.raises(DataError, match=r"'n/a/0000' is in .* and in"):
        collect_into_gallery(twice, gallery)
    with pytest.raises(DataError, match="expected different ones"):
        collect_embeddings(twice, tmp_path / "e")
    assert gallery.count() == 0
    for bad in ({"commit": 0}, {"at_most": 0.0}):
        with pytest.raises(ValueError, match="expected more than 0"):
            collect_into_gallery(twice, gallery, **bad)


def test_a_rate_is_kept_to_and_a_part_is_taken_where_asked_for(finished, model_file, tmp_path, monkeypatch):
    store, plan = finished
    slept = []
    monkeypatch.setattr("tapetum.scale.collecting.time.sleep", slept.append)
    (tmp_path / "out" / plan.shards[0].result).unlink()
    with pytest.raises(DataError, match="not finished"):
        collect_into_gallery(store, Gallery.open("memory:"))
    gallery = Gallery.open("memory:")
    found = collect_into_gallery(store, gallery, partial=True, at_most=0.5)
    assert [shard.key for shard in found.missing] == [plan.shards[0].key]
    assert gallery.count() == found.rows == 9 - (plan.shards[0].rows or 0)
    assert sum(slept) == pytest.approx(2 * found.rows, rel=0.2)
