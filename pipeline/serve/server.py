"""One process: the embedded chain, the worker, the service and, on a port of its own, the IPFS gateway."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import uvicorn

from pipeline.base.errors import BadArgument
from pipeline.base.port import server
from pipeline.base.workspace import Workspace
from pipeline.flow.connection import chain_url
from pipeline.flow.plan import chain_kind
from pipeline.ledger import Ledger
from pipeline.pin.gateway import gateway_app, serve_gateway
from pipeline.serve.app import create_app
from pipeline.serve.door import Network, Rules
from pipeline.serve.logs import hide_secrets, log_to_stderr
from pipeline.serve.metrics import Metrics
from pipeline.serve.worker import Worker
from pipeline.settings import Settings

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
    public: bool = False  # a show for strangers
    url: str = ""  # where others find it: behind a proxy, or by a name
    gateway_url: str = ""  # where others find its content; the gateway's own address leads only this machine there
    trust_proxy: tuple[Network, ...] = ()  # whose X-Forwarded-For, -Proto and -Host are believed
    title: str = ""  # of the show; empty: its artist's name
    log_level: str = "info"

    def rules(self) -> Rules:
        """Who may come in: without a token, only to read, and only while nobody but this machine can reach us.

        A public show is read by everybody, and written by nobody.
        """
        local = _is_loopback(self.host)
        known = (*self.allow_hosts, *filter(None, (urlsplit(self.url).hostname,)))
        names = (*LOOPBACK_NAMES, *known) if local else (self.host, *known)
        return Rules(
            hosts=frozenset(name.lower() for name in names),
            any_address=not local,
            open_reads=local and not self.require_token,
            public=self.public,
            proxies=self.trust_proxy,
        )

    def content(self, gateway: str) -> str | None:
        """The address behind which links name a CID; none where it would lead a stranger to his own machine."""
        base = self.gateway_url.rstrip("/") or (gateway if not self.public else "")
        return f"{base.removesuffix('/ipfs')}/ipfs/" if base else None


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
def running(workspace: Workspace, config: Settings, wish: Wish, environ: Mapping[str, str]) -> Iterator[Running]:
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
            gateway=wish.content(gateway),
            url=wish.url,
            title=wish.title,
        )
        worker.start()
        stack.callback(worker.stop, STOP_S)
        yield Running(server(app), listening, _url(wish.host, listening), gateway, worker)


def _open_chains(config: Settings, workspace: Workspace, ledger: Ledger, stack: contextlib.ExitStack) -> str:
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
