"""The parts of ingest on their own: which frames, which thumbnails, which modality, which failures."""

import io
import threading

import numpy as np
import pytest
from PIL import Image

from tapetum.data.clips import dense
from tapetum.errors import DataError
from tapetum.ingest.ahead import read_ahead
from tapetum.ingest.encoding import pooled
from tapetum.ingest.failures import FailureTable, failures_file, load_failures
from tapetum.ingest.gathering import divide_by_modality
from tapetum.ingest.items import Problem
from tapetum.ingest.plan import MOST_CLIPS, SPAN, Plan
from tapetum.ingest.thumbnails import ThumbnailChoice, sharpness
from tapetum.search import Gallery
from tapetum.types import Preprocessing


def plan(frames=6, sampling="chunk-first"):
    return Plan(Preprocessing(16, 8, frames), sampling)


def test_short_tracklets_have_the_clip_of_the_method():
    np.testing.assert_array_equal(plan(10).clips(24), [[0, 3, 6, 9, 12, 15, 18, 21, 23, 23]])
    np.testing.assert_array_equal(plan(3, "dense").clips(SPAN), dense(SPAN, 3))


@pytest.mark.parametrize("sampling", ["chunk-first", "uniform", "dense"])
@pytest.mark.parametrize("length", [1, 5, 64, 65, 200, 5000])
def test_frames_are_bounded_and_inside(sampling, length):
    clips = plan(6, sampling).clips(length)
    read = plan(6, sampling).read(length)
    assert set(clips.ravel().tolist()) <= set(read)
    assert read == sorted(set(read))
    assert 0 <= read[0] <= read[-1] < length
    assert len(read) >= min(6, length)
    most = MOST_CLIPS * (SPAN if sampling == "dense" else 6) + 6
    assert len(read) <= most
    if sampling != "dense":
        assert len(clips) == min(MOST_CLIPS, -(-length // SPAN))
        thirds = clips.mean(axis=1)
        assert (np.diff(thirds) > 0).all()


def test_thumbnails_are_the_sharpest_of_each_stretch_and_large_ones_are_shrunk():
    generator = np.random.default_rng(0)
    choice = ThumbnailChoice(range(16))
    for place in range(16):
        contrast = 200 if place in (3, 5, 9, 15) else 20
        pixels = generator.integers(0, contrast, (512, 256, 3)).astype(np.uint8)
        choice.add(place, Image.fromarray(pixels), pixels.transpose(2, 0, 1))
    thumbnails = choice.chosen(set(range(16)))
    assert len(thumbnails) == 4
    for data in thumbnails:
        with Image.open(io.BytesIO(data)) as picture:
            assert (picture.format, picture.size) == ("JPEG", (128, 256))
            assert sharpness(np.asarray(picture)[..., 1]) > 15
    assert choice.chosen({0}) == ()


def test_a_larger_picture_is_preferred_to_an_equal_smaller_one():
    planes = np.random.default_rng(0).integers(0, 255, (3, 16, 8)).astype(np.uint8)
    for first, second in (((20, 40), (60, 120)), ((60, 120), (20, 40))):
        choice = ThumbnailChoice(range(16))
        for place, size in enumerate((first, second)):
            choice.add(place, Image.new("RGB", size), planes)
        (found,) = choice.chosen({0, 1})
        assert Image.open(io.BytesIO(found)).size == (60, 120)


def test_odd_frames_divide_nothing():
    visible = dict.fromkeys(range(20), 0.99)
    assert len(divide_by_modality(range(20), visible | dict.fromkeys(range(4), 0.01))) == 1
    assert len(divide_by_modality(range(20), visible | dict.fromkeys(range(5), 0.01))) == 2
    assert len(divide_by_modality(range(20), visible | dict.fromkeys(range(10), 0.4))) == 1


def test_pooled_is_the_normalised_mean():
    a, b = np.array([1, 0], np.float32), np.array([0, 1], np.float32)
    np.testing.assert_allclose(pooled([a, b]), [0.5**0.5] * 2, rtol=1e-6)
    assert pooled([a]) is a
    np.testing.assert_array_equal(pooled([a, -a]), [0, 0])


def test_the_table_keeps_sources_apart_and_forgets_what_is_not_met_again(tmp_path):
    file = tmp_path / "failures.parquet"
    for source in ("one", "two"):
        table = FailureTable(file, source)
        for item in ("a", "b", "c\udcff"):
            table.note(Problem(item, "failed", f"of {source}"))
        table.save()
    table = FailureTable(file, "one")
    table.note(Problem("b", "skipped", "too short"))
    table.keep_met(["a"])
    table.save()
    rows = {(row.source, row.problem.item): row.problem.kind for row in load_failures(file)}
    assert rows == {
        ("one", "a"): "failed",
        ("one", "b"): "skipped",
        ("two", "a"): "failed",
        ("two", "b"): "failed",
        ("two", "c\\udcff"): "failed",
    }
    file.write_bytes(b"damaged")
    with pytest.raises(DataError, match="not a table of failures"):
        FailureTable(file, "one")


def test_failures_lie_in_the_folder_of_a_gallery(tmp_path):
    assert failures_file(Gallery.open(f"numpy:{tmp_path}")) == tmp_path / "failures.parquet"
    assert failures_file(Gallery.open("memory:")) is None


def test_work_ahead_stops_when_it_is_not_wanted_and_hands_on_errors():
    made = []

    def work():
        for number in range(1000):
            made.append(number)
            yield number
        raise AssertionError

    stream = read_ahead(work(), 2)
    assert [next(stream) for _ in range(3)] == [0, 1, 2]
    stream.close()
    assert len(made) <= 7
    assert not any(thread.name == "tapetum-ingest" for thread in threading.enumerate())

    def broken():
        yield 1
        raise OSError("gone")

    stream = read_ahead(broken(), 2)
    assert next(stream) == 1
    with pytest.raises(OSError, match="gone"):
        next(stream)
