"""Addresses that people pass on: what is answered to whoever opens one, to a chat that shows where it leads, to a robot.

    /   /lino   /lino/7   /owner/0x…   /docs        the page, with a head of its own; its modules draw the rest
    /sitemap.xml   /robots.txt

The page is one file. Its head is completed here, from the same documents that the JSON routes answer, and so is what a
reader without JavaScript sees. Whatever somebody wrote is escaped, once, where it is put in.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html import escape
from itertools import islice
from urllib.parse import quote

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, Response

from pipeline.base.errors import NoSuch, PipelineError
from pipeline.base.limits import MAX_EXACT
from pipeline.base.media import SVG
from pipeline.serve import documents as doc
from pipeline.serve.door import is_page
from pipeline.serve.gallery import HEADERS, StaticFile, answer, static_files
from pipeline.serve.gallery.addresses import RESERVED, cover_preview, preview_path
from pipeline.serve.reading import Reader, ReadingRoutes

SHELL = "index.html"
DEFAULT_TITLE = "Gallery"
MAX_SAID = 300  # characters of a description in a head: previews show fewer
MAX_ADDRESSES = 50_000  # of a sitemap (sitemaps.org)
LISTED = 500  # links to tokens for readers without JavaScript
_TITLE, _NOSCRIPT = "<title>Gallery</title>", re.compile("(?<=<noscript>).*?(?=</noscript>)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Page:
    """What a page says of itself before it draws anything. Paths begin at the show's own root, without a slash."""

    title: str
    show: str  # the name of the whole
    description: str = ""
    path: str = ""
    collection: tuple[int, str] | None = None  # its number and its word, so that nobody has to ask
    image: str | None = None  # 1200 by 630 pixels
    picture: str | None = None  # for readers without JavaScript
    words: tuple[str, ...] = ()  # paragraphs for them
    links: tuple[tuple[str, str], ...] = ()  # path and text
    status: int = 200

    def at(self, url: str) -> str:
        """Where others find it."""
        return f"{url}/{quote(self.path)}"


def render(page: Page, root: str, url: str, *, public: bool = False) -> bytes:
    """The whole document. `root` leads from the page to the show's root, `url` is the root for others; empty: unknown."""
    shell = static_files()[SHELL].data.decode()
    audience = ['<meta name="audience" content="public">'] if public else []
    head = "\n  ".join([*_head(page, root, url), *audience])
    body = "".join(f"\n    {line}" for line in _body(page, root))
    shell = shell.replace(_TITLE, head)
    shell = _NOSCRIPT.sub(lambda _: f"{body}\n  ", shell)
    return shell.replace('"/gallery/', f'"{root}gallery/').encode("utf-8", "replace")


def _head(page: Page, root: str, url: str) -> Iterator[str]:
    said = _short(page.description)
    yield f"<title>{escape(page.title)}</title>"
    yield f'<meta name="application-name" content="{escape(page.show)}">'
    if page.collection:
        yield f'<meta name="collection" content="{page.collection[0]} {escape(page.collection[1])}">'
    if page.status != 200:
        yield '<meta name="robots" content="noindex">'
        return
    if said:
        yield f'<meta name="description" content="{escape(said)}">'
    yield '<meta property="og:type" content="website">'
    yield f'<meta property="og:site_name" content="{escape(page.show)}">'
    yield f'<meta property="og:title" content="{escape(page.title)}">'
    if said:
        yield f'<meta property="og:description" content="{escape(said)}">'
    if url:
        yield f'<link rel="canonical" href="{escape(page.at(url))}">'
        yield f'<meta property="og:url" content="{escape(page.at(url))}">'
    if page.image:
        address = f"{url}/{page.image}" if url else f"{root}{page.image}"
        yield f'<meta property="og:image" content="{escape(address)}">'
        yield '<meta property="og:image:width" content="1200">'
        yield '<meta property="og:image:height" content="630">'
        yield f'<meta property="og:image:alt" content="{escape(page.title)}">'
        yield '<meta name="twitter:card" content="summary_large_image">'
    else:
        yield '<meta name="twitter:card" content="summary">'


def _body(page: Page, root: str) -> Iterator[str]:
    yield f"<h1>{escape(page.title)}</h1>"
    if page.picture:
        yield f'<p><img src="{escape(root + page.picture)}" alt="{escape(page.title)}" width="640"></p>'
    yield from (f"<p>{escape(one)}</p>" for one in page.words if one)
    if page.links:
        yield "<ul>"
        yield from (f'<li><a href="{escape(root + quote(path))}">{escape(text)}</a></li>' for path, text in page.links)
        yield "</ul>"


# ── what each page says ──────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Words:
    """The pages of a show by their documents; `end` stands behind an address, where pages are folders."""

    title: str = ""  # of the show, where somebody gave one
    end: str = ""

    def name(self, shown: Iterable[doc.CollectionSummary]) -> str:
        """What the show is called: as it was said, or by its artist, where all of it is by one."""
        artists = {one.artist for one in shown}
        return self.title or (artists.pop() if len(artists) == 1 else "") or DEFAULT_TITLE

    def front(self, shown: list[doc.CollectionSummary]) -> Page:
        name, newest = self.name(shown), next((one for one in shown if one.cover), None)
        titles = ", ".join(one.name for one in shown)
        return Page(
            title=name,
            show=name,
            description=titles,
            image=_cover_preview(newest) if newest else None,
            links=tuple((one.slug + self.end, one.name) for one in shown),
        )

    def collection(self, one: doc.CollectionSummary, show: str, token_ids: Iterable[int]) -> Page:
        by = f" by {one.artist}" if one.artist else ""
        return Page(
            title=f"{one.name}{by}",
            show=show,
            description=one.description or one.statement,
            path=one.slug + self.end,
            collection=(one.id, one.slug),
            image=_cover_preview(one),
            picture=_local(one.cover),
            words=(one.description, one.statement, one.licence),
            links=tuple((f"{one.slug}/{n}{self.end}", f"{one.name} #{n}") for n in islice(token_ids, LISTED)),
        )

    def detect(self, show: str) -> Page:
        return Page(
            title=f"Whose is it? · {show}",
            show=show,
            description="Which work of this show a picture is, by the mark in its pixels.",
            path=f"detect{self.end}",
        )

    def about(self, one: doc.CollectionSummary, show: str) -> Page:
        return Page(
            title=f"How {one.name} was made",
            show=show,
            description="What was written, what was learned and from what, how to check it, what is not known.",
            path=f"{one.slug}/about{self.end}",
            image=_cover_preview(one),
            links=((one.slug + self.end, one.name),),
        )

    def token(self, one: doc.CollectionSummary, token: doc.TokenDetail, show: str) -> Page:
        by = f"by {one.artist}. " if one.artist else ""
        traits = ", ".join(f"{trait.trait_type}: {trait.value}" for trait in token.traits)
        version = token.thumbnail.split("/")[-2] if token.thumbnail else None
        drawing = (token.image_uri or "").endswith(SVG)  # no chat shows one, and no pixels are made of it here
        return Page(
            title=token.name,
            show=show,
            description=f"{by}{traits}",
            path=f"{one.slug}/{token.token_id}{self.end}",
            collection=(one.id, one.slug),
            image=None if drawing or not version else preview_path(one.id, token.token_id, version).lstrip("/"),
            picture=_local(token.thumbnail),
            words=(f"{one.name}{f' by {one.artist}' if one.artist else ''}", traits, f"Owner: {token.owner or '—'}"),
            links=((one.slug + self.end, one.name),),
        )

    def owner(self, found: doc.Holdings, show: str) -> Page:
        short = f"{found.owner[:6]}…{found.owner[-4:]}"
        of = ", ".join(f"{held.tokens.total} of {held.collection.name}" for held in found.collections)
        first = found.collections[0] if found.collections else None
        return Page(
            title=f"Collected by {short}",
            show=show,
            description=of,
            path=f"owner/{found.owner}{self.end}",
            image=_cover_preview(first.collection) if first else None,
            words=(of,),
        )


def _cover_preview(one: doc.CollectionSummary) -> str | None:
    """What a chat shows of a collection: its cover."""
    if not one.cover:
        return None
    return cover_preview(one.id, one.cover.split("/")[-2]).lstrip("/")


def _local(path: str | None) -> str | None:
    return path.lstrip("/") if path else None


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= MAX_SAID else f"{line[: MAX_SAID - 1]}…"


# ── over HTTP ────────────────────────────────────────────────────────────────────────────────────────────────


def pages_router(
    reader: Reader, *, told: bool = True, public: bool = False, url: str = "", title: str = ""
) -> APIRouter:
    """The pages. `told`: everybody may read, so that heads may tell what pages are about."""
    routes, words = ReadingRoutes(reader, None), Words(title)
    router = APIRouter(include_in_schema=False)

    @router.get("/robots.txt")
    def robots(request: Request) -> PlainTextResponse:
        if not public:
            return PlainTextResponse("User-agent: *\nDisallow: /\n")
        site = f"Sitemap: {_base(request, url)}/sitemap.xml"
        return PlainTextResponse(f"User-agent: *\nDisallow: /v1/\nDisallow: /owner/\n\n{site}\n")

    @router.get("/sitemap.xml")
    def sitemap(request: Request) -> Response:
        return Response(sitemap_of(_addresses(routes), _base(request, url)), media_type="application/xml")

    @router.get("/{path:path}")
    def page(request: Request, path: str) -> Response:
        if not is_page(f"/{path}"):
            raise NoSuch(what="such address", hint="GET /openapi.json describes every request")
        if not told:
            return answer(request, static_files()[SHELL])
        found = _found(routes, words, path.strip("/"))
        file = StaticFile(render(found, "/", _base(request, url), public=public), "text/html")
        return answer(request, file, found.status, HEADERS)

    return router


def _found(routes: ReadingRoutes, words: Words, path: str) -> Page:
    """The page at an address. What cannot be read now has an empty head: the page itself tells why."""
    show = words.title or DEFAULT_TITLE
    try:
        shown = routes.collections()
        show = words.name(shown)
        return _page_at(routes, words, path, shown, show)
    except NoSuch:
        return Page(title=f"Not here · {show}", show=show, status=404)
    except PipelineError:
        return Page(title=show, show=show)


def _page_at(routes: ReadingRoutes, words: Words, path: str, shown: list[doc.CollectionSummary], show: str) -> Page:
    first, _, second = path.partition("/")
    if not first:
        return words.front(shown)
    if path == "docs":
        return Page(title=f"API · {show}", show=show, description="What this show answers to programs.", path="docs")
    if path == "detect":
        return words.detect(show)
    if first == "owner" and re.fullmatch("0x[0-9a-fA-F]{40}", second):
        return words.owner(routes.holdings(second), show)
    number = routes.number(first) if first not in RESERVED else None
    if number is None:
        raise NoSuch(what="page at this address")
    one = routes.collection(number)
    if not second:
        return words.collection(one, show, routes.token_ids(number))
    if second == "about":
        return words.about(one, show)
    if not (re.fullmatch("[1-9][0-9]{0,15}", second) and int(second) <= MAX_EXACT):
        raise NoSuch(what="page at this address")
    return words.token(one, routes.token(number, int(second)), show)


def _addresses(routes: ReadingRoutes) -> Iterator[str]:
    yield ""
    for one in routes.collections():
        yield one.slug
        yield f"{one.slug}/about"
        yield from (f"{one.slug}/{token_id}" for token_id in routes.token_ids(one.id))


def sitemap_of(paths: Iterable[str], url: str) -> bytes:
    """A sitemap of the first MAX_ADDRESSES pages."""
    entries = "".join(
        f"<url><loc>{escape(f'{url}/{quote(path)}')}</loc></url>\n" for path in islice(paths, MAX_ADDRESSES)
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n{entries}</urlset>\n'
    ).encode()


def _base(request: Request, url: str) -> str:
    """Where others find this service: as it was said, or as they asked for it, which the door has checked."""
    return url or f"{request.url.scheme}://{request.headers.get('host', '')}"
