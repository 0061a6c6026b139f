"""The critic: how real a square of ink planes looks for its family."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.art.models.families import PLANES
from pipeline.art.models.painter import Dense

PLACE = 3  # x, y and the scale of the crop: composition depends on where in the picture one looks


class Critic(nn.Module):
    """Strided convolutions, the batch's deviation as one more plane (Karras et al. 2018), and a projection on the
    family (Miyato and Koyama 2018)."""

    def __init__(self, families: int, side: int, widths: tuple[int, ...], features: int = 192) -> None:
        super().__init__()
        self.side = side
        fan_ins = (PLANES + PLACE, *widths[:-1])
        convolutions = [nn.Conv2d(a, b, 4, 2, 1) for a, b in zip(fan_ins, widths, strict=True)]
        for layer in convolutions:
            nn.init.normal_(layer.weight, 0, 1 / math.sqrt(layer.weight[0].numel()))
            layer.bias = nn.Parameter(torch.zeros(layer.out_channels))
        self.convolutions = nn.ModuleList(convolutions)
        left = side >> len(widths)
        self.dense = Dense((widths[-1] + 1) * left * left, features)
        self.real = Dense(features, 1)
        self.family = nn.Parameter(torch.randn(families, features) / math.sqrt(features))

    def forward(self, planes: Tensor, place: Tensor, families: Tensor) -> Tensor:
        """(B, 6, S, S) planes, (B, 3, S, S) place, (B, families) weights to (B,) logits."""
        return self.judge(self.see(planes, place), families)

    def see(self, planes: Tensor, place: Tensor) -> Tensor:
        """What is in the squares, whatever family they are of: (B, features)."""
        assert planes.shape[1:] == (PLANES, self.side, self.side), f"planes are {tuple(planes.shape)}"
        x = torch.cat([planes[:, :-1] * 2 - 1, planes[:, -1:] * 2, place], 1)
        for layer in self.convolutions:
            x = F.leaky_relu(layer(x), 0.2) * math.sqrt(2)
        spread = (x.var(0, correction=0) + 1e-8).sqrt().mean().expand(len(x), 1, *x.shape[2:])
        return F.leaky_relu(self.dense(torch.cat([x, spread], 1).flatten(1)), 0.2) * math.sqrt(2)

    def judge(self, features: Tensor, families: Tensor) -> Tensor:
        """How real (B, features) are for (B, families): (B,) logits."""
        logit: Tensor = self.real(features)[:, 0] + ((families @ self.family) * features).sum(1)
        return logit
