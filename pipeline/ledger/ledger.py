"""The one place that remembers: what was planned, drawn, pinned, signed and mined, and who owns it."""

from __future__ import annotations

from pathlib import Path

from pipeline.base.workspace import Server
from pipeline.ledger.access import Access
from pipeline.ledger.batches import Batches
from pipeline.ledger.catalogue import Catalogue
from pipeline.ledger.collections import Collections
from pipeline.ledger.database import Database
from pipeline.ledger.edits import Edits
from pipeline.ledger.jobs import Jobs
from pipeline.ledger.journal import Journal
from pipeline.ledger.owners import Owners
from pipeline.ledger.pins import Pins
from pipeline.ledger.postgres import PostgresEngine, has_ledger
from pipeline.ledger.runs import Runs
from pipeline.ledger.seals import check_plans, check_whole
from pipeline.ledger.sqlite import SqliteEngine
from pipeline.ledger.tokens import Tokens


class Ledger(Database):
    """An open ledger. Writers and readers alike go through its parts; one connection, one thread at a time.

    `Ledger(place)` creates or migrates the file, or the tables of a server's database. `Ledger(place, readonly=True)`
    takes no lock and refuses to write; one that is not there raises FileNotFoundError. Close it, or use it as a context manager. Every method of a
    part that writes is one commit, or joins the `atomic` block around it.

    Raises NewerSchema, Corrupt or WorkspaceUnwritable; of a server LedgerRefused or LedgerUnreachable.
    """

    def __init__(self, place: Path | Server, *, readonly: bool = False) -> None:
        engine = PostgresEngine if isinstance(place, Server) else SqliteEngine
        super().__init__(engine(place, readonly=readonly), place, readonly=readonly)  # type: ignore[arg-type]
        self.collections = Collections(self)
        self.runs = Runs(self)
        self.batches = Batches(self)
        self.tokens = Tokens(self)
        self.pins = Pins(self)
        self.journal = Journal(self)
        self.owners = Owners(self)
        self.catalogue = Catalogue(self)
        self.jobs = Jobs(self)
        self.access = Access(self)
        self.edits = Edits(self)

    @staticmethod
    def exists(place: Path | Server) -> bool:
        """Whether there is a ledger; a server that does not answer raises as opening it would."""
        return has_ledger(place) if isinstance(place, Server) else place.exists()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def check(self) -> None:
        """Raise Corrupt unless the structure is sound, the events are chained, and plans are whole and as their events say."""
        with self.snapshot():
            self.check_integrity()
            check_plans(self)
            check_whole(self)
