from dataclasses import FrozenInstanceError

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tapetum.types import Batch, Embeddings, Modality, Preprocessing, Tracklet, TrackletSet


def tracklets(people, modality=Modality.VISIBLE):
    made = (Tracklet(f"t{i}", ("f",), modality, person) for i, person in enumerate(people))
    return TrackletSet("some", tuple(made))


def test_modalities_are_texts_and_each_other_s_other():
    assert Modality("infrared") is Modality.INFRARED
    assert Modality.VISIBLE == "visible"
    assert [modality.other for modality in Modality] == list(reversed(Modality))


def test_a_set_is_an_ordered_sequence_that_does_not_change():
    found = tracklets([3, 1, 2])
    assert (len(found), found[1], found[-1].tracklet_id) == (3, found.tracklets[1], "t2")
    assert [t.person_id for t in found] == [3, 1, 2]
    assert found[:2] == found.tracklets[:2]
    assert found[0] in found
    with pytest.raises(FrozenInstanceError):
        found.name = "x"
    with pytest.raises(FrozenInstanceError):
        found[0].person_id = 4


def test_parts_of_a_set_keep_order_and_say_what_they_are():
    mixed = TrackletSet("m", (*tracklets([1, 2]), *tracklets([3], Modality.INFRARED), *tracklets([4])))
    visible = mixed.of_modality(Modality.VISIBLE)
    assert ([t.person_id for t in visible], visible.name) == ([1, 2, 4], "m/visible")
    odd = mixed.where(lambda t: t.person_id % 2 == 1)
    assert ([t.person_id for t in odd], odd.name) == ([1, 3], "m")
    assert mixed.where(lambda _: False, "none") == TrackletSet("none", ())


@given(st.lists(st.none() | st.integers(-5, 20) | st.text("ab1", max_size=2), max_size=12))
def test_person_ids_are_distinct_known_and_sorted_by_kind(people):
    found = tracklets(people).person_ids
    assert set(found) == {p for p in people if p is not None}
    assert len(found) == len(set(found))
    numbers = [p for p in found if isinstance(p, int)]
    assert found == sorted(numbers) + sorted(p for p in found if isinstance(p, str))


@given(
    arrays.arrays(np.uint8, st.tuples(st.integers(1, 3), st.just(3), st.integers(1, 4), st.integers(1, 3))),
    st.tuples(*[st.floats(0, 1)] * 3),
    st.tuples(*[st.floats(0.05, 1)] * 3),
)
def test_normalise_against_float64(pixels, mean, std):
    found = Preprocessing(8, 4, 1, mean, std).normalise(torch.from_numpy(pixels))
    expected = np.empty(pixels.shape)
    for place in np.ndindex(pixels.shape):
        channel = place[1]
        expected[place] = (float(pixels[place]) / 255 - mean[channel]) / std[channel]
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5, atol=4e-6)
    as_array = Preprocessing(8, 4, 1, mean, std).normalise(pixels)
    assert as_array.dtype == np.float32
    np.testing.assert_array_equal(as_array, found.numpy())


def test_normalise_takes_clips_of_any_rank_and_leaves_them():
    clips = torch.full((2, 5, 3, 4, 2), 128, dtype=torch.uint8)
    found = Preprocessing(4, 2, 5).normalise(clips)
    assert found.shape == clips.shape
    assert clips.unique().tolist() == [128]
    for channel, (mean, std) in enumerate([(0.485, 0.229), (0.456, 0.224), (0.406, 0.225)]):
        assert found[0, 0, channel, 0, 0].item() == pytest.approx((128 / 255 - mean) / std, rel=1e-5)


@pytest.fixture
def batch():
    clips = torch.arange(4 * 2 * 3 * 4 * 2).remainder(256).to(torch.uint8).view(4, 2, 3, 4, 2)
    labels, cameras = torch.tensor([0, 1, 0, 1]), torch.tensor([2, -1, 0, 1])
    return Batch(clips, labels, torch.tensor([False, False, True, True]), cameras, seed=7)


def test_a_batch_moves_whole(batch):
    moved = batch.to(torch.device("meta"))
    assert [getattr(moved, n).device.type for n in ("clips", "labels", "infrared", "cameras")] == ["meta"] * 4
    assert (moved.seed, batch.clips.device.type) == (7, "cpu")
    same = batch.to(torch.device("cpu"), non_blocking=True)
    assert all(
        torch.equal(getattr(same, n), getattr(batch, n)) for n in ("clips", "labels", "infrared", "cameras")
    )


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an accelerator")
def test_a_pinned_batch_reaches_the_accelerator(batch):
    pinned = batch.pin_memory()
    assert pinned.clips.is_pinned()
    moved = pinned.to(torch.device("cuda"), non_blocking=True)
    assert torch.equal(moved.clips.cpu(), batch.clips)


def test_a_normalised_batch_has_the_same_labels(batch):
    scale = Preprocessing(4, 2, 2)
    found = batch.normalised(scale)
    assert torch.equal(found.clips, scale.normalise(batch.clips))
    assert (found.labels is batch.labels, found.cameras is batch.cameras, found.seed) == (True, True, 7)


def test_embeddings_must_fit_their_tracklets():
    people = tracklets([1, 2, 3])
    with pytest.raises(ValueError, match=r"shape \(2, 4\) do not fit 3 tracklets: expected \[N, D\]"):
        Embeddings(np.zeros((2, 4), np.float32), people)
    with pytest.raises(ValueError, match=r"shape \(3,\)"):
        Embeddings(np.zeros(3, np.float32), people)
    assert len(Embeddings(np.zeros((0, 4), np.float32), TrackletSet("none", ()))) == 0


def test_rows_keep_vectors_and_tracklets_together():
    vectors = np.arange(12, dtype=np.float32).reshape(3, 4)
    found = Embeddings(vectors, tracklets([1, 2, 3]), "m").rows(np.array([2, 0, 2]))
    assert [t.person_id for t in found.tracklets] == [3, 1, 3]
    np.testing.assert_array_equal(found.vectors, vectors[[2, 0, 2]])
    assert (found.model, found.tracklets.name) == ("m", "some")
    assert len(found.rows([])) == 0
    with pytest.raises(IndexError):
        found.rows([3])
