"""A ledger written from what the chain and the content say, for one that is gone: rows as a finished run leaves them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pipeline.base.records import Address, Artwork, BatchPlan, Found, Pin, PinnedBatch, PinnedRoot
from pipeline.ledger.journal import MinedIn
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.rows import NewCollection, RunPlan


def write_collection(
    ledger: Ledger,
    new: NewCollection,
    key: int,
    chain: tuple[int, bytes, str],
    contract: Address,
    where: MinedIn,
) -> int:
    """Enter a collection whose contract is on the chain; `chain` is chain id, genesis hash and kind. Returns `key`."""
    with ledger.atomic():
        ledger.collections.plan(ledger.collections.enter_chain(*chain), new, key)
        ledger.journal.adopt_collection(key, contract, where)
        ledger.log("rebuilt", f"collection/{key}", contract=contract)
    return key


def write_run(ledger: Ledger, collection: int, plan: RunPlan) -> int:
    """Enter a run that ended and was told."""
    with ledger.atomic():
        return ledger.runs.enter(collection, plan, "reported")


def write_batch(
    ledger: Ledger,
    run: int,
    collection: int,
    label: str,
    artworks: Sequence[Artwork],
    recipients: Sequence[Address],
    roots: tuple[PinnedRoot, PinnedRoot],
    where: MinedIn,
    pinner: str,
    found: Mapping[int, Found],
) -> None:
    """Enter a minted batch with its tokens, and what was planned of images that existed; taken through the same states as when it was made."""
    images, metadata = roots
    start, quantity = artworks[0].token_id, len(artworks)
    with ledger.atomic():
        key = ledger.insert(
            "INSERT INTO batch (collection, run, start, quantity, state) VALUES (?, ?, ?, ?, 'planned') RETURNING id",
            (collection, run, start, quantity),
        )
        ledger.executemany(
            "INSERT INTO token (collection, token_id, batch, seed, recipient, state) VALUES (?, ?, ?, ?, ?, 'planned')",
            (
                (collection, artwork.token_id, key, artwork.seed, recipient)
                for artwork, recipient in zip(artworks, recipients, strict=True)
            ),
        )
        ledger.tokens.plan_found(collection, found)
        for artwork in artworks:
            ledger.tokens.record(collection, artwork)
        pins = tuple(Pin(root.cid, pinner, "proved") for root in roots)
        ledger.batches.seal(PinnedBatch(BatchPlan(key, start, quantity), images, metadata, pins), label)
        ledger.journal.adopt_batch(key, where)
