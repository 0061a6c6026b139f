"""Errors over HTTP: what an error knows of itself is its status, and only what may pass has a time to come back."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from fastapi import FastAPI

from pipeline.base.errors import (
    Corrupt,
    GatewayUnavailable,
    GenerationError,
    KeyReused,
    NoSuch,
    PipelineError,
    RpcUnavailable,
    WorkspaceLocked,
)
from pipeline.serve.gallery.thumbnails import NotAnImage
from pipeline.serve.problems import Busy, tell_problems


@pytest.mark.parametrize(
    ("error", "status", "come_back"),
    [
        (RpcUnavailable(rpc="x", method="y", reason="z"), 503, "5"),
        (GatewayUnavailable(gateway="x", cid="y", reason="HTTP 429", wait_s=3_599.5), 503, "3600"),
        (Busy(what="busy"), 503, "5"),
        (WorkspaceLocked(path="x", holder=""), 503, "5"),
        (Corrupt(what="x", reason="y"), 500, None),
        (GenerationError(reason="no such model"), 500, None),
        (NotAnImage(what="the image", reason="it is a text"), 404, None),
        (NoSuch(what="job 7"), 404, None),
        (KeyReused(job=7), 409, None),
    ],
)
def test_an_error_is_answered_by_what_it_knows_of_itself(
    error: PipelineError, status: int, come_back: str | None
) -> None:
    app = FastAPI()
    tell_problems(app)

    @app.get("/")
    def fails() -> None:
        raise error

    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
            return await client.get("/")

    answer = asyncio.run(ask())
    assert (answer.status_code, answer.headers.get("retry-after")) == (status, come_back)
    assert answer.json() == {"error": str(error), "hint": error.hint}
