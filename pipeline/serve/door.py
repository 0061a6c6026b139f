"""What every request passes before anything else sees it: host, pace, access, body; and what every answer carries.

It refuses by default: whatever is no GET or HEAD needs a token with the scope `mint`, whichever route it is for, so a
new route cannot be open by mistake. There are no cookies and no CORS headers: a stranger's page can neither act nor
read (Fetch standard, 3.2).
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pipeline.base.port import HEADERS
from pipeline.ledger.access import AccessToken

log = logging.getLogger(__name__)

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

MAX_BODY = 64 << 10  # bytes; the longest request that makes sense has a few hundred
BODY_S = 10.0  # for the whole body
MAX_CLIENTS = 10_000  # whose pace is remembered; the one that was silent longest is forgotten first
MAX_SECRET = 512  # characters of an Authorization header that are looked at

SAFE = ("GET", "HEAD")
WORKSHOP = "/v1/studio"  # where even a look is of whoever may mint: nothing there is published yet
ROUTES = (
    "/v1/collections",
    "/v1/owners",
    "/v1/jobs",
    WORKSHOP,
    "/media/",
    "/gallery/",
    "/metrics",
)  # each with a pace of its own
ALWAYS_OPEN = ("/healthz", "/robots.txt")  # says that the process lives; asks robots to stay away, or in
SHOWN = ("/v1/collections", "/v1/owners/", "/media/", "/openapi.json", "/readyz", "/sitemap.xml")  # of a public show
NO_PAGES = ("v1", "media", "gallery", "metrics", "healthz", "readyz", "openapi.json", "sitemap.xml")
PAGE_FILES = "/gallery/"  # its style and scripts: nothing of the workspace


@dataclass(frozen=True, slots=True)
class Rate:
    """So many requests in a second for ever, and so many at once after a pause."""

    per_second: float
    burst: int


@dataclass(frozen=True, slots=True)
class Rules:
    """Who may come in, and how often."""

    hosts: frozenset[str]  # names in `Host`, lower case, without port
    any_address: bool = False  # an IP address as Host as well: nobody can rebind that
    open_reads: bool = True  # without a token
    public: bool = False  # a show: it reads for everybody what is SHOWN, and writes for nobody
    proxies: tuple[Network, ...] = ()  # who may say for whom, by which name and how a request came
    reads: Rate = Rate(1_000, 5_000)  # a page of the grid is a hundred requests
    writes: Rate = Rate(5, 200)
    failures: Rate = Rate(0.5, 20)  # of access, by address


class Refused(Exception):
    """Ends a request at the door."""

    def __init__(self, status: int, error: str, hint: str, **headers: str) -> None:
        self.status, self.error, self.hint = status, error, hint
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}
        super().__init__(error)


@dataclass(slots=True)
class _Visit:
    """One request: what the log says of it at the end."""

    began: float
    status: int = 0
    access: int | None = None
    refused: str | None = None
    started: bool = field(default=False)


class Door:
    """ASGI application around another one. `find` looks a token up; `passed` is told method, status and seconds."""

    def __init__(
        self,
        app: App,
        rules: Rules,
        find: Callable[[str], AccessToken | None],
        passed: Callable[[str, int, float], None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app, self._rules, self._find, self._passed, self._clock = app, rules, find, passed, clock
        self._pace = Pace(clock)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope = _as_it_came(scope, self._rules.proxies)
        visit = _Visit(self._clock())
        answer = _with_headers(send, visit)
        try:
            await self._let_in(scope, visit)
            app = self._app if scope["method"] != "HEAD" else _without_body(self._app)
            await app(scope, await _limited(scope, receive), answer)
        except Refused as refused:
            visit.refused = refused.error
            if visit.started:
                raise
            await _tell(refused, scope["method"], answer)
        finally:
            seconds = self._clock() - visit.began
            self._passed(scope["method"], visit.status, seconds)
            log.info(
                "request",
                extra={
                    "client": _address(scope),
                    "method": scope["method"],
                    "path": scope["path"],
                    "status": visit.status,
                    "ms": round(1_000 * seconds, 1),
                    "access": visit.access,
                    "refused": visit.refused,
                },
            )

    async def _let_in(self, scope: MutableMapping[str, Any], visit: _Visit) -> None:
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        self._check_host(headers.get(b"host", ""))
        safe = scope["method"] in SAFE
        mints = not safe or scope["path"].startswith(WORKSHOP)
        if self._rules.public and not safe:
            self._take((_address(scope), _route(scope)), self._rules.writes)
            raise Refused(
                405, "this is a public show: nobody writes here", "GET and HEAD are answered", allow="GET, HEAD"
            )
        if safe and (scope["path"] in ALWAYS_OPEN or scope["path"].startswith(PAGE_FILES) or is_page(scope["path"])):
            self._take((_address(scope), _route(scope)), self._rules.reads)
            return
        token = await self._token(headers.get(b"authorization"), _address(scope))
        visit.access = token.id if token else None
        scope["access"] = token
        if token is None and (mints or not self._is_open(scope["path"])):
            self._take(("failure", _address(scope)), self._rules.failures)
            raise _unauthorized("this needs a bearer token")
        if token is not None and mints and token.scope != "mint":
            raise Refused(
                403, f"token {token.id} may only read", "`pipeline access new --scope mint` makes one that may mint"
            )
        who = f"token {token.id}" if token else _address(scope)
        self._take((who, _route(scope)), self._rules.reads if safe else self._rules.writes)

    def _is_open(self, path: str) -> bool:
        """Whether reading it needs no token."""
        return path.startswith(SHOWN) if self._rules.public else self._rules.open_reads

    def _check_host(self, host: str) -> None:
        """A name that leads here and is not ours is how a stranger's page reaches a loopback service (DNS rebinding)."""
        name = _host_name(host)
        if name in self._rules.hosts or (self._rules.any_address and _is_address(name)):
            return
        raise Refused(
            421,
            f"this service does not answer for host {name[:100]!r}" if name else "the request names no host",
            f"use {' or '.join(sorted(self._rules.hosts))}; --allow-host adds a name",
        )

    async def _token(self, authorization: str | None, address: str) -> AccessToken | None:
        """The token that came along. One that does not hold is refused even where none is needed."""
        if authorization is None:
            return None
        scheme, _, secret = authorization[:MAX_SECRET].partition(" ")
        found = await asyncio.to_thread(self._find, secret.strip()) if scheme.lower() == "bearer" else None
        if found is None:
            self._take(("failure", address), self._rules.failures)
            raise _unauthorized("this bearer token is not known, or was revoked")
        return found

    def _take(self, key: tuple[str, str], rate: Rate) -> None:
        wait_s = self._pace.take(key, rate)
        if wait_s:
            raise Refused(
                429, "too many requests", f"come back in {wait_s} s", retry_after=str(wait_s), connection="close"
            )


def is_page(path: str) -> bool:
    """Whether an address is one that people pass on, such as `/`, `/lino/7` or `/docs`.

    A closed service answers each of them with the same empty page, which then asks for a token.
    """
    return path.strip("/").partition("/")[0] not in NO_PAGES


def _as_it_came(scope: MutableMapping[str, Any], proxies: Sequence[Network]) -> MutableMapping[str, Any]:
    """A request as its sender made it, where a proxy that is trusted passes it on; anybody else's word is nobody's.

    The client is the last address that no trusted proxy has: each one writes down behind the others whom it heard.
    """
    if not proxies or not _is_of(_address(scope), proxies):
        return scope
    told = {name: value.decode("latin-1") for name, value in scope["headers"]}
    way = [address.strip() for address in told.get(b"x-forwarded-for", "").split(",")]
    client = next((address for address in reversed(way) if not _is_of(address, proxies)), "")
    came = dict(scope)
    if _is_address(client):
        came["client"] = (client, 0)
    if (scheme := told.get(b"x-forwarded-proto", "").strip().lower()) in ("http", "https"):
        came["scheme"] = scheme
    if host := told.get(b"x-forwarded-host", "").strip():
        others = [(name, value) for name, value in scope["headers"] if name != b"host"]
        came["headers"] = [*others, (b"host", host.encode("latin-1"))]
    return came


def _is_of(address: str, networks: Sequence[Network]) -> bool:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(found in network for network in networks)


def _unauthorized(error: str) -> Refused:
    return Refused(
        401,
        error,
        "`pipeline access new --scope read` makes one, `pipeline access new --scope mint` one that may mint",
        www_authenticate='Bearer realm="pipeline"',
    )


class Pace:
    """Token buckets by key, a bounded number of them."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._buckets: OrderedDict[tuple[str, str], tuple[float, float]] = OrderedDict()  # (what is left, as of when)

    def take(self, key: tuple[str, str], rate: Rate) -> int:
        """Take one; 0, or the whole seconds to wait until there is one."""
        now = self._clock()
        left, when = self._buckets.pop(key, (float(rate.burst), now))
        left = min(left + (now - when) * rate.per_second, float(rate.burst))
        allowed = left >= 1
        self._buckets[key] = (left - 1 if allowed else left, now)
        if len(self._buckets) > MAX_CLIENTS:
            self._buckets.popitem(last=False)
        return 0 if allowed else max(1, round((1 - left) / rate.per_second + 0.5))

    def __len__(self) -> int:
        return len(self._buckets)


def _with_headers(send: Send, visit: _Visit) -> Send:
    async def answer(message: Message) -> None:
        if message["type"] == "http.response.start":
            visit.started, visit.status = True, message["status"]
            given = {name.lower() for name, _ in message.get("headers", ())}
            missing = [(n.encode(), v.encode()) for n, v in HEADERS.items() if n.encode() not in given]
            message = {**message, "headers": [*message.get("headers", ()), *missing]}
        await send(message)

    return answer


def _without_body(app: App) -> App:
    """`app` for HEAD: what GET would answer, up to its body; nothing is followed of what goes on and on."""

    async def answer(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        begun = asyncio.Event()

        async def head(message: Message) -> None:
            if message["type"] == "http.response.start":
                await send(message)
                begun.set()

        asked = asyncio.ensure_future(app({**scope, "method": "GET"}, receive, head))
        started = asyncio.ensure_future(begun.wait())
        await asyncio.wait((asked, started), return_when=asyncio.FIRST_COMPLETED)
        started.cancel()
        if not asked.done():
            asked.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asked
        await send({"type": "http.response.body", "body": b""})

    return answer


async def _limited(scope: MutableMapping[str, Any], receive: Receive) -> Receive:
    """A `receive` whose body was read whole, within its limits of size and time. A request without one is left alone."""
    headers = dict(scope["headers"])
    length = headers.get(b"content-length", b"0")
    if b"transfer-encoding" not in headers and length == b"0":
        return receive
    if int(length) > MAX_BODY:  # h11 has checked that it is a number
        raise _too_large()
    body, deadline = bytearray(), time.monotonic() + BODY_S
    while True:
        try:
            message = await asyncio.wait_for(receive(), max(deadline - time.monotonic(), 0))
        except TimeoutError:
            raise Refused(
                408, f"the body did not arrive within {BODY_S:.0f} s", "send it at once", connection="close"
            ) from None
        if message["type"] == "http.disconnect":  # a part of a request is none: nobody hears this answer
            raise Refused(400, "the client hung up before its request was complete", "send it again")
        body += message.get("body", b"")
        if len(body) > MAX_BODY:
            raise _too_large()
        if not message.get("more_body"):
            break
    whole: list[Message] = [{"type": "http.request", "body": bytes(body), "more_body": False}]

    async def replay() -> Message:
        return whole.pop() if whole else await receive()

    return replay


def _too_large() -> Refused:
    return Refused(413, f"the body has more than {MAX_BODY:,} bytes", "send less", connection="close")


async def _tell(refused: Refused, method: str, send: Send) -> None:
    body = json.dumps({"error": refused.error, "hint": refused.hint}).encode()
    headers = {"content-type": "application/json", "content-length": str(len(body)), **refused.headers}
    encoded = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": refused.status, "headers": encoded})
    await send({"type": "http.response.body", "body": b"" if method == "HEAD" else body})


def _address(scope: MutableMapping[str, Any]) -> str:
    client = scope.get("client")
    return str(client[0]) if client else ""


def _route(scope: MutableMapping[str, Any]) -> str:
    """Routes that share a pace: reads and writes, by the first words of the path. What is no route shares one."""
    kind: Literal["read", "write"] = "read" if scope["method"] in SAFE else "write"
    return f"{kind} {next((route for route in ROUTES if scope['path'].startswith(route)), '')}"


def _host_name(host: str) -> str:
    name = host.strip().lower()
    if name.startswith("["):
        return name[1:].partition("]")[0]
    return name.rpartition(":")[0] if ":" in name else name


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
