"""The public show as a folder of files, which any host and any IPFS gateway serves: no server, nothing of ours.

    index.html   night-grove/index.html   night-grove/7/index.html   owner/0x…/index.html   404.html
    gallery/     style, modules and typefaces, as the service has them
    data/        the documents that the JSON routes answer, and columns from which a browser filters
    media/       pictures in the sizes of the page, and each one whole
    sitemap.xml  robots.txt      where its address is known

Every link is relative. It is written of what is minted, by the same code as a public show, so that it shows what that
shows. The same collections give the same bytes, and so the same CID.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from html import escape
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from pipeline.base.errors import BadArgument, WorkspaceUnwritable
from pipeline.base.files import read_regular
from pipeline.base.limits import IMAGE_BYTES
from pipeline.base.media import SVG
from pipeline.base.observer import Observer
from pipeline.base.records import Pin
from pipeline.base.results import as_json
from pipeline.base.workspace import Workspace
from pipeline.ledger import Ledger
from pipeline.pin import load_pinners
from pipeline.pin.places import Places
from pipeline.pin.store import CarStore
from pipeline.serve import documents as doc
from pipeline.serve.gallery import POLICY, static_files
from pipeline.serve.gallery.addresses import PREVIEW, WIDTHS
from pipeline.serve.gallery.media import Media
from pipeline.serve.gallery.thumbnails import NotAnImage, preview, thumbnail
from pipeline.serve.index import Index
from pipeline.serve.pages import SHELL, Page, Words, render, sitemap_of
from pipeline.serve.reading import Reader, ReadingRoutes, columns
from pipeline.settings import Settings

MARK = Path("gallery/app.js")  # what a folder of an earlier export has
# A page cannot say by itself who may frame it; and a folder's server sandboxes no token's own page, so that none runs.
META_POLICY = re.sub(r"frame-ancestors [^;]*; ", "", POLICY).replace("frame-src 'self'", "frame-src 'none'")


class TraitTokens(doc.Document):
    value: doc.Value
    tokens: list[int]  # by their place


class TraitColumn(doc.Document):
    trait_type: str
    values: list[TraitTokens]


class TokenColumns(doc.TokenIndex):
    """A collection as a browser filters it: beside the columns of the grid whose each token is, and what it has."""

    owners: list[str]
    owner: list[int]  # of each token, by its place in `owners`; -1: nobody's
    traits: list[TraitColumn]


Summary = TypeVar("Summary", bound=doc.CollectionSummary)


@dataclass(frozen=True, slots=True)
class Site:
    """What was written."""

    folder: str
    files: int
    bytes: int
    pages: int


@dataclass(frozen=True, slots=True)
class PinnedSite:
    """A site under a CID, and the places that keep it."""

    cid: str
    pins: tuple[Pin, ...]


def write_site(
    workspace: Workspace,
    config: Settings,
    folder: Path,
    observer: Observer,
    *,
    only: str | None = None,
    url: str = "",
    gateway: str = "",
    title: str = "",
) -> Site:
    """Write the show of all collections, or of `only` one, to `folder`: whole, in the place of an earlier one.

    `url` is where it will be found, without which previews of links have no picture; `gateway` is where links to content
    lead. Raises BadArgument where the folder holds anything else, or nothing is minted yet; WorkspaceUnwritable.
    """
    folder = folder.resolve()
    if folder.exists() and not (folder / MARK).exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadArgument(
            name="--site", value=str(folder), expected="a new folder, or one that an earlier export wrote"
        )
    writer = _Writer(
        workspace, config, folder.with_name(f".{folder.name}.incoming"), observer, only, url, gateway, title
    )
    try:
        shutil.rmtree(writer.folder, ignore_errors=True)
        pages = writer.write()
        shutil.rmtree(folder, ignore_errors=True)
        writer.folder.rename(folder)
    except OSError as error:
        raise WorkspaceUnwritable(path=folder, reason=error.strerror or str(error)) from error
    finally:
        shutil.rmtree(writer.folder, ignore_errors=True)
    sizes = [path.stat().st_size for path in _files(folder)]
    return Site(str(folder), len(sizes), sum(sizes), pages)


def pin_site(workspace: Workspace, config: Settings, folder: Path, name: str) -> PinnedSite:
    """Pin a folder at the configured places, and have the ledger know of it. Raises what a place raises that has to prove
    that it keeps it."""
    with workspace.lock(), Ledger(workspace.ledger) as ledger:
        store = CarStore(workspace.cars)
        root = store.put_directory((path.relative_to(folder).as_posix(), path) for path in _files(folder))
        pins = Places(load_pinners(config.pin.places, store, config)).pin(store.path(root.cid), root, name)
        ledger.pins.record_site(root, name, pins)
    return PinnedSite(str(root.cid), pins)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


class _Writer:
    def __init__(
        self,
        workspace: Workspace,
        config: Settings,
        folder: Path,
        observer: Observer,
        only: str | None,
        url: str,
        gateway: str,
        title: str,
    ) -> None:
        self.folder, self._observer, self._url = folder, observer, url
        self._reader = Reader(workspace, config, public=True, only=only)
        self._routes = ReadingRoutes(self._reader, gateway or None)
        self._media = Media(workspace, config, public=True)
        self._words = Words(title, end="/")
        self._done = 0

    def write(self) -> int:
        """Everything; how many pages there are."""
        shown = [self._at_rest(one) for one in self._routes.collections()]
        if not shown:
            raise BadArgument(
                name="--site", value=str(self.folder), expected="a workspace in which something is minted"
            )
        show, total = self._words.name(shown), sum(one.progress.minted for one in shown)
        for name, file in static_files().items():
            if name != SHELL and not name.startswith("studio."):  # nothing can be changed there
                self._put(f"gallery/{name}", file.data)
        self._document("data/collections.json", shown)
        paths = [self._page(self._words.front(shown))]
        owners: dict[str, None] = {}
        for one in shown:
            detail = self._at_rest(self._routes.collection(one.id))
            index = self._index(one.id)
            owners |= dict.fromkeys(str(owner) for owner, _ in index.owner_counts())
            paths += self._collection(detail, index, show, total)
        paths += [self._page(self._words.owner(self._routes.holdings(owner), show)) for owner in owners]
        self._page(self._words.detect(show))
        nowhere = Page(title=f"Not here · {show}", show=show, status=404)
        root = f"{re.sub('^https?://[^/]*', '', self._url)}/"
        self._put("404.html", self._rendered(nowhere, root))
        if self._url:
            self._put("sitemap.xml", sitemap_of(paths, self._url))
            self._put("robots.txt", f"User-agent: *\nDisallow:\n\nSitemap: {self._url}/sitemap.xml\n".encode())
        return len(paths)

    def _at_rest(self, one: Summary) -> Summary:
        """A collection as a folder tells it, which follows no run, and where a drawing is its own thumbnail."""
        works = []
        for work in one.works:
            place, version = work.thumbnail.rpartition("/")[0], work.thumbnail.split("/")[-2]
            is_drawing = self._media.digest(one.id, work.token_id, version)[1] == SVG
            works.append(work.model_copy(update={"thumbnail": f"{place}/image{SVG}"}) if is_drawing else work)
        progress = one.progress.model_copy(update={"running": False})
        return one.model_copy(update={"progress": progress, "works": works})

    def _transparency(self, collection_id: int) -> bytes:
        return json.dumps(as_json(self._routes.transparency(collection_id)), ensure_ascii=False).encode()

    def _index(self, collection_id: int) -> Index:
        with self._reader.open(collection_id) as (ledger, found):
            return self._reader.indexes.of(ledger, found.id)

    def _collection(self, one: doc.CollectionDetail, index: Index, show: str, total: int) -> Iterator[str]:
        self._document(f"data/{one.id}/collection.json", one)
        if one.cover:
            root = one.cover.split("/")[-2]
            read = self._media.cover(one.id, root)[1]
            picture = read()
            for width in WIDTHS:
                self._put(f"media/{one.id}/cover/{root}/{width}.webp", thumbnail(picture, width))
            self._put(f"media/{one.id}/cover/{root}/{PREVIEW}", preview(picture))
        yield self._page(self._words.collection(one, show, index.ids))
        self._put(f"data/{one.id}/transparency.json", self._transparency(one.id))
        yield self._page(self._words.about(one, show))
        suffixes = {}
        for token_id in index.ids:
            token, suffixes[token_id] = self._pictures(one, self._routes.token(one.id, token_id))
            self._document(f"data/{one.id}/tokens/{token_id}.json", token)
            yield self._page(self._words.token(one, token, show))
            self._done += 1
            self._observer.progress("site", self._done, total)
        self._document(f"data/{one.id}/index.json", _columns(index, suffixes))

    def _pictures(self, one: doc.CollectionDetail, token: doc.TokenDetail) -> tuple[doc.TokenDetail, str]:
        """The token with its files beside it, as a folder names them, and the suffix of its image."""
        version = str(token.image).split("/")[-2]
        sha256, suffix = self._media.digest(one.id, token.token_id, version)
        data, place = self._media.read(one.id, token.token_id, sha256), f"media/{one.id}/{token.token_id}/{version}"
        self._put(f"{place}/image{suffix}", data)
        told: dict[str, object] = {"image": f"/{place}/image{suffix}", "widths": [], "animation": token.animation}
        if suffix == SVG:
            told["thumbnail"] = told["image"]
        else:
            told["widths"] = [width for width in token.widths if width in WIDTHS]
            for width in WIDTHS:
                self._made(f"{place}/{width}.webp", sha256, f"{width}.webp", partial(thumbnail, data, width))
            self._made(f"{place}/{PREVIEW}", sha256, PREVIEW, partial(preview, data))
        if token.animation and token.animation.path:
            told["animation"] = self._moving(one.id, token)
        return token.model_copy(update=told), suffix

    def _moving(self, collection_id: int, token: doc.TokenDetail) -> doc.Animation:
        """What moves, as a file. A page of a token's own is left at the gateway: here nothing would hold it in."""
        assert token.animation is not None and token.animation.path is not None
        if token.animation.kind == "page":
            return token.animation.model_copy(update={"path": None})
        version = token.animation.path.split("/")[-2]
        data, suffix = self._media.read_animation(collection_id, token.token_id, version)
        path = f"media/{collection_id}/{token.token_id}/{version}/animation{suffix}"
        self._put(path, data)
        return token.animation.model_copy(update={"path": f"/{path}"})

    def _made(self, path: str, sha256: str, form: str, make: Callable[[], bytes]) -> None:
        with suppress(NotAnImage):  # the whole image is there all the same
            self._put(path, read_regular(self._media.thumbnails.made(sha256, form, make).result(), IMAGE_BYTES))

    def _page(self, page: Page) -> str:
        """Write a page; its path."""
        root = "../" * page.path.count("/")
        self._put(f"{page.path}{SHELL}", self._rendered(page, root or "./"))
        return page.path

    def _rendered(self, page: Page, root: str) -> bytes:
        html = render(page, root, self._url).decode()
        policy = f'<meta http-equiv="Content-Security-Policy" content="{escape(META_POLICY)}">'
        html = html.replace('<html lang="en">', '<html lang="en" data-folder>')
        html = html.replace('<meta charset="utf-8">', f'<meta charset="utf-8">\n  {policy}')
        return re.sub(r'\s*<a id="docs-link".*?</a>', "", html).encode("utf-8", "replace")

    def _document(self, path: str, told: BaseModel | Sequence[BaseModel]) -> None:
        many = None if isinstance(told, BaseModel) else [one.model_dump(mode="json") for one in told]
        document = told.model_dump(mode="json") if isinstance(told, BaseModel) else many
        self._put(path, json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace"))

    def _put(self, path: str, data: bytes) -> None:
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)


def _columns(index: Index, suffixes: Mapping[int, str]) -> TokenColumns:
    owners = [owner for owner, _ in index.owner_counts()]
    places = {owner: place for place, owner in enumerate(owners)}
    grid = columns(index, range(len(index)))
    versions = [
        f"{version}{SVG}" if suffixes.get(token_id) == SVG else version  # a drawing is its own thumbnail
        for token_id, version in zip(grid.token_ids, grid.versions, strict=True)
    ]
    return TokenColumns(
        **grid.model_dump() | {"versions": versions},
        owners=list(map(str, owners)),
        owner=[places[owner] if owner is not None else -1 for owner in index.owners[: len(versions)]],
        traits=[
            TraitColumn(trait_type=trait, values=[TraitTokens(value=value, tokens=found) for value, found in values])
            for trait, values in index.having().items()
        ],
    )
