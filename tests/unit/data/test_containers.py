import io
import multiprocessing
import os
import pickle
from concurrent.futures import ThreadPoolExecutor

import lmdb
import numpy as np
import pytest
from PIL import Image

from tapetum.data import FrameCache, FrameFiles, check_files, containers, read_frame
from tapetum.data.containers import ContainedFrames, Reference, has_frame, open_container
from tapetum.data.loading import clip_batches
from tapetum.errors import DataError
from tapetum.types import Modality, Preprocessing, Tracklet, TrackletSet

SIZE = (6, 3)


def pixels(seed):
    return np.random.default_rng(seed).integers(0, 256, (*SIZE, 3), dtype=np.uint8)


def encoded(seed):
    buffer = io.BytesIO()
    Image.fromarray(pixels(seed)).save(buffer, format="PNG")
    return buffer.getvalue()


def write(path, lengths, damaged=()):
    """A database of tracklets; picture i of all is `pixels(i)`. Answers the tracklets."""
    seeds = iter(range(sum(lengths)))
    keys = [str(number).encode() for number in range(len(lengths))]
    with lmdb.open(str(path), lock=False, map_size=2**24) as database, database.begin(write=True) as writing:
        for number, length in enumerate(lengths):
            chosen = [next(seeds) for _ in range(length)]
            frames = [b"no picture" if seed in damaged else encoded(seed) for seed in chosen]
            writing.put(keys[number], pickle.dumps([frames, number, 0]))
        writing.put(b"__keys__", pickle.dumps(keys))
        writing.put(b"__len__", pickle.dumps(len(keys)))
    made = (
        Tracklet(f"t{number}", ContainedFrames(str(path), str(number), range(length)), Modality.VISIBLE)
        for number, length in enumerate(lengths)
    )
    return TrackletSet("packed", tuple(made))


def is_picture(frame, seed):
    return np.array_equal(read_frame(frame, *SIZE), pixels(seed).transpose(2, 0, 1))


@pytest.fixture
def packed(tmp_path):
    return write(tmp_path / "a.lmdb", (3, 1, 4))


def test_a_reference_is_read_as_a_file_is(packed):
    frames = [frame for tracklet in packed for frame in tracklet.frames]
    assert all(is_picture(frame, seed) for seed, frame in enumerate(frames))
    assert all(has_frame(frame) for frame in frames)


def test_a_path_with_two_colons_is_a_path(tmp_path):
    path = tmp_path / "a::b.png"
    path.write_bytes(encoded(5))
    assert is_picture(str(path), 5)
    assert has_frame(str(path))
    assert Reference.parse("a.lmdb") is None


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("a.lmdb::2/4", "no such frame: the tracklet has 4"),
        ("a.lmdb::7/0", "no key b'7' in the database"),
        ("a.lmdb::", "expected the form KEY/NUMBER"),
        ("b.lmdb::0/0", "cannot read a picture: no such file"),
        ("text.lmdb::0/0", "no LMDB database"),
    ],
)
def test_a_reference_that_leads_nowhere_is_named(packed, tmp_path, entry, message):
    (tmp_path / "text.lmdb").write_text("no database")
    reference = f"{tmp_path}/{entry}"
    with pytest.raises(DataError, match=message) as caught:
        read_frame(reference, *SIZE)
    assert str(caught.value).startswith(f"{reference}: ")
    assert not has_frame(reference)


def test_checks_find_what_is_damaged_or_missing(tmp_path):
    items = write(tmp_path / "a.lmdb", (2, 2), damaged=(3,))
    more = Tracklet("more", ContainedFrames(f"{tmp_path}/a.lmdb", "1", range(3)), Modality.VISIBLE)
    looked_at = TrackletSet("packed", (items[0], more))
    damaged, missing = (f"{tmp_path}/a.lmdb::1/{number}" for number in (1, 2))
    assert [p.path for p in check_files(looked_at)] == [damaged, missing]
    assert "UnidentifiedImageError" in check_files(looked_at)[0].reason
    (problem,) = check_files(looked_at, decode=False)
    assert (problem.path, problem.reason) == (missing, "no such file")


def test_cache_and_files_hold_the_frames_of_a_container(packed):
    cache = FrameCache.decode(packed, *SIZE, limit_bytes=10**6)
    files = FrameFiles(packed, *SIZE)
    assert cache.lengths.tolist() == files.lengths.tolist() == [3, 1, 4]
    for row, length in enumerate(files.lengths):
        positions = np.arange(length)[::-1].repeat(2)
        assert np.array_equal(cache.clip(row, positions), files.clip(row, positions))
    assert np.array_equal(cache.frames[4], pixels(4).transpose(2, 0, 1))


def test_few_containers_stay_open_and_threads_share_them(tmp_path):
    items = [write(tmp_path / f"{number}.lmdb", (2, 2)) for number in range(containers.MOST_OPEN + 4)]
    frames = [(t.frames[i], 2 * row + i) for set_ in items for row, t in enumerate(set_) for i in range(2)]
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(lambda one: is_picture(*one), frames * 5))
    assert len(containers._open._last_used) == containers.MOST_OPEN


def test_a_container_is_opened_once_by_whatever_name(packed, tmp_path, monkeypatch):
    (tmp_path / "other.lmdb").symlink_to(tmp_path / "a.lmdb")
    monkeypatch.chdir(tmp_path)
    paths = (f"{tmp_path}/a.lmdb", "a.lmdb", "other.lmdb")
    assert len({id(open_container(path)) for path in paths}) == 1


def test_a_container_that_was_replaced_or_changed_is_read_anew(packed, tmp_path):
    frame = packed[0].frames[0]
    assert is_picture(frame, 0)
    write(tmp_path / "b.lmdb", (1, 1))
    (tmp_path / "b.lmdb" / "data.mdb").replace(tmp_path / "a.lmdb" / "data.mdb")
    assert not has_frame(packed[0].frames[1])
    with lmdb.open(f"{tmp_path}/c.lmdb", lock=False) as database, database.begin(write=True) as writing:
        writing.put(b"0", pickle.dumps([[encoded(9)], 0, 0]))
    (tmp_path / "a.lmdb" / "data.mdb").write_bytes((tmp_path / "c.lmdb" / "data.mdb").read_bytes())
    assert is_picture(frame, 9)


def test_an_ending_of_no_known_kind_is_refused(tmp_path):
    (tmp_path / "a.zip").touch()
    with pytest.raises(ValueError, match=r"a\.zip: no known kind of container; known endings: \.lmdb"):
        open_container(f"{tmp_path}/a.zip")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_reads_what_its_parent_has_open(packed):
    frame = packed[0].frames[1]
    assert is_picture(frame, 1)
    with containers._open._lock:
        child = os.fork()
    if child == 0:
        try:
            os._exit(0 if is_picture(frame, 1) and is_picture(packed[2].frames[3], 7) else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert is_picture(frame, 1)


def test_a_spawned_process_reads_frames_by_their_texts(packed):
    assert is_picture(packed[2].frames[3], 7)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        (found,) = pool.starmap(read_frame, [(packed[2].frames[3], *SIZE)])
    assert np.array_equal(found, pixels(7).transpose(2, 0, 1))


def test_clips_of_a_container_are_read_ahead(packed):
    size = Preprocessing(*SIZE, frames=2)
    (batch,) = clip_batches(packed, size, sampling="uniform", batch_size=8)
    expected = [[0, 1], [3, 3], [4, 6]]
    assert np.array_equal(batch.clips, [[pixels(s).transpose(2, 0, 1) for s in row] for row in expected])


def test_contained_frames_behave_as_a_sequence_of_references():
    frames = ContainedFrames("a.lmdb", "7", range(4))
    assert list(frames) == [f"a.lmdb::7/{number}" for number in range(4)]
    assert (len(frames), frames[-1], list(frames[1:3])) == (4, "a.lmdb::7/3", ["a.lmdb::7/1", "a.lmdb::7/2"])
    with pytest.raises(IndexError):
        frames[4]
    assert frames[1:] == ContainedFrames("a.lmdb", "7", range(1, 4))
    assert hash(frames[1:]) == hash(ContainedFrames("a.lmdb", "7", range(1, 4)))
    assert frames != list(frames)
    assert pickle.loads(pickle.dumps(frames)) == frames
    assert repr(frames[1:]) == "ContainedFrames('a.lmdb', '7', range(1, 4))"
