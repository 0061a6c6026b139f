"""The self-check: plans and sealed batches against what the event chain says of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.base.errors import Corrupt
from pipeline.ledger.database import Database, Row, canonical_json
from pipeline.ledger.rows import parsed

# A sealed batch's digests, and the columns of its tokens that each covers: a new column gets a new digest, so that
# batches that were sealed before it still check.
_SEALED = {
    "tokens_sha256": (
        *("collection", "token_id", "batch", "seed", "recipient", "state"),
        *("image_sha256", "pixel_sha256", "image_bytes", "attributes"),
    ),
    "drawn_sha256": ("token_id", "attempt", "phash", "determinism"),
}
_SEALED_TOKENS = """
    SELECT collection, token_id, batch, seed, recipient, state, image_sha256, pixel_sha256, image_bytes, attributes,
           attempt, phash, determinism
      FROM token WHERE batch = ? ORDER BY token_id
"""


def seal_of(db: Database, batch: int, event: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What a sealed batch's event holds: its range, its roots, and digests over its tokens' rows.

    An `event` of an earlier schema has fewer digests: only those are computed then.
    """
    row = db.one("SELECT start, quantity, images_root, metadata_root FROM batch WHERE id = ?", (batch,))
    digests = {name: hashlib.sha256() for name in _SEALED if event is None or name in event}
    for token in db.rows(_SEALED_TOKENS, (batch,)):
        for name, digest in digests.items():
            values = [token[column] for column in _SEALED[name]]
            digest.update(canonical_json([v.hex() if isinstance(v, bytes) else v for v in values]).encode())
    return {
        "start": row["start"],
        "quantity": row["quantity"],
        "images_root": row["images_root"],
        "metadata_root": row["metadata_root"],
        **{name: digest.hexdigest() for name, digest in digests.items()},
    }


def check_plans(db: Database) -> None:
    """Raise Corrupt unless plans and sealed batches still say what the event chain says of them."""
    for table, planned, cut in (
        ("collection", "collection.planned", ""),
        ("run", "run.planned", "run.abandoned"),
    ):
        for row, event in _with_events(db, table, planned, cut):
            for column, value in event.items():
                if row[column] != value:
                    raise _damaged(db, f"{table} {row['id']}", column)
    for row, event in _with_events(db, "batch", "batch.sealed", "batch.cut"):
        if row["state"] != "planned" and seal_of(db, row["id"], event) != event:
            raise _damaged(db, f"batch {row['id']}", "its tokens or roots")


def check_whole(db: Database) -> None:
    """Raise Corrupt unless every run has all of its batches, and every batch all of its tokens."""
    short = db.row(
        "SELECT 'run' AS kind, r.id, r.count AS planned, coalesce(sum(b.quantity), 0) AS found FROM run r"
        " LEFT JOIN batch b ON b.run = r.id GROUP BY r.id, r.count HAVING coalesce(sum(b.quantity), 0) <> r.count"
        " UNION ALL SELECT 'batch', b.id, b.quantity, count(t.token_id) FROM batch b"
        " LEFT JOIN token t ON t.batch = b.id GROUP BY b.id, b.quantity HAVING count(t.token_id) <> b.quantity"
    )
    if short is not None:
        what = f"{db.path}: {short['kind']} {short['id']}"
        raise Corrupt(what=what, reason=f"{short['found']:,} of its {short['planned']:,} tokens are in the ledger")


def _with_events(db: Database, table: str, planned: str, cut: str) -> Iterator[tuple[Row, dict[str, Any]]]:
    """Each row with what it was planned as, and with what was let go of since; the key of a row that went is used again."""
    events: dict[str, dict[str, Any]] = {}
    for row in db.rows("SELECT kind, ref, data FROM event WHERE kind IN (?, ?) ORDER BY seq", (planned, cut)):
        before = events.get(row["ref"], {}) if row["kind"] == cut else {}
        events[row["ref"]] = before | parsed(row["data"], dict)
    for row in db.rows(f"SELECT * FROM {table} ORDER BY id"):
        event = events.get(str(row["id"]))
        if event is not None:
            yield row, event
        elif table != "batch" or row["state"] != "planned":
            raise _damaged(db, f"{table} {row['id']}", "it has no event")


def _damaged(db: Database, what: str, reason: str) -> Corrupt:
    return Corrupt(what=f"{db.path}: {what}", reason=f"{reason} does not match the event chain")
