"""What every conversation over HTTP needs: what an address may be, what an answer's status means, when to come back.

Status: a 4xx is final except 408, 425 and 429 (RFC 9110, RFC 8470): the same request will be refused again. Of the 5xx
only 501 and 505 say that it will never pass.
"""

from __future__ import annotations

import base64
import ipaddress
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from pipeline.base.errors import BadArgument
from pipeline.base.secrets import know_url, shown_url

LONGEST_WAIT_S = 60.0  # `Retry-After` above this is told to a person and not waited for
REFUSED = "the connection was refused"
STARTING_S = 5.0  # a program of this machine that does not listen may be starting: nobody waits longer for one

_FINAL_5XX = frozenset({501, 505})
_PASSING_4XX = frozenset({408, 425, 429})
_FAR = 10**9  # seconds, of a `Retry-After` that is a number


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address to send to. Its key is in `target` and `headers`; `shown` may be told."""

    target: str  # without the user part
    shown: str
    is_loopback: bool
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)  # the Authorization of its user part


def endpoint(name: str, url: str) -> Endpoint:
    """Read an http or https address; from now on nothing repeats its secrets. Raises BadArgument, which does not either."""
    know_url(url)
    shown = shown_url(url)
    parts = urlsplit(url) if shown != "(hidden)" else None
    if parts is None or parts.scheme not in ("http", "https") or any(c <= " " or c == "\x7f" for c in url):
        raise BadArgument(name=name, value=shown, expected="an http:// or https:// address, such as http://host:port")
    target = shown + (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    headers = {}
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
    return Endpoint(target, shown, is_loopback(parts.hostname or ""), headers)


def plain_url(name: str, url: str) -> str:
    """An address to put paths behind, without its last slash. Raises BadArgument where it has user, password or query."""
    read = endpoint(name, url)
    parts = urlsplit(url)
    if read.headers or parts.query or parts.fragment:
        expected = "an http:// or https:// address without user, password and query"
        raise BadArgument(name=name, value=read.shown, expected=expected)
    return url.rstrip("/")


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def may_pass(status: int) -> bool:
    """Whether the same request may be answered differently soon."""
    return status in _PASSING_4XX or (status >= 500 and status not in _FINAL_5XX)


def retry_after(value: str | None) -> float | None:
    """The seconds of a `Retry-After`, given as a number or as a date (RFC 9110, 10.2.3); None for what is neither."""
    if not value:
        return None
    if value.isascii() and value.isdigit() and len(value) < 10:
        return float(value)
    from email.utils import parsedate_to_datetime

    try:
        return min(max(parsedate_to_datetime(value).timestamp() - time.time(), 0.0), _FAR)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def reason_of(error: Exception) -> str:
    """What happened to a connection, without the words of urllib3's exception: they quote the URL."""
    from urllib3 import exceptions

    names: tuple[tuple[type[Exception], str], ...] = (
        (exceptions.NameResolutionError, "the host has no address"),
        (exceptions.NewConnectionError, REFUSED),
        (exceptions.ConnectTimeoutError, "connecting took too long"),  # in urllib3 2 the base of the two above
        (exceptions.ReadTimeoutError, "it did not answer in time"),
        (exceptions.SSLError, "TLS failed"),
        (exceptions.LocationParseError, "the address cannot be read"),
        (exceptions.IncompleteRead, "the connection was cut"),
        (exceptions.ProtocolError, "the connection was cut"),
        (exceptions.HTTPError, type(error).__name__),
        (ConnectionError, "the connection was cut"),
    )
    return next((text for kind, text in names if isinstance(error, kind)), type(error).__name__)


def worth_waiting_s(host: str, reason: str) -> float | None:
    """How long a failure is waited out where a port of this machine refuses; None for any other: as long as anywhere."""
    return STARTING_S if reason == REFUSED and is_loopback(host) else None


class _NoRequestLines(logging.Filter):
    """Drops what urllib3 says below an error: it quotes whole URLs, and paths hold keys."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno >= logging.ERROR


_no_request_lines = _NoRequestLines()


def silence_request_lines() -> None:
    for name in ("urllib3.connectionpool", "urllib3.connection", "urllib3.util.retry"):
        logging.getLogger(name).addFilter(_no_request_lines)  # adding it twice changes nothing
