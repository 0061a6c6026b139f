"""Pictures over each other: every mode of a canvas against Skia's own pixels, and what the shortcuts must not change."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pipeline.art.layers.blend import blended
from pipeline.art.layers.compositor import Compositor, Sheet, Stroke
from pipeline.art.layers.form import BLENDS, Blend

# What `scripts/blend-table` printed: each of 24 pixels over each of 24, faded and not, premultiplied as Skia holds them.
TABLE = json.loads(gzip.decompress((Path(__file__).parent / "skia.json.gz").read_bytes()))
PIXELS = np.array(TABLE["pixels"], np.uint8)
TOLERANCE = 1  # level of 255


def premultiplied(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    colour = np.round(pixels[..., :3].astype(np.float64) * pixels[..., 3:] / 255)
    return np.concatenate([colour.astype(np.uint8), pixels[..., 3:]], axis=-1)


@pytest.mark.parametrize("mode", BLENDS)
def test_a_mode_gives_the_pixels_that_skia_gives(mode: Blend) -> None:
    side = len(PIXELS)
    plain = premultiplied(PIXELS)
    ground, source = np.repeat(plain[:, None], side, 1), np.repeat(plain[None], side, 0)
    expected = np.frombuffer(base64.b64decode(TABLE["modes"][mode]), np.uint8).reshape(2, side, side, 4)
    for opacity, pixels in zip((1.0, TABLE["opacity"]), expected, strict=True):
        found = blended(mode, source, ground, opacity).astype(int)
        assert np.abs(found - pixels).max() <= TOLERANCE, f"{mode} at {opacity}"


def picture(name: str, side: int = 24) -> Image.Image:
    """A half transparent disc in the middle of nothing, or a ground."""
    if name == "ground":
        return Image.linear_gradient("L").resize((side, side)).convert("RGB")
    rows, columns = np.mgrid[:side, :side]
    inside = (rows - side / 2) ** 2 + (columns - side / 2) ** 2 < (side / 3) ** 2
    pixels = np.zeros((side, side, 4), np.uint8)
    pixels[inside] = (200, 40, 90, 128 if name == "faint" else 255)
    return Image.fromarray(pixels)


def still(name: str) -> list[Image.Image]:
    return [picture(name)]


@pytest.mark.parametrize("opacity", [1.0, 0.4])
@pytest.mark.parametrize("mode", BLENDS)
def test_cut_pictures_on_an_opaque_canvas_give_what_whole_ones_give(mode: Blend, opacity: float) -> None:
    sheet = Sheet(24, 24)
    strokes = [Stroke("ground"), Stroke("faint", mode, opacity)]
    found = Compositor(still).composed(strokes, sheet)

    ground = premultiplied(np.asarray(picture("ground").convert("RGBA")))
    whole = blended(mode, premultiplied(np.asarray(picture("faint"))), ground, opacity)
    shown = found if found.shape[2] == 4 else np.concatenate([found, np.full((24, 24, 1), 255, np.uint8)], axis=-1)
    assert np.abs(premultiplied(shown).astype(int) - whole).max() <= TOLERANCE


def test_a_small_cache_changes_no_pixel_and_nothing_is_loaded_twice_in_a_large_one() -> None:
    loaded: list[str] = []

    def load(name: str) -> list[Image.Image]:
        loaded.append(name)
        return still(name)

    strokes, sheet = [Stroke("ground"), Stroke("disc"), Stroke("faint")], Sheet(24, 24)
    large, small = Compositor(load), Compositor(load, limit=1)
    first = [large.composed(strokes, sheet) for _ in range(3)]
    assert loaded == ["ground", "disc", "faint"]
    assert all((small.composed(strokes, sheet) == pixels).all() for pixels in first) and len(loaded) == 12


def test_a_transparent_collection_keeps_its_transparency_and_a_ground_below_fills_it() -> None:
    compositor = Compositor(still)
    alone = compositor.composed([Stroke("faint")], Sheet(24, 24))
    assert (
        alone.shape == (24, 24, 4)
        and abs(alone[12, 12].astype(int) - (200, 40, 90, 128)).max() <= 1
        and not alone[0, 0].any()
    )
    below = compositor.composed([Stroke("faint")], Sheet(24, 24, (0, 0, 255), ground_below=True))
    assert below.shape == (24, 24, 3) and below[0, 0].tolist() == [0, 0, 255]


def test_pixel_art_is_enlarged_without_new_colours() -> None:
    sharp = Compositor(lambda name: [picture(name, 8)]).composed([Stroke("disc")], Sheet(64, 64, smooth=False))
    assert {tuple(pixel) for pixel in sharp.reshape(-1, 4).tolist()} == {(200, 40, 90, 255), (0, 0, 0, 0)}
