"""The first material: every mark is its ink, flat, with clean edges. Whole numbers throughout, so exact on any machine."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.art.compose.raster import Pieces, numbers

FINER = 2  # samples of a pixel, across and down
BAND = 256  # rows of the picture drawn at a time

Colours = Sequence[tuple[int, int, int]]


def inks(found: Pieces, side: int, top: int = 0, height: int | None = None) -> NDArray[np.uint8]:
    """The ink on top at each pixel of `height` rows, from `top` on, of a canvas of `side` pixels."""
    on_top = numbers(found, side, (0, top, side, side - top if height is None else height))
    of_piece = np.concatenate([np.zeros(1, np.uint8), found.ink])
    return of_piece[on_top]


def flat(found: Pieces, colours: Colours, size: int) -> NDArray[np.uint8]:
    """A picture of (size, size, 3): the samples of each pixel, averaged."""
    table = np.array(colours, np.uint16)  # (5, 3)
    picture = np.empty((size, size, 3), np.uint8)
    samples = FINER * FINER
    for top in range(0, size, BAND):
        rows = min(BAND, size - top)
        fine = inks(found, size * FINER, top * FINER, rows * FINER)
        for channel in range(3):
            light = table[:, channel][fine]
            total = sum(light[i::FINER, j::FINER] for i in range(FINER) for j in range(FINER))
            picture[top : top + rows, :, channel] = (total + samples // 2) // samples
    return picture
