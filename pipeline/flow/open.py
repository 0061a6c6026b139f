"""One opening for every verb: a call says what it needs of art, content, chain and key, and gets no more.

Drawing needs art alone, so it works where no node and no key is. Minting what is drawn needs everything but art, so it
works where no model, no device and no folder is. A bill opens what its mint would open, but for the key.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from enum import Flag, auto
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pipeline.art.cover import read_cover
from pipeline.art.source import ArtPlan, ArtSource, Asked, open_source
from pipeline.base.errors import KeyRefused
from pipeline.base.observer import Observer
from pipeline.base.records import Address
from pipeline.base.workspace import Workspace
from pipeline.flow.connection import chain_url, reach, signer_for
from pipeline.flow.consent import NOBODY, Person, Question, check_network, check_node_named, wanted_network
from pipeline.flow.more import must_have_its_weights
from pipeline.flow.plan import (
    Add,
    Begin,
    Continue,
    Decision,
    Finished,
    NewRun,
    chain_kind,
    collection_name,
    collection_of,
    collection_seed,
    decide,
    named_after,
    new_run,
)
from pipeline.flow.recipients import Recipients, read_recipients, resolved_count
from pipeline.flow.signing import identity_of
from pipeline.ledger import UNDECIDED, Collection, Ledger, Run
from pipeline.mint.accounts import stated_address
from pipeline.mint.collection import check_recipients, parsed_address
from pipeline.mint.signer import open_signer
from pipeline.pin import load_pinners, must_be_known
from pipeline.pin.places import Places
from pipeline.pin.store import CarStore
from pipeline.settings import Settings

if TYPE_CHECKING:
    from pipeline.mark.certificate import Identity
    from pipeline.mint.chain import Chain
    from pipeline.mint.signer import Signer

T = TypeVar("T")

SOMEBODY = Address("0x5eeD5EED5eeD5EEd5eed5eEd5eEd5eed5EeD5EEd")  # pays where the account is not known


class Need(Flag):
    """What a call may need."""

    NOTHING = 0
    ART = auto()  # what makes pictures
    CONTENT = auto()  # the places that keep them
    CHAIN = auto()
    PAYER = auto()  # the account that pays, by its address alone
    KEY = auto()  # the same account, to sign with


@dataclass(frozen=True, slots=True)
class Request:
    """What a call of `mint` asks for, read without opening anything."""

    config: Settings
    count: int
    recipients: Recipients | None
    source: ArtSource


@dataclass(frozen=True, slots=True)
class Step:
    """What a request means in a workspace; `known` is None where it begins a collection, and `seed` is that one's then."""

    request: Request
    decision: Decision
    known: Collection | None
    name: str
    seed: int

    @property
    def run(self) -> Run | None:
        """The unfinished run that it goes on with."""
        return self.decision.run if isinstance(self.decision, Continue) else None


@dataclass(frozen=True, slots=True)
class Content:
    """Where files go: the workspace's CARs, and the places that keep them."""

    store: CarStore
    places: Places


@dataclass(frozen=True, slots=True)
class Tools:
    """What was opened. To take what was not asked for is a mistake of ours."""

    chain_kind: str
    opened_art: ArtPlan | None = None
    opened_content: Content | None = None
    opened_chain: Chain | None = None
    opened_payer: Address | None = None
    opened_signer: Signer | None = None
    question: Question | None = None  # to be put once plan and bill were told, before anything is written
    opened_identity: Identity | None = None  # who signs files, where somebody does

    @property
    def art(self) -> ArtPlan:
        """The art of a run that begins."""
        return _opened(self.opened_art, Need.ART)

    @property
    def content(self) -> Content:
        return _opened(self.opened_content, Need.CONTENT)

    @property
    def chain(self) -> Chain:
        return _opened(self.opened_chain, Need.CHAIN)

    @property
    def payer(self) -> Address:
        return _opened(self.opened_payer, Need.PAYER)

    @property
    def signer(self) -> Signer:
        return _opened(self.opened_signer, Need.KEY)


def _opened(tool: T | None, need: Need) -> T:
    assert tool is not None, f"this call was opened without {need.name}"
    return tool


# ── what a call is about ─────────────────────────────────────────────────────────────────────────────────────


def read_request(config: Settings, count: int | None, workspace: Workspace) -> Request:
    """What a call asks for. Raises PipelineError for settings that can be nothing, whatever the workspace says."""
    wanted_network(config)
    recipients = read_recipients(config.mint.to)
    source = open_source(config)
    known = source.count(count, partial(_waiting, workspace))
    return Request(source.located(config), resolved_count(known, recipients), recipients, source)


def _waiting(workspace: Workspace) -> list[Run]:
    if not Ledger.exists(workspace.ledger):
        return []
    with Ledger(workspace.ledger, readonly=True) as ledger:
        return ledger.runs.all_unfinished()


def step_of(request: Request, ledger: Ledger, *, more: bool, new: bool, complete: Run | None = None) -> Step:
    """What a request means here; `complete` is the run that it was found to ask for again. Raises what `decide` does."""
    config, source = request.config, request.source
    if complete is not None:
        decision: Decision = Finished(complete)
    else:
        decision = decide(ledger, config, request.count, request.recipients, more=more, new=new)
    known = collection_of(ledger, decision)
    seed = collection_seed(config) if known is None else known.seed
    if isinstance(decision, Begin) and not decision.name:
        decision = named_after(ledger, source.about(), seed)
    return Step(request, decision, known, collection_name(ledger, decision), seed)


def needs_of(step: Step, ledger: Ledger, *, draws_only: bool = False) -> Need:
    """What a step needs to be walked to its end, or until its pictures are there."""
    needs = Need.NOTHING if draws_only else Need.CONTENT | Need.CHAIN | Need.PAYER | Need.KEY
    if isinstance(step.decision, Finished):
        return Need.NOTHING
    is_drawn = step.run is not None and ledger.tokens.are_drawn(step.run.id) and not _lacks_cover(step.known)
    return needs if is_drawn else needs | Need.ART


def _lacks_cover(known: Collection | None) -> bool:
    """Whether the collection's own picture is still to be drawn."""
    return known is None or (known.cover is None and known.info_root is None)


# ── opening ──────────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def opened(
    step: Step,
    needs: Need,
    ledger: Ledger,
    workspace: Workspace,
    observer: Observer,
    person: Person = NOBODY,
    *,
    embedded: Workspace | None = None,
) -> Iterator[Tools]:
    """Open what a step needs. Nothing is planned, sent or drawn; what is wrong is said here.

    `embedded` names another folder for a chain of our own: a trial leaves the workspace's alone. Raises PipelineError.
    """
    config = step.request.config
    if Need.CHAIN in needs:
        check_node_named(config)
    known = step.known if step.known and step.known.is_placed else None
    tools = Tools(chain_kind(config, step.known))
    with ExitStack() as stack:
        if Need.ART in needs:
            tools = replace(tools, opened_art=_art(step, ledger, observer))
        if Need.CONTENT in needs:
            tools = replace(tools, opened_content=_content(config, workspace))
        else:
            must_be_known(config.pin.places)  # a run that is only drawn remembers them
        if Need.CHAIN in needs:
            kind = tools.chain_kind
            chain = reach(stack.enter_context(chain_url(config, embedded or workspace, kind)))
            check_network(config, chain.chain_id, chain.rpc.shown)
            if known and (embedded is None or kind == "external"):
                chain.check_identity(known.chain_id, known.genesis_hash)
            elif kind == "external":
                chain.recognise(ledger.collections.genesis_hashes(chain.chain_id))
            tools = replace(tools, opened_chain=chain)
        if Need.KEY in needs:
            signer, question = signer_for(tools.chain, config, step.name, person)
            tools = replace(tools, opened_signer=signer, opened_payer=signer.address, question=question)
            tools = replace(tools, opened_identity=identity_of(config, person))
        elif Need.PAYER in needs:
            tools = replace(tools, opened_payer=known.owner if known else _payer(config, tools.chain))
        yield tools


def _art(step: Step, ledger: Ledger, observer: Observer) -> ArtPlan | None:
    """What a run that begins writes down of its art; None where a run goes on, once it was seen that it can."""
    request, run, known = step.request, step.run, step.known
    given = run.arguments["cover"] if run else request.config.collection.cover
    if _lacks_cover(known) and given:
        read_cover(Path(given), "--cover")
    if run is not None:
        request.source.check(run)
        return None
    asked = Asked(
        seed=step.seed,
        first=ledger.runs.next_token(known),
        count=request.count,
        needs_cover=_lacks_cover(known) and not given,
        digests=lambda: ledger.tokens.digests(known.id) if known else {},
        plans=lambda: ledger.tokens.plans(known.id) if known else (),
        side=next((run.size for run in ledger.runs.of(known.id)), 0) if known else 0,
        observer=observer,
    )
    plan = request.source.plan(asked)
    for name in request.source.about().idle:
        if request.config.said_now(name):
            flag = name.replace("_", "-")
            observer.notice(f"warning: --{flag} has no effect on this art")
    return plan


def _content(config: Settings, workspace: Workspace) -> Content:
    store = CarStore(workspace.cars)
    return Content(store, Places(load_pinners(config.pin.pin.split(","), store, config), config.pin.quorum))


def _payer(config: Settings, chain: Chain) -> Address:
    """The account that would pay, as far as it is known without a password."""
    if config.chain.signer_address:
        return parsed_address(config.chain.signer_address, "--signer-address")
    if config.chain.keystore:
        return stated_address(Path(config.chain.keystore))
    try:
        return open_signer(chain).address
    except KeyRefused:  # no account was given: the bill is the same for anybody's
        return SOMEBODY


# ── what is planned with it ──────────────────────────────────────────────────────────────────────────────────


def plan_of(step: Step, needs: Need, ledger: Ledger, tools: Tools) -> NewRun:
    """The run that a step begins, once nothing is wrong with it; nothing is written. Raises PipelineError."""
    assert isinstance(step.decision, Add | Begin), "a run that begins"
    request, source = step.request, step.request.source
    payer = tools.payer if Need.PAYER in needs else UNDECIDED
    plan = new_run(
        *(ledger, request.config, step.decision, request.count, request.recipients),
        *(tools.art, source.about(), payer, step.seed),
    )
    if plan.known and (before := ledger.runs.of(plan.known.id)):
        must_have_its_weights(before[0], plan.art.fingerprint, request.config)
    if Need.CHAIN in needs:
        check_receivers(tools, [*plan.recipients.addresses] if plan.recipients else [plan.recipient])
    return plan


def check_receivers(tools: Tools, recipients: list[Address]) -> None:
    """Raise where tokens would go to what cannot hold them."""
    check_recipients(tools.chain, recipients, tools.payer)
