"""Collections and the chains they live on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict

from pipeline.base.cid import CID
from pipeline.base.records import Address, Pin, PinnedRoot
from pipeline.ledger.database import Database, Row
from pipeline.ledger.pins import Pins
from pipeline.ledger.rows import Collection, CoverFile, KnownChain, NewCollection, address_or_none, cid_or_none

_COLLECTIONS = """
    SELECT c.id, c.name, c.symbol, c.description, c.external_url, c.royalty_bps, c.royalty_receiver, c.max_supply,
           c.owner, c.seed, c.artist, c.statement, c.licence, c.info_root, c.cover_root, c.cover_sha256, c.cover_suffix, c.contract, c.state, c.tx_hash, c.block_number, c.block_hash,
           h.id AS chain_key, h.chain_id, h.genesis_hash, h.kind AS chain_kind
      FROM collection c JOIN chain h ON h.id = c.chain
"""


class Collections:
    """The collections of a ledger."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def all(self) -> list[Collection]:
        """In the order in which they were planned."""
        return [_collection(row) for row in self._db.rows(f"{_COLLECTIONS} ORDER BY c.id")]

    def named(self, name: str) -> Collection | None:
        row = self._db.row(f"{_COLLECTIONS} WHERE c.name = ?", (name,))
        return _collection(row) if row else None

    def get(self, key: int) -> Collection:
        """The collection with a key that is known to be there."""
        return _collection(self._db.one(f"{_COLLECTIONS} WHERE c.id = ?", (key,)))

    def on_chain(self, chain: int, contract: Address) -> Collection | None:
        """The collection of a contract on a chain, given by its ledger key."""
        row = self._db.row(f"{_COLLECTIONS} WHERE c.chain = ? AND c.contract = ?", (chain, contract))
        return _collection(row) if row else None

    def adopted(self, chain: int) -> list[Collection]:
        """Those whose contract is in a block of a chain, though no transaction of this ledger put it there."""
        rows = self._db.rows(
            f"{_COLLECTIONS} WHERE c.chain = ? AND c.state = 'mined' AND NOT EXISTS (SELECT 1 FROM slot s"
            " WHERE s.collection = c.id AND s.purpose = 'deploy' AND s.state IN ('live', 'mined', 'final'))"
            " ORDER BY c.id",
            (chain,),
        )
        return [_collection(row) for row in rows]

    def roots(self, key: int) -> list[CID]:
        """Every root of a collection: its cover and information, then each batch's images and metadata."""
        row = self._db.one("SELECT cover_root, info_root FROM collection WHERE id = ?", (key,))
        own = [row["cover_root"], row["info_root"]]
        batches = self._db.rows(
            "SELECT images_root, metadata_root FROM batch WHERE collection = ? AND state <> 'planned' ORDER BY start",
            (key,),
        )
        pairs = (root for batch in batches for root in (batch["images_root"], batch["metadata_root"]))
        return [CID.parse(root) for root in (*own, *pairs) if root]

    # ── writing ──────────────────────────────────────────────────────────────────────────────────────────────

    def genesis_hashes(self, chain_id: int) -> list[bytes]:
        """What the ledger has as genesis blocks of chains with an id, in the order in which they were entered."""
        rows = self._db.rows("SELECT genesis_hash FROM chain WHERE chain_id = ? ORDER BY id", (chain_id,))
        return [bytes(row["genesis_hash"]) for row in rows]

    def enter_chain(self, chain_id: int, genesis_hash: bytes, kind: str) -> int:
        """The ledger key of a chain, which is entered when it is new."""
        with self._db.atomic():
            row = self._db.row("SELECT id FROM chain WHERE chain_id = ? AND genesis_hash = ?", (chain_id, genesis_hash))
            if row:
                return int(row["id"])
            return self._db.insert(
                "INSERT INTO chain (chain_id, genesis_hash, kind) VALUES (?, ?, ?) RETURNING id",
                (chain_id, genesis_hash, kind),
            )

    def plan(self, chain: int, new: NewCollection, key: int | None = None) -> int:
        """Enter a collection, under a key of its own or the next; inside the same `atomic` block as its first run."""
        if key is None:
            key = int(self._db.one("SELECT coalesce(max(id), 0) + 1 AS key FROM collection")["key"])
        self._db.execute(
            "INSERT INTO collection (id, chain, state, name, symbol, description, external_url, royalty_bps,"
            " royalty_receiver, max_supply, owner, seed, artist, statement, licence)"
            " VALUES (?, ?, 'planned', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(key, chain, new.name, new.symbol, new.description, new.external_url, new.royalty_bps),
                *(new.royalty_receiver, new.max_supply, new.owner, new.seed, new.artist, new.statement, new.licence),
            ),
        )
        self._db.log("collection.planned", str(key), **asdict(new))
        return key

    def place(self, key: int, chain: int, owner: Address, royalty_receiver: Address) -> None:
        """Decide chain and owner of a collection that was drawn without; inside `atomic`. Its plan's event says it anew."""
        self._db.execute(
            "UPDATE collection SET chain = ?, owner = ?, royalty_receiver = ? WHERE id = ?",
            (chain, owner, royalty_receiver, key),
        )
        self._db.log("collection.planned", str(key), owner=owner, royalty_receiver=royalty_receiver, **self._fixed(key))

    def _fixed(self, key: int) -> dict[str, object]:
        """What a collection's event says of it beside who it belongs to."""
        one = self.get(key)
        return {
            "name": one.name,
            "symbol": one.symbol,
            "description": one.description,
            "external_url": one.external_url,
            "royalty_bps": one.royalty_bps,
            "max_supply": one.max_supply,
            "seed": one.seed,
            "artist": one.artist,
            "statement": one.statement,
            "licence": one.licence,
        }

    def set_cover(self, key: int, cover: CoverFile) -> None:
        """Remember the collection's own picture, whose file is whole."""
        with self._db.atomic():
            self._db.execute(
                "UPDATE collection SET cover_sha256 = ?, cover_suffix = ? WHERE id = ?",
                (cover.sha256, cover.suffix, key),
            )

    def set_info(self, key: int, cover: PinnedRoot, info: PinnedRoot, pins: Iterable[Pin]) -> None:
        """Enter the collection's cover and the directory behind its contractURI()."""
        kept = Pins(self._db)
        with self._db.atomic():
            name = self.get(key).name
            kept.record_root(cover, f"{name} cover")
            kept.record_root(info, f"{name} collection")
            kept.record(pins)
            self._db.execute(
                "UPDATE collection SET cover_root = ?, info_root = ? WHERE id = ?",
                (str(cover.cid), str(info.cid), key),
            )


def _collection(row: Row) -> Collection:
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
        chain=KnownChain(row["chain_key"], row["chain_id"], row["genesis_hash"], row["chain_kind"]),
        info_root=cid_or_none(row["info_root"]),
        cover_root=cid_or_none(row["cover_root"]),
        cover=CoverFile(row["cover_sha256"], row["cover_suffix"]) if row["cover_sha256"] else None,
        contract=address_or_none(row["contract"]),
        state=row["state"],
        tx_hash=row["tx_hash"],
        block_number=row["block_number"],
        block_hash=row["block_hash"],
        artist=row["artist"],
        statement=row["statement"],
        licence=row["licence"],
    )
