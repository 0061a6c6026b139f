"""Bearer tokens of the HTTP service: only their digests are here."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass
from typing import Literal

from pipeline.base.errors import BadArgument
from pipeline.base.secrets import BEARER_PREFIX
from pipeline.ledger.database import Database, Row

Scope = Literal["read", "mint"]

TOKEN_BYTES = 32  # 256 random bits need no slow hash: there is nothing to guess


@dataclass(frozen=True, slots=True)
class AccessToken:
    """What is known of a token; `mint` includes `read`."""

    id: int
    label: str
    scope: Scope
    created: float  # seconds since 1970, as the next
    revoked: float | None


class Access:
    """The tokens of one ledger."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def new(self, scope: Scope, label: str) -> tuple[AccessToken, str]:
        """A new token and its secret, which is told this once and kept nowhere."""
        secret = BEARER_PREFIX + secrets.token_urlsafe(TOKEN_BYTES)
        with self._db.atomic():
            key = self._db.insert(
                "INSERT INTO access_token (label, scope, digest, created) VALUES (?, ?, ?, ?) RETURNING id",
                (label, scope, _digest(secret), time.time()),
            )
            self._db.log("access.new", str(key), scope=scope)
        return self._token(key), secret

    def all(self) -> list[AccessToken]:
        return [
            _token(row)
            for row in self._db.rows("SELECT id, label, scope, created, revoked FROM access_token ORDER BY id")
        ]

    def revoke(self, key: int) -> AccessToken:
        """End a token; one that was revoked before stays so. Raises BadArgument when there is none of this number."""
        found = self._token(key)
        if found.revoked is None:
            with self._db.atomic():
                self._db.execute("UPDATE access_token SET revoked = ? WHERE id = ?", (time.time(), key))
                self._db.log("access.revoked", str(key))
        return self._token(key)

    def find(self, secret: str) -> AccessToken | None:
        """The token that a secret belongs to, unless it was revoked. Takes equally long whichever it is."""
        wanted, found = _digest(secret), None
        for row in self._db.rows(
            "SELECT id, label, scope, created, revoked, digest FROM access_token WHERE revoked IS NULL ORDER BY id"
        ):
            if hmac.compare_digest(row["digest"], wanted):
                found = _token(row)
        return found

    def _token(self, key: int) -> AccessToken:
        row = self._db.row("SELECT id, label, scope, created, revoked FROM access_token WHERE id = ?", (key,))
        if row is None:
            known = ", ".join(str(token.id) for token in self.all()) or "none yet"
            raise BadArgument(name="token", value=key, expected=f"the number of a token ({known})")
        return _token(row)


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def _token(row: Row) -> AccessToken:
    return AccessToken(row["id"], row["label"], row["scope"], row["created"], row["revoked"])
