"""An IPFS gateway over the embedded store, as an ASGI application: files by path, single blocks, whole DAGs as CAR.

    GET /ipfs/<cid>[/path]                  a file, with ranges; a directory as a list
    GET /ipfs/<cid>[/path]?format=raw       one block
    GET /ipfs/<cid>[/path]?format=car       the DAG, or a part of it by dag-scope=block|entity|all

It serves what is in the store and fetches nothing. All of it is immutable, public by nature, and open to every origin.
What a browser would run (HTML, SVG) is served in a sandbox, because all content shares this one origin.

Sources: specs.ipfs.tech/http-gateways/path-gateway and /trustless-gateway; RFC 9110 (ranges, conditional requests).
"""

from __future__ import annotations

import asyncio
import contextlib
import html
import itertools
import logging
import mimetypes
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, quote, unquote_to_bytes

from pipeline.cid import CID, IDENTITY
from pipeline.errors import BadArgument, BadCar, Corrupt
from pipeline.pin import unixfs
from pipeline.pin.car import Car, car_header, car_section
from pipeline.pin.store import CarStore
from pipeline.pin.unixfs import BadDag, NotInDag

log = logging.getLogger(__name__)

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

MAX_PATH = 4_096  # bytes: servers cut longer request lines themselves
MAX_LISTED = 1_000  # entries of a directory that a list shows
IMMUTABLE = "public, max-age=29030400, immutable"  # the value of the path gateway spec
_FORMATS = {"application/vnd.ipld.raw": "raw", "application/vnd.ipld.car": "car"}
_CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, HEAD, OPTIONS",
    "Access-Control-Allow-Headers": "Content-Type, If-None-Match, Range, X-Requested-With",
    "Access-Control-Expose-Headers": "Content-Length, Content-Range, ETag, X-Ipfs-Path, X-Ipfs-Roots",
}


@dataclass(slots=True)
class Answer:
    """A response: the body comes in parts, so that no file is ever whole in memory."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: Iterator[bytes] = field(default_factory=lambda: iter(()))


class _Refused(Exception):
    """Ends a request with a status and a sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        self.status = status
        super().__init__(sentence)


class Gateway:
    """ASGI application over one store. The store may grow while it runs."""

    def __init__(self, store: CarStore) -> None:
        self.store = store

    async def __call__(self, scope: Mapping[str, Any], receive: Any, send: Send) -> None:
        """Answer one HTTP request. Reading and hashing happen in a thread, so other requests go on."""
        if scope["type"] != "http":
            raise ValueError(f"this application answers http, not {scope['type']}")
        with contextlib.ExitStack() as opened:
            answer = await asyncio.to_thread(self._answer, scope, opened)
            headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in answer.headers.items()]
            await send({"type": "http.response.start", "status": answer.status, "headers": headers})
            if scope["method"] != "HEAD":
                while part := await asyncio.to_thread(next, answer.body, b""):
                    await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body", "body": b""})

    def _answer(self, scope: Mapping[str, Any], opened: contextlib.ExitStack) -> Answer:
        answer = self._content_or_refusal(scope, opened)
        answer.headers = _CORS | answer.headers
        return answer

    def _content_or_refusal(self, scope: Mapping[str, Any], opened: contextlib.ExitStack) -> Answer:
        if scope["method"] == "OPTIONS":
            return Answer(204)
        try:
            if scope["method"] not in ("GET", "HEAD"):
                raise _Refused(405, "only GET, HEAD and OPTIONS")
            return self._content(scope, opened)
        except _Refused as refused:
            return _told(refused.status, str(refused))
        except NotInDag as error:
            return _told(404, str(error))
        except BadDag as error:
            return _told(400, str(error))
        except (Corrupt, BadCar) as error:
            log.error("%s", error)
            return _told(500, "this content is damaged in the store")

    def _content(self, scope: Mapping[str, Any], opened: contextlib.ExitStack) -> Answer:
        root, path = _parsed(scope.get("raw_path") or quote(scope["path"]).encode())
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        query = {name: values[0] for name, values in parse_qs(scope.get("query_string", b"").decode("latin-1")).items()}
        form = _form(query, headers)
        car = self._find(root, opened)
        seen: dict[CID, bytes] = {}  # the blocks on the way, which a CAR has to contain

        def get_block(cid: CID) -> bytes:
            if cid not in seen:
                seen[cid] = car.get_block(cid) if car else cid.digest
            return seen[cid]

        way = [root]
        for name in filter(None, path.split("/")):
            way.append(unixfs.resolve(way[-1], name, get_block))
        target = way[-1]
        shown_path = quote(path, safe="/", errors="surrogateescape")
        common = {
            "X-Ipfs-Path": f"/ipfs/{root}{shown_path}",
            "X-Ipfs-Roots": ",".join(map(str, way)),
            "Cache-Control": IMMUTABLE,
            "X-Content-Type-Options": "nosniff",
            "Vary": "Accept",
        }
        fetch = car.get_block if car else _inline
        if form == "raw":
            answer = _raw(target, fetch)
        elif form == "car":
            answer = _car(root, target, path, query.get("dag-scope", "all"), dict(seen), fetch)
        else:
            answer = _file_or_list(root, target, path, shown_path, fetch, headers.get("range"))
        answer.headers = common | answer.headers
        if _matches(headers.get("if-none-match"), answer.headers.get("ETag", "")):
            kept = ("ETag", "Cache-Control", "X-Ipfs-Path", "X-Ipfs-Roots", "Vary")
            return Answer(304, {name: answer.headers[name] for name in kept})
        return answer

    def _find(self, cid: CID, opened: contextlib.ExitStack) -> Car | None:
        """Open the CAR that has `cid`, as root or anywhere; None for an identity CID, which needs none."""
        if cid.hash == IDENTITY:
            return None
        roots = self.store.roots()
        for root in [root for root in roots if root == cid] or roots:
            with contextlib.ExitStack() as trying:
                car = trying.enter_context(self.store.open(root))
                if cid in car:
                    opened.push(trying.pop_all())
                    return car
        raise _Refused(404, f"{cid} is not in this store")


def _parsed(raw_path: bytes) -> tuple[CID, str]:
    if len(raw_path) > MAX_PATH:
        raise _Refused(414, "the path is too long")
    parts = re.fullmatch(rb"/ipfs/([^/?#]+)(/[^?#]*)?", raw_path)
    if not parts:
        raise _Refused(404, "paths here begin with /ipfs/<cid>")
    if re.search(rb"%(?![0-9A-Fa-f]{2})", raw_path):
        raise _Refused(400, "the path has a % that is not followed by two hex digits")
    try:
        return CID.parse(parts[1].decode("latin-1")), unquote_to_bytes(parts[2] or b"").decode(errors="surrogateescape")
    except BadArgument as error:
        raise _Refused(400, str(error)) from error


def _form(query: Mapping[str, str], headers: Mapping[str, str]) -> str:
    """`raw`, `car`, or empty for the file itself. The parameter wins over the header (IPIP-523)."""
    if "format" in query:
        if query["format"] not in _FORMATS.values():
            raise _Refused(406, f"format {query['format'][:20]!r} is not raw or car")
        return query["format"]
    wanted = [part.split(";")[0].strip() for part in headers.get("accept", "").split(",")]
    found = next((_FORMATS[name] for name in wanted if name in _FORMATS), "")
    if not found and any(name.startswith("application/vnd.ip") for name in wanted):
        raise _Refused(406, "only application/vnd.ipld.raw and application/vnd.ipld.car")
    return found


def _raw(target: CID, fetch: unixfs.GetBlock) -> Answer:
    block = fetch(target)
    return Answer(
        200,
        {
            "Content-Type": "application/vnd.ipld.raw",
            "Content-Length": str(len(block)),
            "Content-Disposition": f'attachment; filename="{target}.bin"',
            "ETag": f'"{target}.raw"',
        },
        iter((block,)),
    )


def _car(root: CID, target: CID, path: str, scope: str, way: dict[CID, bytes], fetch: unixfs.GetBlock) -> Answer:
    if scope not in ("all", "entity", "block"):
        raise _Refused(400, f"dag-scope {scope[:20]!r} is not all, entity or block")
    way[target] = way.get(target) or fetch(target)
    below = _scope(target, scope, fetch)
    blocks = itertools.chain(way.items(), (pair for pair in below if pair[0] not in way))
    sections = (car_section(cid, block) for cid, block in blocks if cid.hash != IDENTITY)
    tag = f'"{root}.car.{scope}"' if root == target else f'"{root}.{target}.car.{scope}"'
    return Answer(
        200,
        {
            "Content-Type": "application/vnd.ipld.car; version=1; order=dfs; dups=n",
            "Content-Disposition": f'attachment; filename="{target}.car"',
            "ETag": tag,
            "Accept-Ranges": "none",
        },
        itertools.chain((car_header(root),), sections),
    )


def _scope(target: CID, scope: str, fetch: unixfs.GetBlock) -> Iterator[tuple[CID, bytes]]:
    """The blocks of a DAG; of one file or directory without what is in it; or one block."""
    if scope == "block":
        return iter(())
    kind = unixfs.decode_block(target, fetch(target)).kind
    if scope == "entity" and kind == unixfs.DIRECTORY:
        return iter(())
    if scope == "entity" and kind == unixfs.HAMT_SHARD:
        return ((cid, fetch(cid)) for cid in unixfs.shards(target, fetch))
    return unixfs.walk(target, fetch)


def _file_or_list(
    root: CID, target: CID, path: str, shown_path: str, fetch: unixfs.GetBlock, wanted: str | None
) -> Answer:
    if unixfs.decode_block(target, fetch(target)).is_directory:
        if not path.endswith("/"):
            return Answer(301, {"Location": f"/ipfs/{root}{shown_path}/"})
        return _list(target, shown_path, root, fetch)
    size = unixfs.file_size(target, fetch)
    start, stop = _range(wanted, size)
    kind = mimetypes.guess_type(path)[0] or _sniffed(target, fetch)
    headers = {
        "Content-Type": "text/plain; charset=utf-8" if kind == "text/plain" else kind,
        "Content-Length": str(stop - start),
        "Accept-Ranges": "bytes",
        "ETag": f'"{target}"',
        "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; sandbox",
    }
    if wanted is not None and (start, stop) != (0, size):
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
        return Answer(206, headers, unixfs.read_file(target, fetch, start, stop))
    return Answer(200, headers, unixfs.read_file(target, fetch))


def _range(wanted: str | None, size: int) -> tuple[int, int]:
    """Read one byte range; several, or what is no range, mean the whole file, as RFC 9110 allows."""
    found = re.fullmatch(r"bytes=(\d{0,19})-(\d{0,19})", wanted or "")
    if not found or not (found[1] or found[2]):
        return 0, size
    if not found[1]:
        start, stop = max(size - int(found[2]), 0), size
    else:
        start, stop = int(found[1]), min(int(found[2]) + 1, size) if found[2] else size
        if found[2] and int(found[2]) < int(found[1]):
            return 0, size
    if start >= size or start == stop:
        raise _Refused(416, f"the file has {size} bytes")
    return start, stop


def _sniffed(target: CID, fetch: unixfs.GetBlock) -> str:
    """The type of a file without a name, by its first bytes."""
    first = next(unixfs.read_file(target, fetch, 0, 16), b"")
    for magic, kind in (b"\x89PNG\r\n\x1a\n", "image/png"), (b"\xff\xd8\xff", "image/jpeg"), (b"{", "application/json"):
        if first.startswith(magic):
            return kind
    return "application/octet-stream"


def _list(target: CID, shown_path: str, root: CID, fetch: unixfs.GetBlock) -> Answer:
    names = [name for name, _ in itertools.islice(unixfs.entries(target, fetch), MAX_LISTED + 1)]
    rows = [
        f'<li><a href="{quote(name, safe="", errors="surrogateescape")}">{html.escape(_printable(name))}</a></li>'
        for name in names[:MAX_LISTED]
    ]
    if len(names) > MAX_LISTED:
        rows.append("<li>…</li>")
    title = html.escape(f"/ipfs/{root}{shown_path}")
    page = f"<!doctype html><meta charset=utf-8><title>{title}</title><h1>{title}</h1><ul>{''.join(rows)}</ul>".encode()
    return Answer(
        200,
        {
            "Content-Type": "text/html; charset=utf-8",
            "Content-Length": str(len(page)),
            "ETag": f'"list.{target}"',
            "Cache-Control": "public, max-age=60",  # the content is immutable, this page about it is not
            "Content-Security-Policy": "default-src 'none'; sandbox allow-top-navigation-by-user-activation",
        },
        iter((page,)),
    )


def _printable(name: str) -> str:
    return name.encode(errors="surrogateescape").decode(errors="replace")


def _matches(wanted: str | None, tag: str) -> bool:
    if not wanted or not tag:
        return False
    return wanted.strip() == "*" or tag in (part.strip().removeprefix("W/") for part in wanted.split(","))


def _told(status: int, sentence: str) -> Answer:
    body = f"{sentence}\n".encode(errors="replace")
    headers = {
        "Content-Type": "text/plain; charset=utf-8",
        "Content-Length": str(len(body)),
        "Cache-Control": "no-store",
    }
    if status == 405:
        headers["Allow"] = "GET, HEAD, OPTIONS"
    if status == 416:
        headers["Content-Range"] = f"bytes */{re.findall(r'[0-9]+', sentence)[0]}"
    return Answer(status, headers, iter((body,)))


def _inline(cid: CID) -> bytes:
    return cid.digest
