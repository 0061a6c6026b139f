"""A small HTTP server whose answers a test writes, and one that passes requests on."""

from __future__ import annotations

import threading
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Ask:
    """A request as a server got it."""

    method: str
    path: str
    headers: Message
    body: bytes


Reply = tuple[int, dict[str, str], bytes]


class Quiet(BaseHTTPRequestHandler):
    """A handler that tells nothing on stderr."""

    def log_message(self, *arguments: Any) -> None:
        pass


class Loopback:
    """An HTTP server on a free port of this machine, in a thread of its own. Whoever makes it closes it."""

    def __init__(self, handler: type[BaseHTTPRequestHandler]) -> None:
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.http.daemon_threads = True
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http.server_address[1]}"

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


class Server(Loopback):
    """A small HTTP server whose answers a test writes; `rules` come first, each used once."""

    def __init__(self, answer: Callable[[Ask], Reply]) -> None:
        self.answer = answer
        self.rules: list[Callable[[Ask, Any], Reply | None]] = []
        self.seen: list[Ask] = []
        server = self

        class Handler(Quiet):
            protocol_version = "HTTP/1.1"

            def any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                ask = Ask(self.command, self.path, self.headers, body)
                server.seen.append(ask)
                reply = server.rules.pop(0)(ask, self) if server.rules else answer(ask)
                if reply is None:
                    self.close_connection = True
                    return
                status, headers, data = reply
                self.send_response(status)
                for name, value in ({"Content-Length": str(len(data))} | headers).items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(data)

            do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = any

        super().__init__(Handler)

    def methods(self) -> list[str]:
        return [ask.method for ask in self.seen]


def forward(base: str) -> Callable[[Ask], Reply]:
    """Answer as the server at `base` does."""

    def answer(ask: Ask) -> Reply:
        headers = {k: v for k, v in ask.headers.items() if k.lower() not in ("host", "content-length", "connection")}
        request = urllib.request.Request(base + ask.path, ask.body or None, headers, method=ask.method)
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return response.status, _plain(response.headers), response.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, _plain(error.headers), error.read()

    return answer


def _plain(headers: Message) -> dict[str, str]:
    return {k: v for k, v in headers.items() if k.lower() not in ("transfer-encoding", "connection", "date", "server")}
