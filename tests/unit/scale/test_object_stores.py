import numpy as np
import pytest

from tapetum.scale import collect_embeddings, extract, open_store, plan_extraction, read_plan
from tapetum.scale.collecting import results_of


@pytest.fixture
def uploaded(storage, archive):
    """An archive of four samples in object storage."""
    storage.buckets["shed"]["in/a.tar"] = (archive(4).read_bytes(), 1_000_000.0)
    return "webdataset:s3://shed/in/*.tar?camera=2"


def test_an_extraction_from_and_to_object_storage(storage, uploaded, model, model_file, tmp_path):
    store = open_store("s3://shed/out")
    plan = plan_extraction([uploaded], model, store)
    assert [shard.title for shard in plan.shards] == ["s3://shed/in/a.tar"]
    report = extract("s3://shed/out", str(model_file))
    assert (report.done, report.rows, report.failed) == (1, 4, {})
    assert storage.puts.count(f"out/{plan.shards[0].result}") == 1
    assert next(storage.numbers) == 1  # no upload was begun that could be left unfinished
    (result,) = results_of(store, plan.shards)
    assert [t.tracklet_id for t in result.tracklets] == [f"s3://shed/in/a.tar/{n:04}" for n in range(4)]
    assert result.tracklets[1].frames == ("s3://shed/in/a.tar::0001.jpg",)
    assert (result.tracklets[1].person_id, result.tracklets[1].camera_id) == (1, 2)
    assert extract("s3://shed/out", str(model_file)).skipped == 1
    assert collect_embeddings(store, tmp_path / "e").rows == 4


def test_a_copy_gives_what_the_file_itself_gives(storage, uploaded, model, model_file, tmp_path):
    here, there = open_store(tmp_path / "here"), open_store(tmp_path / "there")
    plan_extraction([uploaded], model, there)
    plan_extraction([f"webdataset:{tmp_path}/a.tar?camera=2"], model, here)
    for store in (here, there):
        extract(store.address, str(model_file))
    (mine,), (theirs,) = (list(results_of(s, read_plan(s).shards)) for s in (here, there))
    np.testing.assert_array_equal(mine.vectors, theirs.vectors)
    assert len(set(theirs.contents)) == 4


def test_an_archive_that_is_replaced_is_named(storage, uploaded, archive, model, model_file):
    plan_extraction([uploaded], model, open_store("s3://shed/out"))
    storage.buckets["shed"]["in/a.tar"] = (archive(5).read_bytes(), 2_000_000.0)
    (reason,) = extract("s3://shed/out", str(model_file)).failed.values()
    assert "in/a.tar: has changed or vanished" in reason


def test_a_bucket_that_vanishes_loses_nothing(storage, model, model_file, archive, tmp_path):
    for number in range(4):
        storage.buckets["shed"][f"in/a-{number}.tar"] = (archive(2).read_bytes(), 1.0)
    store = open_store("s3://shed/out")
    plan = plan_extraction(["webdataset:s3://shed/in/a-{0..3}.tar"], model, store)

    def vanish(report):
        if report.done == 2:
            kept["files"] = storage.buckets.pop("shed", kept.get("files"))

    kept = {}
    report = extract("s3://shed/out", str(model_file), progress=vanish, give_up_after=2)
    assert (report.done, len(report.failed)) == (2, 2)
    assert "shards failed one after the other" in report.stopped
    storage.buckets["shed"] = kept["files"]
    report = extract("s3://shed/out", str(model_file))
    assert (report.skipped, report.done, report.rows) == (2, 2, 8)
    assert {key for key in storage.puts if "embeddings" in key} == {f"out/{s.result}" for s in plan.shards}


def test_a_store_that_takes_nothing_more_is_named(storage, uploaded, model, model_file):
    plan_extraction([uploaded], model, open_store("s3://shed/out"))
    storage.refused |= {"PUT", "POST"}
    (reason,) = extract("s3://shed/out", str(model_file)).failed.values()
    assert reason.startswith("s3://shed/out/embeddings/")
    assert not [key for key in storage.buckets["shed"] if "embeddings" in key]
