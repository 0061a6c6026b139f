"""A small StyleGAN2 (Karras et al. 2020), written from the paper: the few-shot model for an artist's own pictures.

A mapping network turns z into a style w, which scales the inputs of every convolution; the answer is scaled back to unit
variance (demodulation). Noise adds what a style does not decide. Each resolution contributes to an RGB picture that is
enlarged and added up. In training, some pictures take their coarse styles from one latent and their fine ones from
another (style mixing). DiffAugment lets it learn from one or two hundred pictures (Zhao et al. 2020).

Weights are kept at unit variance and scaled where they are used (equalised learning rate, Karras et al. 2018): Adam's
steps are then as large, beside the weights, in a layer of 5,000 inputs as in one of 9. Without it the critic's dense layer
outran all others, and the pictures became their mean. Left out of the paper: path length regularisation.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.art.models.augment import AUTO
from pipeline.art.models.blueprint import MAX_SIDE, Blueprint, Recipe, check_sizes, halvings

MIXING = 0.5  # share of training pictures with the styles of two latents
FOLLOW = 0.005  # how fast the mean style follows the batches
MAPPING_RATE = 0.1  # of the other layers' learning rate; the paper's 0.01 is for eight layers
NARROW_FROM = 8  # for sides up to 64; larger pictures keep their channels longer


@dataclass(frozen=True, slots=True)
class StyleGan2Config:
    size: int = 64
    channels: int = 3
    z_dim: int = 64
    w_dim: int = 128
    width: int = 128  # channels of the coarse layers
    critic_width: int = 24  # channels next to the picture
    mapping: int = 2  # layers
    psi: float = 0.9  # how far styles may be from their mean when tokens are drawn (truncation)
    noise: bool = True  # what styles do not decide; flat art is better without
    narrow_from: int = NARROW_FROM  # the side from which on channels halve with each doubling

    def __post_init__(self) -> None:
        check_sizes(self, size=(8, MAX_SIDE), channels=(1, 3), z_dim=(1, 1024), w_dim=(1, 1024), mapping=(1, 16))
        check_sizes(self, width=(8, 512), critic_width=(8, 256))
        check_sizes(self, narrow_from=(4, MAX_SIDE))
        if type(self.noise) is not bool:
            raise ValueError(f"noise is {self.noise!r}; expected true or false")
        if not 0 < self.psi <= 1:
            raise ValueError(f"psi is {self.psi!r}; expected 0 to 1")
        halvings(self.size)

    @property
    def sides(self) -> list[int]:
        base, doublings = halvings(self.size)
        return [base << i for i in range(doublings + 1)]

    @property
    def widths(self) -> list[int]:
        """Channels at each of the sides."""
        return [max(min(self.width, self.width * self.narrow_from // side), 16) for side in self.sides]


class Linear(nn.Linear):
    """A dense layer with equalised learning rate; `rate` scales that of its weights and biases."""

    def __init__(self, fan_in: int, fan_out: int, bias: float = 0.0, rate: float = 1.0) -> None:
        super().__init__(fan_in, fan_out)
        nn.init.normal_(self.weight, 0, 1 / rate)
        nn.init.constant_(self.bias, bias / rate)
        self.scale, self.rate = rate / math.sqrt(fan_in), rate

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight * self.scale, self.bias * self.rate)


class Conv(nn.Conv2d):
    """A convolution with equalised learning rate that keeps the side."""

    def __init__(self, fan_in: int, fan_out: int, side: int, gain: float = 1.0, bias: bool = True) -> None:
        super().__init__(fan_in, fan_out, side, padding=side // 2, bias=bias)
        nn.init.normal_(self.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)
        self.scale = gain / math.sqrt(fan_in * side * side)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight * self.scale, self.bias, padding=self.padding)


def activate(x: Tensor) -> Tensor:
    return F.leaky_relu(x, 0.2) * math.sqrt(2)


class StyledConv(nn.Module):
    """3 by 3 convolution whose input channels are scaled by the style, and whose answer is scaled back.

    Scaling the input and the output is the same as scaling the kernel for each picture, and is one convolution for all.
    """

    def __init__(self, fan_in: int, fan_out: int, w_dim: int, noise: bool = True) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.randn(fan_out, fan_in, 3, 3))
        self.scale = 1 / math.sqrt(fan_in * 9)
        self.style = Linear(w_dim, fan_in, bias=1.0)
        self.bias = nn.Parameter(torch.zeros(fan_out, 1, 1))
        self.noise = nn.Parameter(torch.tensor(0.1)) if noise else None  # its strength

    def forward(self, x: Tensor, w: Tensor, noise: Tensor | None) -> Tensor:
        """(N, fan_in, S, S), styles (N, w_dim), noise (N, 1, S, S) where there is any, to (N, fan_out, S, S)."""
        scale = self.style(w)  # (N, fan_in)
        kernel = self.kernel * self.scale
        back = torch.rsqrt(scale.square() @ kernel.square().sum((2, 3)).T + 1e-8)  # (N, fan_out)
        y = F.conv2d(x * scale[..., None, None], kernel, padding=1) * back[..., None, None]
        if self.noise is not None and noise is not None:
            y = y + self.noise * noise
        return activate(y + self.bias)


class Block(nn.Module):
    """One side of the picture: two styled convolutions and this side's share of the colours."""

    def __init__(self, fan_in: int, fan_out: int, config: StyleGan2Config) -> None:
        super().__init__()
        self.first = StyledConv(fan_in, fan_out, config.w_dim, config.noise)
        self.second = StyledConv(fan_out, fan_out, config.w_dim, config.noise)
        self.colour = Conv(fan_out, config.channels, 1, gain=0.25)

    def forward(self, x: Tensor, w: Tensor, noise: Tensor | None) -> tuple[Tensor, Tensor]:
        first, second = (None, None) if noise is None else (noise[:, :1], noise[:, 1:])
        x = self.second(self.first(x, w, first), w, second)
        return x, self.colour(x)


class Blocks(nn.ModuleList):
    def __iter__(self) -> Iterator[Block]:
        return iter(super().__iter__())  # type: ignore[arg-type]


class Generator(nn.Module):
    """(N, latent_dim) to (N, C, S, S), in [-1, 1] once training is over.

    A latent is z and the noise of every layer in one row, so that one row decides one picture altogether.
    """

    mean_style: Tensor

    def __init__(self, config: StyleGan2Config) -> None:
        super().__init__()
        self.config = config
        self.latent_dim = config.z_dim + sum(self.noises)
        fan_ins = [config.z_dim] + [config.w_dim] * (config.mapping - 1)
        self.mapping = nn.ModuleList(Linear(n, config.w_dim, rate=MAPPING_RATE) for n in fan_ins)
        widths, base = config.widths, config.sides[0]
        self.constant = nn.Parameter(torch.randn(1, widths[0], base, base))
        self.blocks = Blocks(Block(a, b, config) for a, b in zip([widths[0], *widths], widths, strict=False))
        self.register_buffer("mean_style", torch.zeros(config.w_dim))

    @property
    def noises(self) -> list[int]:
        """How many numbers of a latent are the noise of each side."""
        return [2 * side * side if self.config.noise else 0 for side in self.config.sides]

    def forward(self, latents: Tensor) -> Tensor:
        """In training, MIXING of the pictures take their fine styles from their neighbour's z; otherwise styles are
        drawn towards their mean by psi."""
        w = self.style(latents)
        if self.training:
            with torch.no_grad():
                self.mean_style.lerp_(w.mean(0), FOLLOW)
            mixed = torch.rand(len(w)) < MIXING
            until = torch.randint(1, len(self.blocks), (len(w),)).masked_fill(~mixed, len(self.blocks))
            return self.synthesise(self.mix(w, w.roll(1, 0), until.to(w.device)), latents)
        w = torch.lerp(self.mean_style, w, self.config.psi)
        return self.synthesise(w[:, None].expand(-1, len(self.blocks), -1), latents)

    def mixed(self, composes: Tensor, colours: Tensor) -> Tensor:
        """Pictures with the coarse styles and the noise of the one (N, latent_dim), and the fine styles of the other."""
        coarse, fine = (torch.lerp(self.mean_style, self.style(z), self.config.psi) for z in (composes, colours))
        until = torch.full((len(coarse),), (len(self.blocks) + 1) // 2, device=coarse.device)
        return self.synthesise(self.mix(coarse, fine, until), composes)

    def style(self, latents: Tensor) -> Tensor:
        """Styles (N, w_dim); the latent's length is normalised first."""
        w = latents[:, : self.config.z_dim]
        w = w * torch.rsqrt(w.square().mean(1, keepdim=True) + 1e-8)
        for layer in self.mapping:
            w = activate(layer(w))
        return w

    def mix(self, coarse: Tensor, fine: Tensor, until: Tensor) -> Tensor:
        """Styles per block (N, blocks, w_dim): `coarse` (N, w_dim) in the first `until` (N,) blocks, then `fine`."""
        block = torch.arange(len(self.blocks), device=coarse.device)
        return torch.where((block < until[:, None])[..., None], coarse[:, None], fine[:, None])

    def synthesise(self, styles: Tensor, latents: Tensor) -> Tensor:
        """Styles per block (N, blocks, w_dim) and the latents' noise to pictures."""
        noises = torch.split(latents[:, self.config.z_dim :], self.noises, 1)
        x: Tensor = self.constant.expand(len(latents), -1, -1, -1)
        images: Tensor | None = None
        for i, (block, side) in enumerate(zip(self.blocks, self.config.sides, strict=True)):
            if images is not None:
                x = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
                images = F.interpolate(images, scale_factor=2.0, mode="bilinear", align_corners=False)
            noise = noises[i].view(-1, 2, side, side) if self.config.noise else None
            x, colours = block(x, styles[:, i], noise)
            images = colours if images is None else images + colours
        assert images is not None
        if self.training:
            return images
        return images.clamp(-1, 1)  # a saturated tanh would teach nothing any more


class Critic(nn.Module):
    """(N, C, S, S) to (N,) logits: residual blocks that halve the side, and how much the batch varies as one more plane."""

    def __init__(self, config: StyleGan2Config) -> None:
        super().__init__()
        base, halving = halvings(config.size)
        widths = [min(config.critic_width << i, 2 * config.width) for i in range(halving + 1)]
        self.colour = Conv(config.channels, widths[0], 1)
        pairs = list(zip(widths, widths[1:], strict=False))
        self.first = nn.ModuleList(Conv(a, a, 3) for a, _ in pairs)
        self.second = nn.ModuleList(Conv(a, b, 3) for a, b in pairs)
        self.skip = nn.ModuleList(Conv(a, b, 1, bias=False) for a, b in pairs)
        self.last = Conv(widths[-1] + 1, widths[-1], 3)
        self.dense = Linear(widths[-1] * base * base, widths[-1])
        self.real = Linear(widths[-1], 1)

    def stages(self) -> list[nn.Module]:
        """Its layers in groups, from the picture inwards."""
        blocks = [nn.ModuleList(layers) for layers in zip(self.first, self.second, self.skip, strict=True)]
        return [nn.ModuleList([self.colour, blocks[0]]), *blocks[1:]]

    def forward(self, images: Tensor) -> Tensor:
        x = activate(self.colour(images))
        for first, second, skip in zip(self.first, self.second, self.skip, strict=True):
            y = activate(second(F.avg_pool2d(activate(first(x)), 2)))
            x = (y + skip(F.avg_pool2d(x, 2))) / math.sqrt(2)
        spread = (x.var(0, correction=0) + 1e-8).sqrt().mean().expand(len(x), 1, *x.shape[2:])
        x = activate(self.last(torch.cat([x, spread], 1))).flatten(1)
        logits: Tensor = self.real(activate(self.dense(x)))
        return logits[:, 0]


STYLEGAN2 = Blueprint(
    "stylegan2",
    StyleGan2Config,
    {},
    Generator,
    Critic,
    Recipe(
        loss="non-saturating",
        lr=5e-3,
        critic_lr=5e-3,
        beta1=0.0,
        beta2=0.99,
        batch=16,
        penalty="r1",
        gamma=0.5,
        penalty_every=8,
        augment=AUTO,
    ),
    sides=(64, 128),
    advised=100_000,
    capacities={
        "small": {"width": 64, "critic_width": 16},
        "medium": {"width": 128, "critic_width": 24},
        "large": {"width": 256, "critic_width": 48, "w_dim": 256},
    },
)
