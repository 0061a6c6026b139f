"""The gallery: one page, its style and its modules, and the images that it shows. No build step, nobody's network.

static/       what the browser gets, as it is; index.html is what every page begins with (pages.py)
addresses.py  how pages and images are addressed
media.py      images and thumbnails, and larger ones that are drawn again
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from pathlib import PurePath

from fastapi import APIRouter, Request
from fastapi.responses import Response

from pipeline.base.errors import NoSuch
from pipeline.serve.gallery.media import Media, media_router

TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
    ".bin": "application/octet-stream",  # places.bin: where a watermark's bits stand
    ".txt": "text/plain",  # the typeface's licence
}
PACKED = ("text/html", "text/css", "text/javascript", "image/svg+xml")  # a third of their bytes; typefaces are packed
# Nothing inline, nothing from elsewhere, no plug-ins, no frames but a token's own page, which is sandboxed on both sides
# (media.py), and no text that becomes markup (Trusted Types).
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; media-src 'self' blob:; frame-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
HEADERS = {
    "Cache-Control": "no-cache",  # asked again each time, answered 304: an upgrade is seen at once
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}


def gallery_router(media: Media) -> APIRouter:
    """The page's files below /gallery, and the images below /media."""
    router = APIRouter()

    @router.get("/gallery/{name}", include_in_schema=False)
    def file(request: Request, name: str) -> Response:
        if name not in static_files():
            raise NoSuch(what=f"file {name[:60]!r}")
        return answer(request, static_files()[name])

    router.include_router(media_router(media))
    return router


@dataclass(frozen=True, slots=True)
class StaticFile:
    data: bytes
    kind: str

    @property
    def tag(self) -> str:
        return hashlib.sha256(self.data).hexdigest()[:32]


def answer(request: Request, file: StaticFile, status: int = 200, headers: Mapping[str, str] = HEADERS) -> Response:
    """A file of the page, packed for whoever takes that, or that it has not changed."""
    packs = file.kind in PACKED and "gzip" in request.headers.get("accept-encoding", "")
    tag = f"{file.tag}-gzip" if packs else file.tag
    told = {**headers, "ETag": f'"{tag}"', "Vary": "Accept-Encoding"} | ({"Content-Encoding": "gzip"} if packs else {})
    if status == 200 and request.headers.get("if-none-match") == told["ETag"]:
        return Response(status_code=304, headers=told)
    return Response(_packed(file.data) if packs else file.data, status, told, file.kind)


@lru_cache(maxsize=128)
def _packed(data: bytes) -> bytes:
    return gzip.compress(data, 6, mtime=0)


@cache
def static_files() -> dict[str, StaticFile]:
    """Each file of the page by its name. What is not in here does not exist."""
    found = {}
    for file in (files("pipeline.serve.gallery") / "static").iterdir():
        kind = TYPES.get(PurePath(file.name).suffix)
        if kind is not None:
            found[file.name] = StaticFile(file.read_bytes(), kind)
    return found
