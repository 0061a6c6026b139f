"""A service as a user runs it: a process of its own on a workspace of its own, asked over HTTP."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import REPOSITORY

PATIENCE_S = 120.0  # a loaded machine is slow


class Service:
    """`pipeline serve` on a folder. `stop` ends it as Ctrl-C does, `kill` as a power failure does."""

    def __init__(self, folder: Path, *words: str, env: dict[str, str] | None = None) -> None:
        self.folder = folder
        self.log = folder / "serve.log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "pipeline", "serve", "--port", "0", "--gateway-port", "0", "--json"),
                    *words,
                ],
                cwd=folder,
                env={**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONUNBUFFERED": "1", **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self.process.stdout is not None
        told = ""
        while not told.rstrip().endswith("}"):
            line = self.process.stdout.readline()
            assert line, self.log.read_text()
            told += line
        self.url: str = json.loads(told)["url"]
        self.gateway: str = json.loads(told)["gateway"]

    @property
    def address(self) -> tuple[str, int]:
        host, _, port = self.url.removeprefix("http://").rpartition(":")
        return host, int(port)

    def client(self, token: str | None = None) -> httpx.Client:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.Client(base_url=self.url, headers=headers, timeout=PATIENCE_S)

    def ended(self, client: httpx.Client, job: int) -> dict[str, Any]:
        """The job once it has ended."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            answer: dict[str, Any] = client.get(f"/v1/jobs/{job}").json()
            if answer["state"] not in ("queued", "running"):
                return answer
            assert time.monotonic() < deadline, (answer, self.log.read_text())
            time.sleep(0.1)

    def stop(self, sign: int = signal.SIGINT) -> int:
        self.process.send_signal(sign)
        return self.process.wait(60)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(60)

    def died(self) -> int:
        """How it ended by itself."""
        return self.process.wait(PATIENCE_S)


@contextlib.contextmanager
def service(folder: Path, *words: str, env: dict[str, str] | None = None) -> Iterator[Service]:
    running = Service(folder, *words, env=env)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.kill()
        assert running.process.stdout is not None
        running.process.stdout.close()


def new_token(folder: Path, scope: str) -> str:
    """Made in this process: the verb is tested elsewhere."""
    from pipeline.base.workspace import Workspace
    from pipeline.ledger import Ledger

    with Ledger(Workspace(folder / "workspace").ledger) as ledger:
        return ledger.access.new("mint" if scope == "mint" else "read", "test")[1]


def small(name: str, count: int = 2, **more: Any) -> dict[str, Any]:
    """A request for a collection that takes no time."""
    return {"name": name, "count": count, "size": 32, "seed": 7, **more}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service for the tests of a module that leave it as it was."""
    with service(tmp_path_factory.mktemp("service")) as running:
        yield running


@pytest.fixture(scope="module")
def token(shared: Service) -> str:
    return new_token(shared.folder, "mint")


@pytest.fixture
def client(shared: Service, token: str) -> Iterator[httpx.Client]:
    with shared.client(token) as opened:
        yield opened
