"""Rows and batches as planning and pinning would leave them, for tests that begin at the mint."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from pipeline.base.cid import CID
from pipeline.base.records import BatchPlan, PinnedBatch, PinnedRoot
from pipeline.base.workspace import Server
from pipeline.ledger import Ledger
from pipeline.mint.chain import Chain

SOMEBODY = "0x1111111111111111111111111111111111111111"


def digest_of(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def root_of(text: str) -> PinnedRoot:
    return PinnedRoot(CID.dag_pb(digest_of(text)), 1, 1, digest_of("car " + text))


def open_plan(
    path: Path | Server,
    chain: Chain,
    owner: str,
    *,
    batches: int = 3,
    size: int = 5,
    recipients: Sequence[str] | None = None,
    name: str = "Tests",
) -> Ledger:
    """A ledger with one collection and its sealed batches; one that is there already is opened as it is."""
    ledger = Ledger(path)
    if ledger.row("SELECT 1 FROM collection") is None:
        with ledger.atomic():
            _insert(ledger, chain, owner, batches, size, recipients or [SOMEBODY], name)
    return ledger


def sealed_batches(ledger: Ledger) -> Iterator[PinnedBatch]:
    """Every batch that is not on the chain yet, in order, as pinning would yield it."""
    for row in ledger.rows("SELECT * FROM batch WHERE state IN ('sealed', 'live') ORDER BY start"):
        plan = BatchPlan(row["id"], row["start"], row["quantity"])
        images, metadata = (PinnedRoot(CID.parse(row[c]), 1, 1, bytes(32)) for c in ("images_root", "metadata_root"))
        yield PinnedBatch(plan, images, metadata)


def _insert(
    ledger: Ledger, chain: Chain, owner: str, batches: int, size: int, recipients: Sequence[str], name: str
) -> None:
    chain_key = ledger.insert(
        "INSERT INTO chain (chain_id, genesis_hash, kind) VALUES (?, ?, 'external') RETURNING id",
        (chain.chain_id, chain.genesis_hash),
    )
    collection = ledger.insert(
        "INSERT INTO collection (name, symbol, description, external_url, royalty_bps, royalty_receiver, max_supply,"
        " owner, seed, chain, info_root, state) VALUES (?, 'TST', '', '', 500, ?, 0, ?, 1, ?, ?, 'planned') RETURNING id",
        (name, owner, owner, chain_key, str(root_of(f"{name} info").cid)),
    )
    count = batches * size
    run = ledger.insert(
        "INSERT INTO run (collection, arguments, model, weights_sha256, renderer, encoder, size, device, threads, start,"
        " count, batch_size, pinners, rpc_url, state, started) VALUES (?, ?, 'm', 'w', 'r', 'e', 64, 'cpu', 1, 1, ?, ?,"
        " 'car', '', 'running', 0) RETURNING id",
        (collection, json.dumps({}), count, size),
    )
    for number in range(batches):
        for kind in ("images", "metadata"):
            root = root_of(f"{name} {kind} {number}")
            ledger.execute(
                "INSERT INTO root (cid, name, blocks, bytes, car_sha256) VALUES (?, ?, 1, 1, ?)",
                (str(root.cid), f"{kind}-{number}", root.car_sha256),
            )
        start = number * size + 1
        batch = ledger.insert(
            "INSERT INTO batch (collection, run, start, quantity, images_root, metadata_root, state)"
            " VALUES (?, ?, ?, ?, ?, ?, 'sealed') RETURNING id",
            (
                collection,
                run,
                start,
                size,
                str(root_of(f"{name} images {number}").cid),
                str(root_of(f"{name} metadata {number}").cid),
            ),
        )
        ledger.executemany(
            "INSERT INTO token (collection, token_id, batch, seed, recipient, state) VALUES (?, ?, ?, ?, ?, 'planned')",
            (
                (collection, token, batch, token, recipients[(token - 1) % len(recipients)])
                for token in range(start, start + size)
            ),
        )
