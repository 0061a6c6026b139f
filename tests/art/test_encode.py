"""PNG: lossless, repeatable, and plain."""

from __future__ import annotations

import io
import sys

import numpy as np
import pytest
from PIL import Image

from pipeline.art.draw.encode import ENCODERS, encode_png, encoder_id
from pipeline.base.errors import GenerationError, MissingExtra


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("shape", [(16, 16), (3, 200), (129, 64)])
def test_pixels_come_back_as_they_were(shape: tuple[int, int], encoder: str) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (*shape, 3), dtype=np.uint8)
    with Image.open(io.BytesIO(encode_png(pixels, encoder))) as image:
        assert image.mode == "RGB" and not image.info
        assert np.array_equal(np.asarray(image), pixels)


def drawn_like(kind: str, size: int) -> np.ndarray:
    """Pixels that take a compressor's different ways: runs, gradients, noise, and views that are not contiguous."""
    ramp = np.add.outer(np.arange(size), np.arange(size))
    if kind == "flat":
        return np.full((size, size, 3), 200, np.uint8)
    if kind == "stripes":
        return np.repeat((ramp // 7 % 2 * 255).astype(np.uint8)[..., None], 3, 2)
    noise = np.random.default_rng(size).integers(0, 256, (size, 2 * size, 3), np.uint8)
    return (
        noise[:, ::2]
        if kind == "every other column"
        else np.stack([ramp % 256, ramp // 3 % 256, ramp // 9 % 256], 2).astype(np.uint8)
    )


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("size", [16, 1024, 2048])
@pytest.mark.parametrize("kind", ["flat", "stripes", "gradient", "every other column"])
def test_nothing_is_lost_at_any_size(kind: str, size: int, encoder: str) -> None:
    """Read by Pillow, which wrote neither of them with the code that reads."""
    pixels = drawn_like(kind, size)
    with Image.open(io.BytesIO(encode_png(pixels, encoder))) as image:
        assert np.array_equal(np.asarray(image), pixels)


def test_a_fast_encoder_is_checked_with_every_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut short, of another size, with an alpha channel, or no PNG: whatever it gives, a wrong file goes nowhere."""
    pixels = drawn_like("gradient", 32)
    whole = encode_png(pixels)
    with_alpha = io.BytesIO()
    Image.fromarray(pixels).convert("RGBA").save(with_alpha, "PNG")
    for wrong in (whole[:-200], encode_png(pixels[:16]), with_alpha.getvalue(), b"", b"GIF89a"):
        monkeypatch.setattr("fpng.from_bytes", lambda *_, wrong=wrong: wrong)
        with pytest.raises(GenerationError, match="fpng changed the pixels"):
            encode_png(pixels, "fpng")


@pytest.mark.parametrize("encoder", ENCODERS)
def test_the_same_pixels_give_the_same_bytes(encoder: str) -> None:
    pixels = np.zeros((64, 64, 3), np.uint8)
    assert encode_png(pixels, encoder) == encode_png(pixels.copy(), encoder)


def test_the_encoder_id_names_what_bytes_depend_on() -> None:
    library, zlib, settings = encoder_id().split("/")
    assert library.startswith("pillow-") and zlib.startswith("zlib-") and settings == "png-6"
    assert encoder_id("fpng").startswith("fpng-")


def test_an_encoder_that_changes_a_pixel_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.zeros((16, 16, 3), np.uint8)
    other = pixels.copy()
    other[7, 7, 1] = 1
    monkeypatch.setattr("fpng.from_bytes", lambda *_: encode_png(other))
    with pytest.raises(GenerationError, match="changed the pixels"):
        encode_png(pixels, "fpng")


def test_an_encoder_that_is_not_installed_is_named_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fpng", None)
    with pytest.raises(MissingExtra, match="fpng, which is not installed") as caught:
        encoder_id("fpng")
    assert "nft-pipeline[fast]" in caught.value.hint
