"""Repeatable draws: the same seed gives the same file on every machine and Python version.

Only `Random.random()` is used, because it is the one method whose sequence Python promises to
keep for a seed ("Notes on Reproducibility" of the `random` documentation), and only products
of its values, because IEEE 754 fixes those where it leaves `exp` and `log` to the C library.
"""

from collections.abc import Sequence
from random import Random
from typing import TypeVar

T = TypeVar("T")


def seeded_random(seed: int, purpose: str) -> Random:
    """Return a generator of its own for each purpose, so that draws do not disturb each other."""
    return Random(f"{purpose}:{seed}")


def draw_indexes(random: Random, size: int, count: int) -> list[int]:
    """Draw `count` indexes below `size`, all equally likely."""
    draw = random.random
    return [int(size * draw()) for _ in range(count)]


def draw_skewed_indexes(random: Random, size: int, count: int) -> list[int]:
    """Draw `count` indexes below `size`, low ones far more often: P(index < x) is sqrt(x / size).

    The first hundredth of the indexes gets a tenth of the draws. Squaring comes first: the
    square of a number below one is below one by enough that no product rounds up to `size`.
    """
    draw = random.random
    return [int(size * (u * u)) for u in [draw() for _ in range(count)]]


def shuffled(random: Random, items: Sequence[T]) -> list[T]:
    """Return the items in a random order."""
    ranked = sorted((random.random(), position) for position in range(len(items)))
    return [items[position] for _, position in ranked]
