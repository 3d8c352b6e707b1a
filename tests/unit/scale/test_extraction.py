import errno
import shutil
from pathlib import Path

import numpy as np
import pytest

from tapetum.embed import embed
from tapetum.errors import DataError, ModelMismatchError
from tapetum.ingest import open_source
from tapetum.ingest.plan import Plan
from tapetum.model import OnnxModel
from tapetum.scale import (
    collect_embeddings,
    extract,
    open_store,
    plan_extraction,
    problems_of,
    read_plan,
)
from tapetum.scale.collecting import results_of
from tapetum.scale.encoder import encoder_of
from tapetum.scale.store import FolderStore
from tapetum.types import TrackletSet


def embedded(store):
    """Vectors by identifier."""
    results = results_of(store, read_plan(store).shards)
    return {t.tracklet_id: v for r in results for t, v in zip(r.tracklets, r.vectors, strict=True)}


def test_embeddings_equal_those_of_the_plain_loop(planned, crops, model, model_file, tmp_path):
    store, plan = planned(9, shard_size=4)
    report = extract(store.address, str(model_file))
    assert (report.done, report.skipped, report.rows) == (len(plan.shards), 0, 9)
    assert (report.failed, report.problems, report.is_complete) == ({}, [], True)
    source = open_source(plan.data[0])
    drafts = [d for group in source.groups(Plan(model.preprocessing, model.sampling)) for d in group.drafts]
    tracklets = TrackletSet("c", tuple(d.tracklet(d.modality, d.frames) for d in drafts))
    expected = embed(model.method, tracklets)
    found = embedded(store)
    assert list(found) == [t.tracklet_id for t in tracklets]
    np.testing.assert_allclose(np.stack(list(found.values())), expected.vectors, atol=1e-6)


def test_what_is_finished_is_passed_over_and_a_part_is_a_part(planned, model_file):
    store, plan = planned(10)
    first = extract(store.address, str(model_file), part=(0, 2))
    assert first.done == len(plan.part(0, 2))
    rest = extract(store.address, str(model_file))
    assert (rest.skipped, rest.done) == (first.done, len(plan.shards) - first.done)
    again = extract(store.address, str(model_file))
    assert (again.skipped, again.done, again.rows) == (len(plan.shards), 0, 10)


@pytest.mark.parametrize("spoil", [lambda b: b[:-9], lambda b: b[:300] + b"????" + b[304:], lambda b: b""])
def test_a_spoiled_result_is_found_and_made_again(planned, model_file, spoil):
    store, plan = planned(6)
    extract(store.address, str(model_file))
    before = embedded(store)
    name = plan.shards[1].result
    store.write(name, spoil(store.read(name)))
    report = extract(store.address, str(model_file))
    assert (report.done, report.skipped) == (1, len(plan.shards) - 1)
    after = embedded(store)
    assert list(after) == list(before)
    for key, vector in before.items():
        np.testing.assert_array_equal(after[key], vector)


def test_an_edited_list_of_a_shard_is_named_and_the_others_are_made(planned, model_file):
    store, plan = planned(6)
    victim, other = plan.shards[0], plan.shards[1]
    store.write(victim.description, store.read(other.description))
    report = extract(store.address, str(model_file))
    assert list(report.failed) == [f"{victim.key} ({victim.title})"]
    assert "was changed after it was planned" in next(iter(report.failed.values()))
    assert report.done == len(plan.shards) - 1
    assert not store.has(victim.result)


def test_pictures_that_changed_since_the_plan_are_named(planned, model_file, model, tmp_path, draw):
    store, plan = planned(6)
    (tmp_path / "crops/004/1.jpg").write_bytes(draw(7) + b" ")
    report = extract(store.address, str(model_file))
    (reason,) = report.failed.values()
    assert "have changed or vanished" in reason
    assert "c/004" in reason
    plan_extraction(list(plan.data), model, store, shard_size=2)
    assert extract(store.address, str(model_file)).is_complete
    shutil.rmtree(tmp_path / "crops")
    (victim,) = [s for s in read_plan(store).shards if s.title == "c/000"]
    Path(store.where(victim.result)).unlink()
    assert "have changed or vanished" in next(iter(extract(store.address, str(model_file)).failed.values()))


def test_what_cannot_be_read_is_listed_by_name_and_tried_again_when_asked(
    planned, crops, model_file, tmp_path, model, draw
):
    crops(5)
    (tmp_path / "crops/001/0.jpg").write_bytes(b"no picture")
    (tmp_path / "crops/002/0.jpg").write_bytes(b"")
    (tmp_path / "crops/002/1.jpg").write_bytes(b"")
    store = open_store(tmp_path / "out")
    plan = plan_extraction([f"crops:{tmp_path}/crops?modality=visible&name=c"], model, store, files="names")
    report = extract(store.address, str(model_file))
    assert [(p.item, p.kind) for p in report.problems] == [("c/001", "partly"), ("c/002", "failed")]
    assert report.rows == 4
    assert [p.item for p in problems_of(store)] == ["c/001", "c/002"]
    for name in ("001/0", "002/0", "002/1"):
        (tmp_path / f"crops/{name}.jpg").write_bytes(draw(3))
    assert extract(store.address, str(model_file)).skipped == len(plan.shards)
    assert extract(store.address, str(model_file), retry_failed=True).problems == []
    assert len(embedded(store)) == 5


def test_thumbnails_are_kept_where_asked_for(planned, model_file):
    for asked, count in ((False, 0), (True, 2)):
        store, plan = planned(2, thumbnails=asked, out=f"out-{asked}")
        extract(store.address, str(model_file))
        (result, *_) = results_of(store, plan.shards)
        assert len(result.thumbnails[0]) == count


class FullStore(FolderStore):
    """A folder on a disk that is full after some results."""

    def __init__(self, folder, room):
        super().__init__(folder)
        self.room = room

    def write(self, name, content):
        if name.startswith("embeddings/"):
            if self.room == 0:
                raise OSError(errno.ENOSPC, "No space left on device", self.where(name))
            self.room -= 1
        super().write(name, content)


def test_a_full_disk_stops_everything_and_loses_nothing(planned, model_file):
    store, plan = planned(8)
    assert len(plan.shards) >= 4
    report = extract(store.address, str(model_file), store=FullStore(Path(store.address), 2))
    assert (report.done, len(report.failed)) == (2, 1)
    assert "No space left on device" in report.stopped
    assert report.done + report.skipped < len(plan.shards)
    rest = extract(store.address, str(model_file))
    assert (rest.skipped, rest.done, len(embedded(store))) == (2, len(plan.shards) - 2, 8)


def test_it_gives_up_where_nothing_goes_well(planned, model_file, tmp_path):
    store, plan = planned(12)
    shutil.rmtree(tmp_path / "crops")
    report = extract(store.address, str(model_file), give_up_after=3)
    assert (len(report.failed), report.done) == (3, 0)
    assert "3 shards failed one after the other" in report.stopped
    assert len(plan.shards) > 3


def test_another_model_and_bad_options_are_refused(planned, other_model, model_file, tmp_path):
    store, _ = planned(2)
    with pytest.raises(ModelMismatchError, match="was planned for"):
        extract(store.address, str(other_model))
    with pytest.raises(ValueError, match="below"):
        extract(store.address, str(model_file), batch_size=0)
    with pytest.raises(FileNotFoundError, match="plan first"):
        extract(str(tmp_path / "nothing"), str(model_file))


def test_archives_are_read_and_a_damaged_one_gives_what_is_whole(archive, model, model_file, tmp_path):
    whole, spoiled = archive(5, "a-0.tar"), archive(5, "a-1.tar")
    content = spoiled.read_bytes()
    spoiled.write_bytes(content[: len(content) // 2])
    store = open_store(tmp_path / "out")
    plan_extraction([f"webdataset:{tmp_path}/a-*.tar"], model, store)
    report = extract(store.address, str(model_file))
    assert report.is_complete
    assert any(p.item == str(spoiled) and "cut short" in p.reason for p in report.problems)
    found = embedded(store)
    assert {name for name in found if name.startswith(str(whole))} == {f"{whole}/{n:04}" for n in range(5)}
    assert 0 < len(found) - 5 < 5


def test_bfloat16_is_close_to_float32(planned, model_file):
    vectors = []
    for precision in ("32", "bf16"):
        store, _ = planned(4, precision=precision, out=f"out-{precision}")
        extract(store.address, str(model_file))
        vectors.append(np.stack(list(embedded(store).values())))
    assert (np.einsum("nd,nd->n", *vectors) > 0.999).all()
    assert not np.array_equal(*vectors)


def test_an_exported_model_keeps_its_number_type():
    fake = OnnxModel.__new__(OnnxModel)
    object.__setattr__(fake, "path", Path("model.onnx"))
    with pytest.raises(ValueError, match="keeps its number type"):
        encoder_of(fake, "cpu", "bf16")


def test_videos_are_read_in_one_pass(model, model_file, tmp_path):
    av = pytest.importorskip("av")
    video, tracks = tmp_path / "gate.mp4", tmp_path / "gate.txt"
    person = np.random.default_rng(0).integers(0, 255, (48, 24, 3)).astype(np.uint8)
    with av.open(str(video), "w") as container:
        stream = container.add_stream("mpeg4", rate=4)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        for _ in range(6):
            pixels = np.full((96, 128, 3), 128, np.uint8)
            pixels[20:68, 40:64] = person
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
        container.mux(stream.encode())
    tracks.write_text("\n".join(f"{n},1,40,20,24,48,1" for n in range(1, 7)) + "\n")
    store = open_store(tmp_path / "out")
    plan_extraction([f"video:{video}?tracks={tracks}&camera=3"], model, store)
    assert extract(store.address, str(model_file)).rows == 1
    (result,) = results_of(store, read_plan(store).shards)
    assert (result.tracklets[0].tracklet_id, result.tracklets[0].camera_id) == (f"{video}#1", 3)
    tracks.write_text("1,1,40,20,24,48,1\n")
    Path(store.where(read_plan(store).shards[0].result)).unlink()
    (reason,) = extract(store.address, str(model_file)).failed.values()
    assert "has changed or vanished since it was planned for" in reason


def test_collecting_before_the_end_is_an_error_that_names_a_shard(planned, model_file, tmp_path):
    store, plan = planned(8)
    extract(store.address, str(model_file), part=(0, 2))
    with pytest.raises(DataError, match=rf"shards are not finished, the first is {plan.shards[1].key}"):
        collect_embeddings(store, tmp_path / "embeddings")
    assert not (tmp_path / "embeddings").exists()
