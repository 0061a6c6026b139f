"""The renderer: a small U-Net that puts matter on a layout, and the critic that it is trained against.

It is told which inks lie where at twice the picture's pixels, and what is known of the stroke there at the picture's own;
see `art.compose.planes`. The hand reaches every block as a scale and a shift of its channels (Perez et al., "FiLM", 2018).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.art.models.matter import INKS, MATTER, STYLE

FINER = 2  # pixels of the ink planes, across and down, for each of the picture
DIVISOR = 16  # of a tile's sides: the deepest level is at a sixteenth
FEATURES = 12  # planes of compose.planes.FEATURES
MADE = 14  # numbers that are made of them
BLOCK = 2  # pixels of the picture, across and down, that are told together
LAYERS = 2  # of inks: on top, and under it
TOLD_INKS = LAYERS * (BLOCK * FINER) ** 2 * INKS
TOLD = TOLD_INKS + MADE * BLOCK**2
BESIDE = 4  # of them, the last, that the critic sees: bristle, paper, where it is painted, and the hand
HIDDEN = 64  # of what a hand becomes
CERTAIN = 2.2  # logit of an ink that covers a pixel, before the network says anything
LEAK = 0.01  # of an ink that is none: a trace of a dark one would be seen all over
BELOW = 0.5  # of the ink under it
# Their places in compose.planes.FEATURES
HEADING_X, HEADING_Y, ALONG, REST, ACROSS, EDGE, HALF_WIDTH, LOAD, BRISTLE, PAPER, PAINTED, HAND = range(FEATURES)


@dataclass(frozen=True, slots=True)
class Widths:
    """Channels at a half, a quarter, an eighth and a sixteenth of the picture's pixels."""

    levels: tuple[int, int, int, int] = (32, 64, 96, 144)


WIDTHS = Widths()


def told(inks: Tensor, features: Tensor, size: int) -> Tensor:
    """What the network sees, for each block of pixels: (B, TOLD, H / 2, W / 2), channels last in memory.

    From the inks on top and under it, (B, 2, 2H, 2W) whole numbers, and features (B, FEATURES, H, W) of a picture of
    `size` pixels.
    """
    batch, _, height, width = features.shape
    rows, columns, side = height // BLOCK, width // BLOCK, BLOCK * FINER
    samples = inks.view(batch, LAYERS, rows, side, columns, side).permute(0, 2, 4, 1, 3, 5).flatten(3)
    one_of = torch.eye(INKS, dtype=features.dtype, device=features.device)
    layers = F.embedding(samples.int(), one_of).flatten(3)  # (B, H / 2, W / 2, TOLD_INKS)
    made = torch.stack(_made(features, size), 1)
    pixels = made.view(batch, MADE, rows, BLOCK, columns, BLOCK).permute(0, 2, 4, 1, 3, 5).flatten(3)
    return torch.cat([layers, pixels], 3).permute(0, 3, 1, 2)


def _made(features: Tensor, size: int) -> list[Tensor]:
    """Numbers about as large as one, (B, H, W) each."""
    painted, edge = features[:, PAINTED], features[:, EDGE]
    return [
        features[:, HEADING_X],
        features[:, HEADING_Y],
        torch.exp(-features[:, ALONG] / 0.02) * painted,
        torch.exp(-features[:, ALONG] / 0.2) * painted,
        torch.exp(-features[:, REST].clamp_min(-0.05) / 0.02) * painted,
        features[:, ACROSS],
        (edge * (size / 4)).clamp(-1, 1.5),
        (edge * 60).clamp(-1, 1.5),
        features[:, HALF_WIDTH] * 20,
        features[:, LOAD] * painted,
        features[:, BRISTLE] * 2 - 1,
        features[:, PAPER] * 2 - 1,
        painted,
        features[:, HAND] * 2 - 1,
    ]


def coverage(layers: tuple[float, ...]) -> Tensor:
    """A matrix (INKS * BLOCK * BLOCK, TOLD): from what is told to how much of each ink lies at each pixel of a block.

    The layers are weighed; the rows are ordered as `pixel_shuffle` wants them.
    """
    side = BLOCK * FINER
    found = torch.zeros(INKS, BLOCK, BLOCK, TOLD)
    for layer, weight in enumerate(layers):
        for y in range(side):
            for x in range(side):
                for ink in range(INKS):
                    channel = ((layer * side + y) * side + x) * INKS + ink
                    found[ink, y // FINER, x // FINER, channel] = weight / FINER**2
    return found.view(INKS * BLOCK * BLOCK, TOLD)


def pointwise(x: Tensor, linear: nn.Module) -> Tensor:
    """A product at each point of (B, C, H, W): on a CPU quicker than a convolution of one by one."""
    y: Tensor = linear(x.permute(0, 2, 3, 1))
    return y.permute(0, 3, 1, 2)


class Block(nn.Module):
    """Convolutions beside a way around them; the hand scales and shifts what goes into each."""

    def __init__(self, channels: int, depth: int = 2) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in range(depth))
        self.film = nn.Linear(HIDDEN, 2 * channels * depth)
        nn.init.normal_(self.film.weight, 0, 0.02)
        nn.init.zeros_(self.film.bias)
        nn.init.normal_(self.convolutions[-1].weight, 0, 0.5 / math.sqrt(18 * channels))  # type: ignore[arg-type]

    def forward(self, x: Tensor, hand: Tensor) -> Tensor:
        numbers = self.film(hand)[:, :, None, None].chunk(2 * len(self.convolutions), 1)
        y = x
        for i, convolution in enumerate(self.convolutions):
            y = convolution(F.leaky_relu(torch.addcmul(numbers[2 * i + 1], y, 1 + numbers[2 * i]), 0.1, inplace=True))
        return x + y


class Renderer(nn.Module):
    """What `told` gives and styles (B, STYLE) to matter (B, MATTER, H, W)."""

    def __init__(self, widths: Widths = WIDTHS) -> None:
        super().__init__()
        half, quarter, eighth, sixteenth = widths.levels
        self.hand = nn.Sequential(
            nn.Linear(STYLE, HIDDEN), nn.LeakyReLU(0.1), nn.Linear(HIDDEN, HIDDEN), nn.LeakyReLU(0.1)
        )
        self.enter = nn.Linear(TOLD, half)
        self.down = nn.ModuleList([Block(half), Block(quarter), Block(eighth)])
        self.narrower = nn.ModuleList(
            nn.Conv2d(a, b, 2, 2) for a, b in ((half, quarter), (quarter, eighth), (eighth, sixteenth))
        )
        self.deepest = Block(sixteenth, 4)
        self.wider = nn.ModuleList(
            nn.Linear(a, b) for a, b in ((sixteenth, eighth), (eighth, quarter), (quarter, half))
        )
        self.up = nn.ModuleList([Block(eighth), Block(quarter), Block(half, 3)])
        self.leave = nn.Conv2d(half, MATTER * 4, 3, padding=1)
        self.register_buffer("lies", coverage((CERTAIN, BELOW)), persistent=False)
        self.lies: Tensor
        nn.init.normal_(self.leave.weight, 0, 0.01)
        nn.init.zeros_(self.leave.bias)  # type: ignore[arg-type]

    def forward(self, seen: Tensor, styles: Tensor) -> Tensor:
        height, width = seen.shape[2] * BLOCK, seen.shape[3] * BLOCK
        assert seen.shape[1] == TOLD and height % DIVISOR == width % DIVISOR == 0, seen.shape
        hand = self.hand(styles)
        x = pointwise(seen, self.enter)
        passed = []
        for block, narrower in zip(self.down, self.narrower, strict=True):
            x = block(x, hand)
            passed.append(x)
            x = narrower(x)
        x = self.deepest(x, hand)
        for wider, block, beside in zip(self.wider, self.up, reversed(passed), strict=True):
            x = block(beside + F.interpolate(pointwise(x, wider), scale_factor=2, mode="nearest"), hand)
        said = F.pixel_shuffle(self.leave(F.leaky_relu(x, 0.1)).float(), BLOCK)
        lies = F.pixel_shuffle(F.linear(seen.permute(0, 2, 3, 1), self.lies).permute(0, 3, 1, 2).float(), BLOCK)
        inks = (F.softmax(said[:, :INKS] * 3 + lies, 1) - LEAK).clamp_min(0)
        return torch.cat([inks / inks.sum(1, keepdim=True), torch.tanh(said[:, INKS:]) * 0.8], 1)


class MatterCritic(nn.Module):
    """How much matter on a layout looks simulated, patch by patch: (B, 1, H / 8, W / 8) logits, and a projection on the
    hand (Miyato and Koyama 2018)."""

    def __init__(self, widths: tuple[int, int, int, int] = (48, 72, 112, 160)) -> None:
        super().__init__()
        first, second, third, last = widths
        self.see = nn.Sequential(
            nn.Conv2d(MATTER + INKS + BESIDE, first, 3, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(first, second, 4, 2, 1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(second, third, 4, 2, 1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(third, last, 4, 2, 1),
            nn.LeakyReLU(0.2),
        )
        self.register_buffer("lies", coverage((1.0, 0.0)), persistent=False)
        self.lies: Tensor
        self.real = nn.Conv2d(last, 1, 1)
        self.hand = nn.Linear(STYLE, last)

    def forward(self, matter: Tensor, seen: Tensor, styles: Tensor) -> Tensor:
        top = F.linear(seen.permute(0, 2, 3, 1), self.lies).permute(0, 3, 1, 2)
        beside = F.pixel_shuffle(torch.cat([top, seen[:, TOLD - BESIDE * BLOCK**2 :]], 1), BLOCK)
        x = self.see(torch.cat([matter, beside.to(matter.dtype)], 1))
        judged: Tensor = self.real(x) + (x * self.hand(styles)[:, :, None, None]).mean(1, keepdim=True)
        return judged
