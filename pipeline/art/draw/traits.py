"""Traits of a token: those its seed decides, and those measured from a small proof of its picture.

A trait is claimed only where it can be seen: one that comes from a group of the vocabulary needs that group to change
at least one point in twenty. The proof has a fixed size, so that traits do not depend on the size of the image.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
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


def ink_entropy(planes: Tensor) -> float:
    """Entropy of the mean ink weights of (6, ...) planes, in 0..1: 0 is a single ink; NaN where the planes have one."""
    share = planes[:INKS].flatten(1).mean(1)
    return float(-(share * share.clamp_min(1e-6).log()).sum()) / math.log(INKS)


def edge_density(planes: Tensor) -> float:
    """Share of neighbours, across and down, with different leading inks in (6, S, S) planes."""
    ink = planes[:INKS].argmax(0)
    return float((ink[1:] != ink[:-1]).float().mean() + (ink[:, 1:] != ink[:, :-1]).float().mean()) / 2


def inks_present(planes: Tensor) -> int:
    return int((planes[:INKS].flatten(1).mean(1) > PRESENT).sum())


def measured_traits(planes: Tensor, cuts: Sequence[float] = DETAIL_CUTS) -> tuple[Attribute, ...]:
    """Number of inks and degree of detail of a proof, (6, S, S)."""
    return (
        Attribute("Inks", inks_present(planes), "number", INKS),
        Attribute("Detail", DETAIL[bisect.bisect(cuts, edge_density(planes))]),
    )


def share_changed(before: Tensor, after: Tensor) -> float:
    """Share of points whose leading ink, or whose shade, differs between two proofs."""
    ink = before[:INKS].argmax(0) != after[:INKS].argmax(0)
    shade = (before[INKS] - after[INKS]).abs() > 0.25
    return float((ink | shade).float().mean())
