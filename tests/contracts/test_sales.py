"""The contracts of sales as they ship, on real nodes: what they cost, and that they are what their file says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from contracts.sales import ART, DIGEST, Sales, signer_key
from contracts.test_on_chains import ipfs_uri

from pipeline.mint.compile import load_v2

NEVER_SEEN = [f"0x{n:040d}" for n in range(20_000, 20_010)]  # digits alone need no checksum
PRICE = 1_000

Call = Callable[[Any, str, int], Any]


@pytest.fixture(scope="module")
def on_anvil(anvil: Any) -> Sales:
    return Sales(anvil)


@pytest.fixture(scope="module")
def on_ganache(ganache: Any) -> Sales:
    return Sales(ganache)


@pytest.fixture(params=["on_anvil", "on_ganache"])
def sales(request: pytest.FixtureRequest) -> Sales:
    chosen: Sales = request.getfixturevalue(request.param)
    return chosen


def test_what_the_factory_puts_on_a_chain_is_what_its_file_says(sales: Sales) -> None:
    code = sales.w3.eth.get_code
    assert load_v2("Factory").matches_source(bytes(code(sales.factory.address)))
    for name, function in (("CollectionV2", "collectionCode"), ("Drop", "dropCode")):
        at = sales.factory.functions[function]().call()
        assert load_v2(name).matches_source(bytes(code(at))), name


def test_a_proxy_names_its_code_and_a_copy_has_it(sales: Sales) -> None:
    code = sales.factory.functions.collectionCode().call()
    small = bytes(sales.w3.eth.get_code(sales.collection().address))
    assert small.startswith(bytes.fromhex("363d3d373d3d3d363d73" + code[2:] + "5af43d82803e903d91602b57fd5bf3"))
    whole = bytes(sales.w3.eth.get_code(sales.collection(whole=True).address))
    assert whole.startswith(bytes(sales.w3.eth.get_code(code)))
    assert whole[-32:] == small[-32:] == DIGEST


@pytest.mark.parametrize("whole", [False, True])
def test_a_sale_lives(sales: Sales, whole: bool) -> None:
    collection, drop = sales.sale("public", whole, limit=3)
    sales.send(drop.functions.buy(0, sales.alice, 2), sender=sales.alice, value=2 * PRICE)
    assert collection.functions.ownerOf(2).call() == sales.alice
    assert collection.functions.tokenURI(2).call() == ipfs_uri(ART, "2.json")
    assert drop.functions.owedTo(0).call() == 1_800
    sales.send(drop.functions.withdraw(1, sales.bob))
    sales.send(collection.functions.closeLot())
    sales.send(collection.functions.mintBatch(3, sales.bob, 5, DIGEST))
    assert collection.functions.totalSupply().call() == 7
    assert drop.functions.stages().call()[0][6] == 2


def test_a_lot_is_published_as_it_is_sold(sales: Sales) -> None:
    collection = sales.collection()
    sales.send(collection.functions.openLot(1, 10, DIGEST, sales.alice, True, ART))
    sales.send(collection.functions.mint(sales.bob, 4), sender=sales.alice)
    sales.send(collection.functions.publish(1, 3, ART))
    assert [collection.functions.tokenURI(n).call() for n in (3, 4)] == [
        ipfs_uri(ART, "3.json"),
        ipfs_uri(DIGEST, "4.json"),
    ]


def test_a_voucher_signed_in_python_buys(sales: Sales) -> None:
    collection, drop = sales.sale("voucher", price=0, key=signer_key())
    voucher, signature = sales.voucher(drop, sales.alice, 2, 7, 5)
    sales.send(drop.functions.buyWithVoucher(voucher, signature, sales.alice), sender=sales.alice, value=14)
    assert drop.functions.isSpent(5).call()
    assert collection.functions.balanceOf(sales.alice).call() == 2


# ── what a purchase costs ────────────────────────────────────────────────────────────────────────────────────────────


def costs(sales: Sales, kind: str, whole: bool, call: Call, **stage: Any) -> tuple[int, int, int]:
    """Gas of an account's first and second purchase of one token, and of a transfer afterwards. Bob bought before."""
    collection, drop = sales.sale(kind, whole, **stage)
    sales.send(call(drop, sales.bob, 0), sender=sales.bob, value=PRICE)
    found = []
    for number in (1, 2):
        sales.send(call(drop, sales.alice, number), sender=sales.alice, value=PRICE)
        found.append(sales.gas)
    sales.send(collection.functions.transferFrom(sales.alice, NEVER_SEEN[0], 2), sender=sales.alice)
    return found[0], found[1], sales.gas


@pytest.mark.parametrize(("whole", "transfer"), [(False, 63_000), (True, 60_000)])
def test_gas_of_a_purchase_and_of_a_transfer_after_it(on_anvil: Sales, whole: bool, transfer: int) -> None:
    def public(drop: Any, account: str, number: int) -> Any:
        return drop.functions.buy(0, account, 1)

    first, second, moved = costs(on_anvil, "public", whole, public)
    assert (first <= 100_000, second <= 80_000, moved <= transfer) == (True, True, True)
    assert costs(on_anvil, "public", whole, public, limit=5)[0] <= 120_000


@pytest.mark.parametrize("whole", [False, True])
def test_gas_of_a_purchase_by_list_or_voucher(on_anvil: Sales, whole: bool) -> None:
    strangers = [on_anvil.w3.to_checksum_address(f"0x{n:040x}") for n in range(1_000, 1_998)]
    trees = {
        account: on_anvil.tree([account, other, *strangers], PRICE, 5)
        for account, other in ((on_anvil.alice, on_anvil.bob), (on_anvil.bob, on_anvil.alice))
    }
    [root] = {root for root, _ in trees.values()}

    def listed(drop: Any, account: str, number: int) -> Any:
        return drop.functions.buyListed(0, account, account, 1, PRICE, 5, trees[account][1])

    def voucher(drop: Any, account: str, number: int) -> Any:
        signed, signature = on_anvil.voucher(drop, account, 1, PRICE, 300 * number)
        return drop.functions.buyWithVoucher(signed, signature, account)

    assert costs(on_anvil, "allowlist", whole, listed, price=0, key=root)[0] <= 145_000
    assert costs(on_anvil, "voucher", whole, voucher, price=0, key=signer_key())[0] <= 145_000


def test_gas_of_a_further_collection_with_fifty_tokens(on_anvil: Sales) -> None:
    on_anvil.collection(first=50, minter=on_anvil.bob)
    assert on_anvil.gas <= 300_000


def test_gas_of_batches_is_what_it_was(on_anvil: Sales) -> None:
    """The ceilings of the first contract; a proxy adds its own call, 2,700 with the terms that it reads."""
    for whole, more in ((True, 0), (False, 2_800)):
        collection = on_anvil.collection(whole)
        mint = collection.functions.mintBatch
        found = []
        for start in (1, 51):
            on_anvil.send(mint(start, NEVER_SEEN[1], 50, ART))
            found.append(on_anvil.gas)
        on_anvil.send(mint(101, on_anvil.alice, 1, ART))
        on_anvil.send(collection.functions.transferFrom(on_anvil.alice, NEVER_SEEN[2], 101), sender=on_anvil.alice)
        assert (found[0] <= 195_000 + more, found[1] <= 178_000 + more) == (True, True)
        assert on_anvil.gas <= 82_000 + 2 * 2_600 + more  # two steps to find one of three batches
