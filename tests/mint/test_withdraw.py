"""Nothing in flight any more: what was signed is mined, or an empty transaction has its nonce, and never both."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
from conftest import REPOSITORY
from mint.conftest import House, assert_all_known, sent_by
from mint.plans import sealed_batches
from postgres import text_of

from pipeline.base.errors import BadArgument
from pipeline.ledger.abandon import LetGo, let_go
from pipeline.mint.signer import key_signer


def in_flight(house: House) -> None:
    """The contract is deployed, and three batches are signed and wait in the node's pool."""
    sender = house.sender()
    sender.recover(1)
    sender.ensure_deployed(1)
    house.node("evm_setAutomine", False)
    for batch in sealed_batches(house.ledger):
        sender.submit(batch)
    sender.settle()
    assert house.states("slot") == ["mined", "live", "live", "live"]


def withdraw(house: House) -> LetGo:
    """A block is made whenever the sender waits."""
    house.sender(sleep=lambda _: house.node("evm_mine")).withdraw(1)
    return let_go(house.ledger, house.ledger.runs.get(1))


def assert_agree(house: House) -> None:
    """The ledger has exactly the tokens that the chain has, and knows every transaction of ours."""
    tokens = [row["token_id"] for row in house.ledger.rows("SELECT token_id FROM token ORDER BY token_id")]
    assert tokens == list(range(1, house.contract.next_token_id()))
    assert {state for state in house.states("batch")} <= {"mined", "final"}
    assert not house.ledger.journal.makers(1, "live")
    assert_all_known(house.ledger, house.chain, house.signer.address)
    house.ledger.check_integrity()


def test_empty_transactions_take_the_nonces_of_what_waits_in_the_pool(house: House) -> None:
    in_flight(house)
    found = withdraw(house)
    assert (list(found.kept), found.gone, found.collection_stays) == ([], range(1, 16), True)
    assert house.kinds().count("replaced") == house.kinds().count("withdrawn") == 3
    empty = [tx for tx in sent_by(house.chain, house.signer.address) if tx["to"] == house.signer.address.lower()]
    assert [(tx["input"], tx["value"]) for tx in empty] == [("0x", "0x0")] * 3
    assert_agree(house)


def test_what_is_mined_before_it_can_be_replaced_stays(house: House) -> None:
    in_flight(house)
    house.node("anvil_dropTransaction", house.node("eth_getBlockByNumber", "pending", True)["transactions"][1]["hash"])
    house.node("evm_mine")  # the first batch; the second one was dropped, and the third waits for its nonce
    found = withdraw(house)
    assert (found.kept, found.gone) == (range(1, 6), range(6, 16))
    assert_agree(house)


def test_what_was_signed_and_never_sent_is_not_sent(house: House) -> None:
    _killed(house, "persisted_not_sent:2", "mint.minter")
    found = withdraw(house)
    assert (found.gone, house.contract.next_token_id()) == (range(1, 16), 1)
    assert_agree(house)


def test_of_a_batch_in_two_transactions_the_minted_half_stays(house: House) -> None:
    sender = house.sender()
    sender.recover(1)
    sender.ensure_deployed(1)
    house.node("evm_setAutomine", False)
    batch = next(sealed_batches(house.ledger))
    sender.submit(batch)
    sender._split(sender._queue[0], 0)
    sender.settle()
    first, second = (tx["hash"] for tx in house.node("eth_getBlockByNumber", "pending", True)["transactions"])
    house.node("anvil_dropTransaction", second)
    house.node("evm_mine")
    found = withdraw(house)
    assert (found.kept, found.gone) == (range(1, 3), range(3, 16))
    assert_agree(house)
    (row,) = house.ledger.rows("SELECT quantity, state FROM batch")
    assert (row["quantity"], row["state"]) == (2, "mined")


def test_a_deployment_that_is_withdrawn_leaves_no_collection(house: House) -> None:
    house.node("evm_setAutomine", False)
    sender = house.sender()
    sender._collection = 1
    sender.settle()
    assert house.states("slot") == ["live"]
    found = withdraw(house)
    assert not found.collection_stays and house.ledger.collections.all() == []
    assert house.ledger.runs.unfinished() is None and house.states("slot") == ["reverted"]
    assert_all_known(house.ledger, house.chain, house.signer.address)


@pytest.mark.parametrize(
    "point",
    [
        *("signed_not_persisted", "persisted_not_sent:2", "sent_not_recorded:3", "mined_not_recorded"),
        *("inside_ledger_commit:4", "run_abandoned"),
    ],
)
def test_killed_anywhere_a_withdrawal_ends_the_same_when_it_is_given_again(house: House, point: str) -> None:
    in_flight(house)
    _killed(house, point, "mint.withdrawer")
    if house.ledger.runs.unfinished():
        withdraw(house)
    assert house.ledger.runs.unfinished() is None
    assert_agree(house)


def test_another_account_cannot_withdraw_what_ours_signed(house: House) -> None:
    in_flight(house)
    with pytest.raises(BadArgument, match=house.signer.address):
        house.sender(signer=key_signer("0x" + "11" * 32, house.chain.chain_id)).withdraw(1)


def test_given_the_mint_again_instead_a_withdrawn_batch_is_minted_after_all(house: House) -> None:
    in_flight(house)
    sender = house.sender()
    sender._replace_unmined([2])
    house.node("evm_setAutomine", True)
    house.node("evm_mine")
    house.mint()
    house.assert_exact()


def _killed(house: House, point: str, module: str) -> None:
    environment = {
        **os.environ,
        "PIPELINE_CRASH_AT": point,
        "PYTHONPATH": os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "tests")]),
    }
    house.let_go()
    command = [sys.executable, "-m", module, text_of(house.path), house.url]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
