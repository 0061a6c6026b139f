"""A node's bad days: a proxy that speaks JSON-RPC and spoils the answers of chosen methods.

    with FaultProxy(url) as proxy:
        proxy.spoil("eth_sendRawTransaction", "drop_after", times=1)
        Rpc(proxy.url) …

    drop_before, drop_after     the connection is cut, without or with the request having reached the node
    hang_before, hang_after     no answer for `proxy.hang_s` seconds, then the connection is cut
    limit                       HTTP 429 with `Retry-After: 0`
    html                        HTTP 502 with a page
    fail_after                  HTTP 500 after the node did it
    truncate                    half of the JSON
    null, wrong_id              a result of null; another request's id
    error                       the JSON-RPC error given as `value`; a single request does not reach the node
    stale                       the first answer that this method got since the rule was set, again and again
    replace                     the result given as `value`, or what `value(result)` makes of the node's

Habits last: at most `most_in_batch` requests in one batch, every answer with HTTP `status`, and `refuse(method, params)`
gives the JSON-RPC error of a request, or None.

A rule holds for `times` requests (None: for ever) and may fire with a probability. In a JSON batch it holds for each
of its requests. `hits` counts requests by method.
"""

from __future__ import annotations

import contextlib
import json
import random
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

WHOLE_ANSWER = {"drop_after", "hang_after", "fail_after", "truncate"}  # spoiled after the node did its work
BEFORE = {"drop_before", "hang_before", "limit", "html"}


@dataclass
class Rule:
    action: str
    times: int | None = 1
    value: Any = None
    probability: float = 1.0
    kept: Any = None
    has_kept: bool = False
    fired: int = 0


@dataclass
class FaultProxy:
    upstream: str
    seed: int = 0
    hang_s: float = 1.0
    rules: dict[str, Rule] = field(default_factory=dict)
    hits: Counter[str] = field(default_factory=Counter)
    most_in_batch: int = 1 << 30
    batches_refused: int = 0
    status: int = 200
    refuse: Callable[[str, list[Any]], dict[str, Any] | None] = lambda _method, _params: None
    genesis_asked: int = 0

    def __enter__(self) -> FaultProxy:
        self._random = random.Random(self.seed)
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def spoil(
        self, method: str, action: str, *, times: int | None = 1, value: Any = None, probability: float = 1.0
    ) -> Rule:
        rule = Rule(action, times, value, probability)
        with self._lock:
            self.rules[method] = rule
        return rule

    def heal(self) -> None:
        with self._lock:
            self.rules.clear()

    def fires(self, method: str) -> Rule | None:
        with self._lock:
            self.hits[method] += 1
            rule = self.rules.get(method)
            if rule is None or self._random.random() >= rule.probability:
                return None
            if rule.times is not None and rule.fired >= rule.times:
                return None
            rule.fired += 1
            return rule

    def forward(self, body: bytes) -> bytes:
        request = urllib.request.Request(self.upstream, data=body, headers={"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            data: bytes = answer.read()
            return data


def _handler(proxy: FaultProxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            request = json.loads(body)
            calls = request if isinstance(request, list) else [request]
            if proxy.status != 200:
                return self._answer(proxy.status, b"no", "text/plain")
            if isinstance(request, list) and len(request) > proxy.most_in_batch:
                proxy.batches_refused += 1
                error = {"code": -32007, "message": f"batch limit exceeded: at most {proxy.most_in_batch} requests"}
                return self._answer(
                    200, json.dumps({"jsonrpc": "2.0", "id": None, "error": error}).encode(), "application/json"
                )
            proxy.genesis_asked += sum(call["params"][:1] == ["0x0"] for call in calls)
            rules = [proxy.fires(call["method"]) for call in calls]
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self._spoiled(body, request, calls, rules)

        def _spoiled(self, body: bytes, request: Any, calls: list[Any], rules: list[Rule | None]) -> None:
            actions = {rule.action for rule in rules if rule}
            before = actions & BEFORE
            if before & {"limit"}:
                return self._answer(429, b"slow down", "text/plain", {"Retry-After": "0"})
            if before & {"html"}:
                return self._answer(502, b"<html>bad gateway</html>", "text/html")
            if before:
                return self._cut(before)
            if calls == [request] and (actions == {"error"} or proxy.refuse(request["method"], request["params"])):
                answers: Any = {"jsonrpc": "2.0", "id": request["id"]}
            else:
                answers = json.loads(proxy.forward(body))
            for answer, call, rule in zip(
                answers if isinstance(answers, list) else [answers], calls, rules, strict=True
            ):
                _spoil_answer(answer, call, rule)
                if (refusal := proxy.refuse(call["method"], call["params"])) is not None:
                    answer.pop("result", None)
                    answer["error"] = refusal
            data = json.dumps(answers).encode()
            after = actions & WHOLE_ANSWER
            if after & {"fail_after"}:
                return self._answer(500, b"internal error", "text/plain")
            if after & {"truncate"}:
                return self._answer(200, data[: len(data) // 2], "application/json")
            if after:
                return self._cut(after)
            return self._answer(200, data, "application/json")

        def _cut(self, actions: set[str]) -> None:
            if any(action.startswith("hang") for action in actions):
                time.sleep(proxy.hang_s)
            self.close_connection = True
            self.connection.close()

        def _answer(self, status: int, data: bytes, kind: str, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def handle(self) -> None:
            with contextlib.suppress(ConnectionResetError):  # a client that was killed says no goodbye
                super().handle()

        def finish(self) -> None:
            with contextlib.suppress(OSError, ValueError):  # the connection was cut on purpose
                super().finish()

        def log_message(self, *_: Any) -> None:
            pass

    return Handler


def _spoil_answer(answer: dict[str, Any], call: dict[str, Any], rule: Rule | None) -> None:
    if rule is None:
        return
    if rule.action == "null":
        answer.pop("error", None)
        answer["result"] = None
    elif rule.action == "wrong_id":
        answer["id"] = call["id"] + 1_000_000
    elif rule.action == "error":
        answer.pop("result", None)
        answer["error"] = rule.value
    elif rule.action == "replace":
        answer["result"] = rule.value(answer.get("result")) if callable(rule.value) else rule.value
    elif rule.action == "stale":
        if not rule.has_kept:
            rule.kept, rule.has_kept = answer.get("result"), True
        answer["result"] = rule.kept
