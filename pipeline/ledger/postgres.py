"""The ledger's other engine: a PostgreSQL database, for several processes and machines on one ledger.

Writers take turns, as on a file: whoever begins holds the one row of `ledger_state` until its end, so events stand in
the order of their commits. What only one process at a time may do is an advisory lock, held on a connection of its
own: the server lets go of it when that connection ends, however it ends.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.base.errors import (
    ConstraintBroken,
    Corrupt,
    LedgerRefused,
    LedgerUnreachable,
    NewerSchema,
    WorkspaceLocked,
    WorkspaceUnwritable,
)
from pipeline.base.installation import extra
from pipeline.base.secrets import POSTGRES_PASSWORD, know
from pipeline.base.workspace import Server
from pipeline.ledger.database import Row
from pipeline.ledger.dialect import scripts, statement
from pipeline.ledger.schema import MIGRATIONS
from pipeline.ledger.sqlite import keys_of_tables, tables_of_a_new_one

if TYPE_CHECKING:
    import psycopg
    from psycopg.abc import Buffer

OLDEST = 140_000  # the server's version: what is older gets no repairs any more
CONNECT_S = 10
AT_ONCE = 1_000  # rows
WAIT_S = 60  # for another writer: a plan of a million tokens takes so long
HOLD_S = 3  # for one that was just killed: the server learns of it a moment later
OWN_TABLE = "ledger_state"
_HEAD = f"""
CREATE TABLE IF NOT EXISTS {OWN_TABLE} (
    id      INTEGER PRIMARY KEY CHECK (id = 1),
    version INTEGER NOT NULL,             -- of the schema
    writes  BIGINT NOT NULL               -- commits so far: what changes whenever anything does
)"""
# For every session: a commit that is acknowledged is on the disk, and a machine that is gone does not hold up the others.
_SESSION = {
    "synchronous_commit": "on",
    "lock_timeout": f"{WAIT_S}s",
    "idle_in_transaction_session_timeout": "10min",
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
    "client_encoding": "UTF8",
}
_HINT_OF_RIGHTS = (
    "its role has to own the database, or GRANT USAGE, CREATE ON SCHEMA and all rights on its tables and sequences"
)


class PostgresEngine:
    """One connection to a database. Opened for writing it creates or migrates the tables.

    A connection that is lost while nothing is being written is made again with the next question. One that is lost
    inside a transaction ends it: whether a commit arrived is seen by asking again. Raises FileNotFoundError for a ledger
    that is not there and shall only be read.
    """

    def __init__(self, place: Server, *, readonly: bool) -> None:
        self._place, self._readonly = place, readonly
        self._holder: psycopg.Connection[Any] | None = None
        self._held: dict[str, int] = {}
        self._in_transaction = False
        self._db = _connect(place, readonly)
        try:
            self._schema = _schema(self._db)
            self._open()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._db.close()
        if self._holder is not None:
            self._holder.close()
            self._holder = None

    def begin(self) -> None:
        self._ready()
        with _translated(self._place):
            self._db.execute("BEGIN")
            self._in_transaction = True
            self._db.execute(f"UPDATE {OWN_TABLE} SET writes = writes + 1".encode())

    def begin_reading(self) -> None:
        self._ready()
        with _translated(self._place):
            self._db.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            self._in_transaction = True

    def commit(self) -> None:
        with _translated(self._place):
            self._db.execute("COMMIT")
        self._in_transaction = False

    def rollback(self) -> None:
        if self._in_transaction and not self._db.closed:  # what a lost connection began, the server ends
            with _translated(self._place):
                self._db.execute("ROLLBACK")
        self._in_transaction = False

    def execute(self, sql: str, parameters: Sequence[object]) -> None:
        with _translated(self._place):
            self._db.execute(statement(sql).encode(), parameters)

    def executemany(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        import psycopg

        asked = iter(rows)  # whoever yields them may ask this connection meanwhile
        while some := list(islice(asked, AT_ONCE)):
            with _translated(self._place), psycopg.Cursor(self._db) as cursor:  # bound at the server: in one stream
                cursor.executemany(statement(sql).encode(), some)

    def rows(self, sql: str, parameters: Sequence[object]) -> Sequence[Row]:
        self._ready()
        with _translated(self._place):
            found: Sequence[Row] = self._db.execute(statement(sql).encode(), parameters).fetchall()
            return found

    def row(self, sql: str, parameters: Sequence[object]) -> Row | None:
        self._ready()
        with _translated(self._place):
            found: Row | None = self._db.execute(statement(sql).encode(), parameters).fetchone()
            return found

    def stamp(self) -> tuple[int, ...]:
        row = self.row(f"SELECT writes FROM {OWN_TABLE}", ())
        return (row["writes"],) if row is not None else ()

    def problem(self) -> str | None:
        rows = self.rows(
            "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = current_schema()"
            ' AND table_name = ANY(?) ORDER BY table_name COLLATE "C", ordinal_position',
            (sorted({table for table, _ in tables_of_a_new_one()}),),
        )
        found = [(row["table_name"], row["column_name"]) for row in rows]
        return None if found == tables_of_a_new_one() else "its tables are not those of a ledger"

    def backup(self, target: Path) -> None:
        """Nothing: who keeps a server keeps its backups; `pipeline ledger copy` makes a file."""

    def go_on_counting(self) -> None:
        for table, keys in keys_of_tables().items():
            if keys not in (("id",), ("seq",)):
                continue
            self.row(
                f"SELECT setval(pg_get_serial_sequence('{table}', '{keys[0]}'), max({keys[0]})) FROM {table}"
                f" HAVING max({keys[0]}) IS NOT NULL",
                (),
            )

    def retire(self, target: Path) -> None:
        """Nobody finds its tables any more, and nobody makes new ones in their place."""
        self.begin()
        with _translated(self._place):
            self._db.execute(f"ALTER TABLE {OWN_TABLE} RENAME TO {OWN_TABLE}_moved".encode())
        self.commit()

    # ── what one process at a time does ──────────────────────────────────────────────────────────────────────

    def hold(self, what: str, *, at_once: bool = False) -> None:
        from psycopg import errors

        if what in self._held:
            return
        with _translated(self._place):
            if self._holder is None:
                self._holder = _connect(self._place, readonly=True)
            number = _number(self._schema, what)
            patience = "1ms" if at_once else f"{HOLD_S}s"
            self._holder.execute(f"SET lock_timeout = '{patience}'".encode())
            try:
                self._holder.execute(f"SELECT pg_advisory_lock({number})".encode())
            except errors.LockNotAvailable as error:
                raise WorkspaceLocked(path=f"{self._place}: {what}", holder="") from error
        self._held[what] = number

    def release(self, what: str) -> None:
        number = self._held.pop(what, None)
        if number is not None and self._holder is not None:
            with _translated(self._place):
                self._holder.execute(f"SELECT pg_advisory_unlock({number})".encode())

    def check_holds(self) -> None:
        if not self._held or self._holder is None:
            return
        with _translated(self._place):
            row = self._holder.execute(
                "SELECT count(*) AS held FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid() AND granted"
            ).fetchone()
        if row is None or row["held"] < len(self._held):
            raise LedgerUnreachable(place=str(self._place), reason="it let go of this process's locks")

    # ── opening ──────────────────────────────────────────────────────────────────────────────────────────────

    def _ready(self) -> None:
        if self._db.closed and not self._in_transaction:
            self._db = _connect(self._place, self._readonly)

    def _open(self) -> None:
        version = self._version()
        if version is None and self._readonly:
            raise FileNotFoundError(str(self._place))
        if version is not None and version > len(MIGRATIONS):
            raise NewerSchema(path=self._place, found=version, known=len(MIGRATIONS))
        if version is not None and version == len(MIGRATIONS):
            return
        if self._readonly:
            PostgresEngine(self._place, readonly=False).close()  # a reader knows the newest tables only
        else:
            self._migrate()

    def _version(self) -> int | None:
        """The schema's version; None where there is no ledger yet."""
        known = self.row("SELECT to_regclass(?) AS there", (OWN_TABLE,))
        if known is None or known["there"] is None:
            return None
        row = self.row(f"SELECT version FROM {OWN_TABLE}", ())
        return None if row is None else int(row["version"])

    def _migrate(self) -> None:
        """Take every step that is missing, in one transaction; another process that opens meanwhile waits for it."""
        with _translated(self._place):
            self._db.execute("BEGIN")
            self._in_transaction = True
            try:
                self._db.execute(f"SELECT pg_advisory_xact_lock({_number(self._schema, 'migration')})".encode())
                self._db.execute(_HEAD.encode())
                self._db.execute(f"INSERT INTO {OWN_TABLE} VALUES (1, 0, 0) ON CONFLICT DO NOTHING".encode())
                done = self._version() or 0
                if done == 0:
                    self._check_empty()
                for script in scripts(MIGRATIONS)[done:]:
                    self._db.execute(script.encode())
                self._db.execute(f"UPDATE {OWN_TABLE} SET version = {max(done, len(MIGRATIONS))}".encode())
                self.commit()
            except BaseException:
                self.rollback()
                raise

    def _check_empty(self) -> None:
        row = self.row(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema() AND table_name = ANY(?)",
            (sorted({table for table, _ in tables_of_a_new_one()}),),
        )
        if row is not None:
            reason = (
                f"it has a table {row['table_name']!r} and no ledger: somebody else's, or of one that was moved away"
            )
            raise Corrupt(what=self._place, reason=reason, hint="give the ledger a database of its own")


def has_ledger(place: Server) -> bool:
    """Whether a database has a ledger. Raises as the engine does when it cannot be asked."""
    try:
        PostgresEngine(place, readonly=True).close()
    except FileNotFoundError:
        return False
    return True


def _number(schema: str, what: str) -> int:
    """The advisory lock of a thing: 63 bits of a digest. Locks are a database's own, so its name need not be in it."""
    return int.from_bytes(hashlib.sha256(f"nft-pipeline ledger {schema} {what}".encode()).digest()[:8], "big") >> 1


def _connect(place: Server, readonly: bool) -> psycopg.Connection[Any]:
    with extra("postgres"):
        import psycopg
        from psycopg.rows import dict_row
    know(os.environ.get(POSTGRES_PASSWORD, ""))
    settings = _SESSION | ({"default_transaction_read_only": "on"} if readonly else {})
    with _translated(place):
        db: psycopg.Connection[Any] = psycopg.connect(
            place.url,
            autocommit=True,
            connect_timeout=CONNECT_S,
            application_name="nft-pipeline",
            cursor_factory=psycopg.ClientCursor,
            row_factory=dict_row,
            password=os.environ.get(POSTGRES_PASSWORD),
        )
        try:
            _check_server(place, db)
            db.execute("; ".join(f"SET {name} = '{value}'" for name, value in settings.items()).encode())
        except BaseException:
            db.close()
            raise
    db.adapters.register_loader("numeric", _whole_numbers())
    return db


def _schema(db: psycopg.Connection[Any]) -> str:
    row = db.execute("SELECT current_schema() AS name").fetchone()
    return str(row["name"]) if row else ""


def _check_server(place: Server, db: psycopg.Connection[Any]) -> None:
    """Raise LedgerRefused for a server that is too old, and for a pooler in between: sessions' locks would be lost there."""
    if db.info.server_version < OLDEST:
        raise LedgerRefused(
            place=str(place),
            reason=f"it is PostgreSQL {db.info.parameter_status('server_version')}, and the oldest that serves is {OLDEST // 10_000}",
            hint="upgrade the server, or use another",
        )
    row = db.execute("SELECT pg_backend_pid() AS pid, current_schema() AS schema").fetchone()
    assert row is not None
    if row["pid"] != db.info.backend_pid:
        raise LedgerRefused(
            place=str(place),
            reason="a pooler stands between (its sessions are not the server's), and locks that keep two senders apart do not last there",
            hint="give the address of the server itself, usually port 5432",
        )
    if row["schema"] is None:
        raise LedgerRefused(
            place=str(place), reason="its search path names no schema that is there", hint=_HINT_OF_RIGHTS
        )


def _whole_numbers() -> Any:
    """Sums of whole numbers come as `numeric`; nothing else does."""
    from psycopg.adapt import Loader

    class Whole(Loader):
        def load(self, data: Buffer) -> int:
            return int(bytes(data))

    return Whole


@contextmanager
def _translated(place: Server) -> Iterator[None]:
    """Turn the server's complaints into ours."""
    import psycopg
    from psycopg import errors

    try:
        yield
    except psycopg.IntegrityError as error:
        raise ConstraintBroken(path=place, reason=_words(error)) from error
    except errors.InsufficientPrivilege as error:
        raise LedgerRefused(place=str(place), reason=_words(error), hint=_HINT_OF_RIGHTS) from error
    except (errors.InvalidPassword, errors.InvalidAuthorizationSpecification, errors.InvalidCatalogName) as error:
        raise LedgerRefused(place=str(place), reason=_words(error)) from error
    except (errors.DiskFull, errors.OutOfMemory, errors.ReadOnlySqlTransaction) as error:
        raise WorkspaceUnwritable(path=place, reason=_words(error)) from error
    except errors.LockNotAvailable as error:
        reason = f"another process has been writing for {WAIT_S} s"
        raise WorkspaceUnwritable(
            path=place, reason=reason, hint="give the same command again: it continues"
        ) from error
    except (errors.UndefinedTable, errors.UndefinedColumn, errors.DataCorrupted, errors.IndexCorrupted) as error:
        raise Corrupt(what=place, reason=_words(error)) from error
    except (psycopg.OperationalError, psycopg.InterfaceError, errors.AdminShutdown) as error:
        if "authentication" in str(error) or "no password" in str(error) or "does not exist" in str(error):
            raise LedgerRefused(place=str(place), reason=_words(error)) from error
        raise LedgerUnreachable(place=str(place), reason=_words(error)) from error
    except psycopg.ProgrammingError as error:
        if "connection option" in str(error) or "invalid" in str(error) and error.sqlstate is None:
            raise LedgerRefused(place=str(place), reason=_words(error)) from error
        raise Corrupt(what=place, reason=_words(error)) from error
    except psycopg.DatabaseError as error:
        raise Corrupt(what=place, reason=_words(error)) from error


def _words(error: psycopg.Error) -> str:
    """The server's own first line; libpq's tell the host and every address it tried."""
    return (error.diag.message_primary or str(error)).strip().partition("\n")[0]
