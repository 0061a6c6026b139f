"""Pictures that are made of pictures: once, by a few threads of low priority, and kept in the workspace by their digest.

cache/thumbnails/<2 digits>/<sha256 of the image>-<width>.webp     smaller, or drawn again larger
cache/thumbnails/<2 digits>/<sha256 of the image>-preview.jpg      for a chat that shows where a link leads

Whatever decodes here may come from a stranger, so the formats, the bytes and the pixels are limited before decoding. The
folder can be deleted at any time.
"""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.base.errors import NoSuch
from pipeline.base.files import write_whole
from pipeline.base.limits import IMAGE_BYTES
from pipeline.base.pictures import BadPicture, decode, measure
from pipeline.serve.problems import Busy

if TYPE_CHECKING:
    from PIL.Image import Image

PREVIEW_SIZE = (1200, 630)  # what chats show uncut
PREVIEW_PICTURE = 558  # of its height
PAPER = (241, 238, 231)  # the page's own
LARGE = 1 << 24  # pixels: above, images are decoded one at a time, or a few threads would take gigabytes
MAX_WAITING = 512  # thumbnails that wait to be made: a screen has some dozens
QUALITY = 88  # flat colours and sharp edges: below this their borders fray visibly
WORKERS = max(1, min(4, (os.cpu_count() or 2) - 1))  # a mint beside us needs a processor too
NICE = 10
_large = threading.Lock()


class NotAnImage(NoSuch):
    """Bytes that are no image of a format that is shown: there is no thumbnail of them, now or later."""

    sentence = "{what} cannot be shown: {reason}"


class Thumbnails:
    """The thumbnails of one workspace. Safe to ask from many threads; nothing is made twice at the same time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._pool = ThreadPoolExecutor(WORKERS, "thumbnail", _be_nice)
        self._making: dict[Path, Future[Path]] = {}
        self._lock = threading.Lock()

    def path(self, sha256: str, form: str) -> Path:
        return self.folder / sha256[:2] / f"{sha256}-{form}"

    def of(self, sha256: str, width: int, read: Callable[[], bytes]) -> Future[Path]:
        """The file of a thumbnail, once it is there. `read` gives the image's bytes, of which `sha256` is the digest.

        The future raises what `read` raises, and NotAnImage. Raises Busy when too many are waiting.
        """
        return self.made(sha256, f"{width}.webp", lambda: thumbnail(read(), width))

    def made(self, sha256: str, form: str, make: Callable[[], bytes]) -> Future[Path]:
        """The file that `make` gives the bytes of, once it is there; it is kept by the digest and the form."""
        path = self.path(sha256, form)
        if path.exists():
            done: Future[Path] = Future()
            done.set_result(path)
            return done
        with self._lock:
            if path in self._making:
                return self._making[path]
            if len(self._making) >= MAX_WAITING:
                raise Busy(what=f"{len(self._making)} thumbnails are waiting to be made")
            future = self._pool.submit(self._make, path, make)
            self._making[path] = future
        future.add_done_callback(lambda _: self._made(path))
        return future

    def _make(self, path: Path, make: Callable[[], bytes]) -> Path:
        write_whole(path, make())
        return path

    def _made(self, path: Path) -> None:
        with self._lock:
            self._making.pop(path, None)


def thumbnail(data: bytes, width: int) -> bytes:
    """An image as WebP of at most `width` by `width` pixels, never larger than it was. Raises NotAnImage."""
    return webp(_shrunk(data, width))


def preview(data: bytes) -> bytes:
    """An image, whole, on paper of the form that chats show, as JPEG. Raises NotAnImage."""
    from PIL import Image

    picture = _shrunk(data, PREVIEW_PICTURE).convert("RGBA")
    sheet = Image.new("RGB", PREVIEW_SIZE, PAPER)
    left, top = ((room - side) // 2 for room, side in zip(PREVIEW_SIZE, picture.size, strict=True))
    sheet.paste(picture, (left, top), picture)
    out = io.BytesIO()
    sheet.save(out, "JPEG", quality=QUALITY, optimize=True)
    return out.getvalue()


def webp(picture: Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "WEBP", quality=QUALITY, method=4, use_sharp_yuv=True)
    return out.getvalue()


def _shrunk(data: bytes, width: int) -> Image:
    from PIL.Image import Resampling

    if len(data) > IMAGE_BYTES:
        raise NotAnImage(what="the image", reason=f"it has {len(data):,} bytes, the limit is {IMAGE_BYTES:,}")
    try:
        head = measure(data)
        with _large if head.width * head.height > LARGE else nullcontext():
            picture = decode(data, side=2 * width).image
            picture.thumbnail((width, width), Resampling.LANCZOS, reducing_gap=3.0)
    except BadPicture as error:
        raise NotAnImage(what="the image", reason=error.reason) from error
    return picture


def _be_nice() -> None:
    with suppress(AttributeError, OSError):  # Linux gives each thread a priority of its own; elsewhere go on without
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
