"""What a picture of some material consists of: amounts of five inks and a shade at each pixel, and how they look.

Matter is (B, 6, H, W): ink amounts that sum to one, ground first, and a shade from -0.75, in shadow, to 0.75.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

MATERIALS = ("gouache", "wash", "print", "chalk")
INKS = 5
MATTER = INKS + 1
STYLE = len(MATERIALS) + 6  # numbers that a hand is told to a network in
MIDDLE = 512  # pixels of a picture whose scale is 0
CRISP = {"gouache": 1.3, "wash": 1.0, "print": 1.3, "chalk": 1.15}  # what learned ink amounts are raised to
TINT, SHADOW = 0.45, 0.75  # how far a full shade moves a colour towards white, or towards black


@dataclass(frozen=True, slots=True)
class Hand:
    """How a material is worked, each from 0 to 1. Every material reads them in its own way."""

    material: str
    dry: float  # how soon the brush runs out, how little ink there is on the roller, how lightly the chalk is held
    wet: float  # how far paint flows and mixes
    grain: float  # how much the paper shows
    relief: float  # how thick it stands
    ragged: float  # how uneven ends and edges are

    def style(self, size: int) -> Tensor:
        """The numbers (STYLE,) for a picture of `size` pixels."""
        kind = [float(self.material == name) for name in MATERIALS]
        return torch.tensor([*kind, self.dry, self.wet, self.grain, self.relief, self.ragged, math.log2(size / MIDDLE)])


def colour(matter: Tensor, palette: Tensor) -> Tensor:
    """Matter and palettes (B, 5, 3) to sRGB (B, 3, H, W) in 0..1.

    Half of a colour is mixed as pigment (P. Kubelka and F. Munk, 1931) and half as light: pigment alone gives dark or
    green rims where two inks share a pixel.
    """
    inks, shade = matter[:, :INKS], matter[:, INKS:]
    light = to_light(palette).clamp(0.004, 0.985)
    absorbed = torch.einsum("bihw,bic->bchw", inks, (1 - light) ** 2 / (2 * light)).clamp_min(0)
    pigment = to_levels(1 + absorbed - torch.sqrt(absorbed * absorbed + 2 * absorbed))
    mixed = 0.5 * torch.einsum("bihw,bic->bchw", inks, palette) + 0.5 * pigment
    lit = mixed + (1 - mixed) * shade.clamp_min(0) * TINT
    return (lit * (1 + shade.clamp_max(0) * SHADOW)).clamp(0, 1)


def crisp(matter: Tensor, material: str) -> Tensor:
    """The same matter with inks told further apart: a network that learned from distances hedges at every edge."""
    inks = matter[:, :INKS].clamp_min(1e-6) ** CRISP[material]
    return torch.cat([inks / inks.sum(1, keepdim=True), matter[:, INKS:]], 1)


def to_light(levels: Tensor) -> Tensor:
    """sRGB to linear light."""
    return torch.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)


def to_levels(light: Tensor) -> Tensor:
    """Linear light to sRGB."""
    light = light.clamp(0, 1)
    return torch.where(light <= 0.0031308, light * 12.92, 1.055 * light.clamp_min(1e-8) ** (1 / 2.4) - 0.055)


def misregistered(matter: Tensor, right: float, down: float, wet: float) -> Tensor:
    """A print whose plates did not lie exactly: each ink is moved by whole pixels, its own way, and overprints.

    An exact act, so no network has to learn it.
    """
    ground = torch.zeros_like(matter[:, :INKS])
    ground[:, 0] = 1
    inks, shade = ground, matter[:, INKS:].clone()
    for ink in range(1, INKS):
        turn = 2.4 * ink + 0.5
        x, y = right * math.cos(turn) + down * math.sin(turn), down * math.cos(turn) - right * math.sin(turn)
        plate = _moved(matter[:, ink : ink + 1], round(x), round(y))
        shade -= 0.3 * (1 - inks[:, :1]) * plate * wet
        inks = inks * (1 - plate)
        inks[:, ink : ink + 1] += plate
    return torch.cat([inks, shade.clamp(-0.75, 0.75)], 1)


def _moved(plane: Tensor, x: int, y: int) -> Tensor:
    """Shifted by whole pixels; what comes in from outside is empty."""
    height, width = plane.shape[-2:]
    far = max(abs(x), abs(y))
    return F.pad(plane, (far, far, far, far))[..., far - y : far - y + height, far - x : far - x + width]
