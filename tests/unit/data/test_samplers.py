from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapetum.data import PkSampler
from tapetum.types import Modality

V, N = Modality.VISIBLE, Modality.INFRARED
FIRST = [44, 2, 80, 71, 74, 78, 25, 32, 51, 72, 30, 18, 5, 56, 68, 21, 42, 39, 66, 49, 3, 46, 17, 27]
LATER = [75, 32, 25, 19, 73, 74]


def rows(identities, visible=5, infrared=4):
    """Labels and modalities of a set with the same numbers of tracklets for all, shuffled."""
    pairs = [(i, V) for i in range(identities) for _ in range(visible)]
    pairs += [(i, N) for i in range(identities) for _ in range(infrared)]
    order = np.random.default_rng(7).permutation(len(pairs))
    return [pairs[k][0] for k in order], [pairs[k][1] for k in order]


def sampler(identities=10, p=4, k=3, steps=5, visible=5, infrared=4, **options):
    labels, modalities = rows(identities, visible, infrared)
    made = PkSampler(labels, modalities, identities=p, tracklets=k, steps=steps, **options)
    return made, np.array(labels), np.array(modalities)


def test_a_batch_is_visible_then_infrared_with_the_same_people_row_by_row():
    made, labels, modalities = sampler()
    for batch in made.epoch(0):
        assert batch.shape == (24,)
        assert set(modalities[batch[:12]]) == {V}
        assert set(modalities[batch[12:]]) == {N}
        people = labels[batch[:12]].reshape(4, 3)
        assert np.all(people == people[:, :1])
        assert len(set(people[:, 0])) == 4
        assert np.array_equal(labels[batch[12:]], labels[batch[:12]])
        assert len(set(batch)) == 24


def test_too_few_tracklets_are_all_taken_before_one_repeats():
    made, _, _ = sampler(k=7, visible=3, infrared=1)
    batch = made.batch(0, 0)
    for person in batch[:28].reshape(4, 7):
        assert sorted(Counter(person.tolist()).values()) == [2, 2, 3]
        assert len(set(person[:3])) == 3
    assert all(len(set(person)) == 1 for person in batch[28:].reshape(4, 7))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 13), st.integers(1, 13), st.integers(1, 6), st.integers(0, 5))
def test_all_people_occur_equally_often_and_never_twice_in_a_batch(total, p, steps, seed):
    p = min(p, total)
    made, labels, _ = sampler(total, p=p, k=1, steps=steps, visible=1, infrared=1, seed=seed)
    seen = Counter()
    for number in range(3 * total):
        batch = labels[made.batch(*divmod(number, steps))[:p]]
        assert len(set(batch)) == p
        seen.update(batch.tolist())
        counts = [seen[i] for i in range(total)]
        assert max(counts) - min(counts) <= 2
    assert set(seen.values()) == {3 * p}


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 12), st.integers(1, 6))
def test_a_permutation_is_used_up_before_the_next_begins(total, p):
    p = min(p, total)
    made, labels, _ = sampler(total, p=p, k=1, steps=100, visible=1, infrared=1)
    stream = np.concatenate([labels[made.batch(0, step)[:p]] for step in range(3 * total)])
    for start in range(0, len(stream) - total + 1, total):
        assert sorted(stream[start : start + total]) == list(range(total))


def test_batches_are_a_function_of_seed_epoch_and_step():
    made, _, _ = sampler(seed=3)
    again, _, _ = sampler(seed=3)
    forward = {(e, s): made.batch(e, s) for e in range(4) for s in range(5)}
    for key in reversed(forward):
        assert np.array_equal(again.batch(*key), forward[key])
    assert len({tuple(batch) for batch in forward.values()}) == 20
    other, _, _ = sampler(seed=4)
    assert not np.array_equal(other.batch(0, 0), forward[0, 0])


def test_an_epoch_may_be_entered_at_any_step():
    made, _, _ = sampler(steps=6)
    whole = list(made.epoch(2))
    rest = list(made.epoch(2, start_step=4))
    assert len(made) == len(whole) == 6
    assert np.array_equal(rest, whole[4:])


def test_processes_share_one_batch():
    whole, _, _ = sampler(p=4, k=3)
    parts = [sampler(p=4, k=3, rank=r, world_size=2)[0] for r in range(2)]
    for step in range(5):
        together = np.full(24, -1)
        for part in parts:
            mine = part.batch(1, step)
            assert len(mine) == 12
            together[part.positions] = mine
        assert np.array_equal(together, whole.batch(1, step))


def test_positions_keep_both_halves_aligned():
    part, labels, modalities = sampler(p=4, k=3, rank=1, world_size=2)
    assert part.positions.tolist() == [*range(6, 12), *range(18, 24)]
    batch = part.batch(0, 0)
    assert np.array_equal(labels[batch[:6]], labels[batch[6:]])
    assert set(modalities[batch[:6]]) == {V}


def test_people_with_one_modality_are_left_out_and_named():
    labels, modalities = rows(6)
    made = PkSampler([*labels, 8, 9], [*modalities, V, N], identities=2, tracklets=1, steps=9)
    assert made.labels_used == (0, 1, 2, 3, 4, 5)
    assert made.excluded == (8, 9)
    assert not {len(labels), len(labels) + 1} & set(np.concatenate(list(made.epoch(0))).tolist())


def test_too_few_people_is_an_error_with_the_numbers():
    labels, modalities = rows(3)
    with pytest.raises(ValueError, match=r"needs 4 identities .* found 3; 1 more have one modality only"):
        PkSampler([*labels, 9], [*modalities, V], identities=4, tracklets=1, steps=1)


@pytest.mark.parametrize("modality", [V, N])
def test_batches_of_one_modality(modality):
    made, labels, modalities = sampler(drawn=(modality,))
    assert made.rows == 12
    for batch in made.epoch(1):
        assert batch.shape == (12,)
        assert set(modalities[batch]) == {modality}
        people = labels[batch].reshape(4, 3)
        assert np.all(people == people[:, :1])
        assert len(set(people[:, 0])) == 4


def test_visible_batches_show_the_people_and_the_visible_rows_of_cross_modal_ones():
    both, one = sampler()[0], sampler(drawn=(V,))[0]
    for step in range(5):
        assert np.array_equal(one.batch(2, step), both.batch(2, step)[:12])


def test_processes_share_a_batch_of_one_modality():
    whole, _, _ = sampler(drawn=(N,))
    parts = [sampler(drawn=(N,), rank=r, world_size=2)[0] for r in range(2)]
    assert [part.positions.tolist() for part in parts] == [[*range(6)], [*range(6, 12)]]
    together = np.concatenate([part.batch(1, 3) for part in parts])
    assert np.array_equal(together, whole.batch(1, 3))


def test_people_without_the_one_modality_are_left_out_and_named():
    labels, modalities = rows(3)
    args = [*labels, 8, 9], [*modalities, V, N]
    made = PkSampler(*args, identities=4, tracklets=2, steps=9, drawn=(N,))
    assert (made.labels_used, made.excluded) == ((0, 1, 2, 9), (8,))
    with pytest.raises(
        ValueError, match="needs 5 identities with infrared tracklets, found 4; 1 more have none"
    ):
        PkSampler(*args, identities=5, tracklets=2, steps=9, drawn=(N,))


def test_cross_modal_draws_are_those_of_earlier_runs():
    """A run that was begun before goes on as it would have: these batches must never change."""
    made, _, _ = sampler(seed=5)
    assert made.batch(0, 0).tolist() == FIRST
    assert made.batch(3, 4)[:6].tolist() == LATER


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"p": 0}, "at least 1"),
        ({"k": 0}, "at least 1"),
        ({"steps": 0}, "at least 1"),
        ({"rank": 2, "world_size": 2}, "rank below world_size"),
        ({"rank": -1}, "rank -1"),
        ({"world_size": 3}, "4 identities in a batch cannot be shared by 3 processes"),
    ],
)
def test_numbers_out_of_range_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        sampler(**change)


def test_lengths_that_differ_are_refused():
    with pytest.raises(ValueError, match="2 labels do not fit 1 modalities"):
        PkSampler([0, 1], [V], identities=1, tracklets=1, steps=1)


@pytest.mark.parametrize(("epoch", "step"), [(0, 5), (0, -1), (-1, 0)])
def test_a_step_outside_the_epoch_is_an_error(epoch, step):
    with pytest.raises(IndexError, match=r"expected epoch >= 0 and step in 0\.\.4"):
        sampler()[0].batch(epoch, step)
