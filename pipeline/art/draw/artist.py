"""The default generator: a seed becomes a token's numbers, its inks point by point, and its pixels.

Pixels of a seed never depend on anything else. Randomness comes from the seed's own streams, every token has its own
matrix products over chunks of a fixed size, and each chunk is computed by one thread, however many of them there are.
The same weights, renderer, torch build and kind of device give the same bytes; other devices differ by a level or two,
and so do tokens that share their products, as they do on a GPU: `renderer` says so then.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from pipeline.art.draw import Drawing
from pipeline.art.draw.checkpoint import read_checkpoint
from pipeline.art.draw.palettes import NAMES, colour, palette_colours
from pipeline.art.draw.stage import check_size, is_out_of_memory
from pipeline.art.draw.tokens import Batch, Chances, choose_families, compose
from pipeline.art.draw.traits import PROOF, VISIBLE, Seen, seen, shares_changed
from pipeline.art.models.families import PLANES, UPRIGHT
from pipeline.art.models.painter import Painter, paint_fields
from pipeline.base.errors import GenerationError
from pipeline.base.records import Attribute

RENDERER = "vocabulary-4"  # goes up whenever this code gives other pixels for the same seed and weights
CHUNK = 8192  # points per product: fields and activations stay in a core's cache
POINT_BYTES = 4096  # of a device's memory that a point takes while its fields and activations live, and as much again
BAND = 512  # rows painted at a time: bounds memory at 4096 px to what 512 rows take
GPU_BATCH = 16  # tokens that fill a GPU; the CPU's pixels are exact with one token per product
EDGE = 0.1  # colour difference between neighbours above which a pixel is sampled again
ROOKS = ((-3, -1), (-1, 3), (1, -3), (3, 1))  # in eighths of a pixel: no two share a row or a column
TRUNCATION = 0.9  # latents a little nearer to the middle: fewer oddities, hardly less variety
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


def default_artist(device: str, threads: int | None, batch: int | None = None, chunk: int | None = None) -> Artist:
    """The generator whose weights ship with the package."""
    weights = resources.files("pipeline.art.draw") / "weights" / "default.safetensors"
    return Artist(Path(str(weights)), device, threads, "default", batch, chunk)


class Verdict(NamedTuple):
    flaw: str
    layout: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Proofs:
    """The small pictures of a batch, which traits are measured from."""

    planes: Tensor  # (B, 6, PROOF, PROOF)
    blind: dict[str, Tensor]  # the same without each group that is counted


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
        chunk: int | None = None,
    ) -> None:
        checkpoint = read_checkpoint(weights)
        self.weights_sha256 = checkpoint.sha256
        self.detail_cuts = checkpoint.detail_cuts()
        self._device = open_device(device)
        self.device = str(self._device)
        self.threads = threads or os.cpu_count() or 1
        self.name = name or weights.name
        self.batch = batch or batch_on(self._device)
        self.chunk = chunk or (CHUNK if self._device.type == "cpu" else None)
        self.renderer = renderer_id(RENDERER, self.batch, self._device)
        self.painter = Painter(checkpoint.config).requires_grad_(False)  # on the host, as all that is composed
        try:
            self.painter.load_state_dict(checkpoint.tensors)
        except RuntimeError as error:
            reason = f"cannot use {weights}: its tensors do not fit its configuration"
            raise GenerationError(reason=reason, hint="use the file as it was published") from error
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
        host, batch, proofs = self._pool.submit(self._proved, seeds).result()
        told = self._pool.submit(self._told, host, proofs).result()
        pixels, finite = self._render(batch, size)
        return [
            Drawing(seed, picture, attributes, verdict.flaw if sound else "not finite", verdict.layout)
            for seed, picture, sound, (attributes, verdict) in zip(seeds, pixels, finite, told, strict=True)
        ]

    @torch.inference_mode()
    def _proved(self, seeds: Sequence[int]) -> tuple[Batch, Batch, Proofs]:
        """Tokens as they were composed, where they are painted, and their proofs."""
        host = self.compose(seeds)
        batch = host.on(self._device)
        return host, batch, self.proofs(batch)

    def compose(self, seeds: Sequence[int]) -> Batch:
        """What several seeds decide, on the host: of each what it decides alone, to the last bit."""
        return compose(seeds, self.painter, TRUNCATION, self._decide, self._colours)

    def _decide(self, chances: Chances) -> tuple[tuple[int, ...], str, str]:
        families = choose_families(chances)
        upright = bool(UPRIGHT.intersection(families))
        symmetry = chances.choose("symmetry", ("None", "None", "None", "Mirror") if upright else SYMMETRIES)
        return families, chances.choose("palette", NAMES), symmetry

    def _colours(self, palette: str) -> Tensor:
        return palette_colours(palette)

    def _count(self, host: Batch, row: int, group: str) -> int | None:
        """How many a token shows of what a group counts; None where that cannot be said."""
        return int(host.numbers[COUNTED[group][1]][row].flatten()[0])

    @torch.inference_mode()
    def proofs(self, batch: Batch) -> Proofs:
        """The small pictures, and those without each counted group, from the same fields."""
        x, y = (axis.expand(len(batch.tokens), -1) for axis in pixel_grid(PROOF, self._device))
        counted = [group for group in COUNTED if group in batch.groups and len(batch.groups) > 1]
        parts = []
        for points in self._chunks(x, y):
            fields = batch.fields(*points)
            parts.append([paint_fields(batch.folded, fields), *(batch.blind_to(group, fields) for group in counted)])
        planes = [torch.cat(part, 2).view(len(x), PLANES, PROOF, PROOF) for part in zip(*parts, strict=True)]
        return Proofs(planes[0], dict(zip(counted, planes[1:], strict=True)))

    @torch.inference_mode()
    def _told(self, host: Batch, proofs: Proofs) -> list[tuple[tuple[Attribute, ...], Verdict]]:
        """Attributes of each token, and what its proof is worth."""
        changed = {group: shares_changed(proofs.planes, blind) for group, blind in proofs.blind.items()}
        bends, measured = host.numbers["canvas.bend"].tolist(), seen(proofs.planes)
        found = []
        for row, (token, bend, one) in enumerate(zip(host.tokens, bends, measured, strict=True)):
            visible = [
                group
                for group in COUNTED
                if group in token.groups and (len(token.groups) == 1 or changed[group][row] > VISIBLE)
            ]
            counts = [(COUNTED[group][0], self._count(host, row, group)) for group in visible]
            found.append(
                (
                    *(Attribute("Family", token.family), Attribute("Palette", token.palette)),
                    Attribute("Symmetry", token.symmetry),
                    *(Attribute(trait, count, "number") for trait, count in counts if count is not None),
                    *([Attribute("Warp", "Strong" if bend > 0.15 else "Soft")] if bend > 0.05 else []),
                    *one.traits(self.detail_cuts),
                )
            )
        return list(zip(found, self._judged(host, measured, proofs.planes), strict=True))

    def _judged(self, host: Batch, measured: Sequence[Seen], planes: Tensor) -> list[Verdict]:
        return [Verdict("blank" if one.entropy < DULL else "") for one in measured]

    @torch.inference_mode()
    def _render(self, batch: Batch, size: int) -> tuple[list[NDArray[np.uint8]], list[bool]]:
        """The pixels, (size, size, 3) of each picture, and whether every number behind them was one."""
        rows = min(BAND, size)
        while True:
            try:
                bands = [self._band(batch, size, top, rows) for top in range(0, size, rows)]
                finite = np.all([finite for _, finite in bands], 0)
                whole = [np.concatenate(parts) for parts in zip(*(pixels for pixels, _ in bands), strict=True)]
                return whole, finite.tolist()  # an array each: one that waits for its PNG keeps no other alive
            except (MemoryError, RuntimeError) as error:
                if (
                    not is_out_of_memory(error) or rows == 1 or len(batch.tokens) > 1
                ):  # a smaller batch is the quicker way
                    raise
            rows //= 2  # slower, the same pixels, and half the memory

    def _band(self, batch: Batch, size: int, top: int, rows: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """`rows` rows of the pictures from `top` on: one sample per pixel, and four more where an edge may cross it."""
        first, last = max(0, top - 1), min(size, top + rows + 1)  # a row more on both sides shows the edges there
        x, y = (axis.expand(len(batch.tokens), -1) for axis in pixel_grid(size, self._device, first, last))  # (B, N)
        (image,) = self._paint(batch, [(x, y)])  # (B, 3, N)

        again = places(rough_pixels(image.view(len(image), 3, -1, size)).flatten(1))  # (B, K)
        x, y, image = (F.pad(tensor, (0, 1)) for tensor in (x, y, image))  # a scratch pixel, for what pads a short row
        x, y = x.gather(1, again), y.gather(1, again)
        again = again[:, None].expand(-1, 3, -1)
        total = image.gather(2, again)
        for sample in self._paint(batch, [(x + right / 4 / size, y + down / 4 / size) for right, down in ROOKS]):
            total += sample
        image = image.scatter(2, again, total / (1 + len(ROOKS)))[..., :-1].contiguous()

        band = image.view(len(image), 3, -1, size)[:, :, top - first : top - first + rows]
        finite = band.isfinite().flatten(1).all(1)
        pixels = (band.nan_to_num().permute(0, 2, 3, 1) * 255).round().to(torch.uint8)
        return on_host(pixels), on_host(finite)

    def _paint(self, batch: Batch, sets: Sequence[tuple[Tensor, Tensor]]) -> list[Tensor]:
        """Colours (B, 3, N) at each set of (B, N) points: in chunks of one set that the pool's threads share on a CPU, all
        sets together in as few as memory allows on a device.
        """

        @torch.inference_mode()
        def paint(points: tuple[Tensor, Tensor]) -> Tensor:
            return colour(batch.planes(*points), batch.colours)

        if self.chunk != CHUNK:
            x, y = (torch.cat(axis, 1) for axis in zip(*sets, strict=True))
            parts = [paint(points) for points in self._chunks(x, y)]
            whole = torch.cat([x.new_empty(len(x), 3, 0), *parts], 2)
            return list(torch.split(whole, [points[0].shape[1] for points in sets], 2))
        chunks = [self._chunks(*points) for points in sets]
        painted = iter(self._pool.map(paint, [chunk for some in chunks for chunk in some]))
        empty = sets[0][0].new_empty(len(sets[0][0]), 3, 0)
        return [torch.cat([empty, *(next(painted) for _ in some)], 2) for some in chunks]

    def _chunks(self, x: Tensor, y: Tensor) -> list[tuple[Tensor, Tensor]]:
        chunk = self.chunk or max(CHUNK, room_for(self._device) // len(x))  # of each token
        return list(zip(torch.split(x, chunk, 1), torch.split(y, chunk, 1), strict=True))


def room_for(device: torch.device) -> int:
    """How many points a device has memory for at once."""
    if device.type != "cuda":
        return 1 << 20
    free, _ = torch.cuda.mem_get_info(device)
    held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return (free + held) // POINT_BYTES


def on_host(tensor: Tensor) -> NDArray[Any]:
    """A tensor's numbers where Python reads them; from a GPU through memory that its copy engine reads itself."""
    if tensor.device.type != "cuda":
        return tensor.cpu().numpy()
    held = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    held.copy_(tensor, non_blocking=True)
    torch.cuda.current_stream(tensor.device).synchronize()
    return held.numpy()


def pixel_grid(size: int, device: torch.device, first: int = 0, last: int | None = None) -> tuple[Tensor, Tensor]:
    """Centres of the pixels of rows `first` to `last`, row by row: x (N,), y (N,)."""
    axis = (torch.arange(size, device=device) + 0.5) / size * 2 - 1
    rows = axis[first:last]
    return axis.repeat(len(rows)), rows.repeat_interleave(size)


def rough_pixels(image: Tensor) -> Tensor:
    """(B, H, W): whether a pixel of (B, 3, H, W) differs from one of its eight neighbours: an edge may cross it."""
    low, high = (-F.max_pool2d(-image, 3, 1, 1), F.max_pool2d(image, 3, 1, 1))
    return (high - low > EDGE).any(1)


def places(marked: Tensor) -> Tensor:
    """Where a mask (B, N) holds, row by row: (B, K) in ascending order, short rows filled with N."""
    count, width = marked.cumsum(1), marked.shape[1]
    most = int(count[:, -1].max())
    slots = torch.where(marked, count - 1, most)  # what is not marked falls into a slot that nobody reads
    everywhere = torch.arange(width, device=marked.device).expand(len(marked), -1)
    found = everywhere.new_full((len(marked), most + 1), width).scatter_(1, slots, everywhere)
    return found[:, :most]


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
