"""Learned materials: a layout becomes matter in a small network, tile by tile, and matter becomes a picture.

A tile's pixels never depend on anything but its own layout and its surroundings: each is one product, computed by one
thread, however many of them there are. The same weights, torch build and kind of device give the same bytes.
"""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib import resources
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from pipeline.art.compose import Layout
from pipeline.art.compose.chance import Chance
from pipeline.art.compose.flat import Colours
from pipeline.art.draw.checkpoint import read_weights
from pipeline.art.models.matter import Hand, colour, crisp, misregistered
from pipeline.art.models.renderer import DIVISOR, FINER, Renderer, told
from pipeline.base.errors import GenerationError

RENDERER = "matter-1"  # goes up whenever this code gives other pixels for the same layout, hand and weights
FORMAT = "nft-pipeline/renderer/v1"
TILE, MARGIN = 512, 64  # pixels of a picture that are drawn together, and that are drawn around them and cut off
WAVER = 0.06  # how far a token's hand strays from its collection's
LOOSE = 0.0045  # canvas widths that a plate may lie off

# material -> the least of each number of a collection's hand, and how much more it may be
HANDS = {
    "gouache": ((0.25, 0.35, 0.35, 0.35, 0.25), (0.45, 0.40, 0.40, 0.40, 0.50)),
    "wash": ((0.15, 0.25, 0.30, 0.30, 0.25), (0.35, 0.50, 0.45, 0.40, 0.45)),
    "print": ((0.25, 0.20, 0.30, 0.20, 0.20), (0.45, 0.60, 0.45, 0.50, 0.50)),
    "chalk": ((0.15, 0.20, 0.30, 0.30, 0.25), (0.35, 0.55, 0.45, 0.40, 0.50)),
}


class Rendering:
    """The renderer whose weights ship with the package, on the CPU."""

    def __init__(self, threads: int | None = None, tile: int = TILE) -> None:
        self.tile = tile
        self.threads = threads or os.cpu_count() or 1
        self._network, self.weights_sha256 = _renderer(shipped())
        self._pool = ThreadPoolExecutor(self.threads, "render", initializer=torch.set_num_threads, initargs=(1,))

    def picture(
        self, layout: Layout, material: str, law: int, seed: int, colours: Colours, size: int
    ) -> tuple[NDArray[np.uint8], bool]:
        """The pixels (size, size, 3), and whether every number behind them was one."""
        hand = hand_of(material, law, seed)
        off = plates_off(law, seed) if material == "print" else None
        palette = torch.tensor(colours, dtype=torch.float32)[None] / 255
        pixels = np.empty((size, size, 3), np.uint8)

        def draw(corner: tuple[int, int]) -> bool:
            left, top = corner
            width, height = min(self.tile, size - left), min(self.tile, size - top)
            tile, sound = self._tile(layout, hand, off, palette, size, (left, top, width, height))
            pixels[top : top + height, left : left + width] = tile
            return sound

        corners = [(left, top) for top in range(0, size, self.tile) for left in range(0, size, self.tile)]
        return pixels, all(list(self._pool.map(draw, corners)))

    @torch.inference_mode()
    def _tile(
        self,
        layout: Layout,
        hand: Hand,
        off: tuple[float, float] | None,
        palette: Tensor,
        size: int,
        tile: tuple[int, int, int, int],
    ) -> tuple[NDArray[np.uint8], bool]:
        left, top, width, height = tile
        x0, y0 = max(0, left - MARGIN), max(0, top - MARGIN)
        x1, y1 = min(size, left + width + MARGIN), min(size, top + height + MARGIN)
        inks, features = shown(layout, size, (x0, y0, x1 - x0, y1 - y0))
        right, down = -(x1 - x0) % DIVISOR, -(y1 - y0) % DIVISOR
        inks = F.pad(inks.float(), (0, right * FINER, 0, down * FINER), mode="replicate")
        features = F.pad(features, (0, right, 0, down), mode="replicate")
        matter = self._network(told(inks[None], features[None], size), hand.style(size)[None])[
            ..., : y1 - y0, : x1 - x0
        ]
        matter = crisp(matter, hand.material)
        if off is not None:
            matter = misregistered(matter, off[0] * size, off[1] * size, hand.wet)
        matter = matter[..., top - y0 : top - y0 + height, left - x0 : left - x0 + width]
        levels = colour(matter, palette)[0]
        sound = bool(levels.isfinite().all())
        pixels: NDArray[np.uint8] = (levels.nan_to_num() * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
        return pixels, sound


def shown(layout: Layout, size: int, window: tuple[int, int, int, int]) -> tuple[Tensor, Tensor]:
    """What the renderer is shown of a window: inks (2, 2H, 2W) and features (FEATURES, H, W)."""
    left, top, width, height = (number * FINER for number in window)
    fine = (left, top, width, height)
    on_top = layout.on_top(size * FINER, fine)
    below = layout.inks(layout.beneath(size * FINER, on_top, fine))
    bare = layout.bare(on_top)
    below[bare] = on_top[bare] = 0
    inks = np.stack([layout.inks(on_top), below])
    return torch.from_numpy(inks), torch.from_numpy(layout.features(on_top, size * FINER, fine, FINER))


def hand_of(material: str, law: int, seed: int) -> Hand:
    """The hand of a collection, which a token wavers a little around."""
    drawn, wavers = Chance(law, "hand"), Chance(seed, "hand")
    numbers = [low + more * drawn() for low, more in zip(*HANDS[material], strict=True)]
    return Hand(material, *(round(min(1.0, max(0.0, number + wavers.normal(WAVER))), 4) for number in numbers))


def plates_off(law: int, seed: int) -> tuple[float, float]:
    """How far a print's plates lie off, in canvas widths, right and down."""
    drawn, wavers = Chance(law, "plates"), Chance(seed, "plates")
    right, down = (drawn(-1.0, 1.0) + wavers.normal(0.15) for _ in range(2))
    return right * LOOSE, down * LOOSE


def shipped() -> Path:
    return Path(str(resources.files("pipeline.art.draw") / "weights" / "material.safetensors"))


@cache
def _renderer(file: Path) -> tuple[Renderer, str]:
    """The network with the weights of a file, and their digest. Raises GenerationError for any other file."""
    weights = read_weights(file)
    try:
        sound = json.loads(weights.metadata.get("renderer", "{}")).get("format") == FORMAT
    except (ValueError, AttributeError):
        sound = False
    if not sound:
        raise GenerationError(reason=f"cannot use {file}: it is no renderer's", hint="install the package again")
    network = Renderer().requires_grad_(False).eval()
    try:
        network.load_state_dict({name: tensor.float() for name, tensor in weights.tensors.items()})
    except RuntimeError as error:
        reason = f"cannot use {file}: its tensors do not fit the renderer"
        raise GenerationError(reason=reason, hint="install the package again") from error
    return network.to(memory_format=torch.channels_last), weights.sha256
