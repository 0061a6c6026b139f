"""Errors as HTTP answers: RFC 9457 problem documents, with the sentence and the next step that a terminal would show."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute

from pipeline.errors import NoSuch, PipelineError, UsageError
from pipeline.serve.documents import Problem

MEDIA_TYPE = "application/problem+json"
PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}}
    for status in (404, 422, 503)
}


class Busy(PipelineError):
    """As many of these are under way as this machine should do at once."""

    retryable = True
    sentence = "{what}"
    next_step = "try again in a few seconds"


class ProblemRoute(APIRoute):
    """A route whose errors, our own and those of its parameters, are problem documents."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def guarded(request: Request) -> Response:
            try:
                return await handle(request)
            except RequestValidationError as error:
                return problem_response(_problem(422, _in_words(error)))
            except PipelineError as error:
                return problem_response(problem_of(error))

        return guarded


def status_of(error: PipelineError) -> int:
    """The HTTP status of an error: 404 for what is not here, 422 for what cannot be meant, 503 for what may pass."""
    if isinstance(error, NoSuch):
        return 404
    if isinstance(error, UsageError):
        return 422
    return 503 if error.retryable else 500


def problem_of(error: PipelineError) -> Problem:
    return _problem(status_of(error), str(error), error.hint)


def problem_response(problem: Problem) -> JSONResponse:
    return JSONResponse(
        problem.model_dump(), problem.status, media_type=MEDIA_TYPE, headers={"Cache-Control": "no-store"}
    )


def _problem(status: int, detail: str, hint: str | None = None) -> Problem:
    return Problem(title=HTTPStatus(status).phrase, status=status, detail=detail, hint=hint or None)


def _in_words(error: RequestValidationError) -> str:
    """What is wrong with which parameter; what was sent is not repeated."""
    return "; ".join(f"{'.'.join(map(str, entry['loc'][1:]))}: {entry['msg']}" for entry in error.errors())
