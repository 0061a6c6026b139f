"""From intent to chain, exactly once: deploys, mints, watches, sends again, and never guesses.

An error from sending says nothing about the outcome. So every transaction is signed and written down before its first
byte leaves; before it is sent, again or for the first time, its receipt and then itself are looked up by hash; and what
is sent again are the same bytes. The chain's word counts, and only as long as its block is part of the chain: `mined`
is compared with the canonical block hash at every look. The contract is the last lock: each mint names the token id
that it expects to start at, so a second one reverts.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pipeline.cid import CID
from pipeline.crash import crash_point
from pipeline.errors import (
    BadArgument,
    ChainError,
    Corrupt,
    ForeignTransaction,
    InsufficientFunds,
    LimitReached,
    PipelineError,
    Reverted,
    RpcError,
    RpcUnavailable,
    WrongChain,
)
from pipeline.ledger import Ledger
from pipeline.ledger.journal import Attempt, Intent, Journal, MinedIn, Signed, Slot
from pipeline.mint.chain import Block, Chain, Receipt, Transaction, accepted, expect_chain, hex_data
from pipeline.mint.collection import (
    ZERO_ADDRESS,
    Collection,
    Settings,
    check_recipients,
    contract_uri,
    decoded_error,
    deploy_data,
    mint_call,
    minted_tokens,
    predicted_address,
)
from pipeline.mint.fees import Fees, Limits, bumped, capped, check_spending, least_fee_wei
from pipeline.mint.signer import Signer, keccak, signed
from pipeline.records import Address, BatchPlan, MintedBatch, PinnedBatch

log = logging.getLogger(__name__)

WINDOW = 16  # transactions in flight: bounds what a lost nonce can hold up
MAX_GAS = 1 << 24  # EIP-7825: no transaction may have more
GAS_MARGIN = 6, 5  # 20 % above the estimate: the state may have moved until it is mined
START_DIGITS_GAS = 32 * 12  # an estimate with another start: at most 32 bytes of call data turn from zero to non-zero
TRANSFER_GAS = 21_000

BUMP_BLOCKS = 3
BUMP_S = 48.0  # four slots of Ethereum: for chains whose blocks stand still
RESEND_S = 12.0  # behind a load balancer a node may learn of a transaction only seconds later
LOCAL_RESEND_S = 0.5
STALE_S = 30.0  # how long a node may be behind what we saw, before we believe that the chain went back
LOCAL_STALE_S = 1.0
LOST_LOOKS = 3  # looks in a row that must agree before a transaction counts as lost
LOST_DEPTH = 5  # blocks, where it is not a development chain
DEPLOYMENTS_BACK = 64  # nonces looked at for a deployment that an older ledger does not know
LOOK_UPS = ("eth_getTransactionReceipt", "eth_getTransactionByHash")
DAY_S = 24 * 3600
POLL_S, LOCAL_POLL_S = (1.0, 4.0), (0.01, 0.05)  # first and longest pause between two looks


@dataclass(frozen=True, slots=True)
class ChainEvent:
    """Something worth telling: `text` is a sentence for people."""

    kind: str  # signed, sent, mined, bumped, resent, reorg, adopted, reverted, lost, split, waiting, refused
    text: str
    tx: bytes | None = None


@dataclass(frozen=True, slots=True)
class _Unit:
    """A token range of a batch that goes into one transaction."""

    batch: PinnedBatch
    tokens: range


@dataclass(frozen=True, slots=True)
class _Look:
    """What the chain says about everything unsettled, at one moment."""

    head: Block
    nonce: int  # transactions of our account that are mined
    receipts: dict[bytes, Receipt]  # by transaction hash


def _ignore(event: ChainEvent) -> None:
    pass


class Sender:
    """The one that sends transactions of one account on one chain. One thread, one process at a time.

    `confirmations` is the depth at which a batch is handed on; 1 is the block that holds it. `on_event` is called with
    a ChainEvent whenever there is something to tell. Start with `recover`.
    """

    def __init__(
        self,
        ledger: Ledger,
        chain: Chain,
        signer: Signer,
        limits: Limits,
        run_id: int | None,
        confirmations: int = 1,
        on_event: Callable[[ChainEvent], None] = _ignore,
        *,
        window: int = WINDOW,
        patience_s: float = 600.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        if confirmations < 1:
            raise BadArgument(name="confirmations", value=confirmations, expected="1 or more")
        self.ledger = ledger
        self.chain = chain
        self.address = signer.address
        self.confirmations = confirmations
        self.journal = Journal(ledger)
        self._signer = signer
        self._limits = limits
        self._run = run_id
        self._window = min(window, WINDOW)
        self._patience_s = patience_s
        self._tell = on_event
        self._clock = clock
        self._sleep = sleep
        self._wall_clock = wall_clock
        self._chain_key = self._known_chain()

        self._submitted: dict[int, PinnedBatch] = {}  # by ledger key, in token order
        self._waiting: deque[PinnedBatch] = deque()  # not handed on yet
        self._queue: deque[_Unit] = deque()  # not signed yet
        self._pause_s = 0.0
        self._head: Block | None = None
        self._behind_since: float | None = None
        self._first_seen: dict[int, float] = {}  # by attempt, when this process first looked at it
        self._last_sent: dict[int, float] = {}  # by attempt
        self._stuck_since: dict[int, float] = {}  # by slot, when a bump was first out of reach
        self._consumed: dict[int, int] = {}  # by slot, looks in a row at which a stranger had used its nonce

    def _known_chain(self) -> int:
        key = self.journal.chain_key(self.chain.chain_id, self.chain.genesis_hash)
        if key is None:
            got = f"{self.chain.chain_id} with genesis block {hex_data(self.chain.genesis_hash)}"
            raise WrongChain(rpc=self.chain.rpc.shown, what="the chain", got=got, expected="another")
        return key

    # ── the contract ─────────────────────────────────────────────────────────────────────────────────────────

    def ensure_deployed(self, collection_id: int) -> Address:
        """The collection's contract, deployed at most once, with the settings that the ledger has.

        Returns when the deployment is in a block. Raises WrongChain when the collection lives on another chain.
        """
        self._check_chain(collection_id)
        settings = self.settings_of(collection_id)
        while True:
            row = self.journal.collection(collection_id)
            if row["state"] == "planned" and not self._adopt_deployment(collection_id, settings):
                self._deploy(collection_id, deploy_data(settings))
            elif row["state"] in ("mined", "final"):
                return self._check_code(Address(row["contract"]))
            if not self.settle():
                self.pause()

    def settings_of(self, collection_id: int) -> Settings:
        """The constructor's arguments as the ledger has them; our account may mint where it is not the owner."""
        row = self.journal.collection(collection_id)
        return Settings(
            name=row["name"],
            symbol=row["symbol"],
            owner=Address(row["owner"]),
            minter=ZERO_ADDRESS if row["owner"] == self.address else self.address,
            royalty_receiver=Address(row["royalty_receiver"]),
            royalty_bps=row["royalty_bps"],
            max_supply=row["max_supply"],
            info_digest=CID.parse(row["info_root"]).digest if row["info_root"] else bytes(32),
        )

    def _deploy(self, collection_id: int, init_code: bytes) -> None:
        try:
            gas = _with_margin(self.chain.estimate(self.address, None, init_code))
        except RpcError as error:
            raise _refusal("deploying the contract", error) from error
        if gas > MAX_GAS:
            raise LimitReached(limit="the gas limit of a transaction (EIP-7825)", value=MAX_GAS, needed=gas)
        nonce = self._next_nonce()
        contract = predicted_address(self.address, nonce)
        slot = self._sign(Intent("deploy", collection_id), nonce, None, init_code, gas, contract=contract)
        self._send(slot, slot.last)

    def _adopt_deployment(self, collection_id: int, settings: Settings) -> bool:
        """Find our own deployment that this ledger does not know, as when an older copy of the ledger was restored.

        It is ours when this account created it with a nonce the ledger never used, and its code and contractURI are
        exactly what deploying these settings would leave behind.
        """
        end = self.chain.nonce(self.address)
        nonces = range(max(self.journal.next_nonce(self._chain_key, self.address), end - DEPLOYMENTS_BACK), end)
        addresses = [predicted_address(self.address, nonce) for nonce in nonces]
        codes = self.chain.codes(addresses)
        if not any(codes):
            return False
        ours = self.chain.created_code(self.address, deploy_data(settings))
        uri = contract_uri(settings.info_digest)
        for address, code in zip(addresses, codes, strict=True):
            if code == ours and Collection(self.chain, address).state().contract_uri == uri:
                where = self._first_block_with(address)
                self.journal.adopt_collection(collection_id, address, where)
                self._say("adopted", f"contract {address} was deployed by this account before: using it")
                return True
        return False

    def _first_block_with(self, contract: Address) -> MinedIn:
        """The block that created a contract, by bisection; the genesis block where the node keeps no history."""
        low, high = 0, self.chain.head().number
        try:
            while low < high:
                middle = (low + high) // 2
                low, high = (low, middle) if self.chain.code(contract, middle) else (middle + 1, high)
        except RpcError:
            low = 0
        block = self.chain.block(low)
        assert block is not None
        return MinedIn(block.number, block.hash, None)

    def _check_code(self, contract: Address) -> Address:
        from pipeline.mint.compile import matches_source

        if not matches_source(self.chain.code(contract)):
            raise ChainError(
                reason=f"there is other code at {contract} than our contract's",
                hint="nothing was sent; check the RPC URL and the contract's address",
            )
        return contract

    # ── batches ──────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def has_room(self) -> bool:
        """True while another batch would be signed soon: the caller takes no batch that must wait in memory."""
        return len(self._queue) == 0

    @property
    def is_idle(self) -> bool:
        """True when every submitted batch was handed on and nothing of ours is unmined."""
        return not self._waiting and not self.journal.slots(self._chain_key, self.address, "live")

    def submit(self, batch: PinnedBatch) -> None:
        """Take a sealed batch; `settle` signs and sends what of it is not on the chain yet. Twice equals once.

        Batches come in token order. Raises BadRecipient, with nothing sent, for a contract that cannot hold tokens.
        """
        row = self.journal.batch(batch.plan.id)
        assert (row["start"], row["quantity"]) == (batch.plan.start, batch.plan.quantity), "not the planned batch"
        if batch.plan.id in self._submitted:
            return
        if self.journal.uncovered(batch.plan.id):
            check_recipients(self.chain, self.journal.recipients(batch.plan.id), self.address)
        self._submitted[batch.plan.id] = batch
        self._waiting.append(batch)
        self._enqueue(batch)

    def take_minted(self) -> list[MintedBatch]:
        """Batches that are deep enough now, each once, in the order of `submit`."""
        taken: list[MintedBatch] = []
        while self._waiting and self._head is not None:
            row = self.journal.batch(self._waiting[0].plan.id)
            if row["state"] not in ("mined", "final"):
                break
            if self._head.number - row["block_number"] + 1 < self.confirmations:
                break
            batch = self._waiting.popleft()
            taken.append(MintedBatch(batch.plan, batch.metadata.cid, row["tx_hash"], row["block_number"]))
        return taken

    def _enqueue(self, batch: PinnedBatch) -> None:
        queued = {unit.tokens.start for unit in self._queue}
        for tokens in self.journal.uncovered(batch.plan.id):
            if tokens.start not in queued:
                self._queue.append(_Unit(batch, tokens))

    # ── start ────────────────────────────────────────────────────────────────────────────────────────────────

    def recover(self, collection_id: int | None = None) -> list[str]:
        """Bring ledger and chain together after whatever ended the last run; a sentence for each thing found.

        First everything is checked, with nothing written to the chain: chain id and genesis block, the hash of every
        stored transaction, and that what was final still is. Raises WrongChain, Corrupt, or what `settle` raises.
        """
        if collection_id is not None:
            self._check_chain(collection_id)
        self._check_bytes()
        self._check_final()
        found = self._step_back(patient=False)
        live = self.journal.slots(self._chain_key, self.address, "live")
        look = self._look(live)
        found += [self._describe(slot, look) for slot in live]
        strangers = look.nonce - self.journal.next_nonce(self._chain_key, self.address)
        if strangers > 0 and self.journal.next_nonce(self._chain_key, self.address) > 0:
            found.append(f"{self.address} has sent {strangers} transactions that this ledger does not know")
        if collection_id is not None:
            found += self._adopt_known(collection_id)
        self.settle()
        return found

    def _check_chain(self, collection_id: int) -> None:
        row = self.journal.chain_of(collection_id)
        self.chain.check_identity(row["chain_id"], row["genesis_hash"])

    def _check_bytes(self) -> None:
        for slot in self.journal.slots(self._chain_key, self.address, "live", "mined"):
            for attempt in slot.attempts:
                if keccak(attempt.raw) != attempt.hash:
                    raise Corrupt(
                        what=self.ledger.path, reason=f"the signed transaction of nonce {slot.nonce} lost its hash"
                    )

    def _check_final(self) -> None:
        last = self.journal.last_final_block(self._chain_key)
        if last is None:
            return
        number, block_hash = last
        block = self.chain.block(number)
        if block is None or block.hash != block_hash:
            raise ChainError(
                reason=f"block {number} was final and is no longer part of the chain at {self.chain.rpc.shown}",
                hint="nothing was sent; compare with another node before going on",
            )

    def _describe(self, slot: Slot, look: _Look) -> str:
        tx, what = _short(slot.last.hash), f"for {slot}"
        if any(attempt.hash in look.receipts for attempt in slot.attempts):
            return f"transaction {tx} {what} was mined meanwhile: taking note of it"
        if any(self.chain.transaction(attempt.hash) for attempt in slot.attempts):
            return f"transaction {tx} {what} is waiting in the node's pool"
        if slot.last.sends == 0:
            return f"transaction {tx} {what} was signed but not sent: sending it"
        return f"transaction {tx} {what} is not on the chain: sending the same bytes again"

    def _adopt_known(self, collection_id: int) -> list[str]:
        row = self.journal.collection(collection_id)
        if row["contract"] is None or row["state"] not in ("mined", "final"):
            return []
        contract = Collection(self.chain, Address(row["contract"]))
        found = []
        for batch in self.journal.batches(collection_id, "sealed"):
            digest = CID.parse(batch["metadata_root"]).digest
            if self._adopt(contract, BatchPlan(batch["id"], batch["start"], batch["quantity"]), digest):
                last = batch["start"] + batch["quantity"] - 1
                found.append(f"tokens {batch['start']}-{last} are on the chain already: adopted")
        return found

    # ── one look, and what follows from it ───────────────────────────────────────────────────────────────────

    def settle(self) -> bool:
        """Look at the chain once and do what follows. True when something moved; else `pause` before the next look.

        Raises Reverted, ForeignTransaction, InsufficientFunds, LimitReached, WrongChain or RpcUnavailable; all that
        was learnt before is in the ledger, and the same call goes on from there.
        """
        if self._step_back(patient=True):
            return self._moved(True)
        live = self.journal.slots(self._chain_key, self.address, "live")
        look = self._look(live)
        if self._is_behind(look.head):
            return self._moved(False)
        self._head = look.head

        moved, problem = False, None
        for slot in live:
            attempt = next((a for a in slot.attempts if a.hash in look.receipts), None)
            if attempt is None:
                continue
            moved = True
            try:
                self._record(slot, attempt, look.receipts[attempt.hash])
            except PipelineError as error:  # all receipts are recorded before the first problem is told
                problem = problem or error
        if problem is not None:
            raise problem

        unmined = [slot for slot in live if not any(a.hash in look.receipts for a in slot.attempts)]
        self._chase(unmined, look)
        while self._queue and len(self.journal.slots(self._chain_key, self.address, "live")) < self._window:
            if not self._mint_next():
                break
            moved = True
        self._complete()
        return self._moved(moved)

    def pause(self) -> None:
        """Sleep until the next look makes sense: milliseconds on a development chain, seconds elsewhere."""
        first, longest = LOCAL_POLL_S if self.chain.is_local else POLL_S
        self._pause_s = min(max(1.5 * self._pause_s, first), longest)
        self._sleep(self._pause_s)

    def _moved(self, moved: bool) -> bool:
        if moved:
            self._pause_s = 0.0
        return moved

    def _look(self, live: list[Slot]) -> _Look:
        """Everything at once: who the chain is, its head, our nonce, and a receipt for every attempt."""
        hashes = [attempt.hash for slot in live for attempt in slot.attempts]
        answers = self.chain.rpc.batch(
            [
                ("eth_chainId", []),
                ("eth_getBlockByNumber", ["0x0", False]),
                ("eth_getBlockByNumber", ["latest", False]),
                ("eth_getTransactionCount", [self.address, "latest"]),
                *(("eth_getTransactionReceipt", [hex_data(tx_hash)]) for tx_hash in hashes),
            ]
        )
        chain_id, genesis, head, nonce, *receipts = map(accepted, answers)
        chain = self.chain
        expect_chain(chain.rpc, "chain id", chain.parsed_quantity("eth_chainId", chain_id), chain.chain_id)
        found_genesis = hex_data(chain.parsed_block(genesis).hash)
        expect_chain(chain.rpc, "the genesis block", found_genesis, hex_data(chain.genesis_hash))
        found = {
            tx_hash: receipt
            for tx_hash, answer in zip(hashes, receipts, strict=True)
            if (receipt := chain.parsed_receipt(answer, tx_hash)) is not None
        }
        return _Look(chain.parsed_block(head), chain.parsed_quantity("eth_getTransactionCount", nonce), found)

    def _is_behind(self, head: Block) -> bool:
        """A node that knows less than we saw before is stale; after a while we believe that the chain went back."""
        if self._head is None or head.number >= self._head.number:
            self._behind_since = None
            return False
        now = self._clock()
        self._behind_since = self._behind_since or now
        if now - self._behind_since < (LOCAL_STALE_S if self.chain.is_local else STALE_S):
            return True
        self._behind_since = None
        return False

    # ── reorg ────────────────────────────────────────────────────────────────────────────────────────────────

    def _step_back(self, *, patient: bool) -> list[str]:
        """Take back what stands on blocks that left the chain. Highest block first: below a canonical one all are.

        Where a block is missing altogether, a patient look waits for the node to catch up before it believes it.
        """
        gone: set[tuple[int, bytes]] = set()
        for number, block_hash in reversed(self.journal.mined_blocks(self._chain_key)):
            block = self.chain.block(number)
            if block is not None and block.hash == block_hash:
                break
            if block is None and patient and not gone and self._is_behind(self.chain.head()):
                return []
            gone.add((number, block_hash))
        if not gone:
            return []
        found = []
        for slot in self.journal.slots(self._chain_key, self.address, "mined"):
            mined = slot.mined
            if mined is not None and (mined.block_number, mined.block_hash) in gone:
                self.journal.back_to_live(slot, f"block {mined.block_number} is no longer part of the chain")
                self._forget(slot)
                found.append(f"block {mined.block_number} with {slot} is no longer part of the chain")
        found += self._forget_adoptions(gone)
        self._head = None
        for text in found:
            self._say("reorg", text)
        return found

    def _forget_adoptions(self, gone: set[tuple[int, bytes]]) -> list[str]:
        found = []
        for row in self.journal.adopted("collection", self._chain_key):
            if (row["block_number"], row["block_hash"]) in gone:
                self.journal.forget_adoption("collection", row["id"])
                found.append(
                    f"block {row['block_number']} with contract {row['contract']} is no longer part of the chain"
                )
        for row in self.journal.adopted("batch", self._chain_key):
            if (row["block_number"], row["block_hash"]) in gone:
                self.journal.forget_adoption("batch", row["id"])
                found.append(f"block {row['block_number']} with batch {row['id']} is no longer part of the chain")
                if row["id"] in self._submitted:
                    self._enqueue(self._submitted[row["id"]])
        return found

    def _forget(self, slot: Slot) -> None:
        for attempt in slot.attempts:
            self._first_seen.pop(attempt.id, None)
            self._last_sent.pop(attempt.id, None)

    # ── mined ────────────────────────────────────────────────────────────────────────────────────────────────

    def _record(self, slot: Slot, attempt: Attempt, receipt: Receipt) -> None:
        crash_point("mined_not_recorded")
        where = MinedIn(receipt.block_number, receipt.block_hash, attempt.hash)
        spent = receipt.gas_used * receipt.gas_price_wei
        if receipt.ok and self._did_it(slot, receipt):
            with self.ledger.atomic():
                self.journal.mark_mined(slot, attempt, where, receipt.gas_used, spent)
                crash_point("inside_mined_commit")
            crash_point("mined_recorded")
            self._say("mined", f"{slot} mined in block {receipt.block_number}", attempt.hash)
            return
        reason = self._why(attempt, receipt)
        self.journal.mark_reverted(slot, attempt, where, receipt.gas_used, spent, reason)
        self._say("reverted", f"{slot}: {reason}", attempt.hash)
        if not self._is_on_chain(slot):
            raise Reverted(
                what=f"transaction {hex_data(attempt.hash)} for {slot}",
                error=reason,
                hint="nothing was minted by it; give the same command again once the reason is gone",
            )

    def _did_it(self, slot: Slot, receipt: Receipt) -> bool:
        """A mint succeeded only with its Transfer events: a call to an address without code succeeds with nothing."""
        if slot.intent.purpose != "mint":
            return True
        assert slot.intent.collection is not None and slot.intent.start is not None and slot.intent.quantity is not None
        tokens = range(slot.intent.start, slot.intent.start + slot.intent.quantity)
        return minted_tokens(receipt, self._contract(slot.intent.collection).address) == list(tokens)

    def _why(self, attempt: Attempt, receipt: Receipt) -> str:
        """The reason of a revert: the same call again, on the state after its block."""
        if receipt.ok:
            return "it succeeded and minted nothing: there was no contract"
        if receipt.gas_used >= attempt.gas:
            return "out of gas"
        from eth_account.typed_transactions.typed_transaction import TypedTransaction
        from hexbytes import HexBytes

        tx = TypedTransaction.from_bytes(HexBytes(attempt.raw)).as_dict()
        try:
            if tx["to"]:
                to = Address("0x" + bytes(tx["to"]).hex())
                self.chain.call(to, bytes(tx["data"]), receipt.block_number, self.address)
            else:
                self.chain.created_code(self.address, bytes(tx["data"]))
        except RpcError as error:
            return _reason(error)
        return "no reason given"

    def _is_on_chain(self, slot: Slot) -> bool:
        """After a revert: whether the chain has the batch all the same, by an earlier transaction."""
        if slot.intent.purpose != "mint":
            return False
        assert slot.intent.collection is not None and slot.intent.batch is not None
        row = self.journal.batch(slot.intent.batch)
        plan = BatchPlan(row["id"], row["start"], row["quantity"])
        contract = self._contract(slot.intent.collection)
        return self._adopt(contract, plan, CID.parse(row["metadata_root"]).digest)

    # ── the chain knows more than the ledger ─────────────────────────────────────────────────────────────────

    def _adopt(self, contract: Collection, plan: BatchPlan, digest: bytes) -> bool:
        """Note a batch as minted when the contract has all of it: same token ids, same digest. False when it has not.

        Raises ForeignTransaction when the contract has other content under these token ids.
        """
        uncovered = self.journal.uncovered(plan.id)
        for tokens in uncovered:
            if self._present(contract, tokens, digest).stop != tokens.stop:
                return False
        if uncovered:
            where = self._where_minted(contract, uncovered[-1])
            self.journal.adopt_batch(plan.id, where)
            last = plan.start + plan.quantity - 1
            self._say("adopted", f"tokens {plan.start}-{last} are on the chain already", where.tx_hash)
        return True

    def _present(self, contract: Collection, tokens: range, digest: bytes) -> range:
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
        collection = self.ledger.row(
            "SELECT block_number FROM collection WHERE chain = ? AND contract = ?", (self._chain_key, contract.address)
        )
        event = contract.mint_log(tokens.stop - 1, collection["block_number"] or 0 if collection else 0)
        if event is not None:
            return MinedIn(event.block_number, event.block_hash, event.tx_hash)
        head = self.chain.head()
        return MinedIn(head.number, head.hash, None)

    def _complete(self) -> None:
        """Batches of which a part was found on the chain: note them as minted once their other part is."""
        queued = {unit.batch.plan.id for unit in self._queue}
        for batch in self._waiting:
            row = self.journal.batch(batch.plan.id)
            if row["state"] not in ("sealed", "live") or batch.plan.id in queued:
                continue
            if not self.journal.uncovered(batch.plan.id):
                continue
            if any(slot.state == "live" for slot in self.journal.slots_of_batch(batch.plan.id)):
                continue
            if not self._adopt(self._contract(row["collection"]), batch.plan, batch.metadata.cid.digest):
                self._enqueue(batch)

    # ── unmined: send again, bump, or lost ───────────────────────────────────────────────────────────────────

    def _chase(self, unmined: list[Slot], look: _Look) -> None:
        """Lowest nonce first, since the others wait for it."""
        if not unmined:
            return
        pool = self._pooled(unmined)
        for slot in unmined:
            for attempt in slot.attempts:
                self._first_seen.setdefault(attempt.id, self._clock())
            if look.nonce > slot.nonce:
                self._suspect(slot, look)
                continue
            self._consumed.pop(slot.id, None)
            if slot is unmined[0] and self._is_stuck(slot, look, pool) and (dearer := self._bump(slot)) is not None:
                self._send(dearer, dearer.last)
            elif not any(attempt.hash in pool for attempt in slot.attempts) and self._is_due(slot.last):
                if slot.last.sends:
                    self._say(
                        "resent", f"{slot}: the node does not know it, sending the same bytes again", slot.last.hash
                    )
                self._send(slot, slot.last)

    def _pooled(self, slots: list[Slot]) -> dict[bytes, Transaction]:
        hashes = [attempt.hash for slot in slots for attempt in slot.attempts]
        answers = self.chain.rpc.batch([("eth_getTransactionByHash", [hex_data(tx_hash)]) for tx_hash in hashes])
        return {
            tx_hash: found
            for tx_hash, answer in zip(hashes, answers, strict=True)
            if (found := self.chain.parsed_transaction(accepted(answer), tx_hash)) is not None
        }

    def _is_due(self, attempt: Attempt) -> bool:
        last = self._last_sent.get(attempt.id)
        return last is None or self._clock() - last >= (LOCAL_RESEND_S if self.chain.is_local else RESEND_S)

    def _is_stuck(self, slot: Slot, look: _Look, pool: dict[bytes, Transaction]) -> bool:
        last = slot.last
        if last.first_sent_block is None:
            return False
        if last.hash not in pool and look.head.base_fee_wei > last.max_fee_wei:
            return True  # nodes drop what cannot pay the base fee, and do not take it again
        waited_s = self._clock() - self._first_seen[last.id]
        return look.head.number - last.first_sent_block >= BUMP_BLOCKS or waited_s >= BUMP_S

    def _bump(self, slot: Slot) -> Slot | None:
        """The slot with a dearer attempt, or None where a limit forbids it; LimitReached after long waiting."""
        last = Fees(slot.last.max_fee_wei, slot.last.priority_fee_wei)
        wanted = bumped(last, self.chain.fees())
        fees = capped(wanted, self._limits.max_fee_wei)
        least = bumped(last, last)
        problem = None
        if fees.max_fee_wei < least.max_fee_wei or fees.priority_fee_wei < least.priority_fee_wei:
            problem = LimitReached(
                limit="the highest fee per gas (wei)", value=self._limits.max_fee_wei, needed=wanted.max_fee_wei
            )
        else:
            try:
                self._check_money(slot.last.gas * fees.max_fee_wei, replaced=slot)
            except LimitReached as error:
                problem = error
        if problem is None:
            self._stuck_since.pop(slot.id, None)
            self._say("bumped", f"{slot}: unmined for too long, raising its fee to {fees.max_fee_wei} wei")
            return self._sign(slot.intent, slot.nonce, *self._target(slot.last), slot.last.gas, fees=fees, slot=slot)
        since = self._stuck_since.setdefault(slot.id, self._clock())
        if since == self._clock():
            self._say("waiting", f"{slot}: waiting for lower fees; {problem}")
        if self._clock() - since > self._patience_s:
            raise problem
        return None

    def _target(self, attempt: Attempt) -> tuple[Address | None, bytes]:
        from eth_account.typed_transactions.typed_transaction import TypedTransaction
        from eth_utils.address import to_checksum_address
        from hexbytes import HexBytes

        tx = TypedTransaction.from_bytes(HexBytes(attempt.raw)).as_dict()
        return Address(to_checksum_address(bytes(tx["to"]))) if tx["to"] else None, bytes(tx["data"])

    def _suspect(self, slot: Slot, look: _Look) -> None:
        """The nonce is used and no attempt of ours has a receipt: lost, once several looks agree at full depth."""
        depth = self.confirmations if self.chain.is_local else max(self.confirmations, LOST_DEPTH)
        below = look.head.number - depth + 1
        if below < 0 or self.chain.nonce(self.address, below) <= slot.nonce:
            return
        self._consumed[slot.id] = self._consumed.get(slot.id, 0) + 1
        if self._consumed[slot.id] < LOST_LOOKS:
            return
        if any(self.chain.receipt(attempt.hash) for attempt in slot.attempts):
            return
        self.journal.mark_lost(slot)
        self._say("lost", f"nonce {slot.nonce} was used by another transaction", slot.last.hash)
        if not self._is_on_chain(slot):
            raise ForeignTransaction(
                what=f"nonce {slot.nonce} of {self.address}, signed for {slot}, was used by another transaction"
            )

    # ── sign and send ────────────────────────────────────────────────────────────────────────────────────────

    def _mint_next(self) -> bool:
        """Sign and send the first queued unit; False when it has to wait for its predecessors."""
        unit = self._queue[0]
        batch = self.journal.batch(unit.batch.plan.id)
        if self.journal.collection(batch["collection"])["state"] not in ("mined", "final"):
            return False  # a reorg took the contract; its deployment is on its way again
        contract = self._contract(batch["collection"])
        digest = unit.batch.metadata.cid.digest
        in_flight = any(
            slot.intent.purpose == "mint" for slot in self.journal.slots(self._chain_key, self.address, "live")
        )
        start = contract.next_token_id()
        if not in_flight and start > unit.tokens.start:
            present = self._present(contract, unit.tokens, digest)
            if self._adopt(contract, unit.batch.plan, digest) or present.stop == unit.tokens.stop:
                self._queue.popleft()
                return True
            unit = _Unit(unit.batch, range(present.stop, unit.tokens.stop))

        everyone = self.journal.recipients(unit.batch.plan.id)
        first = unit.tokens.start - unit.batch.plan.start
        recipients = everyone[first : first + len(unit.tokens)]
        gas = self._gas_of(contract, unit, recipients, digest, start if in_flight else unit.tokens.start)
        if gas is None:
            return False
        if gas > self._most_gas():
            self._split(unit, gas)
            return True
        intent = Intent("mint", batch["collection"], batch["id"], unit.tokens.start, len(unit.tokens))
        data = mint_call(unit.tokens.start, recipients, digest)
        slot = self._sign(intent, self._next_nonce(), contract.address, data, gas)
        self._queue.popleft()
        self._send(slot, slot.last)
        return True

    def _gas_of(
        self, contract: Collection, unit: _Unit, recipients: list[Address], digest: bytes, start: int
    ) -> int | None:
        """Gas for a unit, with margin; None when the estimate has to be made again after the next look.

        A mint whose predecessors are unmined would revert now. So it is estimated as if it were next: the same work
        with another number for the start, which is never signed.
        """
        try:
            estimate = self.chain.estimate(self.address, contract.address, mint_call(start, recipients, digest))
        except RpcError as error:
            reason = _reason(error)
            if reason.startswith("UnexpectedStart("):
                if start != unit.tokens.start:
                    return None  # a predecessor was mined meanwhile
                self._present(contract, unit.tokens, digest)  # tells whose tokens these are
            elif error.fields["data"] is None and len(unit.tokens) > 1:
                return MAX_GAS + 1  # nodes answer so when it does not fit into a block
            raise _refusal(f"minting tokens {unit.tokens.start}-{unit.tokens.stop - 1}", error) from error
        return _with_margin(estimate) + START_DIGITS_GAS

    def _most_gas(self) -> int:
        head = self._head or self.chain.head()
        return min(MAX_GAS, head.gas_limit // 2)

    def _split(self, unit: _Unit, gas: int) -> None:
        """Two transactions for a unit that is too big for one; root and digest stay."""
        if len(unit.tokens) == 1:
            raise LimitReached(limit="the gas a transaction may have", value=self._most_gas(), needed=gas)
        middle = unit.tokens.start + len(unit.tokens) // 2
        self._queue.popleft()
        self._queue.appendleft(_Unit(unit.batch, range(middle, unit.tokens.stop)))
        self._queue.appendleft(_Unit(unit.batch, range(unit.tokens.start, middle)))
        self._say("split", f"tokens {unit.tokens.start}-{unit.tokens.stop - 1} need two transactions on this chain")

    def _next_nonce(self) -> int:
        """The ledger's next nonce, but none that the chain has seen: somebody may have used the account elsewhere."""
        nonce = max(self.journal.next_nonce(self._chain_key, self.address), self.chain.nonce(self.address))
        if nonce == 0 and self.chain.is_ganache:
            # Ganache executes the bytes of nonce 0 again whenever they are sent again: nothing of value goes there.
            slot = self._sign(Intent("filler"), 0, self.address, b"", TRANSFER_GAS)
            self._send(slot, slot.last)
            return 1
        return nonce

    def _sign(
        self,
        intent: Intent,
        nonce: int,
        to: Address | None,
        data: bytes,
        gas: int,
        *,
        fees: Fees | None = None,
        slot: Slot | None = None,
        contract: Address | None = None,
    ) -> Slot:
        """Sign, and commit nonce, bytes and reserved money, before anybody else sees the bytes."""
        crash_point("nonce_chosen")
        if fees is None:
            fees = self._market()
            self._check_money(gas * fees.max_fee_wei)
        tx: dict[str, Any] = {
            "type": 2,
            "chainId": self.chain.chain_id,
            "nonce": nonce,
            "value": 0,
            "gas": gas,
            "maxFeePerGas": fees.max_fee_wei,
            "maxPriorityFeePerGas": fees.priority_fee_wei,
            "data": data,
        }
        raw, tx_hash = signed(self._signer, tx | ({"to": to} if to else {}))
        crash_point("signed_not_persisted")
        attempt = Signed(raw, tx_hash, gas, fees.max_fee_wei, fees.priority_fee_wei, self._wall_clock())
        with self.ledger.atomic():
            if slot is not None:
                slot = self.journal.add_attempt(slot, attempt)
            else:
                slot = self.journal.reserve(self._chain_key, self.address, nonce, intent, self._run, attempt)
            if contract is not None and intent.collection is not None:
                self.journal.name_contract(intent.collection, contract)
        crash_point("persisted_not_sent")
        self._say("signed", f"{slot}: transaction {_short(tx_hash)} with nonce {nonce}", tx_hash)
        return slot

    def _market(self) -> Fees:
        fees, cap = self.chain.fees(), self._limits.max_fee_wei
        least = least_fee_wei(fees)
        if cap is not None and least > cap:
            raise LimitReached(limit="the highest fee per gas (wei)", value=cap, needed=least)
        return capped(fees, cap)

    def _check_money(self, cost_wei: int, replaced: Slot | None = None) -> None:
        """Raise LimitReached or InsufficientFunds unless `cost_wei` may be reserved and can be paid."""
        freed = replaced.reserved_wei if replaced is not None else 0
        run = self.journal.spent_or_reserved_wei(run=self._run) - freed if self._run is not None else 0
        day = self.journal.spent_or_reserved_wei(since=self._wall_clock() - DAY_S) - freed
        check_spending(self._limits, cost_wei, run, day)
        live = self.journal.slots(self._chain_key, self.address, "live")
        needed = sum(slot.reserved_wei for slot in live) - freed + cost_wei
        balance = self.chain.balance(self.address)
        if balance < needed:
            raise InsufficientFunds(address=self.address, balance_wei=balance, needed_wei=needed)

    def _send(self, slot: Slot, attempt: Attempt) -> None:
        """Send signed bytes unless the chain knows them. What the node answers to it decides nothing."""
        if self._is_known(attempt.hash):
            return
        refusal: RpcError | RpcUnavailable | None = None
        try:
            self.chain.send(attempt.raw)
        except (RpcError, RpcUnavailable) as error:
            refusal = error
        crash_point("sent_not_recorded")
        self._last_sent[attempt.id] = self._clock()
        self._first_seen.setdefault(attempt.id, self._clock())
        self.journal.mark_sent(attempt, (self._head or self.chain.head()).number)
        if refusal is None:
            self._say("sent", f"{slot}: sent", attempt.hash)
            return
        self._say("refused", f"{slot}: {refusal}", attempt.hash)
        balance, needed = self.chain.balance(self.address), attempt.gas * attempt.max_fee_wei
        if isinstance(refusal, RpcError) and balance < needed and not self._is_known(attempt.hash):
            raise InsufficientFunds(address=self.address, balance_wei=balance, needed_wei=needed) from refusal

    def _is_known(self, tx_hash: bytes) -> bool:
        """Whether the chain or the node's pool has a transaction."""
        answers = self.chain.rpc.batch([(name, [hex_data(tx_hash)]) for name in LOOK_UPS])
        receipt, transaction = map(accepted, answers)
        return (
            self.chain.parsed_receipt(receipt, tx_hash) is not None
            or self.chain.parsed_transaction(transaction, tx_hash) is not None
        )

    def _contract(self, collection_id: int) -> Collection:
        return Collection(self.chain, Address(self.journal.collection(collection_id)["contract"]))

    def _say(self, kind: str, text: str, tx: bytes | None = None) -> None:
        log.debug("%s: %s", kind, text)
        self._tell(ChainEvent(kind, text, tx))

    # ── final ────────────────────────────────────────────────────────────────────────────────────────────────

    def finalize(self) -> int:
        """Note as final what the chain's finalized block covers; the number of batches that became so."""
        return finalize(self.ledger, self.chain)


def finalize(ledger: Ledger, chain: Chain) -> int:
    """Note as final everything mined at or below the chain's finalized block, where the block hash is still the same.

    Returns the number of batches that became final. Needs no signer: any later command may call it.
    """
    journal = Journal(ledger)
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


def _with_margin(gas: int) -> int:
    return -(-gas * GAS_MARGIN[0] // GAS_MARGIN[1])


def _reason(error: RpcError) -> str:
    return decoded_error(error.fields["data"]) if error.fields["data"] else str(error.fields["message"])


def _refusal(what: str, error: RpcError) -> Reverted:
    return Reverted(what=what, error=_reason(error), hint="nothing was sent")


def _short(tx_hash: bytes) -> str:
    return f"0x{tx_hash.hex()[:8]}…"
