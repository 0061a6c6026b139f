"""The studio over HTTP: what `pipeline studio` does, for a page and for programs. Even to look takes a mint token.

Edits come with the version that their author has seen, a commit with `If-Match`: whoever is late is told so. After a
commit what it changed is drawn in a thread of its own; a kill loses nothing of that, the next mint draws what is missing.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import OrderedDict
from pathlib import Path as FilePath
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Path, Query, Request, Response
from fastapi.responses import FileResponse, RedirectResponse
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from pipeline.base.errors import NoSuch, PipelineError
from pipeline.base.limits import MAX_COUNT, MAX_EXACT
from pipeline.base.observer import Silence
from pipeline.base.workspace import Workspace
from pipeline.flow.studio import MAX_TOKENS, Kind, Look, Shown, Studio, Wish, edit_told
from pipeline.ledger import Ledger
from pipeline.ledger.access import AccessToken
from pipeline.serve.door import WORKSHOP
from pipeline.serve.gallery import HEADERS, StaticFile, answer, static_files
from pipeline.serve.gallery.media import HEADERS as PICTURE_HEADERS
from pipeline.serve.gallery.thumbnails import Thumbnails, webp
from pipeline.serve.jobs import as_whole
from pipeline.serve.problems import PROBLEMS

log = logging.getLogger(__name__)

SHELL = "studio.html"
KEPT_OPEN = 2  # studios: each keeps pictures of layers in memory
PAGE = 50  # tokens of one grid
MAX_PAGE = 500
WIDTHS = (320, 640, 1280)
TAG = '^"[0-9]{1,15}(-[0-9]{1,9}){0,2}(-[di])?"$'
LONG = 200  # edits and token ids of one answer

CollectionId = Annotated[int, Path(ge=1, le=MAX_EXACT, description="as `/v1/collections` tells it")]
TokenId = Annotated[int, Path(ge=1, le=MAX_EXACT)]
Key = Annotated[str, Path(pattern="^[0-9a-f]{32}$", description="as the token's `key` tells it")]
Width = Annotated[Literal["320", "640", "1280"], Path(description="pixels")]
Word = Annotated[str, Field(max_length=500)]


class EditWish(BaseModel):
    """What somebody wants changed: `kind`, and the fields that it needs."""

    model_config = ConfigDict(extra="forbid", strict=True)

    kind: Kind
    tokens: list[Annotated[int, Field(ge=1, le=MAX_EXACT), BeforeValidator(as_whole)]] = Field(
        default=[], max_length=MAX_TOKENS
    )
    layers: list[Word] = Field(default=[], max_length=1000)
    value: Word = ""
    wanted: Annotated[int, Field(ge=0, le=MAX_COUNT), BeforeValidator(as_whole)] | None = None
    seen: Annotated[int, Field(ge=0, le=MAX_EXACT), BeforeValidator(as_whole)] | None = Field(
        None, description="the version that its author saw: late ones are refused with 412"
    )


class ValueCounted(BaseModel):
    layer: str
    value: str
    wanted: int
    there: int


class RuleKept(BaseModel):
    rule: str
    broken: list[int] = Field(description="the first tokens that break it")
    count: int


class LayerShown(BaseModel):
    layer: str
    values: list[str]


class StagedEdit(BaseModel):
    """An edit that is staged; what it changes is told by the tokens."""

    version: int
    time: float = Field(description="seconds since 1970")
    author: str
    kind: str
    tokens: list[int]
    count: int = Field(description="tokens that it touches, of which the first are told")


class Drawing(BaseModel):
    """What is drawn after a commit."""

    done: int
    total: int
    is_running: bool
    problem: str | None


class StudioAnswer(BaseModel):
    """The studio at one version."""

    version: int
    collection: str
    closed: str = Field(description="why nothing can be changed; empty: it can")
    is_arranged: bool = Field(
        description="whether tokens are rows of a table of layers; else each is drawn from its seed"
    )
    total: int
    open: int
    undrawn: int
    approved: int
    rejected: int
    changed: int
    edits: list[StagedEdit]
    layers: list[LayerShown]
    singles: list[str]
    counted: list[ValueCounted]
    rules: list[RuleKept]
    drawing: Drawing


class TokenShown(BaseModel):
    token_id: int
    key: str = Field(description="another one whenever its picture is")
    mark: Literal["", "approved", "rejected"]
    is_open: bool
    is_changed: bool
    is_drawn: bool
    version: int
    single: str
    cells: dict[str, str]
    locked: list[str]


class TokensShown(BaseModel):
    """Tokens in the order of their ids."""

    version: int
    total: int
    offset: int
    tokens: list[TokenShown]


class EditAnswer(BaseModel):
    """What an edit made."""

    studio: StudioAnswer
    tokens: list[TokenShown] = Field(description="those that it touched, the first of them")


class CommitAnswer(BaseModel):
    version: int
    changed: list[int]
    redrawn: list[int]


_LATE: dict[int | str, dict[str, Any]] = {
    409: {"description": "what is pinned cannot be changed"},
    412: {"description": "somebody staged something since the version that was seen"},
}
_MOVED: dict[int | str, dict[str, Any]] = {307: {"description": "the token became another one meanwhile"}}
_TAGGED: dict[int | str, dict[str, Any]] = {304: {"description": "nothing changed since `If-None-Match`"}}


def studio_router(workspace: Workspace, ledger: Ledger) -> APIRouter:
    """The routes below /v1/studio, and the page at /studio."""
    routes = StudioRoutes(workspace, ledger)
    router = APIRouter(prefix=WORKSHOP, responses=PROBLEMS, tags=["studio"])
    one = "/{collection_id}"
    router.add_api_route(one, routes.look, methods=["GET"], responses=_TAGGED, response_model=StudioAnswer)
    router.add_api_route(f"{one}/tokens", routes.tokens, methods=["GET"])
    picture = f"{one}/tokens/{{token_id}}/{{key}}/{{width}}.webp"
    router.add_api_route(picture, routes.picture, methods=["GET"], response_class=FileResponse, responses=_MOVED)
    router.add_api_route(f"{one}/export", routes.export, methods=["GET"])
    router.add_api_route(f"{one}/edits", routes.edit, methods=["POST"], responses=_LATE)
    router.add_api_route(f"{one}/commits", routes.commit, methods=["POST"], responses=_LATE)
    return router


def studio_page_router() -> APIRouter:
    """The page itself: the same for everybody, and empty without a token."""
    router = APIRouter(include_in_schema=False)

    @router.get("/studio")
    @router.get("/studio/{word:path}")
    def page(request: Request, word: str = "") -> Response:
        file = static_files()[SHELL]
        return answer(request, StaticFile(file.data, file.kind), 200, HEADERS)

    return router


class StudioRoutes:
    """What the routes do. Each can be called without a server."""

    def __init__(self, workspace: Workspace, ledger: Ledger) -> None:
        self._workspace, self._ledger = workspace, ledger
        self._studios: OrderedDict[int, Studio] = OrderedDict()
        self._drawings: dict[int, Drawing] = {}
        self._lock = threading.Lock()
        self._pictures = Thumbnails(workspace.thumbnails)

    def look(self, request: Request, response: Response, collection_id: CollectionId) -> StudioAnswer | Response:
        """The studio of a collection: counts, rules, what is staged; with an ETag, so that whoever waits asks for little."""
        studio, tag = self._studio(collection_id), self._tag(collection_id)
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers={"ETag": tag})
        response.headers["ETag"] = tag
        response.headers["Cache-Control"] = "no-cache"
        return self._answer(collection_id, studio.look())

    def tokens(
        self,
        collection_id: CollectionId,
        offset: Annotated[int, Query(ge=0, le=MAX_EXACT)] = 0,
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = PAGE,
        mark: Literal["", "approved", "rejected", "unmarked", "changed"] = "",
        layer: Annotated[str, Query(max_length=500)] = "",
        value: Annotated[str, Query(max_length=500)] = "",
    ) -> TokensShown:
        """A page of tokens as they are staged: all of them, those with a mark, or those with a value of a layer."""
        studio = self._studio(collection_id)
        found = studio.find(mark, layer, value)
        shown = studio.those(found[offset : offset + limit])
        return TokensShown(
            version=studio.look().version, total=len(found), offset=offset, tokens=[_token(one) for one in shown]
        )

    async def picture(self, collection_id: CollectionId, token_id: TokenId, key: Key, width: Width) -> Response:
        """A token's picture as it is staged. Its key names what it is made of, so it may be kept for ever.

        A key that the token has no more leads to its present one, unless that picture was made while it had it.
        """
        studio, form = await asyncio.to_thread(self._studio, collection_id), f"studio-{width}.webp"
        shown = await asyncio.to_thread(studio.tokens, token_id, 1)
        if not shown:
            raise NoSuch(what=f"token {token_id} in {studio.collection.name!r}")
        path: FilePath = self._pictures.path(key, form)
        if shown[0].key != key and not path.exists():
            now = f"{WORKSHOP}/{collection_id}/tokens/{token_id}/{shown[0].key}/{width}.webp"
            return RedirectResponse(now, headers={"Cache-Control": "no-store"})

        def make() -> bytes:
            picture = studio.picture(token_id)
            picture.thumbnail((int(width), int(width)))
            return webp(picture)

        path = await asyncio.wrap_future(self._pictures.made(key, form, make))
        return FileResponse(path, media_type="image/webp", headers=PICTURE_HEADERS)

    def export(self, collection_id: CollectionId) -> dict[str, Any]:
        """All that is staged: every token with its values and marks, counts, rules and edits."""
        return self._studio(collection_id).export()

    def edit(self, request: Request, collection_id: CollectionId, wanted: EditWish) -> EditAnswer:
        """Stage an edit: it is on the disk when this is answered."""
        studio = self._studio(collection_id)
        wish = Wish(wanted.kind, tuple(wanted.tokens), tuple(wanted.layers), wanted.value, wanted.wanted)
        studio.edit(wish, _author(request), wanted.seen)
        look = studio.look()
        touched = look.edits[-1].data.get("tokens", ()) if look.edits else ()
        shown = studio.those(list(dict.fromkeys((*wanted.tokens, *touched)))[:MAX_PAGE])
        return EditAnswer(studio=self._answer(collection_id, look), tokens=[_token(one) for one in shown])

    def commit(
        self,
        request: Request,
        collection_id: CollectionId,
        if_match: Annotated[str, Header(pattern=TAG, description="the studio's ETag, as it was seen")],
    ) -> CommitAnswer:
        """Write what is staged into the plans, in one transaction; then what it changed is drawn."""
        studio = self._studio(collection_id)
        done = studio.commit(int(if_match.strip('"').partition("-")[0]), _author(request))
        if done.changed or done.redrawn:
            self._draw(collection_id)
        return CommitAnswer(version=done.version, changed=list(done.changed[:MAX_TOKENS]), redrawn=list(done.redrawn))

    # ── what is open ─────────────────────────────────────────────────────────────────────────────────────────

    def _studio(self, collection_id: int) -> Studio:
        """Raises NoSuch."""
        found = next((one for one in self._ledger.collections.all() if one.id == collection_id), None)
        if found is None:
            raise NoSuch(what=f"collection {collection_id}", hint="GET /v1/collections lists them")
        with self._lock:
            studio = self._studios.pop(collection_id, None) or Studio(self._workspace, self._ledger, found)
            self._studios[collection_id] = studio
            while len(self._studios) > KEPT_OPEN:
                self._studios.popitem(last=False)
        return studio

    def _tag(self, collection_id: int) -> str:
        """Another one whenever an answer would be: by the version, and by what is drawn or pinned beside it."""
        counts = self._ledger.tokens.counts(collection_id)
        stood = "-".join(str(counts.get(state, 0)) for state in ("planned", "generated"))
        drawing = self._drawings.get(collection_id)
        return f'"{self._ledger.edits.version(collection_id)}-{stood}-{"d" if drawing and drawing.is_running else "i"}"'

    def _answer(self, collection_id: int, look: Look) -> StudioAnswer:
        return StudioAnswer(
            version=look.version,
            collection=look.collection,
            closed=look.closed,
            is_arranged=look.is_arranged,
            total=look.total,
            open=look.open,
            undrawn=look.undrawn,
            approved=look.approved,
            rejected=look.rejected,
            changed=len(look.changed),
            edits=[_edit(edit_told(edit)) for edit in look.edits[-LONG:]],
            layers=[LayerShown(layer=layer, values=list(values)) for layer, values in look.layers],
            singles=list(look.singles),
            counted=[
                ValueCounted(layer=one.layer, value=one.value, wanted=one.wanted, there=one.there)
                for one in look.counted
            ],
            rules=[
                RuleKept(rule=one.told, broken=list(one.broken[:LONG]), count=len(one.broken)) for one in look.rules
            ],
            drawing=self._drawings.get(collection_id) or Drawing(done=0, total=0, is_running=False, problem=None),
        )

    # ── drawing after a commit ───────────────────────────────────────────────────────────────────────────────

    def _draw(self, collection_id: int) -> None:
        """Draw what is missing beside everything else; it ends with the process, and nothing is lost by that."""
        drawing = self._drawings[collection_id] = Drawing(done=0, total=0, is_running=True, problem=None)
        threading.Thread(target=self._drawn, args=(collection_id, drawing), daemon=True, name="studio").start()

    def _drawn(self, collection_id: int, drawing: Drawing) -> None:
        try:
            with Ledger(self._workspace.ledger) as ledger:
                Studio(self._workspace, ledger, ledger.collections.get(collection_id)).draw(_Told(drawing))
        except PipelineError as error:
            drawing.problem = str(error)
            log.error("what a studio committed is not drawn yet: %s", error)
        finally:
            drawing.is_running = False


class _Told(Silence):
    """Tells a drawing how far it is."""

    def __init__(self, drawing: Drawing) -> None:
        self._drawing = drawing

    def progress(self, stage: str, done: int, total: int) -> None:
        self._drawing.done, self._drawing.total = done, total


def _author(request: Request) -> str:
    token: AccessToken | None = request.scope.get("access")
    if token is None:
        return "somebody"
    return token.label or f"token {token.id}"


def _token(one: Shown) -> TokenShown:
    return TokenShown(
        token_id=one.token_id,
        key=one.key,
        mark="approved" if one.mark == "approved" else "rejected" if one.mark == "rejected" else "",
        is_open=one.is_open,
        is_changed=one.is_changed,
        is_drawn=one.is_drawn,
        version=one.version,
        single=one.single,
        cells=dict(one.cells),
        locked=list(one.locked),
    )


def _edit(told: dict[str, Any]) -> StagedEdit:
    tokens = list(told.get("tokens", ()))
    return StagedEdit(
        version=told["version"],
        time=told["time"],
        author=told["author"],
        kind=told["kind"],
        tokens=tokens[:LONG],
        count=len(tokens),
    )
