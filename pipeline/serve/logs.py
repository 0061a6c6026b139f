"""What the service says of itself: one JSON object a line, with run and token ids, and no secret in it."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Mapping

from pipeline.base.secrets import know_environment, know_url, redacted
from pipeline.base.untrusted import json_text, printable
from pipeline.settings import Settings

# Extra fields of a record that are told; anything else that a library adds to its records is left out.
FIELDS = (
    *("job", "run", "token_id", "stage", "done", "total", "state"),
    *("client", "method", "path", "status", "ms", "access", "refused"),
)
MAX_MESSAGE = 10_000  # characters of a line for a person
# Settings whose value is an address that may hold a key.
ENDPOINTS = ("rpc_url", "signer_url", "ipfs_api", "psa_url", "s3_endpoint", "pinata_url", "gateway")


def hide_secrets(config: Settings, environ: Mapping[str, str]) -> None:
    """From now on `redacted` knows the secrets of this environment, and what may hold a key in the addresses of nodes."""
    know_environment(environ)
    for name in ENDPOINTS:
        know_url(config.text(name))


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
        return json_text(entry)


class _Line(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        extras = " ".join(f"{name}={printable(value)}" for name, value in _extras(record).items())
        message = printable(redacted(record.getMessage()), MAX_MESSAGE)
        told = f"{time.strftime('%H:%M:%S', time.localtime(record.created))} {message} {extras}"
        if record.exc_info:
            told += "\n" + printable(redacted(self.formatException(record.exc_info)), MAX_MESSAGE, lines=True)
        return told


def _extras(record: logging.LogRecord) -> dict[str, object]:
    found = {name: getattr(record, name) for name in FIELDS if getattr(record, name, None) is not None}
    return {name: redacted(value) if isinstance(value, str) else value for name, value in found.items()}
