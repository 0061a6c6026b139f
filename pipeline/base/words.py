"""The rules for what people write: names, texts, addresses and links.

Whoever takes such words (a flag, a file, a request, a folder's JSON) and whoever writes them down for ever (metadata, a
contract's constructor) asks here, so that nothing is taken which could not be written.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from urllib.parse import parse_qsl, unquote, urlsplit

from pipeline.base.limits import MAX_URL
from pipeline.base.records import Address

# They reorder or hide what stands around them, so that a name can show as another one (Unicode TR 36 and TR 55).
_DECEPTIVE = re.compile("[\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufff9-\ufffb\ufffe\uffff]")
_JOINERS = "\u200c\u200d"  # unseen as well, but Persian words and many emoji are written with them
_NOT_IN_A_URL = re.compile(r"[^!-~]|[\"<>\\^`{|}]")
_NOT_IN_A_HOST = re.compile("[\0-\x20\x7f#%/:<>?@\\[\\\\\\]^|]")
_NUMBER = re.compile("[0-9]+|0[xX][0-9a-fA-F]*")
_BREAKS = re.compile("\r\n?|\u0085|\u2028|\u2029")


class Expected(ValueError):
    """Raised by a rule: its text completes the sentence «expected …»."""


def counted(count: int, unit: str) -> str:
    """`1 batch`, `2 batches` of the unit `batch(es)`: what stands in brackets is for several."""
    return f"{count:,} " + re.sub(r"\((e?s)\)", "" if count == 1 else r"\1", unit)


def tidied(text: str) -> str:
    """Words as they were meant: a copied line break is one line break, a tab a space, nothing stands around them; in NFC."""
    return unicodedata.normalize("NFC", _BREAKS.sub("\n", text).replace("\t", " ").strip())


def check_text(text: str, limit: int, *, lines: bool = False) -> None:
    """Raise Expected for what must not be in a document: controls, what hides or reorders letters, too much, nothing."""
    for character in text:
        if unicodedata.category(character) in ("Cc", "Cs") and not (lines and character == "\n"):
            raise Expected(f"text without U+{ord(character):04X}")
    if found := _DECEPTIVE.search(text):
        raise Expected(f"text without U+{ord(found[0]):04X}, which hides or reorders letters")
    if not text.strip() or len(text) > limit:
        raise Expected(f"1 to {limit:,} characters")


def one_line(text: str, limit: int) -> str:
    """A name or a symbol, of at most `limit` bytes, in which every character can be seen. Raises Expected."""
    text = tidied(text)
    if not 1 <= len(text.encode("utf-8", "surrogatepass")) <= limit:
        raise Expected(f"1 to {limit} bytes of text")
    check_text(text, limit)
    for character in text:
        if unicodedata.category(character) == "Cf" and character not in _JOINERS:
            raise Expected(f"text without U+{ord(character):04X}, which cannot be seen")
    return text


def paragraphs(text: str, limit: int) -> str:
    """A text that may have several lines. Raises Expected."""
    text = tidied(text)
    check_text(text, limit, lines=True)
    return text


def licence(text: str) -> str:
    """The terms of use: an SPDX expression in its own spelling, or a page's address. Raises Expected."""
    from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

    text = tidied(text)
    if "://" in text:
        return page_url(text)
    try:
        return canonicalize_license_expression(text)
    except (InvalidLicenseExpression, ValueError):
        raise Expected(
            "an SPDX licence such as CC-BY-4.0, CC0-1.0 or LicenseRef-All-Rights-Reserved, or the address of its text"
        ) from None


def address(text: str) -> Address:
    """An account's address with its EIP-55 checksum, from hex digits in any case. Raises Expected.

    Mixed case is a checksum, and has to be right; the zero address owns nothing, and names are not looked up.
    """
    digits = text[2:]
    if text.lower().endswith(".eth"):
        raise Expected("0x and 40 hex digits: names are not looked up, since who owns one may change")
    if text[:2] not in ("0x", "0X") or len(digits) != 40 or not all(c in "0123456789abcdefABCDEF" for c in digits):
        raise Expected("0x and 40 hex digits")
    if not int(digits, 16):
        raise Expected("an account: the zero address owns nothing")
    right = _checksummed(digits.lower())
    if digits not in (digits.lower(), digits.upper()) and digits != right[2:]:
        raise Expected(f"{right}, by its checksum; a digit may be mistyped")
    return right


@lru_cache(maxsize=100_000)  # a million recipients are no reason to keep a million
def _checksummed(digits: str) -> Address:
    from eth_utils.address import to_checksum_address

    return Address(to_checksum_address(f"0x{digits}"))


def web_url(text: str) -> str:
    """The http or https address of a server, or of a page. Raises Expected."""
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:  # «http://[», and port numbers that are none
        raise Expected("an http:// or https:// address") from None
    if parts.scheme not in ("http", "https") or not host:
        raise Expected("an http:// or https:// address")
    if not _is_host(host):
        raise Expected("an address that browsers take: its host is neither a name nor an IP address")
    return text


def _is_host(host: str) -> bool:
    """A host whose last part is a number is an IPv4 address or none, whatever resolvers would say (WHATWG URL, 3.5)."""
    import socket

    if ":" in host:  # IPv6; urlsplit has looked at it
        return True
    name = unquote(host)
    if _NOT_IN_A_HOST.search(name):
        return False
    if not _NUMBER.fullmatch(name.removesuffix(".").rpartition(".")[2]):
        return True
    try:
        socket.inet_aton(name.removesuffix("."))
    except OSError:
        return False
    return True


_OF_A_DATABASE = frozenset(
    {"host", "port", "user", "dbname", "sslmode", "sslrootcert", "sslcert", "sslkey", "options", "target_session_attrs"}
)


def database_url(text: str) -> str:
    """The address of a PostgreSQL database; its password comes from elsewhere. Raises Expected."""
    form = "postgresql://HOST:PORT/DATABASE, a role and @ before the host"
    try:
        parts = urlsplit(text)
        password, _ = parts.password, parts.port
        asked = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError:
        raise Expected(form) from None
    if parts.scheme not in ("postgresql", "postgres") or not text.startswith(f"{parts.scheme}://"):
        raise Expected(form)
    names = [name for name, _ in asked]
    if password or "password" in names:
        raise Expected(f"{form} without a password: PIPELINE_POSTGRES_PASSWORD holds it, or the file of PGPASSFILE")
    if unknown := sorted(set(names) - _OF_A_DATABASE):
        raise Expected(f"{form}, behind it of libpq's words only {', '.join(sorted(_OF_A_DATABASE))}; not {unknown[0]}")
    if parts.path.strip("/") == "" and "dbname" not in names:
        raise Expected(f"{form}; it names no database")
    return text


def page_url(text: str) -> str:
    """An address that metadata may lead to: as `web_url`, and with every other character percent-encoded."""
    if len(text) > MAX_URL:
        raise Expected(f"at most {MAX_URL:,} characters")
    if found := _NOT_IN_A_URL.search(text):
        raise Expected(f"an address with {found[0]!r} percent-encoded")
    return web_url(text)
