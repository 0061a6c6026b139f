"""Lines of the land, for voices that need one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.art.compose.chance import Chance


def ridge(chance: Chance, count: int, rough: float) -> NDArray[np.float64]:
    """`count` heights from 0 to 1 with details at every scale: midpoints, moved less and less."""
    heights, spread = np.zeros(2), 1.0
    while len(heights) < count:
        moved = np.array([chance.normal(spread * 0.5) for _ in range(len(heights) - 1)])
        finer = np.empty(2 * len(heights) - 1)
        finer[0::2], finer[1::2] = heights, (heights[1:] + heights[:-1]) / 2 + moved
        heights, spread = finer, spread * rough
    heights = heights[:count]
    low, high = heights.min(), heights.max()
    scaled: NDArray[np.float64] = (heights - low) / (high - low + 1e-9)
    return scaled
