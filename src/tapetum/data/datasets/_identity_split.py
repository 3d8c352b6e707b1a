"""A random division of people into training and test, where a data set comes with none."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from tapetum.types import Id

_DRAWS = 29
"""Keeps these draws apart from others of the same seed."""


TEST_SHARE = 0.5
"""Share of the people to test on where nobody says otherwise."""


def check_split(test_share: float | None, seed: int | None) -> tuple[float, int]:
    """Share and seed of a division, or what they are where nobody says.

    >>> check_split(None, None), check_split(1, 7)
    ((0.5, 0), (1.0, 7))

    Raises:
        ValueError: A share outside 0..1, or a negative seed.
    """
    share, start = TEST_SHARE if test_share is None else test_share, 0 if seed is None else seed
    if not isinstance(share, int | float) or not 0.0 <= share <= 1.0:
        raise ValueError(f"test_share is {test_share!r}; expected a number from 0 to 1")
    if not isinstance(start, int) or start < 0:
        raise ValueError(f"seed is {seed!r}; expected a whole number from 0 on")
    return float(share), start


def draw_test_people(
    people: Sequence[Id], paired: Collection[Id], test_share: float, seed: int
) -> frozenset[Id]:
    """The people to test on: the share of those seen in both modalities, and the share of the others.

    The two are drawn apart, for a person seen in one modality is of little use in training and has no match
    in testing. Of two and more people, each draw leaves someone on either side, unless the share is 0 or 1.
    The draw depends on who there is, not on their order.

    Args:
        people: Everybody.
        paired: Who was seen in both modalities.
        test_share: Share of the people to test on, 0..1.
        seed: Of the draw.
    """
    generator = np.random.default_rng([seed, _DRAWS])
    chosen: list[Id] = []
    for group in ([p for p in people if p in paired], [p for p in people if p not in paired]):
        ordered = sorted(group, key=lambda person: (isinstance(person, str), person))
        drawn = generator.permutation(len(ordered))[: _count(len(ordered), test_share)]
        chosen += [ordered[place] for place in drawn.tolist()]
    return frozenset(chosen)


def _count(people: int, share: float) -> int:
    """How many of `people` are tested on.

    >>> _count(10, 0.5), _count(3, 0.1), _count(3, 0.99), _count(1, 0.5), _count(3, 0.0), _count(3, 1.0)
    (5, 1, 2, 0, 0, 3)
    """
    count = int(share * people + 0.5 - 1e-9)
    return min(max(count, 1), people - 1) if 0.0 < share < 1.0 and people > 1 else count
