"""Collections, runs, batches, tokens and pins: what is wanted, and how far each of it has come."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from pipeline.art.draw.seeds import token_seed
from pipeline.base.cid import CID
from pipeline.base.crash import crash_point
from pipeline.base.errors import Corrupt
from pipeline.base.records import (
    Address,
    Artwork,
    Attribute,
    BatchPlan,
    Determinism,
    Found,
    Pin,
    PinnedBatch,
    PinnedRoot,
    TokenSpec,
)
from pipeline.ledger.ledger import Ledger, canonical_json
from pipeline.ledger.pins import record_pins, record_root


@dataclass(frozen=True, slots=True)
class Collection:
    """A collection's settings, fixed when it is planned, and its place on the chain."""

    id: int
    name: str
    symbol: str
    description: str
    external_url: str
    royalty_bps: int
    royalty_receiver: Address
    max_supply: int
    owner: Address
    seed: int
    chain_id: int
    genesis_hash: bytes
    chain_kind: str
    info_root: CID | None
    contract: Address | None
    state: str
    tx_hash: bytes | None


@dataclass(frozen=True, slots=True)
class Run:
    """One call of `mint`: what it was asked for and with what it draws."""

    id: int
    collection: int
    arguments: dict[str, Any]
    model: str
    weights_sha256: str
    renderer: str
    encoder: str
    size: int
    device: str
    dtype: str
    threads: int
    duplicate_bits: int | None  # the gate compares hashes up to this distance; None: not at all
    start: int
    count: int
    batch_size: int
    pinners: tuple[str, ...]
    rpc_url: str
    state: str


@dataclass(frozen=True, slots=True)
class Token:
    """A token as the ledger knows it; `state` is planned, generated, sealed, live, mined or final."""

    token_id: int
    seed: int | None  # None: its image existed before
    recipient: Address
    state: str
    suffix: str  # of its image's name
    name: str  # its own; empty: the collection's, with the token id
    attempt: int
    image_sha256: bytes | None
    phash: int | None
    determinism: Determinism | None
    attributes: tuple[Attribute, ...]
    images_root: CID | None
    metadata_root: CID | None
    tx_hash: bytes | None
    block_number: int | None

    @property
    def token_uri(self) -> str | None:
        return f"ipfs://{self.metadata_root}/{self.token_id}.json" if self.metadata_root else None

    @property
    def image(self) -> str | None:
        return f"ipfs://{self.images_root}/{self.token_id}{self.suffix}" if self.images_root else None


_COLLECTIONS = (
    "SELECT c.*, h.chain_id, h.genesis_hash, h.kind AS chain_kind FROM collection c JOIN chain h ON h.id = c.chain"
)
_TOKENS = """
    SELECT t.token_id, t.seed, t.recipient, t.attempt, t.image_sha256, t.phash, t.determinism, t.attributes,
           CASE WHEN b.state = 'planned' THEN t.state ELSE b.state END AS state,
           b.images_root, b.metadata_root, b.tx_hash, b.block_number, f.suffix, f.name,
           (SELECT s.id FROM slot s WHERE s.batch = b.id AND s.state IN ('live', 'mined', 'final')
             AND t.token_id >= s.start AND t.token_id < s.start + s.quantity) AS slot
      FROM token t JOIN batch b ON b.id = t.batch
      LEFT JOIN found f ON f.collection = t.collection AND f.token_id = t.token_id
"""
_TOKEN_ORDER = " ORDER BY t.token_id"

# A sealed batch's digests, and the columns of its tokens that each covers: a new column gets a new digest, so that
# batches that were sealed before it still check.
_SEALED = {
    "tokens_sha256": (
        *("collection", "token_id", "batch", "seed", "recipient", "state"),
        *("image_sha256", "pixel_sha256", "image_bytes", "attributes"),
    ),
    "drawn_sha256": ("token_id", "attempt", "phash", "determinism"),
}


class Plans:
    """Reads and writes plans in a ledger; every method that writes is one commit."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    # ── finding ──────────────────────────────────────────────────────────────────────────────────────────────

    def collections(self) -> list[Collection]:
        return [_collection(row) for row in self._ledger.rows(f"{_COLLECTIONS} ORDER BY c.id")]

    def collection(self, name: str) -> Collection | None:
        row = self._ledger.row(f"{_COLLECTIONS} WHERE c.name = ?", (name,))
        return _collection(row) if row else None

    def collection_by_id(self, key: int) -> Collection:
        row = self._ledger.row(f"{_COLLECTIONS} WHERE c.id = ?", (key,))
        assert row is not None
        return _collection(row)

    def unfinished_run(self) -> Run | None:
        row = self._ledger.row("SELECT * FROM run WHERE state = 'running'")
        return _run(row) if row else None

    def runs(self, collection_id: int) -> list[Run]:
        """The runs of a collection, newest first."""
        rows = self._ledger.rows("SELECT * FROM run WHERE collection = ? ORDER BY id DESC", (collection_id,))
        return [_run(row) for row in rows]

    def next_token(self, collection: Collection | None) -> int:
        """The first token id that a new run of the collection has."""
        runs = self.runs(collection.id) if collection else []
        return runs[0].start + runs[0].count if runs else 1

    # ── planning ─────────────────────────────────────────────────────────────────────────────────────────────

    def chain(self, chain_id: int, genesis_hash: bytes, kind: str) -> int:
        """The ledger key of a chain, which is entered when it is new."""
        with self._ledger.atomic():
            row = self._ledger.row(
                "SELECT id FROM chain WHERE chain_id = ? AND genesis_hash = ?", (chain_id, genesis_hash)
            )
            if row:
                return int(row["id"])
            return self._ledger.execute(
                "INSERT INTO chain (chain_id, genesis_hash, kind) VALUES (?, ?, ?)", (chain_id, genesis_hash, kind)
            )

    def plan_collection(self, chain: int, settings: Mapping[str, Any]) -> int:
        """Enter a collection; to be called inside the same `atomic` block as its first run."""
        columns = sorted(settings)
        key = self._ledger.execute(
            f"INSERT INTO collection (chain, state, {', '.join(columns)}) "
            f"VALUES (?, 'planned', {', '.join('?' for _ in columns)})",
            (chain, *(settings[column] for column in columns)),
        )
        self._ledger.log("collection.planned", str(key), **settings)
        return key

    def plan_run(
        self,
        collection_id: int,
        arguments: Mapping[str, Any],
        tools: Mapping[str, Any],
        tokens: Iterator[TokenSpec],
        start: int,
        count: int,
        batch_size: int,
    ) -> int:
        """Enter a run with all its batches and tokens; inside `atomic`."""
        settings = dict(arguments=canonical_json(arguments), start=start, count=count, batch_size=batch_size, **tools)
        columns = sorted(settings)
        run = self._ledger.execute(
            f"INSERT INTO run (collection, state, started, {', '.join(columns)}) "
            f"VALUES (?, 'running', ?, {', '.join('?' for _ in columns)})",
            (collection_id, time.time(), *(settings[column] for column in columns)),
        )
        for first in range(start, start + count, batch_size):
            quantity = min(batch_size, start + count - first)
            batch = self._ledger.execute(
                "INSERT INTO batch (collection, run, start, quantity, state) VALUES (?, ?, ?, ?, 'planned')",
                (collection_id, run, first, quantity),
            )
            self._ledger.executemany(
                "INSERT INTO token (collection, token_id, batch, seed, recipient, state) "
                "VALUES (?, ?, ?, ?, ?, 'planned')",
                ((collection_id, spec.token_id, batch, spec.seed, spec.recipient) for spec in islice(tokens, quantity)),
            )
        self._ledger.log("run.planned", str(run), collection=collection_id, **settings)
        return run

    def plan_found(self, collection_id: int, found: Mapping[int, Found]) -> None:
        """Enter the images that tokens of a new run have, by token id; inside the same `atomic` block as the run."""
        self._ledger.executemany(
            "INSERT INTO found (collection, token_id, source, sha256, suffix, pixel_sha256, phash, name, description, "
            "attributes, external_url, background_color, youtube_url, animation, animation_sha256, animation_url) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                (
                    *(collection_id, token_id, str(one.source), one.sha256, one.suffix, one.pixel_sha256, one.phash),
                    *(one.name, one.description, canonical_json([asdict(attribute) for attribute in one.attributes])),
                    *(one.external_url, one.background_color, one.youtube_url),
                    *(str(one.animation) if one.animation else None, one.animation_sha256, one.animation_url),
                )
                for token_id, one in found.items()
            ),
        )

    def found(self, plan: BatchPlan, collection_id: int) -> dict[int, Found]:
        """What was planned of a batch's images that existed before, by token id; empty where tokens are drawn."""
        rows = self._ledger.rows(
            "SELECT * FROM found WHERE collection = ? AND token_id >= ? AND token_id < ?",
            (collection_id, plan.start, plan.start + plan.quantity),
        )
        return {row["token_id"]: _found(row) for row in rows}

    def digests(self, collection_id: int) -> dict[bytes, int]:
        """Token ids by the digest of their image, for a collection's drawn or planned images."""
        rows = self._ledger.rows(
            "SELECT token_id, image_sha256 AS digest FROM token WHERE collection = ? AND image_sha256 IS NOT NULL "
            "UNION SELECT token_id, sha256 FROM found WHERE collection = ?",
            (collection_id, collection_id),
        )
        return {row["digest"]: row["token_id"] for row in rows}

    def set_gate(self, run_id: int, duplicate_bits: int | None) -> None:
        """Decide how near two tokens' hashes may not be, from now on: the one thing about a planned run that may change."""
        with self._ledger.atomic():
            self._ledger.execute("UPDATE run SET duplicate_bits = ? WHERE id = ?", (duplicate_bits, run_id))
            self._ledger.log("run.gate", str(run_id), duplicate_bits=duplicate_bits)

    # ── progress ─────────────────────────────────────────────────────────────────────────────────────────────

    def undrawn_batches(self, run_id: int) -> list[BatchPlan]:
        """The batches whose content is not sealed yet, in order."""
        rows = self._ledger.rows(
            "SELECT id, start, quantity FROM batch WHERE run = ? AND state = 'planned' ORDER BY start", (run_id,)
        )
        return [BatchPlan(row["id"], row["start"], row["quantity"]) for row in rows]

    def specs(self, plan: BatchPlan) -> list[TokenSpec]:
        rows = self._ledger.rows(
            "SELECT token_id, seed, recipient, attempt FROM token WHERE batch = ? ORDER BY token_id", (plan.id,)
        )
        return [TokenSpec(row["token_id"], row["seed"], Address(row["recipient"]), row["attempt"]) for row in rows]

    def drawn(self, plan: BatchPlan, image: Any) -> dict[int, Artwork]:
        """The batch's artworks that an earlier process recorded, by token id; `image(token_id)` names their files."""
        rows = self._ledger.rows("SELECT * FROM token WHERE batch = ? AND state = 'generated'", (plan.id,))
        return {
            row["token_id"]: Artwork(
                token_id=row["token_id"],
                seed=row["seed"],
                path=Path(image(row["token_id"])),
                image_sha256=row["image_sha256"],
                pixel_sha256=row["pixel_sha256"],
                image_bytes=row["image_bytes"],
                attributes=_attributes(row["attributes"]),
                attempt=row["attempt"],
                phash=row["phash"],
                determinism=row["determinism"],
            )
            for row in rows
        }

    def hashes(self, collection_id: int) -> dict[int, int]:
        """The perceptual hashes of the collection's drawn tokens, by token id."""
        rows = self._ledger.rows(
            "SELECT token_id, phash FROM token WHERE collection = ? AND state = 'generated' AND phash IS NOT NULL",
            (collection_id,),
        )
        return {row["token_id"]: row["phash"] for row in rows}

    def record_artwork(self, collection_id: int, artwork: Artwork) -> None:
        """Enter what was drawn for a token, with the attempt and the seed that the gate let through."""
        with self._ledger.atomic():
            self._ledger.execute(
                "UPDATE token SET state = 'generated', seed = ?, attempt = ?, phash = ?, determinism = ?, "
                "image_sha256 = ?, pixel_sha256 = ?, image_bytes = ?, attributes = ? "
                "WHERE collection = ? AND token_id = ?",
                (
                    artwork.seed,
                    artwork.attempt,
                    artwork.phash,
                    artwork.determinism,
                    artwork.image_sha256,
                    artwork.pixel_sha256,
                    artwork.image_bytes,
                    canonical_json([asdict(attribute) for attribute in artwork.attributes]),
                    collection_id,
                    artwork.token_id,
                ),
            )
        crash_point("artwork_recorded")

    def reject(self, collection_id: int, token_ids: Sequence[int]) -> None:
        """Have drawn tokens of unsealed batches drawn again: each is planned anew, with its next attempt."""
        seed = self.collection_by_id(collection_id).seed
        with self._ledger.atomic():
            for token_id in token_ids:
                (token,) = self.tokens(collection_id, token_id, 1)
                assert token.state == "generated", f"token {token_id} is {token.state}"
                attempt = token.attempt + 1
                self._ledger.execute(
                    "UPDATE token SET state = 'planned', attempt = ?, seed = ?, phash = NULL, determinism = NULL, "
                    "image_sha256 = NULL, pixel_sha256 = NULL, image_bytes = NULL, attributes = NULL "
                    "WHERE collection = ? AND token_id = ?",
                    (attempt, token_seed(seed, token_id, attempt), collection_id, token_id),
                )
                self._ledger.log("token.rejected", f"{collection_id}/{token_id}", attempt=token.attempt)
        crash_point("rejected")

    def set_info(self, collection_id: int, cover: PinnedRoot, info: PinnedRoot, pins: Iterable[Pin]) -> None:
        """Enter the collection's cover and the directory behind its contractURI()."""
        with self._ledger.atomic():
            name = self.collection_by_id(collection_id).name
            record_root(self._ledger, cover, f"{name} cover")
            record_root(self._ledger, info, f"{name} collection")
            record_pins(self._ledger, pins)
            self._ledger.execute(
                "UPDATE collection SET cover_root = ?, info_root = ? WHERE id = ?",
                (str(cover.cid), str(info.cid), collection_id),
            )

    def seal(self, batch: PinnedBatch, label: str) -> None:
        """Fix a batch's content for ever: its roots, and a digest over all its tokens' rows."""
        plan = batch.plan
        with self._ledger.atomic():
            tokens = f"{label} {plan.start}-{plan.start + plan.quantity - 1}"
            record_root(self._ledger, batch.images, f"{tokens} images")
            record_root(self._ledger, batch.metadata, f"{tokens} metadata")
            record_pins(self._ledger, batch.pins)
            self._ledger.execute(
                "UPDATE batch SET images_root = ?, metadata_root = ?, state = 'sealed' WHERE id = ?",
                (str(batch.images.cid), str(batch.metadata.cid), plan.id),
            )
            self._ledger.log("batch.sealed", str(plan.id), **self._seal_of(plan.id))
        crash_point("batch_sealed")

    def unminted_batches(self, run_id: int) -> list[PinnedBatch]:
        """The sealed batches that are not known to be mined, in order."""
        rows = self._ledger.rows(
            "SELECT * FROM batch WHERE run = ? AND state IN ('sealed', 'live') ORDER BY start", (run_id,)
        )
        return [
            PinnedBatch(
                BatchPlan(row["id"], row["start"], row["quantity"]),
                self._root(row["images_root"]),
                self._root(row["metadata_root"]),
            )
            for row in rows
        ]

    def finish(self, run_id: int) -> None:
        """Mark a run as done, once every batch of it is mined."""
        with self._ledger.atomic():
            open_batches = self._ledger.row(
                "SELECT count(*) AS n FROM batch WHERE run = ? AND state NOT IN ('mined', 'final')", (run_id,)
            )
            assert open_batches is not None and open_batches["n"] == 0
            self._ledger.execute("UPDATE run SET state = 'done' WHERE id = ? AND state = 'running'", (run_id,))
            self._ledger.log("run.done", str(run_id))
        crash_point("run_done")

    def mark_reported(self, run_id: int) -> None:
        """Remember that the caller has seen the result, so that `--more` may begin anew."""
        with self._ledger.atomic():
            self._ledger.execute("UPDATE run SET state = 'reported' WHERE id = ? AND state = 'done'", (run_id,))

    # ── results ──────────────────────────────────────────────────────────────────────────────────────────────

    def tokens(self, collection_id: int, start: int = 1, count: int = 1 << 48) -> Iterator[Token]:
        """The collection's tokens in order, read in pages so that memory does not grow with their number."""
        end, page = start + count, 1000
        while start < end:
            rows = self._ledger.rows(
                f"{_TOKENS} WHERE t.collection = ? AND t.token_id >= ? AND t.token_id < ? {_TOKEN_ORDER} LIMIT ?",
                (collection_id, start, end, page),
            )
            yield from (self._token(row) for row in rows)
            if len(rows) < page:
                return
            start = rows[-1]["token_id"] + 1

    def counts(self, collection_id: int) -> dict[str, int]:
        """How many tokens of the collection are in each state."""
        rows = self._ledger.rows(
            "SELECT CASE WHEN b.state = 'planned' THEN t.state ELSE b.state END AS state, count(*) AS n "
            "FROM token t JOIN batch b ON b.id = t.batch WHERE t.collection = ? GROUP BY 1",
            (collection_id,),
        )
        return {row["state"]: row["n"] for row in rows}

    def roots(self, collection_id: int) -> list[tuple[BatchPlan, CID, CID]]:
        """Each sealed batch with its images root and its metadata root, in order."""
        rows = self._ledger.rows(
            "SELECT * FROM batch WHERE collection = ? AND state <> 'planned' ORDER BY start", (collection_id,)
        )
        return [
            (
                BatchPlan(row["id"], row["start"], row["quantity"]),
                CID.parse(row["images_root"]),
                CID.parse(row["metadata_root"]),
            )
            for row in rows
        ]

    def collection_roots(self, collection_id: int) -> list[CID]:
        """Every root of a collection: its cover and information, then each batch's images and metadata."""
        row = self._ledger.row("SELECT cover_root, info_root FROM collection WHERE id = ?", (collection_id,))
        assert row is not None
        own = [CID.parse(root) for root in row if root]
        return own + [root for _, images, metadata in self.roots(collection_id) for root in (images, metadata)]

    def transactions(self, collection_id: int) -> list[bytes]:
        """Hashes of the transactions that made a collection, the deployment first."""
        rows = self._ledger.rows(
            "SELECT a.hash FROM attempt a JOIN slot s ON s.id = a.slot "
            "WHERE s.collection = ? AND a.state = 'mined' AND s.state IN ('mined', 'final') "
            "AND s.purpose <> 'transfer' ORDER BY s.nonce",
            (collection_id,),
        )
        return [row["hash"] for row in rows]

    # ── self-check ───────────────────────────────────────────────────────────────────────────────────────────

    def check(self) -> None:
        """Raise Corrupt unless plans and sealed batches still say what the event chain says of them."""
        for table, kind in (("collection", "collection.planned"), ("run", "run.planned")):
            for row, event in self._with_events(table, kind):
                for column, value in event.items():
                    if row[column] != value:
                        self._damaged(f"{table} {row['id']}", column)
        for row, event in self._with_events("batch", "batch.sealed"):
            if row["state"] != "planned" and self._seal_of(row["id"], event) != event:
                self._damaged(f"batch {row['id']}", "its tokens or roots")

    def _with_events(self, table: str, kind: str) -> Iterator[tuple[Any, dict[str, Any]]]:
        events = {
            row["ref"]: json.loads(row["data"])
            for row in self._ledger.rows("SELECT ref, data FROM event WHERE kind = ?", (kind,))
        }
        for row in self._ledger.rows(f"SELECT * FROM {table} ORDER BY id"):
            event = events.get(str(row["id"]))
            if event is not None:
                yield row, event
            elif table != "batch" or row["state"] != "planned":
                self._damaged(f"{table} {row['id']}", "it has no event")

    def _damaged(self, what: str, reason: str) -> None:
        raise Corrupt(what=f"{self._ledger.path}: {what}", reason=f"{reason} does not match the event chain")

    def _seal_of(self, batch_id: int, event: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """What a sealed batch's event holds: its range, its roots, and digests over its tokens' rows.

        An `event` of an earlier schema has fewer digests: only those are computed then.
        """
        batch = self._ledger.row("SELECT * FROM batch WHERE id = ?", (batch_id,))
        assert batch is not None
        wanted = [name for name in _SEALED if event is None or name in event]
        digests = {name: hashlib.sha256() for name in wanted}
        for row in self._ledger.rows("SELECT * FROM token WHERE batch = ? ORDER BY token_id", (batch_id,)):
            for name, digest in digests.items():
                values = [row[column] for column in _SEALED[name]]
                digest.update(canonical_json([v.hex() if isinstance(v, bytes) else v for v in values]).encode())
        return {
            "start": batch["start"],
            "quantity": batch["quantity"],
            "images_root": batch["images_root"],
            "metadata_root": batch["metadata_root"],
            **{name: digest.hexdigest() for name, digest in digests.items()},
        }

    # ── rows to values ───────────────────────────────────────────────────────────────────────────────────────

    def _root(self, cid: str) -> PinnedRoot:
        row = self._ledger.row("SELECT * FROM root WHERE cid = ?", (cid,))
        assert row is not None
        return PinnedRoot(CID.parse(cid), row["blocks"], row["bytes"], row["car_sha256"])

    def _token(self, row: Any) -> Token:
        tx_hash = row["tx_hash"]
        if row["slot"] is not None:  # a split batch has several transactions: take the one that minted this token
            mined = self._ledger.row("SELECT hash FROM attempt WHERE slot = ? AND state = 'mined'", (row["slot"],))
            tx_hash = mined["hash"] if mined else tx_hash
        return Token(
            token_id=row["token_id"],
            seed=None if row["suffix"] else row["seed"],
            recipient=Address(row["recipient"]),
            state=row["state"],
            suffix=row["suffix"] or ".png",
            name=row["name"] or "",
            attempt=row["attempt"],
            image_sha256=row["image_sha256"],
            phash=row["phash"],
            determinism=row["determinism"],
            attributes=_attributes(row["attributes"]),
            images_root=CID.parse(row["images_root"]) if row["images_root"] else None,
            metadata_root=CID.parse(row["metadata_root"]) if row["metadata_root"] else None,
            tx_hash=tx_hash,
            block_number=row["block_number"],
        )


def _collection(row: Any) -> Collection:
    return Collection(
        id=row["id"],
        name=row["name"],
        symbol=row["symbol"],
        description=row["description"],
        external_url=row["external_url"],
        royalty_bps=row["royalty_bps"],
        royalty_receiver=Address(row["royalty_receiver"]),
        max_supply=row["max_supply"],
        owner=Address(row["owner"]),
        seed=row["seed"],
        chain_id=row["chain_id"],
        genesis_hash=row["genesis_hash"],
        chain_kind=row["chain_kind"],
        info_root=CID.parse(row["info_root"]) if row["info_root"] else None,
        contract=Address(row["contract"]) if row["contract"] else None,
        state=row["state"],
        tx_hash=row["tx_hash"],
    )


def _run(row: Any) -> Run:
    values = {key: row[key] for key in row.keys() if key != "started"}
    values["arguments"] = json.loads(values["arguments"])
    values["pinners"] = tuple(values["pinners"].split(","))
    return Run(**values)


def _found(row: Any) -> Found:
    return Found(
        source=Path(row["source"]),
        sha256=row["sha256"],
        suffix=row["suffix"],
        pixel_sha256=row["pixel_sha256"],
        phash=row["phash"],
        name=row["name"],
        description=row["description"],
        attributes=_attributes(row["attributes"]),
        external_url=row["external_url"],
        background_color=row["background_color"],
        youtube_url=row["youtube_url"],
        animation=Path(row["animation"]) if row["animation"] else None,
        animation_sha256=row["animation_sha256"],
        animation_url=row["animation_url"],
    )


def _attributes(text: str | None) -> tuple[Attribute, ...]:
    return tuple(Attribute(**entry) for entry in json.loads(text or "[]"))
