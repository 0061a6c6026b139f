"""The same promises on a real geth, whose pool has rules that Anvil and Ganache do not know."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import REPOSITORY
from mint.conftest import House, Opener, assert_all_known
from mint.plans import sealed_batches
from mint.test_faults import FakeTime
from mint.test_kill import run_until_killed
from nodes import free_port, wait_for

from pipeline.base.errors import RpcError
from pipeline.base.records import Address, hex_data
from pipeline.mint.chain import Chain, connect
from pipeline.mint.fees import Fees, bumped
from pipeline.mint.watcher import finalize

PERIOD_S = 6  # seconds between blocks: time to do something to a transaction while it waits


@contextmanager
def geth(folder: Path, period_s: int = 0) -> Iterator[str]:
    """The URL of a fresh geth that mines at once, or every `period_s` seconds."""
    built = subprocess.run([REPOSITORY / "scripts/build-tool", "geth"], capture_output=True, text=True, check=True)
    port = free_port()
    node = subprocess.Popen(
        [
            built.stdout.strip(),
            "--dev",
            "--dev.period",
            str(period_s),
            "--datadir",
            str(folder),
            "--http",
            "--http.port",
        ]
        + [str(port), "--ipcdisable", "--authrpc.port", str(free_port()), "--port", "0", "--nodiscover"],
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(port)
        chain = connect(f"http://127.0.0.1:{port}")
        account = _send_nothing(chain)
        while chain.nonce(account) == 0:  # before its first block this geth looks up no transaction: "indexing"
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        node.terminate()
        node.wait()


def _send_nothing(chain: Chain) -> Address:
    """Send a transaction of the node's own first account, so that there is a block; the account."""
    account = Address(chain.rpc.call("eth_accounts")[0])
    chain.rpc.call("eth_sendTransaction", [{"from": account, "to": account}])
    return account


@pytest.fixture
def house(tmp_path: Path, open_house: Opener) -> Iterator[House]:
    with geth(tmp_path / "geth") as url:
        yield open_house(url)


@pytest.fixture
def waiting(tmp_path: Path, open_house: Opener) -> Iterator[House]:
    """A House on a geth whose transactions wait for their block."""
    with geth(tmp_path / "geth", PERIOD_S) as url:
        yield open_house(url)


def test_a_collection_is_minted_and_becomes_final(house: House) -> None:
    house.mint()
    house.assert_exact(transactions=5, foreign=1)
    for _ in range(64):  # geth's development chain calls a block final an epoch or two later
        _send_nothing(house.chain)
        time.sleep(0.05)
    finalize(house.ledger, house.chain)
    assert set(house.states("batch")) == {"final"}


@pytest.mark.parametrize("point", ["persisted_not_sent:2", "sent_not_recorded:1", "sent_not_recorded:2"])
def test_a_killed_run_continues_to_exactly_the_planned_tokens(house: House, point: str) -> None:
    run_until_killed(house, point)
    assert_all_known(house.ledger, house.chain, house.signer.address, foreign=1)
    house.mint()
    house.assert_exact(transactions=5, foreign=1)


def test_a_stuck_transaction_is_replaced_by_geths_rule_and_minted_once(waiting: House) -> None:
    deployer = waiting.sender()  # by the true clock: this waits for a block
    deployer.recover(1)
    deployer.ensure_deployed(1)

    time_ = FakeTime()
    sender = waiting.sender(**time_.options)
    sender.recover(1)
    sender.ensure_deployed(1)
    for batch in sealed_batches(waiting.ledger):
        sender.submit(batch)
    sender.settle()
    slot = waiting.ledger.rows("SELECT id FROM slot WHERE state = 'live' ORDER BY id")[0]["id"]
    time_.now += 49
    sender.settle()
    assert "bumped" in waiting.kinds() and "refused" not in waiting.kinds()
    attempts = waiting.ledger.rows("SELECT hash FROM attempt WHERE slot = ? ORDER BY id", (slot,))
    known = [waiting.node("eth_getTransactionByHash", hex_data(row["hash"])) for row in attempts]
    assert len(known) == 2 and known[0] is None and known[1] is not None, "geth keeps the replacement alone"

    deadline = time.monotonic() + 120
    while not sender.is_idle:
        assert time.monotonic() < deadline
        sender.settle()
        sender.take_minted()
        time.sleep(0.2)
    waiting.assert_exact(transactions=5, foreign=1)


def test_geth_refuses_a_smaller_bump_than_ours(waiting: House) -> None:
    account, chain = waiting.signer.address, waiting.chain
    nonce = chain.nonce(account)

    def send(fees: Fees) -> None:
        transaction = {
            "type": 2,
            "chainId": chain.chain_id,
            "nonce": nonce,
            "to": account,
            "value": 0,
            "gas": 21_000,
            "maxFeePerGas": fees.max_fee_wei,
            "maxPriorityFeePerGas": fees.priority_fee_wei,
            "data": b"",
            "accessList": [],
        }
        chain.rpc.call("eth_sendRawTransaction", [hex_data(waiting.signer.sign(transaction))])

    old = Fees(4 * 10**9, 10**9)
    send(old)
    with pytest.raises(RpcError, match="replacement transaction underpriced"):
        send(Fees(old.max_fee_wei * 109 // 100, old.priority_fee_wei * 109 // 100))
    with pytest.raises(RpcError, match="replacement transaction underpriced"):
        send(Fees(old.max_fee_wei * 2, old.priority_fee_wei))  # both fees have to rise
    send(bumped(old, Fees(0, 0)))
