import json
import os

import pytest

from tapetum.errors import DataError, ModelMismatchError
from tapetum.model import load
from tapetum.scale import open_store, plan_extraction, read_plan
from tapetum.scale.plan import PLAN
from tapetum.scale.shards import read_description
from tapetum.scale.stamps import MISSING, Stamps, file_stamp


def names(store, plan):
    found = []
    for shard in plan.shards:
        drafts, _ = read_description(store.read(shard.description), "here")
        found += [draft.name for draft in drafts]
    return found


def test_a_plan_is_read_back_and_lists_everything_once(planned):
    store, plan = planned(9)
    assert read_plan(store) == plan
    assert names(store, plan) == [f"c/{n:03}" for n in range(9)]
    assert (plan.rows, plan.name, plan.method) == (9, "crops", "small-cnn")
    parts = [plan.part(rank, 3) for rank in range(3)]
    assert sorted(s.key for part in parts for s in part) == sorted(s.key for s in plan.shards)
    with pytest.raises(ValueError, match="worker 3 of 3"):
        plan.part(3, 3)


def test_keys_change_with_what_decides_embeddings_and_with_nothing_else(planned, tmp_path, model):
    store, plan = planned()
    keys = [shard.key for shard in plan.shards]
    again = plan_extraction(list(plan.data), model, store, shard_size=2)
    assert [shard.key for shard in again.shards] == keys
    picture = tmp_path / "crops/003/0.jpg"
    status = picture.stat()
    os.utime(picture, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    changed = plan_extraction(list(plan.data), model, store, shard_size=2)
    assert len(set(keys) - {shard.key for shard in changed.shards}) == 1
    elsewhere = open_store(tmp_path / "bf16")
    short = plan_extraction(list(plan.data), model, elsewhere, shard_size=2, precision="bf16")
    assert not {s.key for s in short.shards} & {s.key for s in changed.shards}


def test_names_alone_look_at_no_file(planned, tmp_path, model):
    store, plan = planned(files="names")
    (tmp_path / "crops/003/0.jpg").write_bytes(b"other")
    again = plan_extraction(list(plan.data), model, store, shard_size=2, files="names")
    assert again.shards == plan.shards
    with pytest.raises(ValueError, match="unknown rule 'bytes'"):
        plan_extraction(list(plan.data), model, store, files="bytes")


def test_a_plan_that_was_changed_is_refused(planned):
    store, _ = planned()
    content = json.loads(store.read(PLAN))
    content["shards"].pop()
    store.write(PLAN, json.dumps(content).encode())
    with pytest.raises(DataError, match="was changed after it was written"):
        read_plan(store)
    store.write(PLAN, b"{}")
    with pytest.raises(DataError, match="not the plan of an extraction"):
        read_plan(store)


def test_no_plan_is_an_error_that_says_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError, match="plan first"):
        read_plan(open_store(tmp_path / "nothing"))


def test_a_plan_of_another_model_is_not_replaced(planned, other_model):
    store, plan = planned()
    with pytest.raises(ModelMismatchError, match="is of model"):
        plan_extraction(list(plan.data), load(other_model), store)
    assert read_plan(store) == plan


def test_an_identifier_that_occurs_twice_is_named(crops, model, tmp_path):
    first, second = crops(3), crops(2, "again")
    with pytest.raises(DataError, match="'c/000' occurs twice"):
        plan_extraction([first, second], model, open_store(tmp_path / "out"))


def test_archives_and_videos_are_one_shard_each(archive, model, tmp_path):
    archive(3, "a-0.tar")
    archive(2, "a-1.tar")
    store = open_store(tmp_path / "out")
    plan = plan_extraction([f"webdataset:{tmp_path}/a-{{0..1}}.tar?camera=4"], model, store)
    assert [(s.kind, s.rows, s.title) for s in plan.shards] == [
        ("source", None, f"{tmp_path}/a-{n}.tar") for n in (0, 1)
    ]
    assert plan.shards[0].address == f"webdataset:{tmp_path}/a-0.tar?camera=4"
    with pytest.raises(FileNotFoundError, match=r"a-2\.tar"):
        plan_extraction([f"webdataset:{tmp_path}/a-{{1..2}}.tar"], model, store)
    with pytest.raises(ValueError, match="needs its tracks"):
        plan_extraction([f"video:{tmp_path}/gate.mp4"], model, store)
    with pytest.raises(ValueError, match="at least one address"):
        plan_extraction([], model, store)


def test_stamps_tell_missing_and_changed_files(tmp_path):
    file = tmp_path / "1.jpg"
    stamps = Stamps("stat")
    missing = stamps.of([str(file)])
    file.write_bytes(b"1")
    there = stamps.of([str(file)])
    file.write_bytes(b"22")
    assert len({missing, there, stamps.of([str(file)])}) == 3
    assert (file_stamp(str(tmp_path / "none")), Stamps("names").of([str(file)])) == (MISSING, "")
