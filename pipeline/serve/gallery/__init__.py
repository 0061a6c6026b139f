"""The gallery: one page, its style and its modules, and the images that it shows. No build step, nobody's network.

static/       what the browser gets, as it is
media.py      images and thumbnails
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files
from pathlib import PurePath

from fastapi import APIRouter, Request
from fastapi.responses import Response

from pipeline.base.errors import NoSuch
from pipeline.base.workspace import Workspace
from pipeline.serve.gallery.media import media_router
from pipeline.settings import Settings

TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
# Nothing inline, nothing from elsewhere, no plug-ins, no frames but a token's own page, which is sandboxed on both sides
# (media.py), and no text that becomes markup (Trusted Types).
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "media-src 'self' blob:; frame-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
HEADERS = {
    "Cache-Control": "no-cache",  # asked again each time, answered 304: an upgrade is seen at once
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}


def gallery_router(workspace: Workspace, config: Settings, *, public: bool = False) -> APIRouter:
    """The page at `/`, its files below /gallery, and the images below /media; `public`: of minted tokens alone."""
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    def page(request: Request) -> Response:
        return _static(request, "index.html")

    @router.get("/gallery/{name}")
    def file(request: Request, name: str) -> Response:
        return _static(request, name)

    router.include_router(media_router(workspace, public=public), include_in_schema=True)
    return router


def _static(request: Request, name: str) -> Response:
    if name not in _files():
        raise NoSuch(what=f"file {name[:60]!r}")
    data, tag, kind = _files()[name]
    headers = HEADERS | {"ETag": tag}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(data, headers=headers, media_type=kind)


@cache
def _files() -> dict[str, tuple[bytes, str, str]]:
    """Each file of the page by its name: bytes, ETag and type. What is not in here does not exist."""
    found = {}
    for file in (files("pipeline.serve.gallery") / "static").iterdir():
        kind = TYPES.get(PurePath(file.name).suffix)
        if kind is not None:
            data = file.read_bytes()
            found[file.name] = (data, f'"{hashlib.sha256(data).hexdigest()[:32]}"', kind)
    return found
