"""The read-only JSON of the service: collections, tokens, facets, owners, batches, transactions, progress, verification.

Every route opens the ledger readonly and takes no lock, so a mint beside it goes on. Questions about all tokens of a
collection are answered from an index in memory.
"""

from __future__ import annotations

import asyncio
import bisect
import functools
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import unquote

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import Field

from pipeline.after.transparency import Transparency, transparency
from pipeline.after.verify import Source, Step, Verdict, redraw_with, verify_token
from pipeline.base.errors import BadArgument, NoSuch, PipelineError
from pipeline.base.limits import MAX_EXACT
from pipeline.base.records import Address
from pipeline.base.workspace import Workspace
from pipeline.flow.connection import open_chain
from pipeline.ledger import Collection, Ledger
from pipeline.mint.collection import Collection as Contract
from pipeline.pin.store import CarStore
from pipeline.serve import documents as doc
from pipeline.serve import streams, views
from pipeline.serve.gallery import addresses
from pipeline.serve.index import Index, Indexes, Order
from pipeline.serve.index import Query as Wanted
from pipeline.serve.problems import PROBLEMS, Busy, problem_of
from pipeline.settings import Settings

if TYPE_CHECKING:
    from pipeline.after.verify import Redraw

Verifier = Callable[[Collection, int], "Iterator[Step]"]

MAX_PAGE = 500
MAX_INDEX = 100_000  # tokens of one grid: a browser's page can be no higher than some 30 million pixels
MAX_TEXT = 200  # characters of a search
MAX_TRAITS = 100  # conditions of a query
MAX_VERIFICATIONS = 4  # that wait their turn: each draws an image again

CollectionId = Annotated[int, Path(ge=1, le=MAX_EXACT, description="as `/v1/collections` tells it")]
TokenId = Annotated[int, Path(ge=1, le=MAX_EXACT)]
AddressPath = Annotated[str, Path(pattern="^0x[0-9a-fA-F]{40}$")]
Limit = Annotated[int, Query(ge=1, le=MAX_PAGE)]
Cursor = Annotated[str | None, Query(max_length=64, pattern="^[0-9]{1,16}([.-][0-9a-zA-Z]{1,42})?$")]
_EVENTS: dict[str, Any] = {streams.MEDIA_TYPE: {"schema": {"type": "string"}}}


def wanted(
    q: Annotated[
        str, Query(max_length=MAX_TEXT, description="words: an id, the start of an owner, part of a value")
    ] = "",
    owner: Annotated[str, Query(max_length=42, pattern="^(0[xX][0-9a-fA-F]{0,40})?$")] = "",
    trait: Annotated[
        list[Annotated[str, Field(json_schema_extra={"pattern": ":"})]] | None,
        Query(
            max_length=MAX_TRAITS, description="`trait:value`, each of them percent-encoded; values of one trait add up"
        ),
    ] = None,
) -> Wanted:
    """The query that the parameters mean. Raises BadArgument for a trait without a value."""
    traits: dict[str, set[str]] = {}
    for pair in trait or ():
        name, colon, value = pair.partition(":")
        if not colon:
            raise BadArgument(name="trait", value=pair[:MAX_TEXT], expected="trait:value, each of them percent-encoded")
        traits.setdefault(unquote(name), set()).add(unquote(value))
    return Wanted(q, owner, {name: frozenset(values) for name, values in traits.items()})


WantedQuery = Annotated[Wanted, Depends(wanted)]


def reading_router(reader: Reader, gateway: str | None = None) -> APIRouter:
    """The routes below /v1. `gateway` is the address under which content is served, ending in /ipfs/."""
    routes = ReadingRoutes(reader, gateway)
    router = APIRouter(prefix="/v1", responses=PROBLEMS, tags=["reading"])
    one, token = "/collections/{collection_id}", "/collections/{collection_id}/tokens/{token_id}"
    for path, route in (
        ("/collections", routes.collections),
        (one, routes.collection),
        (f"{one}/transparency", routes.transparency),
        ("/owners/{address}", routes.holdings),
        (f"{one}/tokens", routes.tokens),
        (f"{one}/index", routes.index),
        (f"{one}/facets", routes.facets),
        (token, routes.token),
        (f"{one}/owners", routes.owners),
        (f"{one}/batches", routes.batches),
        (f"{one}/transactions", routes.transactions),
    ):
        router.add_api_route(path, route, methods=["GET"])
    for path, told in ((f"{one}/progress", routes.progress), (f"{token}/verification", routes.verification)):
        router.add_api_route(path, told, methods=["GET"], responses={200: {"content": _EVENTS}})
    return router


class ReadingRoutes:
    """What the routes do. Each can be called without a server."""

    def __init__(self, reader: Reader, gateway: str | None) -> None:
        self._reader, self._gateway = reader, gateway

    def collections(self) -> list[doc.CollectionSummary]:
        """Every collection of the workspace, the newest first."""
        return self._reader.collections()

    def holdings(self, address: AddressPath) -> doc.Holdings:
        """What an address owns, in every collection: the newest collection first."""
        return self._reader.holdings(Address(address))

    def collection(self, collection_id: CollectionId) -> doc.CollectionDetail:
        """One collection: what it is called, where it lives, who owns it, how far it is."""
        with self._reader.open(collection_id) as (ledger, found):
            slug = self._reader.slugs(ledger)[found.id]
            return views.collection_detail(ledger, found, slug, self._gateway, public=self._reader.public)

    def transparency(self, collection_id: CollectionId) -> Transparency:
        """How the works of a collection were made, what of it was learned and from what, how to check it, what is not known."""
        with self._reader.open(collection_id) as (ledger, found):
            return transparency(ledger, found, public=self._reader.public)

    async def progress(self, request: Request, collection_id: CollectionId) -> doc.Progress:
        """How far a collection is; with `Accept: text/event-stream` told again whenever it changes, until it is minted."""
        now = await self._reader.progress(collection_id)
        if not streams.wants_events(request):
            return now
        return self._reader.streams.respond(  # type: ignore[return-value]  # FastAPI passes a response on as it is
            streams.changes(
                lambda _: "progress", lambda: self._reader.progress(collection_id), lambda seen: not seen.running
            )
        )

    def tokens(
        self,
        collection_id: CollectionId,
        query: WantedQuery,
        sort: Order = "id",
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> doc.TokenPage:
        """A page of the tokens that a query leaves."""
        with self._reader.open(collection_id) as (ledger, found):
            index = self._reader.indexes.of(ledger, found.id)
            return _token_page(ledger, found, index, index.find(query, sort), sort, limit, cursor)

    def index(self, collection_id: CollectionId, query: WantedQuery, sort: Order = "id") -> doc.TokenIndex:
        """The ids of all tokens that a query leaves, in order, with rank and image version: what a grid needs."""
        with self._reader.open(collection_id) as (ledger, found):
            index = self._reader.indexes.of(ledger, found.id)
        return columns(index, index.find(query, sort))

    def token_ids(self, collection_id: int) -> list[int]:
        """Every token that is shown of a collection."""
        with self._reader.open(collection_id) as (ledger, found):
            return self._reader.indexes.of(ledger, found.id).ids

    def number(self, word: str) -> int | None:
        """The collection that an address names by this word."""
        return self._reader.number(word)

    def facets(self, collection_id: CollectionId, query: WantedQuery) -> doc.Facets:
        """Every trait with its values, and how many tokens choosing one of them would leave."""
        with self._reader.open(collection_id) as (ledger, found):
            index = self._reader.indexes.of(ledger, found.id)
        return doc.Facets(
            total=len(index.find(query)),
            traits=[
                doc.Facet(
                    trait_type=trait,
                    values=[doc.ValueCount(value=one.value, count=one.count, total=one.total) for one in values],
                )
                for trait, values in index.facets(query).items()
            ],
        )

    def token(self, collection_id: CollectionId, token_id: TokenId) -> doc.TokenDetail:
        """Everything about one token: traits, owner, history, content, provenance, rarity."""
        with self._reader.open(collection_id) as (ledger, found):
            index, public = self._reader.indexes.of(ledger, found.id), self._reader.public
            return views.token_detail(ledger, found, token_id, index, self._gateway, public=public)

    async def verification(self, request: Request, collection_id: CollectionId, token_id: TokenId) -> doc.Verification:
        """Walk from the chain back to the pixels. With `Accept: text/event-stream` each step is told as it is known."""
        steps = self._reader.verification(
            await asyncio.to_thread(self._reader.minted, collection_id, token_id), token_id
        )
        if streams.wants_events(request):
            return self._reader.streams.respond(_step_events(steps, token_id, self._reader.public))  # type: ignore[return-value]
        return _verification(token_id, [step async for step in steps])

    def owners(self, collection_id: CollectionId, limit: Limit = 50, cursor: Cursor = None) -> doc.OwnerPage:
        """Who owns how many tokens, who has most first."""
        with self._reader.open(collection_id) as (ledger, found):
            counts = self._reader.indexes.of(ledger, found.id).owner_counts()
        return _owner_page(counts, limit, cursor)

    def batches(self, collection_id: CollectionId, limit: Limit = 50, cursor: Cursor = None) -> doc.BatchPage:
        """The batches in which the tokens were pinned and minted, with their roots and transactions."""
        with self._reader.open(collection_id) as (ledger, found):
            return views.batch_page(ledger, found, _number(cursor), limit, public=self._reader.public)

    def transactions(
        self, collection_id: CollectionId, limit: Limit = 50, cursor: Cursor = None
    ) -> doc.TransactionPage:
        """The transactions of a collection, in the order in which they were planned."""
        with self._reader.open(collection_id) as (ledger, found):
            return views.transaction_page(ledger, found, _number(cursor), limit, public=self._reader.public)


class Reader:
    """What the routes share: the workspace, its indexes, the open streams, and the verifications.

    `public`: for strangers, who learn of a token once it is minted, and how many others there will be. `only`: of the
    collection with this name.
    """

    def __init__(
        self,
        workspace: Workspace,
        config: Settings,
        verifier: Verifier | None = None,
        *,
        public: bool = False,
        only: str | None = None,
    ) -> None:
        self.workspace, self.public, self._only = workspace, public, only
        self.indexes = Indexes(public=public)
        self.streams = streams.Streams()
        self._config = config
        self._verifier = verifier or _verifier(workspace, config)
        self._progress: dict[int, tuple[float, doc.Progress]] = {}
        self._verifying = ThreadPoolExecutor(1, "verification")
        self._waiting = 0

    @contextmanager
    def open(self, collection_id: int) -> Iterator[tuple[Ledger, Collection]]:
        """The ledger and one collection of it. Raises NoSuch."""
        if not Ledger.exists(self.workspace.ledger):
            raise NoSuch(what="collection here yet", hint="`pipeline mint --count 50` makes one")
        with Ledger(self.workspace.ledger, readonly=True) as ledger:
            found = next((one for one in self._shown(ledger) if one.id == collection_id), None)
            if found is None:
                raise NoSuch(what=f"collection {collection_id}", hint="/v1/collections lists them")
            yield ledger, found

    def collections(self) -> list[doc.CollectionSummary]:
        if not Ledger.exists(self.workspace.ledger):
            return []
        with Ledger(self.workspace.ledger, readonly=True) as ledger:
            shown = reversed(self._shown(ledger))
            slugs = self.slugs(ledger)
            return [views.collection_summary(ledger, found, slugs[found.id], public=self.public) for found in shown]

    def slugs(self, ledger: Ledger) -> dict[int, str]:
        """The word that addresses name each collection by that is shown."""
        return addresses.slugs((one.id, one.name) for one in self._shown(ledger))

    def number(self, word: str) -> int | None:
        """The collection that an address names by this word, or by its name's word with its number behind it."""
        if not Ledger.exists(self.workspace.ledger):
            return None
        with Ledger(self.workspace.ledger, readonly=True) as ledger:
            named = self.slugs(ledger)
            found = next((number for number, slug in named.items() if slug == word), None)
            longer = (one.id for one in self._shown(ledger) if f"{addresses.slug(one.name)}-{one.id}" == word)
            return next(longer, None) if found is None else found

    def holdings(self, owner: Address) -> doc.Holdings:
        held = []
        if Ledger.exists(self.workspace.ledger):
            with Ledger(self.workspace.ledger, readonly=True) as ledger:
                slugs = self.slugs(ledger)
                for found in reversed(self._shown(ledger)):
                    index = self.indexes.of(ledger, found.id)
                    positions = index.find(Wanted(owner=owner))
                    if positions:
                        summary = views.collection_summary(ledger, found, slugs[found.id], public=self.public)
                        size = next((run.size for run in ledger.runs.of(found.id)), None)
                        page = views.owner_page(found, owner)
                        held.append(
                            doc.Held(collection=summary, tokens=columns(index, positions), size=size, page=page)
                        )
        return doc.Holdings(owner=owner, total=sum(one.tokens.total for one in held), collections=held)

    def _shown(self, ledger: Ledger) -> list[Collection]:
        found = [one for one in ledger.collections.all() if self._only in (None, one.name)]
        return [one for one in found if ledger.catalogue.has_minted(one.id)] if self.public else found

    async def progress(self, collection_id: int) -> doc.Progress:
        """How far a collection is. Many who ask within a moment are answered from one look at the ledger."""
        now = asyncio.get_running_loop().time()
        seen = self._progress.get(collection_id)
        if seen is None or now - seen[0] >= streams.LOOK_S / 2:
            seen = now, await asyncio.to_thread(self._look, collection_id)
            self._progress[collection_id] = seen
        return seen[1]

    def _look(self, collection_id: int) -> doc.Progress:
        with self.open(collection_id) as (ledger, found):
            return views.progress(ledger.catalogue, found.id)

    def minted(self, collection_id: int, token_id: int) -> Collection:
        """The collection of a token that is on the chain. Raises NoSuch, or BadArgument when it is not minted yet."""
        with self.open(collection_id) as (ledger, found):
            token = next(ledger.tokens.of(found.id, token_id, 1), None)
            if token is None or (self.public and not ledger.catalogue.has_minted(found.id, token_id)):
                raise NoSuch(what=f"token {token_id} in {found.name!r}")
            if token.state not in ("mined", "final"):
                raise BadArgument(
                    name="token", value=token_id, expected="a token that is minted", hint="wait for the run"
                )
            return found

    def verification(self, collection: Collection, token_id: int) -> AsyncIterator[doc.VerificationStep]:
        """The steps of a verification, as they become known. Raises Busy when too many wait already.

        One is under way at a time, in a thread of its own that ends it also when nobody listens any more. The iterator
        raises what makes verifying impossible, such as RpcUnavailable.
        """
        if self._waiting >= MAX_VERIFICATIONS:
            raise Busy(what=f"{self._waiting} verifications are waiting already")
        self._waiting += 1
        loop, told = asyncio.get_running_loop(), asyncio.Queue[doc.VerificationStep | Exception | None]()

        def tell(message: doc.VerificationStep | Exception | None) -> None:
            with suppress(RuntimeError):  # the server has been shut down meanwhile
                loop.call_soon_threadsafe(told.put_nowait, message)

        def walk() -> None:
            try:
                for step in self._verifier(collection, token_id):
                    ok = None if step.not_checked and step.ok else step.ok  # nobody is shown as proved what was not
                    found = doc.VerificationStep(
                        name=step.name, ok=ok, not_checked=step.not_checked, detail=step.detail
                    )
                    tell(found)
                tell(None)
            except Exception as error:  # for whoever listens: the iterator below raises it there
                tell(error)

        def ended(_: object) -> None:
            self._waiting -= 1

        self._verifying.submit(walk).add_done_callback(ended)
        return _told(told)


async def _told(
    queue: asyncio.Queue[doc.VerificationStep | Exception | None],
) -> AsyncIterator[doc.VerificationStep]:
    while (message := await queue.get()) is not None:
        if isinstance(message, Exception):
            raise message
        yield message


def _verifier(workspace: Workspace, config: Settings) -> Verifier:
    """Verification of a workspace's tokens, from the chain back to the pixels; generators stay loaded between calls."""

    @functools.cache
    def redraw() -> Redraw:
        return redraw_with(config, workspace)

    def steps(collection: Collection, token_id: int) -> Iterator[Step]:
        assert collection.contract is not None, "a minted token has a contract"
        with open_chain(config, workspace, collection) as chain:
            contract = Contract(chain, collection.contract)
            yield from verify_token(Source(contract, CarStore(workspace.cars), redraw()), token_id)

    return steps


async def _step_events(steps: AsyncIterator[doc.VerificationStep], token_id: int, public: bool) -> AsyncIterator[str]:
    """An event `step` for each step, then `done` with all of them, or `problem` when it could not go on."""
    seen = []
    try:
        async for step in steps:
            seen.append(step)
            yield streams.event("step", step)
    except PipelineError as error:
        yield streams.event("problem", problem_of(error, public=public))
    else:
        yield streams.event("done", _verification(token_id, seen))


def _verification(token_id: int, steps: Sequence[doc.VerificationStep]) -> doc.Verification:
    verdict = Verdict.of(Step(step.name, step.ok, step.detail, step.not_checked) for step in steps)
    return doc.Verification(ok=verdict is Verdict.HOLDS, verdict=verdict.value, token_id=token_id, steps=list(steps))


def columns(index: Index, positions: Sequence[int]) -> doc.TokenIndex:
    """Tokens by their position, as a grid wants them; of more than it can show, the first ones."""
    shown = positions[:MAX_INDEX]
    return doc.TokenIndex(
        total=len(positions),
        token_ids=[index.ids[position] for position in shown],
        ranks=[index.ranks[position] for position in shown],
        versions=[index.versions[position] for position in shown],
        names=[index.names[position] for position in shown] if index.names else [],
    )


def _token_page(
    ledger: Ledger, found: Collection, index: Index, positions: list[int], sort: Order, limit: int, cursor: str | None
) -> doc.TokenPage:
    """One page. The cursor is the place of the last token shown, so pages stay right while tokens are added."""
    unranked = len(index) + 1

    def place(position: int) -> tuple[int, int]:
        token_id = index.ids[position]
        return {"id": (token_id, 0), "-id": (-token_id, 0), "rank": (index.ranks[position] or unranked, token_id)}[sort]

    begin = 0
    if cursor is not None:
        first, _, second = cursor.partition(".")
        last = (-int(first) if sort == "-id" else int(first), _whole(second))
        begin = bisect.bisect_right(positions, last, key=place)
    shown = positions[begin : begin + limit]
    following = None
    if begin + limit < len(positions):
        first_key, second_key = place(shown[-1])
        following = f"{abs(first_key)}.{second_key}"
    return doc.TokenPage(
        total=len(positions),
        tokens=[views.token_summary(ledger, found, index, position) for position in shown],
        next=following,
    )


def _owner_page(counts: list[tuple[Address, int]], limit: int, cursor: str | None) -> doc.OwnerPage:
    begin = 0
    if cursor is not None:
        count, _, owner = cursor.partition("-")
        last = (-_whole(count), owner.lower())
        begin = bisect.bisect_right(counts, last, key=lambda entry: (-entry[1], entry[0].lower()))
    shown = counts[begin : begin + limit]
    more = begin + limit < len(counts)
    return doc.OwnerPage(
        total=len(counts),
        owners=[doc.OwnerCount(owner=owner, tokens=count) for owner, count in shown],
        next=f"{shown[-1][1]}-{shown[-1][0].lower()}" if more else None,
    )


def _number(cursor: str | None) -> int:
    return _whole((cursor or "0").partition(".")[0].partition("-")[0])


def _whole(text: str) -> int:
    """The number in a part of a cursor; 0 for what is none, since a cursor that nobody gave means nothing."""
    return int(text) if text.isdecimal() else 0
