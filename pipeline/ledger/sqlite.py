"""The ledger's usual engine: a SQLite file in WAL mode that survives power loss after every commit."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from pipeline.base.errors import ConstraintBroken, Corrupt, NewerSchema, WorkspaceUnwritable
from pipeline.ledger.database import Row
from pipeline.ledger.schema import APPLICATION_ID, MIGRATIONS

BUSY_TIMEOUT_S = 10.0  # a reader's checkpoint may hold the file for a moment

# SQLite's primary result codes for a file that is sound but not to be written; any other complaint is damage.
_HELD = "another program has it open for writing: end that, then give the same command again"
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


class SqliteEngine:
    """One connection to a file. Opened for writing it creates or migrates the file; readonly it takes no lock.

    Raises FileNotFoundError for a file that is not there and shall only be read.
    """

    def __init__(self, path: Path, *, readonly: bool) -> None:
        self._path = path
        if readonly and not path.exists():
            raise FileNotFoundError(path)
        if readonly and _is_old(path):
            SqliteEngine(path, readonly=False).close()  # a reader knows the newest tables only
        with _translated(path):
            _check_not_emptied(path)
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

    def close(self) -> None:
        self._db.close()

    def begin(self) -> None:
        with _translated(self._path):
            self._db.execute("BEGIN IMMEDIATE")

    def begin_reading(self) -> None:
        with _translated(self._path):
            self._db.execute("BEGIN")

    def commit(self) -> None:
        with _translated(self._path):
            self._db.execute("COMMIT")

    def rollback(self) -> None:
        if self._db.in_transaction:  # a full disk rolls back by itself
            self._db.execute("ROLLBACK")

    def execute(self, sql: str, parameters: Sequence[object]) -> None:
        with _translated(self._path):
            self._db.execute(sql, parameters)

    def executemany(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        with _translated(self._path):
            self._db.executemany(sql, rows)

    def rows(self, sql: str, parameters: Sequence[object]) -> Sequence[Row]:
        with _translated(self._path):
            cursor = self._db.execute(sql, parameters)
            found: list[sqlite3.Row] = cursor.fetchall()
        for row in found:
            self._check_kinds(cursor, row)
        return found

    def row(self, sql: str, parameters: Sequence[object]) -> Row | None:
        with _translated(self._path):
            cursor = self._db.execute(sql, parameters)
            found: sqlite3.Row | None = cursor.fetchone()
        if found is not None:
            self._check_kinds(cursor, found)
        return found

    def _check_kinds(self, cursor: sqlite3.Cursor, row: sqlite3.Row) -> None:
        """Raise Corrupt for a value that its column never has: SQLite keeps text in a column of numbers, and says nothing."""
        kinds = _kinds_of_columns()
        for (column, *_), value in zip(cursor.description, row, strict=True):
            if value is not None and column in kinds and not isinstance(value, kinds[column]):
                raise Corrupt(
                    what=self._path, reason=f"a value of its column {column} is of another kind than was written"
                )

    def problem(self) -> str | None:
        try:
            told = str(self._db.execute("PRAGMA quick_check(1)").fetchone()[0])
            if told != "ok":
                return told
            if _tables(self._db) != tables_of_a_new_one():
                return "its tables are not those of a ledger"
            lost = self._db.execute("PRAGMA foreign_key_check").fetchone()
            return f"a row of {lost[0]} belongs to one of {lost[2]} that is gone" if lost else None
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            return str(error)

    def stamp(self) -> tuple[int, ...]:
        """Of the file, and of SQLite's write-ahead log beside it."""
        stamp: list[int] = []
        for path in (self._path, self._path.with_name(f"{self._path.name}-wal")):
            try:
                state = path.stat()
            except FileNotFoundError:
                continue
            stamp += (state.st_ino, state.st_size, state.st_mtime_ns)
        return tuple(stamp)

    def go_on_counting(self) -> None:
        """Nothing: SQLite counts on from the highest key."""

    def retire(self, target: Path) -> None:
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._db.close()
        with _translated(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            os.rename(self._path, target)

    def hold(self, what: str, *, at_once: bool = False) -> None:
        """Nothing: who writes in a folder holds its lock, and so everything that its ledger tells of."""

    def release(self, what: str) -> None:
        """Nothing, as `hold`."""

    def check_holds(self) -> None:
        """Nothing: the system keeps a lock as long as its holder lives."""

    def backup(self, target: Path) -> None:
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
            raise Corrupt(what=self._path, reason="it is not a ledger of this program")
        if version > len(MIGRATIONS):
            raise NewerSchema(path=self._path, found=version, known=len(MIGRATIONS))

    def _migrate(self) -> None:
        while (version := self._pragma("user_version")) < len(MIGRATIONS):
            try:
                self._db.executescript(
                    f"BEGIN IMMEDIATE; {MIGRATIONS[version]}"
                    f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {version + 1}; COMMIT;"
                )
            except sqlite3.OperationalError:
                self.rollback()
                if self._pragma("user_version") == version:
                    raise
                # Another process took the same step between our look and ours.

    def _pragma(self, name: str) -> int:
        return int(self._db.execute(f"PRAGMA {name}").fetchone()[0])


def _check_not_emptied(path: Path) -> None:
    """Raise Corrupt for a file of no bytes where a copy says that there was a ledger: it would count as a new one."""
    if not path.exists() or path.stat().st_size:
        return
    copies = sorted((path.parent / "backup").glob("ledger-*.sqlite"), key=lambda copy: copy.stat().st_mtime)
    if copies:
        hint = f"copy {copies[-1]} over it, then give the same command again: it takes the rest from the chain"
        raise Corrupt(what=path, reason="it is empty, and was not before the last run", hint=hint)


def _tables(db: sqlite3.Connection) -> list[tuple[str, str]]:
    """Every table with the name of each column. Not its text: that has comments, which may be worded anew."""
    sql = (
        "SELECT m.name, c.name FROM sqlite_master m JOIN pragma_table_info(m.name) c"
        " WHERE m.type = 'table' ORDER BY m.name, c.cid"
    )
    return [(row[0], row[1]) for row in db.execute(sql)]


@cache
def _kinds_of_columns() -> dict[str, tuple[type, ...]]:
    """What a column of this name can hold, in any of the tables."""
    kinds: dict[str, tuple[type, ...]] = {}
    db = sqlite3.connect(":memory:")
    try:
        for migration in MIGRATIONS:
            db.executescript(migration)
        sql = "SELECT c.name, c.type FROM sqlite_master m JOIN pragma_table_info(m.name) c WHERE m.type = 'table'"
        for column, declared in db.execute(sql):
            kinds[column] = kinds.get(column, ()) + _KINDS[declared]
    finally:
        db.close()
    return kinds


_KINDS: dict[str, tuple[type, ...]] = {"INTEGER": (int,), "REAL": (float, int), "TEXT": (str,), "BLOB": (bytes,)}


@cache
def tables_of_a_new_one() -> list[tuple[str, str]]:
    db = sqlite3.connect(":memory:")
    try:
        for migration in MIGRATIONS:
            db.executescript(migration)
        return _tables(db)
    finally:
        db.close()


@cache
def keys_of_tables() -> dict[str, tuple[str, ...]]:
    """Each table's primary key, in an order in which rows find what they belong to."""
    db = sqlite3.connect(":memory:")
    try:
        for migration in MIGRATIONS:
            db.executescript(migration)
        tables = [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY rowid")]
        sql = "SELECT name FROM pragma_table_info(?) WHERE pk > 0 ORDER BY pk"
        return {table: tuple(row[0] for row in db.execute(sql, (table,))) for table in tables}
    finally:
        db.close()


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
    """Turn SQLite's and the system's complaints into ours."""
    try:
        yield
    except sqlite3.IntegrityError as error:
        raise ConstraintBroken(path=path, reason=str(error)) from error
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in _CANNOT_WRITE:
            hint = _HELD if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) else None
            raise WorkspaceUnwritable(path=path, reason=str(error), hint=hint) from error
        raise Corrupt(what=path, reason=str(error)) from error
    except UnicodeDecodeError as error:
        raise Corrupt(what=path, reason="it holds text that is none") from error
    except OSError as error:
        raise WorkspaceUnwritable(path=path, reason=error.strerror or str(error)) from error
