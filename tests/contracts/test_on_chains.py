"""The contract as it ships on real nodes, driven by web3."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest

from pipeline.mint.compile import matches_source


def ipfs_uri(digest: bytes, path: str) -> str:
    """By Python's own base32: the oracle of the contract's."""
    cid = base64.b32encode(b"\x01\x70\x12\x20" + digest).decode().lower().rstrip("=")
    return f"ipfs://b{cid}/{path}"


@pytest.fixture(params=["anvil", "ganache"])
def collection(request: pytest.FixtureRequest, deploy: Any) -> Any:
    return deploy(request.getfixturevalue(request.param))


def test_deployed_code_is_the_source(collection: Any) -> None:
    assert matches_source(bytes(collection.w3.eth.get_code(collection.contract.address)))


def test_a_collection_lives(collection: Any) -> None:
    alice, bob = collection.alice, collection.bob
    receipt = collection.send("mintBatch", 1, alice, 50, hashlib.sha256(b"first").digest())
    transfers = collection.contract.events.Transfer().process_receipt(receipt)
    assert [log["args"]["tokenId"] for log in transfers] == list(range(1, 51))
    assert {log["args"]["to"] for log in transfers} == {alice}

    collection.send("airdrop", 51, [alice, bob, bob], hashlib.sha256(b"second").digest())
    collection.send("transferFrom", alice, bob, 25, sender=alice)
    collection.send("safeTransferFrom(address,address,uint256,bytes)", alice, bob, 50, b"data", sender=alice)

    owners = [collection.call("ownerOf", token_id) for token_id in range(1, 54)]
    assert [i + 1 for i, owner in enumerate(owners) if owner == bob] == [25, 50, 52, 53]
    assert collection.call("balanceOf", alice) == 49
    assert collection.call("totalSupply") == 53
    assert collection.call("batchOf", 51) == [51, 53, hashlib.sha256(b"second").digest()]


@pytest.mark.parametrize("digest", [bytes(31) + b"\x01", b"\xff" * 32, hashlib.sha256(b"a directory").digest()])
def test_uris_are_those_of_python(collection: Any, digest: bytes) -> None:
    collection.send("mintBatch", 1, collection.alice, 11, digest)
    for token_id in (1, 9, 10, 11):
        assert collection.call("tokenURI", token_id) == ipfs_uri(digest, f"{token_id}.json")
    assert collection.call("contractURI") == ipfs_uri(bytes(range(32)), "collection.json")


def test_a_repeated_mint_reverts_with_a_reason_that_can_be_read(collection: Any) -> None:
    from web3.exceptions import Web3Exception

    collection.send("mintBatch", 1, collection.alice, 5, b"\x07" * 32)
    mint = collection.contract.functions.mintBatch(1, collection.alice, 5, b"\x07" * 32)
    with pytest.raises(Web3Exception) as caught:
        mint.call({"from": collection.owner})
    selector = collection.w3.keccak(text="UnexpectedStart(uint256,uint256)")[:4].hex()
    assert f"{selector}{1:064x}{6:064x}" in str(caught.value)


def test_a_batch_of_eight_thousand_fits_the_transaction_gas_limit(anvil: Any, deploy: Any) -> None:
    collection = deploy(anvil)
    receipt = collection.send("mintBatch", 1, collection.alice, 8_000, b"\x07" * 32)
    assert receipt["gasUsed"] < 2**24
    assert collection.call("ownerOf", 8_000) == collection.alice
