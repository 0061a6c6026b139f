"""What a transaction commits a chain to: before anything is signed for it, it has to be here."""

from __future__ import annotations

from collections.abc import Callable

from pipeline.base.cid import CID
from pipeline.base.records import PinnedRoot
from pipeline.ledger import Collection, Ledger
from pipeline.ledger.journal import Intent
from pipeline.pin.store import CarStore


def must_hold_content_of(ledger: Ledger, store: CarStore) -> Callable[[Intent], None]:
    """A sender's `before_signing`, which raises Corrupt unless what a transaction commits to is still here, however lately
    it was proved. A raised fee is a signature too, whichever verb comes upon it.
    """

    def check(intent: Intent) -> None:
        for root in _roots(ledger, intent):
            store.must_hold(root)

    return check


def own_roots(ledger: Ledger, collection: Collection) -> list[PinnedRoot]:
    """What a deployment commits to: the collection's own picture and document, as far as they are pinned."""
    return _known(ledger, collection.cover_root, collection.info_root)


def _roots(ledger: Ledger, intent: Intent) -> list[PinnedRoot]:
    if intent.purpose == "deploy" and intent.collection is not None:
        return own_roots(ledger, ledger.collections.get(intent.collection))
    if intent.batch is not None:
        batch = ledger.batches.get(intent.batch)
        return _known(ledger, batch.images_root, batch.metadata_root)
    return []


def _known(ledger: Ledger, *cids: CID | None) -> list[PinnedRoot]:
    return [ledger.pins.known(cid).root for cid in cids if cid is not None]
