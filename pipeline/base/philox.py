"""Raw words of Philox (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011), a stream for each name.

NumPy keeps the words stable for good and leaves its distributions free to change (NEP 19), so only words are used here.
"""

from __future__ import annotations

import hashlib
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
