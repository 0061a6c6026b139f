"""A variational auto-encoder (Kingma and Welling 2014): no adversary, every picture has a code, edges come out soft.

The decoder is the generator. The encoder is its partner: it answers a picture with the mean and the log variance of its
code, and both minimise the same bound.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from pipeline.art.models.blueprint import MAX_SIDE, Blueprint, Recipe, check_sizes, halvings
from pipeline.art.models.losses import ELBO

SLOPE = 0.2


@dataclass(frozen=True, slots=True)
class VaeConfig:
    size: int = 28
    channels: int = 1
    z_dim: int = 16
    width: int = 32  # channels next to the picture; they double as the side halves

    def __post_init__(self) -> None:
        check_sizes(self, size=(8, MAX_SIDE), channels=(1, 3), z_dim=(1, 1024), width=(4, 256))
        halvings(self.size)

    @property
    def widths(self) -> list[int]:
        """Channels from the picture inwards."""
        return [min(self.width << i, 256) for i in range(halvings(self.size)[1])]


class Decoder(nn.Module):
    """(N, z_dim) to (N, C, S, S) in [-1, 1]."""

    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        self.latent_dim = config.z_dim
        self.base, _ = halvings(config.size)
        widths = config.widths[::-1]
        self.inner = widths[0]
        self.dense = nn.Sequential(nn.Linear(config.z_dim, self.inner * self.base * self.base), nn.LeakyReLU(SLOPE))
        layers: list[nn.Module] = []
        for fan_in, fan_out in zip(widths, widths[1:], strict=False):
            layers += [nn.ConvTranspose2d(fan_in, fan_out, 4, 2, 1), nn.LeakyReLU(SLOPE)]
        self.layers = nn.Sequential(*layers, nn.ConvTranspose2d(widths[-1], config.channels, 4, 2, 1), nn.Tanh())

    def forward(self, z: Tensor) -> Tensor:
        x = self.dense(z).view(-1, self.inner, self.base, self.base)
        images: Tensor = self.layers(x)
        return images


class Encoder(nn.Module):
    """(N, C, S, S) to the mean and the log variance of codes, (N, z_dim) each."""

    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        base, _ = halvings(config.size)
        layers: list[nn.Module] = []
        channels = config.channels
        for width in config.widths:
            layers += [nn.Conv2d(channels, width, 4, 2, 1), nn.LeakyReLU(SLOPE)]
            channels = width
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * base * base, 2 * config.z_dim))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_variance = self.layers(images).chunk(2, 1)
        return mean, log_variance.clamp(-10, 10)  # exp of more overflows while the first steps are still wild


VAE = Blueprint(
    "vae",
    VaeConfig,
    {},
    Decoder,
    Encoder,
    Recipe(loss=ELBO, lr=1e-3, critic_lr=1e-3, beta1=0.9, sigma=0.5),
    advised=190_000,
    capacities={"small": {"width": 16}, "medium": {"width": 32}, "large": {"width": 64, "z_dim": 64}},
)
