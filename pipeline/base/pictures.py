"""The one place where pictures are decoded: gate, contact sheet, thumbnails, cover, training, `verify` and `doctor` see
what comes out of here, so that one picture looks the same to all of them, and a broken one fails for all in one way.

What a browser shows is what counts: the first frame, turned as its EXIF says, with all of its bits, and with its
transparency. A phone's JPEG with a second picture in it (MPO) is a JPEG.

Bytes come from strangers. Size and frames are looked at before a pixel is decoded, frames are decoded forwards (a
decoder that is sent back begins anew, which is quadratic), and whatever Pillow raises comes out as BadPicture.

Sources: W3C PNG (third edition), GIF89a, CIPA DC-007 (MPO), Exif 2.32, 4.6.4 A (orientation).
"""

from __future__ import annotations

import io
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.base.errors import PipelineError
from pipeline.base.files import read_regular
from pipeline.base.limits import ANIMATION_FRAMES, FRAME_PIXELS, HELD_PIXELS, IMAGE_PIXELS, IMAGE_SIDE
from pipeline.base.media import DECODERS

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

WHITE, BLACK = (255, 255, 255), (0, 0, 0)
PROFILE_BYTES = 4 << 20  # of an ICC profile: those of printers have two
FAINT = 0xE0  # a picture that is nowhere darker than this on white cannot be seen on white

_ORIENTATION = 0x0112
_UNSEEN_IN_PNG = (b"tEXt", b"zTXt", b"iTXt", b"iCCP")  # Pillow unpacks them, and refuses a picture for their length


class BadPicture(PipelineError):
    """Bytes that are no picture, or a broken one, or one beyond the limits."""

    sentence = "the picture cannot be used: {reason}"

    @property
    def reason(self) -> str:
        return str(self.fields["reason"])


@dataclass(frozen=True, slots=True)
class Measure:
    """What a picture's head says, before anything is decoded."""

    format: str  # by Pillow's name, a member of the formats that were asked for
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Decoded:
    """A picture's first frame as a browser shows it."""

    image: Image  # RGB, or RGBA where parts may be transparent
    format: str
    mode: str  # Pillow's name of how the pixels were stored
    frames: int
    stored: tuple[int, int]  # width and height in the file
    turned: bool  # whether EXIF had it turned or mirrored


def measure(data: bytes, formats: tuple[str, ...] = DECODERS) -> Measure:
    """Read a picture's head. Raises BadPicture for bytes that none of the formats begins with."""
    with _opened(data, formats) as image:
        return Measure(_format(image), *image.size)


def decode(data: bytes, formats: tuple[str, ...] = DECODERS, *, every_frame: bool = False, side: int = 0) -> Decoded:
    """Decode a picture's first frame; with `every_frame` all of them, so that a cut animation is found.

    With `side` a JPEG may come out smaller, at that many pixels of its shorter side or more: it is decoded far quicker.
    Raises BadPicture for what is broken, of another format, or beyond the limits.
    """
    with _opened(data, formats) as image:
        kind, stored, mode, frames = _format(image), image.size, image.mode, _frames(image, data)
        _must_fit(stored, frames if every_frame else 1)
        if side:
            image.draft("RGB", (side, side))
        image.load()
        first = _turned(_eight_bits(image), turn := _orientation(image))
        if every_frame:
            for number in range(1, frames):
                image.seek(number)
                image.load()
        return Decoded(first, kind, mode, frames, stored, turn != 1)


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame as it is shown: what an animation says of its disposal is done."""

    image: Image  # RGB or RGBA
    shown_ms: int


def frames(data: bytes, formats: tuple[str, ...] = DECODERS) -> list[Frame]:
    """Decode all frames of a picture, in order; of a still one there is one, shown for no time.

    Raises what `decode` does.
    """
    with _opened(data, formats) as image:
        count, turn = _frames(image, data), _orientation(image)
        _must_fit(image.size, count, HELD_PIXELS)
        if image.format == "WEBP" and count > 1:
            # Frames that are opaque and smaller than the canvas leave the rest of it clear, as browsers show it. The decoder
            # has that alpha; Pillow drops it where no frame has one of its own.
            image.rawmode, image._mode = "RGBA", "RGBA"  # type: ignore[attr-defined]
        found = []
        for number in range(count):
            image.seek(number)
            image.load()
            shown_ms = round(image.info.get("duration") or 0) if count > 1 else 0
            found.append(Frame(_turned(_eight_bits(image).copy(), turn), shown_ms))
        return found


def profile_of(data: bytes, formats: tuple[str, ...] = DECODERS) -> bytes:
    """The ICC profile of a picture, empty where it has none; of a PNG no more than PROFILE_BYTES of it are unpacked.

    Raises BadPicture for bytes that are no picture.
    """
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        with _opened(data, formats) as image:
            return bytes(image.info.get("icc_profile") or b"")
    at = 8
    while at + 8 <= len(data) and data[at + 4 : at + 8] != b"IDAT":
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        if data[at + 4 : at + 8] == b"iCCP":
            packed = data[at + 8 : end - 4].partition(b"\0")[2][1:]
            with suppress(zlib.error):  # a browser takes a broken one for none
                return zlib.decompressobj().decompress(packed, PROFILE_BYTES)
        at = end
    return b""


def flat(image: Image, ground: tuple[int, int, int] = WHITE) -> Image:
    """A decoded picture as RGB on a ground of one colour."""
    from PIL import Image

    if image.mode == "RGB":
        return image
    return Image.alpha_composite(Image.new("RGBA", image.size, ground), image).convert("RGB")


def shown(image: Image) -> Image:
    """A decoded picture as RGB on white, as galleries show it; on black where white would swallow all of it."""
    on_white = flat(image)
    if image.mode == "RGB" or any(darkest < FAINT for darkest, _ in _extrema(on_white)):
        return on_white
    return flat(image, BLACK)


def plain_bytes(path: Path, limit: int) -> bytes:
    """The bytes of a file that somebody named. Raises BadPicture where there is none, for an empty one, for one of more
    than `limit` bytes, and for what is no plain file: a pipe would be waited for, a device read for ever.
    """
    try:
        data = read_regular(path, limit)
    except OSError as error:
        raise BadPicture(reason=error.strerror or str(error)) from error
    if not data:
        raise BadPicture(reason="it is empty")
    return data


# ── opening ──────────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def _opened(data: bytes, formats: tuple[str, ...]) -> Iterator[ImageFile]:
    """A picture whose head was read; all that Pillow raises inside the block comes out as BadPicture."""
    from PIL import Image, UnidentifiedImageError

    _be_quiet()
    try:
        with Image.open(io.BytesIO(_bare(data)), formats=formats) as image:
            yield image
    except BadPicture:
        raise
    except UnidentifiedImageError as error:
        raise BadPicture(reason=f"it does not begin as {_one_of(formats)}") from error
    except Image.DecompressionBombError as error:
        raise BadPicture(reason=f"it has more than {IMAGE_PIXELS:,} pixels") from error
    except MemoryError as error:
        raise BadPicture(reason="it needs more memory than there is") from error
    except Exception as error:  # decoders raise whatever a broken file leads them to: IndexError, struct.error, …
        reason = (str(error) or type(error).__name__).splitlines()[0][:120]
        raise BadPicture(reason=f"it is broken ({reason})") from error


def _be_quiet() -> None:
    """Have Pillow's warnings (odd EXIF, large sizes) neither shown nor raised: all that they are about is judged here.

    A block of `catch_warnings` would be no safe way to: thumbnails are decoded by several threads.
    """
    from PIL import Image

    warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\b")
    warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
    Image.MAX_IMAGE_PIXELS = IMAGE_PIXELS  # twice that is an error: a GIF's frame may be larger than the GIF says it is


def _bare(data: bytes) -> bytes:
    """A PNG without what is no pixel of it and may be of any length; other files as they are."""
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        return data
    kept, begin, at = list[bytes](), 0, 8
    while at + 8 <= len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        if data[at + 4 : at + 8] in _UNSEEN_IN_PNG:
            kept.append(data[begin:at])
            begin = end
        at = end
    return b"".join(kept) + data[begin:] if begin else data


def _format(image: ImageFile) -> str:
    return "JPEG" if image.format == "MPO" else str(image.format)


def _frames(image: ImageFile, data: bytes) -> int:
    if image.format == "MPO":  # its further pictures are previews or depths, and no frames
        return 1
    if image.format == "GIF":
        return _frames_of_gif(data)
    if image.format == "TIFF":  # its pages are counted by walking them, each at a place that the page before names
        return 2 if image.is_animated else 1  # type: ignore[attr-defined]
    return int(getattr(image, "n_frames", 1))


def _frames_of_gif(data: bytes) -> int:
    """How many frames a GIF has, ANIMATION_FRAMES + 1 at most, by its blocks alone. Raises IndexError where it is cut."""
    at, frames = 13 + _table_bytes(data[10]), 0
    while at < len(data) and data[at] != 0x3B and frames <= ANIMATION_FRAMES:
        if data[at] == 0x2C:
            frames += 1
            at += 11 + _table_bytes(data[at + 9])  # its head, its colours, and the size of its codes
        elif data[at] == 0x21:
            at += 2
        else:
            break  # Pillow passes over what is no block
        while size := data[at]:
            at += 1 + size
        at += 1
    return max(1, frames)


def _table_bytes(packed: int) -> int:
    return 3 << (1 + (packed & 7)) if packed & 0x80 else 0


def _must_fit(size: tuple[int, int], frames: int, most: int = FRAME_PIXELS) -> None:
    width, height = size
    told = f"{width} by {height} pixels"
    if width * height > IMAGE_PIXELS or max(size) > IMAGE_SIDE:
        raise BadPicture(reason=f"it has {told}; {IMAGE_PIXELS:,} are the most, and {IMAGE_SIDE:,} of a side")
    if frames > ANIMATION_FRAMES:
        raise BadPicture(reason=f"it has more than {ANIMATION_FRAMES:,} frames")
    if width * height * frames > most:
        raise BadPicture(reason=f"it has {frames:,} frames of {told}; {most:,} in all are the most")


def _one_of(formats: tuple[str, ...]) -> str:
    return f"{', '.join(formats[:-1])} or {formats[-1]}" if len(formats) > 1 else f"a {formats[0]}"


# ── pixels ───────────────────────────────────────────────────────────────────────────────────────────────────


def _eight_bits(image: Image) -> Image:
    """RGB, or RGBA where parts may be transparent. Pillow's own conversion cuts 16 bits off at 255."""
    if image.mode[0] in "IF":
        return _narrowed(image)
    return image.convert("RGBA" if image.has_transparency_data else "RGB")


def _narrowed(image: Image) -> Image:
    import numpy as np
    from PIL import Image

    values: NDArray[Any] = np.asarray(image)
    if image.mode.startswith("I;16"):
        levels = (np.arange(1 << 16) / 65535.0 * 255).astype(np.uint8)[values]
    else:
        top = 65535.0 if image.mode[0] == "I" else max(1.0, float(values.max()))
        levels = (values.astype(np.float64) / top * 255).clip(0, 255).astype(np.uint8)
    grey = Image.fromarray(levels).convert("RGB")
    hidden = image.info.get("transparency")
    if isinstance(hidden, int):
        grey.putalpha(Image.fromarray(np.where(values == hidden, 0, 255).astype(np.uint8)))
    return grey


def _orientation(image: Image) -> int:
    """1 to 8, by Exif alone: browsers do not read XMP for it, and Pillow's own reading does."""
    from PIL import Image as Pillow

    exif = Pillow.Exif()
    try:
        exif.load(image.info.get("exif") or b"")
        stated = exif.get(_ORIENTATION, 1)
    except Exception:  # its readers raise whatever broken EXIF leads them to; a browser shows the picture unturned
        return 1
    return stated if isinstance(stated, int) and 1 <= stated <= 8 else 1


def _turned(image: Image, orientation: int) -> Image:
    from PIL.Image import Transpose

    turns = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    return image.transpose(turns[orientation]) if orientation in turns else image


def _extrema(image: Image) -> tuple[tuple[int, int], ...]:
    return image.getextrema()  # type: ignore[return-value]
