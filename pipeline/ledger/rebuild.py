"""A ledger written from what the chain and the content say, for one that is gone: rows as a finished run leaves them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.base.records import Address, Artwork, BatchPlan, Found, Pin, PinnedBatch, PinnedRoot
from pipeline.ledger.database import canonical_json
from pipeline.ledger.journal import MinedIn
from pipeline.ledger.ledger import Ledger


def write_collection(
    ledger: Ledger,
    settings: Mapping[str, Any],
    chain: tuple[int, bytes, str],
    contract: Address,
    where: MinedIn,
) -> int:
    """Enter a collection whose contract is on the chain; `chain` is chain id, genesis hash and kind. Returns its key."""
    with ledger.atomic():
        key = ledger.collections.plan(ledger.collections.enter_chain(*chain), settings)
        ledger.journal.adopt_collection(key, contract, where)
        ledger.log("rebuilt", f"collection/{key}", contract=contract)
    return key


def write_run(
    ledger: Ledger,
    collection: int,
    arguments: Mapping[str, Any],
    tools: Mapping[str, Any],
    quantities: Sequence[int],
    start: int,
    pinners: str,
    rpc_url: str,
) -> int:
    """Enter a run that ended and was told; `tools` is what it drew with, or where it took its images from."""
    settings = {
        **tools,
        "arguments": canonical_json(arguments),
        "start": start,
        "count": sum(quantities),
        "batch_size": max(quantities),
        "pinners": pinners,
        "rpc_url": rpc_url,
    }
    columns = sorted(settings)
    with ledger.atomic():
        run = ledger.insert(
            f"INSERT INTO run (collection, state, started, {', '.join(columns)}) "
            f"VALUES (?, 'reported', ?, {', '.join('?' for _ in columns)}) RETURNING id",
            (collection, time.time(), *(settings[column] for column in columns)),
        )
        ledger.log("run.planned", str(run), collection=collection, **settings)
    return run


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
