"""One process: the embedded chain, the worker, the service and, on a port of its own, the IPFS gateway."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from pipeline.base.errors import BadArgument
from pipeline.base.workspace import Workspace
from pipeline.flow.connection import chain_url
from pipeline.flow.plan import chain_kind
from pipeline.ledger import Ledger
from pipeline.pin.gateway import gateway_app, serve_gateway
from pipeline.serve.app import create_app
from pipeline.serve.door import HEADERS, Rules
from pipeline.serve.logs import hide_secrets, log_to_stderr
from pipeline.serve.metrics import Metrics
from pipeline.serve.worker import Worker
from pipeline.settings.config import Config

MAX_CONNECTIONS = 512  # each costs a file and some ten kilobytes
MAX_HEAD = 16 << 10  # bytes of a request line and its headers
HEAD_S = 10.0  # for all of them, from their first byte or from the connection on
IDLE_S = 15  # between two requests of one connection
DRAIN_S = 20.0  # for a client to take 64 KiB of an answer
GRACE_S = 3  # for answers under way when the service ends
STOP_S = 20.0  # for the worker to come to the next thing that is recorded

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Wish:
    """How the service is to be opened."""

    host: str = "127.0.0.1"
    port: int = 0
    gateway_port: int = 0
    require_token: bool = False
    allow_hosts: tuple[str, ...] = ()
    log_level: str = "info"

    def rules(self) -> Rules:
        """Who may come in: without a token, only to read, and only while nobody but this machine can reach us."""
        local = _is_loopback(self.host)
        names = (*LOOPBACK_NAMES, *self.allow_hosts) if local else (self.host, *self.allow_hosts)
        return Rules(
            hosts=frozenset(name.lower() for name in names),
            any_address=not local,
            open_reads=local and not self.require_token,
        )


class Running:
    """A service that is open: where, and what it does. `wait` until a signal ends it."""

    def __init__(
        self, server: uvicorn.Server, listening: socket.socket, url: str, gateway: str, worker: Worker
    ) -> None:
        self._server, self._listening, self._worker = server, listening, worker
        self.url, self.gateway = url, gateway

    @property
    def is_minting(self) -> bool:
        return self._worker.is_busy

    def wait(self) -> None:
        """Serve in this thread, the main one. Raises what SIGINT and SIGTERM mean once answers under way are sent."""
        self._server.run([self._listening])


@contextlib.contextmanager
def running(workspace: Workspace, config: Config, wish: Wish, environ: Mapping[str, str]) -> Iterator[Running]:
    """Open the service, and close everything it began: the job under way stays in the ledger, and continues next time.

    Call it from the main thread, which the embedded chain's life is tied to. Raises PipelineError.
    """
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(_listening(wish.host, wish.port))
        ledger = stack.enter_context(Ledger(workspace.ledger))
        ledger.check_integrity()
        chain = _open_chains(config, workspace, ledger, stack)
        gateway = stack.enter_context(serve_gateway(gateway_app(workspace.cars), wish.gateway_port))
        hide_secrets(config, environ)
        log_to_stderr(wish.log_level)  # the last word about logging: starting a server sets it up as well
        metrics = Metrics(ledger)
        metrics.listen()
        worker = Worker(workspace, config, metrics)
        app = create_app(
            workspace,
            config,
            ledger=ledger,
            worker=worker,
            metrics=metrics,
            rules=wish.rules(),
            chain_url=chain,
            gateway=f"{gateway}/ipfs/",
        )
        server = uvicorn.Server(
            uvicorn.Config(
                app,
                http=PatientProtocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,  # nobody may tell us a client's address
                h11_max_incomplete_event_size=MAX_HEAD,
                timeout_keep_alive=IDLE_S,
                timeout_graceful_shutdown=GRACE_S,
            )
        )
        worker.start()
        stack.callback(worker.stop, STOP_S)
        yield Running(server, listening, _url(wish.host, listening), gateway, worker)


def _open_chains(config: Config, workspace: Workspace, ledger: Ledger, stack: contextlib.ExitStack) -> str:
    """The URL of the chain that new collections go to; with it every embedded chain that a collection lives on."""
    kinds = dict.fromkeys([chain_kind(config, None)])
    kinds |= dict.fromkeys(one.chain_kind for one in ledger.collections.all() if one.chain_kind != "external")
    return [stack.enter_context(chain_url(config, workspace, kind)) for kind in kinds][0]


# ── sockets ──────────────────────────────────────────────────────────────────────────────────────────────────────


@contextlib.contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.create_server((host, port), family=family)
    except OSError as error:
        raise BadArgument(
            name="--host and --port",
            value=f"{host}:{port}",
            expected=f"an address of this machine and a port that is free ({error.strerror}); 0 takes any",
        ) from error
    with listening:
        yield listening


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _url(host: str, listening: socket.socket) -> str:
    return f"http://{f'[{host}]' if ':' in host else host}:{listening.getsockname()[1]}"


class PatientProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 with an end to patience: connections are counted, heads have a time, answers must be taken."""

    _head: asyncio.TimerHandle | None = None  # until a whole head is here
    _drain: asyncio.TimerHandle | None = None  # until the client has taken what waits for it

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        if len(self.connections) >= MAX_CONNECTIONS:
            transport.abort()
            return
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_head()
        self._stop_drain()
        if self in self.connections:
            super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state is h11.IDLE:
            self._expect_head()
        else:
            self._stop_head()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.transport.is_closing():
            self._expect_drain()

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._expect_drain()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._expect_drain()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_drain()

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP is answered with the headers of every answer."""
        headers: list[tuple[str, str]] = [*HEADERS.items(), ("content-type", "text/plain"), ("connection", "close")]
        events: Iterable[Any] = (
            h11.Response(status_code=400, headers=headers, reason=b"Bad Request"),
            h11.Data(data=msg.encode()),
            h11.EndOfMessage(),
        )
        for event in events:
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
        self._expect_drain()

    def _expect_head(self) -> None:
        if self._head is None:
            self._head = self.loop.call_later(HEAD_S, self.transport.abort)

    def _expect_drain(self) -> None:
        """A client that takes nothing would keep its answer in our memory, also after `close`."""
        if self._drain is None:
            self._drain = self.loop.call_later(DRAIN_S, self.transport.abort)

    def _stop_head(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None

    def _stop_drain(self) -> None:
        if self._drain is not None:
            self._drain.cancel()
            self._drain = None
