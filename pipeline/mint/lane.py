"""The transactions of one account on one chain, from the choice of a nonce until they are in a block.

Each is signed and written down before its first byte leaves. Before it is sent, again or for the first time, its receipt
and then itself are looked up by hash; what is sent again are the same bytes, and what is dearer has the same nonce.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pipeline.base.crash import crash_point
from pipeline.base.errors import AccountBusy, InsufficientFunds, LimitReached, RpcError, RpcUnavailable
from pipeline.base.records import Address
from pipeline.ledger import Ledger
from pipeline.ledger.journal import Attempt, Intent, Signed, Slot
from pipeline.mint.chain import Transaction
from pipeline.mint.fees import Fees, Limits, bumped, capped, check_spending, least_fee_wei
from pipeline.mint.refusals import asks_too_often, is_final, is_underpriced, says_known, says_taken
from pipeline.mint.rpc import is_final_status
from pipeline.mint.signer import Signer, signed
from pipeline.mint.watcher import Look, Watcher, call_of, short

WINDOW = 16  # transactions in flight: bounds what a lost nonce can hold up
GAS_MARGIN = 6, 5  # 20 % above the estimate: the state may have moved until it is mined
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


@dataclass(frozen=True, slots=True)
class Pace:
    """How many transactions are in flight at once, how long is waited for what may pass, and by whose clocks."""

    window: int = WINDOW
    patience_s: float = 600.0
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    wall_clock: Callable[[], float] = time.time


class Lane:
    """Numbers, signs, writes down, sends and sends again what one account has to say. One thread, one process at a time.

    `before_signing` is called with what each signature is for: what it raises leaves nothing signed.
    """

    def __init__(
        self,
        ledger: Ledger,
        watcher: Watcher,
        signer: Signer,
        limits: Limits,
        run_id: int | None,
        before_signing: Callable[[Intent], None],
        pace: Pace,
    ) -> None:
        self.address = signer.address
        self._ledger, self._journal = ledger, ledger.journal
        self._watcher, self._chain = watcher, watcher.chain
        self._signer, self._limits, self._run = signer, limits, run_id
        self._before_signing = before_signing
        self._pace = pace

        self._first_seen: dict[int, float] = {}  # by attempt, when this process first looked at it
        self._last_sent: dict[int, float] = {}  # by attempt
        self._stuck_since: dict[int, float] = {}  # by slot, when a bump was first out of reach
        self._refusals: dict[int, RpcError] = {}  # by attempt, the node's last word when it was sent
        self._busy: set[int] = set()  # attempts that the node had no time for
        self._refused_since: dict[int, float] = {}  # by slot, for no reason that is known here
        self._taken_since: dict[int, float] = {}  # by nonce, when another transaction was first seen to wait with it

    # ── a nonce ───────────────────────────────────────────────────────────────────────────────────────────────

    def next_nonce(self) -> int | None:
        """The ledger's next nonce, but none that the chain has seen: somebody may have used the account elsewhere.

        None while a transaction that is not ours waits in the pool with that nonce. Raises AccountBusy after long waiting.
        """
        nonce = max(self._journal.next_nonce(self._watcher.chain_key, self.address), self._chain.nonce(self.address))
        if not self.is_free(nonce):
            return None
        if nonce == 0 and self._chain.is_ganache:
            # Ganache executes the bytes of nonce 0 again whenever they are sent again: nothing of value goes there.
            slot = self.sign(Intent("filler"), 0, self.address, b"", TRANSFER_GAS)
            self.send(slot, slot.last)
            return 1
        return nonce

    def is_free(self, nonce: int) -> bool:
        """Whether the pool has nothing of this account at a nonce: a payment from a wallet must not be replaced."""
        waiting = self._chain.pending_nonce(self.address) - nonce
        if waiting <= 0:
            self._taken_since.pop(nonce, None)
            return True
        self._wait_for_stranger(nonce, waiting)
        return False

    def _wait_for_stranger(self, nonce: int, count: int) -> None:
        """Tell once that another transaction of the account waits with this nonce. Raises AccountBusy after long waiting."""
        busy = AccountBusy(address=self.address, nonce=nonce, count=count, rpc=self._chain.rpc.shown)
        if nonce not in self._taken_since:
            self._taken_since[nonce] = self._pace.clock()
            self._watcher.say("waiting", f"{busy}: waiting for that; it is not replaced")
        if self._pace.clock() - self._taken_since[nonce] > self._pace.patience_s:
            raise busy

    # ── sign ──────────────────────────────────────────────────────────────────────────────────────────────────

    def sign(
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
        self._ledger.check_holds()
        if fees is None:
            fees = self._market()
            self._check_money(gas * fees.max_fee_wei)
        prices: dict[str, int] = {"gasPrice": fees.max_fee_wei}
        if self._chain.has_base_fee:
            prices = {"type": 2, "maxFeePerGas": fees.max_fee_wei, "maxPriorityFeePerGas": fees.priority_fee_wei}
        tx: dict[str, Any] = {"chainId": self._chain.chain_id, "nonce": nonce, "value": 0, "gas": gas, "data": data}
        raw, tx_hash = signed(self._signer, tx | prices | ({"to": to} if to else {}))
        crash_point("signed_not_persisted")
        attempt = Signed(raw, tx_hash, gas, fees.max_fee_wei, fees.priority_fee_wei, self._pace.wall_clock())
        with self._ledger.atomic():
            self._check_limits(attempt.reserved_wei, slot)
            if slot is not None:
                slot = self._journal.add_attempt(slot, attempt)
            else:
                slot = self._journal.reserve(self._watcher.chain_key, self.address, nonce, intent, self._run, attempt)
            if contract is not None and intent.collection is not None:
                self._journal.name_contract(intent.collection, contract)
        crash_point("persisted_not_sent")
        self._watcher.say("signed", f"{slot}: transaction {short(tx_hash)} with nonce {nonce}", tx_hash)
        return slot

    def _market(self) -> Fees:
        fees, cap = self._chain.fees(), self._limits.max_fee_wei
        least = least_fee_wei(fees)
        if cap is not None and least > cap:
            raise LimitReached(limit="the highest fee per gas (wei)", value=cap, needed=least)
        return capped(fees, cap)

    def _check_money(self, cost_wei: int, replaced: Slot | None = None) -> None:
        """Raise LimitReached or InsufficientFunds unless `cost_wei` may be reserved and can be paid."""
        self._check_limits(cost_wei, replaced)
        freed = replaced.reserved_wei if replaced is not None else 0
        live = self._watcher.live()
        needed = sum(slot.reserved_wei for slot in live) - freed + cost_wei
        balance = self._chain.balance(self.address)
        if balance < needed:
            raise InsufficientFunds(address=self.address, balance_wei=balance, needed_wei=needed)

    def _check_limits(self, cost_wei: int, replaced: Slot | None) -> None:
        """Raise LimitReached unless all accounts of the ledger together may risk `cost_wei` more.

        Asked again in the commit that reserves it: another process on the same ledger may have been quicker.
        """
        freed = replaced.reserved_wei if replaced is not None else 0
        run = self._journal.spent_or_reserved_wei(run=self._run) - freed if self._run is not None else 0
        day = self._journal.spent_or_reserved_wei(since=self._pace.wall_clock() - DAY_S) - freed
        check_spending(self._limits, cost_wei, run, day)

    # ── send ──────────────────────────────────────────────────────────────────────────────────────────────────

    def send(self, slot: Slot, attempt: Attempt) -> None:
        """Send signed bytes, unless the chain knows them or the pool has a stranger's with their nonce.

        What the node answers to it never decides what becomes of them: it only tells when, or at what fee, another try
        makes sense. Raises RpcError or RpcUnavailable with the node's words when none does.
        """
        found = self._watcher.find(slot, attempt)
        if found.is_known:
            return
        if found.is_taken:
            self._last_sent[attempt.id] = self._pace.clock()
            self._wait_for_stranger(slot.nonce, 1)
            return
        self._taken_since.pop(slot.nonce, None)
        refusal: RpcError | RpcUnavailable | None = None
        self._ledger.check_holds()
        try:
            self._chain.send(attempt.raw)
        except (RpcError, RpcUnavailable) as error:
            refusal = error
        crash_point("sent_not_recorded")
        self._last_sent[attempt.id] = self._pace.clock()
        self._first_seen.setdefault(attempt.id, self._pace.clock())
        self._journal.mark_sent(attempt, found.head.number)
        self._refusals.pop(attempt.id, None)
        self._busy.discard(attempt.id)
        if refusal is None:
            self._refused_since.pop(slot.id, None)
            self._watcher.say("sent", f"{slot}: sent", attempt.hash)
            return
        self._watcher.say("refused", f"{slot}: {refusal}", attempt.hash)
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
        balance, needed = self._chain.balance(self.address), attempt.gas * attempt.max_fee_wei
        if balance < needed and not self._watcher.is_known(attempt.hash):
            raise InsufficientFunds(address=self.address, balance_wei=balance, needed_wei=needed) from refusal
        if is_underpriced(refusal):
            self._chain.demand(refusal)
        elif says_taken(refusal):
            if not others_wait:
                self._wait_for_stranger(slot.nonce, 1)
        elif asks_too_often(refusal):
            self._busy.add(attempt.id)
        elif not says_known(refusal):
            since = self._refused_since.setdefault(slot.id, self._pace.clock())
            if is_final(refusal) or self._pace.clock() - since > REFUSED_S:
                raise RpcError(
                    hint="it is signed and kept: the same command sends it again. Ask the provider, or try another RPC URL",
                    **refusal.fields,
                ) from refusal

    # ── unmined: send again, bump, or give up ─────────────────────────────────────────────────────────────────

    def chase(self, unmined: list[Slot], look: Look) -> None:
        """Lowest nonce first, since the others wait for it."""
        if not unmined:
            return
        pool = self._watcher.pooled(unmined)
        for slot in unmined:
            for attempt in slot.attempts:
                self._first_seen.setdefault(attempt.id, self._pace.clock())
            if self._watcher.suspect(slot, look):
                continue
            goes_first = slot is unmined[0] or self._has_a_price(slot)
            if goes_first and self._is_stuck(slot, look, pool) and (dearer := self._bump(slot)) is not None:
                self.send(dearer, dearer.last)
            elif not any(attempt.hash in pool for attempt in slot.attempts) and self._is_due(slot.last):
                if slot.last.sends:
                    self._watcher.say(
                        "resent", f"{slot}: the node does not know it, sending the same bytes again", slot.last.hash
                    )
                self.send(slot, slot.last)

    def send_at_once(self) -> None:
        """After a reorg: whatever is unmined now is due, however short a time ago it was sent."""
        self._first_seen.clear()
        self._last_sent.clear()

    def _is_due(self, attempt: Attempt) -> bool:
        last = self._last_sent.get(attempt.id)
        pause_s = LOCAL_RESEND_S if self._chain.is_local else RESEND_S
        if attempt.id in self._busy:
            pause_s = min(pause_s, BUSY_RESEND_S)
        return last is None or self._pace.clock() - last >= pause_s

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
        waited_s = self._pace.clock() - self._first_seen[last.id]
        blocks = look.head.number - last.first_sent_block
        return waited_s >= BUMP_S or (blocks >= BUMP_BLOCKS and waited_s >= LEAST_BUMP_S)

    def _has_a_price(self, slot: Slot) -> bool:
        """Whether the node refused the last attempt for less than it demands, and demands what we know."""
        refusal, demanded = self._refusals.get(slot.last.id), self._chain.least_priority_wei
        return refusal is not None and is_underpriced(refusal) and slot.last.priority_fee_wei < demanded

    def _bump(self, slot: Slot) -> Slot | None:
        """The slot with a dearer attempt, or None where a limit forbids it; LimitReached after long waiting."""
        last = Fees(slot.last.max_fee_wei, slot.last.priority_fee_wei)
        wanted = bumped(last, self._chain.fees())
        fees = capped(wanted, self._limits.max_fee_wei)
        least = bumped(last, last)
        problem = None
        demanded = max(least.priority_fee_wei, self._chain.least_priority_wei)
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
            self._watcher.say("bumped", f"{slot}: unmined for too long, raising its fee to {fees.max_fee_wei} wei")
            return self.sign(slot.intent, slot.nonce, *call_of(slot.last.raw), slot.last.gas, fees=fees, slot=slot)
        since = self._stuck_since.setdefault(slot.id, self._pace.clock())
        if since == self._pace.clock():
            self._watcher.say("waiting", f"{slot}: waiting for lower fees; {problem}")
        if self._pace.clock() - since > self._pace.patience_s:
            raise problem
        return None

    def replace(self, slot: Slot) -> None:
        """Sign and send an empty transaction at the nonce of one that may be in flight."""
        last = Fees(slot.last.max_fee_wei, slot.last.priority_fee_wei)
        wanted, least = bumped(last, self._chain.fees()), bumped(last, last)
        fees = capped(wanted, self._limits.max_fee_wei)
        if fees.max_fee_wei < least.max_fee_wei or fees.priority_fee_wei < least.priority_fee_wei:
            raise LimitReached(
                limit="the highest fee per gas (wei)", value=self._limits.max_fee_wei, needed=wanted.max_fee_wei
            )
        gas = max(TRANSFER_GAS, with_margin(self._chain.estimate(self.address, self.address, b"")))
        self._check_money(gas * fees.max_fee_wei, replaced=slot)
        slot = self.sign(slot.intent, slot.nonce, self.address, b"", gas, fees=fees, slot=slot)
        self._watcher.say(
            "replaced",
            f"{slot}: an empty transaction takes its nonce {slot.nonce}, for at most {gas * fees.max_fee_wei} wei",
            slot.last.hash,
        )
        self.send(slot, slot.last)


def with_margin(gas: int) -> int:
    return -(-gas * GAS_MARGIN[0] // GAS_MARGIN[1])
