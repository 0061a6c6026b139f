"""A few-shot GAN for 256 and 512 px (Liu, Zhu, Song and Elgammal 2021, "Towards Faster and Stabilized GAN Training for
High-fidelity Few-shot Image Synthesis"), written from the paper.

Generator: one convolution at each side, and *skip-layer excitation*: the map of a small side decides, channel by channel,
how much passes at a side sixteen times as large. So gradients reach the coarse layers by a short way, and the large ones stay
thin. Critic: it also learns to draw real pictures again from its own maps, the whole from the last and a quarter from the one
before; who must remember a picture does not fasten on a few of its pixels. DiffAugment does the rest.

Other than in the paper the drawings are judged by their absolute error, not by a pretrained network's features: none is
downloaded here. And the critic answers with the mean of its patches, so that every loss can be used with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from pipeline.art.models.augment import AUTO
from pipeline.art.models.blueprint import MAX_SIDE, Blueprint, Recipe, check_sizes, halvings

SLOPE = 0.2
REACH = 4  # doublings between a map and the one that it excites: 8 to 128, 16 to 256
GATE_SIDE = 4  # to which the exciting map is pooled
NARROWEST = 16  # channels next to a large picture
DRAWN_DOUBLINGS = 4  # of a critic's map, until it is compared with the picture: 8 to 128


@dataclass(frozen=True, slots=True)
class FastGanConfig:
    size: int = 256
    channels: int = 3
    z_dim: int = 256
    width: int = 32  # channels at 256 px; twice as many at half the side, up to eight times
    critic_width: int = 32  # the critic's, likewise

    def __post_init__(self) -> None:
        check_sizes(self, size=(16, MAX_SIDE), channels=(1, 3), z_dim=(1, 1024), width=(4, 256), critic_width=(4, 256))
        if halvings(self.size)[1] < 2:
            raise ValueError(f"size is {self.size}; expected one that halves twice, such as 28, 32, 64 or 128")

    @property
    def sides(self) -> list[int]:
        base, doublings = halvings(self.size)
        return [base << i for i in range(doublings + 1)]


def channels_at(width: int, side: int) -> int:
    return max(min(width * 256 // side, 8 * width), min(NARROWEST, 8 * width))


def glu_conv(fan_in: int, fan_out: int) -> nn.Sequential:
    """A convolution whose answer is gated by a second one of the same input."""
    return nn.Sequential(nn.Conv2d(fan_in, 2 * fan_out, 3, 1, 1, bias=False), nn.BatchNorm2d(2 * fan_out), nn.GLU(1))


class Excitation(nn.Module):
    """(N, small, s, s) to gates (N, large, 1, 1) in [0, 1]."""

    def __init__(self, small: int, large: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.AdaptiveAvgPool2d(GATE_SIDE),
            nn.Conv2d(small, large, GATE_SIDE),
            nn.LeakyReLU(0.1),
            nn.Conv2d(large, large, 1),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        gates: Tensor = self.layers(x)
        return gates


class Generator(nn.Module):
    """(N, z_dim) to (N, C, S, S) in [-1, 1]."""

    def __init__(self, config: FastGanConfig) -> None:
        super().__init__()
        self.latent_dim, sides = config.z_dim, config.sides
        widths = [channels_at(config.width, side) for side in sides]
        self.first = nn.Sequential(
            nn.ConvTranspose2d(config.z_dim, 2 * widths[0], sides[0], bias=False),
            nn.BatchNorm2d(2 * widths[0]),
            nn.GLU(1),
        )
        self.blocks = nn.ModuleList(glu_conv(a, b) for a, b in zip(widths, widths[1:], strict=False))
        self.reach = min(REACH, len(sides) - 1)
        self.gates = nn.ModuleList(Excitation(a, b) for a, b in zip(widths, widths[self.reach :], strict=False))
        self.colour = nn.Conv2d(widths[-1], config.channels, 3, 1, 1)

    def forward(self, z: Tensor) -> Tensor:
        return self._drawn(z, None)

    def mixed(self, composes: Tensor, colours: Tensor) -> Tensor:
        """Pictures composed by the one (N, z_dim) whose large sides let pass what those of the other would."""
        return self._drawn(composes, [gate(x) for gate, x in zip(self.gates, self._maps(colours, None), strict=False)])

    def _drawn(self, z: Tensor, gates: list[Tensor] | None) -> Tensor:
        *_, last = self._maps(z, gates)
        images: Tensor = torch.tanh(self.colour(last))
        return images

    def _maps(self, z: Tensor, gates: list[Tensor] | None) -> Iterator[Tensor]:
        """The map of each side, the large ones excited by the small ones, or by `gates` that are given."""
        small = [self.first(z[..., None, None])]
        yield small[0]
        for i, block in enumerate(self.blocks, 1):
            x = block(F.interpolate(small[-1], scale_factor=2.0, mode="nearest"))
            if (which := i - self.reach) >= 0:
                x = x * (self.gates[which](small[which]) if gates is None else gates[which])
            small.append(x)
            yield x


def sharp(layer: nn.Conv2d) -> nn.Module:
    """With spectral normalisation (Miyato et al. 2018)."""
    normed: nn.Module = spectral_norm(layer)
    return normed


class Halving(nn.Module):
    """Half the side: convolutions beside a plain shrinking, averaged."""

    def __init__(self, fan_in: int, fan_out: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            sharp(nn.Conv2d(fan_in, fan_out, 4, 2, 1, bias=False)),
            *(nn.BatchNorm2d(fan_out), nn.LeakyReLU(SLOPE)),
            sharp(nn.Conv2d(fan_out, fan_out, 3, 1, 1, bias=False)),
            *(nn.BatchNorm2d(fan_out), nn.LeakyReLU(SLOPE)),
        )
        self.plain = nn.Sequential(
            *(nn.AvgPool2d(2), sharp(nn.Conv2d(fan_in, fan_out, 1, bias=False))),
            *(nn.BatchNorm2d(fan_out), nn.LeakyReLU(SLOPE)),
        )

    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = (self.main(x) + self.plain(x)) / 2
        return answer


class Drawer(nn.Module):
    """(N, width, s, s) to a picture that is 2^doublings times as large."""

    def __init__(self, width: int, channels: int, doublings: int) -> None:
        super().__init__()
        widths = [max(width >> i, NARROWEST) for i in range(doublings + 1)]
        self.blocks = nn.ModuleList(glu_conv(a, b) for a, b in zip(widths, widths[1:], strict=False))
        self.colour = nn.Conv2d(widths[-1], channels, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(F.interpolate(x, scale_factor=2.0, mode="nearest"))
        return torch.tanh(self.colour(x))


class Critic(nn.Module):
    """(N, C, S, S) to (N,) logits; `taught` also says how badly its maps draw real pictures again."""

    def __init__(self, config: FastGanConfig) -> None:
        super().__init__()
        sides = config.sides[:0:-1]  # from the picture down to twice the base
        widths = [channels_at(config.critic_width, side) for side in sides]
        first = nn.Sequential(sharp(nn.Conv2d(config.channels, widths[1], 4, 2, 1, bias=False)), nn.LeakyReLU(SLOPE))
        blocks: list[nn.Module] = [first]
        blocks += [Halving(a, b) for a, b in zip(widths[1:], widths[2:], strict=False)]
        self.blocks = nn.ModuleList(blocks)
        self.last = nn.Sequential(
            sharp(nn.Conv2d(widths[-1], widths[-1], 1, bias=False)),
            *(nn.BatchNorm2d(widths[-1]), nn.LeakyReLU(SLOPE)),
            sharp(nn.Conv2d(widths[-1], 1, 4, bias=False)),
        )
        before = -2 if len(sides) > 2 else -1  # of a small picture there is one map
        self.whole = Drawer(widths[-1], config.channels, min(DRAWN_DOUBLINGS, len(sides) - 1))
        self.part = Drawer(widths[before], config.channels, min(DRAWN_DOUBLINGS, len(sides) + before))

    def forward(self, images: Tensor) -> Tensor:
        return self._answer(self._maps(images))

    def taught(self, images: Tensor, quarter: int) -> tuple[Tensor, Tensor]:
        """Logits (N,) of real images, and the mean error of the whole and of that quarter (0 to 3), drawn from its maps."""
        maps = self._maps(images)
        before = maps[-2] if len(maps) > 1 else maps[-1]
        error = _error(self.whole(maps[-1]), images) + _error(
            self.part(_quarter(before, quarter)), _quarter(images, quarter)
        )
        return self._answer(maps), error

    def stages(self) -> list[nn.Module]:
        """Its layers in groups, from the picture inwards."""
        return list(self.blocks)

    def _maps(self, images: Tensor) -> list[Tensor]:
        maps = list[Tensor]()
        x = images
        for block in self.blocks:
            x = block(x)
            maps.append(x)
        return maps

    def _answer(self, maps: list[Tensor]) -> Tensor:
        logits: Tensor = self.last(maps[-1]).mean((1, 2, 3))
        return logits


def _quarter(x: Tensor, which: int) -> Tensor:
    half = x.shape[-1] // 2
    top, left = which // 2 * half, which % 2 * half
    return x[..., top : top + half, left : left + half]


def _error(drawn: Tensor, images: Tensor) -> Tensor:
    return (drawn - F.adaptive_avg_pool2d(images, drawn.shape[-1])).abs().mean()


FASTGAN = Blueprint(
    "fastgan",
    FastGanConfig,
    {},
    Generator,
    Critic,
    Recipe(loss="hinge", lr=2e-4, critic_lr=2e-4, beta1=0.5, beta2=0.999, batch=8, augment=AUTO, ema=0.999),
    sides=(128, 256),
    advised=400_000,
    capacities={
        "small": {"width": 16, "critic_width": 16},
        "medium": {"width": 32, "critic_width": 32},
        "large": {"width": 48, "critic_width": 48},
    },
)
