"""The orchestrator: plan, then let three stages run at once, recording each thing before the next stage sees it.

    for batch in mint(sealed(pin(grouped(ahead(artworks))))): …

`Ahead` moves what is upstream to a thread of its own behind a bounded queue, as `mint` does with its own upstream: that
is the overlap and the back-pressure. Recording in the ledger before handing on is the resume.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from pipeline.art.artworks import Artworks
from pipeline.art.source import ArtSource, Work, provenance_of
from pipeline.base.ahead import Ahead
from pipeline.base.cid import CID, IpfsUri
from pipeline.base.crash import crash_point
from pipeline.base.errors import InsufficientFunds
from pipeline.base.metadata import token_metadata
from pipeline.base.observer import Observer
from pipeline.base.records import Address, Artwork, BatchPlan, PinnedBatch, PinnedRoot
from pipeline.base.words import counted
from pipeline.base.workspace import Workspace
from pipeline.flow.abandon import make_way
from pipeline.flow.bill import bill_of
from pipeline.flow.committed import must_hold_content_of, own_roots
from pipeline.flow.connection import chain_url, reach
from pipeline.flow.consent import NOBODY, ONLY_HERE, Person, confirmations, is_on_this_machine_only, spending_limits
from pipeline.flow.cover import ensure_cover, pin_info
from pipeline.flow.more import wish_of
from pipeline.flow.open import Need, Step, Tools, check_receivers, needs_of, opened, plan_of, read_request, step_of
from pipeline.flow.plan import Continue, Finished, NewRun, arguments_of, enter_run
from pipeline.flow.preview import draw_run, sheet_of_minted, sheet_of_run
from pipeline.flow.signing import Signing
from pipeline.flow.studio import must_be_committed
from pipeline.ledger import NOWHERE, UNDECIDED, Collection, Ledger, Run
from pipeline.mint.fees import ether
from pipeline.mint.indexer import sync
from pipeline.mint.sender import Sender
from pipeline.mint.stage import mint
from pipeline.mint.watcher import ChainEvent, look_again
from pipeline.pin.stage import pin
from pipeline.settings import Settings

T = TypeVar("T")

DRAWN_AHEAD = 16  # artworks waiting to be pinned: paths and digests, never pixels
LONGEST_BILL = 4  # transactions that are told one by one
ROUTINE = ("signed", "sent", "mined")  # what happens to every transaction: the bars show it


@dataclass(frozen=True, slots=True)
class Outcome:
    """A complete run; `fresh` is False when it had been complete before this call."""

    run: Run
    collection: Collection
    fresh: bool
    waits: bool = False  # it was to stop once drawn: nothing is pinned yet
    sheets: tuple[Path, ...] = ()  # its contact sheets: all of it where it waits, one page once it is minted
    seconds: dict[str, float] = field(default_factory=dict)  # each stage's busy time, and `whole`

    def mark_reported(self, ledger: Ledger) -> None:
        """Remember that the caller has the result, so that the same call with `--more` adds again."""
        ledger.runs.mark_reported(self.run.id)


def mint_run(
    config: Settings,
    count: int | None,
    workspace: Workspace,
    observer: Observer,
    *,
    more: bool,
    new: bool,
    total: int | None = None,
    stop_after_generate: bool = False,
    person: Person = NOBODY,
) -> Outcome:
    """Mint what was asked for, or the rest of it, or find that it is all there; return when it is on the chain.

    `count` may be None where a file of recipients or the art says it, or `total`: how many the collection shall have. With `stop_after_generate` the run is planned and
    drawn, with neither chain nor key, and waits: nothing is pinned, signed or sent until the same call comes without it,
    here or wherever the workspace was carried. What is drawn then needs nothing that drew it.
    Give the same call again after any interruption: it continues. `person` is asked for a keystore's password, and
    before real money is spent. Raises PipelineError.
    """
    began = time.monotonic()
    wish = wish_of(config, count, workspace, observer.notice, more=more, new=new, total=total)
    request = read_request(wish.settings, wish.count, workspace)
    with workspace.lock(), Ledger(workspace.ledger) as ledger:
        ledger.check()
        if request.config.given("name"):
            make_way(workspace, ledger, request.config.collection.name, request.config.job)
        step = step_of(request, ledger, more=wish.more, new=new, complete=wish.complete)
        if isinstance(step.decision, Finished):
            step = replace(step, decision=_still_there(step, step.decision, workspace, ledger, observer))
        if isinstance(step.decision, Finished):
            work = Work(step.decision.run, ledger, workspace, observer)
            page = tuple(path for path in (sheet_of_run(work),) if path.exists())
            return Outcome(work.run, work.collection, fresh=False, sheets=page)
        ledger.backup(workspace.backup("before"))
        needs = needs_of(step, ledger, draws_only=stop_after_generate)
        with opened(step, needs, ledger, workspace, observer, person) as tools:
            run = _planned(step, needs, ledger, tools, observer)
            ledger.hold(f"run {run.id}")  # of a ledger that several machines share
            work = Work(run, ledger, workspace, observer)
            if stop_after_generate:
                sheets = draw_run(request.source, work)
                return Outcome(run, work.collection, fresh=True, waits=True, sheets=tuple(sheets))
            must_be_committed(ledger, run)
            seconds = _walk(step.request.config, request.source, work, tools)
        ledger.runs.finish(run.id)
        ledger.backup(workspace.backup("after"))
        seconds["whole"] = time.monotonic() - began
        page = tuple(sheet_of_minted(work))
        return Outcome(run, work.collection, fresh=True, sheets=page, seconds=seconds)


# ── before the run ───────────────────────────────────────────────────────────────────────────────────────────


def _still_there(
    step: Step, decision: Finished, workspace: Workspace, ledger: Ledger, observer: Observer
) -> Finished | Continue:
    """The same decision once the chain was looked at again; to continue, where a reorg took tokens of the run since.

    What is final is not looked at any more.
    """
    run = decision.run
    collection = ledger.collections.get(run.collection)
    if ledger.tokens.counts(collection.id).keys() == {"final"} and collection.state == "final":
        return decision
    with chain_url(step.request.config, workspace, collection.chain_kind) as url:
        chain = reach(url)
        chain.check_identity(collection.chain_id, collection.genesis_hash)
        for line in look_again(ledger, chain):
            observer.notice(line)
    if not ledger.runs.reopen(run.id):
        return decision
    return Continue(ledger.runs.get(run.id))


def _planned(step: Step, needs: Need, ledger: Ledger, tools: Tools, observer: Observer) -> Run:
    """The run to walk: the unfinished one, or a new one written to the ledger as a whole before anything happens."""
    run = step.run
    if run is not None:
        observer.notice(_found(ledger, run))
        _ask(step, needs, ledger, tools, observer)
        if not run.is_placed and Need.CHAIN in needs:
            _place(step, run, ledger, tools)
        _keep_gate(ledger, run, step.request.config)
        return ledger.runs.get(run.id)
    plan = plan_of(step, needs, ledger, tools)
    _show_settings(step, plan, needs, tools, observer)
    _ask(step, needs, ledger, tools, observer)
    with ledger.atomic():
        collection = _write(plan, needs, ledger, tools, step.request.config)
    crash_point("run_planned")
    planned = ledger.runs.unfinished_of(collection.id)
    assert planned is not None, "it was written just now"
    return planned


def _write(plan: NewRun, needs: Need, ledger: Ledger, tools: Tools, config: Settings) -> Collection:
    """Enter a run, and its collection where that begins; inside `atomic`."""
    collection = plan.known or _begun(plan, needs, ledger, tools)
    pinners = tools.content.places.names if Need.CONTENT in needs else config.pin.places
    shown = tools.chain.rpc.shown if Need.CHAIN in needs else ""
    enter_run(ledger, collection.id, plan, config.art.duplicate_bits, pinners, shown)
    return collection


def _begun(plan: NewRun, needs: Need, ledger: Ledger, tools: Tools) -> Collection:
    collections, chain = ledger.collections, NOWHERE
    if Need.CHAIN in needs:
        key = collections.enter_chain(tools.chain.chain_id, tools.chain.genesis_hash, tools.chain_kind)
    else:
        key = collections.enter_chain(chain.chain_id, chain.genesis_hash, chain.kind)
    assert plan.settings is not None, "a collection that begins has settings"
    return collections.get(collections.plan(key, plan.settings))


def _place(step: Step, run: Run, ledger: Ledger, tools: Tools) -> None:
    """Decide where a run goes that was drawn without chain and key, and whose it is."""
    collection, config, request = step.known, step.request.config, step.request
    assert collection is not None, "an unfinished run is of a collection"
    payer, batches = tools.payer, ledger.batches.undrawn(run.id)
    check_receivers(tools, request.recipients.addresses if request.recipients else [_recipient(ledger, batches, payer)])
    receiver = payer if collection.royalty_receiver == UNDECIDED else collection.royalty_receiver
    with ledger.atomic():
        if not collection.is_placed:
            chain = ledger.collections.enter_chain(tools.chain.chain_id, tools.chain.genesis_hash, tools.chain_kind)
            ledger.collections.place(collection.id, chain, payer, receiver)
        ledger.tokens.place(batches, payer)
        arguments = run.arguments | arguments_of(config, request.count, request.recipients)
        ledger.runs.place(run, arguments, tools.chain.rpc.shown, ",".join(tools.content.places.names))
    crash_point("run_placed")


def _recipient(ledger: Ledger, batches: list[BatchPlan], payer: Address) -> Address:
    """Who gets the tokens of a run without a file of recipients."""
    planned = ledger.tokens.recipients(batches[0].id)[0]
    return payer if planned == UNDECIDED else planned


def _show_settings(step: Step, plan: NewRun, needs: Need, tools: Tools, observer: Observer) -> None:
    collection = plan.known or plan.settings
    assert collection is not None, "a run is of a collection"
    later = "decided when it is minted"
    where = f"{tools.chain.chain_id} at {tools.chain.rpc.shown}" if Need.CHAIN in needs else later
    observer.notice(
        f"collection  {collection.name} ({collection.symbol}), seed {collection.seed}\n"
        f"  text      {collection.description}\n"
        f"  artist    {collection.artist or 'not said'}\n"
        f"  licence   {collection.licence or 'none: all rights stay with the artist'}\n"
        f"  royalty   {collection.royalty_bps / 100:g} % to {_shown(collection.royalty_receiver)}\n"
        f"  link      {collection.external_url or 'none'}\n"
        f"  cover     {step.request.config.collection.cover or step.request.source.about().cover}\n"
        f"  owner     {_shown(collection.owner)}\n"
        f"  chain     {where}\n"
        f"{counted(plan.count, 'token(s)')} to {plan.recipients or _shown(plan.recipient)}"
    )


def _ask(step: Step, needs: Need, ledger: Ledger, tools: Tools, observer: Observer) -> None:
    """Tell what a run costs and where its content is, then ask whether real money may be spent. Raises NotConfirmed.

    Raises InsufficientFunds where the account cannot pay what the trial took.
    """
    if Need.CHAIN not in needs:
        return
    chain_id, places = tools.chain.chain_id, tools.content.places.names
    if tools.question is not None:
        bill = bill_of(step, needs, ledger, tools)
        parts = ", ".join(f"{line.what} {ether(line.wei)}" for line in bill.lines[:LONGEST_BILL])
        more = len(bill.lines) - LONGEST_BILL
        observer.notice(
            f"  bill      {ether(bill.wei)} ETH at today's fees: {parts}{f', {more:,} more' if more > 0 else ''}\n"
            f"{tools.question.money(bill.payer, bill.balance_wei or 0)}"
        )
        if (bill.balance_wei or 0) < bill.wei:
            raise InsufficientFunds(address=bill.payer, balance_wei=bill.balance_wei or 0, needed_wei=bill.wei)
    if is_on_this_machine_only(places, chain_id):
        observer.notice(ONLY_HERE)
    if tools.question is not None:
        tools.question.put()


def _shown(address: Address) -> str:
    return "who mints it" if address == UNDECIDED else address


def _found(ledger: Ledger, run: Run) -> str:
    counts = ledger.tokens.counts(run.collection)
    told = ", ".join(f"{number:,} {state}" for state, number in sorted(counts.items()))
    return f"found an unfinished run of {counted(run.count, 'token(s)')} ({told}): continuing"


def _keep_gate(ledger: Ledger, run: Run, config: Settings) -> None:
    """A run keeps its gate, unless another is asked for: where nothing passes there must be a way on."""
    if config.given("duplicate_bits") and config.art.duplicate_bits != run.duplicate_bits:
        ledger.runs.set_gate(run.id, config.art.duplicate_bits)


# ── the run ──────────────────────────────────────────────────────────────────────────────────────────────────


def _walk(config: Settings, source: ArtSource, work: Work, tools: Tools) -> dict[str, float]:
    """Draw, pin and mint whatever is missing of a run; return the busy seconds of each stage."""
    run, ledger, observer = work.run, work.ledger, work.observer
    flow = _Flow(source, work, tools)
    flow.must_hold_content()
    flow.ensure_info()

    def tell(event: ChainEvent) -> None:
        if event.kind not in ROUTINE:
            observer.notice(event.text)

    depth = confirmations(config, tools.chain.chain_id, is_rehearsal=tools.chain.is_rehearsal)
    if tools.chain.is_rehearsal and config.chain.confirmations > depth:
        observer.notice(
            "a development node makes no block to wait for: a token counts as minted in the one that holds it"
        )
    limits = spending_limits(config)
    check = must_hold_content_of(ledger, tools.content.store)
    sender = Sender(ledger, tools.chain, tools.signer, limits, run.id, depth, tell, before_signing=check)
    for line in sender.recover(flow.collection.id):
        observer.notice(line)

    draw, pinning, minting = _Clock(), _Clock(), _Clock()
    with Ahead(draw.busy(flow.artworks), DRAWN_AHEAD) as artworks:
        groups = pinning.waiting(flow.grouped(artworks))
        pinned = pin(groups, flow.describe, tools.content.store, tools.content.places, flow.collection.name)
        sealed = pinning.busy(flow.sealed(pinned))  # `mint` reads it in a thread of its own
        for batch in minting.busy(mint(minting.waiting(sealed), sender, flow.collection.id)):
            flow.minted += batch.plan.quantity
            observer.progress("mint", flow.minted, run.count)
    sync(ledger, tools.chain, flow.collection.id)
    return {"draw": draw.seconds, "pin": pinning.seconds, "mint": minting.seconds}


class _Flow:
    """The parts of one run between its stages: what is left to do, and recording what is done."""

    def __init__(self, source: ArtSource, work: Work, tools: Tools) -> None:
        self.source, self.work, self.tools = source, work, tools
        self.run, self.ledger, self.observer = work.run, work.ledger, work.observer
        self.collection = work.collection
        self.provenance = provenance_of(work.run)
        self.artworks = Artworks(source, work)
        self.earlier = self.ledger.batches.unminted(work.run.id)
        self.pinned = self.artworks.sealed
        self.minted = self.pinned - sum(batch.plan.quantity for batch in self.earlier)

    def grouped(self, artworks: Iterable[Artwork]) -> Iterator[tuple[BatchPlan, list[Artwork]]]:
        """Gather each batch's artworks; they arrive in the order of the plan."""
        upstream = self.signed(artworks)
        for plan in self.artworks.undrawn:
            yield plan, [next(upstream) for _ in plan.token_ids]

    def signed(self, artworks: Iterable[Artwork]) -> Iterator[Artwork]:
        """Each artwork once it has its credential, where somebody signs. By now the contract is deployed."""
        identity = self.tools.opened_identity
        made = self.source.about().origin(self.run.renderer).made if identity else None
        if identity is None or made is None:
            yield from artworks
        else:
            yield from map(Signing(identity, self.work, made).signed, artworks)

    def sealed(self, batches: Iterable[PinnedBatch]) -> Iterator[PinnedBatch]:
        """First the batches that an earlier process sealed, then each new one once the ledger holds it."""
        yield from self.earlier
        for batch in batches:
            self.ledger.batches.seal(batch, self.collection.name)
            self.pinned += batch.plan.quantity
            self.observer.progress("pin", self.pinned, self.run.count)
            yield batch

    def describe(self, artwork: Artwork, images: CID) -> bytes:
        """A token's metadata: canonical bytes, so that the same artwork has the same CID."""
        folder, own = IpfsUri(images, str(artwork.token_id)), artwork.words
        words = replace(
            own,
            name=own.name or f"{self.collection.name} #{artwork.token_id}",
            description=own.description or self.collection.description,
            external_url=own.external_url or self.collection.external_url,
            animation_url=f"{folder}{artwork.animation.suffix}" if artwork.animation else own.animation_url,
        )
        return token_metadata(
            artwork,
            words,
            f"{folder}{artwork.path.suffix}",
            self.provenance,
            artist=self.collection.artist,
            licence=self.collection.licence,
        )

    def must_hold_content(self) -> None:
        """Raise Corrupt unless what an earlier process sealed is still here: it was proved then, and may be gone since."""
        roots = [root for batch in self.earlier for root in (batch.images, batch.metadata)]
        if self.earlier or self.collection.contract is None:  # the deployment commits to the collection's own
            roots += own_roots(self.ledger, self.collection)
        for root in roots:
            self.tools.content.store.must_hold(root)
            self._must_be_kept(root)

    def _must_be_kept(self, root: PinnedRoot) -> None:
        """Pin a root again where so many places have lost it that it would not count as pinned."""
        store, places = self.tools.content.store, self.tools.content.places
        missing = places.missing(root)
        for place, error in missing.items():
            self.observer.notice(f"{place} does not say any more that it keeps {root.cid}: {error}")
        if not places.are_enough(len(places.names) - len(missing)):
            known = self.ledger.pins.known(root.cid)
            self.ledger.pins.record(places.pin(store.path(root.cid), root, known.name))

    def ensure_info(self) -> None:
        """Pin the cover and the directory behind contractURI(), unless an earlier process did."""
        if self.collection.info_root is not None:
            return

        cover, content = ensure_cover(self.source, self.work), self.tools.content
        path = self.work.workspace.cover(self.collection.id, cover.suffix)
        root, info, pins = pin_info(self.collection, cover, path, content.store, content.places)
        self.ledger.collections.set_info(self.collection.id, root, info, pins)
        crash_point("info_recorded")
        self.collection = self.work.collection


class _Clock:
    """How long a stage works: the time inside its `next`, less the time it waits there for its upstream."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def busy(self, items: Iterable[T]) -> Iterator[T]:
        return self._timed(items, +1)

    def waiting(self, items: Iterable[T]) -> Iterator[T]:
        return self._timed(items, -1)

    def _timed(self, items: Iterable[T], sign: int) -> Iterator[T]:
        upstream = iter(items)
        while True:
            began = time.monotonic()
            try:
                item = next(upstream)
            except StopIteration:
                return
            finally:
                self.seconds += sign * (time.monotonic() - began)
            yield item
