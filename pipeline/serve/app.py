"""The application: routes from every room of the service, one form of error, one exact OpenAPI document, one door."""

from __future__ import annotations

import logging
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse, PlainTextResponse

from pipeline.base import __version__
from pipeline.base.workspace import Workspace
from pipeline.ledger import Ledger
from pipeline.serve.door import ALWAYS_OPEN, SHOWN, WORKSHOP, Door, Rules
from pipeline.serve.gallery import gallery_router
from pipeline.serve.gallery.media import Media
from pipeline.serve.health import health_router
from pipeline.serve.jobs import jobs_router
from pipeline.serve.metrics import Metrics
from pipeline.serve.pages import pages_router
from pipeline.serve.problems import tell_problems
from pipeline.serve.reading import Reader, reading_router
from pipeline.serve.studio import studio_page_router, studio_router
from pipeline.serve.worker import Worker
from pipeline.settings import Settings

log = logging.getLogger(__name__)

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
EVERYWHERE = {  # what the door may say to any request
    "401": "no token, or one that does not hold",
    "421": "the request is for another host",
    "422": "the request is not of the form that is described here",
    "429": "too many requests: see Retry-After",
    "503": "the workspace cannot be read or written",
}
OF_WRITES = {
    "400": "the body is not JSON",
    "403": "the token may only read",
    "408": "the body took too long",
    "409": "the Idempotency-Key belongs to another request",
    "413": "the body is too large",
}


def create_app(
    workspace: Workspace,
    config: Settings,
    *,
    ledger: Ledger,
    worker: Worker,
    metrics: Metrics,
    rules: Rules,
    chain_url: str,
    gateway: str | None = None,
    url: str = "",
    title: str = "",
) -> Door:
    """The whole service as an ASGI application; `ledger` and `worker` belong to the caller, who closes and stops them.

    `url` is where others find it, and `title` what the show is called.
    """
    app = FastAPI(title="pipeline", version=__version__, docs_url=None, redoc_url=None, openapi_url=None)
    app.router.redirect_slashes = False  # it would name the scheme between a proxy and us
    app.include_router(jobs_router(ledger, worker))
    reader = Reader(workspace, config, public=rules.public)
    app.include_router(reading_router(reader, gateway))
    app.include_router(gallery_router(Media(workspace, config, public=rules.public)))
    if not rules.public:
        app.include_router(studio_router(workspace, ledger))
        app.include_router(studio_page_router())
    app.include_router(health_router(workspace, worker, lambda: chain_url))

    @app.get("/metrics", response_class=PlainTextResponse, tags=["health"], summary="What Prometheus reads")
    def read_metrics() -> PlainTextResponse:
        return PlainTextResponse(metrics.text(), media_type=METRICS_TYPE)

    @app.get("/openapi.json", include_in_schema=False)
    def read_openapi() -> JSONResponse:
        return JSONResponse(app.openapi())

    told = rules.public or rules.open_reads
    app.include_router(pages_router(reader, told=told, public=rules.public, url=url, title=title))
    tell_problems(app, public=rules.public)
    app.openapi = lambda: _openapi(app, rules.public)  # type: ignore[method-assign]
    return Door(app, rules, ledger.access.find, metrics.request_answered)


# ── OpenAPI ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _openapi(app: FastAPI, public: bool) -> dict[str, Any]:
    """FastAPI's document, completed by what the door answers and by our form of error; of a public show what it reads."""
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, routes=app.routes)
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        schemas.pop("HTTPValidationError", None)
        schemas.pop("ValidationError", None)
        document["components"]["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer"}}
        if public:
            reading = {path: operations.get("get") for path, operations in document["paths"].items() if _is_shown(path)}
            document["paths"] = {path: {"get": operation} for path, operation in reading.items() if operation}
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                _complete(operation, method, path)
        app.openapi_schema = document
    return app.openapi_schema


def _is_shown(path: str) -> bool:
    """Whether strangers may ask for it at a public show: jobs and figures need a token there."""
    return path.startswith((*ALWAYS_OPEN, *SHOWN))


def _complete(operation: dict[str, Any], method: str, path: str) -> None:
    writes = method not in ("get", "head") or path.startswith(WORKSHOP)
    operation["security"] = [{"bearer": []}] if writes else [{}, {"bearer": []}]
    responses = operation["responses"]
    responses.pop("422", None)
    for status, told in (EVERYWHERE | OF_WRITES if writes else EVERYWHERE).items():
        responses.setdefault(status, {"description": told})
    if path == "/healthz":
        operation["security"] = []
    for status, response in responses.items():
        if status >= "400" and "content" not in response:
            response["content"] = {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
