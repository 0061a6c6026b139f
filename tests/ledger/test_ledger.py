"""The ledger on both engines: commits that last and an event chain that tells; and files that are not ours or no longer whole.

What only a server does is in test_postgres.py.
"""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest
from conftest import REPOSITORY
from postgres import Postgres

from pipeline.base.cid import CID
from pipeline.base.errors import ConstraintBroken, Corrupt, NewerSchema, WorkspaceUnwritable
from pipeline.base.workspace import Server
from pipeline.ledger import Ledger
from pipeline.ledger.schema import MIGRATIONS
from pipeline.ledger.sqlite import SqliteEngine


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite"


class Raw(Protocol):
    def __call__(self, *statements: str) -> object: ...


@dataclass(frozen=True)
class Kept:
    """Where a ledger is kept, and how somebody else gets at its tables."""

    place: Path | Server
    raw: Raw


@pytest.fixture(params=["file", "server"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Kept:
    if request.param == "file":
        path = tmp_path / "ledger.sqlite"
        return Kept(path, lambda *statements: _in_file(path, *statements))
    server: Postgres = request.getfixturevalue("postgres")
    schema = server.new()
    return Kept(Server(server.url(schema)), lambda *statements: server.ask("; ".join(statements), schema))


def _in_file(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as raw:
        for sql in statements:
            raw.execute(sql.replace(" ON event", "") if sql.startswith("DROP TRIGGER") else sql)
        raw.commit()


def _log(ledger: Ledger, *refs: str) -> None:
    for ref in refs:
        with ledger.atomic():
            ledger.log("test", ref, number=1)


def _refs(place: Path | Server) -> list[str]:
    with Ledger(place, readonly=True) as ledger:
        return [row["ref"] for row in ledger.rows("SELECT ref FROM event ORDER BY seq")]


def test_a_commit_is_there_for_the_next_reader(kept: Kept) -> None:
    with Ledger(kept.place) as ledger:
        _log(ledger, "one", "two")
        assert _refs(kept.place) == ["one", "two"]


def test_a_failed_block_leaves_nothing(kept: Kept) -> None:
    with Ledger(kept.place) as ledger:
        with pytest.raises(RuntimeError), ledger.atomic():
            ledger.log("test", "lost")
            raise RuntimeError
        _log(ledger, "kept")
    assert _refs(kept.place) == ["kept"]


def test_a_nested_block_stands_or_falls_with_the_outer_one(kept: Kept) -> None:
    with Ledger(kept.place) as ledger:
        with pytest.raises(RuntimeError), ledger.atomic():
            with ledger.atomic():
                ledger.log("test", "inner")
            raise RuntimeError
    assert _refs(kept.place) == []


def test_a_write_outside_of_a_block_is_refused(kept: Kept) -> None:
    with Ledger(kept.place) as ledger, pytest.raises(AssertionError):
        ledger.execute("DELETE FROM event")


def test_a_killed_process_keeps_what_it_committed_and_nothing_else(kept: Kept) -> None:
    script = (
        "import sys, pathlib\nfrom pipeline.base.workspace import Server\nfrom pipeline.ledger import Ledger\n"
        "ledger = Ledger((Server if sys.argv[1].startswith('postgresql:') else pathlib.Path)(sys.argv[1]))\n"
        "for number in range(3):\n"
        "    with ledger.atomic(): ledger.log('test', str(number))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "PIPELINE_CRASH_AT": "inside_ledger_commit:3"}
    killed = subprocess.run(
        [sys.executable, "-c", script, getattr(kept.place, "url", str(kept.place))], env=environment
    )
    assert killed.returncode == -signal.SIGKILL
    assert _refs(kept.place) == ["0", "1"]
    with Ledger(kept.place) as ledger:
        ledger.check_integrity()


def test_events_can_neither_be_changed_nor_deleted(kept: Kept) -> None:
    with Ledger(kept.place) as ledger:
        _log(ledger, "one")
        for sql in ("UPDATE event SET ref = 'two'", "DELETE FROM event"):
            with pytest.raises(ConstraintBroken, match="append-only"), ledger.atomic():
                ledger.execute(sql)


@pytest.mark.parametrize("column", ["time", "kind", "ref", "data", "prev_hash", "hash"])
def test_a_changed_event_is_found_whatever_was_changed(kept: Kept, column: str) -> None:
    with Ledger(kept.place) as ledger:
        _log(ledger, "one", "two", "three")
        ledger.collections.enter_chain(1, bytes(31) + b"x", "external")
    another = "(SELECT genesis_hash FROM chain)"
    changed = {"time": "time + 1", "prev_hash": another, "hash": another}.get(column, f"{column} || 'x'")
    kept.raw("DROP TRIGGER event_is_never_changed ON event", f"UPDATE event SET {column} = {changed} WHERE seq = 2")
    with Ledger(kept.place) as ledger, pytest.raises(Corrupt, match="event 2"):
        ledger.check_integrity()


def test_a_removed_event_is_found(kept: Kept) -> None:
    with Ledger(kept.place) as ledger:
        _log(ledger, "one", "two", "three")
    kept.raw("DROP TRIGGER event_is_never_deleted ON event", "DELETE FROM event WHERE seq = 2")
    with Ledger(kept.place) as ledger, pytest.raises(Corrupt, match="event 3"):
        ledger.check_integrity()


def test_every_flipped_bit_in_an_event_is_found_or_harmless(path: Path) -> None:
    """Flip bits all over a copy of the file: either the ledger complains, or all events still read as written."""
    with Ledger(path) as ledger:
        _log(ledger, *(f"event {number}" for number in range(120)))
    wal = path.with_name(path.name + "-wal")
    assert not wal.exists()  # closing the last connection folds it in
    written, size = _refs(path), path.stat().st_size
    copy = path.with_name("flipped.sqlite")
    complaints = 0
    for position in range(0, size, size // 150):
        shutil.copy(path, copy)
        for leftover in ("-wal", "-shm"):
            copy.with_name(copy.name + leftover).unlink(missing_ok=True)
        with copy.open("r+b") as file:
            file.seek(position)
            byte = file.read(1)[0]
            file.seek(position)
            file.write(bytes([byte ^ 4]))
        try:
            with Ledger(copy) as ledger:
                ledger.check_integrity()
            assert _refs(copy) == written
        except (Corrupt, NewerSchema, WorkspaceUnwritable):
            complaints += 1
    assert complaints > 10


def test_a_ledger_of_a_newer_version_is_refused(kept: Kept) -> None:
    Ledger(kept.place).close()
    newer = len(MIGRATIONS) + 1
    is_file = isinstance(kept.place, Path)
    kept.raw(f"PRAGMA user_version = {newer}" if is_file else f"UPDATE ledger_state SET version = {newer}")
    with pytest.raises(NewerSchema, match=f"schema {len(MIGRATIONS) + 1}"):
        Ledger(kept.place)


@pytest.mark.parametrize("content", [b"not a database at all, but long enough to have a header" * 4, None])
def test_a_file_that_is_no_ledger_is_refused(path: Path, content: bytes | None) -> None:
    if content:
        path.write_bytes(content)
    else:  # somebody else's SQLite database
        raw = sqlite3.connect(path)
        raw.execute("PRAGMA application_id = 7")
        raw.execute("CREATE TABLE theirs (x)")
        raw.close()
    before = path.read_bytes()
    with pytest.raises(Corrupt):
        Ledger(path)
    assert path.read_bytes() == before


def test_a_torn_write_ahead_log_leaves_a_consistent_beginning(path: Path) -> None:
    ledger = Ledger(path)
    _log(ledger, *(str(number) for number in range(20)))
    copy, wal = path.with_name("torn.sqlite"), path.with_name("ledger.sqlite-wal")
    for keep in range(0, wal.stat().st_size, wal.stat().st_size // 12):
        shutil.copy(path, copy)
        copy.with_name("torn.sqlite-wal").write_bytes(wal.read_bytes()[:keep])
        with Ledger(copy) as torn:
            torn.check_integrity()
            refs = [row["ref"] for row in torn.rows("SELECT ref FROM event ORDER BY seq")]
        assert refs == [str(number) for number in range(len(refs))]
    ledger.close()


def test_a_full_disk_keeps_what_was_acknowledged(path: Path) -> None:
    """`max_page_count` makes SQLite answer as it does on a full disk."""
    with Ledger(path) as ledger:
        _log(ledger, "kept")
        pages = ledger.row("PRAGMA page_count")
        assert pages is not None
        ledger.rows(f"PRAGMA max_page_count = {pages['page_count'] + 1}")
        with pytest.raises(WorkspaceUnwritable, match="full"), ledger.atomic():
            ledger.log("test", "too large", data="x" * 100_000)
        assert _refs(path) == ["kept"]


def test_threads_take_turns(kept: Kept) -> None:
    with Ledger(kept.place) as ledger:
        threads = [threading.Thread(target=_log, args=(ledger, *(f"{n}-{k}" for k in range(20)))) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        ledger.check_integrity()
    assert len(_refs(kept.place)) == 80


def test_a_reader_neither_waits_for_a_writer_nor_writes(kept: Kept) -> None:
    with Ledger(kept.place) as ledger:
        _log(ledger, "one")
        with ledger.atomic():
            ledger.log("test", "not yet")
            assert _refs(kept.place) == ["one"]
            with Ledger(kept.place, readonly=True) as reader, pytest.raises(WorkspaceUnwritable), reader.atomic():
                reader.log("test", "never")


def test_a_missing_ledger_is_not_made_by_reading(kept: Kept) -> None:
    with pytest.raises(FileNotFoundError):
        Ledger(kept.place, readonly=True)
    assert not Ledger.exists(kept.place)


def test_a_backup_is_a_whole_ledger(path: Path, tmp_path: Path) -> None:
    with Ledger(path) as ledger:
        _log(ledger, "one")
        ledger.backup(tmp_path / "copies" / "copy.sqlite")
        _log(ledger, "two")
    assert _refs(tmp_path / "copies" / "copy.sqlite") == ["one"]


def test_an_emptied_ledger_beside_its_copies_is_not_taken_for_a_new_one(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    path.touch()
    Ledger(path).close()  # a process that was killed while it made the file
    with Ledger(path) as ledger:
        ledger.backup(tmp_path / "backup" / "ledger-after.sqlite")
    path.write_bytes(b"")
    with pytest.raises(Corrupt, match="is empty") as caught:
        Ledger(path)
    assert "ledger-after.sqlite" in caught.value.hint


@pytest.mark.parametrize(("column", "value"), [("chain_id", "x"), ("genesis_hash", "g" * 32), ("chain_id", 0.5)])
def test_a_value_of_another_kind_than_its_column_has_is_damage(path: Path, column: str, value: object) -> None:
    """SQLite keeps anything in any column. It is told in a sentence, wherever it is read."""
    engine = SqliteEngine(path, readonly=False)
    engine.execute("INSERT INTO chain (chain_id, genesis_hash, kind) VALUES (1, zeroblob(32), 'anvil')", ())
    assert engine.rows("SELECT * FROM chain", ()) and engine.row("SELECT count(*) AS chain_id FROM chain", ())
    engine.execute(f"UPDATE chain SET {column} = ?", (value,))
    for read in engine.rows, engine.row:
        with pytest.raises(Corrupt, match=column):
            read("SELECT * FROM chain", ())
    engine.close()


def test_a_root_that_is_named_and_gone_is_damage(kept: Kept) -> None:
    with Ledger(kept.place) as ledger, pytest.raises(Corrupt, match="is gone"):
        ledger.pins.known(CID.raw(b"x"))


def test_a_column_that_lost_its_name_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    Ledger(path).close()
    path.write_bytes(path.read_bytes().replace(b"device     TEXT", b"devise     TEXT"))
    with pytest.raises(Corrupt, match="tables are not those of a ledger"), Ledger(path) as ledger:
        ledger.check()


def test_a_file_that_another_program_holds_is_no_matter_of_space(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.ledger.sqlite.BUSY_TIMEOUT_S", 0.01)
    with Ledger(path) as ledger, closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(WorkspaceUnwritable, match="locked") as caught, ledger.atomic():
            pass
    assert "another program" in caught.value.hint
