from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tapetum.data import DataSet, TrainingRows
from tapetum.errors import ConfigError, DataError
from tapetum.methods._base import AugmentConfig, create_method
from tapetum.training.config import TrainingConfig
from tapetum.training.stage_settings import check_batches, settle_epochs
from tapetum.training.training_set import (
    TrainingSet,
    create_augmentation,
    divide,
    fingerprint_tracklets,
    stage_seed,
    thin_out,
)
from tapetum.types import Modality, Tracklet, TrackletSet

SMALL = {"height": 32, "width": 16, "frames": 2, "batches": {"identities": 2, "tracklets": 2}}


def tracklet(root: Path, person: int, modality: Modality, camera: int) -> Tracklet:
    name = f"{person}-{modality.value}-{camera}"
    frames = tuple(str(root / name / f"{i}.png") for i in range(3))
    return Tracklet(name, frames, modality, person, camera, part="train")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> DataSet:
    """Six people with both modalities, and person 0 with one; pictures on disk."""
    root = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    tracklets = [tracklet(root, 0, Modality.VISIBLE, 1)]
    for person in range(1, 7):
        tracklets += [tracklet(root, person, m, c) for m in Modality for c in (1, 2)]
    for t in tracklets:
        for frame in t.frames:
            Path(frame).parent.mkdir(exist_ok=True)
            shade = 30 * int(t.person_id) + rng.integers(0, 30, (32, 16, 3))
            Image.fromarray(shade.astype(np.uint8)).save(frame)
    none = TrackletSet("x/none", ())
    return DataSet("x", root, TrackletSet("x/train", tuple(tracklets)), none, none, tuple(range(7)))


@pytest.fixture(scope="module")
def method():
    torch.manual_seed(0)
    return create_method("small-cnn", num_identities=7, num_cameras=2, preset="tiny", **SMALL)


def people(tracklets) -> set[int]:
    return {t.person_id for t in tracklets}


def test_held_out_people_are_not_learnt(dataset):
    division = divide(dataset, 2, seed=1)
    out = people(division.held_out)
    assert len(out) == 2
    assert 0 not in out  # seen in one modality, it has no match
    assert people(division.learnt.train) == set(range(7)) - out
    assert division.learnt.label_ids == tuple(sorted(set(range(7)) - out))
    assert len(division.learnt.train) + len(division.held_out) == len(dataset.train)
    assert people(divide(dataset, 2, seed=1).held_out) == out
    assert any(people(divide(dataset, 2, seed=s).held_out) != out for s in range(2, 6))


def test_a_share_is_rounded_up_and_none_is_none(dataset):
    assert len(people(divide(dataset, 0.2, seed=1).held_out)) == 2
    assert len(divide(dataset, 0, seed=1).held_out) == 0
    assert divide(dataset, 0, seed=1).learnt.train.tracklets == dataset.train.tracklets


def test_people_that_the_data_set_sets_apart_are_held_out(dataset):
    division = divide(replace(dataset, validation_ids=(2, 5)), "listed", seed=1)
    assert people(division.held_out) == {2, 5}
    assert division.learnt.label_ids == (0, 1, 3, 4, 6)
    with pytest.raises(ValueError, match="sets no training identities apart"):
        divide(dataset, "listed", seed=1)


def test_holding_out_everybody_is_refused(dataset):
    with pytest.raises(ValueError, match="cannot hold out 6 identities for validation: 6 of 7"):
        divide(dataset, 6, seed=1)


def test_the_fingerprint_follows_content_not_place(dataset):
    names = {fingerprint_tracklets(dataset.train, dataset.root)}
    moved = tuple(
        replace(t, frames=tuple(f.replace(str(dataset.root), "/elsewhere") for f in t.frames))
        for t in dataset.train
    )
    names.add(fingerprint_tracklets(TrackletSet("y", moved), Path("/elsewhere")))
    assert len(names) == 1
    first = dataset.train[0]
    for changed in (
        replace(first, person_id=1),
        replace(first, frames=first.frames[:2]),
        replace(first, modality=Modality.INFRARED),
        replace(first, camera_id=9),
    ):
        names.add(
            fingerprint_tracklets(TrackletSet("x", (changed, *dataset.train.tracklets[1:])), dataset.root)
        )
    names.add(fingerprint_tracklets(TrackletSet("x", dataset.train.tracklets[::-1]), dataset.root))
    assert len(names) == 6


@pytest.mark.parametrize("cache", ["always", "never"])
def test_batches_are_a_function_of_epoch_and_step(dataset, method, cache):
    stage = method.stages()[0]
    source = TrainingSet(divide(dataset, 0, 1), TrainingConfig(cache=cache), method)
    with source.open_stage(stage, 0) as batches:
        stream = batches.batches(0)
        first, second = next(stream), next(stream)
        stream.close()
        again = next(batches.batches(0, start_step=1))
    assert first.clips.shape == (8, 2, 3, 32, 16)
    assert first.clips.dtype == torch.uint8
    assert first.infrared.tolist() == [False] * 4 + [True] * 4
    assert torch.equal(second.clips, again.clips)
    assert second.seed == again.seed != first.seed
    with source.open_stage(stage, 1) as batches:
        assert next(batches.batches(0)).seed != first.seed


def test_a_pass_shows_every_tracklet_once_in_order(dataset, method):
    division = divide(dataset, 2, 1)
    source = TrainingSet(division, TrainingConfig(), method)
    batches = list(source.iterate(torch.device("cpu")))
    labels = torch.cat([b.labels for b in batches]).tolist()
    assert [division.learnt.label_ids[i] for i in labels] == [t.person_id for t in division.learnt.train]
    assert torch.cat([b.infrared for b in batches]).tolist() == [
        t.modality is Modality.INFRARED for t in division.learnt.train
    ]
    assert all(b.clips.dtype == torch.float32 for b in batches)


def test_validation_scores_both_directions_on_held_out_people(dataset, method):
    scores = TrainingSet(divide(dataset, 3, 1), TrainingConfig(), method).validate(method)
    assert set(scores) == {"visible-to-infrared", "infrared-to-visible"}
    assert all(0 < figure <= 1 for way in scores.values() for figure in way.values() if figure)


def test_stages_have_seeds_of_their_own():
    assert len({stage_seed(seed, stage) for seed in range(3) for stage in range(3)}) == 9


def test_batches_of_more_people_than_there_are_hold_all_of_them_and_say_so(dataset, caplog):
    torch.manual_seed(0)
    wide = {**SMALL, "batches": {"identities": 16, "tracklets": 2}}
    method = create_method("small-cnn", num_identities=7, num_cameras=2, preset="tiny", **wide)
    source = TrainingSet(divide(dataset, 0, 1), TrainingConfig(cache="always"), method)
    with source.open_stage(method.stages()[0], 0) as batches:
        labels = next(batches.batches(0)).labels
    assert sorted(set(labels.tolist())) == list(range(1, 7))
    assert "batches.identities = 16, but only 6" in caplog.text


def stage_with(method, **changes):
    """The method's stage with some settings changed: `batches={...}`, `augment={...}`, `schedule={...}`."""
    stage = method.stages()[0]
    for name, values in changes.items():
        setattr(stage, name, getattr(stage, name).model_copy(update=values))
    return stage


def test_batches_of_one_modality_leave_out_people_without_it_and_name_them(dataset, method, caplog):
    source = TrainingSet(divide(dataset, 0, 1), TrainingConfig(cache="always"), method)
    stage = stage_with(method, batches={"modality": "infrared", "identities": 9})
    with source.open_stage(stage, 0) as batches:
        batch = next(batches.batches(0))
    assert batch.infrared.tolist() == [True] * 12
    assert sorted(set(batch.labels.tolist())) == list(range(1, 7))
    assert "batches.identities = 9, but only 6 training identities have infrared tracklets" in caplog.text
    assert "leaves out 1 training identities that do not have infrared tracklets: 0" in caplog.text
    caplog.clear()
    with source.open_stage(stage_with(method, batches={"modality": "visible"}), 0) as batches:
        assert next(batches.batches(0)).infrared.tolist() == [False] * 4
    assert not caplog.text


def test_exchanged_views_reach_the_stage(dataset, method):
    source = TrainingSet(divide(dataset, 0, 1), TrainingConfig(cache="always"), method)
    with source.open_stage(stage_with(method, augment={"exchanged_view": True}), 0) as batches:
        batch = next(batches.batches(0))
    assert (batch.clips.shape[0], batch.views) == (12, 4)


@pytest.mark.parametrize(
    ("batches", "steps"),
    [
        ({}, 3),  # 13 visible tracklets, 12 infrared ones; P K = 4
        ({"modality": "infrared"}, 3),
        ({"modality": "visible", "identities": 3}, 2),
        ({"tracklets": 1}, 6),
        ({"identities": 16, "tracklets": 1}, 2),  # only six people have both
        ({"identities": 6, "tracklets": 9}, 1),
    ],
)
def test_an_epoch_from_data(dataset, method, batches, steps):
    source = TrainingSet(divide(dataset, 0, 1), TrainingConfig(cache="always"), method)
    stage = stage_with(method, batches=batches, schedule={"steps_per_epoch": "from-data"})
    with pytest.raises(ValueError, match="the training set says how many"):
        stage.schedule.epoch_steps  # noqa: B018
    assert settle_epochs([stage], source) == [f"network: {steps} steps an epoch, 24 epochs, as the data are"]
    with source.open_stage(stage, 0) as loader:
        assert loader.steps == stage.schedule.epoch_steps == steps


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"batches": {"modality": "visible"}},
            r"stage 'network': batches\.modality = 'visible', .* take both",
        ),
        ({"augment": {"exchanged_view": True}}, r"augment\.exchanged_view = True, but its losses pair"),
    ],
)
def test_batches_that_a_stage_cannot_take_are_refused(dataset, method, monkeypatch, changes, message):
    stage = stage_with(method, **changes)
    check_batches([stage])
    monkeypatch.setattr(type(stage), "takes_modalities", ("both",))
    monkeypatch.setattr(type(stage), "takes_views", False)
    with pytest.raises(ConfigError, match=message):
        check_batches([stage])


def test_batches_that_a_stage_cannot_take_are_refused_before_anything_is_written(toy, tmp_path, monkeypatch):
    stage = toy.Body(toy.build())
    stage.augment = stage.augment.model_copy(update={"exchanged_view": True})
    monkeypatch.setattr(toy.Toy, "stages", lambda self: [stage, toy.Bias(self)])
    with pytest.raises(ConfigError, match=r"stage 'body': augment\.exchanged_view = True"):
        toy.train_toy(tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("share", "left"), [(0.5, 13), (0.01, 13), (0.51, 25), (1.0, 25)])
def test_a_thinned_pass_shows_some_of_each_person_and_modality(dataset, method, share, left):
    source = TrainingSet(divide(dataset, 0, 1), TrainingConfig(), method)
    batches = list(source.iterate(torch.device("cpu"), share=share))
    shown = [(int(y), bool(m)) for b in batches for y, m in zip(b.labels, b.infrared, strict=True)]
    assert len(shown) == left
    assert set(shown) == {(int(t.person_id), t.modality is Modality.INFRARED) for t in dataset.train}


def test_thinned_rows_are_spread_evenly():
    frames = [Tracklet(str(i), ("x",), Modality.VISIBLE, 7, i) for i in range(10)]
    rows = TrainingRows(TrackletSet("x", tuple(frames)), np.zeros(10, np.int64), np.zeros(10, np.int64))
    assert thin_out(rows, 0.4).tolist() == [0, 2, 5, 7]


def test_a_method_that_reads_cameras_needs_them_all(dataset, method, monkeypatch):
    unknown = replace(dataset.train[3], camera_id=None)
    train = TrackletSet("x", (*dataset.train[:3], unknown, *dataset.train[4:]))
    division = divide(replace(dataset, train=train), 0, 1)
    TrainingSet(division, TrainingConfig(cache="never"), method)
    monkeypatch.setattr(type(method), "reads_cameras", True)
    with pytest.raises(DataError, match=f"1 of 25 training tracklets .* such as {unknown.tracklet_id}"):
        TrainingSet(division, TrainingConfig(cache="never"), method)


def test_a_stage_s_augmentation_reaches_the_data(method):
    config = AugmentConfig(pad=3, flip=0.1, erase=0.2, erase_area=(0.1, 0.3), erase_colour="random")
    made = create_augmentation(config, method.preprocessing)
    assert (made.pad, made.flip, made.erase) == (3, 0.1, 0.2)
    assert (made.erase_area, made.erase_random) == ((0.1, 0.3), True)
    assert not create_augmentation(AugmentConfig(), method.preprocessing).erase_random
