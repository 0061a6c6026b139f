"""The default generator: a seed becomes a token's numbers, its inks point by point, and its pixels.

Pixels of a seed never depend on anything else. Randomness comes from the seed's own streams, every token has its own
matrix products over chunks of a fixed size, and each chunk is computed by one thread, however many of them there are.
The same weights, renderer, torch build and kind of device give the same bytes; other devices differ by a level or two,
and so do tokens that share their products, as they do on a GPU: `renderer` says so then.
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
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.art.draw import Drawing, seeds
from pipeline.art.draw.checkpoint import read_checkpoint
from pipeline.art.draw.palettes import NAMES, colour, palette_colours
from pipeline.art.draw.stage import check_size, is_out_of_memory
from pipeline.art.draw.traits import (
    PROOF,
    VISIBLE,
    ink_entropy,
    measured_traits,
    share_changed,
)
from pipeline.art.models.canvas import Numbers
from pipeline.art.models.families import FAMILIES, PLANES, UPRIGHT
from pipeline.art.models.painter import SHUT, Folded, Painter, paint_fields
from pipeline.art.models.vocabulary import GROUPS, draw_numbers, fields
from pipeline.base.errors import GenerationError
from pipeline.base.records import Attribute

RENDERER = "vocabulary-4"  # goes up whenever this code gives other pixels for the same seed and weights
CHUNK = 8192  # points per product: fields and activations stay in a core's cache
BAND = 512  # rows painted at a time: bounds memory at 4096 px to what 512 rows take
GPU_BATCH = 16  # tokens that fill a GPU; the CPU's pixels are exact with one token per product
EDGE = 0.1  # colour difference between neighbours above which a pixel is sampled again
ROOKS = ((-3, -1), (-1, 3), (1, -3), (3, 1))  # in eighths of a pixel: no two share a row or a column
TRUNCATION = 0.9  # latents a little nearer to the middle: fewer oddities, hardly less variety
CROSSES = 0.3  # share of tokens that cross two families
SYMMETRIES = ("None", "None", "None", "None", "None", "None", "Mirror", "Mirror", "Quad", "Kaleidoscope")
DULL = 0.3  # ink entropy below which a picture looks bare: about one drawing in fifty

# group -> (trait, number): counts that a token shows when it shows the group
COUNTED = {
    "lattice": ("Grid", "lattice.count"),
    "tiles": ("Tiles", "tiles.count"),
    "panes": ("Panes", "panes.count"),
    "ridges": ("Ridges", "ridges.count"),
    "petals": ("Petals", "petals.fold"),
}


def default_artist(device: str, threads: int | None, batch: int | None = None) -> Artist:
    """The generator whose weights ship with the package."""
    weights = resources.files("pipeline.art.draw") / "weights" / "default.safetensors"
    return Artist(Path(str(weights)), device, threads, "default", batch)


class SeedNoise:
    """A token's numbers, from one stream for each name; see `canvas.Noise`."""

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


@dataclass(frozen=True)
class Batch:
    """Tokens that are painted together: B painters for the groups that any of them opens."""

    tokens: tuple[Token, ...]
    numbers: Numbers
    folded: Folded
    groups: tuple[str, ...]

    @classmethod
    def of(cls, tokens: Sequence[Token]) -> Batch:
        groups = tuple(name for name in GROUPS if any(name in token.groups for token in tokens))
        numbers = {name: torch.cat([token.numbers[name] for token in tokens]) for name in tokens[0].numbers}
        parts = [token.folded.spread(channels_of(token.groups, groups, token.folded.phase.device)) for token in tokens]
        return cls(tuple(tokens), numbers, Folded.stack(parts), groups)

    def planes(self, x: Tensor, y: Tensor) -> Tensor:
        """Ink planes (B, 6, N) at (B, N) points."""
        folds = [reflect(token.symmetry, *point) for token, *point in zip(self.tokens, x, y, strict=True)]
        x, y = (torch.stack(axis) for axis in zip(*folds, strict=True))
        return paint_fields(self.folded, fields(self.numbers, x, y, self.groups))

    def without(self, group: str) -> Batch:
        """The same tokens, blind to one group."""
        kept = tuple(name for name in self.groups if name != group)
        keep = channels_of(kept, self.groups, self.folded.phase.device).nonzero()[:, 0]
        return replace(self, folded=self.folded.keep(keep), groups=kept)


class Artist:
    """A BatchGenerator with the vocabulary GAN of a checkpoint; `batch` is how many are drawn together, where given."""

    dtype = "float32"

    def __init__(
        self,
        weights: Path,
        device: str = "cpu",
        threads: int | None = None,
        name: str = "",
        batch: int | None = None,
    ) -> None:
        checkpoint = read_checkpoint(weights)
        self.weights_sha256 = checkpoint.sha256
        self.detail_cuts = checkpoint.detail_cuts()
        self._device = open_device(device)
        self.device = str(self._device)
        self.threads = threads or os.cpu_count() or 1
        self.name = name or weights.name
        self.batch = batch or batch_on(self._device)
        self.renderer = renderer_id(RENDERER, self.batch, self._device)
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
        return self.draw_batch([seed], size)[0]

    def draw_batch(self, seeds: Sequence[int], size: int) -> list[Drawing]:
        """The pictures of several seeds, in shared matrix products: what keeps a GPU busy.

        Each differs from that of `draw` by the last bit of a product at most (class B). Raises torch.OutOfMemoryError
        where so many do not fit; a single one is painted in smaller parts then.
        """
        check_size(size)
        batch, proofs = self._pool.submit(self._compose, seeds).result()
        attributes = self._pool.submit(self._attributes, batch, proofs).result()
        pixels, finite = self._render(batch, size)
        flaws = [
            "not finite" if not sound else "blank" if ink_entropy(proof) < DULL else ""
            for sound, proof in zip(finite, proofs, strict=True)
        ]
        return [Drawing(*parts) for parts in zip(seeds, pixels, attributes, flaws, strict=True)]

    @torch.inference_mode()
    def token(self, seed: int) -> Token:
        """What `seed` decides."""
        noise = SeedNoise(seed)
        families = self._families(noise)
        symmetry = self._symmetry(noise, families)
        weights = torch.zeros(1, len(FAMILIES))
        weights[0, list(families)] = 1 / len(families)
        numbers = {name: value.to(self._device) for name, value in draw_numbers(noise, weights).items()}
        folded = self.painter.draw(noise, weights, TRUNCATION)

        gates = (weights.to(self._device) @ self.painter.openness())[0]
        open_groups = [name for name, gate in zip(GROUPS, gates.tolist(), strict=True) if gate >= SHUT]
        wanted = torch.tensor([name in open_groups for name in GROUPS], device=self._device)
        folded = folded.keep(wanted[self.painter.channel_group].nonzero()[:, 0])
        return Token(families, self._palette(noise), symmetry, numbers, folded, tuple(open_groups))

    def _families(self, noise: SeedNoise) -> tuple[int, ...]:
        return choose_families(noise)

    def _symmetry(self, noise: SeedNoise, families: tuple[int, ...]) -> str:
        upright = bool(UPRIGHT.intersection(families))
        return noise.choose("symmetry", ("None", "None", "None", "Mirror") if upright else SYMMETRIES)

    def _palette(self, noise: SeedNoise) -> str:
        return noise.choose("palette", NAMES)

    def _colours(self, palette: str) -> Tensor:
        return palette_colours(palette)

    def _count(self, token: Token, group: str) -> int | None:
        """How many a token shows of what a group counts; None where that cannot be said."""
        return int(token.numbers[COUNTED[group][1]].flatten()[0])

    @torch.inference_mode()
    def proof(self, batch: Batch) -> Tensor:
        """The small pictures, as planes (B, 6, PROOF, PROOF)."""
        x, y = (axis.expand(len(batch.tokens), -1) for axis in pixel_grid(PROOF, self._device))
        planes = torch.cat([batch.planes(*points) for points in self._chunks(x, y)], 2)
        return planes.view(len(planes), PLANES, PROOF, PROOF)

    def _compose(self, seeds: Sequence[int]) -> tuple[Batch, Tensor]:
        batch = Batch.of([self.token(seed) for seed in seeds])
        return batch, self.proof(batch)

    @torch.inference_mode()
    def _attributes(self, batch: Batch, proofs: Tensor) -> list[tuple[Attribute, ...]]:
        counted = [group for group in COUNTED if group in batch.groups]
        blind = {group: self.proof(batch.without(group)) for group in counted if len(batch.groups) > 1}
        found = []
        for i, (token, proof) in enumerate(zip(batch.tokens, proofs, strict=True)):
            traits = [Attribute("Family", token.family), Attribute("Palette", token.palette)]
            traits.append(Attribute("Symmetry", token.symmetry))
            for group in counted:
                alone = len(token.groups) == 1
                if group in token.groups and (alone or share_changed(proof, blind[group][i]) > VISIBLE):
                    count = self._count(token, group)
                    if count is not None:
                        traits.append(Attribute(COUNTED[group][0], count, "number"))
            bend = float(token.numbers["canvas.bend"][0])
            if bend > 0.05:
                traits.append(Attribute("Warp", "Strong" if bend > 0.15 else "Soft"))
            found.append((*traits, *measured_traits(proof, self.detail_cuts)))
        return found

    @torch.inference_mode()
    def _render(self, batch: Batch, size: int) -> tuple[list[NDArray[np.uint8]], list[bool]]:
        """The pixels, (size, size, 3) of each picture, and whether every number behind them was one."""
        colours = torch.stack([self._colours(token.palette) for token in batch.tokens]).to(self._device)
        rows = min(BAND, size)
        while True:
            try:
                bands = [self._band(batch, colours, size, top, rows) for top in range(0, size, rows)]
                finite = np.all([finite for _, finite in bands], 0)
                whole = [np.concatenate(parts) for parts in zip(*(pixels for pixels, _ in bands), strict=True)]
                return whole, finite.tolist()  # an array each: one that waits for its PNG keeps no other alive
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error) or rows == 1 or len(colours) > 1:  # a smaller batch is the quicker way
                    raise
            rows //= 2  # slower, the same pixels, and half the memory

    def _band(
        self, batch: Batch, colours: Tensor, size: int, top: int, rows: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """`rows` rows of the pictures from `top` on: one sample per pixel, and four more where an edge may cross it."""
        first, last = max(0, top - 1), min(size, top + rows + 1)  # a row more on both sides shows the edges there
        x, y = (axis.expand(len(colours), -1) for axis in pixel_grid(size, self._device, first, last))  # (B, N)
        image = self._paint(batch, colours, x, y)  # (B, 3, N)

        rough = rough_pixels(image.view(len(image), 3, -1, size)).flatten(1)  # (B, N)
        again = nn.utils.rnn.pad_sequence([row.nonzero()[:, 0] for row in rough], True, x.shape[1])  # (B, K)
        x, y, image = (F.pad(tensor, (0, 1)) for tensor in (x, y, image))  # a scratch pixel, for what pads a short row
        x, y = x.gather(1, again), y.gather(1, again)
        again = again[:, None].expand(-1, 3, -1)
        total = image.gather(2, again)
        for right, down in ROOKS:
            total += self._paint(batch, colours, x + right / 4 / size, y + down / 4 / size)
        image = image.scatter(2, again, total / (1 + len(ROOKS)))[..., :-1].contiguous()

        band = image.view(len(image), 3, -1, size)[:, :, top - first : top - first + rows]
        finite: NDArray[np.bool_] = band.isfinite().flatten(1).all(1).cpu().numpy()
        pixels = (band.nan_to_num().permute(0, 2, 3, 1) * 255).round().to(torch.uint8)
        return pixels.cpu().numpy(), finite

    def _paint(self, batch: Batch, colours: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """Colours (B, 3, N) at (B, N) points, in chunks that the pool's threads share."""

        @torch.inference_mode()
        def paint(points: tuple[Tensor, Tensor]) -> Tensor:
            return colour(batch.planes(*points), colours)

        parts: Iterable[Tensor] = self._pool.map(paint, self._chunks(x, y))
        return torch.cat([x.new_empty(len(x), 3, 0), *parts], 2)

    def _chunks(self, x: Tensor, y: Tensor) -> Iterable[tuple[Tensor, Tensor]]:
        chunk = CHUNK if self._device.type == "cpu" else CHUNK * 8  # of each token: a GPU has no cache to stay in
        return zip(torch.split(x, chunk, 1), torch.split(y, chunk, 1), strict=True)


def channels_of(groups: Sequence[str], among: Sequence[str], device: torch.device) -> Tensor:
    """Which channels of the groups `among` belong to one of `groups`, (C,)."""
    which = [name in groups for name in among for _ in range(GROUPS[name].channels)]
    return torch.tensor(which, dtype=torch.bool, device=device)


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
    """(B, H, W): whether a pixel of (B, 3, H, W) differs from one of its eight neighbours: an edge may cross it."""
    low, high = (-F.max_pool2d(-image, 3, 1, 1), F.max_pool2d(image, 3, 1, 1))
    return (high - low > EDGE).any(1)


def batch_on(device: torch.device) -> int:
    """How many tokens are drawn together on a device."""
    return 1 if device.type == "cpu" else GPU_BATCH


def renderer_id(code: str, batch: int, device: torch.device, *libraries: str) -> str:
    """Names everything that pixels depend on beside seed and weights, for example `vocabulary-4/torch-2.15.0/cpu`.

    Its last part is the kind of device. Where tokens are drawn together it says how many at most (`batch-16`), because
    the last bit of a pixel depends on that.
    """
    parts = [code, f"torch-{torch.__version__.partition('+')[0]}", *libraries]
    return "/".join([*parts, *([f"batch-{batch}"] if batch > 1 else []), device.type])


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
