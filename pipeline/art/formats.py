"""What a file of existing art must be: whole, as its name says, within limits, and a picture that runs nothing.

Sources: ISO/IEC 14496-12 (MP4), Matroska and WebM (RFC 9559, EBML header), glTF 2.0, 4.4 (GLB), RFC 3533 (Ogg).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.art.draw.gates import is_blank, phash
from pipeline.art.markup import NotWhole, check_html, check_svg
from pipeline.base.errors import BadArgument
from pipeline.base.limits import IMAGE_BYTES, SVG_BYTES
from pipeline.base.media import DECODED, SVG
from pipeline.base.pictures import BadPicture, decode, plain_bytes, shown

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True, slots=True)
class Look:
    """What there is to see in an image: its pixels' digest, and what near-duplicates are found by."""

    pixel_sha256: bytes  # of the first frame; of the file where there are no pixels
    phash: int | None  # None for an SVG, which has no pixels before a browser draws it
    blank: bool


def look(path: Path, data: bytes, *, is_minted: bool = False) -> Look:
    """Look at the bytes of an image whose name is `path`. Raises BadArgument for one that is not what its name says.

    What is minted already is whatever it was when it was: what an SVG may hold is asked of new ones alone.
    """
    import numpy as np

    if path.suffix.lower() == SVG:
        try:
            if not is_minted:
                check_svg(data)
        except NotWhole as error:
            raise refused(path, "a sound SVG that runs nothing and loads nothing", error.reason) from error
        return Look(hashlib.sha256(data).digest(), None, False)
    seen = np.asarray(shown(_decoded(path, data)))
    return Look(hashlib.sha256(seen.tobytes()).digest(), phash(seen), is_blank(seen))


class Faults(list[BadArgument]):
    """What is wrong with a folder, told all at once."""

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Keep a refusal of the block instead of letting it out."""
        try:
            yield
        except BadArgument as fault:
            self.append(fault)


def check_animation(path: Path, data: bytes) -> str:
    """Look at the beginning and the frame of a video, a sound, a model or a page; return an address that a page's scripts
    name, empty where nothing does. Raises BadArgument.
    """
    return _CHECKS[path.suffix.lower()](path, data) or ""


def refused(path: Path, expected: str, why: str) -> BadArgument:
    return BadArgument(
        name="--images", value=str(path), expected=f"{expected} ({why})", hint="nothing was planned, pinned or sent"
    )


def content(path: Path) -> bytes:
    limit = SVG_BYTES if path.suffix.lower() == SVG else IMAGE_BYTES
    try:
        return plain_bytes(path, limit)
    except BadPicture as error:
        raise refused(path, f"a file of at most {limit >> 20} MiB", error.reason) from error


def _decoded(path: Path, data: bytes) -> Image:
    """The first frame, after every frame was decoded."""
    wanted = DECODED[path.suffix.lower()]
    try:
        seen = decode(data, every_frame=True)
    except BadPicture as error:
        raise refused(path, f"a sound {wanted}", error.reason) from error
    if seen.format != wanted:
        raise refused(path, f"a {wanted}, as its name says", f"it is a {seen.format}: rename it")
    return seen.image


def _check_mp4(path: Path, data: bytes) -> None:
    """The boxes of ISO/IEC 14496-12: they begin with `ftyp`, fill the file to its end, and have `moov` and `mdat`."""
    kinds, at = list[bytes](), 0
    while at + 8 <= len(data):
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if size == 1:
            size = int.from_bytes(data[at + 8 : at + 16], "big")
        elif size == 0:
            size = len(data) - at
        kinds.append(kind)
        if size < 8:
            break
        at += size
    if not kinds or kinds[0] != b"ftyp" or at != len(data) or not {b"moov", b"mdat"} <= set(kinds):
        raise refused(path, "a sound MP4", "its boxes do not fill the file: it is cut, or something else")


def _check_webm(path: Path, data: bytes) -> None:
    if not data.startswith(b"\x1a\x45\xdf\xa3") or b"webm" not in data[:64]:
        raise refused(path, "a WebM", "it does not begin as one")


def _check_glb(path: Path, data: bytes) -> None:
    if data[:4] != b"glTF" or int.from_bytes(data[4:8], "little") != 2:
        raise refused(path, "a GLB of glTF 2.0", "it does not begin as one")
    if int.from_bytes(data[8:12], "little") != len(data):
        raise refused(path, "a sound GLB", "its length is not the one that it states")


def _check_html(path: Path, data: bytes) -> str:
    try:
        return check_html(data)
    except NotWhole as error:
        raise refused(path, "an HTML page that is whole by itself", error.reason) from error


def _begins(kind: str, pattern: bytes) -> Callable[[Path, bytes], str | None]:
    def check(path: Path, data: bytes) -> None:
        if not re.match(pattern, data, re.DOTALL):
            raise refused(path, kind, "it does not begin as one")

    return check


# What OpenSea shows of an animation_url, by suffix. A glTF in several files is none of them: a GLB holds it in one.
_CHECKS: dict[str, Callable[[Path, bytes], str | None]] = {
    ".mp4": _check_mp4,
    ".m4v": _check_mp4,
    ".webm": _check_webm,
    ".glb": _check_glb,
    ".html": _check_html,
    ".mp3": _begins("an MP3", rb"ID3|\xff[\xe0-\xff]"),
    ".wav": _begins("a WAV", rb"RIFF.{4}WAVE"),
    ".ogg": _begins("an Ogg", rb"OggS"),
}
