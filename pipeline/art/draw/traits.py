"""Traits of a token: those its seed decides, and those measured from a small proof of its picture.

A trait is claimed only where it can be seen: one that comes from a group of the vocabulary needs that group to change
at least one point in twenty. The proof has a fixed size, so that traits do not depend on the size of the image.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.art.models.families import INKS
from pipeline.base.records import Attribute

if TYPE_CHECKING:
    from torch import Tensor

PROOF = 96  # side of the small picture that is judged before the large one is drawn
VISIBLE = 0.05  # share of points a group must change before a trait of its is claimed
PRESENT = 0.03  # share of the canvas an ink must cover to count
DETAIL = ("Calm", "Balanced", "Intricate", "Dense")
DETAIL_CUTS = (0.045, 0.085, 0.14)  # used where a checkpoint brings none


@dataclass(frozen=True, slots=True)
class Seen:
    """What is measured of a proof."""

    shares: Sequence[float]  # mean ink weights
    entropy: float  # see `ink_entropy`
    edges: float  # see `edge_density`

    def traits(self, cuts: Sequence[float] = DETAIL_CUTS) -> tuple[Attribute, ...]:
        """Number of inks and degree of detail."""
        return (
            Attribute("Inks", sum(share > PRESENT for share in self.shares), "number", INKS),
            Attribute("Detail", DETAIL[bisect.bisect(cuts, self.edges)]),
        )


def seen(planes: Tensor) -> list[Seen]:
    """What is measured of (B, 6, S, S) proofs: one copy from their device."""
    import torch

    shares = planes[:, :INKS].flatten(2).mean(2)
    measured = torch.cat([shares, _edges(planes)[:, None]], 1).cpu()
    terms = _terms(measured[:, :INKS])
    rows = zip(measured.tolist(), terms, strict=True)
    return [Seen(one[:INKS], float(-term.sum()) / math.log(INKS), one[INKS] / 2) for one, term in rows]


def ink_entropy(planes: Tensor) -> float:
    """Entropy of the mean ink weights of (6, ...) planes, in 0..1: 0 is a single ink; NaN where the planes have one."""
    return float(-_terms(planes[:INKS].flatten(1).mean(1)).sum()) / math.log(INKS)


def edge_density(planes: Tensor) -> float:
    """Share of neighbours, across and down, with different leading inks in (6, S, S) planes."""
    return float(_edges(planes[None])) / 2


def shares_changed(before: Tensor, after: Tensor) -> list[float]:
    """Share of points whose leading ink, or whose shade, differs between two proofs, for each of (B, 6, S, S)."""
    ink = before[:, :INKS].argmax(1) != after[:, :INKS].argmax(1)
    shade = (before[:, INKS] - after[:, INKS]).abs() > 0.25
    changed: list[float] = (ink | shade).float().mean((1, 2)).tolist()
    return changed


def _terms(shares: Tensor) -> Tensor:
    return shares * shares.clamp_min(1e-6).log()


def _edges(planes: Tensor) -> Tensor:
    ink = planes[:, :INKS].argmax(1)
    across, down = ink[:, :, 1:] != ink[:, :, :-1], ink[:, 1:] != ink[:, :-1]
    return down.float().mean((1, 2)) + across.float().mean((1, 2))
