"""A workspace's ledger moved between its file and a server's database, with the proof that nothing changed on the way."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from pipeline.base.errors import BadArgument
from pipeline.base.workspace import Server, Workspace
from pipeline.ledger import Ledger
from pipeline.ledger.copy import Copied, copy_ledger


@dataclass(frozen=True, slots=True)
class Moved:
    source: Path | Server
    target: Path | Server
    tables: tuple[Copied, ...]
    retired: Path | None  # where a file is now that was the ledger; None of a server, whose tables stay


def move_ledger(workspace: Workspace, server: str) -> Moved:
    """Copy the ledger to a server's database, or with an empty `server` to the file in the folder; compare; retire the old one.

    Two ledgers that both go on would be two plans for one account: only the new one is taken for a ledger afterwards.
    Raises BadArgument where it is there already or where there is none, Corrupt where it does not check or differs.
    """
    there = Workspace(workspace.folder, server)
    source, target = workspace.ledger, there.ledger
    if source == target:
        raise BadArgument(name="TO", value=str(target), expected="another place than where the ledger is")
    if not Ledger.exists(source):
        raise BadArgument(
            name="--ledger",
            value=str(source),
            expected="a ledger that is there; `pipeline mint --count 50` makes the first",
        )
    if Ledger.exists(target) and not _is_empty(target):
        raise BadArgument(
            name="TO", value=str(target), expected="a place that has no ledger yet; nothing is overwritten"
        )
    with workspace.lock(), Ledger(source) as ledger:
        for run in ledger.runs.all_unfinished():
            ledger.hold(f"run {run.id}")  # a machine that is at it would go on with the old one
        with Ledger(target) as copy:
            tables = tuple(copy_ledger(ledger, copy))
        retired = workspace.backup(f"moved-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}")
        ledger.retire(retired)
    return Moved(source, target, tables, None if isinstance(source, Server) else retired)


def _is_empty(place: Path | Server) -> bool:
    """Whether it is what a copy that was interrupted leaves."""
    with Ledger(place, readonly=True) as ledger:
        return ledger.event_count() == 0
