"""Who is in a data set: people of one seed, in the parts that its format divides them into.

Every person has a branch of the seed, so that nobody depends on how many others there are, and the same seed
gives the same people in every format.
"""

from collections.abc import Mapping
from typing import Literal

import numpy as np

from tapetum.data.synthetic.options import WalkerOptions
from tapetum.data.synthetic.people import Person, redress, sample_person

Split = Literal["train", "test", "validation", "auxiliary"]

_SPLIT_KEY: dict[Split, int] = {"train": 0, "test": 1, "validation": 2, "auxiliary": 8}
_GROUP_KEY = 4

#: Where auxiliary people start in the sequence of gaits: behind any number of training people.
_AUXILIARY_RANK = 1_000_000


class Cast:
    """A seeded set of walkers.

    Args:
        seed: of everything, at least 0.
        counts: people in each part.
        options: how they are drawn.

    Raises:
        ValueError: if the seed is negative.
    """

    def __init__(self, seed: int, counts: Mapping[Split, int], options: WalkerOptions) -> None:
        if seed < 0:
            raise ValueError(f"seed is {seed}; expected at least 0")
        self.seed = seed
        self.options = options
        self._counts = dict(counts)

    def count(self, split: Split) -> int:
        """Number of identities of a split; 0 where the format has no such split."""
        return self._counts.get(split, 0)

    def person(self, split: Split, index: int) -> Person:
        """An identity; with cues "shape" its materials are replaced in every tracklet (see `dressed`).

        Args:
            split: part of the data set.
            index: place within the split, from 0.
        """
        cues, size = self.options.cues, self.options.group_size
        if cues != "gait":
            return sample_person(self.rng(split, index), cues=cues)
        if size is None:
            return sample_person(self.branch(_GROUP_KEY), cues=cues, rank=_rank(split, index))
        group = self.branch(_GROUP_KEY, _SPLIT_KEY[split], index // size)
        return sample_person(group, cues=cues, rank=_rank(split, index))

    def dressed(self, split: Split, index: int, *occasion: int) -> Person:
        """An identity as dressed on one occasion, a key of `rng`; only with cues "shape" does it matter."""
        person = self.person(split, index)
        if self.options.cues != "shape":
            return person
        return redress(person, self.rng(split, index, *occasion))

    def rng(self, split: Split, index: int, *key: int) -> np.random.Generator:
        """Generator of what is drawn for one identity under `key`."""
        return self.branch(_SPLIT_KEY[split], index, *key)

    def branch(self, *key: int) -> np.random.Generator:
        """Generator of a branch of the seed."""
        return np.random.Generator(np.random.PCG64(np.random.SeedSequence(self.seed, spawn_key=key)))


def divide_people(
    identities: int, test_identities: int | None, *, fewest_train: int, fewest_test: int, name: str
) -> tuple[int, int]:
    """How many people are for training and for testing.

    Args:
        identities: people in all.
        test_identities: how many are for testing; None means a third, or the fewest if that is more.
        fewest_train: that a format needs.
        fewest_test: that a format needs.
        name: of the format, for messages.

    Raises:
        ValueError: if there are too few of either.
    """
    if identities < fewest_train + fewest_test:
        raise ValueError(
            f"identities is {identities}; expected at least {fewest_train + fewest_test} for {name} "
            f"({fewest_train} to train, {fewest_test} to test)"
        )
    test = max(fewest_test, identities // 3) if test_identities is None else test_identities
    most = identities - fewest_train
    if not fewest_test <= test <= most:
        raise ValueError(
            f"test_identities is {test}; expected {fewest_test} to {most} of {identities} identities "
            f"for {name}"
        )
    return identities - test, test


def _rank(split: Split, index: int) -> int:
    """Place in the sequence of gaits; no two people share one."""
    if split == "auxiliary":
        return 2 * (_AUXILIARY_RANK + index)
    return 2 * index + _SPLIT_KEY[split]
