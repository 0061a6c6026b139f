"""The canvas: the plane that a token's fields lie on, how the token bends it, and the pieces that fields are made of.

Points are (B, N), a token's numbers are (B, ...); see `vocabulary.py`.
"""

from __future__ import annotations

import math
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from pipeline.art.models.families import FAMILIES

Numbers = dict[str, Tensor]

_STEEP = 6  # how fast a crisp field runs from its edge, where it is 0, to -1 or 1


class Noise(Protocol):
    """Where a token's numbers come from: a training batch's generator, or the streams of a seed."""

    def uniform(self, name: str, *shape: int) -> Tensor: ...  # (B, *shape) in [0, 1)

    def normal(self, name: str, *shape: int) -> Tensor: ...  # (B, *shape)


class Canvas(NamedTuple):
    """The points, as they are and as the token's warp and tilt move them."""

    x: Tensor  # (B, N)
    y: Tensor
    bent_x: Tensor
    bent_y: Tensor
    tilted_x: Tensor  # bent, then turned
    tilted_y: Tensor


# ── how a token bends its plane ──────────────────────────────────────────────────────────────────────────────

# How often a family bends its plane, how far, and how often it tilts it. Straight families stay straight.
_BENDS = {"flow": 0.3, "glass": 0.35, "moire": 0.3, "marble": 1.0}
_TILTS = {"mondrian": 0.3, "moire": 0.3, "marble": 0.3}
_FAR = {"marble": 0.35}


def draw_canvas(noise: Noise, families: Tensor) -> Numbers:
    def of_family(table: dict[str, float], usual: float = 0.0) -> Tensor:
        return families @ torch.tensor([table.get(name, usual) for name in FAMILIES], device=families.device)

    far = of_family(_FAR, 0.12) * (0.3 + 0.7 * noise.uniform("canvas.far"))
    angle = torch.where(
        noise.uniform("canvas.diagonal") < 0.5, math.pi / 4, noise.uniform("canvas.angle") * math.pi / 2
    )
    return {
        "canvas.waves": plane_waves(noise, "canvas.waves", 2, 6, 0.3, 0.7),
        "canvas.bend": torch.where(noise.uniform("canvas.bends") < of_family(_BENDS), far, 0.0),
        "canvas.tilt": torch.where(noise.uniform("canvas.tilts") < of_family(_TILTS), angle, 0.0),
    }


def bend(numbers: Numbers, x: Tensor, y: Tensor, bent: bool | None = None, tilted: bool | None = None) -> Canvas:
    """The points, moved. Whether any token bends its plane, and tilts it, is looked up unless it is said: a device would
    have to be waited for.
    """
    bent_x, bent_y = x, y
    if numbers["canvas.bend"].any() if bent is None else bent:
        sway = smooth(numbers["canvas.waves"], x, y) * numbers["canvas.bend"][:, None, None]  # (B, 2, N)
        bent_x, bent_y = x + sway[:, 0], y + sway[:, 1]
    tilt = numbers["canvas.tilt"][:, None]
    if not (tilt.any() if tilted is None else tilted):
        return Canvas(x, y, bent_x, bent_y, bent_x, bent_y)
    cos, sin = tilt.cos(), tilt.sin()
    return Canvas(x, y, bent_x, bent_y, bent_x * cos + bent_y * sin, bent_y * cos - bent_x * sin)


# ── pieces of fields ────────────────────────────────────────────────────────────────────────────────────────────


def choice(noise: Noise, name: str, values: list[int], *shape: int) -> Tensor:
    index = (noise.uniform(name, *shape) * len(values)).long()
    return torch.tensor(values, dtype=torch.float32, device=index.device)[index]


def plane_waves(noise: Noise, name: str, count: int, waves: int, slow: float, fast: float) -> Tensor:
    """Plane waves of `count` smooth fields: (B, count, waves, 3) of x speed, y speed, phase; periods per unit."""
    speed, angle, phase = noise.uniform(name, count, waves, 3).unbind(-1)
    speed, angle = math.tau * (slow + (fast - slow) * speed), math.tau * angle
    return torch.stack([speed * angle.cos(), speed * angle.sin(), math.tau * phase], -1)


def smooth(waves: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """(B, count, N) random fields of unit variance: sums of plane waves, continuous and without a grid."""
    batch, count, size, _ = waves.shape
    flat = waves.view(batch, count * size, 3)
    phase = torch.baddbmm(flat[..., 2:], flat[..., :2], torch.stack([x, y], 1))  # (B, count x waves, N)
    return phase.sin_().view(batch, count, size, -1).sum(2) * math.sqrt(2 / size)


def labels(noise: Noise, name: str, count: int) -> Tensor:
    """(B, count, 3) random labels of regions: two of three steps each, so that inks fall into few clear classes, and a
    continuous one for shades."""
    numbers = noise.uniform(name, count, 3)
    return torch.cat([(numbers[..., :2] * 3).floor() - 1, numbers[..., 2:] * 2 - 1], -1)


def crisp(distance: Tensor) -> Tensor:
    return (distance * _STEEP).clamp(-1, 1)


def sign(mask: Tensor) -> Tensor:
    return mask.to(torch.float32) * 2 - 1


def look_up(table: Tensor, index: Tensor) -> list[Tensor]:
    """Columns of (B, M, C) at (B, N) rows: C tensors of (B, N)."""
    rows = index[:, None].expand(-1, table.shape[2], -1)
    return list(table.mT.gather(2, rows).unbind(1))
