"""Who owns what, now and at any earlier block: the collection's Transfer events as they were read from the chain.

The tables hold events of whole blocks only, up to the highest `scanned` block; the hashes there tell a reorg. Every
question is a plain query, so a ledger opened readonly answers them all.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.base.records import Address
from pipeline.ledger.database import Database, Row

REMEMBERED = 128  # scanned blocks: a reorg below all of them means reading everything again
NEWEST = 1 << 62  # above any block number

_OWNERS = """
    SELECT token_id, recipient FROM (
        SELECT token_id, recipient,
               ROW_NUMBER() OVER (PARTITION BY token_id ORDER BY block_number DESC, log_index DESC) AS age
          FROM transfer WHERE collection = ? AND block_number <= ?) AS ranked
     WHERE age = 1 ORDER BY token_id
"""


@dataclass(frozen=True, slots=True)
class Transfer:
    """A token changing hands; minting is a transfer from the zero address."""

    block_number: int
    log_index: int
    block_hash: bytes
    tx_hash: bytes
    token_id: int
    sender: Address
    recipient: Address


class Owners:
    """The transfers of collections in one ledger."""

    def __init__(self, db: Database) -> None:
        self._db = db

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────

    def owner_of(self, collection: int, token_id: int) -> Address | None:
        """The owner of a token; None when no transfer of it was read."""
        row = self._db.row(
            "SELECT recipient FROM transfer WHERE collection = ? AND token_id = ?"
            " ORDER BY block_number DESC, log_index DESC LIMIT 1",
            (collection, token_id),
        )
        return Address(row["recipient"]) if row else None

    def owners_at(self, collection: int, block_number: int = NEWEST) -> dict[int, Address]:
        """The owner of every token after a block, by token id."""
        rows = self._db.rows(_OWNERS, (collection, block_number))
        return {row["token_id"]: Address(row["recipient"]) for row in rows}

    def tokens_by_owner(self, collection: int, block_number: int = NEWEST) -> dict[Address, list[int]]:
        """The token ids of each owner, who has most first."""
        tokens: dict[Address, list[int]] = {}
        for token_id, owner in self.owners_at(collection, block_number).items():
            tokens.setdefault(owner, []).append(token_id)
        return dict(sorted(tokens.items(), key=lambda item: (-len(item[1]), item[0])))

    def history(self, collection: int, token_id: int) -> list[Transfer]:
        """Every transfer of a token, oldest first."""
        rows = self._db.rows(
            "SELECT block_number, log_index, block_hash, tx_hash, token_id, sender, recipient FROM transfer WHERE collection = ? AND token_id = ? ORDER BY block_number, log_index",
            (collection, token_id),
        )
        return [_transfer(row) for row in rows]

    def mints(self, collection: int) -> dict[int, Transfer]:
        """The first transfer of each token, by token id: where it was minted, and to whom."""
        rows = self._db.rows(
            "SELECT block_number, log_index, block_hash, tx_hash, token_id, sender, recipient FROM transfer WHERE collection = ? ORDER BY block_number DESC, log_index DESC",
            (collection,),
        )
        return {row["token_id"]: _transfer(row) for row in rows}

    def scanned(self, collection: int) -> list[tuple[int, bytes]]:
        """Blocks up to which everything was read, with the hash they had then; newest first."""
        rows = self._db.rows(
            "SELECT block_number, block_hash FROM scanned WHERE collection = ? ORDER BY block_number DESC",
            (collection,),
        )
        return [(row["block_number"], row["block_hash"]) for row in rows]

    # ── writing ──────────────────────────────────────────────────────────────────────────────────────────────

    def record(self, collection: int, transfers: Iterable[Transfer], block_number: int, block_hash: bytes) -> None:
        """Enter all transfers up to a block, and that it was read; doing it again changes nothing."""
        with self._db.atomic():
            self._db.executemany(
                "INSERT INTO transfer (collection, block_number, log_index, block_hash, tx_hash, token_id, sender,"
                " recipient) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                (
                    (
                        collection,
                        transfer.block_number,
                        transfer.log_index,
                        transfer.block_hash,
                        transfer.tx_hash,
                        transfer.token_id,
                        transfer.sender,
                        transfer.recipient,
                    )
                    for transfer in transfers
                ),
            )
            self._db.execute(
                "INSERT INTO scanned (collection, block_number, block_hash) VALUES (?, ?, ?)"
                " ON CONFLICT (collection, block_number) DO UPDATE SET block_hash = excluded.block_hash",
                (collection, block_number, block_hash),
            )
            self._db.execute(
                "DELETE FROM scanned WHERE collection = ? AND block_number NOT IN"
                " (SELECT block_number FROM scanned WHERE collection = ? ORDER BY block_number DESC LIMIT ?)",
                (collection, collection, REMEMBERED),
            )

    def roll_back(self, collection: int, above: int) -> None:
        """Forget everything read above a block: those blocks left the chain."""
        with self._db.atomic():
            for table in ("transfer", "scanned"):
                self._db.execute(f"DELETE FROM {table} WHERE collection = ? AND block_number > ?", (collection, above))
            self._db.log("owners.rolled_back", f"collection/{collection}", above=above)


def _transfer(row: Row) -> Transfer:
    return Transfer(
        row["block_number"],
        row["log_index"],
        row["block_hash"],
        row["tx_hash"],
        row["token_id"],
        Address(row["sender"]),
        Address(row["recipient"]),
    )
