"""A trained checkpoint as a generator: `pipeline mint --model runs/x`.

A seed's latents come from its own counter-based stream, and each token is one forward pass of its own, computed by one
thread, so a picture depends on nothing else; on a GPU several share a pass, and `renderer` says so. The network draws at
the side it was trained at; any other size is scaled from those pixels in Pillow's integer arithmetic, by area downwards
and bicubically upwards.
"""

from __future__ import annotations

import bisect
import colorsys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.art.draw import Drawing, seeds
from pipeline.art.draw.artist import Artist, batch_on, open_device, renderer_id
from pipeline.art.draw.checkpoint import DEFAULT, MODEL_FORMAT, Trained, read_trained, read_weights
from pipeline.art.draw.notes import WEIGHTS
from pipeline.art.draw.stage import check_size
from pipeline.base.records import Attribute

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pipeline.art.draw import Generator

RENDERER = "sampler-1"  # goes up whenever this code gives other pixels for the same seed and weights
TONE = ("Dark", "Dim", "Light", "Bright")
DETAIL = ("Calm", "Balanced", "Intricate", "Dense")
COLOURS = ("Red", "Orange", "Yellow", "Green", "Teal", "Blue", "Violet", "Magenta")
HUES = (0.03, 0.11, 0.18, 0.42, 0.53, 0.70, 0.80, 0.95)  # where each colour ends on the circle of hues
COLOURFUL = 0.12  # mean chroma above which a picture has a colour


def open_checkpoint(path: Path, device: str = "cpu", threads: int | None = None) -> Generator:
    """The generator of a weights file or of a training's folder. Raises GenerationError for unsound weights."""
    weights = path / WEIGHTS if path.is_dir() else path
    said = read_weights(weights).metadata
    if said.get("format") == MODEL_FORMAT and said.get("model") != DEFAULT:
        return Sampler(read_trained(weights), path.name, device)

    return Artist(weights, device, threads)


class Sampler:
    """A BatchGenerator with a trained model's averaged weights; `batch` is how many are drawn together, where given."""

    def __init__(self, trained: Trained, name: str, device: str = "cpu", batch: int | None = None) -> None:
        import PIL

        self._device = open_device(device)
        self.name, self.weights_sha256 = name, trained.sha256
        self.device, self.dtype, self.threads = str(self._device), "float32", 1
        self.batch = batch or batch_on(self._device)
        code = f"{RENDERER}/{trained.model.name}"
        self.renderer = renderer_id(code, self.batch, self._device, f"pillow-{PIL.__version__}")
        self.network = trained.network().to(self._device)
        self.cuts, self.side, self.collapsed = trained.cuts(), trained.sizes.size, trained.collapsed
        self._pool = ThreadPoolExecutor(1, "sample", initializer=torch.set_num_threads, initargs=(1,))

    def draw(self, seed: int, size: int) -> Drawing:
        """The picture of `seed`: (size, size, 3). Its traits do not depend on the size."""
        return self.draw_batch([seed], size)[0]

    def draw_batch(self, seeds: Sequence[int], size: int) -> list[Drawing]:
        """The pictures of several seeds, in one pass; each may differ from that of `draw` by a level (class B)."""
        check_size(size)
        pictures = self._pool.submit(_pass, self.network, seeds).result()
        return [
            Drawing(seed, resize(pixels, size), measured_traits(pixels, self.cuts))
            for seed, pixels in zip(seeds, pictures, strict=True)
        ]


def draw_pictures(network: nn.Module, of: Iterable[int]) -> NDArray[np.uint8]:
    """The pictures of seeds at the network's own side: (N, S, S, 3). One pass for each, so that none sees another."""
    return np.concatenate([_pass(network, [seed]) for seed in of])


@torch.inference_mode()
def _pass(network: nn.Module, of: Sequence[int]) -> NDArray[np.uint8]:
    """(N, S, S, 3): the pictures of seeds, in one pass."""
    device = next(network.parameters()).device
    z = torch.cat([latents(network, seed) for seed in of]).to(device)
    with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):  # what dtype says, every time
        return _pixels(network(z))


def latents(network: nn.Module, seed: int) -> Tensor:
    """(1, latent_dim) standard normals that depend on the seed alone."""
    width: int = network.latent_dim  # type: ignore[assignment]
    return torch.from_numpy(seeds.normal(seed, "latents", width))[None]


def _pixels(images: Tensor) -> NDArray[np.uint8]:
    """(N, C, S, S) in [-1, 1] to (N, S, S, 3)."""
    levels = ((images.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    pixels: NDArray[np.uint8] = levels.expand(-1, 3, -1, -1).permute(0, 2, 3, 1).contiguous().cpu().numpy()
    return pixels


def resize(pixels: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """(S, S, 3) scaled to (size, size, 3)."""
    if len(pixels) == size:
        return pixels.copy()  # of its own: the others of its batch need not wait for its PNG
    from PIL import Image

    kind = Image.Resampling.BOX if size < len(pixels) else Image.Resampling.BICUBIC
    return np.asarray(Image.fromarray(np.ascontiguousarray(pixels), "RGB").resize((size, size), kind)).copy()


def contact_sheet(pictures: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(N, S, S, 3) in a square of rows, with a white line between them."""
    across = int(np.ceil(np.sqrt(len(pictures))))
    framed = np.pad(pictures, ((0, across * across - len(pictures)), (1, 1), (1, 1), (0, 0)), constant_values=255)
    side = framed.shape[1]
    rows = framed.reshape(across, across, side, side, 3).transpose(0, 2, 1, 3, 4)
    return np.ascontiguousarray(rows.reshape(across * side, across * side, 3))


# ── traits ───────────────────────────────────────────────────────────────────────────────────────────────────


def measured_traits(pixels: NDArray[np.uint8], cuts: dict[str, tuple[float, ...]]) -> tuple[Attribute, ...]:
    """What can be seen of (S, S, 3) pixels, by cuts that came with the weights."""
    traits = [
        Attribute("Tone", TONE[bisect.bisect(cuts["tone"], _tone(pixels))]),
        Attribute("Detail", DETAIL[bisect.bisect(cuts["detail"], _detail(pixels))]),
    ]
    colour = _colour(pixels)
    return (*traits, Attribute("Colour", colour)) if colour else tuple(traits)


def trait_cuts(pictures: NDArray[np.uint8]) -> dict[str, list[float]]:
    """Quartiles of what is measured, over (N, S, S, 3) pictures: they ship with the weights, and never move again."""
    measures = {"tone": _tone, "detail": _detail}
    quarters = (0.25, 0.5, 0.75)
    return {
        name: [round(float(cut), 5) for cut in np.quantile([measure(p) for p in pictures], quarters)]
        for name, measure in measures.items()
    }


def _tone(pixels: NDArray[np.uint8]) -> float:
    return float(pixels.mean() / 255)


def _detail(pixels: NDArray[np.uint8]) -> float:
    """Mean difference between neighbours, across and down."""
    grey = pixels.astype(np.float64).mean(2) / 255
    return float(np.abs(np.diff(grey, axis=0)).mean() + np.abs(np.diff(grey, axis=1)).mean()) / 2


def _colour(pixels: NDArray[np.uint8]) -> str | None:
    """The hue of the mean colour, weighted by how colourful each pixel is; None for a grey picture."""
    values = pixels.reshape(-1, 3).astype(np.float64) / 255
    chroma = values.max(1) - values.min(1)
    if chroma.mean() < COLOURFUL:
        return None
    red, green, blue = np.average(values, axis=0, weights=chroma)
    hue, _, _ = colorsys.rgb_to_hsv(red, green, blue)
    return COLOURS[bisect.bisect(HUES, hue) % len(COLOURS)]
