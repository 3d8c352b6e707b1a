"""Numbers of people and lists of them, as data sets have them: with gaps, and in no order."""

from collections.abc import Sequence

import numpy as np

#: Numbers of people have four digits in several formats.
MOST_NUMBERS = 9999


def gapped_numbers(count: int, start: int = 1) -> list[int]:
    """`count` numbers from `start`, of which every seventh is left out.

    >>> gapped_numbers(8)
    [1, 2, 3, 4, 5, 6, 8, 9]

    Raises:
        ValueError: if they need more than four digits.
    """
    numbers = [start + place + place // 6 for place in range(count)]
    if numbers and numbers[-1] > MOST_NUMBERS:
        raise ValueError(
            f"{count} people are numbered up to {numbers[-1]}; expected at most {MOST_NUMBERS}, four digits"
        )
    return numbers


def unsorted(rng: np.random.Generator, numbers: Sequence[int]) -> list[int]:
    """The numbers in an order drawn at random, but never in their own."""
    ordered = sorted(numbers)
    drawn = [int(number) for number in rng.permutation(ordered)]
    return drawn[::-1] if drawn == ordered else drawn
