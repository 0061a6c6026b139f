"""HTTP to somebody who may be slow, broken or hostile: one deadline for a whole request, and a cap on every answer.

Redirects lead to public addresses only, because an answer must not make us talk to what stands behind our firewall.
The address is checked on the open connection, before a byte is sent, so that a host name cannot change its mind between.
What is raised here holds no header, no query and no body that we sent: they carry tokens.
"""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from pipeline.base.secrets import shown_url
from pipeline.base.web import may_pass, reason_of, retry_after, silence_request_lines, worth_waiting_s

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

log = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 5.0
STALL_S = 30.0  # between two packets
MAX_REDIRECTS = 3
MAX_REFUSAL = 1 << 12  # bytes of an answer that says no


class HttpFault(Exception):
    """No usable answer. `retryable` says whether a second try may help, `wait_s` how long the server wants us to wait."""

    def __init__(
        self,
        reason: str,
        *,
        status: int = 0,
        retryable: bool = True,
        wait_s: float | None = None,
        within_s: float | None = None,
        body: bytes = b"",
    ) -> None:
        self.reason, self.status, self.retryable, self.wait_s = reason, status, retryable, wait_s
        self.within_s = within_s  # a second try makes sense for so long; None: as for anything that may pass
        self.body = body  # the beginning of what came with a status that is not 2xx
        super().__init__(reason)


@dataclass(frozen=True, slots=True)
class Caps:
    """What one answer may cost at most."""

    whole_s: float = 120.0  # from the first connection to the last byte
    stall_s: float = STALL_S
    max_bytes: int = 1 << 20
    only_public: bool = False  # no address of this machine or its networks: a stranger may have chosen the URL


class Answer:
    """An answer with a status of 2xx: `read(n)` gives n bytes, fewer only at its end. Raises HttpFault."""

    def __init__(self, response: BaseHTTPResponse, caps: Caps, deadline: _Deadline) -> None:
        self.status, self.headers = response.status, response.headers
        self._response, self._caps, self._deadline = response, caps, deadline
        self._taken = 0
        self._left = b""

    def read(self, size: int, /) -> bytes:
        parts, missing = [], size
        while missing:
            if not self._left:
                self._left = self._next_part()
                if not self._left:
                    break
            parts.append(self._left[:missing])
            self._left = self._left[missing:]
            missing -= len(parts[-1])
        return b"".join(parts)

    def read_all(self) -> bytes:
        return self.read(self._caps.max_bytes + 1)

    def _next_part(self) -> bytes:
        with self._deadline.translated():
            part = self._response.read1(1 << 18, decode_content=False)
        self._taken += len(part)
        if self._taken > self._caps.max_bytes:
            raise HttpFault(f"its answer has more than {self._caps.max_bytes:,} bytes", retryable=False)
        return part


@contextmanager
def request(
    method: str, url: str, *, headers: Mapping[str, str] | None = None, body: Any = None, caps: Caps | None = None
) -> Iterator[Answer]:
    """Send one request and give its answer; redirects are followed for GET, and never with `headers` to another host.

    Raises HttpFault for every other status than 2xx, and for whatever happens to the connection.
    """
    caps = caps or Caps()
    with _Deadline(caps.whole_s) as deadline, contextlib.ExitStack() as opened:
        response = _follow(method, url, dict(headers or {}), body, caps, deadline, opened)
        if not 200 <= response.status < 300:
            raise _refusal(response, deadline)
        yield Answer(response, caps, deadline)


# ── one request ──────────────────────────────────────────────────────────────────────────────────────────────


def _follow(
    method: str,
    url: str,
    headers: dict[str, str],
    body: Any,
    caps: Caps,
    deadline: _Deadline,
    opened: contextlib.ExitStack,
) -> BaseHTTPResponse:
    peer = None
    for hop in range(MAX_REDIRECTS + 1):
        response, peer = _send(method, url, headers, body, caps, deadline, peer, opened)
        target = response.headers.get("Location")
        if method != "GET" or response.status not in (301, 302, 303, 307, 308) or not target:
            return response
        before, url = urlsplit(url), _redirected(url, target)
        after = urlsplit(url)
        if (before.hostname, before.port) != (after.hostname, after.port):
            headers = {}
        log.debug("redirected to %s, hop %d", shown_url(url), hop + 1)
    raise HttpFault(f"it redirects more than {MAX_REDIRECTS} times", retryable=False)


def _redirected(url: str, target: str) -> str:
    """Where a redirect leads. Raises HttpFault for what is no web address, and for a step from https to http."""
    try:
        joined = urljoin(url, target)
        before, after = urlsplit(url), urlsplit(joined)
        usable = after.scheme in ("http", "https") and after.hostname and after.port != 0
    except ValueError:
        usable = False
    if not usable or (before.scheme, after.scheme) == ("https", "http"):
        raise HttpFault("it redirects to no address that may be used", retryable=False)
    return joined


def _send(
    method: str,
    url: str,
    headers: dict[str, str],
    body: Any,
    caps: Caps,
    deadline: _Deadline,
    first_peer: tuple[str, int] | None,
    opened: contextlib.ExitStack,
) -> tuple[BaseHTTPResponse, tuple[str, int]]:
    """Send to exactly `url`; where there was a `first_peer`, or by the caps, only to a public address or to that one again."""
    import urllib3

    silence_request_lines()
    parts = urlsplit(url)
    peers: list[tuple[str, int]] = []

    def admit(sock: socket.socket) -> None:
        peer = sock.getpeername()[:2]
        if (caps.only_public or first_peer is not None) and peer != first_peer and not _is_public(peer[0]):
            sock.close()
            raise HttpFault(f"it {'redirects' if first_peer else 'leads'} to a private address", retryable=False)
        peers.append(peer)
        deadline.watch(sock)

    pool = _pool_class(parts.scheme == "https")(
        parts.hostname,
        parts.port,
        admit=admit,
        timeout=urllib3.Timeout(connect=min(CONNECT_TIMEOUT_S, caps.stall_s), read=caps.stall_s),
    )
    opened.callback(pool.close)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    with deadline.translated(parts.hostname or ""):
        response = pool.urlopen(
            method, target, body=body, headers=headers, retries=False, redirect=False, preload_content=False
        )
    opened.callback(response.close)
    return response, peers[-1]


def _pool_class(secure: bool) -> Any:
    from urllib3.connection import HTTPConnection, HTTPSConnection
    from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

    connection: Any = HTTPSConnection if secure else HTTPConnection
    pool: Any = HTTPSConnectionPool if secure else HTTPConnectionPool

    class Guarded(connection):  # type: ignore[misc]
        def __init__(self, *arguments: Any, admit: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            self._admit = admit

        def _new_conn(self) -> socket.socket:
            sock: socket.socket = super()._new_conn()
            self._admit(sock)
            return sock

    return type("GuardedPool", (pool,), {"ConnectionCls": Guarded})


class _Deadline:
    """Cuts the connections of a request when its time is over: a byte now and then must not hold us for ever."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._sockets: list[socket.socket] = []
        self._over = False
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True

    def __enter__(self) -> _Deadline:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        self._timer.join()
        for sock in self._sockets:
            sock.close()

    def watch(self, sock: socket.socket) -> None:
        # A handle of our own: whoever reads wraps the other one in TLS, or closes it while its buffer lives on.
        self._sockets.append(sock.dup())

    def _cut(self) -> None:
        self._over = True
        for sock in self._sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    @contextmanager
    def translated(self, host: str = "") -> Iterator[None]:
        """Turn what urllib3 raises into HttpFault; its texts quote the URL, so they are not kept."""
        from urllib3.exceptions import HTTPError

        try:
            yield
            failure = None
        except (HTTPError, OSError, ValueError) as error:
            failure = reason_of(error)
        if self._over:
            raise HttpFault(f"it was not done after {self._seconds:.0f} s")
        if failure:
            raise HttpFault(failure, within_s=worth_waiting_s(host, failure))


def _refusal(response: BaseHTTPResponse, deadline: _Deadline) -> HttpFault:
    status = response.status
    wait_s = retry_after(response.headers.get("Retry-After"))
    body = b""
    with contextlib.suppress(HttpFault):
        body = Answer(response, Caps(max_bytes=MAX_REFUSAL), deadline).read(MAX_REFUSAL)
    return HttpFault(f"HTTP {status}", status=status, retryable=may_pass(status), wait_s=wait_s, body=body)


def _is_public(address: str) -> bool:
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address) and (embedded := ip.ipv4_mapped or ip.sixtofour):
        ip = embedded
    return ip.is_global and not ip.is_multicast
