"""What a node, a network, a chain or a stranger may do to a run. Each ends with exactly the planned tokens, or a stop.

Kills at every place are in test_kill.py, kills at random moments in test_chaos.py and, through the whole program, in
tests/flow/test_kill.py.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Any

import pytest
from mint.conftest import House, Opener, wait_until_kept
from mint.faultproxy import FaultProxy
from mint.mutants import TakesStartFromChain
from mint.plans import root_of, sealed_batches
from postgres import text_of

from pipeline.base.errors import (
    ChainError,
    Corrupt,
    ForeignTransaction,
    InsufficientFunds,
    LimitReached,
    Reverted,
    RpcUnavailable,
    WrongChain,
)
from pipeline.mint.chain import Chain, connect
from pipeline.mint.devnet import devnet
from pipeline.mint.fees import GWEI, Fees, Limits, bumped
from pipeline.mint.rpc import Rpc
from pipeline.mint.sender import Sender
from pipeline.mint.stage import mint
from pipeline.mint.watcher import finalize, look_again

TESTS = Path(__file__).resolve().parents[1]
SEND = "eth_sendRawTransaction"
READS = ("eth_getTransactionReceipt", "eth_getTransactionCount", "eth_getBlockByNumber", "eth_call", "eth_estimateGas")


class FakeTime:
    """A clock that only moves when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    @property
    def options(self) -> dict[str, Any]:
        return {"clock": self.clock, "sleep": self.sleep}


def impatient(house: House, patience_s: float = 10.0) -> Chain:
    """The house's chain with a short read timeout."""
    url = house.chain.rpc._target
    rpc = Rpc(url, read_timeout_s=0.3, patience_s=patience_s)
    return Chain(rpc, house.chain.chain_id, house.chain.genesis_hash, house.chain.client_version)


def deployed(house: House, **options: Any) -> Sender:
    """A sender whose contract is on the chain, with mining by hand from here on."""
    sender = house.sender(**options)
    sender.recover(1)
    sender.ensure_deployed(1)
    house.node("evm_setAutomine", False)
    return sender


def submitted(house: House, **options: Any) -> Sender:
    """A sender with all three batches in the node's pool, unmined."""
    sender = deployed(house, **options)
    for batch in sealed_batches(house.ledger):
        sender.submit(batch)
    sender.settle()
    assert house.states("slot") == ["mined", "live", "live", "live"]
    return sender


def finish(house: House, sender: Sender) -> None:
    """Mine by itself again, and settle to the end."""
    house.node("evm_setAutomine", True)
    house.node("evm_mine")
    deadline = time.monotonic() + 20
    while not sender.is_idle or sender._queue:
        assert time.monotonic() < deadline
        sender.settle()
        sender.take_minted()
        sender.pause()


# ── 13 to 18: the way to the node ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "action", ["drop_before", "drop_after", "hang_after", "fail_after", "truncate", "null", "wrong_id", "limit", "html"]
)
def test_whatever_sending_answers_the_transaction_is_looked_up_and_sent_once(
    faulty: House, proxy: FaultProxy, action: str
) -> None:
    proxy.spoil(SEND, action, times=3)
    faulty.mint(chain=impatient(faulty))
    faulty.assert_exact(transactions=4)


@pytest.mark.parametrize("action", ["drop_after", "truncate", "null", "wrong_id", "limit", "html"])
def test_reads_that_fail_are_asked_again(faulty: House, proxy: FaultProxy, action: str) -> None:
    for method in READS:
        proxy.spoil(method, action, times=2)
    faulty.mint(chain=impatient(faulty))
    faulty.assert_exact(transactions=4)


def test_a_storm_of_refusals_burns_no_nonce(faulty: House, proxy: FaultProxy) -> None:
    for method in (*READS, SEND):
        proxy.spoil(method, "limit", times=None, probability=0.2)
    faulty.mint(chain=impatient(faulty, patience_s=30))
    faulty.assert_exact(transactions=4)


def test_a_node_that_hangs_is_waited_for(house: House, tmp_path: Path) -> None:
    node = int((tmp_path / "anvil" / "pid").read_text().split()[0])
    minted = mint(sealed_batches(house.ledger), house.sender(chain=impatient(house)), 1)
    next(minted)
    os.kill(node, signal.SIGSTOP)
    timer = threading.Timer(1.0, os.kill, (node, signal.SIGCONT))
    timer.start()
    list(minted)
    timer.join()
    house.assert_exact(transactions=4)


def test_a_node_that_is_down_is_waited_for_and_then_gone_on_with(tmp_path: Path, open_house: Opener) -> None:
    folder = tmp_path / "chain"
    with devnet(folder) as url:
        house = open_house(url)
        minted = mint(sealed_batches(house.ledger), house.sender(), 1)
        next(minted)
    over = threading.Event()

    def again() -> None:
        time.sleep(0.5)
        with devnet(folder):
            over.wait(30)

    thread = threading.Thread(target=again)
    thread.start()
    try:
        list(minted)
        house.assert_exact(transactions=4)
    finally:
        over.set()
        thread.join()


def test_a_node_that_stays_away_is_an_error_that_says_so(tmp_path: Path, open_house: Opener) -> None:
    with devnet(tmp_path / "chain") as url:
        house = open_house(url)
    with pytest.raises(RpcUnavailable, match="gave no usable answer"):
        house.mint(chain=impatient(house, patience_s=0.5))


# ── 19, 20, 25 to 27: the pool, and fees ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("dropped", [0, 1, 2])
def test_a_dropped_transaction_is_sent_again_with_the_same_bytes(house: House, dropped: int) -> None:
    time_ = FakeTime()
    sender = submitted(house, **time_.options)
    attempts = house.ledger.rows("SELECT hash FROM attempt ORDER BY id")
    house.node("anvil_dropTransaction", "0x" + attempts[1 + dropped]["hash"].hex())  # Anvil drops its followers too
    time_.now += 1
    sender.settle()
    assert "resent" in house.kinds()
    finish(house, sender)
    assert house.ledger.rows("SELECT hash FROM attempt ORDER BY id") == attempts
    house.assert_exact(transactions=4)


def test_a_pool_that_lost_everything_gets_everything_again_in_order(house: House) -> None:
    time_ = FakeTime()
    sender = submitted(house, **time_.options)
    house.node("anvil_dropAllTransactions")
    time_.now += 1
    house.events.clear()
    sender.settle()
    resent = [event.text.split(":")[0] for event in house.events if event.kind == "resent"]
    assert resent == ["tokens 1-5", "tokens 6-10", "tokens 11-15"]
    finish(house, sender)
    house.assert_exact(transactions=4)


def test_a_stuck_transaction_is_bumped_by_an_eighth_after_48_seconds(house: House) -> None:
    time_ = FakeTime()
    sender = submitted(house, **time_.options)
    time_.now += 47
    sender.settle()
    assert "bumped" not in house.kinds()
    time_.now += 2
    sender.settle()
    first, second = house.ledger.rows("SELECT * FROM attempt WHERE slot = 2 ORDER BY id")
    old = Fees(int(first["max_fee_wei"]), int(first["priority_fee_wei"]))
    assert int(second["max_fee_wei"]) >= bumped(old, old).max_fee_wei
    assert int(second["priority_fee_wei"]) >= bumped(old, old).priority_fee_wei
    finish(house, sender)
    house.assert_exact(transactions=4)


def test_a_stuck_transaction_is_bumped_after_three_blocks_unless_they_were_quick(
    faulty: House, proxy: FaultProxy
) -> None:
    time_ = FakeTime()
    sender = submitted(faulty, **time_.options)
    first = faulty.ledger.rows("SELECT hash FROM attempt WHERE slot = 2")[0]["hash"]
    faulty.node("anvil_dropAllTransactions")
    proxy.spoil(SEND, "error", times=None, value={"code": -32000, "message": "transaction underpriced"})
    faulty.node("anvil_mine", hex(3))
    time_.now += 11
    sender.chain.demand = lambda refusal: None  # type: ignore[method-assign]
    sender.settle()
    assert "bumped" not in faulty.kinds()
    time_.now += 2
    sender.settle()
    assert "bumped" in faulty.kinds()
    assert faulty.ledger.rows("SELECT hash FROM attempt WHERE slot = 2")[0]["hash"] == first
    proxy.heal()
    finish(faulty, sender)
    faulty.assert_exact(transactions=4)


def test_a_replacement_the_node_calls_underpriced_leaves_the_old_attempt_watched(
    faulty: House, proxy: FaultProxy
) -> None:
    time_ = FakeTime()
    sender = submitted(faulty, **time_.options)
    refusal = {"code": -32000, "message": "replacement transaction underpriced"}
    proxy.spoil(SEND, "error", times=1, value=refusal)
    time_.now += 49
    sender.settle()
    assert [e.text for e in faulty.events if e.kind == "refused"][0].endswith(str(refusal["message"]))
    finish(faulty, sender)  # the first attempt is mined
    assert faulty.ledger.rows("SELECT state FROM attempt WHERE slot = 2 ORDER BY id")[0]["state"] == "mined"
    assert faulty.ledger.rows("SELECT state FROM attempt WHERE slot = 2 ORDER BY id")[1]["state"] == "superseded"
    faulty.assert_exact(transactions=4)


class MinesWhileSigning:
    """The block that holds the old attempt comes just while its replacement is signed."""

    def __init__(self, house: House) -> None:
        self.house, self.address, self.armed = house, house.signer.address, False

    def sign(self, tx: Mapping[str, Any]) -> bytes:
        if self.armed:
            self.house.node("evm_mine")
        return self.house.signer.sign(tx)


def test_an_old_attempt_that_is_mined_during_a_bump_settles_the_slot(house: House) -> None:
    time_, signer = FakeTime(), MinesWhileSigning(house)
    sender = submitted(house, signer=signer, **time_.options)
    signer.armed = True
    time_.now += 49
    sender.settle()
    signer.armed = False
    finish(house, sender)
    states = [row["state"] for row in house.ledger.rows("SELECT state FROM attempt WHERE slot = 2 ORDER BY id")]
    assert states == ["mined", "superseded"]
    house.assert_exact(transactions=4)


def test_a_base_fee_above_the_cap_is_waited_out_and_never_paid(house: House) -> None:
    time_ = FakeTime()
    sender = submitted(house, limits=Limits(max_fee_wei=3 * GWEI), **time_.options)
    house.node("anvil_setNextBlockBaseFeePerGas", hex(500 * GWEI))
    house.node("evm_mine")  # Anvil evicts what cannot pay
    for _ in range(5):
        time_.now += 20
        sender.settle()
    assert "waiting" in house.kinds()
    assert all(int(row["max_fee_wei"]) <= 3 * GWEI for row in house.ledger.rows("SELECT max_fee_wei FROM attempt"))
    house.node("anvil_setNextBlockBaseFeePerGas", hex(GWEI))
    finish(house, sender)
    house.assert_exact(transactions=4)


def test_a_base_fee_that_stays_above_the_cap_ends_the_run_resumably(house: House) -> None:
    time_ = FakeTime()
    sender = submitted(house, limits=Limits(max_fee_wei=3 * GWEI), patience_s=100, **time_.options)
    house.node("anvil_setNextBlockBaseFeePerGas", hex(500 * GWEI))
    house.node("evm_mine")
    with pytest.raises(LimitReached, match="highest fee per gas"):
        for _ in range(10):
            time_.now += 20
            house.node("anvil_setNextBlockBaseFeePerGas", hex(500 * GWEI))
            sender.settle()
    house.node("anvil_setNextBlockBaseFeePerGas", hex(GWEI))
    house.node("evm_setAutomine", True)
    house.node("evm_mine")
    house.mint()
    house.assert_exact(transactions=4)


# ── 21 to 24: reorgs ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_a_reorg_is_seen_by_block_hash_and_the_same_bytes_are_sent_again(house: House, depth: int) -> None:
    house.mint()
    before = house.ledger.rows("SELECT hash FROM attempt ORDER BY id")
    house.node("anvil_reorg", depth, [])
    found = house.sender().recover(1)
    assert sum("no longer part of the chain" in line for line in found) == depth
    house.mint()
    assert house.ledger.rows("SELECT hash FROM attempt ORDER BY id") == before
    house.assert_exact(transactions=4)


def test_a_look_without_a_signer_takes_back_what_a_reorg_took_and_the_next_run_sends_it(house: House) -> None:
    house.mint()
    house.node("anvil_reorg", 2, [])
    assert len(look_again(house.ledger, house.chain, patience_s=0)) == 2
    assert house.states("batch") == ["mined", "live", "live"]
    assert look_again(house.ledger, house.chain) == []
    house.mint()
    house.assert_exact(transactions=4)


def test_a_reorg_in_the_middle_of_a_run_is_healed_by_the_run(house: House) -> None:
    minted = mint(sealed_batches(house.ledger), house.sender(), 1)
    next(minted)
    next(minted)
    house.node("anvil_reorg", 2, [])
    list(minted)
    house.assert_exact(transactions=4)


def test_a_reorg_that_removes_the_contract_sends_its_deployment_first(house: House) -> None:
    house.mint()
    house.node("anvil_reorg", 4, [])
    assert not house.contract.exists()
    house.mint()
    house.assert_exact(transactions=4)


def test_batches_wait_for_a_contract_that_a_reorg_took(house: House) -> None:
    sender = deployed(house)
    house.node("anvil_reorg", 1, [])
    for batch in sealed_batches(house.ledger):
        sender.submit(batch)
    for _ in range(4):
        sender.settle()
    assert house.states("slot") == ["live"]
    finish(house, sender)
    house.assert_exact(transactions=4)


def test_a_reorg_with_a_strangers_transaction_at_our_nonce_stops_and_then_takes_a_new_nonce(house: House) -> None:
    house.mint()
    stranger = house.signer.sign(transfer(house, nonce=3))
    house.node("anvil_reorg", 1, [["0x" + stranger.hex(), 0]])
    with pytest.raises(ForeignTransaction, match="nonce 3 of .* signed for tokens 11-15"):
        house.mint()
    assert house.states("batch") == ["mined", "mined", "sealed"]
    house.mint()
    house.assert_exact(
        transactions=5, foreign=1
    )  # theirs, and one more of ours at nonce 4; the lost one is not on the chain


def test_a_reorg_below_what_was_final_stops_everything(house: House) -> None:
    house.mint()
    house.node("anvil_mine", hex(70))
    assert finalize(house.ledger, house.chain) == 3
    assert house.states("batch") == ["final"] * 3
    house.node("anvil_reorg", 72, [])
    with pytest.raises(ChainError, match="was final and is no longer part of the chain"):
        house.sender().recover(1)


def transfer(house: House, nonce: int) -> dict[str, Any]:
    return {
        "type": 2,
        "chainId": 31337,
        "nonce": nonce,
        "to": house.signer.address,
        "value": 1,
        "data": b"",
        "gas": 21000,
        "maxFeePerGas": 100 * GWEI,
        "maxPriorityFeePerGas": 2 * GWEI,
    }


class ReorgsBeforeMinting(Sender):
    """The last block goes just between looking at the chain and minting what comes next."""

    reorg: Callable[[], None] | None = None

    def _keep_contract(self) -> None:
        super()._keep_contract()
        if self.reorg is not None and self.ledger.batches.get(1).state == "mined":
            self.reorg()
            self.reorg = None


def test_a_reorg_between_looking_and_minting_does_not_end_the_run(house: House) -> None:
    sender = house.sender(ReorgsBeforeMinting, window=1)  # the second batch waits until the first is mined
    assert isinstance(sender, ReorgsBeforeMinting)
    sender.recover(1)
    sender.ensure_deployed(1)
    sender.reorg = lambda: house.node("anvil_reorg", 1, [])
    for batch in sealed_batches(house.ledger):
        sender.submit(batch)
    finish(house, sender)
    assert not vars(sender)["reorg"]
    house.assert_exact(transactions=4)


# ── 28 to 33: strangers, stale nodes, other chains, other ledgers ────────────────────────────────────────────────


def test_a_strangers_transaction_at_our_nonce_is_an_alarm_and_nothing_is_sent_blindly(house: House) -> None:
    sender = submitted(house)
    house.node("anvil_dropAllTransactions")
    stranger = connect(house.url)
    stranger.send(house.signer.sign(transfer(house, nonce=1)))
    house.node("evm_mine")
    with pytest.raises(ForeignTransaction, match="nonce 1"):
        for _ in range(10):
            sender.settle()
    assert house.contract.next_token_id() == 1
    house.node("evm_setAutomine", True)
    house.node("evm_mine")  # the later batches of the same plan had been sent again: the contract refuses them
    house.mint()
    assert house.states("slot")[2:4] == ["reverted", "reverted"]
    house.assert_exact(foreign=1)


def test_tokens_that_somebody_else_minted_are_not_taken_for_ours(house: House) -> None:
    house.sender().ensure_deployed(1)
    from pipeline.mint.collection import mint_call

    call = {"to": house.contract.address, "from": house.signer.address}
    data = mint_call(1, [house.signer.address] * 5, b"\x07" * 32)
    house.node("eth_sendTransaction", call | {"data": "0x" + data.hex()})
    with pytest.raises(ForeignTransaction, match="somebody else minted tokens 1-5"):
        house.mint()


def test_a_reorg_that_takes_an_adopted_contract_is_healed_within_the_run(
    house: House, open_house: Opener, tmp_path: Path
) -> None:
    house.ledger.backup(tmp_path / "older.sqlite")
    house.sender().ensure_deployed(1)
    address = house.contract.address
    restored = open_house(house.url, name="older.sqlite")
    minted = mint(sealed_batches(restored.ledger), restored.sender(), 1)
    next(minted)
    restored.node("anvil_reorg", int(restored.node("eth_blockNumber"), 16), [])
    assert not house.contract.exists()
    list(minted)
    assert restored.contract.address == address  # the same nonce again: what was signed for it stays good
    restored.assert_exact(transactions=4)


def test_two_machines_with_one_key_mint_nothing_twice_and_the_second_is_told(
    house: House, open_house: Opener, tmp_path: Path
) -> None:
    first = deployed(house)
    house.ledger.backup(tmp_path / "second.sqlite")
    second = open_house(house.url, name="second.sqlite")
    give_other_content(second)
    senders = {house: first, second: second.sender()}
    for machine, sender in senders.items():
        for batch in sealed_batches(machine.ledger):
            sender.submit(batch)
        sender.settle()
    finish(house, first)
    with pytest.raises(ForeignTransaction, match="somebody else minted tokens 1-5"):
        for _ in range(10):
            senders[second].settle()
    with pytest.raises(ForeignTransaction):
        for _ in range(3):
            second.mint()
    house.assert_exact(transactions=4)


def give_other_content(house: House) -> None:
    """As if the same tokens had been drawn otherwise."""
    with house.ledger.atomic():
        house.ledger.execute("DROP TRIGGER batch_is_sealed_once")
        for row in house.ledger.rows("SELECT id FROM batch"):
            root = root_of(f"other {row['id']}")
            house.ledger.execute("INSERT INTO root VALUES (?, 'other', 1, 1, ?)", (str(root.cid), root.car_sha256))
            house.ledger.execute("UPDATE batch SET metadata_root = ? WHERE id = ?", (str(root.cid), row["id"]))


@pytest.mark.parametrize("guarded", [True, False])
def test_an_older_ledger_and_no_memory_of_the_minting_only_the_contracts_guard_stands_in_the_way(
    house: House, open_house: Opener, tmp_path: Path, guarded: bool
) -> None:
    """Everything is written before it is sent, on both sides; still, without the guard all tokens exist twice."""
    house.sender().ensure_deployed(1)
    house.ledger.backup(tmp_path / "older.sqlite")
    house.mint()
    restored = open_house(house.url, name="older.sqlite")
    if guarded:
        restored.mint()
        restored.assert_exact(transactions=4, foreign=3)
        return
    restored.mint(restored.sender(TakesStartFromChain))
    assert restored.contract.next_token_id() == 31
    with pytest.raises(AssertionError, match="supply"):
        restored.assert_exact()


@pytest.mark.parametrize("method", ["eth_getTransactionByHash", "eth_getTransactionCount", "eth_getTransactionReceipt"])
def test_stale_answers_of_a_load_balanced_node_mint_nothing_twice(
    faulty: House, proxy: FaultProxy, method: str
) -> None:
    sender = faulty.sender()
    sender.ensure_deployed(1)
    proxy.spoil(method, "stale", times=12)
    faulty.mint(sender)
    faulty.assert_exact(transactions=4)


def test_a_node_minutes_behind_is_waited_for(faulty: House, proxy: FaultProxy) -> None:
    sender = faulty.sender()
    minted = mint(sealed_batches(faulty.ledger), sender, 1)
    next(minted)
    old = faulty.node("eth_getBlockByNumber", "0x1", False)
    proxy.spoil(
        "eth_getBlockByNumber", "replace", times=6, value=lambda got: old if got and got["number"] != "0x0" else got
    )
    list(minted)
    faulty.assert_exact(transactions=4)


def test_a_chain_that_was_replaced_is_refused_at_the_start(tmp_path: Path, house: House, open_house: Opener) -> None:
    house.mint()
    with devnet(tmp_path / "other") as url:
        with pytest.raises(WrongChain, match="genesis"):
            house.sender(chain=connect(url))
        with pytest.raises(WrongChain, match="the genesis block") as caught:
            connect(url).check_identity(house.chain.chain_id, house.chain.genesis_hash)
        assert "pipeline abandon --chain-gone" in caught.value.hint


def test_a_chain_that_is_replaced_during_a_run_is_refused(tmp_path: Path, faulty: House, proxy: FaultProxy) -> None:
    minted = mint(sealed_batches(faulty.ledger), faulty.sender(), 1)
    next(minted)
    with devnet(tmp_path / "other") as url:
        proxy.upstream = url
        with pytest.raises(WrongChain, match="the genesis block"):
            list(minted)
        assert connect(url).nonce(faulty.signer.address) == 0


def test_a_wrong_chain_id_is_refused_before_anything_is_signed(house: House) -> None:
    with pytest.raises(WrongChain, match="chain id is 31337, the ledger has 1"):
        connect(house.url, expected_chain_id=1)
    sender = house.sender()
    sender.ensure_deployed(1)
    signed = len(house.states("attempt"))
    house.node("anvil_setChainId", 31338)
    for batch in sealed_batches(house.ledger):
        sender.submit(batch)
    with pytest.raises(WrongChain, match="chain id is 31338"):
        sender.settle()
    assert len(house.states("attempt")) == signed


def test_a_chain_that_lost_its_last_blocks_gets_the_same_bytes_again(tmp_path: Path, open_house: Opener) -> None:
    folder = tmp_path / "chain"
    with devnet(folder) as url:
        house = open_house(url)
        minted = mint(sealed_batches(house.ledger), house.sender(), 1)
        next(minted)
        wait_until_kept(folder)
        shutil.copy(folder / "anvil.json", tmp_path / "old.json")
        list(minted)
    shutil.copy(tmp_path / "old.json", folder / "anvil.json")
    with devnet(folder):
        assert house.contract.next_token_id() < 16
        hashes = house.ledger.rows("SELECT hash FROM attempt")
        house.mint()
        assert house.ledger.rows("SELECT hash FROM attempt") == hashes
        house.assert_exact(transactions=4)


def test_a_node_killed_while_writing_its_state_starts_from_the_last_whole_copy(
    tmp_path: Path, open_house: Opener
) -> None:
    folder = tmp_path / "chain"
    with devnet(folder) as url:
        house = open_house(url)
        minted = mint(sealed_batches(house.ledger), house.sender(), 1)
        next(minted)
    with devnet(folder):
        list(minted)
    (folder / "anvil.good.json").write_bytes((folder / "anvil.json").read_bytes())
    (folder / "anvil.json").write_bytes((folder / "anvil.json").read_bytes()[:1000])
    with devnet(folder):
        house.mint()
        house.assert_exact(transactions=4)


@pytest.mark.parametrize("taken", ["planned", "deployed", "half"])
def test_an_older_ledger_adopts_what_the_chain_has_and_sends_only_the_rest(
    house: House, open_house: Opener, tmp_path: Path, taken: str
) -> None:
    if taken == "deployed":
        house.sender().ensure_deployed(1)
    if taken == "half":
        minted = mint(sealed_batches(house.ledger), house.sender(), 1)
        next(minted)
        assert isinstance(minted, Generator)
        minted.close()
    house.ledger.backup(tmp_path / "older.sqlite")
    house.mint()
    sent = house.chain.nonce(house.signer.address)

    restored = open_house(house.url, name="older.sqlite")
    minted_again = restored.mint()
    assert restored.chain.nonce(house.signer.address) == sent
    assert set(restored.states("batch")) == {"mined"}
    assert restored.contract.address == house.contract.address
    assert [batch.tx_hash for batch in minted_again if batch.tx_hash is None] == []
    house.assert_exact(transactions=4)


# ── 34, 35: gas and money ────────────────────────────────────────────────────────────────────────────────────────


def test_batches_too_big_for_the_chain_are_split_with_root_and_ids_as_planned(anvil: str, open_house: Opener) -> None:
    house = open_house(anvil, batches=2, size=64)
    house.sender().ensure_deployed(1)
    house.node("evm_setBlockGasLimit", hex(400_000))
    minted = house.mint()
    assert [batch.plan.quantity for batch in minted] == [64, 64]
    assert "split" in house.kinds()
    assert len(house.states("slot")) > 3
    house.assert_exact()


def test_a_split_batch_that_was_interrupted_is_finished(anvil: str, open_house: Opener) -> None:
    house = open_house(anvil, batches=1, size=64)
    sender = house.sender(window=1)
    sender.ensure_deployed(1)
    house.node("evm_setBlockGasLimit", hex(400_000))
    for batch in sealed_batches(house.ledger):
        sender.submit(batch)
    sender.settle()
    assert house.states("batch") == ["live"]
    house.mint()
    house.assert_exact()


def test_running_out_of_money_is_said_and_resumed_after_a_top_up(house: House) -> None:
    minted = mint(sealed_batches(house.ledger), house.sender(), 1)
    next(minted)
    house.node("anvil_setBalance", house.signer.address, "0x0")
    with pytest.raises(InsufficientFunds, match="has 0 wei and needs"):
        list(minted)
    house.node("anvil_setBalance", house.signer.address, hex(10**18))
    house.mint()
    house.assert_exact(transactions=4)


def test_money_that_vanishes_after_signing_is_said_and_the_same_bytes_are_sent_later(house: House) -> None:
    time_ = FakeTime()
    sender = submitted(house, **time_.options)
    before = house.ledger.rows("SELECT hash FROM attempt")
    house.node("anvil_dropAllTransactions")
    house.node("anvil_setBalance", house.signer.address, "0x0")
    time_.now += 1
    with pytest.raises(InsufficientFunds):
        sender.settle()
    house.node("anvil_setBalance", house.signer.address, hex(10**18))
    house.node("evm_setAutomine", True)
    house.mint()
    assert house.ledger.rows("SELECT hash FROM attempt") == before
    house.assert_exact(transactions=4)


def test_spending_stops_before_a_limit_is_passed(house: House) -> None:
    sender = house.sender()
    sender.ensure_deployed(1)
    spent = sender.journal.spent_or_reserved_wei(run=1)
    with pytest.raises(LimitReached, match="per run"):
        house.mint(limits=Limits(run_wei=spent + 1))
    with pytest.raises(LimitReached, match="per day"):
        house.mint(limits=Limits(day_wei=spent + 1))
    with pytest.raises(LimitReached, match="per transaction"):
        house.mint(limits=Limits(transaction_wei=1))
    house.mint()
    house.assert_exact(transactions=4)


# ── 40 to 42, 44: the ledger's own bad days, and the clock's ──────────────────────────────────────────────────────────


@pytest.mark.parametrize("kept", [0.1, 0.4, 0.7, 0.95])
def test_a_torn_write_ahead_log_leaves_an_older_ledger_that_adopts_what_the_chain_has(
    house: House, open_house: Opener, tmp_path: Path, kept: float
) -> None:
    house.mint()
    assert isinstance(house.path, Path)
    shutil.copy(house.path, tmp_path / "torn.sqlite")
    log = Path(f"{house.path}-wal").read_bytes()
    end = int(len(log) * kept)
    (tmp_path / "torn.sqlite-wal").write_bytes(log[:end] + bytes(len(log) // 20))  # cut, and zeros behind the cut
    torn = open_house(house.url, name="torn.sqlite")
    torn.ledger.check_integrity()
    torn.mint()
    assert set(torn.states("batch")) == {"mined"}
    house.assert_exact(transactions=4)


@pytest.mark.parametrize("bit", [0, 777, 2000])
def test_a_flipped_bit_in_a_signed_transaction_is_found_before_anything_is_sent(house: House, bit: int) -> None:
    submitted(house)
    house.node("anvil_dropAllTransactions")
    raw = bytearray(house.ledger.rows("SELECT raw FROM attempt WHERE slot = 3")[0]["raw"])
    raw[bit // 8 % len(raw)] ^= 1 << bit % 8
    with house.ledger.atomic():
        house.ledger.execute("UPDATE attempt SET raw = ? WHERE slot = 3", (bytes(raw),))
    with pytest.raises(Corrupt, match="the signed transaction of nonce 2 lost its hash"):
        house.sender().recover(1)
    assert house.node("txpool_status")["pending"] == "0x0"


def test_three_minters_on_one_ledger_without_the_lock_mint_nothing_twice(house: House) -> None:
    environment = os.environ | {"PYTHONPATH": f"{TESTS.parent}:{TESTS}"}
    house.let_go()
    command = [sys.executable, "-m", "mint.minter", text_of(house.path), house.url]
    minters = [subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) for _ in range(3)]
    for minter in minters:
        minter.wait(60)  # who comes second to a row ends there: the unique indexes refuse it
    house.mint()
    house.assert_exact()


def test_a_wall_clock_that_jumps_by_days_changes_nothing(house: House) -> None:
    jumps = itertools.cycle([0.0, 3 * 86400.0, -3 * 86400.0])
    house.mint(wall_clock=lambda: time.time() + next(jumps))
    house.assert_exact(transactions=4)


def test_a_monotonic_clock_that_jumps_three_days_raises_a_fee_at_most(house: House) -> None:
    time_ = FakeTime()
    sender = submitted(house, **time_.options)
    time_.now += 3 * 86400
    sender.settle()
    finish(house, sender)
    house.assert_exact(transactions=4)


# ── refusals of the contract ─────────────────────────────────────────────────────────────────────────────────────


def test_a_mint_that_the_contract_would_refuse_is_not_sent(house: House) -> None:
    from web3 import Web3

    from pipeline.mint.compile import load_artifact

    house.sender().ensure_deployed(1)
    eth: Any = Web3().eth
    contract = eth.contract(address=house.contract.address, abi=load_artifact().abi)
    house.node(
        "eth_sendTransaction",
        {"from": house.signer.address, "to": house.contract.address, "data": contract.encode_abi("close")},
    )
    with pytest.raises(Reverted, match=r"minting tokens 1-5 reverted: MintingIsClosed\(\)"):
        house.mint()
    assert house.states("slot") == ["mined"]


def test_a_mint_that_reverts_on_the_chain_is_told_with_its_reason_and_not_repeated(house: House) -> None:
    from web3 import Web3

    from pipeline.mint.compile import load_artifact

    sender = submitted(house)
    house.node("anvil_dropAllTransactions")
    eth: Any = Web3().eth
    contract = eth.contract(address=house.contract.address, abi=load_artifact().abi)
    close = transfer(house, nonce=1) | {
        "to": house.contract.address,
        "value": 0,
        "gas": 100_000,
        "data": bytes.fromhex(contract.encode_abi("close")[2:]),
    }
    house.chain.send(house.signer.sign(close))
    for row in house.ledger.rows("SELECT raw FROM attempt WHERE slot > 2 ORDER BY id"):
        house.chain.send(row["raw"])
    house.node("evm_mine")
    with pytest.raises(Reverted, match=r"for tokens 6-10 reverted: UnexpectedStart\(expected=6, actual=1\)"):
        sender.settle()
    assert house.states("slot") == ["mined", "live", "reverted", "reverted"]
    assert house.states("batch") == ["live", "sealed", "sealed"]
