import itertools

import numpy as np
import pytest
import torch
from PIL import Image

from tapetum.data import (
    Augmentation,
    DataSet,
    FrameCache,
    PkSampler,
    TrainingRows,
    TrainLoader,
    augment,
    clip_batches,
    loading,
    read_clip,
    select_test_frames,
    select_training_frames,
    step_seed,
)
from tapetum.errors import DataError
from tapetum.types import Modality, Preprocessing, Tracklet, TrackletSet

SIZE = Preprocessing(height=16, width=8, frames=4)
PEOPLE = (3, 7, 12)


def tracklet(folder, person, modality, number, length):
    frames = []
    for i in range(length):
        path = folder / f"{person}_{modality.value}_{number}_{i}.png"
        seed = [person, modality is Modality.INFRARED, number, i]
        pixels = np.random.default_rng(seed).integers(0, 256, (16, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
        frames.append(str(path))
    camera = 2 if modality is Modality.INFRARED else 5
    return Tracklet(f"{person}/{modality.value}/{number}", frames, modality, person, camera, part="train")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("frames")
    made = [
        tracklet(folder, person, modality, number, length)
        for person in PEOPLE
        for modality in Modality
        for number, length in enumerate((5, 9))
    ]
    empty = TrackletSet("none", ())
    return DataSet("made", folder, TrackletSet("made/train", tuple(made)), empty, empty, PEOPLE)


def loader(
    dataset,
    *,
    rank=0,
    world_size=1,
    augmentation=Augmentation(pad=2),
    steps=4,
    drawn=tuple(Modality),
    **options,
):
    rows = TrainingRows.of(dataset)
    sampler = PkSampler(
        rows.labels,
        rows.modalities,
        identities=2,
        tracklets=2,
        steps=steps,
        drawn=drawn,
        seed=1,
        rank=rank,
        world_size=world_size,
    )
    return TrainLoader(rows, sampler, SIZE, augmentation=augmentation, seed=1, **options)


def assert_equal(first, second):
    assert first.seed == second.seed
    for name in ("clips", "labels", "infrared", "cameras"):
        assert torch.equal(getattr(first, name), getattr(second, name)), name


def test_rows_carry_labels_and_cameras(dataset):
    rows = TrainingRows.of(dataset)
    assert rows.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert rows.cameras.tolist() == [1, 1, 0, 0] * 3
    assert rows.modalities[:4] == [Modality.VISIBLE] * 2 + [Modality.INFRARED] * 2


def test_rows_refuse_a_person_without_label(dataset):
    wrong = DataSet("made", dataset.root, dataset.train, dataset.query, dataset.gallery, (3, 7))
    with pytest.raises(DataError, match=r"12/visible/0 is of person 12, which has no training label"):
        TrainingRows.of(wrong)


def test_an_unknown_camera_is_minus_one(dataset):
    first = Tracklet("a", dataset.train[0].frames, Modality.VISIBLE, 3, None)
    train = TrackletSet("t", (first, dataset.train[1]))
    rows = TrainingRows.of(DataSet("made", dataset.root, train, dataset.query, dataset.gallery, PEOPLE))
    assert rows.cameras.tolist() == [-1, 0]


def test_a_batch_is_what_sampler_frames_and_augmentation_say(dataset):
    options = Augmentation(pad=2)
    made = loader(dataset, augmentation=options)
    rows = TrainingRows.of(dataset)
    sampler = PkSampler(rows.labels, rows.modalities, identities=2, tracklets=2, steps=4, seed=1)
    batch = list(made.batches(3))[2]
    chosen = sampler.batch(3, 2)
    for place, row in enumerate(chosen):
        generator = np.random.default_rng([1, 2, 3, 2, place])
        item = dataset.train[int(row)]
        positions = select_training_frames("chunk-random", len(item.frames), 4, generator)
        clip = augment(read_clip(item.frames, positions, 16, 8), item.modality, generator, options)
        assert np.array_equal(batch.clips[place].numpy(), clip)
        assert batch.labels[place] == rows.labels[row]
        assert batch.infrared[place] == (item.modality is Modality.INFRARED)
        assert batch.cameras[place] == rows.cameras[row]
    assert batch.clips.shape == (8, 4, 3, 16, 8)
    assert (batch.clips.dtype, batch.labels.dtype, batch.infrared.dtype) == (
        torch.uint8,
        torch.int64,
        torch.bool,
    )
    assert batch.seed == step_seed(1, 3, 2)


@pytest.mark.parametrize("views", [False, True])
def test_resuming_gives_the_same_batches(dataset, views):
    whole = list(loader(dataset, exchanged_view=views).batches(1))
    rest = list(loader(dataset, exchanged_view=views).batches(1, start_step=2))
    assert len(whole) == 4
    for first, second in zip(whole[2:], rest, strict=True):
        assert_equal(first, second)
    assert list(loader(dataset).batches(1, start_step=4)) == []


def test_exchanged_views_follow_the_rows_of_both_modalities(dataset):
    options = Augmentation(pad=2)
    made = loader(dataset, augmentation=options, exchanged_view=True)
    rows = TrainingRows.of(dataset)
    sampler = PkSampler(rows.labels, rows.modalities, identities=2, tracklets=2, steps=4, seed=1)
    batch = list(made.batches(3))[2]
    assert (batch.views, batch.parts, batch.clips.shape[0]) == (4, 3, 12)
    assert batch.infrared.tolist() == [False] * 4 + [True] * 4 + [False] * 4
    assert torch.equal(batch.labels[8:], batch.labels[:4])
    assert torch.equal(batch.cameras[8:], batch.cameras[:4])
    for place, row in enumerate(sampler.batch(3, 2)):
        item = dataset.train[int(row)]
        first, second = (np.random.default_rng([1, 2, 3, 2, p]) for p in (place, 8 + place))
        positions = select_training_frames("chunk-random", len(item.frames), 4, first)
        clip = read_clip(item.frames, positions, 16, 8)
        visible = item.modality is Modality.VISIBLE
        plain = Augmentation(pad=2, channels=not visible)
        assert np.array_equal(batch.clips[place].numpy(), augment(clip, item.modality, first, plain))
        if visible:
            view = augment(clip, item.modality, second, options, exchange="always")
            assert np.array_equal(batch.clips[8 + place].numpy(), view)


def test_a_batch_without_its_views_is_the_batch(dataset):
    batch = next(loader(dataset, exchanged_view=True).batches(0))
    plain = batch.without_views()
    assert (plain.views, plain.parts, plain.seed) == (0, 2, batch.seed)
    for name in ("clips", "labels", "infrared", "cameras"):
        assert torch.equal(getattr(plain, name), getattr(batch, name)[:8])
    assert batch.normalised(SIZE).views == batch.to(torch.device("cpu")).views == 4


@pytest.mark.parametrize(("modality", "views"), [(Modality.VISIBLE, 4), (Modality.INFRARED, 0)])
def test_batches_of_one_modality_and_their_views(dataset, modality, views):
    batch = next(loader(dataset, drawn=(modality,), exchanged_view=True).batches(0))
    assert (batch.views, batch.parts, batch.clips.shape[0]) == (views, 1 + bool(views), 4 + views)
    assert batch.infrared.unique().tolist() == [modality is Modality.INFRARED]


def test_views_of_clips_that_are_not_augmented_differ_in_their_channels_alone(dataset):
    batch = next(loader(dataset, augmentation=None, exchanged_view=True).batches(0))
    for first, second in zip(batch.clips[:4], batch.clips[8:], strict=True):
        same = [torch.equal(first[:, c], second[:, c]) for c in range(3)]
        assert sum(same) == 1


def test_epochs_and_steps_differ(dataset):
    made = loader(dataset)
    batches = [*made.batches(0), *made.batches(1)]
    assert len({b.clips.numpy().tobytes() for b in batches}) == 8
    assert len({b.seed for b in batches}) == 8


def test_memory_and_files_give_the_same_batches(dataset):
    cache = FrameCache.decode(dataset.train, 16, 8, limit_bytes=10**7)
    for first, second in zip(
        loader(dataset).batches(0), loader(dataset, source=cache).batches(0), strict=True
    ):
        assert_equal(first, second)


def test_worker_processes_give_the_same_batches_and_survive_an_epoch(dataset):
    alone, helped = loader(dataset, exchanged_view=True), loader(dataset, exchanged_view=True, workers=2)
    processes = []
    try:
        for epoch in (0, 1):
            for first, second in zip(alone.batches(epoch), helped.batches(epoch), strict=True):
                assert_equal(first, second)
            processes.append(helped._feed._processes)
        assert processes[0] is processes[1] is not None
    finally:
        helped.close()


def test_worker_processes_pass_errors_on(dataset, tmp_path):
    gone = Tracklet("gone", [str(tmp_path / "gone.jpg")], Modality.VISIBLE, 3, 1)
    broken = TrackletSet("broken", (gone,))
    with pytest.raises(DataError, match=r"gone\.jpg"):
        list(clip_batches(broken, SIZE, workers=1))


def test_processes_see_the_pictures_of_one(dataset):
    whole = list(loader(dataset, exchanged_view=True).batches(0))
    for rank in range(2):
        part = list(loader(dataset, exchanged_view=True, rank=rank, world_size=2).batches(0))
        own_rows = [range(start + 2 * rank, start + 2 * rank + 2) for start in (0, 4, 8)]
        mine = torch.tensor([row for some in own_rows for row in some])
        for all_rows, own in zip(whole, part, strict=True):
            assert torch.equal(all_rows.clips[mine], own.clips)
            assert torch.equal(all_rows.labels[mine], own.labels)
            assert own.seed == all_rows.seed


def test_without_augmentation_frames_are_as_on_disk(dataset):
    batch = next(loader(dataset, augmentation=None, sampling="window").batches(0))
    first = batch.clips[0].numpy()
    on_disk = [read_clip(t.frames, range(len(t.frames)), 16, 8) for t in dataset.train]
    assert any(np.array_equal(first, frames[i : i + 4]) for frames in on_disk for i in range(len(frames) - 3))


def test_waiting_is_measured_apart_from_starting(dataset, monkeypatch):
    ticks = itertools.count()
    monkeypatch.setattr(loading, "perf_counter", lambda: float(next(ticks)))
    made = loader(dataset)
    assert made.startup_s == made.waited_s == 0
    for _ in made.batches(0):
        next(ticks)
    assert made.startup_s == 1
    assert made.waited_s == 4


@pytest.mark.parametrize("sampling", ["chunk-first", "uniform", "dense"])
@pytest.mark.parametrize("batch_size", [1, 5, 100])
def test_clips_come_in_row_order(dataset, sampling, batch_size):
    batches = list(clip_batches(dataset.train, SIZE, sampling=sampling, batch_size=batch_size))
    assert all(len(b.rows) == batch_size for b in batches[:-1])
    rows = np.concatenate([b.rows for b in batches])
    clips = torch.cat([b.clips for b in batches]).numpy()
    expected_rows, expected = [], []
    for row, item in enumerate(dataset.train):
        for positions in select_test_frames(sampling, len(item.frames), 4):
            expected_rows.append(row)
            expected.append(read_clip(item.frames, positions, 16, 8))
    assert rows.tolist() == expected_rows
    assert np.array_equal(clips, np.stack(expected))


def test_clips_of_memory_and_of_worker_processes_are_the_same(dataset):
    cache = FrameCache.decode(dataset.train, 16, 8, limit_bytes=10**7)
    plain = list(clip_batches(dataset.train, SIZE, batch_size=5))
    for other in (
        clip_batches(dataset.train, SIZE, batch_size=5, source=cache),
        clip_batches(dataset.train, SIZE, batch_size=5, workers=1),
    ):
        for first, second in zip(plain, other, strict=True):
            assert np.array_equal(first.rows, second.rows)
            assert torch.equal(first.clips, second.clips)


def test_no_tracklets_give_no_batches():
    assert list(clip_batches(TrackletSet("none", ()), SIZE)) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [({"batch_size": 0}, "batch_size must be at least 1"), ({"workers": -1}, "workers must be 0 or more")],
)
def test_bad_numbers_are_refused(dataset, options, message):
    with pytest.raises(ValueError, match=message):
        list(clip_batches(dataset.train, SIZE, **options))


def test_a_missing_frame_is_named(tmp_path):
    lost = Tracklet("a", [str(tmp_path / "lost.jpg")], Modality.VISIBLE)
    with pytest.raises(DataError, match=r"lost\.jpg"):
        list(clip_batches(TrackletSet("set", (lost,)), SIZE))


def test_a_tracklet_without_frames_is_refused():
    with pytest.raises(DataError, match="at least one frame"):
        list(clip_batches(TrackletSet("set", (Tracklet("a", (), Modality.VISIBLE),)), SIZE))


def test_step_seeds_differ_and_are_63_bits():
    seeds = {step_seed(s, e, t) for s in range(3) for e in range(3) for t in range(20)}
    assert len(seeds) == 180
    assert all(0 <= seed < 2**63 for seed in seeds)
