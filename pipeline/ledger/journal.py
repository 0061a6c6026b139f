"""The journal of transactions: which nonce is for what, which bytes were signed for it, and what became of them.

A slot is one nonce of one account; an attempt is one signed byte string for it. Both are on the disk before the first
byte leaves, so a restart finds every transaction that may be on the chain. States:

    slot       live → mined → final      aside: lost (a stranger used the nonce), reverted (the contract refused)
    attempt    signed → sent → mined     aside: superseded (another attempt of its slot was mined)
    batch      sealed → live → mined → final
    collection planned → live → mined → final

`mined` is provisional: a reorg takes slot, attempt, batch and collection back to live.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from pipeline.base.records import Address
from pipeline.ledger.batches import Batches
from pipeline.ledger.database import Database, Row

_SLOT = (
    "slot.id, slot.nonce, slot.purpose, slot.collection, slot.batch, slot.start, slot.quantity, slot.recipient, "
    "slot.run, slot.state, slot.reserved_wei, slot.spent_wei, slot.sender"
)
_ATTEMPT = (
    "attempt.id, attempt.slot, attempt.raw, attempt.hash, attempt.gas, attempt.max_fee_wei, attempt.priority_fee_wei, "
    "attempt.sends, attempt.first_sent_block, attempt.state, attempt.block_number, attempt.block_hash"
)

Purpose = Literal["deploy", "mint", "transfer", "filler"]


@dataclass(frozen=True, slots=True)
class Intent:
    """What a transaction is for. A mint names its token range, a transfer its token; a filler uses up a nonce only."""

    purpose: Purpose
    collection: int | None = None
    batch: int | None = None
    start: int | None = None
    quantity: int | None = None
    recipient: Address | None = None


@dataclass(frozen=True, slots=True)
class Signed:
    """A transaction as signed, before it is an attempt of a slot."""

    raw: bytes
    hash: bytes
    gas: int
    max_fee_wei: int
    priority_fee_wei: int
    signed: float  # seconds since 1970; for people and for the limit per day

    @property
    def reserved_wei(self) -> int:
        return self.gas * self.max_fee_wei


@dataclass(frozen=True, slots=True)
class Paid:
    """A mined transaction, and what it took."""

    purpose: str
    tx_hash: bytes
    block_number: int
    gas_used: int
    wei: int
    signed: float  # when
    tokens: int  # that it made or moved


@dataclass(frozen=True, slots=True)
class Attempt:
    id: int
    slot: int
    raw: bytes
    hash: bytes
    gas: int
    max_fee_wei: int
    priority_fee_wei: int
    sends: int
    first_sent_block: int | None
    state: str
    block_number: int | None
    block_hash: bytes | None


@dataclass(frozen=True, slots=True)
class Slot:
    id: int
    nonce: int
    intent: Intent
    state: str
    reserved_wei: int
    spent_wei: int | None  # once it is mined
    run: int | None
    sender: Address
    attempts: tuple[Attempt, ...]  # oldest first

    @property
    def last(self) -> Attempt:
        return self.attempts[-1]

    @property
    def mined(self) -> Attempt | None:
        return next((attempt for attempt in self.attempts if attempt.state == "mined"), None)

    def __str__(self) -> str:
        intent = self.intent
        if intent.start is None or intent.quantity is None:
            return {"deploy": "the contract's deployment", "filler": f"the filler of nonce {self.nonce}"}[
                intent.purpose
            ]
        if intent.purpose == "transfer":
            return f"the transfer of token {intent.start} to {intent.recipient}"
        last = intent.start + intent.quantity - 1
        return f"token {intent.start}" if last == intent.start else f"tokens {intent.start}-{last}"


@dataclass(frozen=True, slots=True)
class MinedIn:
    """Where a transaction, or a batch of unknown transaction, is on the chain."""

    block_number: int
    block_hash: bytes
    tx_hash: bytes | None


class Journal:
    """The transactions of one ledger. Each writing method is one commit, or joins the caller's `Ledger.atomic`."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def chain_key(self, chain_id: int, genesis_hash: bytes) -> int | None:
        """The ledger key of a chain, None when this ledger has nothing to do with it."""
        row = self._db.row("SELECT id FROM chain WHERE chain_id = ? AND genesis_hash = ?", (chain_id, genesis_hash))
        return int(row["id"]) if row else None

    # ── slots ────────────────────────────────────────────────────────────────────────────────────────────────

    def next_nonce(self, chain: int, sender: Address) -> int:
        """One more than the highest nonce that this ledger ever used for `sender`; the chain's count is a floor beside it."""
        row = self._db.one("SELECT MAX(nonce) AS nonce FROM slot WHERE chain = ? AND sender = ?", (chain, sender))
        return 0 if row["nonce"] is None else int(row["nonce"]) + 1

    def uses(self, chain: int, sender: Address, nonce: int) -> bool:
        """Whether a transaction of this ledger has, or may yet have, a nonce."""
        return bool(
            self._slots("WHERE chain = ? AND sender = ? AND nonce = ? AND slot.state <> 'lost'", (chain, sender, nonce))
        )

    def reserve(self, chain: int, sender: Address, nonce: int, intent: Intent, run: int | None, signed: Signed) -> Slot:
        """Write a new slot with its first attempt; its batch or collection goes live. Nothing was sent before this.

        Raises ConstraintBroken when the nonce, the token range, the transfer or the deployment is taken.
        """
        with self._db.atomic():
            slot = self._db.insert(
                "INSERT INTO slot (chain, sender, nonce, purpose, collection, batch, start, quantity,"
                " recipient, run, state, reserved_wei) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'live', ?) RETURNING id",
                (
                    chain,
                    sender,
                    nonce,
                    intent.purpose,
                    intent.collection,
                    intent.batch,
                    intent.start,
                    intent.quantity,
                    intent.recipient,
                    run,
                    str(signed.reserved_wei),
                ),
            )
            self._insert_attempt(slot, signed)
            self._follow(intent)
            self._db.log("signed", f"slot/{slot}", nonce=nonce, tx=signed.hash.hex(), purpose=intent.purpose)
        return self.slot(slot)

    def add_attempt(self, slot: Slot, signed: Signed) -> Slot:
        """Write a dearer attempt for the same nonce, before it is sent."""
        with self._db.atomic():
            self._insert_attempt(slot.id, signed)
            reserved = max(slot.reserved_wei, signed.reserved_wei)
            self._db.execute("UPDATE slot SET reserved_wei = ? WHERE id = ?", (str(reserved), slot.id))
            self._db.log("bumped", f"slot/{slot.id}", tx=signed.hash.hex(), max_fee_wei=str(signed.max_fee_wei))
        return self.slot(slot.id)

    def name_contract(self, collection: int, contract: Address) -> None:
        """Remember where the collection's contract is, or will be."""
        with self._db.atomic():
            self._db.execute("UPDATE collection SET contract = ? WHERE id = ?", (contract, collection))

    def slot(self, slot: int) -> Slot:
        return self._slots("WHERE slot.id = ?", (slot,))[0]

    def slots(self, chain: int, sender: Address, *states: str) -> list[Slot]:
        """Slots of one account in the given states, lowest nonce first, with all their attempts."""
        marks = ",".join("?" * len(states))
        return self._slots(f"WHERE chain = ? AND sender = ? AND slot.state IN ({marks})", (chain, sender, *states))

    def mined_slots(self, chain: int) -> list[Slot]:
        """Slots of all accounts on a chain that are mined and not final."""
        return self._slots("WHERE chain = ? AND slot.state = 'mined'", (chain,))

    def slots_of_batch(self, batch: int) -> list[Slot]:
        return self._slots("WHERE batch = ?", (batch,))

    def makers(self, collection: int, *states: str) -> list[Slot]:
        """The slots in the given states that deploy a collection or mint in it, whoever signed them."""
        marks = ",".join("?" * len(states))
        where = f"WHERE slot.collection = ? AND purpose IN ('deploy', 'mint') AND slot.state IN ({marks})"
        return self._slots(where, (collection, *states))

    def unfinished_transfer(self, collection: int, token_id: int) -> Slot | None:
        """The transfer of a token that is signed and not known to be in a block."""
        where = "WHERE collection = ? AND slot.start = ? AND purpose = 'transfer' AND slot.state = 'live'"
        return next(iter(self._slots(where, (collection, token_id))), None)

    def transactions(self, collection: int) -> list[bytes]:
        """Hashes of the transactions that made a collection, the deployment first."""
        rows = self._db.rows(
            "SELECT a.hash FROM attempt a JOIN slot s ON s.id = a.slot "
            "WHERE s.collection = ? AND a.state = 'mined' AND s.state IN ('mined', 'final') "
            "AND s.purpose <> 'transfer' ORDER BY s.nonce",
            (collection,),
        )
        return [row["hash"] for row in rows]

    def paid_in(self, run: int) -> list[Paid]:
        """The mined transactions of a run and what each took, by nonce: the deployment, where it is this run's, first."""
        return self._paid("s.run = ?", run)

    def paid_for(self, collection: int) -> list[Paid]:
        """The same of a collection: its deployment, mints and transfers from here."""
        return self._paid("s.collection = ?", collection)

    def _paid(self, which: str, key: int) -> list[Paid]:
        rows = self._db.rows(
            "SELECT s.purpose, a.hash, a.block_number, a.gas_used, s.spent_wei, a.signed, s.quantity"
            f"  FROM attempt a JOIN slot s ON s.id = a.slot WHERE {which}"
            " AND a.state = 'mined' AND s.state IN ('mined', 'final', 'reverted') ORDER BY s.nonce",
            (key,),
        )
        return [
            Paid(
                *(row["purpose"], row["hash"], row["block_number"], row["gas_used"], int(row["spent_wei"] or 0)),
                *(row["signed"], row["quantity"] or 0),
            )
            for row in rows
        ]

    def uncovered(self, batch: int) -> list[range]:
        """The token ranges of a batch that no live, mined or final slot mints, in order. None for an adopted batch."""
        whole = Batches(self._db).get(batch)
        first, end = whole.start, whole.last + 1
        if whole.is_mined:
            return []
        gaps = []
        for slot in self._slots("WHERE batch = ? AND slot.state IN ('live', 'mined', 'final')", (batch,), "slot.start"):
            assert slot.intent.start is not None and slot.intent.quantity is not None
            if slot.intent.start > first:
                gaps.append(range(first, slot.intent.start))
            first = slot.intent.start + slot.intent.quantity
        return [*gaps, range(first, end)] if first < end else gaps

    # ── what became of them ──────────────────────────────────────────────────────────────────────────────────

    def mark_sent(self, attempt: Attempt, head: int) -> None:
        with self._db.atomic():
            self._db.execute(
                "UPDATE attempt SET sends = sends + 1, first_sent_block = COALESCE(first_sent_block, ?),"
                " state = CASE state WHEN 'signed' THEN 'sent' ELSE state END WHERE id = ?",
                (head, attempt.id),
            )

    def mark_mined(self, slot: Slot, attempt: Attempt, where: MinedIn, gas_used: int, spent_wei: int) -> None:
        """One attempt is in a block and did what it should; the slot's other attempts can never be."""
        with self._db.atomic():
            self._settle_attempts(slot, attempt, where, gas_used)
            self._db.execute("UPDATE slot SET state = 'mined', spent_wei = ? WHERE id = ?", (str(spent_wei), slot.id))
            self._follow(slot.intent)
            self._db.log("mined", f"slot/{slot.id}", tx=attempt.hash.hex(), block=where.block_number)

    def mark_reverted(
        self, slot: Slot, attempt: Attempt, where: MinedIn, gas_used: int, spent_wei: int, reason: str
    ) -> None:
        """One attempt is in a block and the contract refused it: its token range is free again, its nonce is not."""
        with self._db.atomic():
            self._settle_attempts(slot, attempt, where, gas_used)
            self._db.execute(
                "UPDATE slot SET state = 'reverted', spent_wei = ? WHERE id = ?", (str(spent_wei), slot.id)
            )
            self._follow(slot.intent)
            self._db.log("reverted", f"slot/{slot.id}", tx=attempt.hash.hex(), reason=reason)

    def mark_lost(self, slot: Slot) -> None:
        """A stranger's transaction used the nonce for good: this one can never be mined, its token range is free again."""
        with self._db.atomic():
            self._db.execute("UPDATE slot SET state = 'lost', spent_wei = '0' WHERE id = ?", (slot.id,))
            self._follow(slot.intent)
            self._db.log("lost", f"slot/{slot.id}", nonce=slot.nonce)

    def back_to_live(self, slot: Slot, reason: str) -> None:
        """The block that held the slot is no longer part of the chain: its bytes are to be sent again."""
        with self._db.atomic():
            self._db.execute("UPDATE slot SET state = 'live', spent_wei = NULL WHERE id = ?", (slot.id,))
            self._db.execute(
                "UPDATE attempt SET state = 'sent', block_number = NULL, block_hash = NULL, gas_used = NULL,"
                " first_sent_block = NULL WHERE slot = ?",
                (slot.id,),
            )
            self._follow(slot.intent)
            self._db.log("reorg", f"slot/{slot.id}", nonce=slot.nonce, reason=reason)

    def adopt_batch(self, batch: int, where: MinedIn) -> None:
        """The chain has this batch although no transaction of this ledger says so: an older ledger, a lost journal."""
        with self._db.atomic():
            self._place("batch", batch, "mined", where)
            self._db.log("adopted", f"batch/{batch}", block=where.block_number)

    def adopt_collection(self, collection: int, contract: Address, where: MinedIn) -> None:
        """The chain has this contract although no transaction of this ledger says so."""
        with self._db.atomic():
            self.name_contract(collection, contract)
            self._place("collection", collection, "mined", where)
            self._db.log("adopted", f"collection/{collection}", contract=contract)

    def forget_adopted_batch(self, batch: int) -> None:
        """The block that an adoption stood on is gone: back to where its own transaction is signed."""
        with self._db.atomic():
            self._place("batch", batch, "sealed", None)
            self._db.log("reorg", f"batch/{batch}", reason="the adopted block is gone")

    def forget_adopted_collection(self, collection: int) -> None:
        with self._db.atomic():
            self._place("collection", collection, "planned", None)
            self._db.log("reorg", f"collection/{collection}", reason="the adopted block is gone")

    def finalize(self, chain: int, blocks: Iterable[tuple[int, bytes]]) -> int:
        """Everything mined in one of these canonical, final blocks is final. Returns how many batches became so."""
        with self._db.atomic():
            before = self._count_final(chain)
            for number, block_hash in blocks:
                self._db.execute(
                    "UPDATE slot SET state = 'final' WHERE chain = ? AND state = 'mined' AND id IN"
                    " (SELECT slot FROM attempt WHERE state = 'mined' AND block_number = ? AND block_hash = ?)",
                    (chain, number, block_hash),
                )
                self._db.execute(
                    "UPDATE batch SET state = 'final' WHERE state = 'mined' AND block_number = ? AND block_hash = ?"
                    " AND collection IN (SELECT id FROM collection WHERE chain = ?) AND NOT EXISTS"
                    " (SELECT 1 FROM slot WHERE slot.batch = batch.id AND slot.state IN ('live', 'mined'))",
                    (number, block_hash, chain),
                )
                self._db.execute(
                    "UPDATE collection SET state = 'final' WHERE state = 'mined' AND chain = ?"
                    " AND block_number = ? AND block_hash = ?",
                    (chain, number, block_hash),
                )
            finals = self._count_final(chain) - before
            if finals:
                self._db.log("final", f"chain/{chain}", batches=finals)
        return finals

    def mined_blocks(self, chain: int) -> list[tuple[int, bytes]]:
        """The blocks that something mined but not final stands on, lowest first."""
        rows = self._db.rows(
            "SELECT attempt.block_number AS number, attempt.block_hash AS hash FROM attempt JOIN slot"
            "  ON slot.id = attempt.slot WHERE slot.chain = ? AND slot.state = 'mined' AND attempt.state = 'mined'"
            " UNION SELECT batch.block_number, batch.block_hash FROM batch JOIN collection"
            "  ON collection.id = batch.collection WHERE collection.chain = ? AND batch.state = 'mined'"
            " UNION SELECT block_number, block_hash FROM collection WHERE chain = ? AND state = 'mined'"
            " ORDER BY 1",
            (chain, chain, chain),
        )
        return [(row["number"], row["hash"]) for row in rows]

    def last_final_block(self, chain: int) -> tuple[int, bytes] | None:
        row = self._db.row(
            "SELECT block_number, block_hash FROM attempt JOIN slot ON slot.id = attempt.slot"
            " WHERE slot.chain = ? AND slot.state = 'final' AND attempt.state = 'mined' ORDER BY block_number DESC LIMIT 1",
            (chain,),
        )
        return (row["block_number"], row["block_hash"]) if row else None

    # ── money ────────────────────────────────────────────────────────────────────────────────────────────────

    def spent_or_reserved_wei(self, *, run: int | None = None, since: float | None = None) -> int:
        """What a run, or everything signed since a moment, has cost or may yet cost."""
        condition, parameter = (
            ("run = ?", run) if since is None else ("id IN (SELECT slot FROM attempt WHERE signed >= ?)", since)
        )
        rows = self._db.rows(
            f"SELECT COALESCE(spent_wei, reserved_wei) AS wei FROM slot WHERE {condition}", (parameter,)
        )
        return sum(int(row["wei"]) for row in rows)

    # ── letting go ───────────────────────────────────────────────────────────────────────────────────────────

    def let_go(self, slots: Iterable[Slot]) -> None:
        """What these were signed for will never be asked for again: they used up their nonces, and that is all."""
        with self._db.atomic():
            for slot in slots:
                assert slot.state in ("reverted", "lost"), f"{slot} is {slot.state}"
                self._db.execute(
                    "UPDATE slot SET purpose = 'filler', collection = NULL, batch = NULL, start = NULL,"
                    " quantity = NULL, run = NULL WHERE id = ?",
                    (slot.id,),
                )

    def follow_batch(self, batch: int) -> None:
        """Bring a batch that was cut to the state that its slots say."""
        self._follow(Intent("mint", batch=batch))

    # ── inside ───────────────────────────────────────────────────────────────────────────────────────────────

    def _insert_attempt(self, slot: int, signed: Signed) -> None:
        self._db.execute(
            "INSERT INTO attempt (slot, raw, hash, gas, max_fee_wei, priority_fee_wei, signed, state)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, 'signed')",
            (
                slot,
                signed.raw,
                signed.hash,
                signed.gas,
                str(signed.max_fee_wei),
                str(signed.priority_fee_wei),
                signed.signed,
            ),
        )

    def _settle_attempts(self, slot: Slot, winner: Attempt, where: MinedIn, gas_used: int) -> None:
        self._db.execute(
            "UPDATE attempt SET state = 'superseded', block_number = NULL, block_hash = NULL, gas_used = NULL"
            " WHERE slot = ? AND id <> ?",
            (slot.id, winner.id),
        )
        self._db.execute(
            "UPDATE attempt SET state = 'mined', block_number = ?, block_hash = ?, gas_used = ? WHERE id = ?",
            (where.block_number, where.block_hash, gas_used, winner.id),
        )

    def _follow(self, intent: Intent) -> None:
        """Bring the batch or collection to the state that its slots say."""
        if intent.purpose == "deploy" and intent.collection is not None:
            slots = self._slots("WHERE slot.collection = ? AND purpose = 'deploy'", (intent.collection,))
            self._follow_slots("collection", intent.collection, slots, whole=True, before="planned")
        elif intent.batch is not None:
            whole = Batches(self._db).get(intent.batch)
            slots = self.slots_of_batch(intent.batch)
            sizes = [slot.intent.quantity or 0 for slot in slots if slot.state in ("mined", "final")]
            self._follow_slots("batch", intent.batch, slots, whole=sum(sizes) == whole.quantity, before="sealed")

    def _follow_slots(self, table: str, key: int, slots: list[Slot], *, whole: bool, before: str) -> None:
        standing = [slot for slot in slots if slot.state in ("live", "mined", "final")]
        attempts = [slot.mined for slot in standing if slot.mined is not None]
        if not standing:
            self._place(table, key, before, None)
        elif whole and len(attempts) == len(standing):
            last = max(attempts, key=lambda attempt: attempt.block_number or 0)
            assert last.block_number is not None and last.block_hash is not None
            self._place(table, key, "mined", MinedIn(last.block_number, last.block_hash, last.hash))
        else:
            self._place(table, key, "live", None)

    def _place(self, table: str, key: int, state: str, where: MinedIn | None) -> None:
        tx_hash, number, block_hash = (where.tx_hash, where.block_number, where.block_hash) if where else (None,) * 3
        self._db.execute(
            f"UPDATE {table} SET state = ?, tx_hash = ?, block_number = ?, block_hash = ? WHERE id = ?",
            (state, tx_hash, number, block_hash, key),
        )

    def _count_final(self, chain: int) -> int:
        row = self._db.one(
            "SELECT COUNT(*) AS count FROM batch JOIN collection ON collection.id = batch.collection"
            " WHERE collection.chain = ? AND batch.state = 'final'",
            (chain,),
        )
        return int(row["count"])

    def _slots(self, where: str, parameters: tuple[object, ...], order: str = "slot.nonce") -> list[Slot]:
        found: dict[int, tuple[Row, list[Attempt]]] = {}
        for row in self._db.rows(f"SELECT {_SLOT} FROM slot {where} ORDER BY {order}, slot.id", parameters):
            found[row["id"]] = (row, [])
        for row in self._db.rows(
            f"SELECT {_ATTEMPT} FROM attempt JOIN slot ON slot.id = attempt.slot {where} ORDER BY attempt.id",
            parameters,
        ):
            found[row["slot"]][1].append(_attempt(row))
        return [_slot(row, attempts) for row, attempts in found.values()]


def _slot(row: Row, attempts: list[Attempt]) -> Slot:
    intent = Intent(row["purpose"], row["collection"], row["batch"], row["start"], row["quantity"], row["recipient"])
    return Slot(
        id=row["id"],
        nonce=row["nonce"],
        intent=intent,
        state=row["state"],
        reserved_wei=int(row["reserved_wei"]),
        spent_wei=None if row["spent_wei"] is None else int(row["spent_wei"]),
        run=row["run"],
        sender=Address(row["sender"]),
        attempts=tuple(attempts),
    )


def _attempt(row: Row) -> Attempt:
    return Attempt(
        row["id"],
        row["slot"],
        row["raw"],
        row["hash"],
        row["gas"],
        int(row["max_fee_wei"]),
        int(row["priority_fee_wei"]),
        row["sends"],
        row["first_sent_block"],
        row["state"],
        row["block_number"],
        row["block_hash"],
    )
