"""Errors as HTTP answers, in one place: the sentence and the next step that a terminal would show.

What an error knows of itself decides: `retryable` ones are 503 with a time to come back, whatever else is wrong on our
side is 500 and stays wrong, so nobody is asked to try again for ever.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from pipeline.base.errors import KeyReused, NoModel, NoSuch, Outdated, PipelineError, ReadOnly, UsageError
from pipeline.base.secrets import redacted, shown_value
from pipeline.base.untrusted import printable
from pipeline.serve.documents import Problem
from pipeline.serve.door import Refused

log = logging.getLogger(__name__)

COME_BACK_S = 5  # where an error names no time
DESCRIBED = "GET /openapi.json describes every request"
PROBLEMS: dict[int | str, dict[str, Any]] = {
    404: {"model": Problem, "description": "there is no such thing in this workspace"},
    422: {"model": Problem, "description": "a parameter cannot be meant"},
    500: {
        "model": Problem,
        "description": "something here is damaged, or refuses for good: the same request fails again",
    },
    503: {"model": Problem, "description": "busy, or the workspace or its chain cannot be read now: see Retry-After"},
}


class Busy(PipelineError):
    """As many of these are under way as this machine should do at once."""

    retryable = True
    sentence = "{what}"
    next_step = "try again in a few seconds"


def tell_problems(app: FastAPI, *, public: bool = False) -> None:
    """Let every route of `app` answer its errors, our own and those of its parameters, in one form."""

    async def told(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, PipelineError)
        status, wait_s = status_of(error), error.fields.get("wait_s") or COME_BACK_S
        headers = {"Retry-After": str(math.ceil(wait_s))} if status == 503 else None
        problem = problem_of(error, public=public)
        return _problem(status, problem.error, problem.hint, headers)

    app.add_exception_handler(PipelineError, told)
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unforeseen)


def status_of(error: PipelineError) -> int:
    """The HTTP status of an error."""
    if isinstance(error, KeyReused | ReadOnly):
        return 409
    if isinstance(error, Outdated):
        return 412
    if isinstance(error, NoSuch):
        return 404
    if isinstance(error, UsageError | NoModel):
        return 422
    return 503 if error.retryable else 500


def problem_of(error: PipelineError, *, public: bool = False) -> Problem:
    """An error as it is told. What is wrong on this machine, its paths and addresses, the `public` does not hear."""
    if public and status_of(error) >= 500:
        log.warning("not told to a stranger: %s", error)
        return Problem(error="this cannot be shown now", hint="try again later")
    return Problem(error=redacted(str(error)), hint=redacted(error.hint))


def _problem(status: int, error: str, hint: str, headers: dict[str, str] | None = None) -> JSONResponse:
    document = Problem(error=redacted(error), hint=redacted(hint)).model_dump()
    return JSONResponse(document, status, {"Cache-Control": "no-store"} | (headers or {}))


async def _refused(_: Request, refused: Exception) -> JSONResponse:
    assert isinstance(refused, Refused)
    return _problem(refused.status, refused.error, refused.hint, refused.headers)


async def _invalid(_: Request, error: Exception) -> JSONResponse:
    """Names what is wrong with which parameter, and never repeats what was sent."""
    assert isinstance(error, RequestValidationError)
    faults = error.errors()
    if faults[0]["type"] == "json_invalid":
        return _problem(400, "the body is not JSON", "send JSON with Content-Type: application/json")
    return _problem(422, "; ".join(map(_fault, faults[:10])), DESCRIBED)


def _fault(one: Mapping[str, Any]) -> str:
    """What is wrong with one parameter, in the words of the command line."""
    said = str(one["msg"]).removeprefix("Value error, ").replace("Input should be", "expected", 1)
    said = {"missing": "it is not given", "extra_forbidden": "there is no such field"}.get(one["type"], said)
    place = [printable(shown_value(str(word)), 60) for word in one["loc"] if word != "body"]
    return f"{'.'.join(place) or 'the body'}: {said}"


async def _http(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return _problem(error.status_code, str(error.detail), DESCRIBED, dict(error.headers) if error.headers else None)


async def _unforeseen(request: Request, error: Exception) -> JSONResponse:
    log.error("unforeseen", exc_info=error, extra={"path": request.url.path})
    return _problem(500, "something went wrong that nobody foresaw", "the service's log tells more")
