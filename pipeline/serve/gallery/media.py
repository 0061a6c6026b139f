"""Images of a workspace for the page: whole ones and thumbnails, with nothing in them that a browser would run; and what
moves beside them, of which only a token's HTML page runs, in a sandbox without origin, network or name.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Request
from fastapi import Path as InPath
from fastapi.responses import FileResponse, Response

from pipeline.base.cid import CID
from pipeline.base.errors import BadCar, Corrupt, NoSuch, PinError
from pipeline.base.files import open_regular, read_regular
from pipeline.base.limits import IMAGE_BYTES, MAX_EXACT
from pipeline.base.media import BY_SUFFIX, SVG, SVG_TYPE, picture_type
from pipeline.base.workspace import Workspace
from pipeline.ledger import Ledger
from pipeline.pin import unixfs
from pipeline.pin.store import CarStore
from pipeline.serve.gallery.addresses import PREVIEW, REDRAWN, WIDTHS
from pipeline.serve.gallery.redrawn import redrawn, scales
from pipeline.serve.gallery.thumbnails import NotAnImage, Thumbnails, preview, thumbnail
from pipeline.serve.problems import PROBLEMS
from pipeline.settings import Settings

# What is opened by itself, as a page, runs nothing, loads nothing and has an origin of its own.
HEADERS = {
    "Cache-Control": "private, max-age=31536000, immutable",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
}

FOR_ALL = "public, max-age=31536000, immutable"  # of a public show: whatever stands between may keep it as well

# A token's page may run what it holds itself and load nothing: of no other origin, from no server. In the gallery's frame it
# cannot leave either; opened by itself it can lead its own window away, as any link could, with nothing of ours in it.
PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval' blob: data:; style-src 'unsafe-inline' data:; "
        "img-src blob: data:; media-src blob: data:; font-src data:; connect-src blob: data:; worker-src blob:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'self'; sandbox allow-scripts"
    ),
    "X-Frame-Options": "SAMEORIGIN",
}


CollectionId = Annotated[int, InPath(ge=1, le=MAX_EXACT)]
TokenId = Annotated[int, InPath(ge=1, le=MAX_EXACT)]
Version = Annotated[str, InPath(pattern="^[0-9a-f]{8}$")]
Root = Annotated[str, InPath(pattern="^[a-zA-Z0-9]{46,100}$")]


def media_router(media: Media) -> APIRouter:
    """Routes below /media. An address names the content, so each answer may be kept for ever."""
    router = APIRouter(prefix="/media", responses=PROBLEMS, tags=["media"])

    @router.get("/{collection_id}/cover/{root}/{width}.webp", response_class=FileResponse)
    async def cover(request: Request, collection_id: CollectionId, root: Root, width: int) -> Response:
        """The cover of a collection as a thumbnail."""
        return await media.thumbnail(request, width, *await asyncio.to_thread(media.cover, collection_id, root))

    @router.get("/{collection_id}/cover/{root}/preview.jpg", response_class=FileResponse)
    async def cover_preview(request: Request, collection_id: CollectionId, root: Root) -> Response:
        """The cover of a collection as a chat shows it beside a link: 1200 by 630 pixels, JPEG."""
        return await media.preview(request, *await asyncio.to_thread(media.cover, collection_id, root))

    @router.get("/{collection_id}/{token_id}/{version}/image", response_class=FileResponse)
    async def image(request: Request, collection_id: CollectionId, token_id: TokenId, version: Version) -> Response:
        """The whole image of a token, as it is on IPFS."""
        return await asyncio.to_thread(media.image, request, collection_id, token_id, version)

    @router.get("/{collection_id}/{token_id}/{version}/animation", response_class=FileResponse)
    async def animation(request: Request, collection_id: CollectionId, token_id: TokenId, version: Version) -> Response:
        """What moves beside a token's image, as it is on IPFS. A page runs in a sandbox, wherever it is opened."""
        return await asyncio.to_thread(media.animation, request, collection_id, token_id, version)

    @router.get("/{collection_id}/{token_id}/{version}/{width}.webp", response_class=FileResponse)
    async def thumbnail(
        request: Request, collection_id: CollectionId, token_id: TokenId, version: Version, width: int
    ) -> Response:
        """An image of a token in another size: a thumbnail, never larger than the image; an SVG, which has every size, as it is.

        2048 and 3072 are drawn again from the token's seed, where its art has every size.
        """
        sha256, suffix = await asyncio.to_thread(media.digest, collection_id, token_id, version)
        if suffix == SVG and width in WIDTHS:
            return await asyncio.to_thread(media.image, request, collection_id, token_id, version)
        if width in REDRAWN:
            make = await asyncio.to_thread(media.redrawn, collection_id, token_id, width)
            return await media.picture(request, sha256, f"{width}.webp", make)
        return await media.thumbnail(request, width, sha256, lambda: media.read(collection_id, token_id, sha256))

    @router.get("/{collection_id}/{token_id}/{version}/preview.jpg", response_class=FileResponse)
    async def preview(request: Request, collection_id: CollectionId, token_id: TokenId, version: Version) -> Response:
        """A token as a chat shows it beside a link: whole, on paper of 1200 by 630 pixels, JPEG."""
        sha256, _ = await asyncio.to_thread(media.digest, collection_id, token_id, version)
        return await media.preview(request, sha256, lambda: media.read(collection_id, token_id, sha256))

    return router


class Media:
    """Where images are in a workspace: as files that `mint` drew, or else in the CARs; `public`: of what is minted."""

    def __init__(self, workspace: Workspace, config: Settings, *, public: bool = False) -> None:
        self.workspace, self._config, self._public = workspace, config, public
        self._headers = HEADERS | ({"Cache-Control": FOR_ALL} if public else {})
        self.store = CarStore(workspace.cars)
        self.thumbnails = Thumbnails(workspace.thumbnails)

    def digest(self, collection_id: int, token_id: int, version: str) -> tuple[str, str]:
        """The sha256 and the suffix of a token's image. Raises NoSuch for another version than the address names."""
        with self._ledger() as ledger:
            found = (
                ledger.catalogue.image(collection_id, token_id)
                if self._shows(ledger, collection_id, token_id)
                else None
            )
        if found is None or not found[0].hex().startswith(version):
            raise NoSuch(what=f"image {version} of token {token_id} in collection {collection_id}")
        return found[0].hex(), found[1]

    def image(self, request: Request, collection_id: int, token_id: int, version: str) -> Response:
        sha256, suffix = self.digest(collection_id, token_id, version)
        headers = self._headers | {"ETag": f'"{sha256}"'}
        if _known(request, headers["ETag"]):
            return Response(status_code=304, headers=headers)
        path = self.workspace.image(collection_id, token_id, suffix)
        if _holds(path, sha256):
            with open_regular(path) as file:
                kind = SVG_TYPE if suffix == SVG else picture_type(file.read(12))
            return FileResponse(
                path, headers=headers | _attachment(kind), media_type=kind or "application/octet-stream"
            )
        data = self._from_car(collection_id, token_id, sha256, suffix)
        kind = SVG_TYPE if suffix == SVG else picture_type(data[:12])
        return Response(data, headers=headers | _attachment(kind), media_type=kind or "application/octet-stream")

    def read(self, collection_id: int, token_id: int, sha256: str) -> bytes:
        """The bytes of a token's image. Raises Corrupt when no copy hashes to `sha256`."""
        _, suffix = self.digest(collection_id, token_id, sha256)
        path = self.workspace.image(collection_id, token_id, suffix)
        if _holds(path, sha256):
            return read_regular(path, IMAGE_BYTES)
        return self._from_car(collection_id, token_id, sha256, suffix)

    def animation(self, request: Request, collection_id: int, token_id: int, version: str) -> Response:
        """A token's video, sound, model or page. Raises NoSuch for another version than the address names."""
        sha256, suffix = self._moving(collection_id, token_id, version)
        shown = BY_SUFFIX[suffix]
        content_type = f"{shown.type}; charset=utf-8" if shown.kind == "page" else shown.type
        headers = self._headers | {"ETag": f'"{sha256}"'} | (PAGE_HEADERS if shown.kind == "page" else {})
        if _known(request, headers["ETag"]):
            return Response(status_code=304, headers=headers)
        path = self.workspace.image(collection_id, token_id, suffix)
        if _holds(path, sha256):
            return FileResponse(path, headers=headers, media_type=content_type)
        data = self._from_car(collection_id, token_id, sha256, suffix)
        return Response(data, headers=headers, media_type=content_type)

    def read_animation(self, collection_id: int, token_id: int, version: str) -> tuple[bytes, str]:
        """The bytes of what moves beside a token's image, and their suffix. Raises NoSuch, Corrupt."""
        sha256, suffix = self._moving(collection_id, token_id, version)
        path = self.workspace.image(collection_id, token_id, suffix)
        if _holds(path, sha256):
            return read_regular(path, IMAGE_BYTES), suffix
        return self._from_car(collection_id, token_id, sha256, suffix), suffix

    def _moving(self, collection_id: int, token_id: int, version: str) -> tuple[str, str]:
        with self._ledger() as ledger:
            token = ledger.tokens.get(collection_id, token_id) if self._shows(ledger, collection_id, token_id) else None
        moving = token.animation if token else None
        if moving is None or not moving.sha256.hex().startswith(version):
            raise NoSuch(what=f"animation {version} of token {token_id} in collection {collection_id}")
        return moving.sha256.hex(), moving.suffix

    def cover(self, collection_id: int, root: str) -> tuple[str, Callable[[], bytes]]:
        """What names the cover in the cache, and what reads it. Raises NoSuch for another root than the collection's."""
        with self._ledger() as ledger:
            known = ledger.catalogue.cover_root(collection_id) if self._shows(ledger, collection_id) else None
        if known is None or known != root:
            raise NoSuch(what=f"cover {root} of collection {collection_id}")
        return hashlib.sha256(root.encode()).hexdigest(), lambda: self._only_file(CID.parse(root))

    async def thumbnail(self, request: Request, width: int, sha256: str, read: Callable[[], bytes]) -> Response:
        """A thumbnail, made if it is not there. Raises NoSuch for widths that are not made, NotAnImage, Busy."""
        if width not in WIDTHS:
            raise NoSuch(what=f"width {width}", hint=f"there are {', '.join(map(str, WIDTHS))}")
        return await self.picture(request, sha256, f"{width}.webp", lambda: thumbnail(read(), width))

    async def preview(self, request: Request, sha256: str, read: Callable[[], bytes]) -> Response:
        """What a chat shows of a link, made if it is not there. Raises NotAnImage, Busy."""
        return await self.picture(request, sha256, PREVIEW, lambda: preview(read()))

    async def picture(self, request: Request, sha256: str, form: str, make: Callable[[], bytes]) -> Response:
        """A picture that is made of the one with this digest, once. Raises what `make` does, and Busy."""
        headers = self._headers | {"ETag": f'"{sha256}-{form}"'}
        if _known(request, headers["ETag"]):
            return Response(status_code=304, headers=headers)
        path = await asyncio.wrap_future(self.thumbnails.made(sha256, form, make))
        return FileResponse(path, headers=headers, media_type="image/jpeg" if form == PREVIEW else "image/webp")

    def redrawn(self, collection_id: int, token_id: int, width: int) -> Callable[[], bytes]:
        """What draws a token again at this size. Raises NoSuch where its art has no other size than its image's."""
        with self._ledger() as ledger:
            run, token = ledger.catalogue.run_of(collection_id, token_id), ledger.tokens.get(collection_id, token_id)
        if run is None or token is None or token.seed is None or not scales(run):
            raise NoSuch(what=f"width {width} of token {token_id}", hint=f"there are {', '.join(map(str, WIDTHS))}")
        return lambda: redrawn(self._config, run, token, width)

    def _shows(self, ledger: Ledger, collection_id: int, token_id: int | None = None) -> bool:
        return not self._public or ledger.catalogue.has_minted(collection_id, token_id)

    def _from_car(self, collection_id: int, token_id: int, sha256: str, suffix: str) -> bytes:
        with self._ledger() as ledger:
            token = next(ledger.tokens.of(collection_id, token_id, 1))
        if token.images_root is not None:
            data = self.store.read(token.images_root, f"{token_id}{suffix}", IMAGE_BYTES)
            if hashlib.sha256(data).hexdigest() == sha256:
                return data
        path = self.workspace.image(collection_id, token_id, suffix)
        raise Corrupt(what=path, reason="it is missing or changed", hint="`pipeline verify` tells what else is")

    def _only_file(self, root: CID) -> bytes:
        try:
            with self.store.open(root) as car:
                _, target = next(iter(unixfs.entries(root, car.get_block)))
                return unixfs.read_bytes(target, car.get_block, IMAGE_BYTES)
        except (BadCar, PinError, StopIteration) as error:
            raise NotAnImage(what=f"the cover in {root}", reason="its CAR holds no file") from error

    def _ledger(self) -> Ledger:
        if not Ledger.exists(self.workspace.ledger):
            raise NoSuch(what="collection here yet")
        return Ledger(self.workspace.ledger, readonly=True)


def _holds(path: Path, sha256: str) -> bool:
    """Whether a file is there and hashes to `sha256`; one that has not changed since is not read again."""
    try:
        state = path.stat()
    except OSError:
        return False
    return state.st_size <= IMAGE_BYTES and _hash(path, state.st_ino, state.st_size, state.st_mtime_ns) == sha256


@lru_cache(maxsize=4096)
def _hash(path: Path, inode: int, size: int, changed_ns: int) -> str:
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _known(request: Request, tag: str) -> bool:
    return tag in (part.strip().removeprefix("W/") for part in request.headers.get("if-none-match", "").split(","))


def _attachment(kind: str | None) -> dict[str, str]:
    """What is no image that we know is saved and never shown."""
    return {} if kind else {"Content-Disposition": "attachment"}
