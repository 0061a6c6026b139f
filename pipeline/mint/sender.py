"""From intent to chain, exactly once: deploys, mints, watches, sends again, and never guesses.

An error from sending says nothing about the outcome. So every transaction is signed and written down before its first
byte leaves; before it is sent, again or for the first time, its receipt and then itself are looked up by hash; and what
is sent again are the same bytes. The chain's word counts, and only as long as its block is part of the chain: `mined`
is compared with the canonical block hash at every look. The contract is the last lock: each mint names the token id
that it expects to start at, so a second one reverts.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pipeline.base.crash import crash_point
from pipeline.base.errors import (
    AccountBusy,
    BadArgument,
    ChainError,
    InsufficientFunds,
    LimitReached,
    NotOwner,
    PipelineError,
    Reverted,
    RpcError,
    RpcUnavailable,
)
from pipeline.base.limits import MAX_GAS
from pipeline.base.records import Address, MintedBatch, PinnedBatch
from pipeline.ledger import Ledger
from pipeline.ledger.journal import Attempt, Intent, Signed, Slot
from pipeline.mint.chain import Chain, Transaction
from pipeline.mint.collection import (
    Collection,
    check_recipients,
    deploy_data,
    mint_call,
    predicted_address,
    transfer_call,
)
from pipeline.mint.fees import Fees, Limits, bumped, capped, check_spending, least_fee_wei
from pipeline.mint.refusals import (
    asks_too_often,
    is_final,
    is_underpriced,
    needs_too_much_gas,
    says_known,
    says_taken,
)
from pipeline.mint.rpc import is_final_status
from pipeline.mint.signer import Signer, signed
from pipeline.mint.watcher import ChainEvent, Look, Watcher, call_of, reason_of, short

WINDOW = 16  # transactions in flight: bounds what a lost nonce can hold up
GAS_MARGIN = 6, 5  # 20 % above the estimate: the state may have moved until it is mined
START_DIGITS_GAS = 32 * 12  # an estimate with another start: at most 32 bytes of call data turn from zero to non-zero
TRANSFER_GAS = 21_000

BUMP_BLOCKS = 3
LEAST_BUMP_S = 12.0  # whatever the blocks: on a chain with four of them a second, three are no time at all
BUMP_S = 48.0  # four slots of Ethereum: for chains whose blocks stand still
RESEND_S = 12.0  # behind a load balancer a node may learn of a transaction only seconds later
BUSY_RESEND_S = 2.0  # after "too often"
TOO_MANY_REQUESTS = 429  # of HTTP
LOCAL_RESEND_S = 0.5
REFUSED_S = 120.0  # of refusals that say neither "never" nor what would help, until the run ends with the node's words
DAY_S = 24 * 3600
POLL_S, LOCAL_POLL_S = (1.0, 4.0), (0.01, 0.05)  # first and longest pause between two looks


@dataclass(frozen=True, slots=True)
class _Unit:
    """A token range of a batch that goes into one transaction."""

    batch: PinnedBatch
    tokens: range


class Sender:
    """The one that sends transactions of one account on one chain. One thread, one process at a time.

    Where a ledger is shared that is a lock at its server, kept until the ledger is closed; before anything is signed or
    sent it is asked for, and where it was lost LedgerUnreachable ends the run. Raises WorkspaceLocked beside another.

    `confirmations` is the depth at which a batch is handed on; 1 is the block that holds it. `on_event` is called with
    a ChainEvent whenever there is something to tell, `before_signing` with what each signature is for: what it raises
    leaves nothing signed. Start with `recover`.
    """

    def __init__(
        self,
        ledger: Ledger,
        chain: Chain,
        signer: Signer,
        limits: Limits,
        run_id: int | None,
        confirmations: int = 1,
        on_event: Callable[[ChainEvent], None] = lambda _: None,
        *,
        before_signing: Callable[[Intent], None] = lambda _: None,
        window: int = WINDOW,
        patience_s: float = 600.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        if confirmations < 1:
            raise BadArgument(name="confirmations", value=confirmations, expected="1 or more")
        ledger.hold(f"signing by {signer.address} on chain {chain.chain_id}")
        self.ledger = ledger
        self.chain = chain
        self.address = signer.address
        self.confirmations = confirmations
        self.journal = ledger.journal
        self.watcher = Watcher(ledger, chain, signer.address, confirmations, on_event, clock=clock)
        self._before_signing = before_signing
        self._signer = signer
        self._limits = limits
        self._run = run_id
        self._window = min(window, WINDOW)
        self._patience_s = patience_s
        self._clock = clock
        self._sleep = sleep
        self._wall_clock = wall_clock

        self._collection: int | None = None  # whose contract is to be kept on the chain
        self._submitted: dict[int, PinnedBatch] = {}  # by ledger key, in token order
        self._waiting: deque[PinnedBatch] = deque()  # not handed on yet
        self._queue: deque[_Unit] = deque()  # not signed yet
        self._pause_s = 0.0
        self._first_seen: dict[int, float] = {}  # by attempt, when this process first looked at it
        self._last_sent: dict[int, float] = {}  # by attempt
        self._behind_since: float | None = None  # when the chain was first seen to lack a mined predecessor
        self._stuck_since: dict[int, float] = {}  # by slot, when a bump was first out of reach
        self._refusals: dict[int, RpcError] = {}  # by attempt, the node's last word when it was sent
        self._busy: set[int] = set()  # attempts that the node had no time for
        self._refused_since: dict[int, float] = {}  # by slot, for no reason that is known here
        self._taken_since: dict[int, float] = {}  # by nonce, when another transaction was first seen to wait with it

    # ── the contract ─────────────────────────────────────────────────────────────────────────────────────────

    def ensure_deployed(self, collection_id: int) -> Address:
        """The collection's contract, deployed at most once, with the settings that the ledger has.

        Returns when the deployment is in a block. Raises WrongChain when the collection lives on another chain.
        """
        self.watcher.check_chain(collection_id)
        self._collection = collection_id
        while True:
            address = self.ledger.collections.get(collection_id).deployed_at
            if address is not None:
                if self.watcher.has_code(address):
                    self._behind_since = None
                    return address
                if not self._may_catch_up():
                    raise ChainError(reason=f"there is no code at {address}, where the contract is in a block")
            if not self.settle():
                self.pause()

    def _keep_contract(self) -> None:
        """Deploy what is only planned: at the start, and after a reorg took a contract that had been adopted."""
        if self._collection is None or self.ledger.collections.get(self._collection).state != "planned":
            return
        if not self.watcher.adopt_deployment(self._collection):
            self._deploy(self._collection)

    def _deploy(self, collection_id: int) -> None:
        init_code = deploy_data(self.watcher.settings_of(collection_id))
        try:
            gas = _with_margin(self.chain.estimate(self.address, None, init_code))
        except RpcError as error:
            if error.fields["data"] is None:
                self.chain.check_opcodes()
            raise _refusal("deploying the contract", error) from error
        if gas > MAX_GAS:
            raise LimitReached(limit="the gas limit of a transaction (EIP-7825)", value=MAX_GAS, needed=gas)
        nonce = self._deployment_nonce(collection_id)
        if nonce is None:
            return
        contract = predicted_address(self.address, nonce)
        slot = self._sign(Intent("deploy", collection_id), nonce, None, init_code, gas, contract=contract)
        self._send(slot, slot.last)

    def _deployment_nonce(self, collection_id: int) -> int | None:
        """The nonce that an adopted contract had before a reorg took it, when it is free: it gives the same address.

        None, as `_next_nonce`. Mints that are signed for that address stay good, and the gap before their nonces is filled.
        """
        lost = self.ledger.collections.get(collection_id).contract
        free = self.chain.nonce(self.address)
        if (
            lost is not None
            and predicted_address(self.address, free) == lost
            and not self.journal.uses(self.watcher.chain_key, self.address, free)
        ):
            return free if self._is_free(free) else None
        return self._next_nonce()

    # ── batches ──────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def has_room(self) -> bool:
        """True while another batch would be signed soon: the caller takes no batch that must wait in memory."""
        return len(self._queue) == 0

    @property
    def is_idle(self) -> bool:
        """True when every submitted batch was handed on and nothing of ours is unmined."""
        return not self._waiting and not self._queue and not self.watcher.live()

    def submit(self, batch: PinnedBatch) -> None:
        """Take a sealed batch; `settle` signs and sends what of it is not on the chain yet. Twice equals once.

        Batches come in token order. Raises BadRecipient, with nothing sent, for a contract that cannot hold tokens.
        """
        assert self.ledger.batches.get(batch.plan.id).plan == batch.plan, "not the planned batch"
        if batch.plan.id in self._submitted:
            return
        if self.journal.uncovered(batch.plan.id):
            check_recipients(self.chain, self.ledger.tokens.recipients(batch.plan.id), self.address)
        self._submitted[batch.plan.id] = batch
        self._waiting.append(batch)
        self._enqueue(batch)

    def take_minted(self) -> list[MintedBatch]:
        """Batches that are deep enough now, each once, in the order of `submit`."""
        taken: list[MintedBatch] = []
        while self._waiting and self.watcher.head is not None:
            known = self.ledger.batches.get(self._waiting[0].plan.id)
            if not known.is_mined or known.block_number is None:
                break
            if self.watcher.head.number - known.block_number + 1 < self.confirmations:
                break
            batch = self._waiting.popleft()
            taken.append(MintedBatch(batch.plan, batch.metadata.cid, known.tx_hash, known.block_number))
        return taken

    def _enqueue(self, batch: PinnedBatch) -> None:
        queued = {unit.tokens.start for unit in self._queue}
        for tokens in self.journal.uncovered(batch.plan.id):
            if tokens.start not in queued:
                self._queue.append(_Unit(batch, tokens))
        self._queue = deque(sorted(self._queue, key=lambda unit: unit.tokens.start))

    # ── a transfer ───────────────────────────────────────────────────────────────────────────────────────────

    def transfer(self, collection_id: int, token_id: int, recipient: Address) -> bool:
        """Give a token of our account to `recipient`; False when it is theirs already, and nothing was sent.

        Returns at the depth of confirmations that was asked for. Called again after any interruption it finds the
        transfer in the journal, or done. Raises BadArgument for an unknown token or beside an unfinished transfer of it
        to somebody else, NotOwner, BadRecipient, and what `settle` raises.
        """
        self.watcher.check_chain(collection_id)
        contract = self.watcher.contract(collection_id)
        slot = self.journal.unfinished_transfer(collection_id, token_id)
        if slot is not None and slot.intent.recipient != recipient:
            raise BadArgument(name="--to", value=recipient, expected=f"another token: {slot} is not settled yet")
        if slot is None:
            (owner,) = contract.owners_of([token_id])
            if owner is None:
                raise BadArgument(name="token id", value=token_id, expected=f"1 to {contract.next_token_id() - 1}")
            if owner == recipient:
                return False
            if owner != self.address:
                raise NotOwner(token_id=token_id, owner=owner, account=self.address)
            check_recipients(self.chain, [recipient], self.address)
            slot = self._sign_transfer(contract, Intent("transfer", collection_id, None, token_id, 1, recipient))
            self._send(slot, slot.last)
        self._await(slot)
        return True

    def transfer_gas(self, collection_id: int, token_id: int, recipient: Address) -> int:
        """Gas that giving a token of our account away would use. Raises Reverted where the contract refuses."""
        to, data = self.watcher.contract(collection_id).address, transfer_call(self.address, recipient, token_id)
        try:
            return self.chain.estimate(self.address, to, data)
        except RpcError as error:
            raise _refusal(f"transferring token {token_id}", error) from error

    def _sign_transfer(self, contract: Collection, intent: Intent) -> Slot:
        assert intent.collection is not None and intent.start is not None and intent.recipient is not None
        data = transfer_call(self.address, intent.recipient, intent.start)
        gas = _with_margin(self.transfer_gas(intent.collection, intent.start, intent.recipient))
        while (nonce := self._next_nonce()) is None:
            if not self.settle():
                self.pause()
        return self._sign(intent, nonce, contract.address, data, gas)

    def _await(self, slot: Slot) -> None:
        """Settle until a transaction is as deep as was asked for."""
        while True:
            mined = self.journal.slot(slot.id).mined
            head = self.watcher.head
            if mined is not None and head is not None:
                assert mined.block_number is not None
                if head.number - mined.block_number + 1 >= self.confirmations:
                    return
            if not self.settle():
                self.pause()

    # ── withdrawing ──────────────────────────────────────────────────────────────────────────────────────────

    def withdraw(self, collection_id: int) -> None:
        """Have nothing in flight that deploys or mints for a collection, with nothing of it left to chance.

        What is mined meanwhile stays. For each of the others an empty transaction is signed at the same nonce, at a
        higher fee, and written down before it is sent; either of the two is mined, and never both. Returns when that is
        so at the depth of confirmations. Called again after any interruption it finds what it signed. Raises what
        `settle` raises, but for a mint that the contract refused: its tokens are free, as they were to be.
        """
        self.watcher.check_chain(collection_id)
        self.watcher.check_ledger()
        self.watcher.step_back(patient=False)
        watched = [slot.id for slot in self._unsettled(collection_id)]
        self._replace_unmined(watched)
        while not all([self.watcher.is_settled(self.journal.slot(key)) for key in watched]):
            try:
                moved = self.settle()
            except Reverted as error:
                self._say("reverted", str(error))
                moved = True
            self._replace_unmined(watched)  # a reorg may have brought one back
            if not moved:
                self.pause()

    def _replace_unmined(self, watched: list[int]) -> None:
        """Before anything is sent again: what was signed and perhaps never sent must not leave the machine now."""
        live = [slot for slot in map(self.journal.slot, watched) if slot.state == "live"]
        look = self.watcher.look(live)
        for slot in live:
            is_mined = any(attempt.hash in look.receipts for attempt in slot.attempts)
            if not is_mined and look.nonce <= slot.nonce and not self.watcher.is_empty(slot.last):
                self._replace(slot)

    def _unsettled(self, collection_id: int) -> list[Slot]:
        """What may yet be mined, and what an empty transaction replaced, perhaps a moment ago; lowest nonce first.

        Raises BadArgument when another account signed it.
        """
        live = self.journal.makers(collection_id, "live")
        foreign = next((slot.sender for slot in live if slot.sender != self.address), None)
        if foreign is not None:
            raise BadArgument(
                name="--keystore", value=self.address, expected=f"the account that signed what is in flight, {foreign}"
            )
        refused = self.journal.makers(collection_id, "reverted")
        replaced = [slot for slot in refused if slot.mined is not None and self.watcher.is_empty(slot.mined)]
        return sorted([*live, *replaced], key=lambda slot: slot.nonce)

    def _replace(self, slot: Slot) -> None:
        """Sign and send an empty transaction at the nonce of one that may be in flight."""
        last = Fees(slot.last.max_fee_wei, slot.last.priority_fee_wei)
        wanted, least = bumped(last, self.chain.fees()), bumped(last, last)
        fees = capped(wanted, self._limits.max_fee_wei)
        if fees.max_fee_wei < least.max_fee_wei or fees.priority_fee_wei < least.priority_fee_wei:
            raise LimitReached(
                limit="the highest fee per gas (wei)", value=self._limits.max_fee_wei, needed=wanted.max_fee_wei
            )
        gas = max(TRANSFER_GAS, _with_margin(self.chain.estimate(self.address, self.address, b"")))
        self._check_money(gas * fees.max_fee_wei, replaced=slot)
        slot = self._sign(slot.intent, slot.nonce, self.address, b"", gas, fees=fees, slot=slot)
        self._say(
            "replaced",
            f"{slot}: an empty transaction takes its nonce {slot.nonce}, for at most {gas * fees.max_fee_wei} wei",
            slot.last.hash,
        )
        self._send(slot, slot.last)

    # ── start ────────────────────────────────────────────────────────────────────────────────────────────────

    def recover(self, collection_id: int | None = None) -> list[str]:
        """Bring ledger and chain together after whatever ended the last run; a sentence for each thing found.

        First everything is checked, with nothing written to the chain: chain id and genesis block, the hash of every
        stored transaction, and that what was final still is. Raises WrongChain, Corrupt, or what `settle` raises.
        """
        if collection_id is not None:
            self.watcher.check_chain(collection_id)
        self.watcher.check_ledger()
        found = self.watcher.step_back(patient=False)
        live = self.watcher.live()
        look = self.watcher.look(live)
        found += [self.watcher.describe(slot, look) for slot in live]
        strangers = look.nonce - self.journal.next_nonce(self.watcher.chain_key, self.address)
        if strangers > 0 and self.journal.next_nonce(self.watcher.chain_key, self.address) > 0:
            found.append(f"{self.address} has sent {strangers} transactions that this ledger does not know")
        if collection_id is not None:
            found += self.watcher.adopt_known(collection_id)
        self.settle()
        return found

    # ── one look, and what follows from it ───────────────────────────────────────────────────────────────────

    def settle(self) -> bool:
        """Look at the chain once and do what follows. True when something moved; else `pause` before the next look.

        Raises Reverted, ForeignTransaction, InsufficientFunds, LimitReached, WrongChain or RpcUnavailable; all that
        was learnt before is in the ledger, and the same call goes on from there.
        """
        self.ledger.check_holds()
        if self.watcher.step_back(patient=True):
            self._begin_again()
            return self._moved(True)
        live = self.watcher.live()
        look = self.watcher.look(live)
        if self.watcher.is_behind(look.head):
            return self._moved(False)
        self.watcher.head = look.head

        moved, problem = False, None
        for slot in live:
            attempt = next((a for a in slot.attempts if a.hash in look.receipts), None)
            if attempt is None:
                continue
            moved = True
            try:
                self.watcher.record(slot, attempt, look.receipts[attempt.hash])
            except PipelineError as error:  # all receipts are recorded before the first problem is told
                if slot.run in (None, self._run):
                    problem = problem or error
                else:  # its own run meets it again, and this one is not held up
                    self._say("refused", f"{slot} of another run: {error}", attempt.hash)
        if problem is not None:
            raise problem

        unmined = [slot for slot in live if not any(a.hash in look.receipts for a in slot.attempts)]
        self._chase(unmined, look)
        self._keep_contract()
        while self._queue and len(self.watcher.live()) < self._window:
            if not self._mint_next():
                break
            moved = True
        self._complete()
        return self._moved(moved)

    def _begin_again(self) -> None:
        """After a reorg: whatever is unmined now may be sent at once, and what stood on an adoption is queued again."""
        self._first_seen.clear()
        self._last_sent.clear()
        for batch in self._submitted.values():
            self._enqueue(batch)

    def pause(self) -> None:
        """Sleep until the next look makes sense: milliseconds on a development chain, seconds elsewhere."""
        first, longest = LOCAL_POLL_S if self.chain.is_local else POLL_S
        self._pause_s = min(max(1.5 * self._pause_s, first), longest)
        self._sleep(self._pause_s)

    def _moved(self, moved: bool) -> bool:
        if moved:
            self._pause_s = 0.0
        return moved

    def _complete(self) -> None:
        """Batches of which a part was found on the chain: note them as minted once their other part is."""
        queued = {unit.batch.plan.id for unit in self._queue}
        for batch in self._waiting:
            known = self.ledger.batches.get(batch.plan.id)
            if known.state not in ("sealed", "live") or batch.plan.id in queued:
                continue
            if not self.journal.uncovered(batch.plan.id):
                continue
            if any(slot.state == "live" for slot in self.journal.slots_of_batch(batch.plan.id)):
                continue
            if not self.watcher.adopt(self.watcher.contract(known.collection), batch.plan, batch.metadata.cid.digest):
                self._enqueue(batch)

    # ── unmined: send again, bump, or lost ───────────────────────────────────────────────────────────────────

    def _chase(self, unmined: list[Slot], look: Look) -> None:
        """Lowest nonce first, since the others wait for it."""
        if not unmined:
            return
        pool = self.watcher.pooled(unmined)
        for slot in unmined:
            for attempt in slot.attempts:
                self._first_seen.setdefault(attempt.id, self._clock())
            if self.watcher.suspect(slot, look):
                continue
            goes_first = slot is unmined[0] or self._has_a_price(slot)
            if goes_first and self._is_stuck(slot, look, pool) and (dearer := self._bump(slot)) is not None:
                self._send(dearer, dearer.last)
            elif not any(attempt.hash in pool for attempt in slot.attempts) and self._is_due(slot.last):
                if slot.last.sends:
                    self._say(
                        "resent", f"{slot}: the node does not know it, sending the same bytes again", slot.last.hash
                    )
                self._send(slot, slot.last)

    def _is_due(self, attempt: Attempt) -> bool:
        last = self._last_sent.get(attempt.id)
        pause_s = LOCAL_RESEND_S if self.chain.is_local else RESEND_S
        if attempt.id in self._busy:
            pause_s = min(pause_s, BUSY_RESEND_S)
        return last is None or self._clock() - last >= pause_s

    def _is_stuck(self, slot: Slot, look: Look, pool: dict[bytes, Transaction]) -> bool:
        """Whether another fee would help: not where a stranger holds the nonce, or the node refuses for another reason."""
        last = slot.last
        if last.first_sent_block is None or slot.nonce in self._taken_since:
            return False
        if last.hash not in pool:
            if look.head.base_fee_wei > last.max_fee_wei:
                return True  # nodes drop what cannot pay the base fee, and do not take it again
            refusal = self._refusals.get(last.id)
            if refusal is not None and not is_underpriced(refusal):
                return False
            if self._has_a_price(slot):
                return True
        waited_s = self._clock() - self._first_seen[last.id]
        blocks = look.head.number - last.first_sent_block
        return waited_s >= BUMP_S or (blocks >= BUMP_BLOCKS and waited_s >= LEAST_BUMP_S)

    def _has_a_price(self, slot: Slot) -> bool:
        """Whether the node refused the last attempt for less than it demands, and demands what we know."""
        refusal, demanded = self._refusals.get(slot.last.id), self.chain.least_priority_wei
        return refusal is not None and is_underpriced(refusal) and slot.last.priority_fee_wei < demanded

    def _bump(self, slot: Slot) -> Slot | None:
        """The slot with a dearer attempt, or None where a limit forbids it; LimitReached after long waiting."""
        last = Fees(slot.last.max_fee_wei, slot.last.priority_fee_wei)
        wanted = bumped(last, self.chain.fees())
        fees = capped(wanted, self._limits.max_fee_wei)
        least = bumped(last, last)
        problem = None
        demanded = max(least.priority_fee_wei, self.chain.least_priority_wei)
        if fees.max_fee_wei < least.max_fee_wei or fees.priority_fee_wei < demanded:
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
            return self._sign(slot.intent, slot.nonce, *call_of(slot.last.raw), slot.last.gas, fees=fees, slot=slot)
        since = self._stuck_since.setdefault(slot.id, self._clock())
        if since == self._clock():
            self._say("waiting", f"{slot}: waiting for lower fees; {problem}")
        if self._clock() - since > self._patience_s:
            raise problem
        return None

    # ── sign and send ────────────────────────────────────────────────────────────────────────────────────────

    def _mint_next(self) -> bool:
        """Sign and send the first queued unit; False when it has to wait for its predecessors."""
        unit = self._queue[0]
        batch = self.ledger.batches.get(unit.batch.plan.id)
        if self.ledger.collections.get(batch.collection).deployed_at is None:
            return False  # a reorg took the contract; its deployment is on its way again
        contract = self.watcher.contract(batch.collection)
        digest = unit.batch.metadata.cid.digest
        in_flight = any(slot.intent.purpose == "mint" for slot in self.watcher.live())
        start = contract.next_token_id()
        if not in_flight and start > unit.tokens.start:
            present = self.watcher.present(contract, unit.tokens, digest)
            if self.watcher.adopt(contract, unit.batch.plan, digest) or present.stop == unit.tokens.stop:
                self._queue.popleft()
                return True
            unit = _Unit(unit.batch, range(present.stop, unit.tokens.stop))
        if not in_flight and start < unit.tokens.start and self._may_catch_up():
            return False  # a reorg took what is before these tokens, just after the last look at the chain

        nonce = self._next_nonce()
        if nonce is None:
            return False
        everyone = self.ledger.tokens.recipients(unit.batch.plan.id)
        first = unit.tokens.start - unit.batch.plan.start
        recipients = everyone[first : first + len(unit.tokens)]
        gas = self._gas_of(contract, unit, recipients, digest, start if in_flight else unit.tokens.start)
        if gas is None:
            return False
        if gas > self._most_gas():
            self._split(unit, gas)
            return True
        intent = Intent("mint", batch.collection, batch.id, unit.tokens.start, len(unit.tokens))
        data = mint_call(unit.tokens.start, recipients, digest)
        slot = self._sign(intent, nonce, contract.address, data, gas)
        self._queue.popleft()
        self._behind_since = None
        self._send(slot, slot.last)
        return True

    def _may_catch_up(self) -> bool:
        """Whether a chain that lacks what the ledger has as mined was not waited for too long yet."""
        if self._behind_since is None:
            self._behind_since = self._clock()
        return self._clock() - self._behind_since < self._patience_s

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
            reason = reason_of(error)
            if reason.startswith("UnexpectedStart("):
                if start == unit.tokens.start:
                    self.watcher.present(contract, unit.tokens, digest)  # tells whose tokens these are
                if start != unit.tokens.start or self._may_catch_up():
                    return None  # since the question for the start a predecessor was mined, or a reorg took one
            elif needs_too_much_gas(error) and len(unit.tokens) > 1:
                return MAX_GAS + 1  # it does not fit into a block
            raise _refusal(f"minting tokens {unit.tokens.start}-{unit.tokens.stop - 1}", error) from error
        return _with_margin(estimate) + START_DIGITS_GAS

    def _most_gas(self) -> int:
        head = self.watcher.head or self.chain.head()
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

    def _next_nonce(self) -> int | None:
        """The ledger's next nonce, but none that the chain has seen: somebody may have used the account elsewhere.

        None while a transaction that is not ours waits in the pool with that nonce. Raises AccountBusy after long waiting.
        """
        nonce = max(self.journal.next_nonce(self.watcher.chain_key, self.address), self.chain.nonce(self.address))
        if not self._is_free(nonce):
            return None
        if nonce == 0 and self.chain.is_ganache:
            # Ganache executes the bytes of nonce 0 again whenever they are sent again: nothing of value goes there.
            slot = self._sign(Intent("filler"), 0, self.address, b"", TRANSFER_GAS)
            self._send(slot, slot.last)
            return 1
        return nonce

    def _is_free(self, nonce: int) -> bool:
        """Whether the pool has nothing of this account at a nonce: a payment from a wallet must not be replaced."""
        waiting = self.chain.pending_nonce(self.address) - nonce
        if waiting <= 0:
            self._taken_since.pop(nonce, None)
            return True
        self._wait_for_stranger(nonce, waiting)
        return False

    def _wait_for_stranger(self, nonce: int, count: int) -> None:
        """Tell once that another transaction of the account waits with this nonce. Raises AccountBusy after long waiting."""
        busy = AccountBusy(address=self.address, nonce=nonce, count=count, rpc=self.chain.rpc.shown)
        if nonce not in self._taken_since:
            self._taken_since[nonce] = self._clock()
            self._say("waiting", f"{busy}: waiting for that; it is not replaced")
        if self._clock() - self._taken_since[nonce] > self._patience_s:
            raise busy

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
        self._before_signing(intent)
        self.ledger.check_holds()
        if fees is None:
            fees = self._market()
            self._check_money(gas * fees.max_fee_wei)
        prices: dict[str, int] = {"gasPrice": fees.max_fee_wei}
        if self.chain.has_base_fee:
            prices = {"type": 2, "maxFeePerGas": fees.max_fee_wei, "maxPriorityFeePerGas": fees.priority_fee_wei}
        tx: dict[str, Any] = {"chainId": self.chain.chain_id, "nonce": nonce, "value": 0, "gas": gas, "data": data}
        raw, tx_hash = signed(self._signer, tx | prices | ({"to": to} if to else {}))
        crash_point("signed_not_persisted")
        attempt = Signed(raw, tx_hash, gas, fees.max_fee_wei, fees.priority_fee_wei, self._wall_clock())
        with self.ledger.atomic():
            self._check_limits(attempt.reserved_wei, slot)
            if slot is not None:
                slot = self.journal.add_attempt(slot, attempt)
            else:
                slot = self.journal.reserve(self.watcher.chain_key, self.address, nonce, intent, self._run, attempt)
            if contract is not None and intent.collection is not None:
                self.journal.name_contract(intent.collection, contract)
        crash_point("persisted_not_sent")
        self._say("signed", f"{slot}: transaction {short(tx_hash)} with nonce {nonce}", tx_hash)
        return slot

    def _market(self) -> Fees:
        fees, cap = self.chain.fees(), self._limits.max_fee_wei
        least = least_fee_wei(fees)
        if cap is not None and least > cap:
            raise LimitReached(limit="the highest fee per gas (wei)", value=cap, needed=least)
        return capped(fees, cap)

    def _check_money(self, cost_wei: int, replaced: Slot | None = None) -> None:
        """Raise LimitReached or InsufficientFunds unless `cost_wei` may be reserved and can be paid."""
        self._check_limits(cost_wei, replaced)
        freed = replaced.reserved_wei if replaced is not None else 0
        live = self.watcher.live()
        needed = sum(slot.reserved_wei for slot in live) - freed + cost_wei
        balance = self.chain.balance(self.address)
        if balance < needed:
            raise InsufficientFunds(address=self.address, balance_wei=balance, needed_wei=needed)

    def _check_limits(self, cost_wei: int, replaced: Slot | None) -> None:
        """Raise LimitReached unless all accounts of the ledger together may risk `cost_wei` more.

        Asked again in the commit that reserves it: another process on the same ledger may have been quicker.
        """
        freed = replaced.reserved_wei if replaced is not None else 0
        run = self.journal.spent_or_reserved_wei(run=self._run) - freed if self._run is not None else 0
        day = self.journal.spent_or_reserved_wei(since=self._wall_clock() - DAY_S) - freed
        check_spending(self._limits, cost_wei, run, day)

    def _send(self, slot: Slot, attempt: Attempt) -> None:
        """Send signed bytes, unless the chain knows them or the pool has a stranger's with their nonce.

        What the node answers to it never decides what becomes of them: it only tells when, or at what fee, another try
        makes sense. Raises RpcError or RpcUnavailable with the node's words when none does.
        """
        found = self.watcher.find(slot, attempt)
        if found.is_known:
            return
        if found.is_taken:
            self._last_sent[attempt.id] = self._clock()
            self._wait_for_stranger(slot.nonce, 1)
            return
        self._taken_since.pop(slot.nonce, None)
        refusal: RpcError | RpcUnavailable | None = None
        self.ledger.check_holds()
        try:
            self.chain.send(attempt.raw)
        except (RpcError, RpcUnavailable) as error:
            refusal = error
        crash_point("sent_not_recorded")
        self._last_sent[attempt.id] = self._clock()
        self._first_seen.setdefault(attempt.id, self._clock())
        self.journal.mark_sent(attempt, found.head.number)
        self._refusals.pop(attempt.id, None)
        self._busy.discard(attempt.id)
        if refusal is None:
            self._refused_since.pop(slot.id, None)
            self._say("sent", f"{slot}: sent", attempt.hash)
            return
        self._say("refused", f"{slot}: {refusal}", attempt.hash)
        if isinstance(refusal, RpcUnavailable):
            if is_final_status(refusal.fields["status"]):
                raise refusal
            if refusal.fields["status"] == TOO_MANY_REQUESTS:
                self._busy.add(attempt.id)
            return
        self._heed(slot, attempt, refusal, others_wait=found.others_wait)

    def _heed(self, slot: Slot, attempt: Attempt, refusal: RpcError, *, others_wait: bool) -> None:
        """Draw from a refusal what may be drawn: a price, that a stranger holds the nonce, or that no try will help."""
        self._refusals[attempt.id] = refusal
        balance, needed = self.chain.balance(self.address), attempt.gas * attempt.max_fee_wei
        if balance < needed and not self.watcher.is_known(attempt.hash):
            raise InsufficientFunds(address=self.address, balance_wei=balance, needed_wei=needed) from refusal
        if is_underpriced(refusal):
            self.chain.demand(refusal)
        elif says_taken(refusal):
            if not others_wait:
                self._wait_for_stranger(slot.nonce, 1)
        elif asks_too_often(refusal):
            self._busy.add(attempt.id)
        elif not says_known(refusal):
            since = self._refused_since.setdefault(slot.id, self._clock())
            if is_final(refusal) or self._clock() - since > REFUSED_S:
                raise RpcError(
                    hint="it is signed and kept: the same command sends it again. Ask the provider, or try another RPC URL",
                    **refusal.fields,
                ) from refusal

    def _say(self, kind: str, text: str, tx: bytes | None = None) -> None:
        self.watcher.say(kind, text, tx)


def _with_margin(gas: int) -> int:
    return -(-gas * GAS_MARGIN[0] // GAS_MARGIN[1])


def _refusal(what: str, error: RpcError) -> PipelineError:
    """What to raise for an estimate that the node refused: the contract's reason, or the node's own words."""
    if error.fields["data"] is None and "revert" not in error.fields["message"].lower():
        return RpcError(hint=f"nothing was sent; this was asked for {what}", **error.fields)
    return Reverted(what=what, error=reason_of(error), hint="nothing was sent")
