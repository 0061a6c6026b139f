"""Nodes and terminals of the tests' own: an Anvil on a free port, and the program with somebody typing."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from conftest import REPOSITORY, Ended

from pipeline.mint.programs import find_anvil


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(port: int, seconds: float = 60) -> None:
    """Return when somebody listens at a port of this machine."""
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.1):
            return
        assert time.monotonic() < deadline, f"nobody listens at port {port}"
        time.sleep(0.05)


@contextlib.contextmanager
def anvil(*words: str) -> Iterator[str]:
    """The URL of a fresh Anvil, ended with the block."""
    port = free_port()
    node = subprocess.Popen([find_anvil(), "--silent", "--port", str(port), *words])
    try:
        wait_for(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        node.terminate()
        node.wait()


def fund(url: str, address: str, ether: int = 10) -> None:
    """Give an account money out of nothing, without a block. (Anvil answers `null`, which our own client refuses.)"""
    asked(url, "anvil_setBalance", address, hex(ether * 10**18))


def asked(url: str, method: str, *params: Any) -> Any:
    """What a node answers to whatever no pipeline would ask."""
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as response:
        return json.loads(response.read()).get("result")


def typed(folder: Path, words: Sequence[str | Path], lines: Sequence[str], timeout: float = 240) -> Ended:
    """Run the program at a terminal where somebody types a line at each prompt (text that ends in a colon)."""
    here, there = pty.openpty()
    # A session leader that opens a terminal has it as its own: /dev/tty is there, where passwords are read.
    program = ["sh", "-c", 'exec "$@" <"$0"', os.ttyname(there), sys.executable, "-m", "pipeline", *map(str, words)]
    process = subprocess.Popen(
        program,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=there,
        start_new_session=True,
        text=True,
    )
    os.close(there)
    shown, waiting, deadline = "", list(lines), time.monotonic() + timeout
    with contextlib.suppress(OSError):  # the terminal's other end was closed: the program has ended
        unanswered = ""
        while data := os.read(here, 4096):
            shown, unanswered = shown + data.decode(), unanswered + data.decode()
            if waiting and unanswered.rstrip(" ").endswith(":"):
                os.write(here, waiting.pop(0).encode() + b"\n")
                unanswered = ""
            assert time.monotonic() < deadline, shown
    out, _ = process.communicate(timeout=timeout)
    os.close(here)
    return Ended(process.returncode, out, shown)
