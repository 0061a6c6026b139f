"""The stage: in order, several in flight, never held up by its source, and closed cleanly."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from mint.conftest import House, Opener
from mint.plans import sealed_batches

from pipeline.base.errors import Corrupt
from pipeline.base.records import PinnedBatch
from pipeline.ledger.journal import Intent
from pipeline.mint.stage import mint
from pipeline.mint.watcher import finalize


def test_the_contract_is_deployed_before_the_first_batch_is_taken(house: House) -> None:
    def batches() -> Iterator[PinnedBatch]:
        assert house.contract.exists()
        yield from sealed_batches(house.ledger)

    assert [batch.plan.start for batch in mint(batches(), house.sender(), 1)] == [1, 6, 11]


def test_a_slow_source_does_not_keep_a_minted_batch_back(house: House) -> None:
    go_on = threading.Event()

    def batches() -> Iterator[PinnedBatch]:
        first, *rest = sealed_batches(house.ledger)
        yield first
        assert go_on.wait(20)
        yield from rest

    minted = mint(batches(), house.sender(), 1)
    assert next(minted).plan.start == 1  # while the source is still at work
    go_on.set()
    assert [batch.plan.start for batch in minted] == [6, 11]
    house.assert_exact(transactions=4)


def test_what_the_source_raises_is_raised_and_the_rest_is_minted_next_time(house: House) -> None:
    def batches() -> Iterator[PinnedBatch]:
        yield next(sealed_batches(house.ledger))
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"):
        list(mint(batches(), house.sender(), 1))
    house.mint()
    house.assert_exact(transactions=4)


def test_leaving_early_ends_the_reading_thread(house: House) -> None:
    minted = mint(sealed_batches(house.ledger), house.sender(), 1)
    next(minted)
    minted.close()  # type: ignore[attr-defined]
    deadline = time.monotonic() + 10
    while any(thread.name == "mint-source" for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    house.mint()
    house.assert_exact(transactions=4)


def test_a_batch_is_handed_on_at_the_depth_that_was_asked_for(house: House) -> None:
    sender = house.sender(confirmations=4)
    sender.ensure_deployed(1)
    for batch in sealed_batches(house.ledger):
        sender.submit(batch)
    for _ in range(20):
        sender.settle()
    assert set(house.states("batch")) == {"mined"} and sender.take_minted() == []
    house.node("anvil_mine", hex(3))
    sender.settle()
    assert len(sender.take_minted()) == 3
    house.assert_exact()


def test_many_batches_keep_to_the_window(anvil: str, open_house: Opener) -> None:
    house = open_house(anvil, batches=20, size=2)
    sender = house.sender(window=16)
    sender.ensure_deployed(1)
    house.node("evm_setAutomine", False)
    for batch in sealed_batches(house.ledger):
        sender.submit(batch)
    sender.settle()
    assert house.states("slot").count("live") == 16
    house.node("evm_setAutomine", True)
    house.node("evm_mine")
    house.mint()
    house.assert_exact(transactions=21)


def test_a_finished_run_given_again_sends_nothing(house: House) -> None:
    house.mint()
    assert house.mint() == []
    house.assert_exact(transactions=4)


def test_finality_is_noted_by_the_chains_own_word(house: House) -> None:
    house.mint()
    assert finalize(house.ledger, house.chain) == 0
    house.node("anvil_mine", hex(62))
    assert finalize(house.ledger, house.chain) == 1  # Anvil's finalized block is 64 below its newest
    house.node("anvil_mine", hex(10))
    assert finalize(house.ledger, house.chain) == 2
    assert house.states("batch") == ["final"] * 3 and house.states("collection") == ["final"]


def test_what_a_transaction_commits_to_is_asked_for_before_each_signature(house: House) -> None:
    """Whoever says no is asked before there are bytes that could be sent."""
    asked: list[Intent] = []

    def refuse_the_last(intent: Intent) -> None:
        asked.append(intent)
        if intent.batch == 3:
            raise Corrupt(what="its content", reason="it is missing")

    with pytest.raises(Corrupt, match="missing"):
        house.mint(before_signing=refuse_the_last)
    assert [(intent.purpose, intent.batch) for intent in asked] == [("deploy", None), *(("mint", n) for n in (1, 2, 3))]
    assert house.ledger.rows("SELECT 1 AS x FROM slot WHERE batch = 3") == []
    house.mint()
    house.assert_exact(transactions=4)
