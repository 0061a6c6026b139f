"""Raw words of Philox (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011), a stream for each name.

NumPy keeps the words stable for good and leaves its distributions free to change (NEP 19), so only words are used here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # numpy is loaded on the first draw: everything that plans imports this
    import numpy as np
    from numpy.typing import NDArray


def words(seed: int, name: str, count: int, start: int = 0) -> NDArray[np.uint32]:
    """`count` 32-bit words of the stream `name` of `seed`, from word `start` on, which is a multiple of 8."""
    import numpy as np

    digest = hashlib.sha256(f"nft-pipeline/stream/v1\0{seed}\0{name}".encode()).digest()
    philox = np.random.Philox(key=int.from_bytes(digest[:16], "big"), counter=start // 8)
    wide = philox.random_raw((count + 1) // 2).astype("<u8")  # (count / 2,), little-endian on every machine
    return wide.view("<u4")[:count]


def words_together(streams: Sequence[tuple[Sequence[int], str, int]]) -> list[NDArray[np.uint32]]:
    """For each (seeds, name, count) what `words` gives: an array (seeds, count). All of them are computed together, which
    is some ten times as quick for streams as short as a token's.
    """
    import numpy as np

    keys, blocks, counters = [], [], []
    for seeds, name, count in streams:
        length, suffix = (count + 7) // 8, f"\0{name}".encode()
        for seed in seeds:
            digest = hashlib.sha256(f"nft-pipeline/stream/v1\0{seed}".encode() + suffix).digest()
            keys.append(digest[:16])
        blocks.append(np.full(len(seeds), length))
        counters.append(np.tile(np.arange(1, length + 1, dtype=np.uint64), len(seeds)))  # NumPy counts before it draws
    if not keys:
        return []
    halves = np.frombuffer(b"".join(keys), ">u8").astype(np.uint64).reshape(-1, 2)  # (streams, 2): high, low
    high, low = np.repeat(halves, np.concatenate(blocks), 0).T
    wide = _blocks(np.concatenate(counters), np.ascontiguousarray(low), np.ascontiguousarray(high))

    found: list[NDArray[np.uint32]] = []
    begun = 0
    flat = wide.astype("<u8", copy=False).view("<u4")
    for seeds, _, count in streams:
        length = (count + 7) // 8 * 8
        part = flat[begun : begun + len(seeds) * length]
        found.append(part.reshape(len(seeds), length)[:, :count])
        begun += len(seeds) * length
    return found


_MULTIPLIERS = (0xD2E7470EE14C6C93, 0xCA5A826395121157)
_WEYL = (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B)
_ROUNDS = 10
_SLAB = 2048  # blocks at a time: all that is kept of them stays in a core's cache


def _blocks(counter: NDArray[np.uint64], low: NDArray[np.uint64], high: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Philox 4x64 of (N,) counters and both halves of their keys: 4 N words, block after block."""
    import numpy as np

    out = np.empty((len(counter), 4), np.uint64)
    for at in range(0, len(counter), _SLAB):
        part = slice(at, at + _SLAB)
        c0 = counter[part]
        c1 = c2 = c3 = np.zeros_like(c0)
        k0, k1 = low[part].copy(), high[part].copy()
        for _ in range(_ROUNDS):
            high0, low0 = _product(_MULTIPLIERS[0], c0)
            high1, low1 = _product(_MULTIPLIERS[1], c2)
            c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
            k0 += np.uint64(_WEYL[0])
            k1 += np.uint64(_WEYL[1])
        for column, drawn in enumerate((c0, c1, c2, c3)):
            out[part, column] = drawn
    return out.reshape(-1)


def _product(constant: int, number: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Both halves of the 128-bit products of 64-bit numbers, from four products of 32-bit halves."""
    import numpy as np

    mask, half = np.uint64(0xFFFFFFFF), np.uint64(32)
    upper, lower = np.uint64(constant >> 32), np.uint64(constant & 0xFFFFFFFF)
    above, below = number >> half, number & mask
    middle = above * lower
    middle += (below * lower) >> half
    carried = below * upper
    carried += middle & mask
    middle >>= half
    carried >>= half
    middle += carried
    middle += above * upper
    return middle, number * np.uint64(constant)
