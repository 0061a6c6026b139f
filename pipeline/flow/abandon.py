"""Giving a run up: what of it is neither on the chain nor in flight is let go of, and what stays is told.

Everything is written before it is done. What may still be mined is settled first, or an empty transaction takes its nonce;
only then do its tokens go, in one commit; only then their files. Given again after any interruption it goes on.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from pipeline.base.cid import CID
from pipeline.base.crash import crash_point
from pipeline.base.errors import BadArgument, WrongChain
from pipeline.base.observer import Observer
from pipeline.base.records import Address
from pipeline.base.workspace import Workspace
from pipeline.flow.connection import chain_url, reach, signer_for
from pipeline.flow.consent import NOBODY, Person, confirmations, spending_limits
from pipeline.ledger import Collection, Ledger, Run
from pipeline.ledger.abandon import LetGo, let_go
from pipeline.mint.chain import Chain
from pipeline.mint.networks import network_of
from pipeline.mint.sender import Sender
from pipeline.mint.watcher import ChainEvent, Watcher
from pipeline.pin.store import CarStore
from pipeline.settings import Settings

OWN_PLACE = "embedded"  # the place that is this workspace's own store


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """An empty transaction that took the nonce of one of ours."""

    what: str
    nonce: int
    tx_hash: bytes
    paid_wei: int


@dataclass(frozen=True, slots=True)
class Abandoned:
    """What became of a run that was given up."""

    collection: str
    contract: Address | None  # None: there is none, and no collection any more
    kept: range  # token ids that are on the chain
    gone: range  # token ids that are planned no more
    withdrawn: tuple[Withdrawn, ...]
    held_elsewhere: tuple[tuple[CID, str], ...]  # roots of what went, and a place that still has each


def abandon(
    workspace: Workspace,
    config: Settings,
    name: str | None,
    observer: Observer,
    person: Person = NOBODY,
    *,
    job: str = "",
    chain_is_gone: bool = False,
) -> Abandoned | None:
    """End the unfinished run of a collection (or of a job of the service); None when there is none.

    With `chain_is_gone` a run is let go of though its chain, that of a development node which began anew, will never
    come back. Raises BadArgument where it is not clear which run is meant, RpcUnavailable where something may be in flight
    and the node cannot be asked, and what `Sender.withdraw` raises: nothing is let go of then.
    """
    if not Ledger.exists(workspace.ledger):
        return None
    with workspace.lock(), Ledger(workspace.ledger) as ledger:
        ledger.check()
        run = _meant(ledger, name, job)
        if run is None:
            _sweep(workspace, ledger)
            return None
        ledger.hold(f"run {run.id}")
        collection = ledger.collections.get(run.collection)
        ledger.backup(workspace.backup("before"))
        withdrawn = _settled(workspace, config, ledger, run, collection, observer, person, chain_is_gone)
        found = let_go(ledger, run)
        held = _sweep(workspace, ledger)
        ledger.backup(workspace.backup("after"))
        return _told(ledger, collection, found, withdrawn, held)


def make_way(workspace: Workspace, ledger: Ledger, name: str, job: str) -> None:
    """Let go of what an ended job left of a collection, where that job never signed anything; the lock is held.

    So a request that failed early keeps nobody, and no second request, from its collection or its name. Nothing happens
    where `job` itself asks, nor where something may be on the chain.
    """
    collection = ledger.collections.named(name)
    run = ledger.runs.unfinished_of(collection.id) if collection else None
    if run is None or run.job in ("", job) or not _has_ended(ledger, run.job) or _may_be_on_chain(ledger, run):
        return
    let_go(ledger, run)
    _sweep(workspace, ledger)


# ── which run ────────────────────────────────────────────────────────────────────────────────────────────────


def _meant(ledger: Ledger, name: str | None, job: str) -> Run | None:
    runs = ledger.runs.all_unfinished()
    if job:
        return next((run for run in runs if run.job == job), None)
    named = {ledger.collections.get(run.collection).name: run for run in runs}
    if name is not None and name not in named:
        if ledger.collections.named(name) is not None:
            return None
        raise BadArgument(name="--name", value=name, expected=f"a collection with an unfinished run ({_list(named)})")
    if name is None and len(runs) > 1:
        raise BadArgument(name="--name", value="", expected=f"which of the unfinished runs: {_list(named)}")
    run = named[name] if name is not None else next(iter(runs), None)
    if run is not None and run.job and not _has_ended(ledger, run.job):
        raise BadArgument(
            name="--name",
            value=name or next(iter(named)),
            expected="a run that no job of the service is about to go on with",
            hint=f"POST /v1/jobs/{run.job}/cancel ends job {run.job}",
        )
    return run


def _list(named: dict[str, Run]) -> str:
    return ", ".join(map(repr, named)) or "there is none"


def _has_ended(ledger: Ledger, job: str) -> bool:
    try:
        return ledger.jobs.job(int(job)).has_ended
    except (KeyError, ValueError):
        return True


def _may_be_on_chain(ledger: Ledger, run: Run) -> bool:
    """Whether something of a run was ever signed, so that only the chain knows what became of it."""
    collection = ledger.collections.get(run.collection)
    return collection.contract is not None or bool(ledger.journal.makers(collection.id, "live", "mined", "final"))


# ── what may be in flight ────────────────────────────────────────────────────────────────────────────────────


def _settled(
    workspace: Workspace,
    config: Settings,
    ledger: Ledger,
    run: Run,
    collection: Collection,
    observer: Observer,
    person: Person,
    chain_is_gone: bool,
) -> tuple[Withdrawn, ...]:
    """Bring everything of a run to where it will stay; the empty transactions that this took."""
    if not _may_be_on_chain(ledger, run):
        return ()
    with chain_url(config, workspace, collection.chain_kind) as url:
        chain = reach(url)
        if chain_is_gone:
            _check_gone(chain, collection)
            for slot in ledger.journal.makers(collection.id, "live"):
                ledger.journal.mark_lost(slot)
            return ()
        _check_there(chain, collection)
        return _withdrawn(config, ledger, run, collection, chain, observer, person)


def _withdrawn(
    config: Settings,
    ledger: Ledger,
    run: Run,
    collection: Collection,
    chain: Chain,
    observer: Observer,
    person: Person,
) -> tuple[Withdrawn, ...]:
    watcher = Watcher(ledger, chain, collection.owner)
    watcher.step_back(patient=False)
    for line in watcher.adopt_known(collection.id):
        observer.notice(line)
    slots = ledger.journal.makers(collection.id, "live", "reverted")
    if not slots:
        return ()
    signer, question = signer_for(chain, config, collection.name, person)
    live = [str(slot) for slot in slots if slot.state == "live"]
    if live and question is not None:
        observer.notice(
            f"{', '.join(live)}: an empty transaction takes the nonce of what is not mined by then\n"
            f"{question.money(signer.address, chain.balance(signer.address))}"
        )
        question.put()

    def tell(event: ChainEvent) -> None:
        observer.notice(event.text)

    depth = confirmations(config, chain.chain_id, is_rehearsal=chain.is_rehearsal)
    sender = Sender(ledger, chain, signer, spending_limits(config), run.id, depth, tell)
    sender.withdraw(collection.id)
    crash_point("run_withdrawn")
    settled = ledger.journal.makers(collection.id, "reverted")
    return tuple(
        Withdrawn(str(slot), slot.nonce, mined.hash, slot.spent_wei or 0)
        for slot in settled
        if (mined := slot.mined) is not None and sender.watcher.is_empty(mined)
    )


def _check_there(chain: Chain, collection: Collection) -> None:
    try:
        chain.check_identity(collection.chain_id, collection.genesis_hash)
    except WrongChain as error:
        raise WrongChain(
            **error.fields,
            hint="nothing was let go of; where that chain will never come back: `pipeline abandon --chain-gone`",
        ) from error


def _check_gone(chain: Chain, collection: Collection) -> None:
    """Raise BadArgument unless the chain is a private one, and another with its id is where it was."""
    network = network_of(collection.chain_id)
    if network is not None and network.worth != "devnet":
        raise BadArgument(
            name="--chain-gone", value="given", expected=f"a chain of your own: {network.name} is not gone"
        )
    if chain.chain_id != collection.chain_id:
        expected = f"a node of chain {collection.chain_id} that began anew; this one is of chain {chain.chain_id}"
        raise BadArgument(name="--chain-gone", value="given", expected=expected)
    if chain.genesis_hash == collection.genesis_hash:
        raise BadArgument(
            name="--chain-gone", value="given", expected="nothing of it: the chain of this run is there, and is asked"
        )


# ── files, and what is told ──────────────────────────────────────────────────────────────────────────────────


def _sweep(workspace: Workspace, ledger: Ledger) -> list[tuple[CID, str]]:
    """Remove the files of what no collection has any more; the roots among them that another place still has.

    What is kept elsewhere stays in the ledger, so that `unpin` at that place lets go of it too.
    """
    held = []
    store = CarStore(workspace.cars)
    for orphan in ledger.pins.orphans():
        elsewhere = [pin.place for pin in orphan.pins if pin.place != OWN_PLACE and pin.state != "failed"]
        store.path(orphan.root.cid).unlink(missing_ok=True)
        held += [(orphan.root.cid, place) for place in elsewhere]
        if not elsewhere:
            ledger.pins.drop(orphan)
    for folder in _folders(workspace.image(0, 0).parent.parent):
        last = ledger.tokens.last(int(folder.name))
        if last is None:
            shutil.rmtree(folder)
            continue
        for file in folder.iterdir():
            if file.stem.isdecimal() and int(file.stem) > last:
                file.unlink()
    return held


def _folders(images: Path) -> list[Path]:
    return [folder for folder in images.iterdir() if folder.name.isdecimal()] if images.exists() else []


def _told(
    ledger: Ledger,
    collection: Collection,
    found: LetGo,
    withdrawn: tuple[Withdrawn, ...],
    held: list[tuple[CID, str]],
) -> Abandoned:
    contract = ledger.collections.get(collection.id).deployed_at if found.collection_stays else None
    return Abandoned(collection.name, contract, found.kept, found.gone, withdrawn, tuple(held))
