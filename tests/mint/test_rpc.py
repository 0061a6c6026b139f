"""The JSON-RPC client: strict about answers, patient with reads, silent about its URL."""

from __future__ import annotations

import io
import logging
import subprocess
import sys
import traceback
from typing import Any

import pytest
from mint.faultproxy import FaultProxy

from pipeline.base.errors import BadArgument, PipelineError, RpcError, RpcUnavailable
from pipeline.base.secrets import shown_url
from pipeline.mint.chain import Chain, connect, quantity
from pipeline.mint.rpc import NULLABLE, READS, Rpc

CANARY = "c4n4ry"


def test_importing_it_loads_no_heavy_library() -> None:
    code = (
        "import sys, pipeline.mint.rpc, pipeline.mint.chain, pipeline.mint.devnet, pipeline.mint.signer, pipeline.mint.stage;"
        "print([m for m in ('web3', 'requests', 'urllib3', 'eth_account', 'coincurve', 'eth_abi') if m in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"


def test_a_call_and_a_batch_give_results_in_order(anvil: str) -> None:
    rpc = Rpc(anvil)
    assert rpc.call("eth_chainId") == "0x7a69"
    blocks = rpc.batch([("eth_getBlockByNumber", [hex(n), False]) for n in (0, 7)] + [("eth_chainId", [])] * 250)
    assert blocks[0]["number"] == "0x0" and blocks[1] is None
    assert blocks[2:] == ["0x7a69"] * 250


def test_a_nodes_error_keeps_code_message_and_revert_data(anvil: str) -> None:
    with pytest.raises(RpcError) as caught:
        Rpc(anvil).call("eth_getBlockByNumber", ["nonsense", False])
    assert caught.value.fields["code"] == -32602
    (answer,) = Rpc(anvil).batch([("eth_call", [{"data": "0x60006000fd"}, "latest"])])  # PUSH 0 PUSH 0 REVERT
    assert isinstance(answer, RpcError) and answer.fields["data"] == b""


@pytest.mark.parametrize(
    "action", ["drop_before", "drop_after", "html", "limit", "truncate", "null", "wrong_id", "fail_after"]
)
def test_an_unusable_answer_is_no_answer(proxy: FaultProxy, action: str) -> None:
    proxy.spoil("eth_chainId", action, times=None)
    with pytest.raises(RpcUnavailable):
        Rpc(proxy.url, patience_s=0).call("eth_chainId")
    with pytest.raises(RpcUnavailable):
        Rpc(proxy.url, patience_s=0).batch([("eth_chainId", [])])


def test_a_read_is_repeated_and_a_send_never_is(proxy: FaultProxy) -> None:
    proxy.spoil("eth_chainId", "html", times=2)
    proxy.spoil("eth_sendRawTransaction", "html", times=2)
    rpc = Rpc(proxy.url)
    assert rpc.call("eth_chainId") == "0x7a69"
    with pytest.raises(RpcUnavailable):
        rpc.call("eth_sendRawTransaction", ["0x02"])
    assert proxy.hits["eth_chainId"] == 3
    assert proxy.hits["eth_sendRawTransaction"] == 1
    assert not any(method.startswith("eth_send") for method in READS | NULLABLE)


def test_retry_after_is_honoured(proxy: FaultProxy) -> None:
    proxy.spoil("eth_chainId", "limit", times=1)
    slept: list[float] = []
    Rpc(proxy.url, sleep=slept.append).call("eth_chainId")
    assert slept == [0.0]  # what the proxy asks for


def test_patience_ends(proxy: FaultProxy) -> None:
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    proxy.spoil("eth_chainId", "html", times=None)
    with pytest.raises(RpcUnavailable):
        Rpc(proxy.url, patience_s=60, clock=lambda: now[0], sleep=sleep).call("eth_chainId")
    assert 30 < now[0] <= 60
    assert proxy.hits["eth_chainId"] < 20  # pauses grow


def test_a_hanging_node_is_given_up_in_time(proxy: FaultProxy) -> None:
    proxy.spoil("eth_chainId", "hang_before", times=None)
    with pytest.raises(RpcUnavailable, match="did not answer in time"):
        Rpc(proxy.url, patience_s=0, read_timeout_s=0.2).call("eth_chainId")


def test_an_answer_that_never_ends_is_cut_off(proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.mint.rpc.MAX_ANSWER", 100_000)
    proxy.spoil("web3_clientVersion", "replace", times=None, value="x" * 200_000)
    with pytest.raises(RpcUnavailable, match="longer than"):
        Rpc(proxy.url, patience_s=0).call("web3_clientVersion")


def test_a_null_nonce_is_an_error_and_never_a_number(proxy: FaultProxy) -> None:
    chain = connect(proxy.url)
    impatient = Chain(Rpc(proxy.url, patience_s=0), chain.chain_id, chain.genesis_hash, "")
    proxy.spoil("eth_getTransactionCount", "null", times=None)
    with pytest.raises(RpcUnavailable):
        impatient.nonce("0x" + "11" * 20)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [None, 7, "7", "0x", "0xzz", "-0x1", "0x" + "1" * 65, True, ""])
def test_only_hex_strings_are_quantities(value: Any) -> None:
    with pytest.raises(ValueError):
        quantity(value)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:8545",
        f"ftp://{CANARY}@x/{CANARY}",
        f"wss://x/{CANARY}",
        "http://",
        "http://[",
        CANARY,
        "http://x:99999",
        "http://a b",
        "file:///etc",
    ],
)
def test_what_cannot_be_an_rpc_url_is_refused_without_quoting_it(url: str) -> None:
    with pytest.raises(BadArgument) as caught:
        Rpc(url)
    assert "http" in str(caught.value) and CANARY not in str(caught.value)


def test_only_scheme_host_and_port_are_shown() -> None:
    assert shown_url(f"https://user:{CANARY}@node.example:8443/v3/{CANARY}?key={CANARY}") == "https://node.example:8443"
    assert shown_url("http://[::1]:8545/") == "http://[::1]:8545"


FAULTS = ["ok", "drop_before", "html", "limit", "truncate", "null", "wrong_id", "error", "hang_before", "refused"]


@pytest.mark.parametrize("action", FAULTS)
def test_the_key_in_an_rpc_url_appears_nowhere(proxy: FaultProxy, action: str) -> None:
    output = io.StringIO()
    handler = logging.StreamHandler(output)
    root = logging.getLogger()
    root.addHandler(handler)
    level, root_level = logging.DEBUG, root.level
    root.setLevel(level)
    try:
        port = 9 if action == "refused" else proxy.url.rsplit(":", 1)[1]
        rpc = Rpc(
            f"http://{CANARY}:{CANARY}@127.0.0.1:{port}/v3/{CANARY}?token={CANARY}", patience_s=0, read_timeout_s=0.2
        )
        value = {"code": -32000, "message": f"no method at /v3/{CANARY}?token={CANARY}"}
        proxy.spoil("eth_chainId", action, times=None, value=value)
        print(str(rpc), repr(rpc), file=output)
        try:
            rpc.call("eth_chainId")
        except PipelineError as error:
            root.exception("it failed")
            print(error, repr(error), error.hint, error.fields, file=output)
            print("".join(traceback.format_exception(error)), file=output)
            chained: BaseException | None = error
            while chained is not None:
                print(repr(chained), file=output)
                chained = chained.__cause__ or chained.__context__
    finally:
        root.removeHandler(handler)
        root.setLevel(root_level)
    assert CANARY not in output.getvalue()
    assert "127.0.0.1" in output.getvalue()
