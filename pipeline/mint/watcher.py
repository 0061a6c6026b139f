"""What the chain says, written into the ledger: receipts, reorgs, what is lost, what is there already, what is final.

Nothing is sent from here. A transaction counts as long as its block is part of the chain: `mined` is compared with the
canonical block hash at every look. What the chain has and the ledger does not know is adopted when it is ours for sure,
and is an alarm when it is not.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from pipeline.base.crash import crash_point
from pipeline.base.errors import ChainError, Corrupt, ForeignTransaction, Reverted, RpcError, WrongChain
from pipeline.base.records import ZERO_ADDRESS, Address, BatchPlan, hex_data
from pipeline.ledger import Ledger
from pipeline.ledger.journal import Attempt, MinedIn, Slot
from pipeline.mint.chain import Block, Chain, Receipt, Transaction, accepted, expect_chain
from pipeline.mint.collection import (
    Collection,
    Constructor,
    contract_uri,
    decoded_error,
    deploy_data,
    gave,
    minted_tokens,
    predicted_address,
)
from pipeline.mint.compile import matches_source
from pipeline.mint.signer import decoded, keccak

log = logging.getLogger(__name__)

STALE_S = 30.0  # how long a node may be behind what we saw, before we believe that the chain went back
LOCAL_STALE_S = 1.0
LOOK_AGAIN_S = 0.2  # between two looks at a node that is behind
LOST_LOOKS = 3  # looks in a row that must agree before a transaction counts as lost
LOST_DEPTH = 5  # blocks, where it is not a development chain
DEPLOYMENTS_BACK = 64  # nonces looked at for a deployment that an older ledger does not know
LOOK_UPS = ("eth_getTransactionReceipt", "eth_getTransactionByHash")


@dataclass(frozen=True, slots=True)
class ChainEvent:
    """Something worth telling: `text` is a sentence for people."""

    kind: str  # signed, sent, mined, bumped, resent, reorg, adopted, reverted, lost, split, waiting, refused
    text: str
    tx: bytes | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """What the chain says about everything unsettled, at one moment."""

    head: Block
    nonce: int  # transactions of our account that are mined
    receipts: dict[bytes, Receipt]  # by transaction hash


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """What is known of a transaction just before it is sent."""

    is_known: bool  # it is in a block, or in the pool
    others_wait: bool  # an earlier attempt of its slot is in the pool
    is_taken: bool  # the pool counts a transaction with its nonce, and it is none of ours
    head: Block


class Watcher:
    """Moves the ledger's rows of one account on one chain to where the chain says they are. One thread at a time.

    Raises WrongChain when the ledger has nothing to do with this chain.
    """

    def __init__(
        self,
        ledger: Ledger,
        chain: Chain,
        address: Address,
        confirmations: int = 1,
        on_event: Callable[[ChainEvent], None] = lambda _: None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.ledger = ledger
        self.chain = chain
        self.address = address
        self.confirmations = confirmations
        self.journal = ledger.journal
        self.chain_key = self._known_chain()
        self.head: Block | None = None  # the newest block that was seen
        self._tell = on_event
        self._clock = clock
        self._behind_since: float | None = None
        self._consumed: dict[int, int] = {}  # by slot, looks in a row at which a stranger had used its nonce

    def _known_chain(self) -> int:
        key = self.journal.chain_key(self.chain.chain_id, self.chain.genesis_hash)
        if key is None:
            got = f"{self.chain.chain_id} with genesis block {hex_data(self.chain.genesis_hash)}"
            raise WrongChain(rpc=self.chain.rpc.shown, what="the chain", got=got, expected="another")
        return key

    def live(self) -> list[Slot]:
        """What was signed and is not known to be in a block, lowest nonce first."""
        return self.journal.slots(self.chain_key, self.address, "live")

    # ── the start: nothing is written to the chain ─────────────────────────────────────────────────────────────

    def check_chain(self, collection_id: int) -> None:
        known = self.ledger.collections.get(collection_id)
        self.chain.check_identity(known.chain_id, known.genesis_hash)

    def check_ledger(self) -> None:
        """Raise Corrupt unless every stored transaction still has its hash, ChainError unless what was final still is."""
        self._check_bytes()
        self._check_final()

    def _check_bytes(self) -> None:
        for slot in self.journal.slots(self.chain_key, self.address, "live", "mined"):
            for attempt in slot.attempts:
                if keccak(attempt.raw) != attempt.hash:
                    raise Corrupt(
                        what=self.ledger.path, reason=f"the signed transaction of nonce {slot.nonce} lost its hash"
                    )

    def _check_final(self) -> None:
        last = self.journal.last_final_block(self.chain_key)
        if last is None:
            return
        number, block_hash = last
        block = self.chain.block(number)
        if block is None or block.hash != block_hash:
            raise ChainError(
                reason=f"block {number} was final and is no longer part of the chain at {self.chain.rpc.shown}",
                hint="nothing new was signed; compare with another node before going on",
            )

    def describe(self, slot: Slot, look: Look) -> str:
        tx, what = short(slot.last.hash), f"for {slot}"
        if any(attempt.hash in look.receipts for attempt in slot.attempts):
            return f"transaction {tx} {what} was mined meanwhile: taking note of it"
        if any(self.chain.transaction(attempt.hash) for attempt in slot.attempts):
            return f"transaction {tx} {what} is waiting in the node's pool"
        if slot.last.sends == 0:
            return f"transaction {tx} {what} was signed but not sent: sending it"
        return f"transaction {tx} {what} is not on the chain: sending the same bytes again"

    def adopt_known(self, collection_id: int) -> list[str]:
        address = self.ledger.collections.get(collection_id).deployed_at
        if address is None:
            return []
        contract = Collection(self.chain, address)
        found = []
        for batch in self.ledger.batches.in_state(collection_id, "sealed"):
            if self.adopt(contract, batch.plan, batch.content.digest):
                found.append(f"tokens {batch.start}-{batch.last} are on the chain already: adopted")
        return found

    # ── one look ───────────────────────────────────────────────────────────────────────────────────────────────

    def look(self, live: list[Slot]) -> Look:
        """Everything at once: who the chain is, its head, our nonce, and a receipt for every attempt."""
        chain = self.chain
        hashes = [attempt.hash for slot in live for attempt in slot.attempts]
        answers = chain.rpc.batch(
            [
                ("eth_chainId", []),
                *([("eth_getBlockByNumber", ["0x0", False])] if chain.gives_genesis else []),
                ("eth_getBlockByNumber", ["latest", False]),
                ("eth_getTransactionCount", [self.address, "latest"]),
                *(("eth_getTransactionReceipt", [hex_data(tx_hash)]) for tx_hash in hashes),
            ]
        )
        chain_id, *genesis, head, nonce = map(accepted, answers[: len(answers) - len(hashes)])
        receipts = map(accepted, answers[len(answers) - len(hashes) :])
        expect_chain(chain.rpc, "chain id", chain.parsed_quantity("eth_chainId", chain_id), chain.chain_id)
        for block in genesis:
            found_genesis = hex_data(chain.parsed_block(block).hash)
            expect_chain(chain.rpc, "the genesis block", found_genesis, hex_data(chain.genesis_hash))
        found = {
            tx_hash: receipt
            for tx_hash, answer in zip(hashes, receipts, strict=True)
            if (receipt := chain.parsed_receipt(answer, tx_hash)) is not None
        }
        return Look(chain.parsed_block(head), chain.parsed_quantity("eth_getTransactionCount", nonce), found)

    def is_behind(self, head: Block) -> bool:
        """A node that knows less than we saw before is stale; after a while we believe that the chain went back."""
        if self.head is None or head.number >= self.head.number:
            self._behind_since = None
            return False
        now = self._clock()
        self._behind_since = self._behind_since or now
        if now - self._behind_since < (LOCAL_STALE_S if self.chain.is_local else STALE_S):
            return True
        self._behind_since = None
        return False

    def pooled(self, slots: list[Slot]) -> dict[bytes, Transaction]:
        hashes = [attempt.hash for slot in slots for attempt in slot.attempts]
        answers = self.chain.rpc.batch([("eth_getTransactionByHash", [hex_data(tx_hash)]) for tx_hash in hashes])
        return {
            tx_hash: found
            for tx_hash, answer in zip(hashes, answers, strict=True)
            if (found := self.chain.parsed_transaction(accepted(answer), tx_hash)) is not None
        }

    def find(self, slot: Slot, attempt: Attempt) -> Whereabouts:
        """Look for an attempt, its elders, and whatever else waits with their nonce."""
        chain, hashes = self.chain, [each.hash for each in slot.attempts]
        answers = chain.rpc.batch(
            [
                ("eth_getTransactionReceipt", [hex_data(attempt.hash)]),
                ("eth_getBlockByNumber", ["latest", False]),
                ("eth_getTransactionCount", [self.address, "pending"]),
                *(("eth_getTransactionByHash", [hex_data(tx_hash)]) for tx_hash in hashes),
            ]
        )
        receipt, head, pending, *found = answers
        known = {
            tx_hash
            for tx_hash, answer in zip(hashes, found, strict=True)
            if chain.parsed_transaction(accepted(answer), tx_hash) is not None
        }
        mined = chain.parsed_receipt(accepted(receipt), attempt.hash) is not None
        # A node that does not say what is pending refuses the question.
        count = 0 if isinstance(pending, RpcError) else chain.parsed_quantity("eth_getTransactionCount", pending)
        taken = not known and count > slot.nonce and chain.nonce(self.address) <= slot.nonce
        return Whereabouts(
            is_known=mined or attempt.hash in known,
            others_wait=bool(known - {attempt.hash}),
            is_taken=taken,
            head=chain.parsed_block(accepted(head)),
        )

    def is_known(self, tx_hash: bytes) -> bool:
        """Whether the chain or the node's pool has a transaction."""
        answers = self.chain.rpc.batch([(name, [hex_data(tx_hash)]) for name in LOOK_UPS])
        receipt, transaction = map(accepted, answers)
        return (
            self.chain.parsed_receipt(receipt, tx_hash) is not None
            or self.chain.parsed_transaction(transaction, tx_hash) is not None
        )

    # ── reorg ──────────────────────────────────────────────────────────────────────────────────────────────────

    def step_back(self, *, patient: bool) -> list[str]:
        """Take back what stands on blocks that left the chain. Highest block first: below a canonical one all are.

        Where a block is missing altogether, a patient look waits for the node to catch up before it believes it.
        """
        gone: set[tuple[int, bytes]] = set()
        for number, block_hash in reversed(self.journal.mined_blocks(self.chain_key)):
            block = self.chain.block(number)
            if block is not None and block.hash == block_hash:
                break
            if block is None and patient and not gone and self.is_behind(self.chain.head()):
                return []
            gone.add((number, block_hash))
        if not gone:
            return []
        found = _take_back(self.ledger, self.chain_key, gone)
        self.head = None
        for text in found:
            self.say("reorg", text)
        return found

    # ── mined ──────────────────────────────────────────────────────────────────────────────────────────────────

    def record(self, slot: Slot, attempt: Attempt, receipt: Receipt) -> None:
        crash_point("mined_not_recorded")
        where = MinedIn(receipt.block_number, receipt.block_hash, attempt.hash)
        spent = receipt.gas_used * (receipt.gas_price_wei or attempt.max_fee_wei)  # old nodes do not say the price
        if slot.intent.purpose != "filler" and self.is_empty(attempt):
            reason = "an empty transaction has its nonce"
            self.journal.mark_reverted(slot, attempt, where, receipt.gas_used, spent, reason)
            self.say("withdrawn", f"{slot}: withdrawn, for {spent} wei", attempt.hash)
            return
        if receipt.ok and self._did_it(slot, receipt):
            with self.ledger.atomic():
                self.journal.mark_mined(slot, attempt, where, receipt.gas_used, spent)
                crash_point("inside_mined_commit")
            crash_point("mined_recorded")
            self.say("mined", f"{slot} mined in block {receipt.block_number}", attempt.hash)
            return
        reason = self._why(attempt, receipt)
        self.journal.mark_reverted(slot, attempt, where, receipt.gas_used, spent, reason)
        self.say("reverted", f"{slot}: {reason}", attempt.hash)
        if not self._is_on_chain(slot) and not self._came_too_early(slot):
            raise Reverted(
                what=f"transaction {hex_data(attempt.hash)} for {slot}",
                error=reason,
                hint="nothing was changed by it; give the same command again once the reason is gone",
            )

    def is_empty(self, attempt: Attempt) -> bool:
        """Whether a transaction does nothing but use up its nonce."""
        return call_of(attempt.raw) == (self.address, b"")

    def is_settled(self, slot: Slot) -> bool:
        """Whether a slot's transaction is in a block of the chain, at the depth that was asked for.

        One whose block left the chain is brought back to live.
        """
        mined = slot.mined
        if slot.state in ("lost", "final"):
            return True
        if slot.state == "live" or mined is None or mined.block_number is None:
            return False
        block = self.chain.block(mined.block_number)
        if block is None or block.hash != mined.block_hash:
            self.journal.back_to_live(slot, f"block {mined.block_number} is no longer part of the chain")
            return False
        return self.chain.head().number - mined.block_number + 1 >= self.confirmations

    def _did_it(self, slot: Slot, receipt: Receipt) -> bool:
        """A call succeeded only with its Transfer events: one to an address without code succeeds with nothing."""
        intent = slot.intent
        if intent.purpose not in ("mint", "transfer"):
            return True
        assert intent.collection is not None and intent.start is not None and intent.quantity is not None
        contract = self.contract(intent.collection).address
        if intent.recipient is not None:
            return gave(receipt, contract, self.address, intent.recipient, intent.start)
        return minted_tokens(receipt, contract) == list(range(intent.start, intent.start + intent.quantity))

    def _why(self, attempt: Attempt, receipt: Receipt) -> str:
        """The reason of a revert: the same call again, on the state after its block."""
        if receipt.ok:
            return "it succeeded and did nothing: there was no contract"
        if receipt.gas_used >= attempt.gas:
            return "out of gas"
        to, data = call_of(attempt.raw)
        try:
            if to is not None:
                self.chain.call(to, data, receipt.block_number, self.address)
            else:
                self.chain.created_code(self.address, data)
        except RpcError as error:
            return reason_of(error)
        return "no reason given"

    def _is_on_chain(self, slot: Slot) -> bool:
        """Whether the chain has all the same what a reverted or lost transaction was for, by another one."""
        intent = slot.intent
        if intent.purpose == "deploy" and intent.collection is not None:
            return self.adopt_deployment(intent.collection)
        if intent.purpose != "mint":
            return False
        assert intent.collection is not None and intent.batch is not None
        batch = self.ledger.batches.get(intent.batch)
        return self.adopt(self.contract(intent.collection), batch.plan, batch.content.digest)

    def _came_too_early(self, slot: Slot) -> bool:
        """After a revert: whether tokens before these are still to be minted, because their own transaction was lost.

        Then the contract's guard refused the right thing in the wrong order; it is signed again behind them.
        """
        intent = slot.intent
        if intent.purpose != "mint" or intent.collection is None or intent.start is None:
            return False
        batches = self.ledger.batches.in_state(intent.collection, "sealed", "live")
        missing = [tokens for batch in batches for tokens in self.journal.uncovered(batch.id)]
        return any(tokens.start < intent.start for tokens in missing)

    # ── lost ───────────────────────────────────────────────────────────────────────────────────────────────────

    def suspect(self, slot: Slot, look: Look) -> bool:
        """Whether the nonce of an unmined slot is used already. Lost, once several looks agree at full depth.

        Raises ForeignTransaction for one that is lost, unless the chain has what it was for.
        """
        if look.nonce <= slot.nonce:
            self._consumed.pop(slot.id, None)
            return False
        depth = self.confirmations if self.chain.is_local else max(self.confirmations, LOST_DEPTH)
        below = look.head.number - depth + 1
        if below < 0 or self.chain.nonce(self.address, below) <= slot.nonce:
            return True
        self._consumed[slot.id] = self._consumed.get(slot.id, 0) + 1
        if self._consumed[slot.id] >= LOST_LOOKS and not any(self.chain.receipt(a.hash) for a in slot.attempts):
            self._lose(slot)
        return True

    def _lose(self, slot: Slot) -> None:
        self.journal.mark_lost(slot)
        self.say("lost", f"nonce {slot.nonce} was used by another transaction", slot.last.hash)
        if not self._is_on_chain(slot):
            raise ForeignTransaction(
                what=f"nonce {slot.nonce} of {self.address}, signed for {slot}, was used by another transaction"
            )

    # ── the chain knows more than the ledger ───────────────────────────────────────────────────────────────────

    def adopt(self, contract: Collection, plan: BatchPlan, digest: bytes) -> bool:
        """Note a batch as minted when the contract has all of it: same token ids, same digest. False when it has not.

        Raises ForeignTransaction when the contract has other content under these token ids.
        """
        uncovered = self.journal.uncovered(plan.id)
        for tokens in uncovered:
            if self.present(contract, tokens, digest).stop != tokens.stop:
                return False
        if uncovered:
            where = self._where_minted(contract, uncovered[-1])
            self.journal.adopt_batch(plan.id, where)
            last = plan.start + plan.quantity - 1
            self.say("adopted", f"tokens {plan.start}-{last} are on the chain already", where.tx_hash)
        return True

    def present(self, contract: Collection, tokens: range, digest: bytes) -> range:
        """The part of `tokens`, from their start, that the contract already has with our digest."""
        first = tokens.start
        while first < tokens.stop:
            found = contract.batch_of(first)
            if found is None:
                break
            if found.start != first or found.end >= tokens.stop or found.digest != digest:
                raise ForeignTransaction(
                    what=f"somebody else minted tokens {found.start}-{found.end} of {contract.address}"
                )
            first = found.end + 1
        return range(tokens.start, first)

    def _where_minted(self, contract: Collection, tokens: range) -> MinedIn:
        known = self.ledger.collections.on_chain(self.chain_key, contract.address)
        event = contract.mint_log(tokens.stop - 1, known.block_number or 0 if known else 0)
        if event is not None:
            return MinedIn(event.block_number, event.block_hash, event.tx_hash)
        head = self.chain.head()
        return MinedIn(head.number, head.hash, None)

    def adopt_deployment(self, collection_id: int) -> bool:
        """Find our own deployment that this ledger does not know, as when an older copy of the ledger was restored.

        It is ours when this account created it with a nonce the ledger never used, and its code and contractURI are
        exactly what deploying the collection's settings would leave behind. Where it was known before is looked first.
        """
        settings = self.settings_of(collection_id)
        end = self.chain.nonce(self.address)
        nonces = range(max(self.journal.next_nonce(self.chain_key, self.address), end - DEPLOYMENTS_BACK), end)
        known = self.ledger.collections.get(collection_id).contract
        addresses = [known] if known else []
        addresses += [predicted_address(self.address, nonce) for nonce in nonces]
        codes = self.chain.codes(addresses)
        if not any(codes):
            return False
        ours = self.chain.created_code(self.address, deploy_data(settings))
        uri = contract_uri(settings.info_digest)
        for address, code in zip(addresses, codes, strict=True):
            if code == ours and Collection(self.chain, address).state().contract_uri == uri:
                where = first_block_with(self.chain, address)
                self.journal.adopt_collection(collection_id, address, where)
                self.say("adopted", f"contract {address} was deployed by this account before: using it")
                return True
        return False

    # ── the contract ───────────────────────────────────────────────────────────────────────────────────────────

    def settings_of(self, collection_id: int) -> Constructor:
        """The constructor's arguments as the ledger has them; our account may mint where it is not the owner."""
        known = self.ledger.collections.get(collection_id)
        return Constructor(
            name=known.name,
            symbol=known.symbol,
            owner=known.owner,
            minter=ZERO_ADDRESS if known.owner == self.address else self.address,
            royalty_receiver=known.royalty_receiver,
            royalty_bps=known.royalty_bps,
            max_supply=known.max_supply,
            info_digest=known.info_root.digest if known.info_root else bytes(32),
        )

    def contract(self, collection_id: int) -> Collection:
        address = self.ledger.collections.get(collection_id).contract
        assert address is not None, "a contract has its address before anything is minted on it"
        return Collection(self.chain, address)

    def has_code(self, contract: Address) -> bool:
        """Whether our contract's code is there; none is where a reorg has just taken it. Raises ChainError for other code."""
        code = self.chain.code(contract)
        if code and not matches_source(code):
            raise ChainError(
                reason=f"there is other code at {contract} than our contract's",
                hint="nothing new was signed; check the RPC URL and the contract's address",
            )
        return bool(code)

    def say(self, kind: str, text: str, tx: bytes | None = None) -> None:
        log.debug("%s: %s", kind, text)
        self._tell(ChainEvent(kind, text, tx))


def look_again(
    ledger: Ledger,
    chain: Chain,
    *,
    patience_s: float = STALE_S,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> list[str]:
    """Take back in the ledger what left the chain since it was mined, then note what is final; a sentence for each
    thing that is gone.

    Needs no signer, and sends nothing: any later command may call it. A node that is behind what was seen is waited
    for; after `patience_s` the chain is believed to have gone back, or with a patience of 0 nothing is concluded.
    """
    journal = ledger.journal
    key = journal.chain_key(chain.chain_id, chain.genesis_hash)
    if key is None:
        return []
    gone: set[tuple[int, bytes]] = set()
    deadline = clock() + (min(patience_s, LOCAL_STALE_S) if chain.is_local else patience_s)
    for number, block_hash in reversed(journal.mined_blocks(key)):
        block = chain.block(number)
        while block is None and clock() < deadline:
            sleep(LOOK_AGAIN_S)
            block = chain.block(number)
        if block is not None and block.hash == block_hash:
            break
        if block is None and patience_s == 0:
            return []
        gone.add((number, block_hash))
    found = _take_back(ledger, key, gone) if gone else []
    finalize(ledger, chain)
    return found


def _take_back(ledger: Ledger, chain_key: int, gone: set[tuple[int, bytes]]) -> list[str]:
    """Put back whatever stands on these blocks, of all accounts; a sentence for each."""
    journal, found = ledger.journal, []
    for slot in journal.mined_slots(chain_key):
        mined = slot.mined
        if mined is not None and (mined.block_number, mined.block_hash) in gone:
            journal.back_to_live(slot, f"block {mined.block_number} is no longer part of the chain")
            found.append(f"block {mined.block_number} with {slot} is no longer part of the chain")
    for one in ledger.collections.adopted(chain_key):
        if (one.block_number, one.block_hash) in gone:
            journal.forget_adopted_collection(one.id)
            found.append(f"block {one.block_number} with contract {one.contract} is no longer part of the chain")
    for batch in ledger.batches.adopted(chain_key):
        if (batch.block_number, batch.block_hash) in gone:
            journal.forget_adopted_batch(batch.id)
            found.append(f"block {batch.block_number} with batch {batch.id} is no longer part of the chain")
    return found


def finalize(ledger: Ledger, chain: Chain) -> int:
    """Note as final everything mined at or below the chain's finalized block, where the block hash is still the same.

    Returns the number of batches that became final. Needs no signer: any later command may call it.
    """
    journal = ledger.journal
    key = journal.chain_key(chain.chain_id, chain.genesis_hash)
    mined = journal.mined_blocks(key) if key is not None else []
    final = chain.finalized() if mined else None
    if key is None or final is None:
        return 0
    below = [(number, block_hash) for number, block_hash in mined if number <= final.number]
    answers = chain.rpc.batch([("eth_getBlockByNumber", [hex(number), False]) for number, _ in below])
    blocks = [chain.parsed_block(block) for block in map(accepted, answers) if block is not None]
    canonical = {(block.number, block.hash) for block in blocks}
    return journal.finalize(key, [place for place in below if place in canonical])


def first_block_with(chain: Chain, contract: Address) -> MinedIn:
    """The block that created a contract, by bisection; the genesis block where the node keeps no history."""
    low, high = 0, chain.head().number
    try:
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if chain.code(contract, middle) else (middle + 1, high)
    except RpcError:
        low = 0
    block = chain.block(low)
    assert block is not None
    return MinedIn(block.number, block.hash, None)


def call_of(raw: bytes) -> tuple[Address | None, bytes]:
    """Whom a signed transaction calls, None for a deployment, and with what."""
    tx = decoded(raw)
    return tx["to"], tx["data"]


def reason_of(error: RpcError) -> str:
    """Why the node refused: the contract's decoded error where there is one."""
    return decoded_error(error.fields["data"]) if error.fields["data"] else str(error.fields["message"])


def short(tx_hash: bytes) -> str:
    return f"0x{tx_hash.hex()[:8]}…"
