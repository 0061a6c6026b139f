"""A ledger from one place to another, row by row, and the proof that both say the same."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.base.errors import Corrupt
from pipeline.ledger.database import Row, canonical_json
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.sqlite import keys_of_tables

AT_ONCE = 2_000  # rows


@dataclass(frozen=True, slots=True)
class Copied:
    """A table as it is at both places."""

    table: str
    rows: int
    sha256: str


def copy_ledger(source: Ledger, target: Ledger) -> list[Copied]:
    """Bring everything of a ledger into an empty one, in one commit, and compare the two; what each table holds.

    Raises Corrupt where the source does not check, where the target holds anything, and where the two differ.
    """
    source.check()
    with source.snapshot(), target.atomic():
        for table, keys in keys_of_tables().items():
            if target.row(f"SELECT 1 FROM {table} LIMIT 1"):
                raise Corrupt(
                    what=target.path,
                    reason=f"its table {table} holds rows already",
                    hint="give a place that has no ledger yet: nothing was written",
                )
            for rows in _pages(source, table, keys):
                columns = list(rows[0].keys())
                marks = ", ".join("?" for _ in columns)
                target.executemany(
                    f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})",
                    ([row[column] for column in columns] for row in rows),
                )
        target.go_on_counting()
        here, there = contents(source), contents(target)
        for one, other in zip(here, there, strict=True):
            if one != other:
                raise Corrupt(
                    what=target.path,
                    reason=f"its table {one.table} is not as it was copied",
                    hint="nothing was kept: try again",
                )
    target.check()
    return here


def contents(ledger: Ledger) -> list[Copied]:
    """What each table of a ledger holds: equal for equal ledgers, wherever they are."""
    return [_contents(ledger, table, keys) for table, keys in keys_of_tables().items()]


def _contents(ledger: Ledger, table: str, keys: tuple[str, ...]) -> Copied:
    count, digest = 0, hashlib.sha256()
    for rows in _pages(ledger, table, keys):
        for row in rows:
            values = [
                value.hex() if isinstance(value, bytes) else value for value in (row[name] for name in row.keys())
            ]
            digest.update(canonical_json(values).encode() + b"\n")
        count += len(rows)
    return Copied(table, count, digest.hexdigest())


def _pages(ledger: Ledger, table: str, keys: tuple[str, ...]) -> Iterator[list[Row]]:
    """A table's rows in the order of its key, a page at a time."""
    order, marks = ", ".join(keys), ", ".join("?" for _ in keys)
    rows = list(ledger.rows(f"SELECT * FROM {table} ORDER BY {order} LIMIT ?", (AT_ONCE,)))
    while rows:
        yield rows
        last = [rows[-1][key] for key in keys]
        rows = list(
            ledger.rows(f"SELECT * FROM {table} WHERE ({order}) > ({marks}) ORDER BY {order} LIMIT ?", (*last, AT_ONCE))
        )
