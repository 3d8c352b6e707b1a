import pickle

import numpy as np
import pytest

from tapetum.data.corruptions import CorruptedFrames, find_corruption
from tapetum.data.corruptions.frames import draws
from tapetum.data.frames import FrameCache
from tapetum.data.loading import clip_batches
from tapetum.types import Modality, Preprocessing, Tracklet, TrackletSet

SIZE = Preprocessing(height=24, width=12, frames=3)
LENGTHS = np.array([4, 7, 1, 5])


@pytest.fixture
def tracklets():
    modalities = (Modality.VISIBLE, Modality.INFRARED) * 2
    return TrackletSet(
        "four",
        tuple(
            Tracklet(f"t{i}", ("",) * int(n), m)
            for i, (n, m) in enumerate(zip(LENGTHS, modalities, strict=True))
        ),
    )


@pytest.fixture
def source():
    frames = np.random.default_rng(0).integers(0, 256, (LENGTHS.sum(), 3, 24, 12), dtype=np.uint8)
    return FrameCache(frames, LENGTHS)


def corrupted(source, tracklets, name="gaussian-noise", severity=3, **options):
    return CorruptedFrames(source, tracklets, find_corruption(name), severity, **options)


def clips_of(source, tracklets, **options):
    """Row -> its clips, read as extraction reads them."""
    found = {}
    for batch in clip_batches(tracklets, SIZE, source=source, **options):
        for row, clip in zip(batch.rows, batch.clips.numpy(), strict=True):
            found.setdefault(int(row), []).append(clip)
    return {row: np.concatenate(clips) for row, clips in found.items()}


@pytest.mark.parametrize("name", ["gaussian-noise", "box-occlusion", "rain"])
def test_batches_order_and_neighbours_change_no_pixel(source, tracklets, name):
    frames = corrupted(source, tracklets, name)
    whole = clips_of(frames, tracklets, batch_size=32)
    single = clips_of(frames, tracklets, batch_size=1)
    order = np.array([3, 0, 2])
    some = TrackletSet("some", tuple(tracklets[int(row)] for row in order))
    shuffled = clips_of(corrupted(source, tracklets, name, rows=order), some)
    for row in range(4):
        np.testing.assert_array_equal(single[row], whole[row])
    for place, row in enumerate(order):
        np.testing.assert_array_equal(shuffled[place], whole[int(row)])


def test_worker_processes_change_no_pixel(source, tracklets):
    frames = corrupted(source, tracklets, "snow")
    alone, sent = clips_of(frames, tracklets), clips_of(frames, tracklets, workers=1)
    for row in range(4):
        np.testing.assert_array_equal(sent[row], alone[row])


def test_sampling_changes_no_frame(source, tracklets):
    """A frame is the same in a clip of a few and in the dense clips of all."""
    frames = corrupted(source, tracklets, "shot-noise")
    dense = clips_of(frames, tracklets, sampling="dense")[1]  # frames 0 to 6, then the last clip's filling
    few = clips_of(frames, tracklets, sampling="chunk-first")[1]
    np.testing.assert_array_equal(few, dense[[0, 3, 6]])


def test_draws_depend_on_seed_tracklet_corruption_and_severity():
    keys = [
        (0, "a", "fog", 1),
        (1, "a", "fog", 1),
        (0, "b", "fog", 1),
        (0, "a", "rain", 1),
        (0, "a", "fog", 2),
    ]
    first = [int(draws(*key).integers(1 << 62)) for key in keys]
    assert len(set(first)) == len(keys)
    assert first == [int(draws(*key).integers(1 << 62)) for key in keys]


def test_the_seed_acts_and_tracklets_differ(source, tracklets):
    same = np.zeros((2, 3, 24, 12), dtype=np.uint8) + np.uint8(100)
    pair = TrackletSet("pair", (tracklets[0], tracklets[2]))
    frames = FrameCache(same, np.array([1, 1]))
    at = np.array([0])
    first = corrupted(frames, pair).clip(0, at)
    assert (corrupted(frames, pair).clip(1, at) != first).any()
    assert (corrupted(frames, pair, seed=1).clip(0, at) != first).any()
    np.testing.assert_array_equal(corrupted(frames, pair, seed=0).clip(0, at), first)


def test_severity_0_and_other_modalities_are_the_source(source, tracklets):
    at = np.array([0])
    np.testing.assert_array_equal(corrupted(source, tracklets, severity=0).clip(0, at), source.clip(0, at))
    visible, infrared = (corrupted(source, tracklets, "saturation", 5).clip(row, at) for row in (0, 1))
    np.testing.assert_array_equal(infrared, source.clip(1, at))
    assert (visible != source.clip(0, at)).any()


def test_lengths_are_those_of_the_rows(source, tracklets):
    np.testing.assert_array_equal(corrupted(source, tracklets).lengths, LENGTHS)
    np.testing.assert_array_equal(corrupted(source, tracklets, rows=np.array([2, 3])).lengths, [1, 5])


def test_every_corruption_can_be_sent_to_a_process(source, tracklets):
    from tapetum.data.corruptions import CORRUPTIONS

    assert pickle.loads(pickle.dumps(CORRUPTIONS)) == CORRUPTIONS


def test_a_severity_that_is_none_is_refused(source, tracklets):
    with pytest.raises(ValueError, match="severity 6"):
        corrupted(source, tracklets, severity=6)
