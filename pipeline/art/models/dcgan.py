"""DCGAN (Radford et al. 2016): a dense layer to 7 by 7 by 256, transposed convolutions up to the picture.

`dcgan_half` is half as wide and learns faster on small data. `sngan` has spectral normalisation in its critic (Miyato et
al. 2018), the hinge loss, and a critic that learns four times as fast as the generator (TTUR, Heusel et al. 2017).
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from pipeline.art.models.blueprint import MAX_SIDE, Blueprint, Recipe, check_sizes, halvings

SLOPE = 0.2
NARROWEST = 32  # channels of the last hidden layer, however often the side doubles


@dataclass(frozen=True, slots=True)
class DcganConfig:
    size: int = 28
    channels: int = 1
    z_dim: int = 100
    width: int = 256  # channels after the dense layer
    critic_width: int = 64  # channels after the critic's first convolution
    dropout: float = 0.3
    spectral: bool = False

    def __post_init__(self) -> None:
        check_sizes(self, size=(8, MAX_SIDE), channels=(1, 3), z_dim=(1, 1024), width=(8, 1024), critic_width=(8, 512))
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout!r}; expected 0 to 1")
        halvings(self.size)


class Generator(nn.Module):
    """(N, z_dim) to (N, C, S, S) in [-1, 1]: dense, one transposed convolution that keeps the side, then doublings."""

    def __init__(self, config: DcganConfig) -> None:
        super().__init__()
        self.latent_dim, self.width = config.z_dim, config.width
        self.base, doublings = halvings(config.size)
        dense = self.base * self.base * config.width
        self.dense = nn.Sequential(
            nn.Linear(config.z_dim, dense, bias=False), nn.BatchNorm1d(dense), nn.LeakyReLU(SLOPE)
        )
        width = config.width // 2
        layers: list[nn.Module] = [nn.ConvTranspose2d(config.width, width, 5, 1, 2, bias=False)]
        for _ in range(doublings - 1):
            narrower = max(width // 2, NARROWEST)
            layers += [nn.BatchNorm2d(width), nn.LeakyReLU(SLOPE)]
            layers += [nn.ConvTranspose2d(width, narrower, 4, 2, 1, bias=False)]
            width = narrower
        layers += [nn.BatchNorm2d(width), nn.LeakyReLU(SLOPE), nn.ConvTranspose2d(width, config.channels, 4, 2, 1)]
        self.layers = nn.Sequential(*layers, nn.Tanh())

    def forward(self, z: Tensor) -> Tensor:
        x = self.dense(z).view(-1, self.width, self.base, self.base)
        images: Tensor = self.layers(x)
        return images


class Critic(nn.Module):
    """(N, C, S, S) to (N,) logits: strided convolutions that halve the side, without batch statistics."""

    def __init__(self, config: DcganConfig) -> None:
        super().__init__()
        base, halving = halvings(config.size)
        layers: list[nn.Module] = []
        channels, width = config.channels, config.critic_width
        for _ in range(halving):
            layers += [nn.Conv2d(channels, width, 4, 2, 1), nn.LeakyReLU(SLOPE), nn.Dropout(config.dropout)]
            channels, width = width, min(2 * width, 256)
        layers += [nn.Flatten(), nn.Linear(channels * base * base, 1)]
        if config.spectral:
            layers = [spectral_norm(layer) if hasattr(layer, "weight") else layer for layer in layers]
        self.layers = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.layers(images)
        return logits[:, 0]


def capacities(width: int) -> dict[str, dict[str, int]]:
    """Half as wide and twice as wide as a generator of `width`, and its critic with it."""
    return {
        "small": {"width": width // 2, "critic_width": 32},
        "medium": {"width": width, "critic_width": 64},
        "large": {"width": 2 * width, "critic_width": 128},
    }


DCGAN = Blueprint("dcgan", DcganConfig, {}, Generator, Critic, Recipe(), capacities=capacities(256))
DCGAN_HALF = Blueprint(
    "dcgan_half",
    DcganConfig,
    {"width": 128},
    Generator,
    Critic,
    Recipe(lr=5e-4, critic_lr=5e-4),
    capacities=capacities(128),
)
SNGAN = Blueprint(
    "sngan",
    DcganConfig,
    {"width": 128, "spectral": True, "dropout": 0.0},
    Generator,
    Critic,
    Recipe(loss="hinge", lr=2e-4, critic_lr=8e-4, beta1=0.0, beta2=0.9),
    capacities=capacities(128),
)
