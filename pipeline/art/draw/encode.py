"""Pixels to PNG, without loss."""

from __future__ import annotations

import io
from importlib import import_module
from typing import TYPE_CHECKING, Any

from pipeline.base.errors import GenerationError
from pipeline.base.installation import extra

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ENCODERS = ("pillow", "fpng")
DEFAULT_ENCODER = "pillow"
LEVEL = 6  # level 9 takes seven times as long and saves 5 %


def encode_png(pixels: NDArray[np.uint8], encoder: str = DEFAULT_ENCODER) -> bytes:
    """A PNG of (H, W, 3) pixels, or of (H, W, 4) with their transparency: no metadata, and the same bytes whenever `encoder_id(encoder)` is the same.

    `fpng` takes a small part of the time for somewhat larger files. It is the younger program, so each of its files is
    read back by Pillow. Raises GenerationError where it is not installed, or gave other pixels than it got.
    """
    if encoder == "fpng":
        height, width, channels = pixels.shape
        return _checked(_fpng().from_bytes(pixels.tobytes(), width, height, channels), pixels)
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=LEVEL, optimize=False)
    return buffer.getvalue()


def encoder_id(encoder: str = DEFAULT_ENCODER) -> str:
    """Names everything that file bytes depend on beside the pixels, for example `pillow-13.0.0/zlib-1.3.1/png-6`."""
    if encoder == "fpng":
        from importlib.metadata import version

        _fpng()
        return f"fpng-{version('fpng')}"
    import PIL
    from PIL import features

    return f"pillow-{PIL.__version__}/zlib-{features.version('zlib')}/png-{LEVEL}"


def _fpng() -> Any:
    with extra("fast"):
        return import_module("fpng")


def _checked(png: bytes, pixels: NDArray[np.uint8]) -> bytes:
    """The file, once Pillow has read these pixels out of it. Raises GenerationError where it reads others, or none."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(png), formats=("PNG",)) as image:
            mode = "RGBA" if pixels.shape[2] == 4 else "RGB"
            same = image.mode == mode and image.size == pixels.shape[1::-1] and image.tobytes() == pixels.tobytes()
    except (OSError, SyntaxError, ValueError):  # what Pillow raises for a file that is no sound PNG
        same = False
    if not same:
        raise GenerationError(reason="fpng changed the pixels", hint="use `--encoder pillow`, and report this")
    return png
