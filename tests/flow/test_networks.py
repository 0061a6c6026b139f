"""Networks by name, and what it takes before real money is spent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import REPOSITORY, Ended, Pipeline
from eth_account import Account
from eth_typing import HexStr
from nodes import anvil, fund, typed

from pipeline.base.errors import BadArgument
from pipeline.base.records import Address
from pipeline.flow.consent import confirmations
from pipeline.mint.chain import connect
from pipeline.mint.networks import NETWORKS, network_named, network_of
from pipeline.settings import load_settings

MINT = ("mint", "--count", "3", "--size", "32", "--seed", "1")
PASSWORD = "correct horse battery"
WITH_PASSWORD = {"PIPELINE_KEYSTORE_PASSWORD": PASSWORD}
KEY = "0x4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318"
ADDRESS = Account.from_key(KEY).address
ELSE = "0x1111111111111111111111111111111111111111"


@pytest.fixture
def keystore(tmp_path: Path) -> Path:
    import json

    path = tmp_path / "key.json"
    path.write_text(json.dumps(Account.encrypt(HexStr(KEY), PASSWORD, kdf="pbkdf2", iterations=1000)))
    path.chmod(0o600)
    return path


@pytest.fixture
def ethereum() -> Iterator[str]:
    """A chain that says it is Ethereum, where our account has money."""
    with anvil("--chain-id", "1") as url:
        fund(url, ADDRESS)
        yield url


def _nothing_happened(ended: Ended, url: str, folder: Path) -> None:
    assert ended.code == 2 and ended.out == "", ended.err
    assert connect(url).nonce(Address(ADDRESS)) == 0
    assert connect(url).head().number == 0
    assert not (folder / "workspace" / "images").exists()


# ── names ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_names_and_chain_ids_are_unique() -> None:
    assert len({network.name for network in NETWORKS}) == len({n.chain_id for n in NETWORKS}) == len(NETWORKS)
    assert {network.chain_id for network in NETWORKS if network.is_real_money} == {1, 10, 137, 8453, 42161}
    for network in NETWORKS:
        assert network_of(network.chain_id) is network_named(network.name)
    assert network_of(4) is None


def test_an_unknown_network_is_answered_with_a_near_name(pipeline: Pipeline, tmp_path: Path) -> None:
    with pytest.raises(BadArgument, match="sepolai") as caught:
        network_named("sepolai")
    assert "'sepolia'" in caught.value.hint
    assert pipeline(*MINT, "--network", "sepolai").code == 2
    assert list(tmp_path.iterdir()) == []


def test_confirmations_are_the_chains_by_its_id_unless_given(tmp_path: Path) -> None:
    def depth(chain_id: int, *, is_rehearsal: bool = False, **flags: str) -> int:
        return confirmations(load_settings(flags, {}, tmp_path), chain_id, is_rehearsal=is_rehearsal)

    assert depth(31337) == depth(4242) == 1
    assert depth(11155111) == 2
    assert depth(11155111, is_rehearsal=True) == 1
    assert depth(137, network="polygon") == 16
    assert depth(137, network="polygon", confirmations="2") == 2


def test_another_chain_than_the_named_one_is_refused_before_signing(pipeline: Pipeline, tmp_path: Path) -> None:
    with anvil() as url:
        ended = pipeline(*MINT, "--rpc-url", url, "--network", "sepolia")
        assert ended.code == 1 and "is chain 31337, but sepolia is chain 11155111" in ended.err
        assert connect(url).head().number == 0
    assert (
        "--rpc-url is not given" in pipeline(*MINT, "--network", "sepolia").err
    )  # the embedded chain is none of the public ones
    assert not (tmp_path / "workspace" / "images").exists()
    assert pipeline(*MINT, "--network", "anvil").code == 0


def test_a_named_testnet_needs_no_confirmation_and_links_to_its_explorer(
    pipeline: Pipeline, tmp_path: Path, keystore: Path
) -> None:
    with anvil("--chain-id", "11155111", "--block-time", "1") as url:
        fund(url, ADDRESS)
        words = (*MINT, "--rpc-url", url, "--network", "sepolia", "--keystore", keystore)
        minted = pipeline(*words, "--json", env=WITH_PASSWORD)
        assert minted.code == 0, minted.err
        assert connect(url).head().number >= 3  # deployed, minted, confirmed
    contract = minted.json["contract"]
    assert minted.json["explorer"] == f"https://sepolia.etherscan.io/address/{contract}"
    assert pipeline("show", "2", "--json").json["explorer"] == f"https://sepolia.etherscan.io/nft/{contract}/2"


# ── real money ───────────────────────────────────────────────────────────────────────────────────────────────


def test_real_money_needs_the_network_a_limit_and_the_name(
    pipeline: Pipeline, tmp_path: Path, keystore: Path, ethereum: str
) -> None:
    words: tuple[str | Path, ...] = (*MINT, "--rpc-url", ethereum, "--keystore", keystore)
    for more, word in (
        ((), "--network mainnet"),
        (("--network", "mainnet"), "--max-run-eth"),
        (("--max-run-eth", "1", "--confirm-name", "Warren"), "--network mainnet"),
        (("--network", "mainnet", "--max-run-eth", "1"), "nobody typed the collection's name, 'Warren'"),
        (("--network", "mainnet", "--max-run-eth", "1", "--confirm-name", "warren"), "other words than"),
    ):
        ended = pipeline(*words, *more, env=WITH_PASSWORD)
        assert word in ended.err
        _nothing_happened(ended, ethereum, tmp_path)
    assert pipeline("status", "--json").json["collections"] == []

    agreed = ("--network", "mainnet", "--max-run-eth", "1", "--confirm-name", "Warren", "--confirmations", "1")
    minted = pipeline(*words, *agreed, "--json", env=WITH_PASSWORD)
    assert minted.code == 0, minted.err
    assert minted.json["chain_id"] == 1
    again = pipeline("mint", "--count", "1", "--more", "--size", "32", "--rpc-url", ethereum, env=WITH_PASSWORD)
    assert again.code == 2 and "--network mainnet" in again.err

    give = ("transfer", "2", "--to", ELSE, "--rpc-url", ethereum, "--keystore", keystore)
    before = connect(ethereum).nonce(Address(ADDRESS))
    for more, word in (
        ((), "--network mainnet"),
        (("--network", "mainnet", "--max-run-eth", "1"), "nobody typed the collection's name, 'Warren'"),
    ):
        ended = pipeline(*give, *more, env=WITH_PASSWORD)
        assert ended.code == 2 and word in ended.err and connect(ethereum).nonce(Address(ADDRESS)) == before
    given = pipeline(*give, *agreed, env=WITH_PASSWORD)
    assert given.code == 0 and all(word in given.err for word in ("bill      0.", "at most   1 ETH", "balance   "))


def test_no_key_is_opened_without_what_has_to_be_asked_first() -> None:
    """`signer_for` gives both together; beside it only the embedded chain's own account is opened, or an address read."""
    opening = [path.name for path in (REPOSITORY / "pipeline").rglob("*.py") if "open_signer(" in path.read_text()]
    assert sorted(opening) == ["connection.py", "open.py", "signer.py"]


def test_a_chain_without_a_name_counts_as_real_money(pipeline: Pipeline, tmp_path: Path, keystore: Path) -> None:
    with anvil("--chain-id", "4242") as url:
        fund(url, ADDRESS)
        words: tuple[str | Path, ...] = (*MINT, "--rpc-url", url, "--keystore", keystore)
        for more, word in (
            ((), "money on chain 4242 may be real"),
            (("--max-run-eth", "1"), "money on chain 4242 counts as real: nobody typed"),
        ):
            ended = pipeline(*words, *more, env=WITH_PASSWORD)
            assert word in ended.err
            _nothing_happened(ended, url, tmp_path)
        minted = pipeline(*words, "--max-run-eth", "1", "--confirm-name", "Warren", "--json", env=WITH_PASSWORD)
        assert minted.code == 0, minted.err
        assert minted.json["chain_id"] == 4242 and minted.json["explorer"] is None


def test_the_name_is_typed_at_a_terminal(tmp_path: Path, keystore: Path, ethereum: str) -> None:
    words = [*MINT, "--rpc-url", ethereum, "--keystore", str(keystore), "--network", "mainnet", "--max-run-eth", "0.25"]
    refused = typed(tmp_path, words, [PASSWORD, "yes"])
    assert "at most 0.25 ETH" in refused.err and "other words than" in refused.err
    told = (
        "assword",
        "royalty   5 %",
        "bill      0.00",
        "balance   ",
        "collectors will see nothing",
        "Type the collection",
    )
    places = [refused.err.index(word) for word in told]  # the key is opened, then the facts, and only then the question
    assert places == sorted(places)
    _nothing_happened(refused, ethereum, tmp_path)
    minted = typed(tmp_path, [*words, "--confirmations", "1", "--json"], [PASSWORD, "Warren"])
    assert minted.code == 0, minted.err
    assert len(minted.json["tokens"]) == 3


def test_mint_with_an_external_signer(pipeline: Pipeline, tmp_path: Path) -> None:
    with anvil() as url, anvil("--timestamp", "7") as keeper:
        account = connect(keeper).rpc.call("eth_accounts")[0]
        words = (*MINT, "--rpc-url", url, "--signer-url", keeper, "--signer-address", account)
        minted = pipeline(*words, "--json")
        assert minted.code == 0, minted.err
        assert connect(url).nonce(Address(account)) == 2 and connect(keeper).head().number == 0
    assert {token["owner"].lower() for token in minted.json["tokens"]} == {account.lower()}
