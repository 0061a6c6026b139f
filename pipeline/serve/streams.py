"""Server-sent events: what is still going on, told as it happens.

Source: HTML Living Standard, "Server-sent events".
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager

from fastapi import Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel
from starlette.types import Receive, Scope, Send

from pipeline.serve.problems import Busy

MEDIA_TYPE = "text/event-stream"
LOOK_S = 0.7  # between two looks at what a run has done
HEARTBEAT_S = 15.0  # a proxy that hears nothing for longer closes the connection
MAX_STREAMS = 200  # connections that stay open; each costs a look per LOOK_S


def wants_events(request: Request) -> bool:
    return MEDIA_TYPE in request.headers.get("accept", "")


class _Stream(StreamingResponse):
    """A stream that ends in order when the server does, however long it might have gone on."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        except asyncio.CancelledError:
            await send({"type": "http.response.body", "body": b"", "more_body": False})


class Streams:
    """Counts the streams that are open, and refuses more than MAX_STREAMS with Busy."""

    def __init__(self, most: int = MAX_STREAMS) -> None:
        self._most = most
        self._open = 0

    @contextmanager
    def one(self) -> Iterator[None]:
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1

    def respond(self, events: AsyncIterator[str]) -> StreamingResponse:
        """The response that sends `events`. Raises Busy."""
        if self._open >= self._most:
            raise Busy(what=f"{self._open} streams are open, which is the most")

        async def counted() -> AsyncIterator[str]:
            with self.one():
                async for event in events:
                    yield event

        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return _Stream(counted(), media_type=MEDIA_TYPE, headers=headers)


def event(name: str, document: BaseModel) -> str:
    """One event with a document as its data."""
    return f"event: {name}\ndata: {document.model_dump_json()}\n\n"


async def changes(
    name: str,
    look: Callable[[], Awaitable[BaseModel]],
    is_over: Callable[[BaseModel], bool],
    pause_s: float = LOOK_S,
) -> AsyncIterator[str]:
    """Yield an event whenever `look` gives something new, the last one when it is over, and a comment now and then."""
    last, silent_s = None, 0.0
    while True:
        seen = await look()
        if seen != last:
            yield event(name, seen)
            last, silent_s = seen, 0.0
        if is_over(seen):
            return
        if silent_s >= HEARTBEAT_S:
            yield ": still here\n\n"
            silent_s = 0.0
        await asyncio.sleep(pause_s)
        silent_s += pause_s
