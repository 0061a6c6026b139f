"""The routes that write: create a collection, mint more of one, follow a job, cancel it, resume it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Path, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from pipeline.base.errors import NoSuch, PipelineError
from pipeline.base.limits import (
    MAX_BATCH,
    MAX_COUNT,
    MAX_EXACT,
    MAX_NAME,
    MAX_ROYALTY_BPS,
    MAX_SEED,
    MAX_SIDE,
    MAX_TOKEN_ID,
    MIN_SIDE,
)
from pipeline.ledger import Ledger
from pipeline.ledger.jobs import Job
from pipeline.serve.door import Refused
from pipeline.serve.worker import Worker

MAX_PAGE = 100  # jobs of one answer
MAX_FOLLOWERS = 100  # connections that follow jobs: each is held open
EVENT_S = 0.2  # between two looks at a job that is followed
BEAT_S = 15.0  # a line at least this often, so that proxies keep the connection


EVENT = {  # one of the stream
    "type": "object",
    "properties": {"id": {"type": "string"}, "event": {"type": "string"}, "data": {"type": "string"}},
    "required": ["id", "event", "data"],
}


def _short(value: str) -> str:
    if len(value.encode()) > MAX_NAME:
        raise ValueError(f"at most {MAX_NAME} bytes")
    return value


def _address(value: str) -> str:
    from pipeline.mint.collection import parsed_address

    try:
        return parsed_address(value, "address")
    except PipelineError as error:
        raise ValueError(str(error)) from None


def _whole(value: Any) -> Any:
    """JSON has one kind of number: 5.0 is a whole one."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


# Controls, and what makes text look like another: zero-width characters and those that turn the direction of writing.
_UNSEEN = r"\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"
_LINE = rf"^[^\s{_UNSEEN}]([^{_UNSEEN}]*[^\s{_UNSEEN}])?$"
_TEXT = r"^[^\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]*$"
_URL = r"^https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[!-~]*)?$"
Whole = Annotated[int, BeforeValidator(_whole)]
Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME, pattern=_LINE), AfterValidator(_short)]
Address = Annotated[str, Field(pattern="^0x[0-9a-fA-F]{40}$"), AfterValidator(_address)]
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


class MoreTokens(_Request):
    """What to add to a collection."""

    count: Whole = Field(ge=1, le=MAX_COUNT, description="number of tokens")
    to: Address | None = Field(None, description="recipient; the signing account unless given")
    batch: Whole | None = Field(None, ge=1, le=MAX_BATCH, description="tokens of one transaction")
    confirm_name: str | None = Field(
        None, max_length=MAX_NAME, description="the collection's name, where real money is spent"
    )


class NewCollection(MoreTokens):
    """A collection with its first tokens: its contract is deployed for them."""

    name: Name
    symbol: Name | None = None
    description: str | None = Field(None, max_length=4_000, pattern=_TEXT)
    external_url: str | None = Field(None, max_length=2_000, pattern=_URL)
    royalty_bps: Whole | None = Field(None, ge=0, le=MAX_ROYALTY_BPS, description="hundredths of a percent")
    royalty_receiver: Address | None = None
    max_supply: Whole | None = Field(None, ge=0, le=MAX_TOKEN_ID, description="0: no maximum")
    seed: Whole | None = Field(None, ge=0, le=MAX_SEED, description="drawn at random unless given")
    size: Whole | None = Field(None, ge=MIN_SIDE, le=MAX_SIDE, description="width and height in pixels")


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
        "/jobs/{job}/cancel", status_code=202, summary="End a job at the next thing recorded", responses=missing
    )
    def cancel_job(job: JobId) -> JobAnswer:
        asked = jobs.ask_to_cancel(found(job).id)
        if asked.state == "running":
            worker.cancel(job)
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
