"""A transfer happens once: killed anywhere, given again, reordered, refused."""

from __future__ import annotations

from typing import Any

import pytest
from mint.conftest import House
from mint.plans import SOMEBODY
from mint.test_faults import FakeTime
from mint.test_indexer import ALICE, give, own_house

from pipeline.base.errors import BadArgument, BadRecipient, ConstraintBroken, NotOwner, Reverted
from pipeline.base.records import Address
from pipeline.ledger.journal import Intent, Signed
from pipeline.mint.indexer import sync
from pipeline.mint.sender import Sender

BOB = Address(SOMEBODY)


class Stopped(Exception):
    """What a kill leaves behind: nothing after it happens."""


def sent_transfers(house: House) -> int:
    return house.chain.nonce(house.signer.address) - 4  # the deployment and three batches


def test_a_transfer_changes_the_owner_and_the_ledger_knows_it(house: House) -> None:
    own_house(house)
    assert house.sender().transfer(1, 3, ALICE) is True
    sync(house.ledger, house.chain, 1)
    assert house.ledger.owners.owner_of(1, 3) == ALICE == house.contract.owners_of([3])[0]
    assert house.states("slot") == ["mined"] * 5


def test_given_again_nothing_is_sent(house: House) -> None:
    own_house(house)
    house.sender().transfer(1, 3, ALICE)
    assert house.sender().transfer(1, 3, ALICE) is False
    assert sent_transfers(house) == 1


@pytest.mark.parametrize("place", ["persisted_not_sent", "sent_not_recorded", "mined_not_recorded"])
def test_stopped_anywhere_and_given_again_it_happens_once(
    house: House, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    own_house(house)

    def stop(name: str) -> None:
        if name == place:
            raise Stopped

    with monkeypatch.context() as patch, pytest.raises(Stopped):
        patch.setattr("pipeline.mint.lane.crash_point", stop)
        patch.setattr("pipeline.mint.watcher.crash_point", stop)
        house.sender().transfer(1, 3, ALICE)
    sender = house.sender()
    sender.recover(1)
    sender.transfer(1, 3, ALICE)
    assert house.contract.owners_of([3]) == [ALICE]
    assert sent_transfers(house) == 1


def test_a_transfer_that_a_reorg_took_is_sent_again_with_the_same_bytes(house: House) -> None:
    own_house(house)
    house.sender().transfer(1, 3, ALICE)
    before = house.ledger.rows("SELECT hash FROM attempt ORDER BY id")
    house.node("anvil_reorg", 1, [])
    sender = house.sender()
    sender.recover(1)
    assert sender.transfer(1, 3, ALICE) is True
    assert house.ledger.rows("SELECT hash FROM attempt ORDER BY id") == before
    assert house.contract.owners_of([3]) == [ALICE]


def test_beside_an_unfinished_transfer_the_token_goes_to_nobody_else(house: House) -> None:
    own_house(house)
    sender = unfinished(house)
    with pytest.raises(BadArgument, match="the transfer of token 3 to .* is not settled yet"):
        sender.transfer(1, 3, BOB)
    slot = sender.journal.unfinished_transfer(1, 3)
    assert slot is not None
    signed = Signed(b"other bytes", bytes(32), 1, 1, 1, 0.0)
    with pytest.raises(ConstraintBroken, match="slot.collection, slot.start, slot.sender"):
        sender.journal.reserve(1, house.signer.address, 99, Intent("transfer", 1, None, 3, 1, BOB), None, signed)


def unfinished(house: House) -> Sender:
    """A sender whose transfer of token 3 is in the pool and stays there."""
    house.node("evm_setAutomine", False)
    time_ = FakeTime()
    naps = 0

    def sleep(_: float) -> None:
        nonlocal naps
        naps += 1
        if naps > 3:
            raise Stopped

    sender = house.sender(clock=time_.clock, sleep=sleep)
    with pytest.raises(Stopped):
        sender.transfer(1, 3, ALICE)
    return sender


def test_only_the_owner_can_give_a_token(house: House) -> None:
    own_house(house)
    give(house, 3, house.signer.address, ALICE)
    with pytest.raises(NotOwner, match=f"token 3 belongs to {ALICE}, not to the signing account"):
        house.sender().transfer(1, 3, BOB)
    assert sent_transfers(house) == 1


def test_there_is_no_transfer_of_an_unknown_token(house: House) -> None:
    own_house(house)
    with pytest.raises(BadArgument, match="token id is 16; expected 1 to 15"):
        house.sender().transfer(1, 16, ALICE)


def test_a_contract_that_cannot_hold_tokens_gets_none(house: House) -> None:
    own_house(house)
    with pytest.raises(BadRecipient):
        house.sender().transfer(1, 3, house.contract.address)
    assert sent_transfers(house) == 0


def test_a_transfer_that_the_chain_refuses_is_told(house: House) -> None:
    own_house(house)
    house.node("evm_setAutomine", False)
    me: Any = house.signer.address
    sender = unfinished(house)
    house.node("anvil_dropAllTransactions")
    raw = house.ledger.rows("SELECT raw FROM attempt ORDER BY id DESC LIMIT 1")[0]["raw"]
    house.node("evm_setAutomine", True)
    operator = Address("0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC")  # Anvil's third account
    approve_and_take(house, me, operator)
    house.chain.send(raw)
    with pytest.raises(Reverted, match="ERC721InsufficientApproval"):
        for _ in range(10):
            sender.settle()
    assert house.contract.owners_of([3]) == [BOB]


def approve_and_take(house: House, owner: Address, operator: Address) -> None:
    """Somebody whom the contract's state says is approved takes token 3; the owner's nonce stays as it is."""
    from web3 import Web3

    from pipeline.mint.compile import load_artifact

    eth: Any = Web3().eth
    contract = eth.contract(address=house.contract.address, abi=load_artifact().abi)
    nonce = house.chain.nonce(owner)
    for sender, call in (
        (owner, contract.encode_abi("setApprovalForAll", [operator, True])),
        (operator, contract.encode_abi("transferFrom", [owner, BOB, 3])),
    ):
        house.node("eth_sendTransaction", {"from": sender, "to": house.contract.address, "data": call})
    house.node("anvil_setNonce", owner, hex(nonce))
