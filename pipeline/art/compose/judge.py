"""What a composition must be before it is drawn: neither bare nor choked, in inks that can be told apart.

Judged on a raster of inks, PROOF pixels wide and high, so that it costs little and does not depend on the picture's size.
The same seed always gets the same answer: nothing of other tokens is asked here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.art.compose.flat import Colours
from pipeline.art.compose.marks import INKS

PROOF = 96
CELLS = 8  # across and down, of the picture's coarse map
BARE, CHOKED = 0.09, 0.97  # shares of the canvas that is inked
PRESENT = 0.02  # share of the canvas from which an ink counts
DESERTED = 0.72  # share of the cells that may be empty
STRIP = 0.45  # of the height: what lies in less leaves an empty sheet above it
SEEN = 0.1  # spread of colours over the picture, in OKLab: below it nothing stands out
APART, STANDS = 0.14, 0.16  # distance of the two largest areas, and the spread that makes up for a small one


def flaw_of(proof: NDArray[np.uint8], colours: Colours) -> str:
    """What is wrong with a layout in these colours, in a word or two; empty where nothing is."""
    share = np.bincount(proof.ravel(), minlength=INKS) / proof.size  # (INKS,)
    if not BARE <= 1 - share[0] <= CHOKED:
        return "bare" if share[0] > 1 - BARE else "choked"
    if (share[1:] > PRESENT).sum() < 1 or (share > PRESENT).sum() < 2:
        return "in one ink"
    if deserted(proof) > DESERTED:
        return "deserted"
    inked = np.flatnonzero((proof != 0).mean(1) > 0.02)
    if inked[-1] - inked[0] + 1 < STRIP * PROOF:
        return "a strip"
    return "pale" if is_pale(share, colours) else ""


def is_pale(share: NDArray[np.floating], colours: Colours) -> bool:
    """Whether nothing stands out of a picture of which each ink covers such a share."""
    lab = oklab(np.array(colours, np.float64) / 255)
    first, second = np.argsort(-share, kind="stable")[:2]
    away = lab - (share[:, None] * lab).sum(0)
    spread = float(np.sqrt((share[:, None] * away * away).sum()))
    between = float(np.sqrt(((lab[first] - lab[second]) ** 2).sum()))
    return spread < SEEN or (between < APART and spread < STANDS)


def layout_of(proof: NDArray[np.uint8]) -> NDArray[np.float32]:
    """How much of each cell each ink covers, (INKS, CELLS, CELLS)."""
    side = PROOF // CELLS
    cells = (proof[None] == np.arange(INKS)[:, None, None]).reshape(INKS, CELLS, side, CELLS, side)
    shares: NDArray[np.float32] = (cells.sum((2, 4)) / (side * side)).astype(np.float32)
    return shares


def deserted(proof: NDArray[np.uint8]) -> float:
    """The share of cells in which next to nothing lies."""
    side = PROOF // CELLS
    painted = (proof != 0).reshape(CELLS, side, CELLS, side).mean((1, 3))
    return float((painted < 0.03).mean())


def oklab(rgb: NDArray[np.float64]) -> NDArray[np.float64]:
    """sRGB in 0..1, (N, 3), to OKLab (B. Ottosson, "A perceptual color space for image processing", 2020)."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    to_cones = np.array(
        [
            [0.4122214708, 0.5363325363, 0.0514459929],
            [0.2119034982, 0.6806995451, 0.1073969566],
            [0.0883024619, 0.2817188376, 0.6299787005],
        ]
    )
    to_lab = np.array(
        [
            [0.2104542553, 0.7936177850, -0.0040720468],
            [1.9779984951, -2.4285922050, 0.4505937099],
            [0.0259040371, 0.7827717662, -0.8086757660],
        ]
    )
    cones = (linear[:, None] * to_cones).sum(2)
    lab: NDArray[np.float64] = np.rint((np.cbrt(cones)[:, None] * to_lab).sum(2) * 4096) / 4096
    return lab
