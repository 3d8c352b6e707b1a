import pickle

import numpy as np
import pytest
from PIL import Image

from tapetum.data import FrameCache, FrameFiles, open_frames, read_clip, read_frame
from tapetum.errors import DataError
from tapetum.types import Modality, Tracklet, TrackletSet


def write(path, height=40, width=20, seed=0, mode="RGB", **options):
    """Write a smooth random picture and return its path as text."""
    small = np.random.default_rng(seed).integers(0, 256, (5, 4, 3), dtype=np.uint8)
    Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC).convert(mode).save(
        path, **options
    )
    return str(path)


def tracklets(folder, lengths=(3, 1, 4)):
    made = []
    for row, length in enumerate(lengths):
        frames = [write(folder / f"{row}_{i}.png", seed=10 * row + i) for i in range(length)]
        made.append(Tracklet(f"t{row}", frames, Modality.VISIBLE))
    return TrackletSet("set", tuple(made))


def by_hand(path, height, width):
    """The field's way: open, convert, resize, transpose."""
    with Image.open(path) as image:
        picture = image.convert("RGB").resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(picture).transpose(2, 0, 1)


@pytest.mark.parametrize("size", [(40, 20), (24, 12), (80, 50)])
@pytest.mark.parametrize(
    ("name", "mode"), [("a.jpg", "RGB"), ("a.png", "RGB"), ("a.jpg", "L"), ("a.png", "P")]
)
def test_a_frame_is_pillows_bilinear_resize(tmp_path, size, name, mode):
    path = write(tmp_path / name, mode=mode)
    frame = read_frame(path, *size)
    assert frame.dtype == np.uint8
    assert np.array_equal(frame, by_hand(path, *size))


def test_a_frame_is_written_where_asked(tmp_path):
    out = np.zeros((2, 3, 8, 4), dtype=np.uint8)
    path = write(tmp_path / "a.png")
    assert np.array_equal(read_frame(path, 8, 4, out=out[1]), by_hand(path, 8, 4))
    assert np.array_equal(out[1], by_hand(path, 8, 4))
    assert not out[0].any()


def test_scaled_decoding_is_near_but_not_the_same(tmp_path):
    path = write(tmp_path / "a.jpg", height=320, width=160, quality=95)
    exact = read_frame(path, 72, 36).astype(int)
    quick = read_frame(path, 72, 36, scaled_decoding=True).astype(int)
    assert 0 < np.abs(exact - quick).mean() < 3


def test_scaled_decoding_does_not_change_a_picture_of_the_right_size(tmp_path):
    path = write(tmp_path / "a.jpg")
    assert np.array_equal(read_frame(path, 40, 20, scaled_decoding=True), read_frame(path, 40, 20))


def broken_file(folder, kind):
    path = folder / "frame.jpg"
    if kind == "truncated":
        write(path, height=200, width=100, quality=95)
        path.write_bytes(path.read_bytes()[:900])
    elif kind == "text":
        path.write_text("no picture")
    elif kind == "empty":
        path.touch()
    elif kind == "folder":
        path.mkdir()
    elif kind == "deep":
        Image.fromarray(np.full((8, 4), 3000, dtype=np.uint16)).save(path, format="PNG")
    return str(path)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("missing", "no such file"),
        ("truncated", "truncated"),
        ("text", "cannot read a picture"),
        ("empty", "cannot read a picture"),
        ("folder", "cannot read a picture"),
        ("deep", "expected 8 bits a channel"),
    ],
)
def test_a_broken_file_is_named(tmp_path, kind, message):
    path = broken_file(tmp_path, kind)
    with pytest.raises(DataError, match=message) as caught:
        read_frame(path, 8, 4)
    assert path in str(caught.value)


def test_a_frame_that_repeats_is_decoded_once(tmp_path, monkeypatch):
    paths = [write(tmp_path / f"{i}.png", seed=i) for i in range(3)]
    opened = []
    original = Image.open
    monkeypatch.setattr(Image, "open", lambda path: opened.append(path) or original(path))
    clip = read_clip(paths, [2, 0, 2, 2], 8, 4)
    assert opened == [paths[2], paths[0]]
    monkeypatch.undo()
    assert np.array_equal(clip, np.stack([by_hand(paths[i], 8, 4) for i in (2, 0, 2, 2)]))


def test_cache_and_files_hold_the_same_frames(tmp_path):
    items = tracklets(tmp_path)
    cache = FrameCache.decode(items, 16, 8, limit_bytes=10**6)
    files = FrameFiles(items, 16, 8)
    assert cache.lengths.tolist() == files.lengths.tolist() == [3, 1, 4]
    for row, length in enumerate(files.lengths):
        positions = np.arange(length)[::-1].repeat(2)
        assert np.array_equal(cache.clip(row, positions), files.clip(row, positions))


def test_cache_refuses_positions_of_the_next_tracklet(tmp_path):
    cache = FrameCache.decode(tracklets(tmp_path), 16, 8, limit_bytes=10**6)
    for position in (3, -1):
        with pytest.raises(IndexError, match="outside tracklet 0 of 3 frames"):
            cache.clip(0, np.array([0, position]))


def test_cache_reports_progress_and_its_size(tmp_path):
    items = tracklets(tmp_path)
    seen = []
    cache = FrameCache.decode(items, 16, 8, limit_bytes=10**6, progress=lambda *done: seen.append(done))
    assert seen == [(3, 8), (4, 8), (8, 8)]
    assert FrameCache.bytes_needed(items, 16, 8) == cache.frames.nbytes


def test_cache_refuses_more_than_its_limit_before_reading(tmp_path):
    missing = TrackletSet("set", (Tracklet("t", [str(tmp_path / "none.jpg")], Modality.VISIBLE),))
    with pytest.raises(MemoryError, match="need 384 bytes, more than 383"):
        FrameCache.decode(missing, 16, 8, limit_bytes=383)


def test_cache_names_a_broken_file(tmp_path):
    items = tracklets(tmp_path)
    (tmp_path / "2_1.png").unlink()
    with pytest.raises(DataError, match=r"2_1\.png"):
        FrameCache.decode(items, 16, 8, limit_bytes=10**6)


def test_cache_refuses_lengths_that_do_not_fit():
    with pytest.raises(ValueError, match="add up to 3, but there are 2 frames"):
        FrameCache(np.zeros((2, 3, 4, 4), np.uint8), np.array([1, 2]))


def test_frames_fall_back_to_files_when_memory_is_short(tmp_path):
    items = tracklets(tmp_path)
    needed = FrameCache.bytes_needed(items, 16, 8)
    assert isinstance(open_frames(items, 16, 8), FrameFiles)
    assert isinstance(open_frames(items, 16, 8, cache_bytes=needed - 1), FrameFiles)
    assert isinstance(open_frames(items, 16, 8, cache_bytes=needed), FrameCache)


def test_files_can_be_sent_to_another_process(tmp_path):
    files = FrameFiles(tracklets(tmp_path), 16, 8)
    again = pickle.loads(pickle.dumps(files))
    assert np.array_equal(again.clip(2, np.array([1])), files.clip(2, np.array([1])))
