"""What a gallery asks a ledger: whole collections for an index, single tokens, and how far a run is.

Everything here reads, in one query each, so a ledger opened readonly beside a running mint answers it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from pipeline.base.records import Address, TokenState
from pipeline.ledger.database import Database
from pipeline.ledger.rows import Run, address_or_none
from pipeline.ledger.runs import RUNS, run_of
from pipeline.ledger.tokens import BESIDE

STATES = get_args(TokenState)
_MINTED = "state IN ('mined', 'final')"  # of a batch, and of a transaction


@dataclass(frozen=True, slots=True)
class Entry:
    """A token as an index needs it; `attributes` is the canonical JSON, None until it is drawn."""

    token_id: int
    recipient: Address
    attributes: str | None
    image_sha256: bytes | None
    minted: bool
    name: str = ""  # its own; empty: the collection's, with the token id


@dataclass(frozen=True, slots=True)
class BatchRow:
    start: int
    quantity: int
    state: str
    images_root: str | None
    metadata_root: str | None
    tx_hash: bytes | None
    block_number: int | None


@dataclass(frozen=True, slots=True)
class TransactionRow:
    """One nonce's use: the mined attempt, or the newest one. `start` and `quantity` are None for a deployment."""

    id: int
    purpose: str
    hash: bytes
    sender: Address
    nonce: int
    state: str
    start: int | None
    quantity: int | None
    recipient: Address | None
    block_number: int | None
    gas_used: int | None
    spent_wei: int | None


@dataclass(frozen=True, slots=True)
class Paid:
    """What mining a token's batch cost, and when its transaction was signed; a rebuilt ledger knows neither."""

    start: int
    quantity: int
    fee_wei: int
    signed: float  # seconds since 1970


class Catalogue:
    """Questions about one collection, given by its ledger key."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def entries(self, collection: int, *, minted_only: bool = False) -> list[Entry]:
        """Every token of the collection by token id; planned ones as well, unless only minted ones are wanted."""
        rows = self._db.rows(
            f"SELECT t.token_id, t.recipient, t.attributes, t.image_sha256, b.{_MINTED} AS minted,"
            f"      COALESCE(f.name, a.name, '') AS name FROM token t JOIN batch b ON b.id = t.batch {BESIDE}"
            f" WHERE t.collection = ?{f' AND b.{_MINTED}' if minted_only else ''} ORDER BY t.token_id",
            (collection,),
        )
        return [
            Entry(
                row["token_id"],
                Address(row["recipient"]),
                row["attributes"],
                row["image_sha256"],
                bool(row["minted"]),
                row["name"],
            )
            for row in rows
        ]

    def has_minted(self, collection: int, token_id: int | None = None) -> bool:
        """Whether a token of this collection is on the chain: this one, or any."""
        row = self._db.row(
            f"SELECT 1 FROM batch WHERE collection = ? AND {_MINTED}"
            " AND (? IS NULL OR ? BETWEEN start AND start + quantity - 1)",
            (collection, token_id, token_id),
        )
        return row is not None

    def image(self, collection: int, token_id: int) -> tuple[bytes, str] | None:
        """The digest of a token's image and its file's suffix; None for a token that is unknown or not drawn."""
        row = self._db.row(
            f"SELECT t.image_sha256, COALESCE(f.suffix, a.suffix, '.png') AS suffix FROM token t {BESIDE}"
            " WHERE t.collection = ? AND t.token_id = ?",
            (collection, token_id),
        )
        return (row["image_sha256"], row["suffix"]) if row and row["image_sha256"] else None

    def run_of(self, collection: int, token_id: int) -> Run | None:
        """The run that planned a token: with which model, renderer, encoder and size it is drawn."""
        row = self._db.row(
            f"{RUNS} JOIN batch b ON b.run = r.id JOIN token t ON t.batch = b.id"
            " WHERE t.collection = ? AND t.token_id = ?",
            (collection, token_id),
        )
        return run_of(row) if row else None

    def cover_root(self, collection: int) -> str | None:
        row = self._db.row("SELECT cover_root FROM collection WHERE id = ?", (collection,))
        return row["cover_root"] if row else None

    def paid(self, collection: int, token_id: int | None = None) -> list[Paid]:
        """The mined transactions that minted, in order: all of a collection's, or the one of a token."""
        rows = self._db.rows(
            "SELECT s.start, s.quantity, s.spent_wei, a.signed FROM slot s"
            " JOIN attempt a ON a.slot = s.id AND a.state = 'mined'"
            f" WHERE s.collection = ? AND s.purpose = 'mint' AND s.{_MINTED}"
            " AND (? IS NULL OR ? BETWEEN s.start AND s.start + s.quantity - 1) ORDER BY s.start",
            (collection, token_id, token_id),
        )
        return [Paid(row["start"], row["quantity"], int(row["spent_wei"] or 0), row["signed"]) for row in rows]

    def signed(self, collection: int, token_id: int) -> dict[bytes, float]:
        """When the transactions of ours that moved a token were signed, in seconds since 1970, by their hash."""
        rows = self._db.rows(
            "SELECT a.hash, a.signed FROM transfer t JOIN attempt a ON a.hash = t.tx_hash"
            " WHERE t.collection = ? AND t.token_id = ?",
            (collection, token_id),
        )
        return {row["hash"]: row["signed"] for row in rows}

    def indexed_block(self, collection: int) -> int | None:
        """The block up to which Transfer events were read; None when none were."""
        row = self._db.row("SELECT max(block_number) AS block FROM scanned WHERE collection = ?", (collection,))
        return row["block"] if row else None

    def counts(self, collection: int) -> dict[str, int]:
        """How many tokens are in each of STATES. It looks at tokens only of batches that are still being drawn."""
        found = dict.fromkeys(STATES, 0)
        for row in self._db.rows(
            "SELECT state, sum(quantity) AS n FROM batch WHERE collection = ? AND state <> 'planned' GROUP BY state"
            " UNION ALL SELECT t.state, count(*) FROM batch b JOIN token t ON t.batch = b.id"
            " WHERE b.collection = ? AND b.state = 'planned' GROUP BY t.state",
            (collection, collection),
        ):
            found[row["state"]] += int(row["n"])
        return found

    def owner_counts(self, collection: int) -> int:
        """How many addresses own a token, by the Transfer events that were read."""
        row = self._db.row(
            "SELECT count(DISTINCT recipient) AS n FROM (SELECT recipient, ROW_NUMBER() OVER (PARTITION BY token_id"
            " ORDER BY block_number DESC, log_index DESC) AS age FROM transfer WHERE collection = ?) AS ranked"
            " WHERE age = 1",
            (collection,),
        )
        return int(row["n"]) if row else 0

    def is_running(self, collection: int) -> bool:
        """Whether a run of this collection is unfinished; it may be interrupted."""
        row = self._db.row("SELECT 1 FROM run WHERE collection = ? AND state = 'running'", (collection,))
        return row is not None

    def batches(self, collection: int, after: int, limit: int, *, minted_only: bool = False) -> list[BatchRow]:
        """Batches that start behind token `after`, in order."""
        rows = self._db.rows(
            "SELECT start, quantity, state, images_root, metadata_root, tx_hash, block_number FROM batch"
            f" WHERE collection = ? AND start > ?{f' AND {_MINTED}' if minted_only else ''} ORDER BY start LIMIT ?",
            (collection, after, limit),
        )
        return [
            BatchRow(
                row["start"],
                row["quantity"],
                row["state"],
                row["images_root"],
                row["metadata_root"],
                row["tx_hash"],
                row["block_number"],
            )
            for row in rows
        ]

    def transactions(
        self, collection: int, after: int, limit: int, *, mined_only: bool = False
    ) -> list[TransactionRow]:
        """Transactions of the collection in the order they were planned, behind the one with key `after`."""
        rows = self._db.rows(
            "SELECT s.id, s.purpose, a.hash, s.sender, s.nonce, s.state, s.start, s.quantity, s.recipient,"
            "       a.block_number, a.gas_used, s.spent_wei"
            "  FROM slot s JOIN attempt a ON a.id ="
            "       (SELECT id FROM attempt WHERE slot = s.id ORDER BY state = 'mined' DESC, id DESC LIMIT 1)"
            f" WHERE s.collection = ? AND s.id > ?{f' AND s.{_MINTED}' if mined_only else ''} ORDER BY s.id LIMIT ?",
            (collection, after, limit),
        )
        return [
            TransactionRow(
                id=row["id"],
                purpose=row["purpose"],
                hash=row["hash"],
                sender=Address(row["sender"]),
                nonce=row["nonce"],
                state=row["state"],
                start=row["start"],
                quantity=row["quantity"],
                recipient=address_or_none(row["recipient"]),
                block_number=row["block_number"],
                gas_used=row["gas_used"],
                spent_wei=None if row["spent_wei"] is None else int(row["spent_wei"]),
            )
            for row in rows
        ]
