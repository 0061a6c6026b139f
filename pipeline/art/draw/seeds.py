"""Randomness that depends on a name and a number, never on what was drawn before.

A token's seed is a hash of the collection's seed, the token id and the attempt. Everything random inside the token
comes from Philox, a counter-based generator (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011),
with one stream per named quantity, so a new quantity shifts no other. Only raw words are used: NumPy keeps those
stable for good and leaves its distributions free to change (NEP 19).
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from pipeline.base.limits import MAX_SEED
from pipeline.base.philox import words

if TYPE_CHECKING:  # numpy is loaded on the first draw: this module is imported by everything that plans
    import numpy as np
    from numpy.typing import NDArray

MOST_ATTEMPTS = 1000  # that anybody looks through: more tokens than that nobody rejects one after the other
NORMAL_GRID = 4096  # normals are multiples of 2^-12: the last bit of a library's log or cos cannot show


def token_seed(collection_seed: int, token_id: int, attempt: int = 0) -> int:
    """The seed of a token: 53 bits of SHA-256 over the three numbers, so that JSON readers keep it exact."""
    text = f"nft-pipeline/token-seed/v1\0{collection_seed}\0{token_id}\0{attempt}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") & MAX_SEED


def attempt_of(collection_seed: int, token_id: int, seed: int) -> int | None:
    """The attempt of a token that has this seed; None where none of the first MOST_ATTEMPTS has."""
    attempts = range(MOST_ATTEMPTS)
    return next((attempt for attempt in attempts if token_seed(collection_seed, token_id, attempt) == seed), None)


def uniform(seed: int, name: str, count: int) -> NDArray[np.float32]:
    """`count` multiples of 2^-24 in [0, 1), the same on every machine."""
    import numpy as np

    return ((words(seed, name, count) >> 8) * 2.0**-24).astype(np.float32)


def normal(seed: int, name: str, count: int) -> NDArray[np.float32]:
    """`count` standard normals by Box and Muller (1958), in float64, rounded to a grid of 2^-12."""
    import numpy as np

    unit = ((words(seed, name, 2 * count) >> 8) + 0.5) * 2.0**-24  # never 0, whose logarithm is infinite
    radius, angle = np.sqrt(-2 * np.log(unit[0::2])), 2 * np.pi * unit[1::2]
    normals: NDArray[np.float32] = (np.rint(radius * np.cos(angle) * NORMAL_GRID) / NORMAL_GRID).astype(np.float32)
    return normals
