"""PNG: lossless, repeatable, and plain."""

from __future__ import annotations

import io
import sys

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import GenerationError
from pipeline.generate.encode import ENCODERS, encode_png, encoder_id


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("shape", [(16, 16), (3, 200), (129, 64)])
def test_pixels_come_back_as_they_were(shape: tuple[int, int], encoder: str) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (*shape, 3), dtype=np.uint8)
    with Image.open(io.BytesIO(encode_png(pixels, encoder))) as image:
        assert image.mode == "RGB" and not image.info
        assert np.array_equal(np.asarray(image), pixels)


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
    with pytest.raises(GenerationError, match="fpng is not installed") as caught:
        encoder_id("fpng")
    assert "nft-pipeline[fast]" in caught.value.hint
