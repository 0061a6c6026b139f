"""Ending an unfinished run: what of it is in no block goes, and the rest is all that it ever was.

Token ids stay without a gap, because a contract mints in their order: what is minted of a run is its beginning. A batch of
which a part is minted is cut there; the directory of its metadata stays as it was sealed, with more documents than tokens.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.base.crash import crash_point
from pipeline.ledger.database import Database
from pipeline.ledger.journal import Slot
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.rows import Batch, Run
from pipeline.ledger.seals import seal_of


@dataclass(frozen=True, slots=True)
class LetGo:
    """What became of a run: `kept` of its tokens are on the chain, and `gone` are planned no more."""

    kept: range
    gone: range
    collection_stays: bool


def let_go(ledger: Ledger, run: Run) -> LetGo:
    """End a run, in one commit. Nothing of it may be in flight: all its transactions are settled.

    Its collection goes too where it has no contract and no other run.
    """
    with ledger.atomic():
        assert not ledger.journal.makers(run.collection, "live"), "something of it may still be mined"
        slots = ledger.journal.makers(run.collection, "reverted", "lost")
        kept = 0
        for batch in ledger.batches.of_run(run.id):
            kept += _cut(ledger, batch, slots)
        gone = range(run.start + kept, run.start + run.count)
        if kept:
            ledger.execute(
                "UPDATE run SET count = ?, state = 'reported', abandoned = ? WHERE id = ?", (kept, time.time(), run.id)
            )
            ledger.log("run.abandoned", str(run.id), count=kept)
        else:
            _remove_run(ledger, run)
        stays = bool(kept) or _is_wanted(ledger, run.collection)
        if not stays:
            _remove_collection(ledger, run.collection)
    crash_point("run_abandoned")
    return LetGo(range(run.start, run.start + kept), gone, stays)


def _cut(ledger: Ledger, batch: Batch, slots: Sequence[Slot]) -> int:
    """Take away what of a batch is not minted; how many tokens it has then."""
    uncovered = ledger.journal.uncovered(batch.id)
    if not uncovered:
        return batch.quantity
    end = uncovered[0].start
    assert uncovered[-1].stop == batch.last + 1, f"batch {batch.id} was minted with a gap"
    ledger.journal.let_go(slot for slot in slots if slot.intent.batch == batch.id)
    for table in ("found", "art"):
        ledger.execute(
            f"DELETE FROM {table} WHERE collection = ? AND token_id >= ? AND token_id <= ?",
            (batch.collection, end, batch.last),
        )
    ledger.execute("DELETE FROM token WHERE batch = ? AND token_id >= ?", (batch.id, end))
    if end == batch.start:
        ledger.execute("DELETE FROM batch WHERE id = ?", (batch.id,))
        return 0
    ledger.execute("UPDATE batch SET quantity = ? WHERE id = ?", (end - batch.start, batch.id))
    ledger.log("batch.cut", str(batch.id), **seal_of(ledger, batch.id))
    ledger.journal.follow_batch(batch.id)
    return end - batch.start


def _remove_run(db: Database, run: Run) -> None:
    for table in ("slot", "job"):
        db.execute(f"UPDATE {table} SET run = NULL WHERE run = ?", (run.id,))
    db.execute("DELETE FROM run WHERE id = ?", (run.id,))
    db.log("run.abandoned", str(run.id))


def _is_wanted(ledger: Ledger, collection: int) -> bool:
    return bool(ledger.runs.of(collection)) or ledger.collections.get(collection).deployed_at is not None


def _remove_collection(ledger: Ledger, collection: int) -> None:
    ledger.journal.let_go(ledger.journal.makers(collection, "reverted", "lost"))
    for table in ("transfer", "scanned", "edit"):
        ledger.execute(f"DELETE FROM {table} WHERE collection = ?", (collection,))
    ledger.execute("DELETE FROM collection WHERE id = ?", (collection,))
    ledger.log("collection.abandoned", str(collection))
