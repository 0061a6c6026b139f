"""Collections to look at, and the gallery with its reading routes on a free port, without what the service puts before them."""

from __future__ import annotations

import contextlib
import functools
import http.server
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from conftest import REPOSITORY
from fastapi import FastAPI

from pipeline.base.workspace import Workspace
from pipeline.ledger import Ledger
from pipeline.serve.app import create_app
from pipeline.serve.door import Door, Rate, Rules
from pipeline.serve.gallery import gallery_router
from pipeline.serve.gallery.media import Media
from pipeline.serve.metrics import Metrics
from pipeline.serve.pages import pages_router
from pipeline.serve.problems import tell_problems
from pipeline.serve.reading import Reader, reading_router
from pipeline.serve.worker import Worker
from pipeline.settings import load_settings

COUNT = 12
GATEWAY = "http://127.0.0.1:8081/ipfs/"


@dataclass(frozen=True)
class Served:
    """A running server and the workspace behind it."""

    url: str
    workspace: Workspace


def mint_in(folder: Path, *words: str) -> Workspace:
    """Mint in `folder` as a user does it; its workspace."""
    subprocess.run(
        [sys.executable, "-m", "pipeline", "mint", *words],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(REPOSITORY), "HOME": str(folder)},
        check=True,
        capture_output=True,
        timeout=240,
    )
    return Workspace(folder / "workspace")


def application(workspace: Workspace) -> FastAPI:
    """The routers alone, with their document; what stands before them is tested with the service."""
    config = load_settings({}, {}, workspace.folder)
    reader = Reader(workspace, config)
    app = FastAPI(docs_url=None, redoc_url=None)  # the page has one of its own
    tell_problems(app)
    app.include_router(reading_router(reader, GATEWAY))
    app.include_router(gallery_router(Media(workspace, config)))
    app.include_router(pages_router(reader))
    return app


@contextlib.contextmanager
def unpaced_service(folder: Path, *hosts: str, **rules: Any) -> Iterator[Door]:
    """The whole application on `folder`/workspace, with a worker that was never started: what is accepted stays queued."""
    workspace, config = Workspace(folder / "workspace"), load_settings({}, {}, folder)
    unpaced = Rate(1e9, 10**9)
    with Ledger(workspace.ledger) as ledger:
        metrics = Metrics(ledger)
        yield create_app(
            workspace,
            config,
            ledger=ledger,
            worker=Worker(workspace, config, metrics),
            metrics=metrics,
            rules=Rules(frozenset(hosts), reads=unpaced, writes=unpaced, failures=unpaced, **rules),
            chain_url="http://127.0.0.1:9",
        )


@contextlib.contextmanager
def file_server(folder: Path) -> Iterator[str]:
    """A folder at Python's own server of files, which knows nothing of us."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            return

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@contextlib.contextmanager
def serving(app: Any) -> Iterator[str]:
    """Serve an ASGI application on a free port of loopback."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_level="error", lifespan="off", timeout_graceful_shutdown=1, proxy_headers=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    deadline = time.monotonic() + 30
    while not server.started:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join(30)
    listener.close()
