"""A GAN of fully connected layers, 100-256-512-1024-784, as Goodfellow et al. (2014) began; and its variant with
BatchNorm (Ioffe and Szegedy 2015) before each LeakyReLU, which mixes its classes better."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor, nn

from pipeline.art.models.blueprint import MAX_SIDE, Blueprint, Recipe, check_sizes

SLOPE = 0.2  # of every LeakyReLU below zero
DROPOUT = 0.3  # without it the critic learns a small data set by heart


@dataclass(frozen=True, slots=True)
class MlpGanConfig:
    size: int = 28
    channels: int = 1
    z_dim: int = 100
    batch_norm: bool = False
    width: int = 1024  # of the generator's last hidden layer; each before it has half

    def __post_init__(self) -> None:
        check_sizes(self, size=(8, min(128, MAX_SIDE)), channels=(1, 3), z_dim=(1, 1024), width=(16, 8192))

    @property
    def widths(self) -> tuple[int, int, int]:
        return self.width // 4, self.width // 2, self.width

    @property
    def pixels(self) -> int:
        return self.channels * self.size * self.size  # 784 for 28 by 28


class Generator(nn.Module):
    """(N, z_dim) to (N, C, S, S) in [-1, 1]."""

    def __init__(self, config: MlpGanConfig) -> None:
        super().__init__()
        self.config, self.latent_dim = config, config.z_dim
        layers: list[nn.Module] = []
        for fan_in, fan_out in zip((config.z_dim, *config.widths), config.widths, strict=False):
            layers.append(nn.Linear(fan_in, fan_out))
            if config.batch_norm:
                layers.append(nn.BatchNorm1d(fan_out, momentum=0.2))
            layers.append(nn.LeakyReLU(SLOPE))
        self.layers = nn.Sequential(*layers, nn.Linear(config.width, config.pixels), nn.Tanh())

    def forward(self, z: Tensor) -> Tensor:
        images: Tensor = self.layers(z)  # (N, C · S · S)
        return images.view(-1, self.config.channels, self.config.size, self.config.size)


class Critic(nn.Module):
    """(N, C, S, S) to (N,) logits."""

    def __init__(self, config: MlpGanConfig) -> None:
        super().__init__()
        narrow, wide, _ = config.widths
        self.layers = nn.Sequential(
            nn.Flatten(),
            nn.Linear(config.pixels, wide),
            nn.LeakyReLU(SLOPE),
            nn.Dropout(DROPOUT),
            nn.Linear(wide, narrow),
            nn.LeakyReLU(SLOPE),
            nn.Dropout(DROPOUT),
            nn.Linear(narrow, 1),
        )

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.layers(images)
        return logits[:, 0]


CAPACITIES = {"small": {"width": 512}, "medium": {}, "large": {"width": 2048}}
MLP_GAN = Blueprint(
    "mlp_gan", MlpGanConfig, {}, Generator, Critic, Recipe(), advised=250_000, capacities=CAPACITIES, sides=(32, 64)
)
MLP_GAN_BN = replace(MLP_GAN, name="mlp_gan_bn", defaults={"batch_norm": True}, advised=160_000)
