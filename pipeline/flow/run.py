"""The orchestrator: plan, then let three stages run at once, recording each thing before the next stage sees it.

    for batch in mint(sealed(pin(grouped(ahead(drawn(generate(specs))))))): …

`Ahead` moves what is upstream to a thread of its own behind a bounded queue, as `mint` does with its own upstream: that
is the overlap and the back-pressure. Recording in the ledger before handing on is the resume.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from pipeline.art.artworks import Artworks, drawn_with, encoder_of, must_draw_the_same, provenance_of
from pipeline.art.folder import ImageFolder
from pipeline.base.cid import CID
from pipeline.base.crash import crash_point
from pipeline.base.errors import BadArgument
from pipeline.base.observer import Observer
from pipeline.base.records import Artwork, BatchPlan, Found, PinnedBatch
from pipeline.base.workspace import Workspace
from pipeline.flow.connection import chain_url, reach, signer_for
from pipeline.flow.consent import NOBODY, Person, check_consent, confirmations, wanted_network
from pipeline.flow.plan import (
    Add,
    Begin,
    Continue,
    Decision,
    Finished,
    arguments_of,
    batch_size,
    chain_kind,
    collection_name,
    collection_of,
    collection_settings,
    decide,
    named_after,
    token_specs,
)
from pipeline.flow.preview import draw_run
from pipeline.flow.recipients import Recipients, read_recipients, resolved_count
from pipeline.ledger import Collection, Ledger, Run
from pipeline.settings.config import Config

if TYPE_CHECKING:
    from pipeline.art.draw import Generator
    from pipeline.mint.chain import Chain
    from pipeline.mint.fees import Limits
    from pipeline.mint.signer import Signer
    from pipeline.pin.places import Places
    from pipeline.pin.store import CarStore

T = TypeVar("T")

DRAWN_AHEAD = 16  # artworks waiting to be pinned: paths and digests, never pixels
ROUTINE = ("signed", "sent", "mined")  # what happens to every transaction: the bars show it


@dataclass(frozen=True, slots=True)
class Outcome:
    """A complete run; `fresh` is False when it had been complete before this call."""

    run: Run
    collection: Collection
    fresh: bool
    waits: bool = False  # it was to stop once drawn: nothing is pinned yet
    sheets: tuple[Path, ...] = ()  # its contact sheets then
    seconds: dict[str, float] = field(default_factory=dict)  # each stage's busy time, and `whole`

    def mark_reported(self, ledger: Ledger) -> None:
        """Remember that the caller has the result, so that the same call with `--more` adds again."""
        ledger.runs.mark_reported(self.run.id)


@dataclass(frozen=True, slots=True)
class Tools:
    """What a run works with, opened and checked before anything is planned."""

    chain: Chain
    chain_kind: str
    signer: Signer
    generator: Generator | None  # None: the images exist
    folder: ImageFolder | None  # where they are then
    found: Sequence[Found]  # what a new run takes from it
    store: CarStore
    places: Places


def mint_run(
    config: Config,
    count: int | None,
    workspace: Workspace,
    observer: Observer,
    *,
    more: bool,
    new: bool,
    stop_after_generate: bool = False,
    person: Person = NOBODY,
) -> Outcome:
    """Mint what was asked for, or the rest of it, or find that it is all there; return when it is on the chain.

    `count` may be None where a file of recipients says it. With `stop_after_generate` the run is planned and drawn, and
    waits: nothing is pinned, signed or sent until the same call comes without it.
    Give the same call again after any interruption: it continues. `person` is asked for a keystore's password, and
    before real money is spent. Raises PipelineError.
    """
    began = time.monotonic()
    wanted_network(config)
    recipients = read_recipients(config["to"])
    folder = ImageFolder(config["images"]) if config["images"] else None
    if folder is not None:
        config, count = folder.located(config), folder.count(count)
    count = resolved_count(count, recipients)
    with workspace.lock(), Ledger(workspace.ledger) as ledger:
        ledger.check()
        decision = decide(ledger, config, count, recipients, more=more, new=new)
        if folder is not None:
            decision = named_after(ledger, config, decision, folder)
        if isinstance(decision, Finished):
            decision = _still_there(config, workspace, ledger, decision, observer)
        if isinstance(decision, Finished):
            return Outcome(decision.run, ledger.collections.get(decision.run.collection), fresh=False)
        ledger.backup(workspace.backup("before"))
        spends = not stop_after_generate
        with _tools(config, workspace, ledger, decision, folder, observer, person, spends=spends) as tools:
            run = _planned(config, count, recipients, ledger, decision, tools, observer)
            if stop_after_generate:
                sheets = draw_run(run, ledger, workspace, tools.generator, observer)
                return Outcome(
                    run, ledger.collections.get(run.collection), fresh=True, waits=True, sheets=tuple(sheets)
                )
            seconds = _walk(config, run, ledger, workspace, tools, observer)
        ledger.runs.finish(run.id)
        ledger.backup(workspace.backup("after"))
        seconds["whole"] = time.monotonic() - began
        return Outcome(run, ledger.collections.get(run.collection), fresh=True, seconds=seconds)


# ── before the run ───────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def _tools(
    config: Config,
    workspace: Workspace,
    ledger: Ledger,
    decision: Decision,
    folder: ImageFolder | None,
    observer: Observer,
    person: Person,
    *,
    spends: bool,
) -> Iterator[Tools]:
    """Open everything a run needs. Nothing is planned, sent or drawn; what is wrong is said here."""
    from pipeline.art.draw import load_generator
    from pipeline.flow.cover import read_cover
    from pipeline.pin import load_pinners
    from pipeline.pin.places import Places
    from pipeline.pin.store import CarStore

    run = decision.run if isinstance(decision, Continue) else None
    known = collection_of(ledger, decision)
    kind = chain_kind(config, known)

    with ExitStack() as stack:
        if not known and (cover := config["cover"] or (folder.cover if folder else "")):
            read_cover(Path(cover))
        store = CarStore(workspace.cars)
        places = Places(load_pinners(config["pin"].split(","), store, config), config["quorum"])
        generator, found = None, list[Found]()
        if folder is None:
            observer.notice("opening the generator and the chain")
            generator = load_generator(
                config["model"],
                device=run.device if run else config["device"],
                threads=run.threads if run else config["threads"] or None,
            )
        elif run is None:
            observer.notice(f"reading {len(folder.tokens):,} images in {folder.path}")
            found = folder.read(
                ledger.tokens.digests(known.id) if known else {}, ledger.runs.next_token(known), observer
            )
        chain = reach(stack.enter_context(chain_url(config, workspace, kind)))
        if known:
            chain.check_identity(known.chain_id, known.genesis_hash)
        if spends:
            check_consent(config, chain.chain_id, collection_name(ledger, decision), person)
        signer = signer_for(chain, config, person.ask_password)
        yield Tools(chain, kind, signer, generator, folder, found, store, places)


def _still_there(
    config: Config, workspace: Workspace, ledger: Ledger, decision: Finished, observer: Observer
) -> Finished | Continue:
    """The same decision once the chain was looked at again; to continue, where a reorg took tokens of the run since.

    What is final is not looked at any more.
    """
    from pipeline.mint.watcher import look_again

    run = decision.run
    collection = ledger.collections.get(run.collection)
    if ledger.tokens.counts(collection.id).keys() == {"final"} and collection.state == "final":
        return decision
    with chain_url(config, workspace, collection.chain_kind) as url:
        chain = reach(url)
        chain.check_identity(collection.chain_id, collection.genesis_hash)
        for line in look_again(ledger, chain):
            observer.notice(line)
    if not ledger.runs.reopen(run.id):
        return decision
    reopened = ledger.runs.unfinished()
    assert reopened is not None
    return Continue(reopened)


def _planned(
    config: Config,
    count: int,
    recipients: Recipients | None,
    ledger: Ledger,
    decision: Decision,
    tools: Tools,
    observer: Observer,
) -> Run:
    """The run to walk: the unfinished one, or a new one written to the ledger as a whole before anything happens."""
    if isinstance(decision, Continue):
        if tools.generator is not None:
            must_draw_the_same(decision.run, tools.generator)
        _keep_gate(ledger, decision.run, config)
        observer.notice(_found(ledger, decision.run))
        return ledger.runs.unfinished() or decision.run

    from pipeline.mint.collection import check_recipients, parsed_address

    recipient = tools.signer.address
    if config["to"] and recipients is None:
        recipient = parsed_address(config["to"], "--to")
    check_recipients(tools.chain, recipients.addresses if recipients else [recipient], tools.signer.address)
    assert isinstance(decision, Add | Begin)
    with ledger.atomic():
        collection = _collection_for(config, ledger, decision, tools)
        start = ledger.runs.next_token(collection)
        if collection.max_supply and start + count - 1 > collection.max_supply:
            raise BadArgument(
                name="--count",
                value=count,
                expected=f"at most {collection.max_supply - start + 1}, the rest of max supply",
            )
        key = ledger.runs.plan(
            collection.id,
            arguments_of(config, count, recipients),
            {
                **drawn_with(tools.generator, tools.found, config["size"], config["encoder"]),
                "pinners": ",".join(tools.places.names),
                "rpc_url": tools.chain.rpc.shown,
            },
            token_specs(collection.seed, start, recipients or repeat(recipient, count)),
            start,
            count,
            batch_size(config, count, recipients),
        )
        ledger.tokens.plan_found(collection.id, dict(enumerate(tools.found, start)))
        ledger.runs.set_gate(key, duplicate_bits(config))
    _show_settings(collection, config["cover"], count, str(recipients or recipient), tools, observer)
    run = ledger.runs.unfinished()
    assert run is not None
    crash_point("run_planned")
    return run


def _collection_for(config: Config, ledger: Ledger, decision: Add | Begin, tools: Tools) -> Collection:
    if isinstance(decision, Add):
        return decision.collection
    chain = ledger.collections.enter_chain(tools.chain.chain_id, tools.chain.genesis_hash, tools.chain_kind)
    words = tools.folder.words(config) if tools.folder else config
    settings = collection_settings(words, decision.name, tools.signer.address)
    return ledger.collections.get(ledger.collections.plan(chain, settings))


def _show_settings(
    collection: Collection, cover: str, count: int, recipient: str, tools: Tools, observer: Observer
) -> None:
    observer.notice(
        f"collection  {collection.name} ({collection.symbol}), seed {collection.seed}\n"
        f"  text      {collection.description}\n"
        f"  royalty   {collection.royalty_bps / 100:g} % to {collection.royalty_receiver}\n"
        f"  link      {collection.external_url or 'none'}\n"
        f"  cover     {cover or (tools.folder.cover if tools.folder else 'drawn by the generator')}\n"
        f"  owner     {collection.owner}\n"
        f"  chain     {collection.chain_id} at {tools.chain.rpc.shown}\n"
        f"{count:,} tokens to {recipient}"
    )


def _found(ledger: Ledger, run: Run) -> str:
    counts = ledger.tokens.counts(run.collection)
    told = ", ".join(f"{number:,} {state}" for state, number in sorted(counts.items()))
    return f"found an unfinished run of {run.count:,} tokens ({told}): continuing"


def _keep_gate(ledger: Ledger, run: Run, config: Config) -> None:
    """A run keeps its gate, unless another is asked for: where nothing passes there must be a way on."""
    if config.given("duplicate_bits") and duplicate_bits(config) != run.duplicate_bits:
        ledger.runs.set_gate(run.id, duplicate_bits(config))


def duplicate_bits(config: Config) -> int | None:
    return None if config["duplicate_bits"] == "off" else int(config["duplicate_bits"])


# ── the run ──────────────────────────────────────────────────────────────────────────────────────────────────


def _walk(
    config: Config, run: Run, ledger: Ledger, workspace: Workspace, tools: Tools, observer: Observer
) -> dict[str, float]:
    """Draw, pin and mint whatever is missing of a run; return the busy seconds of each stage."""
    from pipeline.mint.indexer import sync
    from pipeline.mint.sender import Sender
    from pipeline.mint.stage import mint
    from pipeline.mint.watcher import ChainEvent
    from pipeline.pin.stage import pin

    flow = _Flow(run, ledger, workspace, tools, observer)
    flow.ensure_info()

    def tell(event: ChainEvent) -> None:
        if event.kind not in ROUTINE:
            observer.notice(event.text)

    depth = confirmations(config, tools.chain.chain_id, is_rehearsal=tools.chain.is_rehearsal)
    sender = Sender(ledger, tools.chain, tools.signer, spending_limits(config), run.id, depth, tell)
    for line in sender.recover(flow.collection.id):
        observer.notice(line)

    draw, pinning, minting = _Clock(), _Clock(), _Clock()
    with Ahead(draw.busy(flow.artworks), DRAWN_AHEAD) as artworks:
        groups = pinning.waiting(flow.grouped(artworks))
        pinned = pin(groups, flow.describe, tools.store, tools.places, flow.collection.name)
        sealed = pinning.busy(flow.sealed(pinned))  # `mint` reads it in a thread of its own
        for batch in minting.busy(mint(minting.waiting(sealed), sender, flow.collection.id)):
            flow.minted += batch.plan.quantity
            observer.progress("mint", flow.minted, run.count)
    sync(ledger, tools.chain, flow.collection.id)
    return {"draw": draw.seconds, "pin": pinning.seconds, "mint": minting.seconds}


def spending_limits(config: Config) -> Limits:
    """What may be spent at most, by the settings."""
    from pipeline.mint.fees import ETHER, GWEI, Limits

    def wei(name: str, unit: int) -> int:
        return int(Decimal(config[name]) * unit)

    return Limits(
        max_fee_wei=wei("max_fee_gwei", GWEI),
        transaction_wei=wei("max_transaction_eth", ETHER),
        run_wei=wei("max_run_eth", ETHER),
        day_wei=wei("max_day_eth", ETHER),
    )


class _Flow:
    """The parts of one run between its stages: what is left to do, and recording what is done."""

    def __init__(self, run: Run, ledger: Ledger, workspace: Workspace, tools: Tools, observer: Observer) -> None:
        self.run, self.ledger, self.workspace, self.tools, self.observer = run, ledger, workspace, tools, observer
        self.collection = self.ledger.collections.get(run.collection)
        drawing = tools.generator
        self.provenance = provenance_of(drawing, run.size, encoder_of(run)) if drawing else None
        self.artworks = Artworks(run, ledger, workspace, tools.generator, observer)
        self.earlier = self.ledger.batches.unminted(run.id)
        self.pinned = self.artworks.sealed
        self.minted = self.pinned - sum(batch.plan.quantity for batch in self.earlier)

    def grouped(self, artworks: Iterable[Artwork]) -> Iterator[tuple[BatchPlan, list[Artwork]]]:
        """Gather each batch's artworks; they arrive in the order of the plan."""
        upstream = iter(artworks)
        for plan in self.artworks.undrawn:
            yield plan, [next(upstream) for _ in plan.token_ids]

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
        from pipeline.pin.metadata import token_metadata

        folder = f"ipfs://{images}/{artwork.token_id}"
        own = artwork.found
        return token_metadata(
            name=(own and own.name) or f"{self.collection.name} #{artwork.token_id}",
            description=(own and own.description) or self.collection.description,
            image=f"{folder}{artwork.path.suffix}",
            artwork=artwork,
            provenance=self.provenance,
            external_url=(own and own.external_url) or self.collection.external_url,
            background_color=own.background_color if own else "",
            animation_url=_animation_url(own, folder) if own else "",
            youtube_url=own.youtube_url if own else "",
        )

    def ensure_info(self) -> None:
        """Draw the cover and pin the directory behind contractURI(), unless an earlier process did."""
        if self.collection.info_root is not None:
            return
        from pipeline.flow.cover import pin_info

        tools, cover_file = self.tools, self.run.arguments["cover"]
        if tools.folder is not None:
            cover_file = cover_file or tools.folder.cover
        cover, info, pins = pin_info(
            self.collection, cover_file, self.run.size, tools.generator, self.workspace, tools.store, tools.places
        )
        self.ledger.collections.set_info(self.collection.id, cover, info, pins)
        crash_point("info_recorded")
        self.collection = self.ledger.collections.get(self.collection.id)


def _animation_url(found: Found, folder: str) -> str:
    return f"{folder}{found.animation.suffix.lower()}" if found.animation else found.animation_url


# ── threads ──────────────────────────────────────────────────────────────────────────────────────────────────


class Ahead(Generic[T]):
    """Iterate `upstream` in a thread of its own, at most `depth` items ahead of the reader.

    Use it as a context manager: leaving it stops the thread at its next item and closes `upstream`. What upstream
    raises comes out of the reader's `next`.
    """

    _END = object()

    def __init__(self, upstream: Iterator[T], depth: int) -> None:
        self._upstream = upstream
        self._queue: queue.Queue[tuple[object, BaseException | None]] = queue.Queue(depth)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._produce, daemon=True)

    def __enter__(self) -> Iterator[T]:
        self._thread.start()
        return self._consume()

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _produce(self) -> None:
        try:
            for item in self._upstream:
                if not self._put((item, None)):
                    return
            self._put((self._END, None))
        except BaseException as error:  # the reader raises it: see _consume
            self._put((self._END, error))
        finally:
            close = getattr(self._upstream, "close", None)
            if close:
                close()

    def _put(self, entry: tuple[object, BaseException | None]) -> bool:
        """Wait for room; False when the reader has gone."""
        while not self._stopped.is_set():
            try:
                self._queue.put(entry, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def _consume(self) -> Iterator[T]:
        while not self._stopped.is_set():
            try:
                item, error = self._queue.get(timeout=0.1)
            except queue.Empty:
                continue
            if error is not None:
                raise error
            if item is self._END:
                return
            yield cast(T, item)


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
