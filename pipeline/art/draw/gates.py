"""What a drawing must be before it becomes a token: finite, not blank, and like no other token of its collection.

Alike are pictures whose hashes are near, and layouts that are one picture in other colours (`layouts.py`).

A refused drawing costs an attempt: the token's next seed is drawn instead, until one passes. What was drawn before is
known from the ledger, and tokens are drawn in the order of their ids, so a token's attempt depends on neither restarts
nor on how far other stages have come. Tokens that passed are unlike each other both ways round: drawn again, alone or
in another order, each passes at once with the attempt that it had.

The hash is the perceptual one of C. Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions"
(2010), as imagehash and pHash know it: signs of the 63 lowest cosine frequencies about their median.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from pipeline.base.errors import NothingPasses
from pipeline.base.records import TokenSpec
from pipeline.base.seeds import token_seed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

    from pipeline.art.draw import Drawing
    from pipeline.art.draw.layouts import Layouts

ATTEMPTS = 16  # of one token; a model that draws one blank in three fails once in 43 million tokens
BLANK = 0.35  # nats; two flat colours at nine to one have 0.33
NEAR = 4  # bits of 63: below it people see one picture; pictures that have nothing in common differ in about 31
HASH_BITS = 63
PART, CONTRAST, BLURRED = 16, 48, 0.2  # pixels, levels of green, share of the contrast
STILL = 64.0  # of a frequency: a quarter of a grey level. Symmetric pictures lack half of them, and noise is no sign
MIRROR = 3.0  # grey levels, on average, by which a picture and its mirror image may differ: edges fall on other pixels
GRID, LOW = 32, 8  # side of the grey picture that is hashed, and of the corner of its frequencies that counts
HIGH = 11  # side of that corner where half of it says the same as the other: 66 frequencies on one side of the diagonal


class Looked(NamedTuple):
    """A drawing, and what a gate measures of it whichever others there are."""

    drawing: Drawing
    phash: int
    blank: bool


def looked(drawing: Drawing) -> Looked:
    return Looked(drawing, phash(drawing.pixels), is_blank(drawing.pixels))


class Gate:
    """Lets drawings of one collection through, or their next attempts, and remembers them.

    `drawn` has the hashes of the tokens that are drawn already, by token id. Tokens whose hashes differ in at most
    `near` bits are duplicates, and so are those whose layouts are one; with None nothing is compared.

    With `proofs` attempts are tried by so many at a time, in the order in which `ranked` puts their seeds. The first of each
    so many begins anew; a token that is begun at another one was chosen, or rejected, there: it is drawn as it is.
    """

    def __init__(
        self,
        collection_seed: int,
        drawn: Mapping[int, int] | None = None,
        near: int | None = NEAR,
        layouts: Layouts | None = None,
        proofs: int = 1,
        ranked: Callable[[Sequence[int]], list[int]] | None = None,
    ) -> None:
        import numpy as np

        self._proofs, self._ranked = proofs, ranked
        self._layouts = None if near is None else layouts

        self._collection_seed, self._near = collection_seed, near
        known = drawn or {}
        self._count = len(known)
        self._ids = np.fromiter(known.keys(), np.int64, len(known))
        self._hashes = np.fromiter(known.values(), np.uint64, len(known))

    @property
    def chooses(self) -> bool:
        """Whether attempts are tried in another order than their own."""
        return self._ranked is not None and self._proofs > 1

    def first_good(self, spec: TokenSpec, draw: Callable[[int], Drawing | Looked]) -> tuple[TokenSpec, Drawing, int]:
        """Draw a token until a drawing passes: its spec with the attempt and seed that did, the drawing, and its hash.

        Raises NothingPasses after ATTEMPTS attempts, with what was wrong with them.
        """
        refused: dict[str, int] = {}
        for attempt, seed in self._tried(spec):
            drawn = draw(seed)
            drawing, hashed, blank = drawn if isinstance(drawn, Looked) else looked(drawn)
            flaw = drawing.flaw or ("blank" if blank else self._like(spec.token_id, attempt, drawing, hashed))
            if not flaw:
                self._remember(spec.token_id, hashed)
                if self._layouts and drawing.layout is not None:
                    self._layouts.remember(spec.token_id, attempt, drawing.layout)
                return TokenSpec(spec.token_id, seed, spec.recipient, attempt), drawing, hashed
            refused[flaw] = refused.get(flaw, 0) + 1
        told = ", ".join(f"{count} {flaw}" for flaw, count in refused.items())
        raise NothingPasses(token_id=spec.token_id, attempts=ATTEMPTS, first=spec.attempt, told=told)

    def _tried(self, spec: TokenSpec) -> Iterator[tuple[int, int]]:
        """Attempts and their seeds, in the order in which they are drawn."""
        seeds = {
            attempt: spec.seed if attempt == spec.attempt else token_seed(self._collection_seed, spec.token_id, attempt)
            for attempt in range(spec.attempt, spec.attempt + ATTEMPTS)
        }
        if self._ranked is None or self._proofs < 2 or spec.attempt % self._proofs:
            yield from seeds.items()
            return
        for first in range(spec.attempt, spec.attempt + ATTEMPTS, self._proofs):
            some = {seeds[at]: at for at in range(first, first + self._proofs) if at in seeds}
            yield from ((some[seed], seed) for seed in self._ranked(list(some)))

    def _like(self, token_id: int, attempt: int, drawing: Drawing, hashed: int) -> str:
        twin = self.twin(token_id, hashed)
        if twin is None and self._layouts and drawing.layout is not None:
            twin = self._layouts.twin(token_id, attempt, drawing.layout)
        return f"like token {twin}" if twin is not None else ""

    def twin(self, token_id: int, hashed: int) -> int | None:
        """The token that looks most like one with this hash, if it is near; never `token_id` itself."""
        import numpy as np

        if self._near is None or not self._count:
            return None
        distances = np.bitwise_count(self._hashes[: self._count] ^ np.uint64(hashed))
        distances[self._ids[: self._count] == token_id] = HASH_BITS
        nearest = int(distances.argmin())
        return int(self._ids[nearest]) if distances[nearest] <= self._near else None

    def _remember(self, token_id: int, hashed: int) -> None:
        import numpy as np

        if self._count == len(self._ids):  # doubled, so that a million tokens are copied twenty times and not a million
            room = np.zeros(max(256, self._count), np.int64)
            self._ids = np.concatenate([self._ids, room])
            self._hashes = np.concatenate([self._hashes, room.astype(np.uint64)])
        self._ids[self._count], self._hashes[self._count] = token_id, hashed
        self._count += 1


def phash(pixels: NDArray[np.uint8]) -> int:
    """The perceptual hash of (H, W, 3) pixels, 63 bits: the mean level is left out, so that no bit is spent on it.

    Of a picture that is its own mirror image one half is hashed, of one with two mirrors a quarter, and of a kaleidoscope
    an eighth: the whole would have few frequencies that move, and strangers among them would look alike.
    """
    import numpy as np
    from PIL import Image

    picture = Image.fromarray(pixels, "RGB").convert("L")
    grey = _small(picture)
    half_width, half_height = (picture.width + 1) // 2, (picture.height + 1) // 2
    mirrored, flipped = _alike(grey, grey[:, ::-1]), _alike(grey, grey[::-1])
    if mirrored or flipped:
        right, below = half_width if mirrored else picture.width, half_height if flipped else picture.height
        grey = _small(picture.crop((0, 0, right, below)))
    waves = _waves()
    low = ((waves @ grey @ waves.T) / STILL).round()
    if _alike(grey, grey.T):  # folded along its diagonal too: each frequency counts once, and higher ones fill the room
        low = low[np.triu_indices(HIGH)]
    else:
        low = low[:LOW, :LOW].ravel()
    low = low[1 : HASH_BITS + 1]
    bits = np.packbits(np.concatenate([[False], low > np.median(low)]))
    return int.from_bytes(bits.tobytes(), "big")


def _small(picture: Image.Image) -> NDArray[np.float64]:
    """The (GRID, GRID) grey levels of a picture."""
    import numpy as np
    from PIL import Image

    return np.asarray(picture.resize((GRID, GRID), Image.Resampling.BOX), np.float64)


def _alike(one: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    return float(abs(one - other).mean()) < MIRROR


def distance(one: int, other: int) -> int:
    """In how many bits two hashes differ."""
    return (one ^ other).bit_count()


def is_blank(pixels: NDArray[np.uint8]) -> bool:
    """Whether there is next to nothing to see: one colour, or nearly so."""
    return colour_entropy(pixels) < BLANK


def is_blurred(pixels: NDArray[np.uint8]) -> bool:
    """Whether the edges of (H, W, 3) pixels are smears: the steepest step in most parts of a picture is a small share of
    the contrast there.

    Parts without contrast say nothing. An edge over one pixel or two, however textured its sides, has half of its
    contrast in one step.
    """
    import numpy as np

    rows, columns = (side // PART for side in pixels.shape[:2])
    if not rows * columns:
        return False
    light = pixels[: rows * PART, : columns * PART, 1].reshape(rows, PART, columns, PART).astype(np.int16)
    contrast = light.max((1, 3)) - light.min((1, 3))
    step = np.maximum(abs(np.diff(light, axis=1)).max((1, 3)), abs(np.diff(light, axis=3)).max((1, 3)))
    clear = contrast >= CONTRAST
    return bool(clear.any() and np.median(step[clear] / contrast[clear]) < BLURRED)


def colour_entropy(pixels: NDArray[np.uint8]) -> float:
    """Entropy, in nats, of the colours of (H, W, 3) pixels in steps of 16 levels, at no more than 128 by 128 points."""
    import numpy as np

    down, across = (max(1, side // 128) for side in pixels.shape[:2])
    coarse = (pixels[::down, ::across] >> 4).astype(np.int64) @ np.array([256, 16, 1])
    _, counts = np.unique(coarse, return_counts=True)
    share = counts / counts.sum()
    return float(-(share * np.log(share)).sum())


@cache
def _waves() -> NDArray[np.float64]:
    """The HIGH slowest cosines over GRID points, (HIGH, GRID): DCT-II without its constant factors."""
    import numpy as np

    return np.cos((np.arange(GRID) + 0.5)[None] * np.arange(HIGH)[:, None] * np.pi / GRID)
