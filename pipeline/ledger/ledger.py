"""The one file that remembers: what was planned, drawn, pinned, signed and mined, and who owns it."""

from __future__ import annotations

from pathlib import Path

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
from pipeline.ledger.runs import Runs
from pipeline.ledger.seals import check_plans, check_whole
from pipeline.ledger.sqlite import SqliteEngine
from pipeline.ledger.tokens import Tokens


class Ledger(Database):
    """An open ledger. Writers and readers alike go through its parts; one connection, one thread at a time.

    `Ledger(path)` creates or migrates the file. `Ledger(path, readonly=True)` takes no lock and refuses to write;
    a file that is not there raises FileNotFoundError. Close it, or use it as a context manager. Every method of a
    part that writes is one commit, or joins the `atomic` block around it.

    Raises NewerSchema, Corrupt or WorkspaceUnwritable.
    """

    def __init__(self, path: Path, *, readonly: bool = False) -> None:
        super().__init__(SqliteEngine(path, readonly=readonly), path, readonly=readonly)
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

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def check(self) -> None:
        """Raise Corrupt unless the structure is sound, the events are chained, and plans are whole and as their events say."""
        self.check_integrity()
        check_plans(self)
        check_whole(self)
