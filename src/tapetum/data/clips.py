"""From a tracklet of n frames to clips of T: positions of the frames, as each published code chooses them.

Test samplers answer int64 `[clips, T]`, training samplers int64 `[T]`. Only positions are chosen here; a
position that occurs several times in a clip is decoded once.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from tapetum.errors import DataError

Positions = NDArray[np.int64]
TestSampling = Literal["chunk-first", "uniform", "dense"]
TrainSampling = Literal["chunk-random", "window"]


def select_test_frames(sampling: TestSampling, length: int, frames: int) -> Positions:
    """Positions `[clips, T]` of the frames that a test clip holds; one clip, or several when dense.

    Args:
        sampling: "chunk-first", "uniform" or "dense"; see the functions of these names.
        length: n, frames of the tracklet.
        frames: T, frames of a clip.

    Raises:
        ValueError: Unknown `sampling`, or T below 1.
        DataError: The tracklet has no frames.
    """
    _check(length, frames)
    if sampling == "chunk-first":
        return chunk_first(length, frames)[None]
    if sampling == "uniform":
        return uniform(length, frames)[None]
    if sampling == "dense":
        return dense(length, frames)
    raise ValueError(f"unknown test sampling {sampling!r}; known: {', '.join(get_args(TestSampling))}")


def select_training_frames(
    sampling: TrainSampling, length: int, frames: int, generator: np.random.Generator
) -> Positions:
    """Positions `[T]` of the frames of one random training clip.

    Args:
        sampling: "chunk-random" or "window"; see the functions of these names.
        length: n, frames of the tracklet.
        frames: T, frames of a clip.
        generator: Where the draws come from.

    Raises:
        ValueError: Unknown `sampling`, or T below 1.
        DataError: The tracklet has no frames.
    """
    _check(length, frames)
    if sampling == "chunk-random":
        return chunk_random(length, frames, generator)
    if sampling == "window":
        return window(length, frames, generator)
    raise ValueError(f"unknown training sampling {sampling!r}; known: {', '.join(get_args(TrainSampling))}")


def chunk_first(length: int, frames: int) -> Positions:
    """The first frame of each of T chunks of ceil(n / T) frames; past the end the last frame repeats.

    The rule of the HITSZ-VCM authors' code (MITML), for long and short tracklets alike.

    >>> chunk_first(24, 10).tolist()
    [0, 3, 6, 9, 12, 15, 18, 21, 23, 23]
    >>> chunk_first(7, 10).tolist()
    [0, 1, 2, 3, 4, 5, 6, 6, 6, 6]
    """
    chunk = -(-length // frames)
    return np.minimum(np.arange(frames) * chunk, length - 1)


def uniform(length: int, frames: int) -> Positions:
    """The frames at floor(i n / T), i = 0..T-1: the rule of the BUPTCampus authors' code.

    >>> uniform(7, 10).tolist()
    [0, 0, 1, 2, 2, 3, 4, 4, 5, 6]
    """
    return np.arange(frames) * length // frames


def dense(length: int, frames: int) -> Positions:
    """All frames in consecutive clips of T, `[ceil(n / T), T]`; the last clip repeats from its own start.

    The rule of X-ReID's evaluation script. Average the features over the clips, then L2-normalise.

    >>> dense(5, 3).tolist()
    [[0, 1, 2], [3, 4, 3]]
    """
    starts = np.arange(0, length, frames)[:, None]
    filled = np.minimum(length - starts, frames)
    return starts + np.arange(frames) % filled


def chunk_random(length: int, frames: int, generator: np.random.Generator) -> Positions:
    """One random frame of each of T chunks of ceil(n / T) frames; past the end the last frame repeats.

    The training counterpart of `chunk_first` (MITML, VLD). Positions never decrease.
    """
    chunk = -(-length // frames)
    drawn = np.arange(frames) * chunk + generator.integers(0, chunk, frames)
    positions: Positions = np.minimum(drawn, length - 1)
    return positions


def window(length: int, frames: int, generator: np.random.Generator) -> Positions:
    """T consecutive frames from a random start; a shorter tracklet is repeated from its first frame on."""
    if length < frames:
        return np.arange(frames) % length
    return int(generator.integers(0, length - frames + 1)) + np.arange(frames)


def _check(length: int, frames: int) -> None:
    if frames < 1:
        raise ValueError(f"frames of a clip must be at least 1, found {frames}")
    if length < 1:
        raise DataError(f"a tracklet must have at least one frame, found {length}")
