"""Marks to pixels, in whole numbers: which mark lies on top at each pixel's middle.

Every stroke is a chain of quads, every shape a polygon; each has a number, and later numbers cover earlier ones. Their
corners are whole 256ths of a pixel and all else is integer arithmetic, so a raster is the same on every machine, and a
window of it is cut from the whole without a seam.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pipeline.art.compose.marks import BODY, Mark, Stroke

SUB = 256  # corners per pixel
LONG = 48  # pixels of a run, on average, from which it is quicker to write one after the other
ROWS = 512  # painted at a time: bounds memory on large canvases
MITRE = 2.0  # how much wider than the stroke a bend may be
Window = tuple[int, int, int, int]  # left, top, width, height


@dataclass(frozen=True, eq=False)
class Pieces:
    """The quads and polygons of a composition, numbered from 1 in the order in which they are laid down."""

    corners: NDArray[np.float64]  # (C, 2), of all pieces
    of_piece: NDArray[np.int64]  # (C,): the piece that a corner belongs to
    following: NDArray[np.int64]  # (C,): the next corner of the same piece
    mark: NDArray[np.int64]  # (P,): the mark that a piece is part of
    ink: NDArray[np.uint8]  # (P,)
    body: NDArray[np.bool_]  # (P,): of a full brush
    # of strokes; a shape's are those of the band that it fills along its grain
    origin: NDArray[np.float64]  # (P, 2)
    along: NDArray[np.float64]  # (P, 2) unit vector
    length: NDArray[np.float64]  # (P,)
    width: NDArray[np.float64]  # (P, 2): at its begin and at its end
    reached: NDArray[np.float64]  # (P,): how far along its stroke it begins

    @cached_property
    def count(self) -> int:
        return len(self.mark)


def pieces(marks: Sequence[Mark]) -> Pieces:
    """Cut marks into what is rastered."""
    counts = np.array([len(m.points) - 1 if isinstance(m, Stroke) else 1 for m in marks], np.int64)
    first = np.cumsum(counts) - counts  # (M,): number of a mark's first piece, from 0
    total = int(counts.sum())
    strokes = [(i, m) for i, m in enumerate(marks) if isinstance(m, Stroke)]
    shapes = [(i, m) for i, m in enumerate(marks) if not isinstance(m, Stroke)]

    origin, along, length = np.zeros((total, 2)), np.zeros((total, 2)), np.zeros(total)
    width, reached = np.zeros((total, 2)), np.zeros(total)
    corners, of_piece, following = [np.zeros((0, 2))], [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    if strokes:
        sizes = np.array([len(m.points) for _, m in strokes])
        path = np.concatenate([m.points for _, m in strokes])  # (N, 2)
        wide = np.concatenate([m.widths for _, m in strokes])
        owner = np.repeat(np.arange(len(strokes)), sizes)
        step = path[1:] - path[:-1]
        far = np.sqrt(step[:, 0] * step[:, 0] + step[:, 1] * step[:, 1])
        unit = step / (far + 1e-12)[:, None]
        kept = np.nonzero(owner[1:] == owner[:-1])[0]  # a segment begins at each of these points
        heading = np.zeros_like(path)
        heading[kept] += unit[kept]
        heading[kept + 1] += unit[kept]  # each point has one segment before it and one after it, or one of them
        bend = np.sqrt(heading[:, 0] * heading[:, 0] + heading[:, 1] * heading[:, 1])
        ends = np.ones(len(path), np.int64)
        ends[kept] += 1
        ends[kept + 1] += 1
        mitre = np.where(ends == 3, 2 / np.maximum(bend, 2 / MITRE), 1.0)
        normal = np.stack([-heading[:, 1], heading[:, 0]], 1) / (bend + 1e-12)[:, None]
        half = normal * (wide * mitre / 2)[:, None]
        left, right = path + half, path - half
        last = np.cumsum(sizes) - 1
        run = np.concatenate([[0.0], np.cumsum(np.where(owner[1:] == owner[:-1], far, 0.0))])
        run -= run[last - sizes + 1][owner]
        number = np.array([first[i] for i, _ in strokes])
        piece = number[owner[kept]] + kept - (last - sizes + 1)[owner[kept]]
        origin[piece], along[piece], length[piece] = path[kept], unit[kept], far[kept]
        width[piece] = np.stack([wide[kept], wide[kept + 1]], 1)
        reached[piece] = run[kept]
        quads = np.stack([left[kept], left[kept + 1], right[kept + 1], right[kept]], 1)
        corners.append(quads.reshape(-1, 2))
        of_piece.append(np.repeat(piece, 4))
        following.append((np.arange(len(kept) * 4).reshape(-1, 4)[:, [1, 2, 3, 0]]).ravel())
    offset = sum(len(part) for part in corners)
    for i, shape in shapes:
        size, number_ = len(shape.points), int(first[i])
        corners.append(shape.points)
        of_piece.append(np.full(size, number_))
        following.append(offset + (np.arange(size) + 1) % size)
        offset += size
        (gx, gy), points = shape.grain, shape.points
        run_, side = points[:, 0] * gx + points[:, 1] * gy, points[:, 1] * gx - points[:, 0] * gy
        low, middle = run_.min(), (side.min() + side.max()) / 2
        origin[number_] = (low * gx - middle * gy, low * gy + middle * gx)
        along[number_], length[number_] = shape.grain, run_.max() - low
        width[number_] = side.max() - side.min()
    return Pieces(
        np.concatenate(corners),
        np.concatenate(of_piece),
        np.concatenate(following),
        np.repeat(np.arange(len(marks)), counts),
        np.repeat(np.array([m.ink for m in marks], np.uint8), counts),
        np.repeat(np.array([m.load >= BODY for m in marks], np.bool_), counts),
        origin,
        along,
        length,
        width,
        reached,
    )


def numbers(
    found: Pieces,
    side: int,
    window: Window | None = None,
    part: slice = slice(None),
    above: NDArray[np.int32] | None = None,
) -> NDArray[np.int32]:
    """The number of the piece on top at each pixel of a canvas of `side` pixels, or of a window of it; 0 is the ground.

    Only the pieces of `part` are laid down. With `above`, the numbers that were found on top, it is what shows where the
    mark on top is taken away.
    """
    left, top, width, height = window or (0, 0, side, side)
    x0, y0 = np.rint(found.corners * (side * SUB)).astype(np.int64).T
    x1, y1 = x0[found.following], y0[found.following]
    down = y0 < y1
    x0, x1, y0, y1 = np.where(down, x0, x1), np.where(down, x1, x0), np.where(down, y0, y1), np.where(down, y1, y0)
    begin, end = (y0 + SUB // 2 - 1) >> 8, (y1 + SUB // 2 - 1) >> 8  # rows whose middles an edge crosses
    wanted = (begin < end) & (end > top) & (begin < top + height)
    first, last, _ = part.indices(found.count)
    if (first, last) != (0, found.count):
        wanted &= (found.of_piece >= first) & (found.of_piece < last)
    mark = np.concatenate([np.full(1, -1), found.mark]).astype(np.int32)  # of each number
    spared = None if above is None else (mark, mark[above])
    body = found.body[found.of_piece]
    canvases = []
    for which in (wanted & body, wanted & ~body):  # long runs and short ones; what lies on top is the greater number
        canvas = np.zeros((height, width), np.int32)
        edges = np.nonzero(which)[0]
        values = (x0, y0, x1 - x0, y1 - y0, begin, end, found.of_piece)
        some = tuple(value[edges] for value in values)
        for row in range(top, top + height, ROWS):
            here = slice(row - top, min(row - top + ROWS, height))
            _paint(canvas[here], some, left, row, spared and (mark, spared[1][here].ravel()))
        canvases.append(canvas)
    return np.maximum(*canvases)


Spared = tuple[NDArray[np.int32], NDArray[np.int32]]  # the mark of each number; of each pixel, the mark left out there


def _paint(
    canvas: NDArray[np.int32], edges: tuple[NDArray[np.int64], ...], left: int, top: int, spared: Spared | None
) -> None:
    """Lay the pieces down on some rows of the canvas."""
    x0, y0, dx, dy, begin, end, piece = edges
    height, width = canvas.shape
    begin, end = np.maximum(begin, top), np.minimum(end, top + height)
    count = np.maximum(end - begin, 0)
    each = np.repeat(np.arange(len(count)), count)
    if not len(each):
        return
    row = np.arange(len(each)) - np.repeat(np.cumsum(count) - count, count) + begin[each]
    crossing = x0[each] + ((row * SUB + SUB // 2 - y0[each]) * dx[each]) // dy[each]
    column = np.clip(((crossing + SUB // 2 - 1) >> 8) - left, 0, width)
    key = (piece[each] << 32) | ((row - top) << 16) | column  # a canvas has at most 2^13 rows and columns
    key.sort()
    into, out = key[0::2], key[1::2]
    begin_at = ((into >> 16) & 0xFFFF) * width + (into & 0xFFFF)
    long = out - into
    seen = long > 0
    _fill(canvas.reshape(-1), begin_at[seen], long[seen], ((into >> 32) + 1)[seen], spared)


def _fill(
    flat: NDArray[np.int32],
    begin: NDArray[np.int64],
    long: NDArray[np.int64],
    value: NDArray[np.int64],
    spared: Spared | None,
) -> None:
    """Write each run of pixels, in order: later runs cover earlier ones."""
    if spared is None and len(long) and long.mean() > LONG:
        for first, end, number in zip(begin.tolist(), (begin + long).tolist(), value.tolist(), strict=True):
            flat[first:end] = number
        return
    step = 1 << 22  # pixels written at a time
    ends = np.cumsum(long)
    done = 0
    while done < len(long):
        upto = max(done + 1, int(np.searchsorted(ends, ends[done] - long[done] + step)))
        part = long[done:upto]
        where = np.repeat(begin[done:upto] - (np.cumsum(part) - part), part)
        where += np.arange(len(where))
        values = np.repeat(value[done:upto].astype(np.int32), part)
        if spared is not None:
            mark, left_out = spared
            kept = mark[values] != left_out[where]
            where, values = where[kept], values[kept]
        flat[where] = values
        done = upto
