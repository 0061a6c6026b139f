"""Ceilings of gas on Anvil with today's rules. `scripts/bench-gas` prints the figures."""

from __future__ import annotations

from typing import Any

import pytest

DIGEST = b"\x07" * 32
NEVER_SEEN = [f"0x{n:040d}" for n in range(10_000, 10_064)]  # digits alone need no checksum


@pytest.fixture
def collection(anvil: Any, deploy: Any) -> Any:
    return deploy(anvil)


def test_deployment_and_a_batch_of_fifty(anvil: Any, deploy: Any) -> None:
    dearest = deploy(anvil, minter=anvil.eth.accounts[1])  # with a minter and contract metadata: two slots more
    mint = dearest.send("mintBatch", 1, dearest.alice, 50, DIGEST)
    assert dearest.receipt["gasUsed"] + mint["gasUsed"] <= 1_450_000


def test_batches_of_fifty(collection: Any) -> None:
    assert collection.send("mintBatch", 1, NEVER_SEEN[0], 50, DIGEST)["gasUsed"] <= 195_000
    assert collection.send("mintBatch", 51, NEVER_SEEN[0], 50, DIGEST)["gasUsed"] <= 178_000


def test_each_further_token_of_a_batch(collection: Any) -> None:
    first = collection.send("mintBatch", 1, NEVER_SEEN[0], 100, DIGEST)["gasUsed"]
    second = collection.send("mintBatch", 101, NEVER_SEEN[1], 1_100, DIGEST)["gasUsed"]
    assert (second - first) / 1_000 <= 1_940


def test_the_first_transfer_costs_the_same_at_every_place_of_a_batch(collection: Any) -> None:
    alice = collection.alice
    collection.send("mintBatch", 1, alice, 1_000, DIGEST)
    places = (1, 2, 500, 999, 1_000)
    costs = [
        collection.send("transferFrom", alice, to, token_id, sender=alice)["gasUsed"]
        for token_id, to in zip(places, NEVER_SEEN, strict=False)
    ]
    assert max(costs) <= 82_000
    assert max(costs) - min(costs) < 100


def test_the_first_transfer_grows_with_the_logarithm_of_the_batches(collection: Any) -> None:
    alice = collection.alice
    for batch in range(16):
        collection.send("mintBatch", 1 + 10 * batch, alice, 10, DIGEST)
    costs = [
        collection.send("transferFrom", alice, NEVER_SEEN[n], 1 + 10 * n, sender=alice)["gasUsed"] for n in range(16)
    ]
    assert max(costs) <= 82_000 + 4 * 2_600  # four steps to find one of 16


def test_an_airdrop(collection: Any) -> None:
    assert collection.send("airdrop", 1, NEVER_SEEN[:50], DIGEST)["gasUsed"] <= 2_420_000


def test_a_repeated_mint_costs_little(collection: Any) -> None:
    collection.send("mintBatch", 1, NEVER_SEEN[0], 50, DIGEST)
    fields = {"from": collection.owner, "gas": 1_000_000}
    sent = collection.contract.functions.mintBatch(1, NEVER_SEEN[0], 50, DIGEST).transact(fields)
    receipt = collection.w3.eth.wait_for_transaction_receipt(sent)
    assert receipt["status"] == 0
    assert receipt["gasUsed"] <= 26_000
