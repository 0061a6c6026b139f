"""JSON-RPC over HTTP, strictly: an answer is the one that was asked for, or an error that says nothing about the outcome.

Importing this costs a few milliseconds, so that `pipeline status` can ask a node without loading web3.

An RPC URL is a secret: providers put their key into its path, its query or its user part. Only `shown` (scheme, host,
port) ever leaves this module. urllib3's own exceptions hold the whole URL, so they are not kept as `__cause__`.
"""

from __future__ import annotations

import itertools
import json
import logging
import random
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

from pipeline.base.errors import RpcError, RpcUnavailable
from pipeline.base.secrets import redacted
from pipeline.base.untrusted import parse_json, printable
from pipeline.base.web import REFUSED, endpoint, may_pass, reason_of, retry_after, silence_request_lines
from pipeline.mint.refusals import is_of_batches, will_pass

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, PoolManager

CONNECT_TIMEOUT_S = 3.0
READ_TIMEOUT_S = 20.0  # between two packets
WHOLE_TIMEOUT_S = 60.0  # of one answer: a byte a second must not hold us for ever
MAX_ANSWER = 64 << 20  # 10,000 Transfer logs, the usual provider's limit, are 8 MiB
BATCH = 100  # requests in one JSON batch to begin with; a node that takes fewer says so, and is asked for fewer
PATIENCE_S = 60.0  # how long a read is repeated before it fails
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 10.0

NOT_SO_MANY = frozenset({400, 405, 413, 422})  # HTTP's ways to refuse a batch

# Reads may be repeated. Everything else, above all eth_sendRawTransaction, is sent once: whether it arrived is looked
# up by hash and never guessed from an error.
READS = frozenset(
    {
        "eth_accounts",
        "eth_blockNumber",
        "eth_call",
        "eth_chainId",
        "eth_estimateGas",
        "eth_feeHistory",
        "eth_gasPrice",
        "eth_getBalance",
        "eth_getBlockByHash",
        "eth_getBlockByNumber",
        "eth_getCode",
        "eth_getLogs",
        "eth_getTransactionByHash",
        "eth_getTransactionCount",
        "eth_getTransactionReceipt",
        "eth_maxPriorityFeePerGas",
        "web3_clientVersion",
    }
)
# Only here `null` is an answer: "there is none". Anywhere else, and for a block that the chain has, it is a fault of the node.
NULLABLE = frozenset(
    {"eth_getBlockByHash", "eth_getBlockByNumber", "eth_getTransactionByHash", "eth_getTransactionReceipt"}
)

Call = tuple[str, Sequence[Any]]

log = logging.getLogger(__name__)


class Rpc:
    """A node behind an http or https URL. Connections are kept and redirects are not followed.

    Reads, and methods in `repeatable`, are repeated with jittered pauses for at most `patience_s` when the node gives
    no usable answer or says that we ask too often (`Retry-After` is honoured) or too early; nothing else is sent twice.
    How many requests the node takes in one batch is learned. Safe to use from several threads.
    Raises BadArgument for a URL that cannot be one.
    """

    def __init__(
        self,
        url: str,
        *,
        repeatable: frozenset[str] = READS,
        patience_s: float = PATIENCE_S,
        read_timeout_s: float = READ_TIMEOUT_S,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        place = endpoint("RPC URL", url)
        self._target, self._authorization = place.target, place.headers
        self.shown, self.is_loopback = place.shown, place.is_loopback
        self.patience_s = patience_s
        self._repeatable = repeatable
        self._most = BATCH  # requests in one batch, as far as this node has taught us
        self._read_timeout_s = read_timeout_s
        self._clock = clock
        self._sleep = sleep
        self._ids = itertools.count(1)
        self._blocks = {"latest"}  # that the chain has
        self._pool: PoolManager | None = None

    def __repr__(self) -> str:
        return f"Rpc({self.shown!r})"

    def close(self) -> None:
        """Close kept connections; the next call opens new ones."""
        if self._pool is not None:
            self._pool.clear()

    def expect_block(self, at: str) -> None:
        """From now on `null` for this block, by number or tag, is no answer, and waited out."""
        self._blocks.add(at)

    def call(self, method: str, params: Sequence[Any] = ()) -> Any:
        """The result of one method, never a stranger's.

        Raises RpcError when the node answered with an error, RpcUnavailable when it gave no usable answer.
        """

        def once() -> Any:
            answer = self._exchange(method, self._request(method, params))
            result = self._result(method, answer, params)
            if isinstance(result, RpcError):
                raise result
            return result

        return self._patiently(once) if method in self._repeatable else once()

    def batch(self, calls: Sequence[Call]) -> list[Any]:
        """The results of many reads, asked in order, by few requests; a refused call's RpcError stands in its place.

        Raises RpcUnavailable when an answer stays unusable, RpcError when the node keeps asking for patience.
        """
        assert all(method in READS for method, _ in calls), "only what may be repeated goes into a batch"
        results: list[Any] = []
        while len(results) < len(calls):
            results += self._first_of(calls[len(results) :])
        return results

    # ── one exchange ─────────────────────────────────────────────────────────────────────────────────────────

    def _request(self, method: str, params: Sequence[Any]) -> dict[str, Any]:
        return {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": list(params)}

    def _first_of(self, calls: Sequence[Call]) -> list[Any]:
        """The results of the first of `calls`: of as many as the node answers at once, at least of one.

        What refuses a batch for its size is halved, and that is remembered. Whatever else ails it, after two failures
        a smaller request is tried: many providers count a batch by its calls.
        """
        size, failures = min(len(calls), self._most), 0

        def once() -> list[Any]:
            nonlocal size, failures
            failures += 1
            if failures > 2:
                size = max(1, size // 2)
            while size > 1:
                try:
                    return self._batch_once(calls[:size])
                except _TooMany:
                    size = self._most = size // 2
                    log.info("%s takes fewer than %d requests at once", self.shown, 2 * size)
            return [self._alone(*calls[0])]

        return cast("list[Any]", self._patiently(once))

    def _alone(self, method: str, params: Sequence[Any]) -> Any:
        """The result of one read, or the RpcError in its place; one that will pass is raised."""
        result = self._result(method, self._exchange(method, self._request(method, params)), params)
        if _asks_for_patience(result):
            raise result
        return result

    def _batch_once(self, calls: Sequence[Call]) -> list[Any]:
        """Results up to the first that has to be asked for again, which is raised where it is the first of all."""
        requests = [self._request(method, params) for method, params in calls]
        name = f"a batch of {len(calls)}"
        try:
            answers = self._exchange(name, requests)
        except RpcUnavailable as error:
            if error.fields["status"] in NOT_SO_MANY:
                raise _TooMany from error
            raise
        if isinstance(answers, list) and len(answers) == 1:
            (answers,) = answers  # one error for all
        if not isinstance(answers, list):
            refused = self._error(name, answers.get("error")) if isinstance(answers, dict) else None
            if refused is not None and will_pass(refused) and not is_of_batches(refused):
                raise refused
            raise _TooMany if refused is not None else self._unavailable(name, "no JSON-RPC batch came back")
        by_id: dict[Any, Any] = {}
        for answer in answers:
            if not isinstance(answer, dict) or answer.get("jsonrpc") != "2.0" or type(answer.get("id")) is not int:
                raise self._unavailable(name, "an answer is not JSON-RPC 2.0")
            if answer["id"] in by_id:
                raise self._unavailable(name, "two answers have one id")
            by_id[answer["id"]] = answer
        if by_id.keys() != {request["id"] for request in requests}:
            raise self._unavailable(name, "answers do not belong to the requests")
        results = [self._result(request["method"], by_id[request["id"]], request["params"]) for request in requests]
        refusals = [result for result in results if isinstance(result, RpcError)]
        if any(is_of_batches(refusal) for refusal in refusals):
            raise _TooMany
        passing = next((number for number, result in enumerate(results) if _asks_for_patience(result)), len(results))
        if passing == 0:
            raise results[0]
        return results[:passing]

    def _exchange(self, method: str, request: dict[str, Any] | list[dict[str, Any]]) -> Any:
        """Post `request` and parse what comes back; a single answer must carry the request's id."""
        body = self._post(method, json.dumps(request, separators=(",", ":")).encode())
        try:
            answer = parse_json(body)
        except ValueError:
            answer = None
        if not isinstance(answer, dict | list):
            raise self._unavailable(method, "the answer is not JSON")
        if isinstance(request, list):
            return answer
        if not isinstance(answer, dict) or answer.get("jsonrpc") != "2.0":
            raise self._unavailable(method, "the answer is not JSON-RPC 2.0")
        # A node that could not read the request answers with id null (JSON-RPC 2.0, section 5).
        unread = answer.get("id", "") is None and "error" in answer
        if not unread and (type(answer.get("id")) is not int or answer["id"] != request["id"]):
            raise self._unavailable(method, "the answer belongs to another request")
        return answer

    def _result(self, method: str, answer: dict[str, Any], params: Sequence[Any]) -> Any:
        if answer.get("error") is not None:
            return self._error(method, answer["error"])
        if "result" not in answer:
            raise self._unavailable(method, "the answer has neither result nor error")
        if answer["result"] is None and (method not in NULLABLE or params[0] in self._blocks):
            raise self._unavailable(method, "the answer is null")
        return answer["result"]

    def _error(self, method: str, error: Any) -> RpcError:
        if not isinstance(error, dict):
            error = {"message": str(error)}
        code = error.get("code")
        return RpcError(
            rpc=self.shown,
            method=method,
            code=code if type(code) is int else 0,
            message=printable(redacted(str(error.get("message", "no reason given"))), 500),
            data=_revert_data(error),
        )

    def _post(self, method: str, body: bytes) -> bytes:
        """The body of an HTTP 200; RpcUnavailable otherwise."""
        import urllib3

        reason, status, wait_s, answer = "", 200, None, b""
        try:
            response = self._connections().request(
                "POST",
                self._target,
                body=body,
                headers={"Content-Type": "application/json", "Accept-Encoding": "identity", **self._authorization},
                timeout=urllib3.Timeout(connect=CONNECT_TIMEOUT_S, read=self._read_timeout_s),
                retries=False,
                redirect=False,
                preload_content=False,
            )
            try:
                status = response.status
                answer = self._read(response)
                if response.status == 429:
                    reason, wait_s = "asked too often (HTTP 429)", retry_after(response.headers.get("Retry-After"))
                elif response.status != 200 and not (response.status >= 400 and _is_json_rpc(answer)):
                    reason = f"HTTP status {response.status}"
            except _Unusable as error:
                reason = str(error)
            finally:
                # A connection whose answer was not read to its end must not serve the next request.
                response.release_conn() if not reason else response.close()
        except urllib3.exceptions.HTTPError as error:
            reason = reason_of(error)
        except (OSError, ValueError) as error:
            reason = type(error).__name__
        if reason:  # raised out here: urllib3's exceptions hold the whole URL
            raise self._unavailable(method, reason, wait_s, status)
        return answer

    def _read(self, response: BaseHTTPResponse) -> bytes:
        deadline = self._clock() + WHOLE_TIMEOUT_S
        parts, size = [], 0
        for part in response.stream(1 << 16):
            parts.append(part)
            size += len(part)
            if size > MAX_ANSWER:
                raise _Unusable(f"the answer is longer than {MAX_ANSWER >> 20} MiB")
            if self._clock() > deadline:
                raise _Unusable(f"the answer took longer than {WHOLE_TIMEOUT_S:.0f} s")
        return b"".join(parts)

    def _connections(self) -> PoolManager:
        if self._pool is None:
            import urllib3

            silence_request_lines()
            self._pool = urllib3.PoolManager(num_pools=1, maxsize=4)
        return self._pool

    # ── again ────────────────────────────────────────────────────────────────────────────────────────────────

    def _patiently(self, once: Callable[[], Any]) -> Any:
        deadline = self._clock() + self.patience_s
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                return once()
            except RpcUnavailable as error:
                if is_final_status(error.fields["status"]):
                    raise
                failure: RpcUnavailable | RpcError = error
            except RpcError as error:
                if not will_pass(error):
                    raise
                failure = error
            wait_s = failure.fields.get("wait_s")
            if wait_s is None:
                wait_s = pause_s * random.uniform(0.5, 1.5)  # many clients must not come back together
            if self._clock() + wait_s > deadline:
                raise failure
            log.info("asking %s again in %.1f s", self.shown, wait_s, extra={"rpc": "retry"})
            if pause_s == FIRST_PAUSE_S and failure.fields.get("reason") == REFUSED:
                log.warning("%s: %s; trying again for %.0f s", self.shown, REFUSED, deadline - self._clock())
            self._sleep(wait_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _unavailable(self, method: str, reason: str, wait_s: float | None = None, status: int = 200) -> RpcUnavailable:
        log.info(
            "%s gave no usable answer to %s: %s",
            *(self.shown, method, reason),
            extra={"rpc": "error", "rpc_method": "batch" if " " in method else method},
        )
        return RpcUnavailable(rpc=self.shown, method=method, reason=reason, wait_s=wait_s, status=status)


def is_final_status(status: int) -> bool:
    """Whether an HTTP status says that the same request will be refused again."""
    return 400 <= status < 500 and not may_pass(status)


def _asks_for_patience(result: Any) -> bool:
    return isinstance(result, RpcError) and will_pass(result)


class _TooMany(Exception):
    """The node takes fewer requests in one batch, or none."""


class _Unusable(Exception):
    """An answer that is not read any further."""


def _is_json_rpc(body: bytes) -> bool:
    """Some nodes put their JSON-RPC errors into HTTP 4xx and 5xx."""
    return body.lstrip()[:1] == b"{" and b'"jsonrpc"' in body[:4096] and b'"error"' in body


def _revert_data(error: dict[str, Any]) -> bytes | None:
    """The bytes a contract reverted with: plain in `data` (geth, anvil), or one level down (ganache)."""
    data = error.get("data")
    if isinstance(data, dict):
        data = data.get("result", data.get("data"))
    if isinstance(data, str) and data.startswith("0x"):
        try:
            return bytes.fromhex(data[2:])
        except ValueError:
            return None
    return None
