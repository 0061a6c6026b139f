"""Errors as HTTP answers: the sentence and the next step that a terminal would show."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute

from pipeline.base.errors import NoSuch, PipelineError, UsageError
from pipeline.serve.documents import Problem

PROBLEMS: dict[int | str, dict[str, Any]] = {
    404: {"model": Problem, "description": "there is no such thing in this workspace"},
    422: {"model": Problem, "description": "a parameter cannot be meant"},
    503: {"model": Problem, "description": "busy, or the workspace or its chain cannot be read now"},
}


class Busy(PipelineError):
    """As many of these are under way as this machine should do at once."""

    retryable = True
    sentence = "{what}"
    next_step = "try again in a few seconds"


class ProblemRoute(APIRoute):
    """A route whose errors, our own and those of its parameters, are answered in one form."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def guarded(request: Request) -> Response:
            try:
                return await handle(request)
            except RequestValidationError as error:
                return _response(422, Problem(error=_in_words(error), hint="GET /openapi.json describes every request"))
            except PipelineError as error:
                return _response(status_of(error), problem_of(error))

        return guarded


def status_of(error: PipelineError) -> int:
    """The HTTP status of an error: 404 for what is not here, 422 for what cannot be meant, 503 for what may pass."""
    if isinstance(error, NoSuch):
        return 404
    if isinstance(error, UsageError):
        return 422
    return 503


def problem_of(error: PipelineError) -> Problem:
    return Problem(error=str(error), hint=error.hint)


def _response(status: int, problem: Problem) -> JSONResponse:
    headers = {"Cache-Control": "no-store"} | ({"Retry-After": "5"} if status == 503 else {})
    return JSONResponse(problem.model_dump(), status, headers=headers)


def _in_words(error: RequestValidationError) -> str:
    """What is wrong with which parameter; what was sent is not repeated."""
    return "; ".join(f"{'.'.join(map(str, entry['loc'][1:]))}: {entry['msg']}" for entry in error.errors())
