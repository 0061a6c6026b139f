"""Real Kubo daemons that are killed in the middle of an upload, and two that fetch from one another what we pinned."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.base.cid import CID
from pipeline.base.errors import PinError, PinnerUnavailable
from pipeline.base.records import PinnedRoot
from pipeline.pin.kubo import KuboPinner
from pipeline.pin.store import CarStore, Source


@pytest.fixture
def store(tmp_path: Path) -> CarStore:
    return CarStore(tmp_path / "car")


@pytest.fixture
def node(new_repo: Callable[[str], Any]) -> Iterator[Any]:
    repo = new_repo("unixfs-v1-2025")
    repo.start()
    yield repo
    repo.stop()


def big(store: CarStore, random_bytes: Callable[[str, int], bytes], seed: str) -> PinnedRoot:
    """Larger than what sockets and Kubo's batches swallow at once."""
    files: list[tuple[str, Source]] = [(f"{i}.png", random_bytes(f"{seed} {i}", 700_000)) for i in range(1, 25)]
    return store.put_directory(files)


class Relay:
    """Passes a TCP connection on; once `after` bytes went to the server, `act` is called, one time."""

    def __init__(self, port: int, after: int, act: Callable[[], None]) -> None:
        self._port, self._after, self._act = port, after, act
        self._passed, self._acted = 0, threading.Event()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._listening.getsockname()[1]}"

    @property
    def acted(self) -> bool:
        return self._acted.is_set()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for thread in self._threads:
            thread.join(20)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                try:
                    server = socket.create_connection(("127.0.0.1", self._port), 10)
                except OSError:
                    client.close()
                    continue
                for pump in (self._up, self._down):
                    self._threads.append(threading.Thread(target=pump, args=(client, server)))
                    self._threads[-1].start()

    def _up(self, client: socket.socket, server: socket.socket) -> None:
        with client, server, contextlib.suppress(OSError):
            while part := client.recv(1 << 16):
                server.sendall(part)
                self._passed += len(part)
                if self._passed >= self._after and not self._acted.is_set():
                    self._acted.set()
                    self._act()

    def _down(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while part := server.recv(1 << 16):
                client.sendall(part)
            client.shutdown(socket.SHUT_RDWR)


def kill(repo: Any) -> None:
    repo.process.send_signal(signal.SIGKILL)
    repo.process.wait(20)


def connect(node: Any, other: Any) -> None:
    """Two nodes without any discovery have to be introduced."""
    identity = json.loads(other.run("id"))["ID"]
    port = json.loads((other.folder / "config").read_text())["Addresses"]["Swarm"][0].rsplit("/", 1)[1]
    node.run("swarm", "connect", f"/ip4/127.0.0.1/tcp/{port}/p2p/{identity}")


@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_a_node_that_ends_during_an_upload_has_not_pinned_and_the_same_call_heals_it(
    how: str, node: Any, store: CarStore, random_bytes: Callable[[str, int], bytes]
) -> None:
    """After the crash Kubo's own garbage collection takes whatever half had arrived."""
    root = big(store, random_bytes, how)
    relay = Relay(node.api_port, 6_000_000, node.process.kill if how == "killed" else node.process.terminate)
    try:
        through = KuboPinner(relay.address, timeout_s=30)
        with pytest.raises(PinnerUnavailable) as caught:
            through.pin(store.path(root.cid), root, "x")
        assert caught.value.retryable and relay.acted
        node.process.wait(60)
        node.start()
        node.run("repo", "gc")
        direct = KuboPinner(node.address, timeout_s=30)
        with pytest.raises(PinError):
            direct.check(root)
        assert str(root.cid) not in node.run("pin", "ls", "--type=recursive", "--quiet")
        through.pin(store.path(root.cid), root, "x")
        node.run("repo", "gc")
        direct.check(root)
    finally:
        relay.close()


def test_a_node_killed_after_the_pin_still_has_it(
    node: Any, store: CarStore, random_bytes: Callable[[str, int], bytes]
) -> None:
    """What we reported as pinned survives a crash and a garbage collection."""
    root = big(store, random_bytes, "survives")
    pinner = KuboPinner(node.address, timeout_s=60)
    pinner.pin(store.path(root.cid), root, "x")
    kill(node)
    node.start()
    node.run("repo", "gc")
    KuboPinner(node.address, timeout_s=60).check(root)


def test_two_nodes_fetch_from_one_another_what_we_pinned(
    new_repo: Callable[[str], Any], kubo: Any, node: Any, tmp_path: Path, random_bytes: Callable[[str, int], bytes]
) -> None:
    """By bitswap over loopback, flat and sharded: what we built is what other nodes understand."""
    store = CarStore(tmp_path / "car")
    many: list[tuple[str, Source]] = [(f"{i}.json", b'{"name":"Lino #%d"}' % i) for i in range(1, 5_201)]
    for giver, taker, entries in (
        (kubo, node, many),
        (node, kubo, [("1.png", random_bytes("exchange", 3_000_000)), ("2.png", b"small")]),
    ):
        root = store.put_directory(entries)
        KuboPinner(giver.address, timeout_s=60).pin(store.path(root.cid), root, "exchange")
        taken = KuboPinner(taker.address, timeout_s=60)
        with pytest.raises(PinError):
            taken.check(root)
        connect(taker, giver)
        taker.run("pin", "add", str(root.cid))
        taken.check(root)
        name, data = entries[-1]
        found = CID.parse(taker.run("resolve", f"/ipfs/{root.cid}/{name}").removeprefix("/ipfs/"))
        assert isinstance(data, bytes) and found == CID.raw(data)
