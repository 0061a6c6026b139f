"""What the service says of itself: one JSON object a line, with run and token ids, and no secret in it."""

from __future__ import annotations

import json
import logging
import re
import sys
import time
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

from pipeline.ledger.access import PREFIX
from pipeline.settings import Settings

HIDDEN = "…"
MIN_SECRET = 4  # characters: hiding shorter ones would leave nothing to read

# Extra fields of a record that are told; anything else that a library adds to its records is left out.
FIELDS = (
    *("job", "run", "token_id", "stage", "done", "total", "state"),
    *("client", "method", "path", "status", "ms", "access", "refused"),
)
# Whatever names a secret in the environment, ours or a library's.
_NAMES_A_SECRET = re.compile(r"PASSWORD|PRIVATE_KEY|SECRET|TOKEN|API_KEY|ACCESS_KEY", re.IGNORECASE)
_LOOKS_SECRET = re.compile(
    rf"(?<={PREFIX})[A-Za-z0-9_-]+"  # our own bearer tokens
    r"|(?<=[Bb]earer )[^\s\"',]+"
    r"|(?<=://)[^\s/@\"']+(?=@)"  # the user part of an URL
)

_secrets: list[str] = []


def hide_secrets(config: Settings, environ: Mapping[str, str]) -> None:
    """From now on `redacted` knows the secrets of this environment, and what may hold a key in the addresses of nodes."""
    found = {value for name, value in environ.items() if _NAMES_A_SECRET.search(name)}
    for name in config.sources:
        if "://" in config.text(name):
            parts = urlsplit(config.text(name))
            found |= {parts.password or "", unquote(parts.password or ""), parts.query, parts.path.strip("/")}
    found |= {secret.removeprefix("0x") for secret in found}
    _secrets[:] = sorted((secret for secret in found if len(secret) >= MIN_SECRET), key=len, reverse=True)


def redacted(text: str) -> str:
    """`text` without secrets: those that `hide_secrets` found, bearer tokens, and the user part of URLs."""
    for secret in _secrets:
        text = re.sub(re.escape(secret), HIDDEN, text, flags=re.IGNORECASE)
    return _LOOKS_SECRET.sub(HIDDEN, text)


def log_to_stderr(level: str) -> None:
    """Send every record of this process to stderr: as JSON, or as a line for a person where stderr is a terminal."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Line() if sys.stderr.isatty() else _Json())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{record.msecs:03.0f}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": redacted(record.getMessage()),
            **{name: value for name, value in _extras(record).items()},
        }
        if record.exc_info:
            entry["traceback"] = redacted(self.formatException(record.exc_info))
        return json.dumps(entry, ensure_ascii=False)


class _Line(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        extras = " ".join(f"{name}={value}" for name, value in _extras(record).items())
        told = f"{time.strftime('%H:%M:%S', time.localtime(record.created))} {redacted(record.getMessage())} {extras}"
        return told + (f"\n{redacted(self.formatException(record.exc_info))}" if record.exc_info else "")


def _extras(record: logging.LogRecord) -> dict[str, object]:
    found = {name: getattr(record, name) for name in FIELDS if getattr(record, name, None) is not None}
    return {name: redacted(value) if isinstance(value, str) else value for name, value in found.items()}
