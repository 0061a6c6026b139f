"""What a call of `mint` would cost, before anything is planned, signed or written.

Deployment and batches are carried out on an Anvil of a minute's life, which counts gas as Ethereum does: what they use
there they use elsewhere. Prices are those of the chain that the call is about.
"""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.base.errors import ChainError, RpcError
from pipeline.base.limits import MAX_AIRDROP, MAX_GAS
from pipeline.base.observer import Observer, Silence
from pipeline.base.records import ZERO_ADDRESS, Address, BatchPlan, hex_data
from pipeline.base.workspace import Workspace
from pipeline.flow.connection import reach
from pipeline.flow.consent import is_on_this_machine_only
from pipeline.flow.more import wish_of
from pipeline.flow.open import (
    SOMEBODY,
    Need,
    Step,
    Tools,
    check_receivers,
    needs_of,
    opened,
    plan_of,
    read_request,
    step_of,
)
from pipeline.flow.plan import Finished
from pipeline.ledger import UNDECIDED, Collection, Ledger, NewCollection, Run
from pipeline.mint.alternatives import ALTERNATIVES
from pipeline.mint.chain import fixed_bytes
from pipeline.mint.collection import (
    Constructor,
    deploy_data,
    mint_call,
    parsed_address,
    predicted_address,
)
from pipeline.mint.devnet import devnet
from pipeline.mint.fees import least_fee_wei
from pipeline.mint.signer import NodeSigner
from pipeline.settings import Settings

if TYPE_CHECKING:
    from pipeline.mint.chain import Chain

# Stands for every digest of content: nothing is drawn, and a digest's own bytes change the bill by a few gas.
SOME_DIGEST = hashlib.sha256(b"content that is not drawn yet").digest()
MINED_S, LOOK_S = 30.0, 0.005  # Anvil makes a block at once, and answers a little earlier than that
OTHER_RULES = 0.02  # a node whose estimate differs by more counts gas in another way


@dataclass(frozen=True, slots=True)
class BillLine:
    """One transaction."""

    what: str
    gas: int
    wei: int


@dataclass(frozen=True, slots=True)
class Alternative:
    """Another contract for the same tokens, and how many times as much gas it takes."""

    name: str
    gas: int
    wei: int
    times: float


@dataclass(frozen=True, slots=True)
class Bill:
    """What a call of `mint` would cost at today's fees."""

    name: str
    chain_id: int
    rpc_url: str
    payer: str
    balance_wei: int | None  # None where the account is not known
    tokens: int
    node_estimates_deploy: int | None  # gas, by the chain's own node
    base_fee_wei: int
    priority_fee_wei: int
    lines: tuple[BillLine, ...]
    gas: int
    wei: int
    wei_per_token: int
    alternatives: tuple[Alternative, ...]
    only_here: bool  # the content would be on this machine alone, and the chain is a public one


@dataclass(frozen=True, slots=True)
class _Batch:
    """Tokens `start`, `start + 1`, … for these recipients."""

    start: int
    recipients: Sequence[Address]

    @property
    def name(self) -> str:
        return f"mint {self.start}-{self.start + len(self.recipients) - 1}"


@dataclass(frozen=True, slots=True)
class _Job:
    """What is left to do: the deployment, unless it is on the chain, and batches. `owning` hold tokens already."""

    settings: Constructor | None
    batches: Sequence[_Batch]
    owning: frozenset[Address]


def dry_run(
    config: Settings,
    count: int | None,
    workspace: Workspace,
    observer: Observer | None = None,
    *,
    more: bool,
    new: bool,
    total: int | None = None,
) -> Bill:
    """The bill of a call of `mint`. Nothing in the workspace changes. Raises what `mint` would, and tells `observer` what
    it would tell of a folder.

    It opens what the mint would open, but for the key: nobody is asked for a password, or whether money may be spent.
    """
    told = observer or Silence()
    wish = wish_of(config, count, workspace, told.notice, more=more, new=new, total=total)
    request = read_request(wish.settings, wish.count, workspace)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        ledger = stack.enter_context(_ledger(workspace, folder))
        step = step_of(request, ledger, more=wish.more, new=new, complete=wish.complete)
        needs = (needs_of(step, ledger) | Need.CHAIN | Need.PAYER) & ~Need.KEY
        trial = Workspace(folder)
        tools = stack.enter_context(opened(step, needs, ledger, workspace, told, embedded=trial))
        return _bill(step, needs, ledger, tools, reach(stack.enter_context(devnet(trial.chain / "anvil"))))


def bill_of(step: Step, needs: Need, ledger: Ledger, tools: Tools) -> Bill:
    """The bill of a step that is opened already, before any of it is walked. Raises PipelineError where it cannot be made."""
    with tempfile.TemporaryDirectory() as folder, devnet(Path(folder) / "anvil") as url:
        return _bill(step, needs, ledger, tools, reach(url))


def _bill(step: Step, needs: Need, ledger: Ledger, tools: Tools, own: Chain) -> Bill:
    """What a step costs, tried out on a chain of our own."""
    chain, payer = tools.chain, tools.payer
    job = _job(step, needs, ledger, tools)
    fees = chain.fees()  # before our own chain has moved on
    lines = list(_measured(job, own, payer))
    estimate = _estimate(chain, payer, job.settings) if tools.chain_kind == "external" else None
    if estimate is not None and abs(estimate - lines[0][1]) > OTHER_RULES * lines[0][1]:
        lines[0] = (lines[0][0], estimate)
    price = least_fee_wei(fees)
    gas, tokens = sum(used for _, used in lines), sum(len(batch.recipients) for batch in job.batches)
    return Bill(
        name=step.name,
        chain_id=chain.chain_id,
        rpc_url=chain.rpc.shown,
        payer=payer,
        balance_wei=chain.balance(payer) if payer != SOMEBODY else None,
        tokens=tokens,
        node_estimates_deploy=estimate,
        base_fee_wei=price - fees.priority_fee_wei,
        priority_fee_wei=fees.priority_fee_wei,
        lines=tuple(BillLine(what, used, used * price) for what, used in lines),
        gas=gas,
        wei=gas * price,
        wei_per_token=gas * price // tokens if tokens else 0,
        alternatives=tuple(_alternatives(job, gas, price)),
        only_here=is_on_this_machine_only(step.request.config.pin.places, chain.chain_id),
    )


def _alternatives(job: _Job, total: int, price: int) -> Iterator[Alternative]:
    """What other contracts would take for the same, where that can be compared: for one owner."""
    if len({address for batch in job.batches for address in batch.recipients}) != 1:
        return
    quantities = [len(batch.recipients) for batch in job.batches]
    for other in ALTERNATIVES:
        gas = other.gas(quantities, deployed=job.settings is None)
        yield Alternative(other.name, gas, gas * price, round(gas / total, 1))


# ── what there is to do ──────────────────────────────────────────────────────────────────────────────────────


def _ledger(workspace: Workspace, folder: Path) -> Ledger:
    """The workspace's ledger, only to be read; an empty one of our own where there is none yet."""
    if Ledger.exists(workspace.ledger):
        return Ledger(workspace.ledger, readonly=True)
    return Ledger(folder / "ledger.sqlite")


def _job(step: Step, needs: Need, ledger: Ledger, tools: Tools) -> _Job:
    known, payer = step.known, tools.payer
    owning = frozenset(ledger.owners.tokens_by_owner(known.id)) if known else frozenset()
    if isinstance(step.decision, Finished):
        return _Job(None, [], owning)
    if step.run is not None:
        batches = [_Batch(plan.start, _recipients(ledger, plan, payer)) for plan in _unminted(ledger, step.run)]
        if not step.run.is_placed:
            check_receivers(tools, list(dict.fromkeys(to for batch in batches for to in batch.recipients)))
        return _Job(_settings(known, None, payer), batches, owning)
    plan = plan_of(step, needs, ledger, tools)
    tokens, first_ids = plan.to, range(plan.start, plan.start + plan.count, plan.batch_size)
    cut = [_Batch(first, list(islice(tokens, plan.batch_size))) for first in first_ids]
    return _Job(_settings(known, plan.settings, payer), cut, owning)


def _unminted(ledger: Ledger, run: Run) -> list[BatchPlan]:
    return [batch.plan for batch in ledger.batches.unminted(run.id)] + ledger.batches.undrawn(run.id)


def _recipients(ledger: Ledger, plan: BatchPlan, payer: Address) -> list[Address]:
    """Who gets the tokens of a planned batch: the payer, where that was left open."""
    return [payer if spec.recipient == UNDECIDED else spec.recipient for spec in ledger.tokens.specs(plan)]


def _settings(known: Collection | None, planned: NewCollection | None, payer: Address) -> Constructor | None:
    """The constructor's arguments; None where the contract is on the chain."""
    if known is not None and known.deployed_at is not None:
        return None
    said = known or planned
    assert said is not None, "a run is of a collection"
    receiver = said.royalty_receiver
    return Constructor(
        name=said.name,
        symbol=said.symbol,
        owner=payer,
        minter=ZERO_ADDRESS,
        royalty_receiver=payer if receiver == UNDECIDED else parsed_address(receiver, "--royalty-receiver"),
        royalty_bps=said.royalty_bps,
        max_supply=said.max_supply,
        info_digest=SOME_DIGEST,
    )


# ── what it uses ─────────────────────────────────────────────────────────────────────────────────────────────


def _estimate(chain: Chain, payer: Address, settings: Constructor | None) -> int | None:
    """What the chain's own node says of the deployment; None where it does not, or there is none. Raises ChainError for
    a chain that is too old for the contract."""
    if settings is None:
        return None
    try:
        return chain.estimate(payer, None, deploy_data(settings))
    except RpcError:
        chain.check_opcodes()
        return None


def _measured(job: _Job, own: Chain, payer: Address) -> Iterator[tuple[str, int]]:
    """Each transaction of a job and its gas, from having done it on our own chain."""
    account = NodeSigner(own).address
    settings = job.settings or Constructor("A", "A", payer, ZERO_ADDRESS, payer, 0, 0, SOME_DIGEST)
    data, done = deploy_data(settings), deploy_data(replace(settings, owner=account))
    contract, gas = _done(own, account, None, done)
    if job.settings is not None:
        yield "deploy", gas + _calldata_gas(data) - _calldata_gas(done)
    bench = _Bench(own, account, contract)
    owning = set(job.owning)
    for batch in job.batches:
        yield batch.name, bench.gas(batch, owning)
        owning |= set(batch.recipients)


class _Bench:
    """Mints batches on a chain of our own, one of each kind: the others differ by the digits of their ids alone."""

    def __init__(self, chain: Chain, account: Address, contract: Address) -> None:
        self._chain, self._account, self._contract = chain, account, contract
        self._next = 1
        self._owning: set[Address] = set()
        self._known: dict[tuple[int, int, int], int] = {}  # gas without call data, by what a batch costs by

    def gas(self, batch: _Batch, owning: set[Address]) -> int:
        """The gas of a batch when `owning` have tokens already: an owner's first token costs a new balance."""
        recipients = set(batch.recipients)
        kind = (len(batch.recipients), len(recipients - owning), len(recipients & owning))
        if kind not in self._known:
            self._give_one(sorted((recipients & owning) - self._owning))
            call = mint_call(self._next, batch.recipients, SOME_DIGEST)
            self._known[kind] = self._mint(call, batch.recipients) - _calldata_gas(call)
        return self._known[kind] + _calldata_gas(mint_call(batch.start, batch.recipients, SOME_DIGEST))

    def _give_one(self, recipients: list[Address]) -> None:
        for first in range(0, len(recipients), MAX_AIRDROP):
            some = recipients[first : first + MAX_AIRDROP]
            self._mint(mint_call(self._next, some, SOME_DIGEST), some)

    def _mint(self, call: bytes, recipients: Iterable[Address]) -> int:
        gas = _done(self._chain, self._account, self._contract, call)[1]
        self._owning |= set(recipients)
        self._next += len(list(recipients))
        return gas


def _done(chain: Chain, account: Address, to: Address | None, data: bytes) -> tuple[Address, int]:
    """Carry out a transaction on our own chain: the contract that it made or called, and the gas it used."""
    contract = to or predicted_address(account, chain.nonce(account))
    request = {"from": account, "data": hex_data(data), "gas": hex(MAX_GAS)} | ({"to": to} if to else {})
    tx_hash = fixed_bytes(chain.rpc.call("eth_sendTransaction", [request]))
    deadline = time.monotonic() + MINED_S
    while (receipt := chain.receipt(tx_hash)) is None and time.monotonic() < deadline:
        time.sleep(LOOK_S)
    if receipt is None or not receipt.ok:
        raise ChainError(reason="a trial of this run failed on a chain of our own", hint="try a smaller --batch")
    return contract, receipt.gas_used


def _calldata_gas(data: bytes) -> int:
    """What a transaction pays for its data (EIP-2028)."""
    zeros = data.count(0)
    return 4 * zeros + 16 * (len(data) - zeros)
