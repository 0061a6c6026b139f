"""A port that strangers reach: how many connections it holds, how long it waits for each, and who gives way.

The service and the gateway share it. A connection whose request is not here yet is worth least: when a port is full, or
one client holds its share, the oldest of those gives way, so that half-open connections keep nobody out.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections import Counter
from collections.abc import Iterable
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

MAX_CONNECTIONS = 512  # of one port: each costs a file and some ten kilobytes
SHARE = 0.75  # of them, for one client
SPARED_FILES = 256  # of the process, for what is no connection: ledger, CARs, the chain
PORTS = 2  # that a process opens
BACKLOG = 64  # connections that are accepted in one go, before any of them is counted
QUEUE = 1_024  # that wait in the system for that: whoever finds it full tries again a second later
MAX_HEAD = 16 << 10  # bytes of a request line and its headers
HEAD_S = 10.0  # for all of them, from their first byte or from the connection on
IDLE_S = 15  # between two requests of one connection
DRAIN_S = 20.0  # for a client to take 64 KiB of an answer
GRACE_S = 3  # for answers under way when the server ends
QUIET_S = 60.0  # between two records of the same trouble

# Answers without a policy of their own may load, run and be framed by nothing.
HEADERS = {
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-store",
}


def server(app: Any) -> uvicorn.Server:
    """uvicorn for `app`, with the limits of this page. It logs by the process's own handlers."""
    for name in ("asyncio", "uvicorn.error"):
        logging.getLogger(name).addFilter(_once_in_a_while)  # adding it twice changes nothing
    config = uvicorn.Config(
        app,
        http=PatientProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # nobody may tell us a client's address
        backlog=BACKLOG,
        h11_max_incomplete_event_size=MAX_HEAD,
        timeout_keep_alive=IDLE_S,
        timeout_graceful_shutdown=GRACE_S,
    )
    return _Server(config)


class _Open(ServerState):
    """What the connections of a port share, and those connections: the oldest first, and how many each client holds."""

    def __init__(self) -> None:
        super().__init__()
        self.in_order: dict[PatientProtocol, None] = {}
        self.by_host = Counter[Any]()

    def enter(self, one: PatientProtocol) -> None:
        self.in_order[one] = None
        self.by_host[one.host] += 1

    def leave(self, one: PatientProtocol) -> None:
        if one in self.in_order:
            del self.in_order[one]
            self.by_host[one.host] -= 1
            if not self.by_host[one.host]:
                del self.by_host[one.host]

    def oldest_without_a_request(self, host: Any = None) -> PatientProtocol | None:
        """Of one client, or of all: among half-open connections by the thousand it is the first that is looked at."""
        return next((one for one in self.in_order if host in (None, one.host) and one.waits_for_a_head), None)


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.server_state = _Open()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listening in sockets or ():
            listening.listen(QUEUE)  # asyncio would accept as many in one go as may wait


def most_connections() -> int:
    """How many connections one port may hold, of the files that this process may open."""
    try:
        import resource
    except ImportError:  # Windows, where sockets are no files
        return MAX_CONNECTIONS
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if files == resource.RLIM_INFINITY:
        return MAX_CONNECTIONS
    return max(16, min(MAX_CONNECTIONS, (files - SPARED_FILES - BACKLOG) // PORTS))


class PatientProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 with an end to patience: connections are counted, heads have a time, answers must be taken."""

    _head: asyncio.TimerHandle | None = None  # until a whole head is here
    _drain: asyncio.TimerHandle | None = None  # until the client has taken what waits for it
    server_state: _Open
    host: Any = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        peer = transport.get_extra_info("peername")
        self.host = peer[0] if peer else ""
        if not self._makes_room():
            transport.abort()
            return
        self.server_state.enter(self)
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_head()
        self._stop_drain()
        if self in self.connections:
            super().connection_lost(exc)
        self.server_state.leave(self)

    def data_received(self, data: bytes) -> None:
        if self.conn.their_state is h11.IDLE and data.find(b"\r\n\r\n", 0, MAX_HEAD) < 0 and len(data) > MAX_HEAD:
            self.send_400_response("The head of the request is too large.")  # h11 limits what comes in parts alone
            return
        super().data_received(data)
        if self.conn.their_state is h11.IDLE:
            self._expect_head()
        else:
            self._stop_head()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.transport.is_closing():
            self._expect_drain()

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._expect_drain()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._expect_drain()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_drain()

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP is answered with the headers of every answer."""
        headers: list[tuple[str, str]] = [*HEADERS.items(), ("content-type", "text/plain"), ("connection", "close")]
        events: Iterable[Any] = (
            h11.Response(status_code=400, headers=headers, reason=b"Bad Request"),
            h11.Data(data=msg.encode()),
            h11.EndOfMessage(),
        )
        for event in events:
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
        self._expect_drain()

    @property
    def waits_for_a_head(self) -> bool:
        return self.conn.their_state is h11.IDLE and self.conn.our_state is h11.IDLE and not self.transport.is_closing()

    def _makes_room(self) -> bool:
        """Whether one more fits: at the port's limit, or the client's share of it, one without a request gives way."""
        most, state = most_connections(), self.server_state
        has_its_share = state.by_host[self.host] >= most * SHARE
        if not has_its_share and len(state.in_order) < most:
            return True
        oldest = state.oldest_without_a_request(self.host if has_its_share else None)
        if oldest is None:
            return False
        state.leave(oldest)
        self.connections.discard(oldest)
        oldest.transport.abort()
        return True

    def _expect_head(self) -> None:
        if self._head is None:
            self._head = self.loop.call_later(HEAD_S, self.transport.abort)

    def _expect_drain(self) -> None:
        """A client that takes nothing would keep its answer in our memory, also after `close`."""
        if self._drain is None:
            self._drain = self.loop.call_later(DRAIN_S, self.transport.abort)

    def _stop_head(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None

    def _stop_drain(self) -> None:
        if self._drain is not None:
            self._drain.cancel()
            self._drain = None


class _OnceInAWhile(logging.Filter):
    """Lets one record of a kind through in QUIET_S: `accept` that fails, and what is no HTTP, come by the thousand."""

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        kind = next((kind for kind in ("socket.accept()", "Invalid HTTP request") if kind in str(record.msg)), None)
        if kind is None:
            return True
        now = time.monotonic()
        if now - self._last.get(kind, -QUIET_S) < QUIET_S:
            return False
        self._last[kind] = now
        return True


_once_in_a_while = _OnceInAWhile()
