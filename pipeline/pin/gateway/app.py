"""The gateway as an ASGI application.

    GET /ipfs/<cid>[/path]                  a file, with ranges; a directory as a list, or its index.html
    GET /ipfs/<cid>[/path]?format=raw       one block
    GET /ipfs/<cid>[/path]?format=car       the DAG, or a part of it by dag-scope=block|entity|all and entity-bytes=FROM:TO

It serves what is in the library and fetches nothing. All of it is immutable, public by nature, and open to every origin;
what a browser would run never gets an origin together with other content.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from pipeline.base.errors import Corrupt
from pipeline.pin.gateway.answers import Answer, answer
from pipeline.pin.gateway.library import Library, NotHere
from pipeline.pin.gateway.request import Refused, read_request, subdomain_of
from pipeline.pin.unixfs import BadDag, NotInDag

log = logging.getLogger(__name__)

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, HEAD, OPTIONS",
    "Access-Control-Allow-Headers": "Content-Type, If-None-Match, Range, User-Agent, X-Requested-With",
    "Access-Control-Expose-Headers": "Content-Length, Content-Range, ETag, X-Chunked-Output, X-Ipfs-Path, X-Ipfs-Roots, "
    "X-Stream-Output",
}


class Gateway:
    """ASGI application over a library, which may grow while it runs."""

    def __init__(self, library: Library) -> None:
        self.library = library

    async def __call__(self, scope: Mapping[str, Any], receive: Any, send: Send) -> None:
        """Answer one HTTP request. Reading and hashing happen in a thread, so other requests go on."""
        if scope["type"] != "http":
            raise ValueError(f"this application answers http, not {scope['type']}")
        found, part = await asyncio.to_thread(self._begin, scope)
        headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in found.headers.items()]
        await send({"type": "http.response.start", "status": found.status, "headers": headers})
        is_whole = len(part) == int(found.headers.get("Content-Length", -1))
        while part:
            await send({"type": "http.response.body", "body": part, "more_body": not is_whole})
            if is_whole:
                return
            try:
                part = await asyncio.to_thread(next, found.body, b"")
            except (Corrupt, BadDag, NotHere) as error:
                # The status is sent; what is left is to cut the connection, which the server does on an unfinished answer.
                log.error("cut short: %s", error)
                return
        await send({"type": "http.response.body", "body": b""})

    def _begin(self, scope: Mapping[str, Any]) -> tuple[Answer, bytes]:
        """The answer and the first part of its body: for most files that is all of it."""
        try:
            found = self._answer(scope)
            part = b"" if scope["method"] == "HEAD" else next(found.body, b"")
        except Refused as refused:
            found, part = _told(refused.status, str(refused), refused.headers)
        except NotInDag as error:
            found, part = _told(404, str(error))
        except NotHere as error:
            status = 412 if "only-if-cached" in _cache_control(scope) else 404
            found, part = _told(status, str(error))
        except BadDag as error:
            found, part = _told(400, str(error))
        except Corrupt as error:
            log.error("%s", error)
            found, part = _told(500, "this content is damaged in the store")
        found.headers = _CORS | found.headers
        return found, b"" if scope["method"] == "HEAD" else part

    def _answer(self, scope: Mapping[str, Any]) -> Answer:
        if scope["method"] not in ("GET", "HEAD", "OPTIONS"):
            raise Refused(405, "only GET, HEAD and OPTIONS", Allow="GET, HEAD, OPTIONS")
        asked = read_request(scope)
        if scope["method"] == "OPTIONS":
            return Answer(204)
        if asked.headers.get("service-worker") == "script" and not asked.isolated:
            raise Refused(400, "no service worker in the path form, where all content shares one origin")
        if location := subdomain_of(asked):
            return Answer(301, {"Location": location})
        return answer(asked, self.library.reader(asked.root))


def _told(status: int, sentence: str, headers: Mapping[str, str] | None = None) -> tuple[Answer, bytes]:
    body = f"{sentence}\n".encode(errors="replace")
    said = {
        "Content-Type": "text/plain; charset=utf-8",
        "Content-Length": str(len(body)),
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
    }
    return Answer(status, said | dict(headers or {})), body


def _cache_control(scope: Mapping[str, Any]) -> str:
    return next((value.decode("latin-1") for name, value in scope["headers"] if name.lower() == b"cache-control"), "")
