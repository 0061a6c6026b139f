"""Kinds of files in one table: how each is named and served, how it begins, and what every room can do with it.

Sources: WHATWG MIME Sniffing 6.1 (beginnings), IANA media types, ISO/IEC 23000-22 (brands of AVIF).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["picture", "drawing", "video", "audio", "model", "page", "document", "part"]
"""picture: pixels. drawing: an SVG. page: HTML that runs. part: what a page is made of."""

Moving = Literal["video", "audio", "model", "page", "picture"]


@dataclass(frozen=True, slots=True)
class Media:
    """One suffix. The first row of a media type names the suffix that is written for it."""

    suffix: str
    type: str
    kind: Kind
    decoder: str = ""  # Pillow's name of the format; empty: there are no pixels, or none are taken from it
    minted: bool = False  # a token's image, or what moves beside it, may be one: all rooms can show, keep and verify it
    trained: bool = False  # a model may learn from it
    seen: bool = False  # browsers show it as an image, marketplaces as an animation


MEDIA = (
    Media(".png", "image/png", "picture", "PNG", minted=True, trained=True, seen=True),
    Media(".jpg", "image/jpeg", "picture", "JPEG", minted=True, trained=True, seen=True),
    Media(".jpeg", "image/jpeg", "picture", "JPEG", minted=True, trained=True, seen=True),
    Media(".jfif", "image/jpeg", "picture", "JPEG", trained=True),
    Media(".gif", "image/gif", "picture", "GIF", minted=True, trained=True, seen=True),
    Media(".webp", "image/webp", "picture", "WEBP", minted=True, trained=True, seen=True),
    Media(".avif", "image/avif", "picture", "AVIF", minted=True, trained=True, seen=True),
    Media(".bmp", "image/bmp", "picture", "BMP", trained=True, seen=True),
    Media(".tif", "image/tiff", "picture", "TIFF", trained=True),
    Media(".tiff", "image/tiff", "picture", "TIFF", trained=True),
    Media(".svg", "image/svg+xml", "drawing", minted=True, seen=True),
    Media(".mp4", "video/mp4", "video", minted=True, seen=True),
    Media(".m4v", "video/mp4", "video", minted=True, seen=True),
    Media(".webm", "video/webm", "video", minted=True, seen=True),
    Media(".ogv", "video/ogg", "video", seen=True),
    Media(".glb", "model/gltf-binary", "model", minted=True, seen=True),
    Media(".gltf", "model/gltf+json", "model", seen=True),
    Media(".html", "text/html", "page", minted=True, seen=True),
    Media(".htm", "text/html", "page", seen=True),
    Media(".mp3", "audio/mpeg", "audio", minted=True, seen=True),
    Media(".wav", "audio/wav", "audio", minted=True, seen=True),
    Media(".ogg", "audio/ogg", "audio", minted=True, seen=True),
    Media(".oga", "audio/ogg", "audio", seen=True),
    Media(".json", "application/json", "document"),
    Media(".js", "text/javascript", "part"),
    Media(".mjs", "text/javascript", "part"),
    Media(".css", "text/css", "part"),
    Media(".woff2", "font/woff2", "part"),
)
BY_SUFFIX = {media.suffix: media for media in MEDIA}

SVG = ".svg"
SVG_TYPE = "image/svg+xml"
DECODED = {media.suffix: media.decoder for media in MEDIA if media.minted and media.decoder}  # suffix → Pillow's name
DECODERS = tuple(dict.fromkeys(DECODED.values()))  # what an image, a cover or a thumbnail may be decoded from
IMAGES = tuple(media.suffix for media in MEDIA if media.minted and media.kind in ("picture", "drawing"))
ANIMATIONS: dict[str, Moving] = {
    media.suffix: media.kind
    for media in MEDIA
    if media.minted
    and (media.kind == "video" or media.kind == "audio" or media.kind == "model" or media.kind == "page")
}

MOVING: dict[str, Moving] = {**ANIMATIONS, ".webp": "picture", ".gif": "picture"}  # beside a still of ours


def minted_as(suffix: str) -> str:
    """The suffix under which a file of another one can be minted as it is; empty where it cannot."""
    kind = BY_SUFFIX[suffix].type if suffix in BY_SUFFIX else ""
    return next((media.suffix for media in MEDIA if media.minted and media.type == kind), "")


def suffix_of(decoder: str) -> str:
    """The suffix that is written for what Pillow calls `decoder`. Raises KeyError for what is not minted."""
    return {name: suffix for suffix, name in reversed(DECODED.items())}[decoder]


def sniffed(data: bytes) -> str:
    """The media type that a file's first kilobyte shows; "" for what is none of the table, or cannot be told."""
    for signature, kind in _SIGNATURES:
        if data.startswith(signature):
            return kind
    if data[:4] == b"RIFF":
        return {b"WEBP": "image/webp", b"WAVE": "audio/wav"}.get(data[8:12], "")
    if data[4:8] == b"ftyp":
        return _of_brands({data[8:12], *_compatible(data)})
    start = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith(b"<svg") or (start.startswith((b"<?xml", b"<!doctype svg")) and b"<svg" in start):
        return SVG_TYPE
    if start.startswith((b"<!doctype html", b"<html")):
        return "text/html"
    return "application/json" if start[:1] in (b"{", b"[") else ""


def _compatible(data: bytes) -> list[bytes]:
    """The brands that a file says its reader may know; the one before them, the major, may be as common as `mif1`."""
    end = min(int.from_bytes(data[:4], "big"), _BRANDS_END)
    return [data[at : at + 4] for at in range(16, end - 3, 4)]


def _of_brands(brands: set[bytes]) -> str:
    if brands & {b"avif", b"avis"}:
        return "image/avif"
    return "" if brands & _OTHER_PICTURES else "video/mp4"


def picture_type(data: bytes) -> str | None:
    """The media type of a picture that every room can decode, by its first bytes; None for whatever else."""
    kind = sniffed(data[:_BRANDS_END])
    return kind if kind in _PICTURES else None


_BRANDS_END = 256  # bytes of a file that its brands are read from
_OTHER_PICTURES = {b"mif1", b"msf1", b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"}  # HEIF: no browser shows it
_PICTURES = frozenset(media.type for media in MEDIA if media.suffix in DECODED)
_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"BM", "image/bmp"),
    (b"glTF", "model/gltf-binary"),
    (b"OggS", "audio/ogg"),
    (b"ID3", "audio/mpeg"),
)
