"""From intent to chain, exactly once: deploys, mints, watches, sends again, and never guesses.

An error from sending says nothing about the outcome. So every transaction is signed and written down before its first
byte leaves; before it is sent, again or for the first time, its receipt and then itself are looked up by hash; and what
is sent again are the same bytes. The chain's word counts, and only as long as its block is part of the chain: `mined`
is compared with the canonical block hash at every look. The contract is the last lock: each mint names the token id
that it expects to start at, so a second one reverts.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from pipeline.base.errors import (
    BadArgument,
    ChainError,
    LimitReached,
    NotOwner,
    PipelineError,
    Reverted,
    RpcError,
)
from pipeline.base.limits import MAX_GAS
from pipeline.base.records import Address, MintedBatch, PinnedBatch
from pipeline.ledger import Ledger
from pipeline.ledger.journal import Intent, Slot
from pipeline.mint.chain import Chain
from pipeline.mint.collection import (
    Collection,
    check_recipients,
    deploy_data,
    mint_call,
    predicted_address,
    transfer_call,
)
from pipeline.mint.fees import Limits
from pipeline.mint.lane import Lane, Pace, with_margin
from pipeline.mint.refusals import needs_too_much_gas
from pipeline.mint.signer import Signer
from pipeline.mint.watcher import ChainEvent, Watcher, reason_of

START_DIGITS_GAS = 32 * 12  # an estimate with another start: at most 32 bytes of call data turn from zero to non-zero
REAL_TIME = Pace()
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
        pace: Pace = REAL_TIME,
    ) -> None:
        if confirmations < 1:
            raise BadArgument(name="confirmations", value=confirmations, expected="1 or more")
        ledger.hold(f"signing by {signer.address} on chain {chain.chain_id}")
        self.ledger = ledger
        self.chain = chain
        self.address = signer.address
        self.confirmations = confirmations
        self.journal = ledger.journal
        self.watcher = Watcher(ledger, chain, signer.address, confirmations, on_event, clock=pace.clock)
        self.lane = Lane(ledger, self.watcher, signer, limits, run_id, before_signing, pace)
        self._run = run_id
        self._pace = pace

        self._collection: int | None = None  # whose contract is to be kept on the chain
        self._submitted: dict[int, PinnedBatch] = {}  # by ledger key, in token order
        self._waiting: deque[PinnedBatch] = deque()  # not handed on yet
        self._queue: deque[_Unit] = deque()  # not signed yet
        self._pause_s = 0.0
        self._behind_since: float | None = None  # when the chain was first seen to lack a mined predecessor

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
            gas = with_margin(self.chain.estimate(self.address, None, init_code))
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
        slot = self.lane.sign(Intent("deploy", collection_id), nonce, None, init_code, gas, contract=contract)
        self.lane.send(slot, slot.last)

    def _deployment_nonce(self, collection_id: int) -> int | None:
        """The nonce that an adopted contract had before a reorg took it, when it is free: it gives the same address.

        None, as `Lane.next_nonce`. Mints that are signed for that address stay good, and the gap before their nonces is filled.
        """
        lost = self.ledger.collections.get(collection_id).contract
        free = self.chain.nonce(self.address)
        if (
            lost is not None
            and predicted_address(self.address, free) == lost
            and not self.journal.uses(self.watcher.chain_key, self.address, free)
        ):
            return free if self.lane.is_free(free) else None
        return self.lane.next_nonce()

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
            self.lane.send(slot, slot.last)
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
        gas = with_margin(self.transfer_gas(intent.collection, intent.start, intent.recipient))
        while (nonce := self.lane.next_nonce()) is None:
            if not self.settle():
                self.pause()
        return self.lane.sign(intent, nonce, contract.address, data, gas)

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
                self.lane.replace(slot)

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
        self.lane.chase(unmined, look)
        self._keep_contract()
        while self._queue and len(self.watcher.live()) < self._pace.window:
            if not self._mint_next():
                break
            moved = True
        self._complete()
        return self._moved(moved)

    def _begin_again(self) -> None:
        """After a reorg: whatever is unmined now may be sent at once, and what stood on an adoption is queued again."""
        self.lane.send_at_once()
        for batch in self._submitted.values():
            self._enqueue(batch)

    def pause(self) -> None:
        """Sleep until the next look makes sense: milliseconds on a development chain, seconds elsewhere."""
        first, longest = LOCAL_POLL_S if self.chain.is_local else POLL_S
        self._pause_s = min(max(1.5 * self._pause_s, first), longest)
        self._pace.sleep(self._pause_s)

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

        nonce = self.lane.next_nonce()
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
        slot = self.lane.sign(intent, nonce, contract.address, data, gas)
        self._queue.popleft()
        self._behind_since = None
        self.lane.send(slot, slot.last)
        return True

    def _may_catch_up(self) -> bool:
        """Whether a chain that lacks what the ledger has as mined was not waited for too long yet."""
        if self._behind_since is None:
            self._behind_since = self._pace.clock()
        return self._pace.clock() - self._behind_since < self._pace.patience_s

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
        return with_margin(estimate) + START_DIGITS_GAS

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

    def _say(self, kind: str, text: str, tx: bytes | None = None) -> None:
        self.watcher.say(kind, text, tx)


def _refusal(what: str, error: RpcError) -> PipelineError:
    """What to raise for an estimate that the node refused: the contract's reason, or the node's own words."""
    if error.fields["data"] is None and "revert" not in error.fields["message"].lower():
        return RpcError(hint=f"nothing was sent; this was asked for {what}", **error.fields)
    return Reverted(what=what, error=reason_of(error), hint="nothing was sent")
