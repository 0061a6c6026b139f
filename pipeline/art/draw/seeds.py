"""Randomness that depends on a name and a number, never on what was drawn before.

Everything random inside a token, whose seed is `base.seeds.token_seed`, comes from Philox, a counter-based generator
(Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011), with one stream per named quantity, so a new
quantity shifts no other. Only raw words are used: NumPy keeps those stable for good and leaves its distributions free to
change (NEP 19).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipeline.base.philox import words, words_together

if TYPE_CHECKING:  # numpy is loaded on the first draw: this module is imported by everything that plans
    import numpy as np
    from numpy.typing import NDArray

NORMAL_GRID = 4096  # normals are multiples of 2^-12: the last bit of a library's log or cos cannot show


def uniform(seed: int, name: str, count: int) -> NDArray[np.float32]:
    """`count` multiples of 2^-24 in [0, 1), the same on every machine."""
    import numpy as np

    return ((words(seed, name, count) >> 8) * 2.0**-24).astype(np.float32)


def normal(seed: int, name: str, count: int) -> NDArray[np.float32]:
    """`count` standard normals by Box and Muller (1958), in float64, rounded to a grid of 2^-12."""
    return _box_muller(words(seed, name, 2 * count))


def _box_muller(drawn: NDArray[np.uint32]) -> NDArray[np.float32]:
    import numpy as np

    unit = ((drawn >> 8) + 0.5) * 2.0**-24  # never 0, whose logarithm is infinite
    radius, angle = np.sqrt(-2 * np.log(unit[..., 0::2])), 2 * np.pi * unit[..., 1::2]
    normals: NDArray[np.float32] = (np.rint(radius * np.cos(angle) * NORMAL_GRID) / NORMAL_GRID).astype(np.float32)
    return normals


def uniforms(wanted: Sequence[tuple[Sequence[int], str, int]]) -> list[NDArray[np.float32]]:
    """For each (seeds, name, count) what `uniform` gives, (seeds, count): all of them in a few passes."""
    import numpy as np

    return [((drawn >> 8) * 2.0**-24).astype(np.float32) for drawn in words_together(wanted)]


def normals(seeds: Sequence[int], name: str, count: int) -> NDArray[np.float32]:
    """What `normal` gives for each seed, (seeds, count)."""
    (drawn,) = words_together([(seeds, name, 2 * count)])
    return _box_muller(drawn)
