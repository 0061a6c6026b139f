"""The routes that write: create a collection, mint more of one, follow a job, cancel it, resume it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Header, Path, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, create_model

from pipeline.base.errors import NoSuch
from pipeline.base.limits import MAX_COUNT, MAX_EXACT, MAX_NAME
from pipeline.base.records import JOB_UNENDED, JobState
from pipeline.base.words import Expected
from pipeline.ledger import Ledger
from pipeline.ledger.jobs import Job
from pipeline.serve.streams import MEDIA_TYPE, Streams, changes
from pipeline.serve.worker import Worker
from pipeline.settings import SETTINGS, Scope, Setting

MAX_PAGE = 100  # jobs of one answer
MAX_FOLLOWERS = 100  # connections that follow jobs: each is held open
EVENT_S = 0.2  # between two looks at a job that is followed


EVENT = {  # one of the stream
    "type": "object",
    "properties": {"id": {"type": "string"}, "event": {"type": "string"}, "data": {"type": "string"}},
    "required": ["id", "event", "data"],
}


def as_whole(value: Any) -> Any:
    """JSON has one kind of number: 5.0 is a whole one."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Whole = Annotated[int, BeforeValidator(as_whole)]
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
        value = as_whole(value)
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
    state: JobState
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


_MISSING: dict[int | str, dict[str, Any]] = {404: {"description": "there is no such job"}}
_FOLLOWED: dict[int | str, dict[str, Any]] = {
    200: {"content": {MEDIA_TYPE: {"schema": EVENT}}, "description": "until it has ended"},
    **_MISSING,
}


def jobs_router(ledger: Ledger, worker: Worker) -> APIRouter:
    """Routes over the jobs of a ledger, which `worker` does."""
    routes = JobRoutes(ledger, worker)
    router = APIRouter(prefix="/v1", tags=["jobs"])
    add = router.add_api_route
    add(
        *("/collections", routes.create_collection),
        methods=["POST"],
        status_code=202,
        summary="Create a collection and mint its first tokens",
    )
    add(
        *("/collections/{collection}/mints", routes.mint),
        methods=["POST"],
        status_code=202,
        summary="Mint more tokens of a collection",
        responses={404: {"description": "there is no such collection"}},
    )
    add("/jobs", routes.list_jobs, methods=["GET"], summary="Jobs, the newest first")
    add("/jobs/{job}", routes.read_job, methods=["GET"], summary="How far a job is", responses=_MISSING)
    add(
        *("/jobs/{job}/cancel", routes.cancel_job),
        methods=["POST"],
        status_code=202,
        summary="End a job at the next thing recorded; let go of what an ended one left unfinished",
        responses=_MISSING,
    )
    add(
        *("/jobs/{job}/resume", routes.resume_job),
        methods=["POST"],
        status_code=202,
        summary="Go on with a failed or cancelled job",
        responses=_MISSING,
    )
    add(
        *("/jobs/{job}/events", routes.follow_job),
        methods=["GET"],
        summary="Follow a job: server-sent events, each the job as JSON",
        response_class=StreamingResponse,
        responses=_FOLLOWED,
    )
    return router


class JobRoutes:
    """What the routes do. Each can be called without a server."""

    def __init__(self, ledger: Ledger, worker: Worker) -> None:
        self._ledger, self._worker = ledger, worker
        self._streams = Streams(MAX_FOLLOWERS)

    def create_collection(self, wanted: NewCollection, key: Key, response: Response) -> JobAnswer:
        return self._accepted(key, "collection", wanted.model_dump(exclude_none=True), response)

    def mint(self, collection: JobId, wanted: MoreTokens, key: Key, response: Response) -> JobAnswer:
        name = next((known.name for known in self._ledger.collections.all() if known.id == collection), None)
        if name is None:
            raise NoSuch(what=f"collection {collection}", hint="GET /v1/collections lists them")
        return self._accepted(key, "mint", wanted.model_dump(exclude_none=True) | {"name": name}, response)

    def list_jobs(
        self,
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 20,
        before: Annotated[int | None, Query(ge=1, le=MAX_EXACT)] = None,
    ) -> JobList:
        page = self._ledger.jobs.newest(limit, before)
        more = len(page) == limit and page[-1].id > 1
        return JobList(jobs=[self._answer(job) for job in page], next_before=page[-1].id if more else None)

    def read_job(self, job: JobId) -> JobAnswer:
        return self._answer(self._found(job))

    def cancel_job(self, job: JobId) -> JobAnswer:
        asked = self._ledger.jobs.ask_to_cancel(self._found(job).id)
        if asked.state == "running":
            self._worker.cancel(job)
        self._worker.wake()
        return self._answer(asked)

    def resume_job(self, job: JobId) -> JobAnswer:
        resumed = self._ledger.jobs.resume(self._found(job).id)
        self._worker.wake()
        return self._answer(resumed)

    async def follow_job(self, job: JobId) -> StreamingResponse:
        """The job now, then whenever it changed, until it has ended or nobody listens."""
        await asyncio.to_thread(self._found, job)
        return self._streams.respond(
            changes(
                lambda seen: seen.state,
                lambda: asyncio.to_thread(self.read_job, job),
                lambda seen: seen.state not in JOB_UNENDED,
                EVENT_S,
            )
        )

    def _accepted(self, key: str, kind: str, body: dict[str, Any], response: Response) -> JobAnswer:
        job, _ = self._ledger.jobs.accept(key, kind, body)
        self._worker.wake()
        response.headers["Location"] = f"/v1/jobs/{job.id}"
        return self._answer(job)

    def _found(self, job: int) -> Job:
        try:
            return self._ledger.jobs.job(job)
        except KeyError:
            raise NoSuch(what=f"job {job}", hint="GET /v1/jobs lists them") from None

    def _answer(self, job: Job) -> JobAnswer:
        live = self._worker.live(job.id)
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


def _when(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
