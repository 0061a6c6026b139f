"""The one file that remembers: a SQLite database in WAL mode that survives power loss after every commit."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.base.crash import crash_point
from pipeline.base.errors import Corrupt, NewerSchema, WorkspaceUnwritable
from pipeline.ledger.schema import APPLICATION_ID, MIGRATIONS

NO_EVENT = bytes(32)  # what the first event calls its predecessor
BUSY_TIMEOUT_S = 10.0  # a reader's checkpoint may hold the file for a moment

# SQLite's primary result codes for a file that is sound but not to be written; any other complaint is damage.
_CANNOT_WRITE = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_READONLY,
    }
)


class Ledger:
    """An open ledger. Writers and readers alike go through it; one connection, one thread at a time.

    `Ledger(path)` creates or migrates the file. `Ledger(path, readonly=True)` takes no lock and refuses to write;
    a file that is not there raises FileNotFoundError. Close it, or use it as a context manager.

    Raises NewerSchema, Corrupt or WorkspaceUnwritable.
    """

    def __init__(self, path: Path, *, readonly: bool = False) -> None:
        self.path = path
        self.readonly = readonly
        self._lock = threading.RLock()
        self._depth = 0
        if readonly and not path.exists():
            raise FileNotFoundError(path)
        if readonly and _is_old(path):
            Ledger(path).close()  # a reader knows the newest tables only
        with _translated(path):
            self._db = _connect(path, readonly)
            try:
                self._check_header()
                if not readonly:
                    self._db.execute("PRAGMA journal_mode = WAL")
                    self._db.execute("PRAGMA synchronous = FULL")  # an acknowledged commit survives a power failure
                    self._migrate()
            except BaseException:
                self._db.close()
                raise

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        with self._lock:
            self._db.close()

    # ── reading and writing ──────────────────────────────────────────────────────────────────────────────────

    @contextmanager
    def atomic(self) -> Iterator[None]:
        """Everything inside is on the disk when the block ends, or nothing is. A nested block joins the outer one."""
        with self._lock:
            if self._depth:
                yield
                return
            with _translated(self.path):
                self._db.execute("BEGIN IMMEDIATE")
            self._depth = 1
            try:
                yield
                crash_point("inside_ledger_commit")
                with _translated(self.path):
                    self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:  # a full disk rolls back by itself
                    self._db.execute("ROLLBACK")
                raise
            finally:
                self._depth = 0

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Write; only inside `atomic`. Returns the id of an inserted row."""
        assert self._depth, "a write outside of Ledger.atomic would be its own commit"
        with _translated(self.path):
            return self._db.execute(sql, parameters).lastrowid or 0

    def executemany(self, sql: str, rows: Iterator[Sequence[Any]]) -> None:
        """Write many rows; only inside `atomic`."""
        assert self._depth, "a write outside of Ledger.atomic would be its own commit"
        with _translated(self.path):
            self._db.executemany(sql, rows)

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """All rows of a query: read columns by name."""
        with self._lock, _translated(self.path):
            return self._db.execute(sql, parameters).fetchall()

    def row(self, sql: str, parameters: Sequence[Any] = ()) -> sqlite3.Row | None:
        """The first row of a query, or None."""
        with self._lock, _translated(self.path):
            found: sqlite3.Row | None = self._db.execute(sql, parameters).fetchone()
            return found

    # ── the event chain ──────────────────────────────────────────────────────────────────────────────────────

    def log(self, kind: str, ref: str, **data: Any) -> None:
        """Append an event; only inside `atomic`, so that it stands exactly when what it tells of stands."""
        last = self.row("SELECT hash FROM event ORDER BY seq DESC LIMIT 1")
        previous = last["hash"] if last else NO_EVENT
        now, text = time.time(), canonical_json(data)
        self.execute(
            "INSERT INTO event (time, kind, ref, data, prev_hash, hash) VALUES (?, ?, ?, ?, ?, ?)",
            (now, kind, ref, text, previous, _event_hash(previous, now, kind, ref, text)),
        )

    def check_integrity(self) -> None:
        """Raise Corrupt unless the file's structure is sound and every event hashes to what the next one says."""
        try:
            problem = self._db.execute("PRAGMA quick_check(1)").fetchone()[0]
        except sqlite3.DatabaseError as error:
            raise Corrupt(what=self.path, reason=str(error)) from error
        if problem != "ok":
            raise Corrupt(what=self.path, reason=problem)
        previous = NO_EVENT
        for event in self.rows("SELECT * FROM event ORDER BY seq"):
            expected = _event_hash(previous, event["time"], event["kind"], event["ref"], event["data"])
            if event["prev_hash"] != previous or event["hash"] != expected:
                raise Corrupt(what=self.path, reason=f"event {event['seq']} does not match its hash")
            previous = event["hash"]

    def backup(self, target: Path) -> None:
        """Write a consistent copy to `target`, also while others write."""
        with _translated(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            copy = sqlite3.connect(target)
            try:
                self._db.backup(copy)
            finally:
                copy.close()

    # ── opening ──────────────────────────────────────────────────────────────────────────────────────────────

    def _check_header(self) -> None:
        version = self._pragma("user_version")
        if self._pragma("application_id") not in (0, APPLICATION_ID) or (
            version and not self._pragma("application_id")
        ):
            raise Corrupt(what=self.path, reason="it is not a ledger of this program")
        if version > len(MIGRATIONS):
            raise NewerSchema(path=self.path, found=version, known=len(MIGRATIONS))

    def _migrate(self) -> None:
        while (version := self._pragma("user_version")) < len(MIGRATIONS):
            try:
                self._db.executescript(
                    f"BEGIN IMMEDIATE; {MIGRATIONS[version]}"
                    f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {version + 1}; COMMIT;"
                )
            except sqlite3.OperationalError:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                if self._pragma("user_version") == version:
                    raise
                # Another process took the same step between our look and ours.

    def _pragma(self, name: str) -> int:
        return int(self._db.execute(f"PRAGMA {name}").fetchone()[0])


def canonical_json(value: Any) -> str:
    """The one JSON text of a value: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _event_hash(previous: bytes, when: float, kind: str, ref: str, data: str) -> bytes:
    return hashlib.sha256(previous + canonical_json([when, kind, ref, data]).encode()).digest()


def _is_old(path: Path) -> bool:
    with _translated(path):
        db = _connect(path, readonly=True)
        try:
            version = int(db.execute("PRAGMA user_version").fetchone()[0])
        finally:
            db.close()
        return 0 < version < len(MIGRATIONS)


def _connect(path: Path, readonly: bool) -> sqlite3.Connection:
    if readonly:
        uri = f"{path.absolute().as_uri()}?mode=ro"
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        uri = path.absolute().as_uri()
    db = sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    db.row_factory = sqlite3.Row
    db.execute("PRAGMA foreign_keys = ON")
    return db


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    """Turn SQLite's and the system's complaints about the file into ours; leave broken constraints alone."""
    try:
        yield
    except sqlite3.IntegrityError:
        raise
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _CANNOT_WRITE:
            raise WorkspaceUnwritable(path=path, reason=str(error)) from error
        raise Corrupt(what=path, reason=str(error)) from error
    except OSError as error:
        raise WorkspaceUnwritable(path=path, reason=error.strerror or str(error)) from error
