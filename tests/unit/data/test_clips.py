import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapetum.data import clips
from tapetum.errors import DataError

LENGTHS = st.integers(1, 80)
SIZES = st.integers(1, 16)


@pytest.mark.parametrize(
    ("length", "expected"),
    [
        (24, [0, 3, 6, 9, 12, 15, 18, 21, 23, 23]),
        (10, list(range(10))),
        (20, list(range(0, 20, 2))),
        (7, [0, 1, 2, 3, 4, 5, 6, 6, 6, 6]),
        (11, [0, 2, 4, 6, 8, 10, 10, 10, 10, 10]),
        (1, [0] * 10),
    ],
)
def test_chunk_first_equals_the_published_rule(length, expected):
    assert clips.chunk_first(length, 10).tolist() == expected


@pytest.mark.parametrize(
    ("length", "expected"),
    [(24, [0, 2, 4, 7, 9, 12, 14, 16, 19, 21]), (7, [0, 0, 1, 2, 2, 3, 4, 4, 5, 6]), (1, [0] * 10)],
)
def test_uniform_equals_the_published_rule(length, expected):
    assert clips.uniform(length, 10).tolist() == expected


@pytest.mark.parametrize(
    ("length", "expected"),
    [
        (24, [[*range(10)], [*range(10, 20)], [20, 21, 22, 23, 20, 21, 22, 23, 20, 21]]),
        (10, [[*range(10)]]),
        (20, [[*range(10)], [*range(10, 20)]]),
        (7, [[0, 1, 2, 3, 4, 5, 6, 0, 1, 2]]),
        (11, [[*range(10)], [10] * 10]),
    ],
)
def test_dense_equals_the_published_rule(length, expected):
    assert clips.dense(length, 10).tolist() == expected


def padded_chunks(length, frames):
    """The published code's way: a list of indices, padded with its last one, cut into T chunks."""
    size = -(-length // frames)
    padded = [*range(length), *[length - 1] * (size * frames - length)]
    return [padded[i * size : (i + 1) * size] for i in range(frames)]


@given(LENGTHS, SIZES)
def test_chunk_first_is_the_first_of_each_padded_chunk(length, frames):
    assert clips.chunk_first(length, frames).tolist() == [c[0] for c in padded_chunks(length, frames)]


@given(LENGTHS, SIZES, st.integers(0, 1000))
def test_chunk_random_takes_one_frame_of_each_padded_chunk(length, frames, seed):
    drawn = clips.chunk_random(length, frames, np.random.default_rng(seed))
    assert drawn.shape == (frames,)
    assert all(p in chunk for p, chunk in zip(drawn, padded_chunks(length, frames), strict=True))


def test_chunk_random_reaches_every_frame_of_a_chunk():
    generator = np.random.default_rng(0)
    drawn = np.array([clips.chunk_random(12, 3, generator) for _ in range(200)])
    assert [set(column) for column in drawn.T] == [{0, 1, 2, 3}, {4, 5, 6, 7}, {8, 9, 10, 11}]


@given(LENGTHS, SIZES, st.integers(0, 1000))
def test_window_is_consecutive_and_inside(length, frames, seed):
    drawn = clips.window(length, frames, np.random.default_rng(seed))
    if length >= frames:
        assert drawn.tolist() == list(range(drawn[0], drawn[0] + frames))
        assert drawn[-1] < length
    else:
        assert drawn.tolist() == [i % length for i in range(frames)]


def test_window_reaches_the_first_and_the_last_start():
    generator = np.random.default_rng(0)
    assert {int(clips.window(6, 4, generator)[0]) for _ in range(100)} == {0, 1, 2}


@given(LENGTHS, SIZES)
def test_dense_holds_every_frame(length, frames):
    chosen = clips.dense(length, frames)
    assert chosen.shape == (-(-length // frames), frames)
    assert set(chosen.ravel()) == set(range(length))


@pytest.mark.parametrize("sampling", ["chunk-first", "uniform", "dense"])
def test_samplers_are_found_by_name(sampling):
    function = getattr(clips, sampling.replace("-", "_"))
    assert np.array_equal(clips.select_test_frames(sampling, 24, 10), np.atleast_2d(function(24, 10)))


@pytest.mark.parametrize("sampling", ["chunk-random", "window"])
def test_training_samplers_are_found_by_name_and_depend_on_the_generator_alone(sampling):
    function = getattr(clips, sampling.replace("-", "_"))
    by_name = clips.select_training_frames(sampling, 24, 6, np.random.default_rng(3))
    assert np.array_equal(by_name, function(24, 6, np.random.default_rng(3)))


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="unknown test sampling 'first'; known: chunk-first, uniform, dense"):
        clips.select_test_frames("first", 24, 6)
    with pytest.raises(ValueError, match="unknown training sampling 'dense'"):
        clips.select_training_frames("dense", 24, 6, np.random.default_rng(0))
    with pytest.raises(ValueError, match="at least 1, found 0"):
        clips.select_test_frames("uniform", 24, 0)
    with pytest.raises(DataError, match="at least one frame"):
        clips.select_test_frames("uniform", 0, 6)
