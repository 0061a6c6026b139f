"""Simulated canvases: which there are, and where they are kept. Each is made once, and named by what it was made from."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from pipeline.art.compose import VOICES, Layout
from pipeline.art.compose.chance import Chance
from pipeline.art.compose.voices import EDITIONS
from pipeline.art.draw.rendered import shown
from pipeline.art.models.matter import INKS, MATERIALS, Hand
from pipeline.art.train.simulation import SIMULATION, simulate
from pipeline.base.files import write_whole

WINDOW = 224  # pixels of a picture that a canvas shows
SIZES = (
    256,
    384,
    512,
    512,
    512,
    768,
    1024,
    1024,
    1024,
    2048,
)  # pixels of the whole picture, as often as they stand here
FILLED = 0.3  # share of a window that is to be painted, if TRIES find one
TRIES = 6
HELD_OUT = 1 << 40  # seeds from here on are never trained on
SHADE = 0.75  # the strongest


@dataclass(frozen=True, slots=True)
class Canvas:
    """Everything that decides a simulated window."""

    voice: str  # in its first edition: whatever a voice becomes, a canvas stays what it was
    law: int
    token: int
    hand: Hand
    size: int
    windows: tuple[tuple[int, int, int, int], ...]  # the first of them that shows enough, or the last

    def digest(self) -> str:
        """The name of its file."""
        told = json.dumps([SIMULATION, asdict(self)], sort_keys=True)
        return hashlib.sha256(told.encode()).hexdigest()[:32]

    def layout(self) -> Layout:
        return Layout(EDITIONS[self.voice].bound(self.law)(self.token))

    def window(self, layout: Layout) -> tuple[int, int, int, int]:
        shown = ((layout.on_top(self.size, window) > 0).mean() > FILLED for window in self.windows)
        return next((one for one, enough in zip(self.windows, shown, strict=True) if enough), self.windows[-1])


@dataclass(frozen=True, slots=True)
class Pair:
    """What a renderer is shown, and what it is to make of it."""

    inks: Tensor  # (2, 2H, 2W) uint8
    features: Tensor  # (FEATURES, H, W) float16
    matter: Tensor  # (6, H, W) float32
    style: Tensor  # (STYLE,)
    size: int


def canvas(number: int) -> Canvas:
    """Canvas `number` of those to learn from, or from HELD_OUT on, of those that are not: voices and materials in turn."""
    chance = Chance(number, "canvas")
    voice, material = tuple(VOICES)[number % len(VOICES)], MATERIALS[number // len(VOICES) % len(MATERIALS)]
    hand = Hand(material, *(round(chance(), 3) for _ in range(5)))
    size = chance.of(SIZES)
    last = (size - WINDOW) // 2
    corners = [(chance.whole(0, last) * 2, chance.whole(0, last) * 2) for _ in range(TRIES)]
    windows = tuple((left, top, WINDOW, WINDOW) for left, top in corners)
    return Canvas(voice, number // 3, number, hand, size, windows)


def kept(wanted: Canvas, folder: Path, device: str = "cpu") -> Path:
    """The file of a canvas, made if it is not there."""
    file = folder / f"{wanted.digest()}.safetensors"
    if not file.exists():
        layout = wanted.layout()
        window = wanted.window(layout)
        matter = simulate(layout, wanted.hand, wanted.size, window, device).cpu()
        inks, features = shown(layout, wanted.size, window)
        tensors = {"inks": inks, "features": features.half(), "matter": _to_levels(matter)}
        write_whole(file, save(tensors, {"canvas": json.dumps(asdict(wanted)), "simulation": SIMULATION}))
    return file


def opened(file: Path) -> Pair:
    with safe_open(file, "pt") as found:
        told = json.loads(found.metadata()["canvas"])
        inks, features, matter = (found.get_tensor(name) for name in ("inks", "features", "matter"))
    size = told["size"]
    return Pair(inks, features, _from_levels(matter), Hand(**told["hand"]).style(size), size)


def _to_levels(matter: Tensor) -> Tensor:
    """A byte for each number: (6, H, W)."""
    inks, shade = matter[:INKS], (matter[INKS:] / SHADE + 1) / 2
    return (torch.cat([inks, shade]).clamp(0, 1) * 255).round().to(torch.uint8)


def _from_levels(levels: Tensor) -> Tensor:
    parts = levels.float() / 255
    inks = parts[:INKS] / parts[:INKS].sum(0, keepdim=True).clamp_min(1e-3)
    return torch.cat([inks, (parts[INKS:] * 2 - 1) * SHADE])
