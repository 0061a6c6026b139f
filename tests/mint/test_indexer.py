"""Owners, read from Transfer events: now, at any block, through reorgs, from slow and narrow-minded nodes."""

from __future__ import annotations

import time
from typing import Any

import pytest
from mint.conftest import House
from mint.faultproxy import FaultProxy
from mint.plans import SOMEBODY
from web3 import Web3

from pipeline.base.errors import RpcError
from pipeline.base.records import ZERO_ADDRESS, Address
from pipeline.ledger import Ledger
from pipeline.mint import indexer
from pipeline.mint.chain import Chain
from pipeline.mint.compile import load_artifact
from pipeline.mint.indexer import sync
from pipeline.mint.rpc import Rpc

ALICE = Address("0x70997970C51812dc3A010C7d01b50e0d17dc79C8")  # Anvil's second account


def own_house(house: House) -> House:
    with house.ledger.atomic():
        house.ledger.execute("UPDATE token SET recipient = ?", (house.signer.address,))
    house.mint()
    return house


def give(house: House, token_id: int, sender: Address, recipient: Address) -> None:
    eth: Any = Web3().eth
    contract = eth.contract(address=house.contract.address, abi=load_artifact().abi)
    data = contract.encode_abi("transferFrom", [sender, recipient, token_id])
    sent = house.node("eth_sendTransaction", {"from": sender, "to": house.contract.address, "data": data})
    while house.node("eth_getTransactionReceipt", sent) is None:  # each in a block of its own
        time.sleep(0.01)


def test_owners_now_and_before_and_the_history_of_a_token(house: House) -> None:
    own_house(house)
    me = house.signer.address
    before = sync(house.ledger, house.chain, 1)
    give(house, 3, me, ALICE)
    give(house, 3, ALICE, Address(SOMEBODY))
    give(house, 4, me, ALICE)
    assert sync(house.ledger, house.chain, 1) == before + 3
    with Ledger(house.path, readonly=True) as ledger:
        owners = ledger.owners
        assert owners.tokens_by_owner(1) == {me: [1, 2, *range(5, 16)], SOMEBODY: [3], ALICE: [4]}
        assert owners.tokens_by_owner(1, before) == {me: list(range(1, 16))}
        assert owners.owners_at(1, before + 1)[3] == ALICE
        assert owners.owner_of(1, 3) == SOMEBODY and owners.owner_of(1, 99) is None
        assert [(t.sender, t.recipient) for t in owners.history(1, 3)] == [
            (ZERO_ADDRESS, me),
            (me, ALICE),
            (ALICE, SOMEBODY),
        ]
    assert [house.ledger.owners.owners_at(1)[n] for n in range(1, 16)] == house.contract.owners_of(range(1, 16))


def test_reading_again_changes_nothing(house: House) -> None:
    house.mint()
    sync(house.ledger, house.chain, 1)
    rows = house.ledger.rows("SELECT * FROM transfer")
    sync(house.ledger, house.chain, 1)
    assert house.ledger.rows("SELECT * FROM transfer") == rows and len(rows) == 15


def test_transfers_that_a_reorg_undid_are_forgotten(house: House) -> None:
    own_house(house)
    me = house.signer.address
    sync(house.ledger, house.chain, 1)
    give(house, 1, me, ALICE)
    sync(house.ledger, house.chain, 1)
    give(house, 2, me, ALICE)
    sync(house.ledger, house.chain, 1)
    house.node("anvil_reorg", 2, [])
    sync(house.ledger, house.chain, 1)
    assert house.ledger.owners.tokens_by_owner(1) == {me: list(range(1, 16))}
    give(house, 2, me, ALICE)
    sync(house.ledger, house.chain, 1)
    assert house.ledger.owners.tokens_by_owner(1)[ALICE] == [2]


def test_a_reorg_below_everything_remembered_reads_all_again(house: House) -> None:
    own_house(house)
    sync(house.ledger, house.chain, 1)
    with house.ledger.atomic():
        house.ledger.execute("UPDATE scanned SET block_hash = ?", (bytes(32),))
        house.ledger.execute("UPDATE transfer SET recipient = ?", (ALICE,))
    sync(house.ledger, house.chain, 1)
    assert house.ledger.owners.tokens_by_owner(1) == {house.signer.address: list(range(1, 16))}


def test_a_node_that_refuses_wide_ranges_is_asked_for_narrow_ones(
    faulty: House, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexer, "RANGE", 64)
    faulty.mint()
    faulty.node("anvil_mine", hex(200))
    proxy.spoil("eth_getLogs", "error", times=5, value={"code": -32602, "message": "range too wide"})
    sync(faulty.ledger, faulty.chain, 1)
    assert len(faulty.ledger.owners.owners_at(1)) == 15


def test_a_node_that_refuses_every_range_is_an_error(faulty: House, proxy: FaultProxy) -> None:
    faulty.mint()
    proxy.spoil("eth_getLogs", "error", times=None, value={"code": -32602, "message": "no logs here"})
    with pytest.raises(RpcError, match="no logs here"):
        sync(faulty.ledger, faulty.chain, 1)


def test_a_slow_node_behind_a_load_balancer_takes_nothing_back(faulty: House, proxy: FaultProxy) -> None:
    faulty.mint()
    sync(faulty.ledger, faulty.chain, 1)
    chain = faulty.chain
    remote = Chain(Rpc(proxy.url), 5, chain.genesis_hash, "")  # not a development chain
    old = faulty.node("eth_getBlockByNumber", "0x2", False)
    proxy.spoil("eth_getBlockByNumber", "replace", times=1, value=old)
    assert sync(faulty.ledger, remote, 1) == 4
    assert len(faulty.ledger.owners.owners_at(1)) == 15


def test_remembered_blocks_are_bounded(house: House) -> None:
    owners = house.ledger.owners
    for number in range(300):
        owners.record(1, [], number, number.to_bytes(32, "big"))
    assert [number for number, _ in owners.scanned(1)] == list(range(299, 171, -1))
