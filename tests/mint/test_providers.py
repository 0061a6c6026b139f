"""Nodes as providers run them: each with a habit of its own, learned from what it answers."""

from __future__ import annotations

from typing import Any

import pytest
from mint.conftest import House, Opener
from mint.faultproxy import FaultProxy
from nodes import anvil

from pipeline.base.errors import RpcError
from pipeline.mint.chain import connect
from pipeline.mint.fees import GWEI, Fees
from pipeline.mint.refusals import (
    asks_too_often,
    is_final,
    is_underpriced,
    least_tip_wei,
    needs_too_much_gas,
    will_pass,
)
from pipeline.mint.rpc import Rpc


def refusal(message: str, code: int = -32000, method: str = "eth_call", data: bytes | None = None) -> RpcError:
    return RpcError(rpc="http://node", method=method, code=code, message=message, data=data)


# ── what a refusal means ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (-32005, "limit exceeded"),
        (-32007, "15/second request limit reached"),
        (-32016, "over rate limit"),
        (429, "Your app has exceeded its compute units per second capacity."),
        (-32000, "Too Many Requests"),
    ],
)
def test_too_often_is_known_by_code_or_by_words(code: int, message: str) -> None:
    assert asks_too_often(refusal(message, code))


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (-32005, "query returned more than 10000 results"),
        (-32007, "batch limit exceeded: at most 3 requests"),
        (-32016, "The execution failed due to an exception."),
        (-32603, "Error: VM Exception while processing transaction: reverted with custom error"),
        (-32000, "missing trie node"),
    ],
)
def test_what_is_about_the_question_is_not_waited_out(code: int, message: str) -> None:
    assert not will_pass(refusal(message, code))


def test_words_of_sends_tell_the_price_from_what_is_final() -> None:
    low = refusal("transaction gas price below minimum: gas tip cap 1, minimum needed 25000000000")
    assert is_underpriced(low) and least_tip_wei(low) == 25 * GWEI and not is_final(low)
    assert is_final(refusal("transaction type not supported"))
    assert is_final(refusal("the method eth_sendRawTransaction does not exist/is not available", -32601))
    for neither in (
        "already known",
        "nonce too low",
        "replacement transaction underpriced",
        "txpool is full",
        "try later",
    ):
        assert not is_final(refusal(neither)) and not is_underpriced(refusal(neither))
    assert needs_too_much_gas(refusal("gas required exceeds allowance (400000)"))
    assert not needs_too_much_gas(refusal("over rate limit", -32016))


# ── batches ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("most", [1, 3, 10])
def test_batches_are_halved_until_the_node_takes_them_and_that_is_remembered(proxy: FaultProxy, most: int) -> None:
    proxy.most_in_batch = most
    rpc = Rpc(proxy.url, patience_s=0)
    calls: list[Any] = [("eth_getBlockByNumber", ["0x0", False]), *[("eth_chainId", [])] * 29]
    assert rpc.batch(calls)[1:] == ["0x7a69"] * 29
    refused = proxy.batches_refused
    assert 0 < refused <= 6
    rpc.batch(calls)
    assert proxy.batches_refused == refused


def test_a_rate_within_batches_is_waited_out_from_the_first_refused_call_on(proxy: FaultProxy) -> None:
    proxy.spoil("eth_chainId", "error", times=2, value={"code": -32016, "message": "over rate limit"})
    proxy.spoil("eth_gasPrice", "error", times=1, value={"code": -32000, "message": "never"})
    answers = Rpc(proxy.url).batch([("eth_gasPrice", []), ("eth_chainId", []), ("eth_chainId", [])])
    assert isinstance(answers[0], RpcError) and answers[1:] == ["0x7a69"] * 2
    assert proxy.hits["eth_gasPrice"] == 1


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_final_http_status_is_told_at_once(proxy: FaultProxy, status: int) -> None:
    proxy.status = status
    with pytest.raises(Exception, match=f"HTTP status {status}"):
        Rpc(proxy.url, sleep=lambda _: pytest.fail("it was waited out")).call("eth_chainId")


# ── what a node has not got ──────────────────────────────────────────────────────────────────────────────────────

NO_METHOD = {"code": -32601, "message": "the method does not exist/is not available"}


def test_a_collection_is_minted_through_a_node_with_habits(
    faulty: House, proxy: FaultProxy, open_house: Opener
) -> None:
    """No block 0, no fee history, estimates of one argument, one request at a time, a hiccup here and there."""
    proxy.most_in_batch = 1
    proxy.refuse = lambda method, params: (
        {"code": 4444, "message": "pruned history unavailable"}
        if method == "eth_getBlockByNumber" and params[0] == "0x0"
        else NO_METHOD
        if method == "eth_feeHistory"
        else {"code": -32602, "message": "too many arguments, want at most 1"}
        if method == "eth_estimateGas" and len(params) > 1
        else None
    )
    proxy.spoil("eth_call", "error", times=2, value={"code": -32603, "message": "Internal error"})
    proxy.spoil("eth_getTransactionReceipt", "error", times=1, value={"code": -32000, "message": "header not found"})
    house = open_house(faulty.url, via=proxy.url, name="through.sqlite")
    house.mint()
    house.assert_exact(transactions=4)
    assert proxy.hits["eth_feeHistory"] == 1
    assert proxy.genesis_asked <= 2  # by the two that connected


def test_a_newest_block_that_is_null_is_asked_for_again(faulty: House, proxy: FaultProxy) -> None:
    proxy.spoil("eth_getBlockByNumber", "null", times=2)
    faulty.mint()
    faulty.assert_exact(transactions=4)


def test_a_busy_estimate_splits_no_batch(faulty: House, proxy: FaultProxy) -> None:
    sender = faulty.sender()
    sender.ensure_deployed(1)
    proxy.spoil("eth_estimateGas", "error", times=2, value={"code": -32016, "message": "over rate limit"})
    faulty.mint(sender)
    faulty.assert_exact(transactions=4)


# ── fees ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_nodes_suggestion_counts_where_blocks_are_empty() -> None:
    with anvil("--chain-id", "80002") as url, FaultProxy(url) as proxy:
        proxy.spoil("eth_maxPriorityFeePerGas", "replace", times=None, value=hex(25 * GWEI))
        assert connect(proxy.url).fees().priority_fee_wei == 25 * GWEI


def test_free_gas_costs_nothing_and_needs_no_money() -> None:
    with anvil("--chain-id", "80002", "--base-fee", "0", "--gas-price", "0") as url, FaultProxy(url) as proxy:
        proxy.spoil("eth_maxPriorityFeePerGas", "replace", times=None, value="0x0")
        proxy.spoil("eth_gasPrice", "replace", times=None, value="0x0")
        assert connect(proxy.url).fees() == Fees(0, 0)
