"""Pixels to PNG, without loss."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from importlib import import_module
from typing import TYPE_CHECKING, Any

from pipeline.base.errors import GenerationError
from pipeline.base.installation import extra

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ENCODERS = ("pillow", "fpng")
DEFAULT_ENCODER = "pillow"
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_ANCILLARY = ord("a")  # chunks that begin with a small letter may be passed over
LEVEL = 6  # level 9 takes seven times as long and saves 5 %


def encode_png(pixels: NDArray[np.uint8], encoder: str = DEFAULT_ENCODER) -> bytes:
    """A PNG of (H, W, 3) pixels, or of (H, W, 4) with their transparency: no metadata, and the same bytes whenever `encoder_id(encoder)` is the same.

    `fpng` takes a small part of the time for somewhat larger files. It is the younger program, so each of its files is
    unpacked by another and held against the pixels. Raises GenerationError where it is not installed, or gave other pixels than it got.
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
    """The file, once these pixels were read out of it. Raises GenerationError where others are in it, or none."""
    if not (_holds(png, pixels) or _pillow_reads(png, pixels)):
        raise GenerationError(reason="fpng changed the pixels", hint="use `--encoder pillow`, and report this")
    return png


def _holds(png: bytes, pixels: NDArray[np.uint8]) -> bool:
    """Whether a file of fpng's usual form holds these pixels: every checksum is right, and each row, unpacked by zlib, is the
    difference of these pixels to the row above. That is what any decoder undoes, in two thirds of its time (PNG, 9.2).

    False for a file of another form as well, which says nothing.
    """
    import numpy as np

    height, width, channels = pixels.shape
    head = struct.pack(">IIBBBBB", width, height, 8, 6 if channels == 4 else 2, 0, 0, 0)
    chunks = list(_chunks(png))
    if [kind for kind, _ in chunks if kind[0] < _ANCILLARY] != [b"IHDR", b"IDAT", b"IEND"] or chunks[0][1] != head:
        return False
    unpacking, length = zlib.decompressobj(), height * (1 + width * channels)
    try:
        data = unpacking.decompress(next(body for kind, body in chunks if kind == b"IDAT"), length + 1)
    except zlib.error:
        return False
    if len(data) != length or not unpacking.eof or unpacking.unused_data:
        return False
    found = np.frombuffer(data, np.uint8).reshape(height, -1)
    rows = pixels.reshape(height, -1)
    if found[0, 0] not in (0, 2) or (found[1:, 0] != 2).any():  # the first row has nothing above it: both are the same
        return False
    return np.array_equal(found[0, 1:], rows[0]) and np.array_equal(found[1:, 1:], rows[1:] - rows[:-1])


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The chunks of a PNG whose checksums are right, until one is not."""
    at = len(_SIGNATURE)
    if png[:at] != _SIGNATURE:
        return
    while at + 12 <= len(png):
        (length,) = struct.unpack_from(">I", png, at)
        kind, body = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        end = png[at + 8 + length : at + 12 + length]
        if len(end) < 4 or zlib.crc32(body, zlib.crc32(kind)) != int.from_bytes(end, "big"):
            return
        yield kind, body
        at += 12 + length


def _pillow_reads(png: bytes, pixels: NDArray[np.uint8]) -> bool:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(png), formats=("PNG",)) as image:
            mode = "RGBA" if pixels.shape[2] == 4 else "RGB"
            return image.mode == mode and image.size == pixels.shape[1::-1] and image.tobytes() == pixels.tobytes()
    except (OSError, SyntaxError, ValueError):  # what Pillow raises for a file that is no sound PNG
        return False
