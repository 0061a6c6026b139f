"""The routes that write: create a collection, mint more of one, follow a job, cancel it, resume it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Header, Path, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, create_model

from pipeline.base.errors import NoSuch
from pipeline.base.limits import MAX_COUNT, MAX_EXACT, MAX_NAME
from pipeline.base.words import Expected
from pipeline.ledger import Ledger
from pipeline.ledger.jobs import Job
from pipeline.serve.door import Refused
from pipeline.serve.worker import Worker
from pipeline.settings import SETTINGS, Scope, Setting

MAX_PAGE = 100  # jobs of one answer
MAX_FOLLOWERS = 100  # connections that follow jobs: each is held open
EVENT_S = 0.2  # between two looks at a job that is followed
BEAT_S = 15.0  # a line at least this often, so that proxies keep the connection


EVENT = {  # one of the stream
    "type": "object",
    "properties": {"id": {"type": "string"}, "event": {"type": "string"}, "data": {"type": "string"}},
    "required": ["id", "event", "data"],
}


def _whole(value: Any) -> Any:
    """JSON has one kind of number: 5.0 is a whole one."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Whole = Annotated[int, BeforeValidator(_whole)]
JobId = Annotated[int, Path(ge=1, le=MAX_EXACT)]
Key = Annotated[
    str,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=128,
        pattern="^[!-~]+$",
        description="Chosen by you, once for each thing that you want: the same key is the same job, however often sent.",
    ),
]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Tokens(_Request):
    count: Whole = Field(ge=1, le=MAX_COUNT, description="number of tokens")
    confirm_name: str | None = Field(
        None, max_length=MAX_NAME, description="the collection's name, where real money is spent"
    )


def _said(line: Setting) -> Any:
    """The type of a setting in a request: what its form takes as JSON, and what that form refuses is refused with 422."""
    form = line.remote
    assert form is not None
    is_number = form.schema["type"] == "integer"

    def checked(value: Any) -> Any:
        value = _whole(value)
        if value is None:
            return None
        if type(value) is not (int if is_number else str) or value == "":
            raise ValueError("expected a whole number" if is_number else "expected text")
        try:
            return form.read(str(value))
        except Expected as expected:
            raise ValueError(f"expected {expected}") from None

    schema = {"anyOf": [dict(form.schema), {"type": "null"}], "description": line.help}
    if line.scope is Scope.NAME:
        return Annotated[str, BeforeValidator(checked), WithJsonSchema({**form.schema, "description": line.help})]
    return Annotated[int | str | None, BeforeValidator(checked), WithJsonSchema(schema)]


def request_model(name: str, told: str, base: type[_Request], lines: Iterable[Setting]) -> type[_Request]:
    """A request of this name: `base`, and a field for each of these settings."""
    fields = {line.name: (_said(line), ... if line.scope is Scope.NAME else None) for line in lines}
    made: type[_Request] = create_model(name, __base__=base, __doc__=told, **fields)  # type: ignore[call-overload]
    return made


OF_A_RUN = tuple(line for line in SETTINGS if line.remote and line.scope is Scope.RUN)
OF_A_COLLECTION = tuple(line for line in SETTINGS if line.remote and line.scope is not Scope.RUN)

if TYPE_CHECKING:

    class MoreTokens(_Tokens): ...

    class NewCollection(_Tokens): ...
else:
    MoreTokens = request_model("MoreTokens", "What to add to a collection.", _Tokens, OF_A_RUN)
    NewCollection = request_model(
        *("NewCollection", "A collection with its first tokens: its contract is deployed for them.", MoreTokens),
        OF_A_COLLECTION,
    )


class Stage(BaseModel):
    done: int
    total: int


class Tokens(BaseModel):
    """The tokens that a job mints."""

    collection: int
    first_token_id: int
    count: int


class JobAnswer(BaseModel):
    """A job as it stands."""

    id: int
    kind: Literal["collection", "mint"]
    state: Literal["queued", "running", "done", "failed", "cancelled"]
    request: dict[str, Any]
    tokens: Tokens | None = Field(description="known once the run is planned")
    progress: dict[str, Stage] = Field(description="of the stages draw, pin and mint, while this process does the job")
    waiting_for: str | None = Field(description="what a queued job waits for, if not for its turn")
    cancelling: bool
    error: str | None
    hint: str | None
    created: datetime
    started: datetime | None
    ended: datetime | None


class JobList(BaseModel):
    jobs: list[JobAnswer]
    next_before: int | None = Field(description="`before` of the next page; null on the last one")


def jobs_router(ledger: Ledger, worker: Worker) -> APIRouter:
    """Routes over the jobs of a ledger, which `worker` does."""
    router = APIRouter(prefix="/v1", tags=["jobs"])
    jobs = ledger.jobs
    followers: set[int] = set()

    def accepted(key: str, kind: str, body: dict[str, Any], response: Response) -> JobAnswer:
        job, _ = jobs.accept(key, kind, body)
        worker.wake()
        response.headers["Location"] = f"/v1/jobs/{job.id}"
        return answer(job)

    def answer(job: Job) -> JobAnswer:
        live = worker.live(job.id)
        return JobAnswer(
            id=job.id,
            kind=job.kind,
            state=job.state,
            request=job.body,
            tokens=Tokens(collection=job.tokens[0], first_token_id=job.tokens[1], count=job.tokens[2])
            if job.tokens
            else None,
            progress={stage: Stage(done=done, total=total) for stage, (done, total) in live.progress.items()},
            waiting_for=None if job.has_ended else live.waiting_for,
            cancelling=job.cancelling,
            error=job.error,
            hint=job.hint,
            created=_when(job.created),
            started=_when(job.started) if job.started else None,
            ended=_when(job.ended) if job.ended else None,
        )

    def found(job: int) -> Job:
        try:
            return jobs.job(job)
        except KeyError:
            raise NoSuch(what=f"job {job}", hint="GET /v1/jobs lists them") from None

    @router.post("/collections", status_code=202, summary="Create a collection and mint its first tokens")
    def create_collection(wanted: NewCollection, key: Key, response: Response) -> JobAnswer:
        return accepted(key, "collection", wanted.model_dump(exclude_none=True), response)

    @router.post(
        "/collections/{collection}/mints",
        status_code=202,
        summary="Mint more tokens of a collection",
        responses={404: {"description": "there is no such collection"}},
    )
    def mint(collection: JobId, wanted: MoreTokens, key: Key, response: Response) -> JobAnswer:
        name = next((known.name for known in ledger.collections.all() if known.id == collection), None)
        if name is None:
            raise NoSuch(what=f"collection {collection}", hint="GET /v1/collections lists them")
        return accepted(key, "mint", wanted.model_dump(exclude_none=True) | {"name": name}, response)

    @router.get("/jobs", summary="Jobs, the newest first")
    def list_jobs(
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 20,
        before: Annotated[int | None, Query(ge=1, le=MAX_EXACT)] = None,
    ) -> JobList:
        page = jobs.newest(limit, before)
        more = len(page) == limit and page[-1].id > 1
        return JobList(jobs=[answer(job) for job in page], next_before=page[-1].id if more else None)

    missing: dict[int | str, dict[str, Any]] = {404: {"description": "there is no such job"}}

    @router.get("/jobs/{job}", summary="How far a job is", responses=missing)
    def read_job(job: JobId) -> JobAnswer:
        return answer(found(job))

    @router.post(
        "/jobs/{job}/cancel",
        status_code=202,
        summary="End a job at the next thing recorded; let go of what an ended one left unfinished",
        responses=missing,
    )
    def cancel_job(job: JobId) -> JobAnswer:
        asked = jobs.ask_to_cancel(found(job).id)
        if asked.state == "running":
            worker.cancel(job)
        worker.wake()
        return answer(asked)

    @router.post(
        "/jobs/{job}/resume", status_code=202, summary="Go on with a failed or cancelled job", responses=missing
    )
    def resume_job(job: JobId) -> JobAnswer:
        resumed = jobs.resume(found(job).id)
        worker.wake()
        return answer(resumed)

    @router.get(
        "/jobs/{job}/events",
        summary="Follow a job: server-sent events, each the job as JSON",
        response_class=StreamingResponse,
        responses={
            200: {
                "content": {"text/event-stream": {"schema": EVENT}},
                "description": "until it has ended",
            },
            **missing,
        },
    )
    async def follow_job(job: JobId, request: Request) -> StreamingResponse:
        await asyncio.to_thread(found, job)
        if len(followers) >= MAX_FOLLOWERS:
            raise Refused(503, "too many follow jobs already", "ask for the job itself now and then", retry_after="5")
        return StreamingResponse(events(job, request), media_type="text/event-stream")

    async def events(job: int, request: Request) -> AsyncIterator[str]:
        """The job now, then whenever it changed, until it has ended or nobody listens."""
        followers.add(id(request))
        try:
            told, number, when = "", 0, time.monotonic()
            while not await request.is_disconnected():
                now = await asyncio.to_thread(lambda: answer(jobs.job(job)))
                text = now.model_dump_json()
                if text != told:
                    told, number, when = text, number + 1, time.monotonic()
                    yield f"id: {number}\nevent: {now.state}\ndata: {text}\n\n"
                elif time.monotonic() - when > BEAT_S:
                    when = time.monotonic()
                    yield ": still here\n\n"
                if now.state not in ("queued", "running"):
                    return
                await asyncio.sleep(EVENT_S)
        finally:
            followers.discard(id(request))

    return router


def _when(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
