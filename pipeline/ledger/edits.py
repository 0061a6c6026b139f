"""Edits that people stage over plans, before anything of them is pinned: each a row, on the disk once it is told.

The number of the last one is the version of what is staged. It only ever grows, so that whoever says which version he has
seen is known to have seen it all, or to be late.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.base.crash import crash_point
from pipeline.ledger.database import Database, canonical_json
from pipeline.ledger.rows import parsed


@dataclass(frozen=True, slots=True)
class Edit:
    """One edit; what `data` says is the studio's affair."""

    version: int
    time: float  # seconds since 1970
    author: str
    data: Mapping[str, Any]


class Edits:
    """The staged edits of a ledger, by collection."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def of(self, collection: int, after: int = 0) -> list[Edit]:
        """Every edit behind that version, in order."""
        rows = self._db.rows(
            "SELECT version, time, author, data FROM edit WHERE collection = ? AND version > ? ORDER BY version",
            (collection, after),
        )
        return [Edit(row["version"], row["time"], row["author"], parsed(row["data"], _data)) for row in rows]

    def version(self, collection: int) -> int:
        """That of the last edit; 0 where there was none."""
        row = self._db.one("SELECT max(version) AS last FROM edit WHERE collection = ?", (collection,))
        return int(row["last"] or 0)

    def add(self, collection: int, author: str, data: Mapping[str, Any], after: int) -> int | None:
        """Stage one more, made of what was staged at the version `after`, and return its own; None where others came first."""
        with self._db.atomic():
            if self.version(collection) != after:
                return None
            version = after + 1
            self._db.execute(
                "INSERT INTO edit (collection, version, time, author, data) VALUES (?, ?, ?, ?, ?)",
                (collection, version, time.time(), author, canonical_json(data)),
            )
        crash_point("edit_staged")
        return version

    def settle(self, collection: int, author: str, kept: Mapping[str, Any]) -> int:
        """Put `kept` in the place of all edits: the others are in the plans now. Inside the commit that wrote those."""
        with self._db.atomic():
            last = self.version(collection)
            self._db.execute("DELETE FROM edit WHERE collection = ?", (collection,))
            self._db.execute(
                "INSERT INTO edit (collection, version, time, author, data) VALUES (?, ?, ?, ?, ?)",
                (collection, last + 1, time.time(), author, canonical_json(kept)),
            )
            self._db.log("studio.committed", str(collection), version=last, author=author)
        return last + 1


def _data(read: Any) -> Mapping[str, Any]:
    if not (isinstance(read, dict) and isinstance(read["kind"], str) and isinstance(read["run"], int)):
        raise ValueError("an edit says its kind and its run")
    return read
