"""Batches: the unit of pinning and minting, and how far each has come."""

from __future__ import annotations

from typing import Literal

from pipeline.base.cid import CID
from pipeline.base.crash import crash_point
from pipeline.base.records import BatchPlan, PinnedBatch, PinnedRoot
from pipeline.ledger.database import Database, Row
from pipeline.ledger.pins import Pins
from pipeline.ledger.rows import Batch, cid_or_none
from pipeline.ledger.seals import seal_of

_BATCHES = """
    SELECT b.id, b.collection, b.run, b.start, b.quantity, b.images_root, b.metadata_root, b.state, b.tx_hash,
           b.block_number, b.block_hash
      FROM batch b
"""
State = Literal["planned", "sealed", "live", "mined", "final"]


class Batches:
    """The batches of a ledger."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def get(self, key: int) -> Batch:
        """The batch with a key that is known to be there."""
        return _batch(self._db.one(f"{_BATCHES} WHERE b.id = ?", (key,)))

    def in_state(self, collection: int, *states: State) -> list[Batch]:
        """Batches of a collection in the given states, in token order."""
        marks = ", ".join("?" for _ in states)
        rows = self._db.rows(
            f"{_BATCHES} WHERE b.collection = ? AND b.state IN ({marks}) ORDER BY b.start", (collection, *states)
        )
        return [_batch(row) for row in rows]

    def of_run(self, run: int) -> list[Batch]:
        """The batches of a run, in token order."""
        return [_batch(row) for row in self._db.rows(f"{_BATCHES} WHERE b.run = ? ORDER BY b.start", (run,))]

    def adopted(self, chain: int) -> list[Batch]:
        """Those that are in a block of a chain, given by its key, though no transaction of this ledger put them there."""
        rows = self._db.rows(
            f"{_BATCHES} WHERE b.collection IN (SELECT id FROM collection WHERE chain = ?) AND b.state = 'mined'"
            " AND NOT EXISTS (SELECT 1 FROM slot s WHERE s.batch = b.id AND s.purpose = 'mint'"
            " AND s.state IN ('live', 'mined', 'final')) ORDER BY b.id",
            (chain,),
        )
        return [_batch(row) for row in rows]

    def undrawn(self, run: int) -> list[BatchPlan]:
        """The batches of a run whose content is not sealed yet, in order."""
        rows = self._db.rows(f"{_BATCHES} WHERE b.run = ? AND b.state = 'planned' ORDER BY b.start", (run,))
        return [_batch(row).plan for row in rows]

    def unminted(self, run: int) -> list[PinnedBatch]:
        """The sealed batches of a run that are not known to be mined, in order."""
        rows = self._db.rows(f"{_BATCHES} WHERE b.run = ? AND b.state IN ('sealed', 'live') ORDER BY b.start", (run,))
        return [
            PinnedBatch(_batch(row).plan, self._root(row["images_root"]), self._root(row["metadata_root"]))
            for row in rows
        ]

    def sealed(self, collection: int) -> list[tuple[BatchPlan, CID, CID]]:
        """Each sealed batch with its images root and its metadata root, in order."""
        rows = self._db.rows(
            f"{_BATCHES} WHERE b.collection = ? AND b.state <> 'planned' ORDER BY b.start", (collection,)
        )
        return [(_batch(row).plan, CID.parse(row["images_root"]), CID.parse(row["metadata_root"])) for row in rows]

    def seal(self, batch: PinnedBatch, label: str) -> None:
        """Fix a batch's content for ever: its roots, and a digest over all its tokens' rows."""
        plan, pins = batch.plan, Pins(self._db)
        with self._db.atomic():
            tokens = f"{label} {plan.start}-{plan.start + plan.quantity - 1}"
            pins.record_root(batch.images, f"{tokens} images")
            pins.record_root(batch.metadata, f"{tokens} metadata")
            pins.record(batch.pins)
            self._db.execute(
                "UPDATE batch SET images_root = ?, metadata_root = ?, state = 'sealed' WHERE id = ?",
                (str(batch.images.cid), str(batch.metadata.cid), plan.id),
            )
            self._db.log("batch.sealed", str(plan.id), **seal_of(self._db, plan.id))
        crash_point("batch_sealed")

    def _root(self, cid: str) -> PinnedRoot:
        row = self._db.one("SELECT blocks, bytes, car_sha256 FROM root WHERE cid = ?", (cid,))
        return PinnedRoot(CID.parse(cid), row["blocks"], row["bytes"], row["car_sha256"])


def _batch(row: Row) -> Batch:
    return Batch(
        id=row["id"],
        collection=row["collection"],
        run=row["run"],
        start=row["start"],
        quantity=row["quantity"],
        images_root=cid_or_none(row["images_root"]),
        metadata_root=cid_or_none(row["metadata_root"]),
        state=row["state"],
        tx_hash=row["tx_hash"],
        block_number=row["block_number"],
        block_hash=row["block_hash"],
    )
