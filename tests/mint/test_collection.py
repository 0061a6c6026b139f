"""The contract's face: what is sent, what comes back, and who may receive."""

from __future__ import annotations

import pytest
from mint.conftest import House, Opener
from mint.plans import SOMEBODY, digest_of

from pipeline.base.errors import BadArgument, BadRecipient, ChainError
from pipeline.base.records import ZERO_ADDRESS, Address
from pipeline.mint.chain import connect
from pipeline.mint.collection import (
    DELEGATION,
    Collection,
    check_recipients,
    contract_uri,
    decoded_error,
    mint_call,
    parsed_address,
    predicted_address,
)

PERSON = Address("0x70997970C51812dc3A010C7d01b50e0d17dc79C8")
# Answer every call with its own selector, as a wallet contract would; answer with nothing; refuse with no reason.
ACCEPTS = "0x63150b7a0260e01b60005260206000f3"
SILENT = "0x00"
REFUSES = "0x60006000fd"


def test_what_the_contract_says_is_what_was_planned(house: House) -> None:
    house.mint()
    state = house.contract.state()
    assert (state.name, state.symbol, state.owner, state.minter) == ("Tests", "TST", house.signer.address, ZERO_ADDRESS)
    assert (state.total_supply, state.max_supply, state.frozen, state.closed) == (15, 0, False, False)
    assert state.contract_uri == contract_uri(digest_of("Tests info"))
    assert contract_uri(bytes(32)) == ""
    batch = house.contract.batch_of(7)
    assert batch and (batch.start, batch.end, batch.digest) == (6, 10, digest_of("Tests metadata 1"))
    assert house.contract.batch_of(16) is None
    assert house.contract.owners_of([15, 16]) == [SOMEBODY, None]
    assert house.contract.token_uris([16]) == [None]
    log = house.contract.mint_log(6, 0)
    assert log and log.block_number == 3


def test_different_recipients_get_their_tokens_in_one_transaction(anvil: str, open_house: Opener) -> None:
    house = open_house(anvil, batches=1, recipients=[SOMEBODY, PERSON, "0x" + "22" * 20])
    house.mint()
    house.assert_exact(transactions=2)


def test_one_recipient_is_the_cheap_call_and_several_the_other() -> None:
    assert mint_call(1, [PERSON] * 3, bytes(32))[:4] != mint_call(1, [PERSON, Address(SOMEBODY)], bytes(32))[:4]


def test_a_contract_is_where_it_was_said_to_be(house: House) -> None:
    predicted = predicted_address(house.signer.address, 0)
    assert house.sender().ensure_deployed(1) == predicted == house.contract.address


def test_an_address_without_our_contract_is_noticed(house: House) -> None:
    house.mint()
    house.node("anvil_setCode", house.contract.address, "0x00")
    with pytest.raises(ChainError, match="other code"):
        house.sender().ensure_deployed(1)
    assert not Collection(house.chain, PERSON).exists()
    with pytest.raises(ChainError, match="does not answer as our contract would"):
        Collection(house.chain, PERSON).next_token_id()


@pytest.mark.parametrize("code", ["0x", ACCEPTS, "0x" + DELEGATION.hex() + "11" * 20])
def test_people_wallets_and_delegated_accounts_can_receive(house: House, code: str) -> None:
    house.node("anvil_setCode", SOMEBODY, code)
    check_recipients(house.chain, [PERSON, Address(SOMEBODY)], house.signer.address)


@pytest.mark.parametrize("code", [SILENT, REFUSES])
def test_a_contract_that_takes_no_tokens_is_refused_before_anything_is_signed(house: House, code: str) -> None:
    house.node("anvil_setCode", SOMEBODY, code)
    with pytest.raises(BadRecipient, match=SOMEBODY):
        house.mint()
    assert house.states("slot") == ["mined"]  # the deployment


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0x",
        "vitalik.eth",
        "0x" + "0" * 40,
        PERSON[:-1],
        PERSON + "0",
        PERSON.swapcase(),
        PERSON[:-1] + "c",
        "0x" + "g" * 40,
    ],
)
def test_what_is_no_account_is_refused(text: str) -> None:
    with pytest.raises(BadArgument):
        parsed_address(text, "--to")


def test_addresses_without_checksum_get_one() -> None:
    assert parsed_address(PERSON.lower()) == PERSON
    assert parsed_address("0x" + PERSON[2:].upper()) == PERSON


def test_errors_of_contracts_are_told_by_name() -> None:
    from eth_abi.abi import encode
    from web3 import Web3

    def data(signature: str, types: list[str], values: list[object]) -> bytes:
        return bytes(Web3.keccak(text=signature)[:4]) + encode(types, values)

    two = ["uint256", "uint256"]
    assert (
        decoded_error(data("UnexpectedStart(uint256,uint256)", two, [1, 6])) == "UnexpectedStart(expected=1, actual=6)"
    )
    assert decoded_error(data("MintingIsClosed()", [], [])) == "MintingIsClosed()"
    assert decoded_error(data("Error(string)", ["string"], ["no"])) == "Error(reason=no)"
    assert decoded_error(data("Panic(uint256)", ["uint256"], [17])) == "Panic(code=17)"
    assert decoded_error(b"\x01\x02\x03\x04") == "an unknown error, 0x01020304"
    assert decoded_error(data("UnexpectedStart(uint256,uint256)", [], [])).startswith("UnexpectedStart(")
    assert decoded_error(b"") == decoded_error(None) == "no reason given"


def test_the_contract_reads_the_same_on_ganache(ganache: str, open_house: Opener) -> None:
    house = open_house(ganache)
    house.mint()
    house.assert_exact(transactions=5)
    assert house.contract.owners_of([15, 16]) == [SOMEBODY, None]
    assert house.contract.batch_of(16) is None
    check_recipients(connect(ganache), [PERSON], house.signer.address)
    with pytest.raises(BadRecipient):
        check_recipients(connect(ganache), [house.contract.address], house.signer.address)
