"""What must not be told, known once for the whole process: keys, passwords, and the parts of addresses that hold them.

Whoever opens an address or reads a key tells it here (`know_url`, `know`); whatever leaves this process in words
(errors, logs, notices, answers of the service) goes through `redacted`. Parts are hidden, not wholes: a node quotes the
project's id without the rest of the path.
"""

from __future__ import annotations

import base64
import re
import threading
from collections.abc import Iterable, Mapping
from urllib.parse import SplitResult, unquote, urlsplit

HIDDEN = "…"
MIN_SECRET = 4  # characters: hiding shorter ones would leave nothing to read
MIN_SEGMENT = 6  # of a path: what is shorter is a version or a chain
BEARER_PREFIX = "nftp_"  # of the service's own tokens

# The secrets of this program: each is an environment variable, and no setting.
KEYSTORE_PASSWORD = "PIPELINE_KEYSTORE_PASSWORD"
CERTIFICATE_PASSWORD = "PIPELINE_CERTIFICATE_PASSWORD"
IMPORTED_PASSWORD = "PIPELINE_IMPORTED_PASSWORD"  # of a certificate's key that is imported
PRIVATE_KEY = "PIPELINE_PRIVATE_KEY"
IPFS_TOKEN = "PIPELINE_IPFS_TOKEN"
POSTGRES_PASSWORD = "PIPELINE_POSTGRES_PASSWORD"  # of the ledger's database
VARIABLES = (
    KEYSTORE_PASSWORD,
    CERTIFICATE_PASSWORD,
    IMPORTED_PASSWORD,
    PRIVATE_KEY,
    IPFS_TOKEN,
    POSTGRES_PASSWORD,
    "PIPELINE_PSA_TOKEN",
    "PIPELINE_S3_ACCESS_KEY",
    "PIPELINE_S3_SECRET_KEY",
    "PIPELINE_PINATA_TOKEN",
)

_NAMES_A_SECRET = re.compile(r"PASSWORD|PRIVATE_KEY|SECRET|TOKEN|API_KEY|ACCESS_KEY|MNEMONIC", re.IGNORECASE)
_WORD = re.compile(r"[a-z]{1,12}")  # `mainnet`, `gateway`: no key is so short and all small letters
_LOOKS_SECRET = re.compile(
    rf"(?<={BEARER_PREFIX})[A-Za-z0-9_-]+"
    r"|(?<=[Bb]earer )[^\s\"',]+|(?<=[Bb]asic )[A-Za-z0-9+/=]{8,}"
    r"|(?<=://)[^\s/@\"']{1,512}(?=@)|(?<=[ps]:/)[^\s/@\"']{1,512}(?=@)"  # the user part of a URL, or of one taken for a path
)
_URL = re.compile(r"(?:https?|wss?|ftp):/{1,2}[^\s\"'<>]{1,4096}", re.IGNORECASE)
_LIKE_A_KEY = re.compile(r"(?:0x)?[0-9a-fA-F]{56,}")
_LIKE_WORDS_OF_A_KEY = re.compile(r"(?<![a-z])(?:[a-z]{3,8}[ ,]{1,2}){11,}[a-z]{3,8}(?![a-z])")  # BIP-39: 12 to 24
_LIKE_A_SEGMENT = re.compile(r"(?=[^/]*[0-9])[A-Za-z0-9_~-]{16,}|[A-Za-z0-9_~-]{24,}")  # of a path: a key, not a word

_lock = threading.Lock()
_known: frozenset[str] = frozenset()
_pattern: re.Pattern[str] | None = None


def know(*secrets: str) -> None:
    """From now on `redacted` hides these, in any case, and as URLs spell them."""
    global _known, _pattern
    more = {form for secret in secrets for form in (secret, unquote(secret), secret.removeprefix("0x"))}
    with _lock:
        known = _known | {secret for secret in more if len(secret) >= MIN_SECRET}
        if known != _known:
            ordered = sorted(known, key=len, reverse=True)
            _known, _pattern = known, re.compile("|".join(map(_hiding, ordered)), re.IGNORECASE)


def _hiding(secret: str) -> str:
    """The pattern of a secret: anywhere, but a short word only as a word, or `PIPELINE_S3_SECRET_KEY` could not be told."""
    return rf"(?<!\w){re.escape(secret)}(?!\w)" if secret.isalpha() and len(secret) <= 12 else re.escape(secret)


def know_url(url: str) -> None:
    """Hide whatever in an address may be a key: its user, password, path segments and query values."""
    know(*_secret_parts(url))


def know_environment(environ: Mapping[str, str]) -> None:
    """Hide the values of all variables whose name says that they are secrets, ours or a library's."""
    know(*(value for name, value in environ.items() if _NAMES_A_SECRET.search(name)))


def know_misplaced(texts: Iterable[str]) -> None:
    """Hide what was pasted where a path or a name belongs: a private key, and what may be a key in an address."""
    for text in texts:
        if _LIKE_A_KEY.fullmatch(text):
            know(text)
        elif _URL.match(text):
            know_url(text)


def forget() -> None:
    """Know nothing, as at the start of the process."""
    global _known, _pattern
    with _lock:
        _known, _pattern = frozenset(), None


def redacted(text: str) -> str:
    """`text` without secrets: those that are known, bearer tokens, and the user part of URLs."""
    if _pattern is not None:
        text = _pattern.sub(HIDDEN, text)
    return _LOOKS_SECRET.sub(HIDDEN, text)


def shown_url(url: str) -> str:
    """Scheme, host and port: what of an address may be told. "(hidden)" for what cannot be read as one."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or not re.fullmatch(r"[A-Za-z0-9._:-]{1,253}", host):
        return "(hidden)"
    place = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{place}" + (f":{port}" if port else "")


def shown_value(value: object) -> object:
    """A value of a call as an error may repeat it: without what looks like a key, or like the key in a URL."""
    if not isinstance(value, str):
        return value
    text = _URL.sub(lambda found: _shortened(found[0]), value)
    return _LIKE_WORDS_OF_A_KEY.sub(HIDDEN, _LIKE_A_KEY.sub(HIDDEN, text))


def _shortened(url: str) -> str:
    """A URL without user and query, and without the segments of its path that are no words."""
    url = re.sub(r"^(\w+):/(?!/)", r"\1://", url)  # one that was taken for a path has lost a slash
    shown = shown_url(url)
    if shown == "(hidden)":
        return shown
    path = urlsplit(url).path
    return shown + "/".join(HIDDEN if _LIKE_A_SEGMENT.fullmatch(part) else part for part in path.split("/"))


def _secret_parts(url: str) -> Iterable[str]:
    if "://" not in url:  # a multiaddr, or nothing that could be sent to
        return
    try:
        parts = urlsplit(url)
        user, password = parts.username, parts.password
    except ValueError:
        parts, user, password = SplitResult("", "", url, "", ""), None, None
    yield from (user or "", password or "")
    if user is not None:
        pair = f"{unquote(user)}:{unquote(password or '')}"
        yield base64.b64encode(pair.encode()).decode()
    yield from (part for part in parts.path.split("/") if len(part) >= MIN_SEGMENT and not _WORD.fullmatch(part))
    for field in (*parts.query.split("&"), *parts.fragment.split("&")):
        yield field.partition("=")[2] or field
