"""The default generator: a seed becomes a token's numbers, its inks point by point, and its pixels.

Pixels of a seed never depend on anything else. Randomness comes from the seed's own streams, every token has its own
matrix products over chunks of a fixed size, and each chunk is computed by one thread, however many of them there are.
The same weights, renderer, torch build and kind of device give the same bytes; other devices differ by a level or two.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from importlib import resources
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from pipeline.errors import GenerationError
from pipeline.generate import Drawing, seeds
from pipeline.generate.checkpoint import read_checkpoint
from pipeline.generate.families import FAMILIES, UPRIGHT
from pipeline.generate.models.painter import SHUT, Folded, Painter, paint_fields
from pipeline.generate.models.vocabulary import GROUPS, Numbers, draw_numbers, fields
from pipeline.generate.palettes import NAMES, colour, palette_colours
from pipeline.generate.stage import check_size, is_out_of_memory
from pipeline.generate.traits import (
    PROOF,
    VISIBLE,
    ink_entropy,
    measured_traits,
    share_changed,
)
from pipeline.records import Attribute

RENDERER = "vocabulary-2"  # goes up whenever this code gives other pixels for the same seed and weights
CHUNK = 8192  # points per product: fields and activations stay in a core's cache
BAND = 512  # rows painted at a time: bounds memory at 4096 px to what 512 rows take
EDGE = 0.1  # colour difference between neighbours above which a pixel is sampled again
ROOKS = ((-3, -1), (-1, 3), (1, -3), (3, 1))  # in eighths of a pixel: no two share a row or a column
TRUNCATION = 0.9  # latents a little nearer to the middle: fewer oddities, hardly less variety
CROSSES = 0.3  # share of tokens that cross two families
SYMMETRIES = ("None", "None", "None", "None", "None", "None", "Mirror", "Mirror", "Quad", "Kaleidoscope")
DULL = 0.22  # ink entropy below which a picture is next to blank

# group -> (trait, number): counts that a token shows when it shows the group
COUNTED = {
    "lattice": ("Grid", "lattice.count"),
    "panes": ("Panes", "panes.count"),
    "ridges": ("Ridges", "ridges.count"),
    "petals": ("Petals", "petals.fold"),
}


def default_artist(device: str, threads: int | None) -> Artist:
    """The generator whose weights ship with the package."""
    weights = resources.files("pipeline.generate") / "weights" / "default.safetensors"
    return Artist(Path(str(weights)), device, threads, "default")


class SeedNoise:
    """A token's numbers, from one stream for each name; see `vocabulary.Noise`."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def uniform(self, name: str, *shape: int) -> Tensor:
        count = torch.Size(shape).numel()
        return torch.from_numpy(seeds.uniform(self.seed, self._stream(name), count)).view(1, *shape)

    def normal(self, name: str, *shape: int) -> Tensor:
        count = torch.Size(shape).numel()
        return torch.from_numpy(seeds.normal(self.seed, self._stream(name), count)).view(1, *shape)

    def choose(self, name: str, values: Sequence[str]) -> str:
        return values[int(self.uniform(name).item() * len(values))]

    def _stream(self, name: str) -> str:
        return f"0/{name}"


@dataclass(frozen=True)
class Token:
    """Everything a seed decides before a point is computed."""

    families: tuple[int, ...]  # one, or two that are crossed
    palette: str
    symmetry: str
    numbers: Numbers
    folded: Folded
    groups: tuple[str, ...]  # the open ones: what is computed

    @cached_property
    def family(self) -> str:
        return " × ".join(FAMILIES[family].capitalize() for family in self.families)

    def planes(self, x: Tensor, y: Tensor) -> Tensor:
        """Ink planes (6, N) at (N,) points."""
        x, y = reflect(self.symmetry, x, y)
        return paint_fields(self.folded, fields(self.numbers, x[None], y[None], self.groups))[0]

    def without(self, group: str) -> Token:
        """The same token, blind to one group."""
        kept = tuple(name for name in self.groups if name != group)
        keep = torch.tensor([name != group for name in self.groups for _ in range(GROUPS[name].channels)])
        folded = self.folded.keep(keep.nonzero()[:, 0].to(self.folded.phase.device))
        return replace(self, folded=folded, groups=kept)


class Artist:
    """A Generator with the vocabulary GAN of a checkpoint."""

    dtype = "float32"

    def __init__(self, weights: Path, device: str = "cpu", threads: int | None = None, name: str = "") -> None:
        checkpoint = read_checkpoint(weights)
        self.weights_sha256 = checkpoint.sha256
        self.detail_cuts = checkpoint.detail_cuts()
        self._device = open_device(device)
        self.device = str(self._device)
        self.threads = threads or os.cpu_count() or 1
        self.name = name or weights.name
        self.renderer = f"{RENDERER}/torch-{torch.__version__.partition('+')[0]}/{self._device.type}"
        self.painter = Painter(checkpoint.config).requires_grad_(False)
        try:
            self.painter.load_state_dict(checkpoint.tensors)
        except RuntimeError as error:
            reason = f"cannot use {weights}: its tensors do not fit its configuration"
            raise GenerationError(reason=reason, hint="use the file as it was published") from error
        self.painter.to(self._device)
        workers = self.threads if self._device.type == "cpu" else 1  # one stream is what a GPU repeats exactly
        self._pool = ThreadPoolExecutor(workers, "draw", initializer=torch.set_num_threads, initargs=(1,))

    def draw(self, seed: int, size: int) -> Drawing:
        """The picture of `seed`: (size, size, 3). Its traits do not depend on the size."""
        check_size(size)
        token, proof = self._pool.submit(self._compose, seed).result()
        attributes = self._pool.submit(self._attributes, token, proof).result()
        pixels, finite = self._render(token, size)
        flaw = "not finite" if not finite else "blank" if ink_entropy(proof) < DULL else ""
        return Drawing(seed, pixels, attributes, flaw)

    @torch.inference_mode()
    def token(self, seed: int) -> Token:
        """What `seed` decides."""
        noise = SeedNoise(seed)
        families = choose_families(noise)
        upright = bool(UPRIGHT.intersection(families))
        symmetry = noise.choose("symmetry", ("None", "None", "None", "Mirror") if upright else SYMMETRIES)
        weights = torch.zeros(1, len(FAMILIES))
        weights[0, list(families)] = 1 / len(families)
        numbers = {name: value.to(self._device) for name, value in draw_numbers(noise, weights).items()}
        z = noise.normal("z", self.painter.config.z_dim) * TRUNCATION
        folded = self.painter.fold(z.to(self._device), weights.to(self._device))

        gates = (weights.to(self._device) @ self.painter.openness())[0]
        open_groups = [name for name, gate in zip(GROUPS, gates.tolist(), strict=True) if gate >= SHUT]
        wanted = torch.tensor([name in open_groups for name in GROUPS], device=self._device)
        folded = folded.keep(wanted[self.painter.channel_group].nonzero()[:, 0])
        return Token(families, noise.choose("palette", NAMES), symmetry, numbers, folded, tuple(open_groups))

    @torch.inference_mode()
    def proof(self, token: Token) -> Tensor:
        """The small picture, as planes (6, PROOF, PROOF)."""
        x, y = pixel_grid(PROOF, self._device)
        parts = [token.planes(a, b) for a, b in zip(torch.split(x, CHUNK), torch.split(y, CHUNK), strict=True)]
        return torch.cat(parts, 1).view(-1, PROOF, PROOF)

    def _compose(self, seed: int) -> tuple[Token, Tensor]:
        token = self.token(seed)
        return token, self.proof(token)

    @torch.inference_mode()
    def _attributes(self, token: Token, proof: Tensor) -> tuple[Attribute, ...]:
        traits = [Attribute("Family", token.family), Attribute("Palette", token.palette)]
        traits.append(Attribute("Symmetry", token.symmetry))
        for group, (trait, number) in COUNTED.items():
            if group in token.groups and self._shows(token, group, proof):
                traits.append(Attribute(trait, int(token.numbers[number].flatten()[0]), "number"))
        bend = float(token.numbers["canvas.bend"][0])
        if bend > 0.05:
            traits.append(Attribute("Warp", "Strong" if bend > 0.15 else "Soft"))
        return (*traits, *measured_traits(proof, self.detail_cuts))

    def _shows(self, token: Token, group: str, proof: Tensor) -> bool:
        return len(token.groups) == 1 or share_changed(proof, self.proof(token.without(group))) > VISIBLE

    @torch.inference_mode()
    def _render(self, token: Token, size: int) -> tuple[NDArray[np.uint8], bool]:
        """The pixels, and whether every number behind them was one."""
        colours, rows = palette_colours(token.palette).to(self._device), min(BAND, size)
        while True:
            try:
                bands = [self._band(token, colours, size, top, rows) for top in range(0, size, rows)]
                return np.concatenate([pixels for pixels, _ in bands]), all(finite for _, finite in bands)
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error) or rows == 1:
                    raise
            rows //= 2  # slower, the same pixels, and half the memory

    def _band(self, token: Token, colours: Tensor, size: int, top: int, rows: int) -> tuple[NDArray[np.uint8], bool]:
        """`rows` rows of the picture from `top` on: one sample per pixel, and four more where an edge may cross it."""
        first, last = max(0, top - 1), min(size, top + rows + 1)  # a row more on both sides shows the edges there
        x, y = pixel_grid(size, self._device, first, last)
        image = self._paint(token, colours, x, y)  # (3, N)

        again = rough_pixels(image.view(3, -1, size)).flatten().nonzero()[:, 0]
        x, y = x[again], y[again]
        total = image[:, again]
        for right, down in ROOKS:
            total += self._paint(token, colours, x + right / 4 / size, y + down / 4 / size)
        image[:, again] = total / (1 + len(ROOKS))

        band = image.view(3, -1, size)[:, top - first : top - first + rows]
        finite = bool(band.isfinite().all())
        pixels: NDArray[np.uint8] = (band.nan_to_num().permute(1, 2, 0) * 255).round().to(torch.uint8).cpu().numpy()
        return pixels, finite

    def _paint(self, token: Token, colours: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """Colours (3, N) at (N,) points, in chunks that the pool's threads share."""

        @torch.inference_mode()
        def paint(points: tuple[Tensor, Tensor]) -> Tensor:
            return colour(token.planes(*points), colours)

        chunks = zip(torch.split(x, CHUNK), torch.split(y, CHUNK), strict=True)
        parts: Iterable[Tensor] = self._pool.map(paint, chunks)
        return torch.cat([x.new_empty(3, 0), *parts], 1)


def choose_families(noise: SeedNoise) -> tuple[int, ...]:
    """One family, or two different ones to cross."""
    first = int(noise.uniform("family").item() * len(FAMILIES))
    if noise.uniform("crossed").item() >= CROSSES:
        return (first,)
    return first, (first + 1 + int(noise.uniform("other").item() * (len(FAMILIES) - 1))) % len(FAMILIES)


def reflect(symmetry: str, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Fold the canvas onto the part that is painted: a half, a quarter, or an eighth of it."""
    if symmetry == "None":
        return x, y
    x, y = x.abs(), y if symmetry == "Mirror" else y.abs()
    return (torch.maximum(x, y), torch.minimum(x, y)) if symmetry == "Kaleidoscope" else (x, y)


def pixel_grid(size: int, device: torch.device, first: int = 0, last: int | None = None) -> tuple[Tensor, Tensor]:
    """Centres of the pixels of rows `first` to `last`, row by row: x (N,), y (N,)."""
    axis = (torch.arange(size, device=device) + 0.5) / size * 2 - 1
    rows = axis[first:last]
    return axis.repeat(len(rows)), rows.repeat_interleave(size)


def rough_pixels(image: Tensor) -> Tensor:
    """(H, W): whether a pixel of (3, H, W) differs from one of its eight neighbours, so that an edge may cross it."""
    low, high = (-F.max_pool2d(-image[None], 3, 1, 1), F.max_pool2d(image[None], 3, 1, 1))
    return ((high - low)[0] > EDGE).any(0)


def open_device(name: str) -> torch.device:
    """The device of that name; `auto` takes a GPU where there is one. Raises GenerationError where it is not."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
        if device.type not in ("cpu", "cuda", "mps"):
            raise NotImplementedError("pictures are drawn on cpu, cuda and mps")
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise GenerationError(reason=f"device {name!r} is not here: {reason}", hint="use --device cpu") from error
    return device
