"""The painter: a small network that composes the vocabulary's fields into inks, point by point.

A mapping network turns a latent and family weights into a style; the style modulates a three-layer perceptron (FiLM,
Perez et al. 2018) that sees one point at a time, so a picture has no resolution of its own (as in CPPNs, Stanley 2007).
The perceptron answers with five ink weights and a shade. How far each family opens each group of the vocabulary is
learned too: gates start small, and a family opens what it needs.

All of the style folds into one set of matrices per token. Training and rendering run the same few products with them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.art.models.canvas import Noise
from pipeline.art.models.families import CONTRAST, FAMILIES, INKS, MAX_SHADE, PLANES, free_inks
from pipeline.art.models.vocabulary import CHANNELS, GROUPS

OPEN = 1.5  # a gate that is fully open
SHUT = 0.05  # a gate below this is shut: its group is not computed

# Where the gates start: a family's namesake groups are ajar, all others nearly shut. Training moves them from there.
AJAR, NEARLY_SHUT = 0.6, 0.1
NAMESAKES = {
    "flow": ("bands",),
    "hills": ("ridges", "place"),
    "bauhaus": ("lattice",),
    "glass": ("panes",),
    "moire": ("trains",),
    "marble": ("smooth",),
    "kandinsky": ("shapes",),
    "truchet": ("tiles",),
    "mandala": ("petals",),
    "mondrian": ("rooms",),
    "cutout": ("leaves",),
}


@dataclass(frozen=True, slots=True)
class PainterConfig:
    """Sizes of the network. Raises ValueError for what this code could not run."""

    families: int = len(FAMILIES)
    channels: int = CHANNELS
    z_dim: int = 32
    family_dim: int = 24
    style_dim: int = 96
    width: int = 64
    layers: int = 3
    phases: int = 10

    def __post_init__(self) -> None:
        if (self.families, self.channels) != (len(FAMILIES), CHANNELS):
            raise ValueError(f"{self.families} families on {self.channels} fields: made for another vocabulary")
        for name, value in asdict(self).items():
            if type(value) is not int or not 1 <= value <= 1024:  # a file may claim anything
                raise ValueError(f"{name} is {value!r}; expected 1 to 1024")

    def as_dict(self) -> dict[str, int]:
        return asdict(self)


class Folded(NamedTuple):
    """A token's painter: the network with its style multiplied in."""

    phase: Tensor  # (B, P, C)
    phase_bias: Tensor  # (B, P, 1)
    first: Tensor  # (B, H, C)
    first_sin: Tensor  # (B, H, P)
    first_cos: Tensor  # (B, H, P)
    first_bias: Tensor  # (B, H, 1)
    hidden: tuple[tuple[Tensor, Tensor], ...]  # (B, H, H), (B, H, 1) each
    head: Tensor  # (B, 6, H)
    head_bias: Tensor  # (B, 6, 1)

    def keep(self, channels: Tensor) -> Folded:
        """The same painter for the fields of `channels` only, the others being zero."""
        return self._replace(phase=self.phase[..., channels], first=self.first[..., channels])

    def with_inks(self, order: Tensor) -> Folded:
        """The same painter with ink order[k] in the place of ink k, for each of (B, 5)."""
        planes = F.pad(order, (0, 1), value=PLANES - 1)[..., None]  # the shade stays
        head = self.head.gather(1, planes.expand_as(self.head))
        return self._replace(head=head, head_bias=self.head_bias.gather(1, planes))


class Dense(nn.Module):
    """A linear layer whose weights start with standard deviation gain / sqrt(fan in)."""

    def __init__(self, fan_in: int, fan_out: int, gain: float = 1.0, bias: float = 0.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(fan_out, fan_in) * gain / math.sqrt(fan_in))
        self.bias = nn.Parameter(torch.full((fan_out,), bias))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight, self.bias)

    def modulated(self, film: Tensor) -> tuple[Tensor, Tensor]:
        """Weights (B, out, in) and biases (B, out, 1) that include a scale and a shift of the answer, (B, 2 out)."""
        scale, shift = film[..., None].chunk(2, 1)
        return self.weight * (1 + scale), torch.addcmul(shift, self.bias[:, None], 1 + scale)


def first_gates() -> Tensor:
    """(families, groups) logits of the gates before training."""
    ajar = [[AJAR if group in NAMESAKES[family] else NEARLY_SHUT for group in GROUPS] for family in FAMILIES]
    return torch.logit(torch.tensor(ajar) / OPEN)


class Denses(nn.ModuleList):
    """A list of linear layers, so that a type checker knows them as such."""

    def __iter__(self) -> Iterator[Dense]:
        return iter(super().__iter__())  # type: ignore[arg-type]


class Painter(nn.Module):
    """(z, families) to a Folded painter; `paint` runs that on fields."""

    channel_group: Tensor

    def __init__(self, config: PainterConfig) -> None:
        super().__init__()
        c, self.config = config, config
        self.embedding = nn.Parameter(torch.randn(c.families, c.family_dim))
        self.mapping = Denses([Dense(c.z_dim + c.family_dim, c.style_dim, 1.4), Dense(c.style_dim, c.style_dim, 1.4)])
        self.gates = nn.Parameter(first_gates())
        self.gains = Dense(c.style_dim, c.channels + 2 * c.phases, 0.4, 1.0)
        self.phase = nn.Parameter(torch.randn(c.phases, c.channels) * 0.8)
        self.phase_rate = Dense(c.style_dim, c.phases, 0.5, 1.0)
        self.phase_shift = Dense(c.style_dim, c.phases, 1.5)
        fan_ins = [c.channels + 2 * c.phases] + [c.width] * (c.layers - 1)
        self.layers = Denses([Dense(n, c.width, 2.5 if n > c.width else 1.2) for n in fan_ins])
        self.film = Denses([Dense(c.style_dim, 2 * c.width, 0.5) for _ in fan_ins])
        self.head = Dense(c.width, PLANES, 0.7)
        self.head_style = Dense(c.style_dim, PLANES * (c.width + 1), 0.3)
        self.sharpness = nn.Parameter(torch.tensor(1.6))  # log of the softmax's inverse temperature
        groups = [i for i, group in enumerate(GROUPS.values()) for _ in range(group.channels)]
        self.register_buffer("channel_group", torch.tensor(groups), persistent=False)

    def openness(self) -> Tensor:
        """(families, groups): how far each family opens each group."""
        return OPEN * torch.sigmoid(self.gates)

    @torch.no_grad()
    def shut_gates(self, which: Tensor) -> None:
        """Shut the gates of a (families, groups) mask: no gradient opens them again."""
        self.gates.masked_fill_(which, -20.0)

    def draw(self, noise: Noise, families: Tensor, truncation: float = 1.0) -> Folded:
        """Painters of (B, families) weights, with random latents; smaller ones for a `truncation` below one.

        Which of the free inks plays which part is drawn, not learned: pictures have that symmetry, and a critic does
        not lead a painter from one paper to another, since all that lies between them looks wrong.
        """
        z = noise.normal("z", self.config.z_dim) * truncation
        order = draw_inks(noise, families)
        device = self.sharpness.device
        return self.fold(z.to(device), families.to(device)).with_inks(order.to(device))

    def style(self, z: Tensor, families: Tensor, apart: bool = False) -> Tensor:
        w = torch.cat([z, _products(lambda row: row @ self.embedding, families, apart)], 1)
        for layer in self.mapping:
            w = F.leaky_relu(_products(layer, w, apart), 0.2)
        return w

    def fold(self, z: Tensor, families: Tensor, apart: bool = False) -> Folded:
        """(B, z_dim) latents and (B, families) weights to the matrices of B painters.

        With `apart` each has products of its own: its last bits do not depend on how many there are.
        """
        c, w = self.config, self.style(z, families, apart)
        openness = self.openness()
        gate = _products(lambda row: row @ openness, families, apart)  # (B, groups)
        gate = torch.where(gate < SHUT, 0.0, gate)[:, self.channel_group]  # (B, C)
        gains = _products(self.gains, w, apart)[:, None]  # (B, 1, C + 2P)
        phase = self.phase * (gate[:, None] * 2 * _products(self.phase_rate, w, apart)[..., None])  # (B, P, C)

        layers = [
            layer.modulated(_products(film, w, apart)) for layer, film in zip(self.layers, self.film, strict=True)
        ]
        first, first_bias = layers[0][0] * gains, layers[0][1]  # (B, H, C + 2P)

        head = _products(self.head_style, w, apart).view(-1, PLANES, c.width + 1)
        temper = torch.cat([self.sharpness.exp().expand(INKS), self.sharpness.new_tensor([0.5])])[:, None]
        return Folded(
            phase=phase,
            phase_bias=_products(self.phase_shift, w, apart)[..., None],
            first=first[..., : c.channels] * gate[:, None],
            first_sin=first[..., c.channels : c.channels + c.phases],
            first_cos=first[..., c.channels + c.phases :],
            first_bias=first_bias,
            hidden=tuple(layers[1:]),
            head=(self.head.weight + head[..., :-1] / math.sqrt(c.width)) * temper,
            head_bias=(self.head.bias[:, None] + head[..., -1:]) * temper,
        )


def draw_inks(noise: Noise, families: Tensor) -> Tensor:
    """For each of (B, families) weights an order of the inks, (B, 5): those that are free in all its families, mixed."""
    found = []
    for draw, weights in zip(noise.uniform("inks", INKS).tolist(), families.tolist(), strict=True):
        free = [free_inks(family) for family, weight in enumerate(weights) if weight]
        start = max(inks.start for inks in free)
        mixed = sorted(range(start, CONTRAST), key=draw.__getitem__)
        found.append([*range(start), *mixed, *range(CONTRAST, INKS)])
    return torch.tensor(found)


def _products(product: Callable[[Tensor], Tensor], rows: Tensor, apart: bool) -> Tensor:
    """A product of (B, n) rows: one of all, or one of each."""
    return torch.cat([product(row) for row in torch.split(rows, 1)]) if apart else product(rows)


def paint_fields(folded: Folded, fields: Tensor) -> Tensor:
    """Fields (B, C, N) to ink planes (B, 6, N): five weights that sum to one, and a shade."""
    phase = torch.baddbmm(folded.phase_bias, folded.phase, fields)  # (B, P, N)
    x = torch.baddbmm(folded.first_bias, folded.first, fields)  # (B, H, N)
    x = torch.baddbmm(x, folded.first_sin, phase.sin())
    x = F.leaky_relu(torch.baddbmm(x, folded.first_cos, phase.cos()), 0.2, inplace=True)
    for weight, bias in folded.hidden:
        x = x + F.leaky_relu(torch.baddbmm(bias, weight, x), 0.2, inplace=True)
    answer = torch.baddbmm(folded.head_bias, folded.head, x)
    return torch.cat([torch.softmax(answer[:, :INKS], 1), torch.tanh(answer[:, INKS:]) * MAX_SHADE], 1)
