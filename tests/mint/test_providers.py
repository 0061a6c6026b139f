"""Nodes as providers run them: each with a habit of its own, learned from what it answers."""

from __future__ import annotations

from typing import Any

import pytest
from mint.conftest import House, Opener
from mint.faultproxy import FaultProxy
from mint.plans import SOMEBODY, sealed_batches
from mint.test_faults import SEND, FakeTime, deployed, finish, submitted, transfer
from nodes import anvil as anvil_node

from pipeline.base.errors import AccountBusy, ChainError, RpcError
from pipeline.base.records import Address, hex_data
from pipeline.mint.chain import Chain, connect, no_genesis
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
from pipeline.mint.signer import decoded, keccak


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
        (-32603, "EVM error NotActivated"),
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
    for too_big in (
        "gas required exceeds allowance (400000)",
        "exceeds block gas limit",
        "Transaction ran out of gas",
        "transaction gas limit too high (cap: 16777216, tx: 30000000)",
        "Cannot estimate gas, gas spent exceeded transaction and block gas limit",
    ):
        assert needs_too_much_gas(refusal(too_big)), too_big
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


def test_a_node_without_block_0_is_taken_for_the_chain_that_the_ledger_knows(house: House) -> None:
    real, stands_in = house.chain.genesis_hash, no_genesis(31337)
    for known, gives, expected in (
        ([], True, real),
        ([], False, stands_in),
        ([real], False, real),
        ([stands_in], True, stands_in),
        ([bytes(32), real], True, real),
    ):
        chain = Chain(house.chain.rpc, 31337, real if gives else stands_in, "")
        chain.gives_genesis = gives
        chain.recognise(known)
        assert chain.genesis_hash == expected


def test_a_newest_block_that_is_null_is_asked_for_again(faulty: House, proxy: FaultProxy) -> None:
    proxy.spoil("eth_getBlockByNumber", "null", times=2)
    faulty.mint()
    faulty.assert_exact(transactions=4)


def test_a_first_block_that_is_null_is_asked_for_again(faulty: House, proxy: FaultProxy) -> None:
    watcher = faulty.sender().watcher
    proxy.spoil("eth_getBlockByNumber", "null", times=1)
    assert watcher.look([]).head == faulty.chain.head()


def test_a_chain_that_moved_between_two_questions_is_looked_at_again(faulty: House, proxy: FaultProxy) -> None:
    """A reorg takes the tokens before a batch, after the node said where it starts and before it estimates."""
    from eth_abi.abi import encode

    unexpected_start = hex_data(keccak(b"UnexpectedStart(uint256,uint256)")[:4] + encode(["uint256"] * 2, [1, 0]))
    sender = faulty.sender(window=1)
    sender.ensure_deployed(1)
    too_early = {"code": 3, "message": "execution reverted", "data": unexpected_start}
    proxy.spoil("eth_estimateGas", "error", times=1, value=too_early)
    faulty.mint(sender)
    faulty.assert_exact(transactions=4)


def test_a_contract_that_a_reorg_has_just_taken_is_waited_for(faulty: House, proxy: FaultProxy) -> None:
    address = faulty.sender().ensure_deployed(1)
    proxy.spoil("eth_getCode", "replace", times=1, value="0x")
    assert faulty.sender().ensure_deployed(1) == address


def test_a_busy_estimate_splits_no_batch(faulty: House, proxy: FaultProxy) -> None:
    sender = faulty.sender()
    sender.ensure_deployed(1)
    proxy.spoil("eth_estimateGas", "error", times=2, value={"code": -32016, "message": "over rate limit"})
    faulty.mint(sender)
    faulty.assert_exact(transactions=4)


# ── fees ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_nodes_suggestion_counts_where_blocks_are_empty() -> None:
    with anvil_node("--chain-id", "80002") as url, FaultProxy(url) as proxy:
        proxy.spoil("eth_maxPriorityFeePerGas", "replace", times=None, value=hex(25 * GWEI))
        assert connect(proxy.url).fees().priority_fee_wei == 25 * GWEI


def test_a_price_that_a_refusal_names_is_paid_at_once(faulty: House, proxy: FaultProxy) -> None:
    least = "transaction gas price below minimum: gas tip cap 1, minimum needed 25000000000"
    proxy.refuse = lambda method, params: (
        {"code": -32000, "message": least} if method == SEND and decoded_tip(params[0]) < 25 * GWEI else None
    )
    faulty.mint()
    faulty.assert_exact(transactions=4)
    assert faulty.kinds().count("bumped") == 1  # the deployment; the mints know the price


def decoded_tip(raw: str) -> int:
    return int(decoded(bytes.fromhex(raw[2:]))["maxPriorityFeePerGas"])


def test_a_chain_before_eip_1559_gets_legacy_transactions_of_this_chain(
    anvil: str, proxy: FaultProxy, open_house: Opener
) -> None:
    proxy.refuse = lambda method, params: (
        {"code": -32000, "message": "transaction type not supported"}
        if method == SEND and decoded(bytes.fromhex(params[0][2:])).get("type") == 2
        else NO_METHOD
        if method == "eth_feeHistory"
        else None
    )
    proxy.spoil("eth_getBlockByNumber", "replace", times=None, value=without_base_fee)
    house = open_house(anvil, via=proxy.url)
    house.mint()
    house.assert_exact(transactions=4)
    raw = house.ledger.rows("SELECT raw FROM attempt")[0]["raw"]
    assert decoded(raw)["chainId"] == 31337


def without_base_fee(block: Any) -> Any:
    return block and {key: value for key, value in block.items() if key != "baseFeePerGas"}


def test_free_gas_costs_nothing_and_needs_no_money() -> None:
    with anvil_node("--chain-id", "80002", "--base-fee", "0", "--gas-price", "0") as url, FaultProxy(url) as proxy:
        proxy.spoil("eth_maxPriorityFeePerGas", "replace", times=None, value="0x0")
        proxy.spoil("eth_gasPrice", "replace", times=None, value="0x0")
        assert connect(proxy.url).fees() == Fees(0, 0)


# ── refusals of sends ────────────────────────────────────────────────────────────────────────────────────────────


def test_what_a_node_will_never_take_ends_the_run_at_once_with_its_words(faulty: House, proxy: FaultProxy) -> None:
    proxy.spoil(SEND, "error", times=None, value={"code": -32000, "message": "transaction type not supported"})
    with pytest.raises(RpcError, match="transaction type not supported") as caught:
        faulty.mint()
    assert "the same command sends it again" in caught.value.hint
    assert "bumped" not in faulty.kinds()
    proxy.heal()
    faulty.mint()
    faulty.assert_exact(transactions=4)


def test_a_refusal_nobody_understands_raises_no_fee_and_ends_after_two_minutes(
    faulty: House, proxy: FaultProxy
) -> None:
    time_ = FakeTime()
    sender = submitted(faulty, **time_.options)
    faulty.node("anvil_dropAllTransactions")
    proxy.spoil(SEND, "error", times=None, value={"code": -32000, "message": "computer says no"})
    with pytest.raises(RpcError, match="computer says no"):
        for _ in range(20):
            time_.now += 13
            faulty.node("evm_mine")
            sender.settle()
    assert "bumped" not in faulty.kinds()


# ── the account is not ours alone ────────────────────────────────────────────────────────────────────────────────


def payment(house: House, nonce: int, gwei: int) -> bytes:
    tx = transfer(house, nonce) | {"to": SOMEBODY, "maxFeePerGas": gwei * GWEI, "maxPriorityFeePerGas": 1}
    return house.signer.sign(tx)


@pytest.mark.parametrize("gwei", [2, 300])  # cheaper and dearer than ours
def test_a_payment_that_waits_is_not_replaced_and_ours_takes_the_next_nonce(house: House, gwei: int) -> None:
    time_ = FakeTime()
    sender = deployed(house, **time_.options)
    house.chain.send(payment(house, 1, gwei))
    for batch in sealed_batches(house.ledger):
        sender.submit(batch)
    for _ in range(5):
        time_.now += 60
        sender.settle()
    assert house.states("slot") == ["mined"] and house.kinds().count("waiting") == 1
    finish(house, sender)
    assert house.chain.balance(Address(SOMEBODY)) == 1
    house.assert_exact(transactions=5, foreign=1)


def test_a_payment_that_came_after_signing_is_not_replaced_either(house: House) -> None:
    """Signed, killed before sending; then the owner pays somebody from a wallet with that nonce."""
    deployed(house)
    crashed = house.sender()
    crashed.lane.send = lambda slot, attempt: None  # type: ignore[method-assign]
    for batch in sealed_batches(house.ledger):
        crashed.submit(batch)
    crashed.settle()
    house.chain.send(payment(house, 1, gwei=2))
    time_ = FakeTime()
    again = house.sender(**time_.options)
    again.recover(1)
    with pytest.raises(AccountBusy, match="1 from nonce 1 on"):
        for _ in range(20):
            time_.now += 60
            again.settle()
    assert "bumped" not in house.kinds() and "refused" not in house.kinds()
    house.node("evm_mine")
    assert house.chain.balance(Address(SOMEBODY)) == 1


# ── quick blocks ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_quick_blocks_are_no_reason_to_raise_a_fee(open_house: Opener) -> None:
    with anvil_node("--block-time", "0.25") as url:
        house = open_house(url)
        house.mint()
        assert "bumped" not in house.kinds()
        house.assert_exact(transactions=4)


# ── a chain that is too old ──────────────────────────────────────────────────────────────────────────────────────


def test_a_chain_before_shanghai_is_called_too_old(open_house: Opener) -> None:
    with anvil_node("--hardfork", "london") as url, pytest.raises(ChainError, match="too old .* Shanghai"):
        open_house(url).mint()
