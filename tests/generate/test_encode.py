"""PNG: lossless, repeatable, and plain."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from pipeline.generate.encode import encode_png, encoder_id


@pytest.mark.parametrize("shape", [(16, 16), (3, 200), (129, 64)])
def test_pixels_come_back_as_they_were(shape: tuple[int, int]) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (*shape, 3), dtype=np.uint8)
    with Image.open(io.BytesIO(encode_png(pixels))) as image:
        assert image.mode == "RGB" and not image.info
        assert np.array_equal(np.asarray(image), pixels)


def test_the_same_pixels_give_the_same_bytes() -> None:
    pixels = np.zeros((64, 64, 3), np.uint8)
    assert encode_png(pixels) == encode_png(pixels.copy())


def test_the_encoder_id_names_what_bytes_depend_on() -> None:
    library, zlib, settings = encoder_id().split("/")
    assert library.startswith("pillow-") and zlib.startswith("zlib-") and settings == "png-6"
