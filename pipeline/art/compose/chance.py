"""Chance for composers: numbers from a seed's own stream, the same on every machine.

Everything here is a raw word, or words and IEEE arithmetic: no library's logarithm or cosine decides where a line goes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline.base.philox import words

T = TypeVar("T")

BLOCK = 2048  # words fetched at once
FINE = 2.0**20  # sines are multiples of 2^-20: the last bit of a library's cannot show


class Chance:
    """A stream of numbers, read in order."""

    def __init__(self, seed: int, name: str) -> None:
        self._seed, self._name, self._at = seed, name, 0
        self._block: list[float] = []
        self._next = 0

    def __call__(self, low: float = 0.0, high: float = 1.0) -> float:
        """Anything from `low` up to `high`."""
        if self._next == len(self._block):
            self._fetch()
        unit = self._block[self._next]
        self._next += 1
        return low + (high - low) * unit

    def whole(self, low: int, high: int) -> int:
        """A whole number from `low` to `high`, both included."""
        return low + int(self() * (high - low + 1))

    def one(self, *options: T) -> T:
        """One of the options."""
        return options[int(self() * len(options))]

    def of(self, options: Sequence[T]) -> T:
        return options[int(self() * len(options))]

    def weighted(self, options: Sequence[T], weights: Sequence[float]) -> T:
        """One of the options, as often as its weight says."""
        left = self() * sum(weights)
        for option, weight in zip(options, weights, strict=True):
            left -= weight
            if left < 0:
                return option
        return options[-1]

    def happens(self, share: float) -> bool:
        return self() < share

    def normal(self, spread: float = 1.0) -> float:
        """Near enough to a normal number: a sum of four uniform ones, never beyond 3.5 spreads."""
        return (self() + self() + self() + self() - 2.0) * 1.7320508 * spread

    def sign(self) -> int:
        return 1 if self() < 0.5 else -1

    def shuffled(self, options: Sequence[T]) -> list[T]:
        left = list(options)
        for i in range(len(left) - 1, 0, -1):
            j = int(self() * (i + 1))
            left[i], left[j] = left[j], left[i]
        return left

    def many(self, count: int, low: float = 0.0, high: float = 1.0) -> NDArray[np.float64]:
        return np.array([self(low, high) for _ in range(count)], np.float64)

    def _fetch(self) -> None:
        drawn = words(self._seed, self._name, BLOCK, self._at)
        self._at += BLOCK
        self._block, self._next = ((drawn >> 8) * 2.0**-24).tolist(), 0


def around(count: int, closed: bool = False) -> NDArray[np.float64]:
    """`count` angles round a circle; `closed` repeats the first."""
    return np.arange(count + closed, dtype=np.float64) * (2 * math.pi / count)


def cos(angle: float) -> float:
    return round(math.cos(angle) * FINE) / FINE


def sin(angle: float) -> float:
    return round(math.sin(angle) * FINE) / FINE


def cosines(angles: NDArray[np.float64]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = np.rint(np.cos(angles) * FINE) / FINE
    return found


def sines(angles: NDArray[np.float64]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = np.rint(np.sin(angles) * FINE) / FINE
    return found


def angle_of(x: float, y: float) -> float:
    return round(math.atan2(y, x) * FINE) / FINE


def length(x: float, y: float) -> float:
    return math.sqrt(x * x + y * y)  # of two squares: IEEE says its every bit, and says nothing of hypot


def grown(exponent: float) -> float:
    """e to the exponent, rounded like the sines."""
    return round(math.exp(exponent) * FINE) / FINE
