"""Five-colour palettes, curated by hand: ground, three middle inks, contrast."""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.art.compose.palettes import PALETTES

NAMES = tuple(PALETTES)

TINT, SHADOW = 0.45, 0.75  # how far a full shade moves a colour towards white, or towards black


def palette_colours(name: str) -> Tensor:
    """(5, 3) sRGB in 0..1."""
    digits = "".join(PALETTES[name].split())
    return torch.tensor(list(bytes.fromhex(digits)), dtype=torch.float32).view(5, 3) / 255


def colour(planes: Tensor, colours: Tensor) -> Tensor:
    """Ink planes (B, 6, N) and colours (B, 5, 3) to sRGB (B, 3, N) in 0..1.

    Inks mix by weight, shade lightens above zero and darkens below.
    """
    mixed, shade = colours.mT @ planes[:, :5], planes[:, 5:]  # (B, 3, N), (B, 1, N)
    light = torch.addcmul(mixed, 1 - mixed, shade.clamp_min(0) * TINT)
    return (light * (1 + shade.clamp_max(0) * SHADOW)).clamp_(0, 1)
