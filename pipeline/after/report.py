"""What the ledger says. Readers open it read-only and take no lock."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.base.errors import BadArgument, ChainError, UsageError, WorkspaceUnwritable
from pipeline.base.records import hex_data
from pipeline.base.workspace import Workspace
from pipeline.flow.connection import open_chain
from pipeline.flow.plan import command
from pipeline.ledger import Collection, Ledger, Run
from pipeline.ledger.journal import Paid
from pipeline.mint.chain import connect
from pipeline.mint.devnet import kept_port
from pipeline.mint.indexer import sync
from pipeline.mint.networks import network_of
from pipeline.mint.watcher import look_again

if TYPE_CHECKING:
    from pipeline.flow.run import Outcome
    from pipeline.settings import Settings

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class MintedToken:
    """One token as its collector sees it."""

    token_id: int
    owner: str
    token_uri: str | None
    image: str | None
    seed: int | None  # None: its image existed before
    tx: str | None  # hash of the transaction that minted it


@dataclass(frozen=True, slots=True)
class Fee:
    """A mined transaction of a run, and what was paid for it."""

    purpose: str  # deploy, mint
    tx: str
    block_number: int
    gas_used: int
    fee_wei: int
    signed: str  # when, UTC


@dataclass(frozen=True, slots=True)
class Minted:
    """The result of `mint`: the tokens of one run, and where their content and transactions are."""

    name: str
    contract: str | None
    chain_id: int
    rpc_url: str  # by scheme, host and port
    explorer: str | None
    deploy_tx: str | None
    transactions: tuple[str, ...]
    images_roots: tuple[str, ...]
    metadata_roots: tuple[str, ...]
    seconds: dict[str, float]  # each stage's busy time, and `whole`
    tokens: tuple[MintedToken, ...]
    chain: str = ""  # the chain's name; empty: it has none here
    fee_wei: int = 0  # paid for this run, the deployment included where it was this run's
    fees: tuple[Fee, ...] = ()
    sheets: tuple[Path, ...] = ()  # contact sheet of this run


@dataclass(frozen=True, slots=True)
class Drawn:
    """A run that is drawn and waits: its tokens, the first and the last, and contact sheets of them."""

    drawn: int
    token_ids: tuple[int, int]
    sheets: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a collection is."""

    name: str
    contract: str | None
    chain_id: int | None  # None: it has no chain yet
    chain: str
    rpc_url: str | None
    planned: int
    drawn: int
    pinned: int
    minted: int
    final: int
    state: str  # unfinished, minted, final
    unfinished: str | None = None  # the command that finishes what was interrupted of it
    gas_used: int = 0  # by the transactions from here: deployment, mints, transfers
    fee_wei: int = 0  # paid for them


@dataclass(frozen=True, slots=True)
class Status:
    """How far each collection is, and the command that finishes what was interrupted."""

    collections: tuple[Progress, ...]
    unfinished: str | None


@dataclass(frozen=True, slots=True)
class Holding:
    """An owner, and what is theirs."""

    owner: str
    token_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Owners:
    """Who owns what after a block."""

    collection: str
    contract: str | None
    block_number: int
    owners: tuple[Holding, ...]


@contextmanager
def reading(workspace: Workspace, name: str | None) -> Iterator[tuple[Ledger, Collection]]:
    """Open the workspace's ledger and find a collection: the named one, or the last.

    Raises UsageError where there is none, BadArgument for a name that none has, with what there is.
    """
    if not Ledger.exists(workspace.ledger):
        raise _empty(workspace)
    with Ledger(workspace.ledger, readonly=True) as ledger:
        collections = ledger.collections.all()
        if not collections:
            raise _empty(workspace)
        known = {collection.name: collection for collection in collections}
        if name is not None and name not in known:
            raise BadArgument(name="--name", value=name, expected=f"one of {', '.join(map(repr, known))}")
        yield ledger, known[name] if name is not None else collections[-1]


def _empty(workspace: Workspace) -> UsageError:
    return UsageError(
        reason=f"the workspace {workspace.folder} holds no collection yet",
        hint="`pipeline mint --count 50` makes one; --workspace names another folder",
    )


def collection_named(workspace: Workspace, name: str | None) -> Collection:
    """The named collection of a workspace, or the last. Raises as `reading` does."""
    with reading(workspace, name) as (_, collection):
        return collection


def collections_of(workspace: Workspace) -> list[str]:
    """The names of a workspace's collections, in the order in which they began."""
    if not Ledger.exists(workspace.ledger):
        return []
    with Ledger(workspace.ledger, readonly=True) as ledger:
        return [collection.name for collection in ledger.collections.all()]


def has_begun(workspace: Workspace, config: Settings) -> bool:
    """Whether anything is here to be proved. Raises UsageError where the folder was named, and there is none: a slip of
    the pen proves nothing."""
    if config.given("workspace") and not workspace.folder.is_dir():
        raise _empty(workspace)
    return bool(collections_of(workspace))


def drawn_report(run: Run, sheets: Sequence[Path]) -> Drawn:
    """What can be looked at of a run that stopped once drawn."""
    return Drawn(run.count, (run.start, run.start + run.count - 1), tuple(sheets))


def run_report(ledger: Ledger, outcome: Outcome) -> Minted:
    """The tokens of one run."""
    run, collection = outcome.run, outcome.collection
    owners = ledger.owners
    in_run = range(run.start, run.start + run.count)
    network = network_of(collection.chain_id)
    fees = fees_of(ledger.journal.paid_in(run.id))
    roots = [
        (images, metadata) for plan, images, metadata in ledger.batches.sealed(collection.id) if plan.start in in_run
    ]
    return Minted(
        name=collection.name,
        contract=collection.contract,
        chain_id=collection.chain_id,
        rpc_url=run.rpc_url,
        explorer=network.contract_page(collection.contract) if network and collection.contract else None,
        deploy_tx=_hex(collection.tx_hash),
        transactions=tuple(hex_data(tx) for tx in ledger.journal.transactions(collection.id)),
        images_roots=tuple(str(images) for images, _ in roots),
        metadata_roots=tuple(str(metadata) for _, metadata in roots),
        seconds={stage: round(seconds, 2) for stage, seconds in outcome.seconds.items()},
        tokens=tuple(
            MintedToken(
                token.token_id,
                owners.owner_of(collection.id, token.token_id) or token.recipient,
                token.token_uri,
                token.image,
                token.seed,
                _hex(token.tx_hash),
            )
            for token in ledger.tokens.of(collection.id, run.start, run.count)
        ),
        chain=chain_name(collection),
        fee_wei=sum(fee.fee_wei for fee in fees),
        fees=fees,
        sheets=outcome.sheets,
    )


def fees_of(paid: Iterable[Paid]) -> tuple[Fee, ...]:
    """What was paid, for people."""
    return tuple(
        Fee(one.purpose, hex_data(one.tx_hash), one.block_number, one.gas_used, one.wei, when(one.signed))
        for one in paid
    )


def when(seconds: float) -> str:
    """A moment in UTC, to the second."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def status_report(workspace: Workspace, config: Settings) -> Status:
    """How far each collection is, and the command that finishes what was interrupted."""
    if not Ledger.exists(workspace.ledger):
        return Status((), None)
    _look_again(workspace, config)
    with Ledger(workspace.ledger, readonly=True) as ledger:
        unfinished = ledger.runs.unfinished() or _taken_back(ledger)
        return Status(
            tuple(_progress(ledger, collection, config) for collection in ledger.collections.all()),
            command(unfinished, config) if unfinished else None,
        )


def _progress(ledger: Ledger, collection: Collection, config: Settings) -> Progress:
    counts = ledger.tokens.counts(collection.id)
    final = counts.get("final", 0)
    minted = final + counts.get("mined", 0)
    pinned = minted + counts.get("live", 0) + counts.get("sealed", 0)
    planned = sum(counts.values())
    runs = ledger.runs.of(collection.id)
    unfinished = ledger.runs.unfinished_of(collection.id)
    paid = ledger.journal.paid_for(collection.id)
    return Progress(
        name=collection.name,
        unfinished=command(unfinished, config) if unfinished else None,
        contract=collection.contract,
        chain_id=collection.known_chain_id,
        chain=collection.chain_kind,
        rpc_url=(runs[0].rpc_url or None) if runs else None,
        planned=planned,
        drawn=pinned + counts.get("generated", 0),
        pinned=pinned,
        minted=minted,
        final=final,
        state="final" if final == planned else "minted" if minted == planned else "unfinished",
        gas_used=sum(one.gas_used for one in paid),
        fee_wei=sum(one.wei for one in paid),
    )


def chain_name(collection: Collection) -> str:
    """The name of a collection's chain; empty where it has none here."""
    if not collection.is_placed:
        return ""
    network = network_of(collection.chain_id)
    return network.name if network else collection.chain_kind if collection.chain_kind != "external" else ""


def _hex(value: bytes | None) -> str | None:
    return hex_data(value) if value else None


def owners_report(workspace: Workspace, config: Settings, name: str | None, at: int | None = None) -> Owners:
    """Who owns what now, or after block `at`: reads Transfer events that are new, and groups tokens by owner.

    Raises BadArgument for a block before the deployment, or one that is not there yet.
    """
    collection = collection_named(workspace, name)
    with open_chain(config, workspace, collection) as chain, Ledger(workspace.ledger) as ledger:
        block_number = sync(ledger, chain, collection.id)
        if at is not None:
            _check_block(at, collection.block_number, block_number)
            block_number = at
        held = ledger.owners.tokens_by_owner(collection.id, block_number)
        return Owners(
            collection.name,
            collection.contract,
            block_number,
            tuple(Holding(owner, tuple(token_ids)) for owner, token_ids in held.items()),
        )


def _check_block(at: int, deployed: int | None, newest: int) -> None:
    if deployed is None:
        raise BadArgument(name="--at", value=at, expected="nothing: the collection is not deployed yet")
    if not deployed <= at <= newest:
        raise BadArgument(
            name="--at", value=at, expected=f"{deployed} to {newest}: the deployment's block to the newest"
        )


def _taken_back(ledger: Ledger) -> Run | None:
    """A finished run that a reorg took tokens of: the newest, since its own command comes first."""
    runs = (run for collection in ledger.collections.all() for run in ledger.runs.of(collection.id))
    return next((run for run in runs if ledger.batches.unminted(run.id)), None)


def _look_again(workspace: Workspace, config: Settings) -> None:
    """Note what a reorg took and what has become final, where the chain answers at once; the embedded one is not
    started for it."""
    with Ledger(workspace.ledger, readonly=True) as ledger:
        waiting = [c for c in ledger.collections.all() if ledger.tokens.counts(c.id).get("mined")]
    for kind, collection in {collection.chain_kind: collection for collection in waiting}.items():
        url = config.chain.rpc_url if kind == "external" else _running_at(workspace.chain / kind)
        if url:
            _look_at(url, workspace, collection)


def _running_at(folder: Path) -> str | None:
    """The URL of an embedded chain that runs now. Asked by a bare socket: a client would cost `status` its quickness."""
    port = kept_port(folder)
    if port is None:
        return None
    with socket.socket() as probe:
        return f"http://127.0.0.1:{port}" if probe.connect_ex(("127.0.0.1", port)) == 0 else None


def _look_at(url: str, workspace: Workspace, collection: Collection) -> None:
    try:
        chain = connect(url, patience_s=0)
        chain.check_identity(collection.chain_id, collection.genesis_hash)
        with Ledger(workspace.ledger) as ledger:
            look_again(ledger, chain, patience_s=0)
    except (ChainError, WorkspaceUnwritable) as error:  # told by the next command that needs the chain
        log.info("the chain was not looked at again: %s", error)
