"""Does a generator repeat what it was trained on? Each fake is compared with every training picture.

Distances are root mean squares of pixels at SIDE by SIDE, of the picture and of its mirror image. What is near depends
on the data, so the measure is the distance that training pictures usually keep from each other: a fake much nearer to one
than that is a copy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline.art.train.data import Pictures

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIDE = 16
COPY = 0.4  # of the median distance between a training picture and its nearest neighbour
SHOWN = 8
MOST = 4096  # training pictures among which the usual distance is measured


@dataclass(frozen=True, slots=True)
class Memorised:
    """What the comparison found; distances are in shares of the usual one."""

    compared: int
    copies: tuple[int, ...]  # indices of fakes, the nearest first
    median: float  # distance of a fake to its nearest training picture
    nearest: tuple[tuple[int, int, float], ...]  # fake, training picture, distance; the nearest fakes first

    def as_dict(self) -> dict[str, object]:
        return {"compared": self.compared, "copies": len(self.copies), "median_distance": round(self.median, 3)}


def find_copies(fakes: NDArray[np.uint8], pictures: Pictures) -> Memorised:
    """Compare (N, S, S, 3) fakes with the pictures they were learned from."""
    real = _small(pictures.images.expand(-1, 3, -1, -1))
    fake = _small(torch.from_numpy(fakes).permute(0, 3, 1, 2))
    among = real[:MOST]
    usual = torch.cdist(among, among).fill_diagonal_(torch.inf).min(1).values.median().clamp_min(1e-6)
    mirrored = fake.view(-1, 3, SIDE, SIDE).flip(3).flatten(1)
    apart = torch.minimum(torch.cdist(fake, real), torch.cdist(mirrored, real)) / usual  # (fakes, reals)
    distance, which = apart.min(1)
    order = distance.argsort().tolist()
    nearest = tuple((i, int(which[i]), float(distance[i])) for i in order[:SHOWN])
    copies = tuple(i for i in order if distance[i] < COPY)
    return Memorised(len(fakes), copies, float(distance.median()), nearest)


def picture_pairs(fakes: NDArray[np.uint8], pictures: Pictures, found: Memorised) -> NDArray[np.uint8]:
    """The nearest fakes in a row, and below each the training picture it is nearest to."""
    above = np.concatenate([fakes[fake] for fake, _, _ in found.nearest], 1)
    reals = [pictures.images[real].expand(3, -1, -1).permute(1, 2, 0).numpy() for _, real, _ in found.nearest]
    return np.ascontiguousarray(np.concatenate([above, np.concatenate(reals, 1)], 0))


def _small(images: Tensor) -> Tensor:
    """(N, 3, S, S) bytes to (N, 3 · SIDE²), scaled so that distances are root mean squares of levels."""
    small = F.adaptive_avg_pool2d(images.float(), SIDE).flatten(1)
    return small / math.sqrt(small.shape[1])
