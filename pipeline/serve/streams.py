"""Server-sent events: what is still going on, told as it happens.

Source: HTML Living Standard, "Server-sent events".
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

from fastapi import Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel
from starlette.types import Receive, Scope, Send

from pipeline.serve.problems import Busy

MEDIA_TYPE = "text/event-stream"
LOOK_S = 0.7  # between two looks at what a run has done
HEARTBEAT_S = 15.0  # a proxy that hears nothing for longer closes the connection
Seen = TypeVar("Seen", bound=BaseModel)

MAX_STREAMS = 200  # connections that stay open; each costs a look per LOOK_S


def wants_events(request: Request) -> bool:
    return MEDIA_TYPE in request.headers.get("accept", "")


class _Stream(StreamingResponse):
    """A stream that ends in order when the server does, however long it might have gone on."""

    def __init__(self, events: AsyncIterator[str], ended: Callable[[], None]) -> None:
        super().__init__(
            events, media_type=MEDIA_TYPE, headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        )
        self._ended = ended

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        except asyncio.CancelledError:
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            self._ended()


class Streams:
    """Counts the streams that are open, and refuses more than MAX_STREAMS with Busy."""

    def __init__(self, most: int = MAX_STREAMS) -> None:
        self._most = most
        self._open = 0

    def respond(self, events: AsyncIterator[str]) -> StreamingResponse:
        """The response that sends `events`; from now on it counts, before its first byte. Raises Busy."""
        if self._open >= self._most:
            raise Busy(what=f"{self._open} streams are open, which is the most")
        self._open += 1
        return _Stream(events, self._ended)

    def _ended(self) -> None:
        self._open -= 1


def event(name: str, document: BaseModel, number: int = 0) -> str:
    """One event with a document as its data, and its number in a stream that counts them."""
    return (f"id: {number}\n" if number else "") + f"event: {name}\ndata: {document.model_dump_json()}\n\n"


async def changes(
    name: Callable[[Seen], str],
    look: Callable[[], Awaitable[Seen]],
    is_over: Callable[[Seen], bool],
    pause_s: float = LOOK_S,
) -> AsyncIterator[str]:
    """Yield an event whenever `look` gives something new, the last one when it is over, and a comment now and then."""
    last, silent_s, number = None, 0.0, 0
    while True:
        seen = await look()
        if seen != last:
            number += 1
            yield event(name(seen), seen, number)
            last, silent_s = seen, 0.0
        if is_over(seen):
            return
        if silent_s >= HEARTBEAT_S:
            yield ": still here\n\n"
            silent_s = 0.0
        await asyncio.sleep(pause_s)
        silent_s += pause_s
