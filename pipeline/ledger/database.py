"""What every part of a ledger stands on: commits, queries, and a chain of events that nobody can change unseen.

What differs between databases (opening, migrating, copying, what their errors mean) is in an `Engine`.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from pipeline.base.crash import crash_point
from pipeline.base.errors import Corrupt
from pipeline.base.workspace import Server

NO_EVENT = bytes(32)  # what the first event calls its predecessor


class Row(Protocol):
    """A row of a query, read by column name. It never leaves this package."""

    def __getitem__(self, column: str, /) -> Any: ...

    def keys(self) -> Iterable[str]: ...


class Engine(Protocol):
    """One connection to one database. Its errors are ours: Corrupt, WorkspaceUnwritable, ConstraintBroken, NewerSchema,
    and of a server LedgerRefused and LedgerUnreachable.

    SQL comes in the subset that all engines understand, with `?` for a parameter.
    """

    def begin(self) -> None:
        """Begin to write; waits for another writer, and keeps others out until the end."""

    def begin_reading(self) -> None:
        """Begin to read: until the end everything is as it was at one moment."""

    def commit(self) -> None: ...

    def rollback(self) -> None:
        """End without a trace; nothing happens where nothing was begun."""

    def execute(self, sql: str, parameters: Sequence[object]) -> None: ...

    def executemany(self, sql: str, rows: Iterable[Sequence[object]]) -> None: ...

    def rows(self, sql: str, parameters: Sequence[object]) -> Sequence[Row]: ...

    def row(self, sql: str, parameters: Sequence[object]) -> Row | None: ...

    def problem(self) -> str | None:
        """What is wrong with the database's own structure, if something is."""

    def stamp(self) -> tuple[int, ...]:
        """What changes with every commit of anybody."""

    def hold(self, what: str, *, at_once: bool = False) -> None:
        """Be the one process that does a thing, until `release` or the end of the connection. Twice equals once.

        Raises WorkspaceLocked where another process is it, seconds later or at once.
        """

    def release(self, what: str) -> None: ...

    def check_holds(self) -> None:
        """Raise LedgerUnreachable unless everything that is held is held still: to be asked before anything is sent."""

    def go_on_counting(self) -> None:
        """After rows came with their keys: new ones go on behind the highest; inside a transaction."""

    def retire(self, target: Path) -> None:
        """Have nobody take this for a ledger any more; a file goes to `target`. The connection is of no use then."""

    def backup(self, target: Path) -> None:
        """Write a consistent copy, also while others write; of a server nothing, its keeper has copies."""

    def close(self) -> None: ...


class Database:
    """An open database: one connection, one thread at a time. Only this package asks it."""

    def __init__(self, engine: Engine, path: Path | Server, *, readonly: bool = False) -> None:
        self.path = path  # or where it is, for words
        self.readonly = readonly
        self._engine = engine
        self._lock = threading.RLock()
        self._depth = 0

    def close(self) -> None:
        with self._lock:
            self._engine.close()

    # ── reading and writing ──────────────────────────────────────────────────────────────────────────────────

    @contextmanager
    def atomic(self) -> Iterator[None]:
        """Everything inside is on the disk when the block ends, or nothing is. A nested block joins the outer one."""
        with self._lock:
            if self._depth:
                yield
                return
            self._engine.begin()
            self._depth = 1
            try:
                yield
                crash_point("inside_ledger_commit")
                self._engine.commit()
            except BaseException:
                self._engine.rollback()
                raise
            finally:
                self._depth = 0

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Everything that is read inside is of one moment, whatever others write; inside `atomic` it is so anyway."""
        with self._lock:
            if self._depth:
                yield
                return
            self._engine.begin_reading()
            try:
                yield
            finally:
                self._engine.rollback()

    def stamp(self) -> tuple[int, ...]:
        """What changes with every commit, of whatever process."""
        with self._lock:
            return self._engine.stamp()

    def hold(self, what: str, *, at_once: bool = False) -> None:
        """Be the one process that does a thing, until it is released or this ledger is closed. Twice equals once.

        Raises WorkspaceLocked where another is it, after seconds in which that one may end, or at once. In a file's
        folder its lock says so already.
        """
        with self._lock:
            self._engine.hold(what, at_once=at_once)

    def release(self, what: str) -> None:
        with self._lock:
            self._engine.release(what)

    def check_holds(self) -> None:
        """Raise LedgerUnreachable unless everything that is held is held still: asked before anything leaves."""
        with self._lock:
            self._engine.check_holds()

    def execute(self, sql: str, parameters: Sequence[object] = ()) -> None:
        """Write; only inside `atomic`. Raises ConstraintBroken where a table does not take it."""
        assert self._depth, "a write outside of `atomic` would be its own commit"
        self._engine.execute(sql, parameters)

    def executemany(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        """Write many rows; only inside `atomic`."""
        assert self._depth, "a write outside of `atomic` would be its own commit"
        self._engine.executemany(sql, rows)

    def insert(self, sql: str, parameters: Sequence[object] = ()) -> int:
        """The id of a row that is inserted; the SQL ends with RETURNING id."""
        assert self._depth, "a write outside of `atomic` would be its own commit"
        (row,) = self._engine.rows(sql, parameters)
        return int(row["id"])

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> Sequence[Row]:
        """All rows of a query: read columns by name."""
        with self._lock:
            return self._engine.rows(sql, parameters)

    def row(self, sql: str, parameters: Sequence[object] = ()) -> Row | None:
        """The first row of a query, or None."""
        with self._lock:
            return self._engine.row(sql, parameters)

    def one(self, sql: str, parameters: Sequence[object] = ()) -> Row:
        """The one row that is known to be there. Raises Corrupt when it is not: somebody else changed the file."""
        row = self.row(sql, parameters)
        if row is None:
            raise Corrupt(what=self.path, reason=f"a row is missing (asked for {tuple(parameters)})")
        return row

    # ── the event chain ──────────────────────────────────────────────────────────────────────────────────────

    def log(self, kind: str, ref: str, **data: object) -> None:
        """Append an event; only inside `atomic`, so that it stands exactly when what it tells of stands."""
        last = self.row("SELECT hash FROM event ORDER BY seq DESC LIMIT 1")
        previous = last["hash"] if last else NO_EVENT
        now, text = time.time(), canonical_json(data)
        self.execute(
            "INSERT INTO event (time, kind, ref, data, prev_hash, hash) VALUES (?, ?, ?, ?, ?, ?)",
            (now, kind, ref, text, previous, _event_hash(previous, now, kind, ref, text)),
        )

    def event_count(self) -> int:
        return int(self.one("SELECT count(*) AS n FROM event")["n"])

    def check_integrity(self) -> None:
        """Raise Corrupt unless the database's structure is sound and every event hashes to what the next one says."""
        problem = self._engine.problem()
        if problem is not None:
            raise Corrupt(what=self.path, reason=problem)
        previous = NO_EVENT
        for event in self.rows("SELECT seq, time, kind, ref, data, prev_hash, hash FROM event ORDER BY seq"):
            expected = _event_hash(previous, event["time"], event["kind"], event["ref"], event["data"])
            if event["prev_hash"] != previous or event["hash"] != expected:
                raise Corrupt(what=self.path, reason=f"event {event['seq']} does not match its hash")
            previous = event["hash"]

    def go_on_counting(self) -> None:
        """After rows came with their keys: new ones go on behind the highest; inside `atomic`."""
        assert self._depth, "it belongs to the commit that brought the rows"
        self._engine.go_on_counting()

    def retire(self, target: Path) -> None:
        """Have nobody take this for a ledger any more, because it is elsewhere: a file goes to `target`."""
        with self._lock:
            self._engine.retire(target)

    def backup(self, target: Path) -> None:
        """Write a consistent copy of a file to `target`, also while others write; a server's keeper has his own."""
        self._engine.backup(target)


def canonical_json(value: object) -> str:
    """The one JSON text of a value: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _event_hash(previous: bytes, when: float, kind: str, ref: str, data: str) -> bytes:
    return hashlib.sha256(previous + canonical_json([when, kind, ref, data]).encode()).digest()
