"""What a material is told of a layout, pixel by pixel: which ink, and where on which stroke.

Drawn once for a whole canvas, at twice the pixels of the picture; tiles are cut from it. Every number of a pixel is exact
for its piece: nothing is read back from a raster.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

from pipeline.art.compose.marks import Composition, Shape
from pipeline.art.compose.outlines import Grid, outline_distances
from pipeline.art.compose.raster import Pieces, Window, numbers, pieces
from pipeline.base.philox import words

Field = NDArray[np.float32]  # (H, W)

FINER = 2  # pixels of a plane, across and down, for each of the picture
FEATURES = (
    "heading x",  # unit vector along the stroke
    "heading y",
    "along",  # how far from where the brush was set down, in canvas widths
    "rest",  # how far to where it is lifted
    "across",  # -1 at one side of the stroke, 1 at the other
    "edge",  # distance to the nearest edge of the stroke, in canvas widths
    "half width",
    "load",  # of paint
    "bristle",  # noise that runs with the stroke, 0 to 1
    "paper",  # noise of the ground, 0 to 1
    "painted",  # 1 where a mark lies
    "hand",  # a number of the stroke's own, 0 to 1
)
TEXTURE = 512  # side of the noises, which repeat without a seam
NEAR, FAR = -0.02, 0.06  # an edge beyond is as good as none
ROWS = 32
BRISTLE, GRAIN = TEXTURE * 0.9, TEXTURE * 0.8  # texels for each canvas width


@dataclass(frozen=True, eq=False)
class Planes:
    """A layout at some number of pixels."""

    ink: NDArray[np.uint8]  # (H, W): on top
    under: NDArray[np.uint8]  # (H, W): what a dry brush on top shows
    features: Field  # (len(FEATURES), H, W)


def planes(composition: Composition, size: int, finer: int = FINER) -> Planes:
    """The planes for a picture of `size` pixels."""
    layout, side = Layout(composition), size * finer
    on_top = layout.on_top(side)
    return Planes(layout.inks(on_top), layout.inks(layout.beneath(side, on_top)), layout.features(on_top, side))


class Layout:
    """A composition, ready to be looked at: whole or in a window, at any number of pixels, all of it or some marks."""

    def __init__(self, composition: Composition) -> None:
        self.marks = composition.marks
        self.pieces = pieces(composition.marks)
        self._inks = np.concatenate([np.zeros(1, np.uint8), self.pieces.ink])
        bare = np.array([isinstance(mark, Shape) and mark.ink == 0 for mark in self.marks], np.bool_)
        self._bare = np.concatenate([np.zeros(1, np.bool_), bare[self.pieces.mark]])
        self._told = _Told.of(composition, self.pieces)
        self._shapes = [i for i, mark in enumerate(self.marks) if isinstance(mark, Shape)]
        number = np.full(len(self.marks), -1, np.int32)
        number[self._shapes] = np.arange(len(self._shapes))
        self._shape = np.concatenate([np.full(1, -1, np.int32), number[self.pieces.mark]])

    def on_top(self, side: int, window: Window | None = None, part: slice = slice(None)) -> NDArray[np.int32]:
        """The number of the piece on top at each pixel, once the pieces of `part` are laid down."""
        return numbers(self.pieces, side, window, part)

    def beneath(self, side: int, on_top: NDArray[np.int32], window: Window | None = None) -> NDArray[np.int32]:
        """The number of the piece that shows where the mark on top is taken away."""
        return numbers(self.pieces, side, window, above=on_top)

    def inks(self, of: NDArray[np.int32]) -> NDArray[np.uint8]:
        return self._inks[of]

    def bare(self, of: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Where the ground is kept clean: a shape of the ground's ink lies on top, and no brush was there."""
        return self._bare[of]

    def features(self, on_top: NDArray[np.int32], side: int, window: Window | None = None, every: int = 1) -> Field:
        """What is known of each pixel, (len(FEATURES), H, W), from the number of its piece.

        With `every` it is only asked of every second or third pixel, across and down; `on_top` and `window` are all.
        """
        left, top, _, _ = window or (0, 0, side, side)
        grid, asked = Grid(side, left, top, every), np.ascontiguousarray(on_top[::every, ::every])
        features = np.zeros((len(FEATURES), *asked.shape), np.float32)
        outline = self._outlines(asked, grid)
        for first in range(0, len(asked), ROWS):  # what some rows need stays in a core's cache
            rows = slice(first, first + ROWS)
            _fill(features[:, rows], self._told, asked[rows], outline[rows], grid, first)
        features[FEATURES.index("paper")] = _paper(grid, asked.shape)
        return features

    def _outlines(self, on_top: NDArray[np.int32], grid: Grid) -> Field:
        """How far each pixel of a shape lies from its outline; -1 where none lies on top."""
        shape = self._shape[on_top]
        distances = outline_distances([self.marks[i].points for i in self._shapes], shape, FAR, grid)
        return np.where(shape < 0, np.float32(-1), distances)


@dataclass(frozen=True, eq=False)
class _Told:
    """What is asked of pieces (P,) and of marks (M,) at every pixel, as 32-bit numbers."""

    mark: NDArray[np.intp]
    pieces: (
        Field  # (8, P): heading, origin, how far along it begins, length, width at its begin, and what that grows by
    )
    marks: Field  # (4, M): begin, length, pace and load of the long stroke
    hand: Field  # (2, M)

    @classmethod
    def of(cls, composition: Composition, found: Pieces) -> _Told:
        *strokes, hand = (values.astype(np.float32) for values in _of_strokes(composition, found))
        width = found.width.astype(np.float32)
        columns = (found.along[:, 0], found.along[:, 1], found.origin[:, 0], found.origin[:, 1], found.reached)
        values = [*columns, found.length, width[:, 0], width[:, 1] - width[:, 0]]
        return cls(found.mark.astype(np.intp), np.array(values, np.float32), np.array(strokes), hand)


def _fill(features: Field, told: _Told, on_top: NDArray[np.int32], outline: Field, grid: Grid, top: int) -> None:
    """Tell some rows, from `top` on, what lies there."""
    width = on_top.shape[1]
    where = np.flatnonzero(on_top)  # (N,): the painted pixels
    piece = on_top.ravel()[where].astype(np.intp) - 1
    mark = told.mark[piece]
    ux, uy, x0, y0, reached, length, begin, growth = (np.take(values, piece) for values in told.pieces)
    start, whole, pace, load = (np.take(values, mark) for values in told.marks)
    first, second = (np.take(values, mark) for values in told.hand)

    rows, columns = np.divmod(where, width)
    rx, ry = grid.x(columns) - x0, grid.y(rows + top) - y0
    forward, sideways = rx * ux + ry * uy, ry * ux - rx * uy
    half = (begin + growth * np.clip(forward / length, 0, 1)) / 2 + np.float32(1e-6)
    along = start + (reached + forward) * pace
    rest = whole - along
    edge = np.minimum(half - np.abs(sideways), np.minimum(along, rest))
    own = outline.ravel()[where]
    edge = np.where(own < 0, edge, own)
    bristle, texel = _textures()[0], np.float32(TEXTURE - 1)
    painted = {
        "heading x": ux,
        "heading y": uy,
        "along": along,
        "rest": rest,
        "across": np.clip(sideways / half, -1.2, 1.2),
        "edge": np.clip(edge, NEAR, FAR),
        "half width": half,
        "load": load,
        "bristle": _read(
            bristle,
            sideways * np.float32(BRISTLE) + first * texel,
            along * np.float32(BRISTLE) + second * texel,
        ),
        "painted": np.float32(1),
        "hand": first,
    }
    features[FEATURES.index("bristle")] = features[FEATURES.index("hand")] = 0.5
    for name, values in painted.items():
        np.put(features[FEATURES.index(name)], where, values)


@lru_cache(maxsize=2)
def _paper(grid: Grid, shape: tuple[int, int]) -> Field:
    """The grain of the ground, the same under every composition of this size."""
    across, down = grid.x(np.arange(shape[1])) * np.float32(GRAIN), grid.y(np.arange(shape[0])) * np.float32(GRAIN)
    return _read(_textures()[1], *np.broadcast_arrays(across[None], down[:, None]))


def _of_strokes(composition: Composition, found: Pieces) -> tuple[NDArray[np.float64], ...]:
    """Of each mark (M,): where on its long stroke it begins, how long that is, its pace, its load; and its hand (2, M)."""
    marks = composition.marks
    start, pace = np.zeros(len(marks)), np.ones(len(marks))
    whole = np.zeros(len(marks))
    np.maximum.at(whole, found.mark, found.reached + found.length)
    own = np.asarray(words(len(marks), "hand", 2 * len(marks)).reshape(2, -1), np.float64) * 2.0**-32
    for i, mark in enumerate(marks):
        if isinstance(mark, Shape):
            continue
        start[i], pace[i] = mark.start, mark.pace
        whole[i] = mark.start + whole[i] * mark.pace if mark.whole is None else mark.whole
        if mark.key is not None:
            own[:, i] = mark.key * 0.61803 % 1, mark.key * 0.75488 % 1
    load = np.array([mark.load for mark in marks], np.float64)
    return start, whole, pace, load, own


@cache
def _textures() -> tuple[Field, Field]:
    """Two noises (TEXTURE, TEXTURE), even from 0 to 1: bristles, long down the rows, and the grain of paper."""
    turns = np.fft.fftfreq(TEXTURE) * TEXTURE
    across, down = np.meshgrid(turns, turns)

    def noise(name: str, *parts: tuple[float, float, float]) -> Field:
        """White noise through filters, each a weight and a width in both directions; ranked, so that it is even."""
        total = np.zeros((TEXTURE, TEXTURE))
        for i, (weight, wide, tall) in enumerate(parts):
            white = words(7, f"{name} {i}", 4 * TEXTURE * TEXTURE).reshape(4, TEXTURE, TEXTURE).sum(0, dtype=np.int64)
            kept = np.exp(-((across / wide) ** 2 + (down / tall) ** 2) / 2)
            part = np.fft.ifft2(np.fft.fft2(white - white.mean()) * kept).real
            total += weight * part / part.std()
        ranks = np.argsort(np.argsort(total, axis=None, kind="stable"), kind="stable")
        even: Field = (ranks / total.size).reshape(total.shape).astype(np.float32)
        return even

    bristle = noise("bristle", (0.8, 120, 5), (0.6, 30, 2))
    paper = noise("paper", (0.4, 14, 14), (0.8, 110, 110), (-0.3, 50, 50))
    return bristle, paper


def _read(texture: Field, x: Field, y: Field) -> Field:
    """The texture between its texels, over and over."""
    low_x, low_y = np.floor(x).astype(np.int32), np.floor(y).astype(np.int32)
    part_x, part_y = (x - low_x).astype(np.float32), (y - low_y).astype(np.float32)
    flat = texture.ravel()
    here, below = ((row & (TEXTURE - 1)) * TEXTURE for row in (low_y, low_y + 1))
    left, right = low_x & (TEXTURE - 1), (low_x + 1) & (TEXTURE - 1)
    upper = flat[here + left] + (flat[here + right] - flat[here + left]) * part_x
    lower = flat[below + left] + (flat[below + right] - flat[below + left]) * part_x
    between: Field = upper + (lower - upper) * part_y
    return between
