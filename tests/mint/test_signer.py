"""Keys that must not be used, files that must not be read, and signers that lie."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from eth_typing import HexStr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mint.faultproxy import FaultProxy

from pipeline.base.errors import BadArgument, KeyRefused, RpcUnavailable, SignerMismatch
from pipeline.base.secrets import KEYSTORE_PASSWORD, PRIVATE_KEY
from pipeline.mint.chain import Chain, connect
from pipeline.mint.devnet import devnet
from pipeline.mint.rpc import Rpc
from pipeline.mint.signer import (
    DEV_ACCOUNTS,
    AccountSigner,
    NodeSigner,
    RemoteSigner,
    check_signed,
    keccak,
    open_signer,
    remote_signer,
    signed,
)

SECRET = "4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318"
ANVIL_KEY = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
OTHER = Account.from_key("0x" + "22" * 32)


def chain_of(chain_id: int, host: str = "127.0.0.1") -> Chain:
    return Chain(Rpc(f"http://{host}:1"), chain_id, bytes(32), "")


def intent(**changes: Any) -> dict[str, Any]:
    return {
        "type": 2,
        "chainId": 1,
        "nonce": 7,
        "to": OTHER.address,
        "value": 0,
        "gas": 21000,
        "maxFeePerGas": 10,
        "maxPriorityFeePerGas": 1,
        "data": b"\x01",
    } | changes


def test_an_honest_signature_is_accepted_and_named_by_its_hash() -> None:
    raw, tx_hash = signed(AccountSigner(Account.from_key(SECRET)), intent())
    assert keccak(raw) == tx_hash and raw[0] == 2


LIES: dict[str, Any] = {
    "chainId": 5,
    "nonce": 8,
    "to": "0x" + "33" * 20,
    "value": 1,
    "gas": 21001,
    "maxFeePerGas": 11,
    "maxPriorityFeePerGas": 2,
    "data": b"\x02",
    "accessList": [{"address": "0x" + "33" * 20, "storageKeys": []}],
}


@pytest.mark.parametrize("field", [*LIES, "sender", "type", "creates", "garbage", "empty", "cut"])
def test_a_lying_signer_is_found_out(field: str) -> None:
    account = Account.from_key(SECRET)

    class Liar:
        address = account.address

        def sign(self, tx: Mapping[str, Any]) -> bytes:
            lie = dict(tx)
            if field == "sender":
                return bytes(OTHER.sign_transaction(lie).raw_transaction)
            if field == "type":
                legacy = {"nonce": 7, "to": OTHER.address, "value": 0, "gas": 21000, "gasPrice": 10, "data": b"\x01"}
                return bytes(account.sign_transaction(legacy).raw_transaction)  # replayable: no chain id
            if field == "creates":
                del lie["to"]
            elif field in LIES:
                lie[field] = LIES[field]
            raw = bytes(account.sign_transaction(lie).raw_transaction)
            return {"garbage": b"\x02\xc0garbage", "empty": b"", "cut": raw[:-1]}.get(field, raw)

    with pytest.raises(SignerMismatch):
        signed(Liar(), intent())


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.data())
def test_no_flipped_bit_passes_as_what_was_asked(data: st.DataObject) -> None:
    account = Account.from_key(SECRET)
    raw = bytearray(account.sign_transaction(intent()).raw_transaction)
    position = data.draw(st.integers(0, 8 * len(raw) - 1))
    raw[position // 8] ^= 1 << position % 8
    with pytest.raises(SignerMismatch):
        check_signed(bytes(raw), intent(), account.address)


def test_both_development_nodes_sign_type_2_transactions(anvil: str, ganache: str) -> None:
    for url in (anvil, ganache):
        chain = connect(url)
        signer = open_signer(chain, environment={})
        raw, _ = signed(signer, intent(chainId=chain.chain_id))
        creation = {
            name: value for name, value in intent(chainId=chain.chain_id, data=b"\x60\x00").items() if name != "to"
        }
        signed(signer, creation)
        assert raw[0] == 2 and signer.address in DEV_ACCOUNTS


@pytest.mark.parametrize("chain", [chain_of(1), chain_of(11155111), chain_of(31337, "node.example")])
def test_a_nodes_own_account_is_for_local_development_chains(chain: Chain) -> None:
    with pytest.raises(KeyRefused, match="not a development chain on this machine"):
        NodeSigner(chain)


@pytest.mark.parametrize("key", [ANVIL_KEY, "0x" + "00" * 31 + "01", "0x" + "00" * 31 + "64"])
def test_a_key_that_everybody_knows_is_refused_elsewhere(key: str) -> None:
    for chain in (chain_of(11155111), chain_of(31337, "node.example"), chain_of(10)):
        with pytest.raises(KeyRefused, match="everybody knows this development key"):
            open_signer(chain, environment={PRIVATE_KEY: key})
    assert open_signer(chain_of(31337), environment={PRIVATE_KEY: key}).address


def test_the_deny_list_is_that_of_the_mnemonics() -> None:
    Account.enable_unaudited_hdwallet_features()
    junk = "test test test test test test test test test test test junk"
    ganache = "myth like bonus scare over problem client lizard pioneer submit female collect"
    expected = {
        Account.from_mnemonic(words, account_path=f"m/44'/60'/0'/0/{index}").address
        for words, count in ((junk, 20), (ganache, 10))
        for index in range(count)
    }
    assert expected == DEV_ACCOUNTS


def test_a_key_from_the_environment_is_warned_about_and_refused_on_ethereum(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        signer = open_signer(chain_of(11155111), environment={PRIVATE_KEY: SECRET})
    assert "a keystore is safer" in caplog.text
    assert SECRET not in caplog.text + repr(signer) + str(vars(signer))
    with pytest.raises(KeyRefused, match="main network"):
        open_signer(chain_of(1), environment={PRIVATE_KEY: SECRET})


@pytest.mark.parametrize("key", ["", "0x12", "nonsense", SECRET + "00", "0x" + "00" * 32, "0x" + "ff" * 32])
def test_what_is_no_key_is_refused_without_quoting_it(key: str) -> None:
    with pytest.raises(KeyRefused) as caught:
        open_signer(chain_of(10), environment={PRIVATE_KEY: key})
    assert len(key) < 5 or key not in repr(caught.value.fields)
    assert caught.value.__cause__ is None and caught.value.__context__ is None


# ── a signer of one's own ────────────────────────────────────────────────────────────────────────────────────────


def external(url: str, anvil: str) -> RemoteSigner:
    signer = remote_signer(url, connect(anvil).rpc.call("eth_accounts")[0])
    assert signer is not None
    return signer


def test_another_node_signs_for_this_chain(anvil: str, tmp_path: Path) -> None:
    with devnet(tmp_path / "signer") as keeper:
        signer = open_signer(connect(anvil), environment={}, remote=external(keeper, anvil))
        raw, tx_hash = signed(signer, intent(chainId=31337, nonce=0, gas=50_000, maxFeePerGas=3 * 10**9))
        chain = connect(anvil)
        chain.send(raw)
        assert chain.transaction(tx_hash) is not None  # it is taken
        assert connect(keeper).head().number == 0


def test_a_signer_may_answer_with_an_object_or_with_the_bytes(proxy: FaultProxy, anvil: str) -> None:
    plain = external(anvil, anvil).sign(intent(chainId=31337))
    proxy.spoil("eth_signTransaction", "replace", value=lambda raw: {"raw": raw, "tx": {"hash": "0x12"}})
    assert external(proxy.url, anvil).sign(intent(chainId=31337)) == plain


@pytest.mark.parametrize("action", ["html", "limit", "drop_after", "null"])
def test_a_signer_that_is_away_for_a_moment_is_asked_again(proxy: FaultProxy, anvil: str, action: str) -> None:
    proxy.spoil("eth_signTransaction", action, times=2)
    assert external(proxy.url, anvil).sign(intent(chainId=31337)) == external(anvil, anvil).sign(intent(chainId=31337))


@pytest.mark.parametrize("answer", [7, "nonsense", {"tx": {}}, {"raw": 3}, "0x", "0x02c0"])
def test_a_signer_that_answers_something_else_is_refused(proxy: FaultProxy, anvil: str, answer: Any) -> None:
    proxy.spoil("eth_signTransaction", "replace", value=answer)
    with pytest.raises((SignerMismatch, RpcUnavailable)):
        signed(external(proxy.url, anvil), intent(chainId=31337))


def test_a_signer_that_signs_something_else_is_refused(proxy: FaultProxy, anvil: str) -> None:
    thief = bytes(OTHER.sign_transaction(intent(chainId=31337)).raw_transaction)
    proxy.spoil("eth_signTransaction", "replace", value="0x" + thief.hex())
    with pytest.raises(SignerMismatch, match="sender"):
        signed(external(proxy.url, anvil), intent(chainId=31337))
    generous = external(anvil, anvil).sign(intent(chainId=31337, value=10**18))
    proxy.spoil("eth_signTransaction", "replace", value="0x" + generous.hex())
    with pytest.raises(SignerMismatch, match="value"):
        signed(external(proxy.url, anvil), intent(chainId=31337))


def test_a_signer_needs_both_its_settings_and_no_keystore_beside_it(tmp_path: Path, content: dict[str, Any]) -> None:
    assert remote_signer("", "") is None
    for url, address in (("http://127.0.0.1:1", ""), ("", OTHER.address), ("http://127.0.0.1:1", "0x12")):
        with pytest.raises(BadArgument, match="--signer-"):
            remote_signer(url, address)
    signer = remote_signer("http://u:p@127.0.0.1:1/key", OTHER.address)
    assert "key" not in repr(signer) and "u:p" not in repr(signer)
    with pytest.raises(KeyRefused, match="signer URL"):
        open_signer(chain_of(10), keystore(tmp_path, content), environment={}, remote=signer)


def test_a_development_account_is_refused_from_any_signer() -> None:
    remote = remote_signer("http://127.0.0.1:1", "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266")
    with pytest.raises(KeyRefused, match="everybody knows"):
        open_signer(chain_of(11155111), environment={}, remote=remote)


# ── keystore files ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def content() -> dict[str, Any]:
    found: dict[str, Any] = Account.encrypt(HexStr("0x" + SECRET), "right", kdf="scrypt", iterations=2)
    return found


def keystore(folder: Path, content: Any, mode: int = 0o600) -> Path:
    path = folder / "key.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    path.chmod(mode)
    return path


def test_a_keystore_opens_with_its_password_from_the_environment_or_a_prompt(
    tmp_path: Path, content: dict[str, Any]
) -> None:
    path = keystore(tmp_path, content)
    expected = Account.from_key(SECRET).address
    assert open_signer(chain_of(1), path, environment={KEYSTORE_PASSWORD: "right"}).address == expected
    assert open_signer(chain_of(1), path, environment={}, ask_password=lambda _: "right").address == expected
    with pytest.raises(KeyRefused, match="password is not known"):
        open_signer(chain_of(1), path, environment={})


def test_a_wrong_password_or_a_tampered_file_is_refused(tmp_path: Path, content: dict[str, Any]) -> None:
    with pytest.raises(KeyRefused, match="wrong password") as caught:
        open_signer(chain_of(1), keystore(tmp_path, content), environment={KEYSTORE_PASSWORD: "wr0ng-canary"})
    assert "wr0ng-canary" not in repr(caught.value) + str(caught.value.__context__)
    tampered = json.loads(json.dumps(content))
    tampered["crypto"]["ciphertext"] = "00" * 32
    with pytest.raises(KeyRefused, match="wrong password, or the file is damaged"):
        open_signer(chain_of(1), keystore(tmp_path, tampered), environment={KEYSTORE_PASSWORD: "right"})


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")
@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_a_keystore_that_others_can_read_is_refused(tmp_path: Path, content: dict[str, Any], mode: int) -> None:
    with pytest.raises(KeyRefused, match="others can read it") as caught:
        open_signer(chain_of(1), keystore(tmp_path, content, mode), environment={KEYSTORE_PASSWORD: "right"})
    assert "chmod 600" in caught.value.hint


@pytest.mark.parametrize(
    "params",
    [
        {"n": 1 << 24},
        {"r": 1 << 20},
        {"p": 1 << 20},
        {"n": -1},
        {"n": "262144"},
        {"dklen": 1 << 30},
        {"n": None},
        {"n": True},
    ],
)
def test_work_beyond_reason_is_refused_before_it_begins(
    tmp_path: Path, content: dict[str, Any], params: dict[str, Any]
) -> None:
    changed = json.loads(json.dumps(content))
    changed["crypto"]["kdfparams"] |= params
    with pytest.raises(KeyRefused, match="too much work|senseless"):
        open_signer(chain_of(1), keystore(tmp_path, changed), environment={KEYSTORE_PASSWORD: "right"})


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "null", '{"crypto": 1}', '{"crypto": {"kdf": "md5", "kdfparams": {}}}', "[" * 9999]
)
def test_what_is_no_keystore_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(KeyRefused):
        open_signer(chain_of(1), keystore(tmp_path, text), environment={KEYSTORE_PASSWORD: "right"})
    with pytest.raises(KeyRefused):
        open_signer(chain_of(1), tmp_path / "absent", environment={KEYSTORE_PASSWORD: "right"})
    with pytest.raises(KeyRefused):
        open_signer(chain_of(1), tmp_path, environment={KEYSTORE_PASSWORD: "right"})
