"""Whether the process lives, and whether it can do its work: `/healthz` and `/readyz` tell the truth."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from fastapi import APIRouter, Response
from pydantic import BaseModel

from pipeline.base.errors import PipelineError
from pipeline.base.workspace import Workspace
from pipeline.ledger import Ledger
from pipeline.mint.rpc import Rpc
from pipeline.serve.worker import Worker

CHAIN_S = 3.0  # a chain that takes longer is not one to mint on
FRESH_S = 1.0  # an answer serves everybody who asks within this time


class Health(BaseModel):
    alive: bool


class Readiness(BaseModel):
    """Each is false when the service cannot do its work for that reason."""

    ledger: bool
    worker: bool
    chain: bool


def health_router(workspace: Workspace, worker: Worker, chain_url: Callable[[], str]) -> APIRouter:
    router = APIRouter(tags=["health"])
    lock, last = threading.Lock(), [(-FRESH_S, Readiness(ledger=False, worker=False, chain=False))]

    @router.get("/healthz", summary="The process lives")
    async def healthz() -> Health:
        return Health(alive=True)

    @router.get(
        "/readyz",
        summary="The ledger opens, the worker lives, the chain answers",
        responses={503: {"model": Readiness, "description": "one of them does not"}},
    )
    def readyz(response: Response) -> Readiness:
        with lock:
            if time.monotonic() - last[0][0] >= FRESH_S:
                found = Readiness(ledger=_opens(workspace), worker=worker.is_alive, chain=_answers(chain_url))
                last[0] = time.monotonic(), found
        found = last[0][1]
        if not (found.ledger and found.worker and found.chain):
            response.status_code = 503
        return found

    return router


def _opens(workspace: Workspace) -> bool:
    try:
        with Ledger(workspace.ledger, readonly=True) as ledger:
            ledger.jobs.counts()
    except (PipelineError, FileNotFoundError):
        return False
    return True


def _answers(chain_url: Callable[[], str]) -> bool:
    try:
        rpc = Rpc(chain_url(), patience_s=0, read_timeout_s=CHAIN_S)
        try:
            rpc.call("eth_chainId")
        finally:
            rpc.close()
    except PipelineError:
        return False
    return True
