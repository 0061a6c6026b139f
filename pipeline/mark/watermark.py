"""A mark in the pixels: which collection a picture is of, and which of its tokens.

    marked = embed(pixels, Mark(0x5F3A9C12, 7))
    assert find(marked).mark == Mark(0x5F3A9C12, 7)

The picture's luminance is looked at on a grid of 256 by 256, whatever its size, so that another size meets the same
grid. In each block of 8 by 8 a few of the cosine frequencies are moved onto one of two lattices, which one says a bit
(quantisation index modulation: B. Chen and G. W. Wornell, IEEE Trans. Information Theory 47(4), 2001), and the difference
is scaled to the picture and added to its three channels alike. The 64 bits of the mark stand beside a CRC-32 of
theirs, each of the 96 some 85 times: what is found is a mark only where the sum is right.

All of it is whole numbers: a marked picture has the same pixels on every machine.
"""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from operator import itemgetter
from typing import TYPE_CHECKING, TypeVar

from pipeline.base.philox import words

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    N = TypeVar("N", np.int64, np.float64)

GRID = 256  # side of the grid on which every picture is looked at
BLOCK = 8
FREQUENCIES = ((0, 2), (1, 1), (2, 0), (0, 3), (1, 2), (2, 1), (3, 0), (2, 2))  # low enough to live through JPEG
STEP = 14  # levels between two points of a lattice that say the same bit
FINE = 256  # parts of a level that luminances are counted in
UNIT = 1 << 14  # a cosine of 1
LUMA = (77, 150, 29)  # of red, green and blue, in parts of FINE (ITU-R BT.601)
CODE_BITS = 96  # the mark's 64 and their CRC-32
GAINS = (
    1.0,
    *(gain / 100 for part in range(2, 13, 2) for gain in (100 - part, 100 + part)),
)  # brighter or darker since
DOUBTFUL = 6  # bits that say least, of which up to two are turned where the sum is wrong
CLEAREST = 4  # places of a cut picture that are read
_TURNS = tuple(turned for count in (0, 1, 2) for turned in combinations(range(DOUBTFUL), count))
SMALLEST = 128  # pixels: a smaller picture does not hold what the cells of the grid say


@dataclass(frozen=True, slots=True)
class Mark:
    """What 64 bits say: written out, `5f3a9c12-7`."""

    collection: int  # 32 bits: see `number_of`
    token_id: int  # 32 bits

    def __str__(self) -> str:
        return f"{self.collection:08x}-{self.token_id}"

    @classmethod
    def parse(cls, text: str) -> Mark:
        """Raises ValueError for what `str` does not write."""
        collection, _, token_id = text.partition("-")
        mark = cls(int(collection, 16), int(token_id)) if text.isascii() else cls(-1, -1)
        if str(mark) != text or not (0 <= mark.collection < 1 << 32 and 0 <= mark.token_id < 1 << 32):
            raise ValueError(f"{text!r} is no mark")
        return mark

    @property
    def bits(self) -> int:
        return self.collection << 32 | self.token_id


@dataclass(frozen=True, slots=True)
class Found:
    """A mark that was read, and how clearly: 1 where every place that carries a bit says it plainly, 0 by chance."""

    mark: Mark
    strength: float


def number_of(seed: int) -> int:
    """The 32 bits that stand for a collection in its marks, from its seed: known before its contract is."""
    return int.from_bytes(hashlib.sha256(f"nft-pipeline/mark/v1\0{seed}".encode()).digest()[:4], "big")


def embed(pixels: NDArray[np.uint8], mark: Mark) -> NDArray[np.uint8]:
    """A copy of (H, W, 3) pixels that carries a mark. Raises ValueError for a side below SMALLEST."""
    import numpy as np

    height, width = pixels.shape[:2]
    if min(height, width) < SMALLEST:
        raise ValueError(f"a picture of {width} by {height} pixels is too small to carry a mark")
    coefficients = _coefficients(_grid(pixels))
    places = _places()
    lattice = places.dither * (STEP * FINE) // UNIT + _code(mark)[places.bit] * (STEP * FINE // 2)
    away = (coefficients - lattice) % (STEP * FINE)
    moves = np.where(away > STEP * FINE // 2, STEP * FINE - away, -away)
    change = _spread(_pixels_of(moves), height, width)
    marked: NDArray[np.uint8] = np.clip(pixels + ((change + FINE // 2) // FINE)[..., None], 0, 255).astype(np.uint8)
    return marked


def find(pixels: NDArray[np.uint8]) -> Found | None:
    """The mark of (H, W, 3) pixels, whole, of whatever size they are now; None where there is none.

    At most GAINS × 22 sums are looked at, and each is right by chance once in 2^32.
    """
    height, width = pixels.shape[:2]
    columns = _at_edges(_integral(pixels), height, 0)
    return _read(_cells(columns, width, 0) / (height * width))


def find_cropped(pixels: NDArray[np.uint8], side: int) -> Found | None:
    """The mark of what is left of a picture of `side` by `side` pixels, cut out of it by whole pixels and not scaled.

    Each place that it may have been cut from is tried, half a cell of the grid apart, and where the bits stand most
    clearly they are read as `find` does: CLEAREST × GAINS × 22 sums at most.
    """
    height, width = pixels.shape[:2]
    integral, pace = _integral(pixels), max(1, side // (2 * GRID))
    heard: list[tuple[float, int, int, NDArray[np.float64]]] = []
    for down in range(0, side - height + 1, pace):
        columns = _at_edges(integral, side, down)
        for across in range(0, side - width + 1, pace):
            grid = _cells(columns, side, across) / side**2
            heard.append((_strength(_votes(_frequencies(grid))), down, across, grid))
        heard = sorted(heard, key=itemgetter(0), reverse=True)[:CLEAREST]
    return next((found for *_, grid in heard if (found := _read(grid))), None)


def _read(grid: NDArray[np.float64]) -> Found | None:
    frequencies = _frequencies(grid)
    return next((found for gain in GAINS if (found := _decoded(_votes(frequencies / gain)))), None)


def _votes(frequencies: NDArray[np.float64]) -> NDArray[np.float64]:
    """What the places of each bit say together: (96,), above zero for a 0, below for a 1."""
    import numpy as np

    places = _places()
    turns = frequencies / (STEP * FINE) - places.dither / UNIT
    says = np.cos(2 * np.pi * turns).ravel()
    return np.bincount(places.bit.ravel(), says, CODE_BITS).astype(np.float64)


def _strength(votes: NDArray[np.float64]) -> float:
    import numpy as np

    return float(np.abs(votes).sum() / _places().bit.size)


def _decoded(votes: NDArray[np.float64]) -> Found | None:
    """The mark whose sum is right, once at most two of the bits that say least are turned (D. Chase, 1972)."""
    import numpy as np

    heard = votes < 0
    doubtful = np.abs(votes).argsort(kind="stable")[:DOUBTFUL]
    for turned in _TURNS:
        bits = heard.copy()
        bits[doubtful[list(turned)]] ^= True
        code = np.packbits(bits).tobytes()
        if zlib.crc32(code[:8]) == int.from_bytes(code[8:], "big"):
            payload = int.from_bytes(code[:8], "big")
            return Found(Mark(payload >> 32, payload & 0xFFFFFFFF), _strength(votes))
    return None


def _code(mark: Mark) -> NDArray[np.int64]:
    """The mark's bits and those of their sum, most significant first: (96,) of 0 and 1."""
    import numpy as np

    data = mark.bits.to_bytes(8, "big")
    code = data + zlib.crc32(data).to_bytes(4, "big")
    return np.unpackbits(np.frombuffer(code, np.uint8)).astype(np.int64)


# ── the grid ─────────────────────────────────────────────────────────────────────────────────────────────────


def _grid(pixels: NDArray[np.uint8]) -> NDArray[np.int64]:
    """The luminance of (H, W, 3) pixels, averaged over the cells of the grid: (GRID, GRID) in parts of FINE."""
    height, width = pixels.shape[:2]
    means: NDArray[np.int64] = _cells(_at_edges(_integral(pixels), height, 0), width, 0) // (height * width)
    return means


def _integral(pixels: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Sums of all luminance above and to the left of each corner of (H, W, 3) pixels: (H + 1, W + 1)."""
    import numpy as np

    height, width = pixels.shape[:2]
    red, green, blue = LUMA
    wide = pixels.astype(np.int64)
    sums: NDArray[np.int64] = np.zeros((height + 1, width + 1), np.int64)
    sums[1:, 1:] = (wide[..., 0] * red + wide[..., 1] * green + wide[..., 2] * blue).cumsum(0).cumsum(1)
    return sums


def _at_edges(sums: NDArray[np.int64], side: int, offset: int) -> NDArray[np.int64]:
    """Running sums at the edges of the GRID parts of `side` pixels, of which those from `offset` on are there, times GRID."""
    import numpy as np

    length = len(sums) - 1
    edges = np.clip(np.arange(GRID + 1) * side - offset * GRID, 0, length * GRID)
    whole, part = np.divmod(edges, GRID)
    part = part[:, None]
    found: NDArray[np.int64] = sums[whole] * (GRID - part) + sums[np.minimum(whole + 1, length)] * part
    return found


def _cells(rows: NDArray[np.int64], side: int, offset: int) -> NDArray[np.int64]:
    """The sum of each cell, times GRID twice, from running sums at the edges of its rows: (GRID, GRID)."""
    corners = _at_edges(rows.T, side, offset).T
    strips = corners[1:] - corners[:-1]
    return strips[:, 1:] - strips[:, :-1]


def _spread(grid: NDArray[np.int64], height: int, width: int) -> NDArray[np.int64]:
    """A grid drawn over (height, width) pixels, from cell to cell without a step."""
    return _stretched(_stretched(grid, height, 0), width, 1)


def _stretched(values: NDArray[np.int64], length: int, axis: int) -> NDArray[np.int64]:
    import numpy as np

    values = np.moveaxis(values, axis, 0)
    centres = (2 * np.arange(length) + 1) * GRID - length  # in parts of 2 × length
    low, part = np.divmod(np.clip(centres, 0, 2 * length * (GRID - 1)), 2 * length)
    part = part.reshape(-1, *[1] * (values.ndim - 1))
    high = np.minimum(low + 1, GRID - 1)
    between = (values[low] * (2 * length - part) + values[high] * part) // (2 * length)
    return np.moveaxis(between, 0, axis)


# ── the frequencies ──────────────────────────────────────────────────────────────────────────────────────────


def _coefficients(grid: NDArray[np.int64]) -> NDArray[np.int64]:
    """The chosen frequencies of each block: (blocks, frequencies) in parts of FINE."""
    found: NDArray[np.int64] = _blocks(grid) @ _waves() // UNIT
    return found


def _frequencies(grid: NDArray[np.float64]) -> NDArray[np.float64]:
    """The same where only looking matters, and quicker."""
    return _blocks(grid) @ (_waves() / UNIT)


def _pixels_of(moves: NDArray[np.int64]) -> NDArray[np.int64]:
    """The grid that changes each block's frequencies by so much."""
    blocks = moves @ _waves().T // UNIT
    side = GRID // BLOCK
    return blocks.reshape(side, side, BLOCK, BLOCK).swapaxes(1, 2).reshape(GRID, GRID)


def _blocks(grid: NDArray[N]) -> NDArray[N]:
    side = GRID // BLOCK
    return grid.reshape(side, BLOCK, side, BLOCK).swapaxes(1, 2).reshape(side * side, BLOCK * BLOCK)


@cache
def _waves() -> NDArray[np.int64]:
    """The chosen cosines of a block (DCT-II, orthonormal) in parts of UNIT: (64, frequencies)."""
    import numpy as np

    at = np.arange(BLOCK)

    def wave(k: int) -> NDArray[np.float64]:
        found: NDArray[np.float64] = np.sqrt((1 if k == 0 else 2) / BLOCK) * np.cos(
            (2 * at + 1) * k * np.pi / (2 * BLOCK)
        )
        return found

    waves = [np.outer(wave(down), wave(across)).ravel() for down, across in FREQUENCIES]
    return np.rint(np.stack(waves, 1) * UNIT).astype(np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class _Places:
    """Where each bit stands, and how far its lattice is moved there: (blocks, frequencies) both."""

    bit: NDArray[np.int64]
    dither: NDArray[np.int64]  # in parts of UNIT of a step


@cache
def _places() -> _Places:
    import numpy as np

    shape = ((GRID // BLOCK) ** 2, len(FREQUENCIES))
    count = shape[0] * shape[1]
    order = np.argsort(words(0, "mark/order", count), kind="stable")
    bit = np.empty(count, np.int64)
    bit[order] = np.arange(count) % CODE_BITS
    dither = words(0, "mark/dither", count).astype(np.int64) % UNIT
    return _Places(bit.reshape(shape), dither.reshape(shape))


def places_table() -> bytes:
    """The places for another reader: the bit of each, a byte, and then its dither, two bytes each, little-endian."""
    places = _places()
    return places.bit.astype("u1").tobytes() + places.dither.astype("<u2").tobytes()
