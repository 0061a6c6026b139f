"""What a composition is made of: strokes and shapes, in the order in which they are laid down.

The canvas is one unit wide and high, y points down, and ink 0 is the ground. Every coordinate is a multiple of 2^-24: of
a 4096th of a pixel on the largest canvas. So a list of marks is the same on every machine, and so is its digest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.art.compose.chance import around, cosines, sines
from pipeline.base.records import Attribute

Points = NDArray[np.float64]  # (N, 2)

GRID = 2.0**24
INKS = 5  # ground, three middle inks, contrast
BODY = 1.3  # load of a full brush: it does not run dry
CAP = 4  # points that round the end of a stroke


@dataclass(frozen=True, slots=True, eq=False)
class Stroke:
    """A brush drawn along a line. Parts of one long stroke share `key`, and say where on it they begin."""

    points: Points  # (N, 2), two at least
    widths: NDArray[np.float64]  # (N,): the whole width there
    ink: int
    load: float = 1.0  # of paint: below 1 the brush runs dry sooner, from BODY on it covers all
    key: int | None = None
    start: float = 0.0  # how far along the long stroke this part begins
    whole: float | None = None  # how long that stroke is; None: as long as this part
    pace: float = 1.0  # how fast paint is used up along it


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """A polygon filled evenly (even-odd), brushed in one direction."""

    points: Points  # (N, 2), closed by itself
    ink: int
    grain: tuple[float, float] = (1.0, 0.0)  # unit vector along which it is brushed
    load: float = BODY


Mark = Stroke | Shape


@dataclass(frozen=True, slots=True, eq=False)
class Composition:
    """What one seed of a law becomes, before any paint."""

    marks: tuple[Mark, ...]
    attributes: tuple[Attribute, ...] = ()  # counted while it was composed

    def digest(self) -> str:
        """SHA-256 over every coordinate, width and ink: the same on every machine."""
        found = hashlib.sha256()
        for mark in self.marks:
            found.update(bytes([mark.ink, isinstance(mark, Shape)]))
            found.update(np.rint(mark.points * GRID).astype("<i8").tobytes())
            if isinstance(mark, Stroke):
                found.update(np.rint(mark.widths * GRID).astype("<i8").tobytes())
        return found.hexdigest()


class Sheet:
    """Takes marks, one after the other."""

    def __init__(self) -> None:
        self.marks: list[Mark] = []

    def stroke(
        self,
        points: ArrayLike,
        widths: ArrayLike,
        ink: int,
        load: float = 1.0,
        *,
        key: int | None = None,
        start: float = 0.0,
        whole: float | None = None,
        pace: float = 1.0,
        round_ends: bool = False,
    ) -> None:
        path = np.asarray(points, np.float64)
        wide = np.broadcast_to(np.asarray(widths, np.float64), len(path))
        if round_ends:
            path, wide = rounded_ends(path, wide)
        self.marks.append(Stroke(on_grid(path), on_grid(wide), ink, load, key, start, whole, pace))

    def line(
        self,
        begin: Sequence[float],
        end: Sequence[float],
        width: ArrayLike,
        ink: int,
        load: float = 1.0,
        bow: float = 0.0,
    ) -> None:
        """A straight stroke, or one that bows to a side by a share of its length."""
        (x0, y0), (x1, y1) = begin, end
        if bow:
            middle = ((x0 + x1) / 2 - (y1 - y0) * bow, (y0 + y1) / 2 + (x1 - x0) * bow)
            self.stroke((begin, middle, end), width, ink, load)
        else:
            self.stroke((begin, end), width, ink, load)

    def shape(self, points: ArrayLike, ink: int, grain: tuple[float, float] = (1.0, 0.0), load: float = BODY) -> None:
        self.marks.append(Shape(on_grid(np.asarray(points, np.float64)), ink, grain, load))

    def disc(self, x: float, y: float, radius: float, ink: int, squash: float = 1.0) -> None:
        right, down = _round()
        self.shape(np.stack([x + radius * right, y + radius * squash * down], 1), ink)

    def frame(self, margin: float) -> None:
        """Ground over all that lies outside a margin."""
        low, high = margin, 1 - margin
        for left, top, right, bottom in ((0, 0, 1, low), (0, high, 1, 1), (0, 0, low, 1), (high, 0, 1, 1)):
            self.shape([(left, top), (right, top), (right, bottom), (left, bottom)], 0)

    def composition(self, attributes: Iterable[Attribute]) -> Composition:
        return Composition(tuple(self.marks), tuple(attributes))


@cache
def _round() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    turn = around(64)
    return cosines(turn), sines(turn)


def on_grid(values: NDArray[np.float64]) -> NDArray[np.float64]:
    rounded: NDArray[np.float64] = np.rint(values * GRID) / GRID
    return rounded


def rounded_ends(points: Points, widths: NDArray[np.float64]) -> tuple[Points, NDArray[np.float64]]:
    """The same stroke, with half a disc added at both of its ends."""
    steps = (np.arange(CAP) + 0.5) / CAP  # from the tip inward
    round_ = np.sqrt(1 - (1 - steps) * (1 - steps))
    ends = []
    for tip, inner, width in ((points[0], points[1], widths[0]), (points[-1], points[-2], widths[-1])):
        out = tip - inner
        far = np.sqrt(out[0] * out[0] + out[1] * out[1]) + 1e-12
        ends.append((tip + out / far * ((1 - steps) * width / 2)[:, None], round_ * width))
    (head, head_width), (tail, tail_width) = ends
    return (
        np.concatenate([head, points, tail[::-1]]),
        np.concatenate([head_width, widths, tail_width[::-1]]),
    )
