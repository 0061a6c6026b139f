"""How far each pixel of a shape lies from the shape's own outline, for all shapes of a canvas at once.

A ridge has hundreds of sides and a body hundreds of thousands of pixels: no pixel is asked about more than the few sides
that may be its nearest. They are found for a coarse block of the canvas first, and for finer ones among those.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]
Index = NDArray[np.int64]

BLOCK = 4  # pixels across and down that share their sides
LEVELS = (64, 16, BLOCK)  # pixels of a block, from the coarsest
HALF = 0.7072  # of a block's diagonal, in its sides
AT_ONCE = 1 << 14  # blocks evaluated together: what they need stays in a core's cache


@dataclass(frozen=True, eq=False)
class _Sides:
    """The sides of all outlines, one after the other: from a point, along a vector."""

    x: Field
    y: Field
    dx: Field
    dy: Field
    per: Field  # one by the square of its length

    def squared(self, side: Index, x: Field, y: Field) -> Field:
        """The square of the distance of each point from one side each."""
        return _squared(x, y, *(values[side] for values in (self.x, self.y, self.dx, self.dy, self.per)))


def _squared(x: Field, y: Field, x0: Field, y0: Field, dx: Field, dy: Field, per: Field) -> Field:
    x, y = x - x0, y - y0
    along = x * dx
    along += y * dy
    along *= per
    np.clip(along, 0, 1, out=along)
    x -= along * dx
    y -= along * dy
    x *= x
    y *= y
    x += y
    return x


@dataclass(frozen=True, slots=True)
class Grid:
    """Which pixels of a canvas of `side` pixels are asked: every second or third from a corner on."""

    side: int
    left: int = 0
    top: int = 0
    every: int = 1

    def x(self, columns: NDArray[np.generic]) -> Field:
        return self._middles(columns, self.left)

    def y(self, rows: NDArray[np.generic]) -> Field:
        return self._middles(rows, self.top)

    def _middles(self, pixels: NDArray[np.generic], first: int) -> Field:
        found: Field = ((pixels * self.every + first).astype(np.float32) + np.float32(0.5)) / np.float32(self.side)
        return found


def outline_distances(
    outlines: Sequence[NDArray[np.float64]], shape: NDArray[np.int32], far: float, grid: Grid | None = None
) -> Field:
    """The distance, in canvas widths, of each pixel's middle from the outline of the shape on top there.

    `shape` (H, W) numbers outlines from 0, and is negative where no shape lies. What is farther than `far` may be told as
    anything beyond it; where no shape lies that is 4.
    """
    if not len(outlines):
        return np.full(shape.shape, 4.0, np.float32)
    height, width = shape.shape
    if height != width:  # the blocks are of a square
        side = max(height, width)
        shape = np.pad(shape, ((0, side - height), (0, side - width)), constant_values=-1)
    side = len(shape)
    grid = grid or Grid(side)
    sides, first = _sides(outlines)
    blocks = _in_blocks(shape)  # (16, B)
    across = -(-side // BLOCK)
    which, block = _groups(blocks)
    row, column = np.divmod(block, across)
    found, count = _candidates(sides, first, (which, row, column), grid, far)
    begin = np.cumsum(count) - count
    right, down = (part.ravel()[:, None] for part in np.meshgrid(np.arange(BLOCK), np.arange(BLOCK)))
    nearest = np.full(blocks.shape, 16.0, np.float32)  # squares
    order = np.argsort(-count, kind="stable")  # those with as many sides together: a step asks only whom it concerns
    order = order[: np.count_nonzero(count)]
    for at in range(0, len(order), AT_ONCE):
        part = order[at : at + AT_ONCE]
        x, y = grid.x(column[part] * BLOCK + right), grid.y(row[part] * BLOCK + down)  # (16, G)
        squares = np.full(x.shape, 16.0, np.float32)
        for step in range(int(count[part[0]])):
            asked = int(np.searchsorted(-count[part], -step))
            one = found[begin[part[:asked]] + step]
            np.minimum(squares[:, :asked], sides.squared(one, x[:, :asked], y[:, :asked]), out=squares[:, :asked])
        pixel, mine = np.nonzero(blocks[:, block[part]] == which[part])  # others of the block have a group of their own
        nearest[pixel, block[part[mine]]] = squares[pixel, mine]
    whole = nearest.reshape(BLOCK, BLOCK, across, across).transpose(2, 0, 3, 1).reshape(across * BLOCK, -1)
    return np.sqrt(whole[:height, :width])


def _sides(outlines: Sequence[NDArray[np.float64]]) -> tuple[_Sides, Index]:
    """The sides, and where those of each outline begin, with the end of the last."""
    first = np.cumsum([0, *(len(points) for points in outlines)])
    points = np.concatenate(outlines).astype(np.float32)
    following = np.arange(1, len(points) + 1)
    following[first[1:] - 1] = first[:-1]
    along = points[following] - points
    per = 1 / (along[:, 0] * along[:, 0] + along[:, 1] * along[:, 1] + np.float32(1e-12))
    columns = (points[:, 0], points[:, 1], along[:, 0], along[:, 1], per)
    return _Sides(*(np.ascontiguousarray(column, np.float32) for column in columns)), first


def _groups(blocks: NDArray[np.int32]) -> tuple[Index, Index]:
    """Every shape of every block: the shape (G,), and the block (G,)."""
    low, high = blocks.min(0), blocks.max(0)
    whole = np.flatnonzero((low == high) & (low >= 0))
    mixed = np.flatnonzero(low != high)
    sorted_ = np.sort(blocks[:, mixed], 0)
    new = sorted_ >= 0
    new[1:] &= sorted_[1:] != sorted_[:-1]
    at, which = np.nonzero(new.T)
    return (
        np.concatenate([low[whole], sorted_.T[at, which]]).astype(np.int64),
        np.concatenate([whole, mixed[at]]),
    )


def _candidates(
    sides: _Sides, first: Index, groups: tuple[Index, Index, Index], grid: Grid, far: float
) -> tuple[Index, Index]:
    """Of each group, a shape in a row and a column of blocks, the sides that may be nearest to a pixel of it.

    They stand one after the other, with how many each has.
    """
    levels, places = [groups], []  # from the finest; places: of each group, where the next level has it
    for finer, size in zip(LEVELS[:0:-1], LEVELS[-2::-1], strict=True):
        which, row, column = levels[-1]
        keys = (which << 32) | (row // (size // finer) << 16) | (column // (size // finer))
        coarser, place = np.unique(keys, return_inverse=True)
        levels.append((coarser >> 32, (coarser >> 16) & 0xFFFF, coarser & 0xFFFF))
        places.append(place)
    count = np.diff(first)[levels[-1][0]]
    found = _ranges(first[levels[-1][0]], count)
    for size, (_, row, column) in zip(LEVELS, reversed(levels), strict=True):
        if size != LEVELS[0]:
            place = places.pop()
            begin = (np.cumsum(count) - count)[place]
            count = count[place]
            found = found[_ranges(begin, count)]
        x, y = grid.x(column * size + (size - 1) / 2), grid.y(row * size + (size - 1) / 2)
        count, found = _pruned(sides, x, y, count, found, size * grid.every / grid.side * HALF, far)
    return found, count


def _pruned(
    sides: _Sides, x: Field, y: Field, count: Index, found: Index, reach: float, far: float
) -> tuple[Index, Index]:
    """Keep of each group's sides what may be nearest to a point within `reach` of (x, y), and not beyond `far`."""
    if not len(found):
        return count, found
    group = np.repeat(np.arange(len(count)), count)
    away = np.sqrt(sides.squared(found, x[group], y[group]))
    some = count > 0
    begin = (np.cumsum(count) - count)[some]
    bound = np.zeros(len(count), np.float32)
    bound[some] = np.minimum(np.minimum.reduceat(away, begin) + np.float32(2 * reach), np.float32(far + reach))
    kept = away <= bound[group] + np.float32(1e-6)
    return np.bincount(group[kept], minlength=len(count)), found[kept]


def _ranges(begin: Index, count: Index) -> Index:
    """begin, begin + 1, … for each, `count` of them."""
    places: Index = np.arange(int(count.sum())) + np.repeat(begin - (np.cumsum(count) - count), count)
    return places


def _in_blocks(image: NDArray[np.int32]) -> NDArray[np.int32]:
    """(S, S) to (16, blocks); what blocks have beyond the edge is negative."""
    across = -(-len(image) // BLOCK)
    if across * BLOCK > len(image):
        image = np.pad(image, (0, across * BLOCK - len(image)), constant_values=-1)
    blocks = image.reshape(across, BLOCK, across, BLOCK).transpose(1, 3, 0, 2)
    return np.ascontiguousarray(blocks).reshape(BLOCK * BLOCK, across * across)
