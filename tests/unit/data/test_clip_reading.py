import numpy as np
import pytest
from PIL import Image

from tapetum.data import FrameCache, clip_batches, read_clips
from tapetum.data.clip_reading import ClipReader
from tapetum.errors import DataError
from tapetum.types import Modality, Preprocessing, Tracklet, TrackletSet

SIZE = Preprocessing(height=8, width=4, frames=2)


@pytest.fixture(scope="module")
def tracklets(tmp_path_factory) -> TrackletSet:
    """Three tracklets of 1, 3 and 5 frames."""
    folder = tmp_path_factory.mktemp("clips")
    made = []
    for length in (1, 3, 5):
        frames = [str(folder / f"{length}-{i}.png") for i in range(length)]
        for i, frame in enumerate(frames):
            pixels = np.random.default_rng([length, i]).integers(0, 256, (8, 4, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(frame)
        made.append(Tracklet(str(length), tuple(frames), Modality.VISIBLE))
    return TrackletSet("made", tuple(made))


@pytest.mark.parametrize("sampling", ["chunk-first", "dense"])
@pytest.mark.parametrize("batch_size", [1, 2, 10])
def test_clips_are_those_of_the_loader_as_arrays(tracklets, sampling, batch_size):
    found = list(read_clips(tracklets, SIZE, sampling=sampling, batch_size=batch_size))
    expected = list(clip_batches(tracklets, SIZE, sampling=sampling, batch_size=batch_size))
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert isinstance(one.clips, np.ndarray)
        np.testing.assert_array_equal(one.rows, other.rows)
        np.testing.assert_array_equal(one.clips, other.clips.numpy())


def test_memory_and_chosen_rows(tracklets):
    cache = FrameCache.decode(tracklets, 8, 4, limit_bytes=10**6)
    (whole,) = read_clips(tracklets, SIZE)
    (cached,) = read_clips(tracklets, SIZE, source=cache)
    (last,) = read_clips(tracklets, SIZE, rows=np.array([2]))
    np.testing.assert_array_equal(whole.clips, cached.clips)
    np.testing.assert_array_equal(last.clips, whole.clips[2:])
    assert last.rows.tolist() == [2]


def test_a_reader_knows_its_batches(tracklets):
    reader = ClipReader.of(tracklets, SIZE, sampling="chunk-first", batch_size=2)
    assert (len(reader), reader.positions.tolist()) == (2, [[0, 0], [0, 2], [0, 3]])
    assert reader(1).rows.tolist() == [2]


def test_what_cannot_be_read(tracklets):
    assert list(read_clips(TrackletSet("none", ()), SIZE)) == []
    with pytest.raises(ValueError, match="batch_size must be at least 1, found 0"):
        list(read_clips(tracklets, SIZE, batch_size=0))
    gone = TrackletSet("gone", (Tracklet("a", ("gone.png",), Modality.VISIBLE),))
    with pytest.raises(DataError, match=r"gone\.png"):
        list(read_clips(gone, SIZE))
