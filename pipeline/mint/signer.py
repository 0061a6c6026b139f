"""Who signs, and whether the bytes that come back are the ones that were asked for.

Keys come from the development chain's own node, from a keystore file, or from the environment, or stay in a signer of
the user's own; never from a command line, and they are never written anywhere. Only transactions with explicit chain id,
nonce, gas and fees are signed: of type 2 (EIP-1559), or legacy ones where the chain knows no other; these with the chain
id in the signature (EIP-155), for one without it could be replayed on every other chain.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pipeline.base.errors import BadArgument, KeyRefused, SignerMismatch
from pipeline.base.keyfiles import read_key_file
from pipeline.base.limits import KEYSTORE_BYTES
from pipeline.base.records import Address, hex_data
from pipeline.base.secrets import KEYSTORE_PASSWORD, PRIVATE_KEY
from pipeline.base.untrusted import parse_json
from pipeline.mint.chain import Chain, checksummed, plain_bytes
from pipeline.mint.collection import parsed_address
from pipeline.mint.rpc import READS, Rpc

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

log = logging.getLogger(__name__)


ETHEREUM = 1  # here a key in the environment is refused
MAX_WORK = {  # of each parameter of a key derivation; geth's own files have n = 2^18, r = 8, p = 1: a second and 256 MiB
    "scrypt": {"n": 1 << 20, "r": 32, "p": 32},
    "pbkdf2": {"c": 10_000_000},
}
MAX_SCRYPT_PRODUCT = 1 << 22  # n·r·p, which its time grows with
SIGNER_TIMEOUT_S = 300.0  # of an external signer, which may wait for a person
TINY_KEYS = 100  # private keys 1 to 100: guessed by everybody

# The accounts of mnemonics that stand in every manual. What is sent to them elsewhere is taken within seconds.
DEV_ACCOUNTS = frozenset(
    {
        # "test test test test test test test test test test test junk" (anvil, hardhat)
        "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266",
        "0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
        "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC",
        "0x90F79bf6EB2c4f870365E785982E1f101E93b906",
        "0x15d34AAf54267DB7D7c367839AAf71A00a2C6A65",
        "0x9965507D1a55bcC2695C58ba16FB37d819B0A4dc",
        "0x976EA74026E726554dB657fA54763abd0C3a0aa9",
        "0x14dC79964da2C08b23698B3D3cc7Ca32193d9955",
        "0x23618e81E3f5cdF7f54C3d65f7FBc0aBf5B21E8f",
        "0xa0Ee7A142d267C1f36714E4a8F75612F20a79720",
        "0xBcd4042DE499D14e55001CcbB24a551F3b954096",
        "0x71bE63f3384f5fb98995898A86B02Fb2426c5788",
        "0xFABB0ac9d68B0B445fB7357272Ff202C5651694a",
        "0x1CBd3b2770909D4e10f157cABC84C7264073C9Ec",
        "0xdF3e18d64BC6A983f673Ab319CCaE4f1a57C7097",
        "0xcd3B766CCDd6AE721141F452C550Ca635964ce71",
        "0x2546BcD3c84621e976D8185a91A922aE77ECEc30",
        "0xbDA5747bFD65F08deb54cb465eB87D40e51B197E",
        "0xdD2FD4581271e230360230F9337D5c0430Bf44C0",
        "0x8626f6940E2eb28930eFb4CeF49B2d1F2C9C1199",
        # "myth like bonus scare over problem client lizard pioneer submit female collect" (ganache)
        "0x90F8bf6A479f320ead074411a4B0e7944Ea8c9C1",
        "0xFFcf8FDEE72ac11b5c542428B35EEF5769C409f0",
        "0x22d491Bde2303f2f43325b2108D26f1eAbA1e32b",
        "0xE11BA2b4D45Eaed5996Cd0823791E0C93114882d",
        "0xd03ea8624C8C5987235048901fB614fDcA89b117",
        "0x95cED938F7991cd0dFcb48F0a06a40FA1aF46EBC",
        "0x3E5e9111Ae8eB78Fe1CC3bb8915d5D461F3Ef9A9",
        "0x28a8746e75304c0780E011BEd21C72cD78cd535E",
        "0xACa94ef8bD5ffEE41947b4585a84BdA5a3d3DA6E",
        "0x1dF62f291b2E969fB0849d99D9Ce41e2F137006e",
    }
)


class Signer(Protocol):
    """Signs a transaction given with exactly the fields of `INTENT_FIELDS` or `LEGACY_FIELDS` (and `to`, unless it
    creates)."""

    @property
    def address(self) -> Address: ...

    def sign(self, tx: Mapping[str, Any]) -> bytes: ...


class NodeSigner:
    """The development chain's first account, which its own node signs for (eth_signTransaction, nothing is sent).

    Raises KeyRefused for any chain but a development chain on this machine.
    """

    def __init__(self, chain: Chain) -> None:
        if not chain.is_local:
            raise KeyRefused(
                what="the node's own account",
                reason=f"chain {chain.chain_id} at {chain.rpc.shown} is not a development chain on this machine",
                hint="set a keystore",
            )
        accounts = chain.rpc.call("eth_accounts")
        if not accounts:
            raise KeyRefused(what="the node's own account", reason="the node has none", hint="set a keystore")
        self._chain = chain
        self.address = checksummed(accounts[0])

    def sign(self, tx: Mapping[str, Any]) -> bytes:
        return _signed_at(self._chain.rpc, self.address, tx)


class RemoteSigner:
    """A program of the user's own that holds the key and answers eth_signTransaction, such as Web3Signer.

    Nothing it says is believed: `signed` compares the bytes with what was asked.
    """

    def __init__(self, rpc: Rpc, address: Address) -> None:
        self._rpc = rpc
        self.address = address

    def __repr__(self) -> str:
        return f"RemoteSigner({self.address} at {self._rpc.shown})"

    def sign(self, tx: Mapping[str, Any]) -> bytes:
        return _signed_at(self._rpc, self.address, tx)


class AccountSigner:
    """A key held in this process's memory: of a keystore file or of the environment."""

    def __init__(self, account: LocalAccount) -> None:
        self._account = account
        self.address = Address(account.address)

    def __repr__(self) -> str:
        return f"AccountSigner({self.address})"

    def sign(self, tx: Mapping[str, Any]) -> bytes:
        return bytes(self._account.sign_transaction(dict(tx)).raw_transaction)


def open_signer(
    chain: Chain,
    keystore: Path | None = None,
    *,
    environment: Mapping[str, str] = os.environ,
    ask_password: Callable[[str], str] | None = None,
    remote: RemoteSigner | None = None,
) -> Signer:
    """The signer for `chain`: a remote one, else the keystore, else the environment's key, else the local node's account.

    Raises KeyRefused for a key that must not be used there, e.g. a development key on a public chain.
    """
    signer: Signer
    if remote is not None:
        if keystore is not None:
            raise KeyRefused(what=keystore, reason="a signer URL is set as well", hint="choose one of the two")
        signer = remote
    elif keystore is not None:
        signer = keystore_signer(keystore, environment=environment, ask_password=ask_password)
    elif PRIVATE_KEY in environment:
        signer = key_signer(environment[PRIVATE_KEY], chain.chain_id)
    else:
        return NodeSigner(chain)
    refuse_dev_account(signer.address, chain)
    return signer


def remote_signer(url: str, address: str) -> RemoteSigner | None:
    """The signer behind a URL; None when none is set. Raises BadArgument unless both are given and sound."""
    if not url and not address:
        return None
    if not url or not address:
        name, other = ("--signer-url", "--signer-address") if address else ("--signer-address", "--signer-url")
        raise BadArgument(name=name, value="", expected=f"a value: it belongs to {other}")
    # A signer that is away for a moment is asked again: signing sends nothing. It has time for a person to look at the
    # request and press a button; what took so long is not asked for twice.
    rpc = Rpc(url, repeatable=READS | {"eth_signTransaction"}, read_timeout_s=SIGNER_TIMEOUT_S)
    return RemoteSigner(rpc, parsed_address(address, "--signer-address"))


def keystore_signer(
    path: Path,
    *,
    environment: Mapping[str, str] = os.environ,
    ask_password: Callable[[str], str] | None = None,
) -> AccountSigner:
    """The account of a keystore file (Web3 Secret Storage, version 3), decrypted once.

    The password comes from PIPELINE_KEYSTORE_PASSWORD or from `ask_password(prompt)`.
    Raises KeyRefused for a file others can read, work factors beyond reason, or a wrong password.
    """
    read_keystore(path)  # what is wrong with the file is said before a password is asked for
    password = environment.get(KEYSTORE_PASSWORD)
    if password is None:
        if ask_password is None:
            raise KeyRefused(what=path, reason="its password is not known", hint=f"set {KEYSTORE_PASSWORD}")
        password = ask_password(f"Password of {path}: ")
    return AccountSigner(keystore_account(path, password))


def keystore_account(path: Path, password: str) -> LocalAccount:
    """The decrypted account of a keystore file. Raises KeyRefused like `keystore_signer`."""
    content = read_keystore(path)
    from eth_account import Account

    account: LocalAccount | None = None
    try:
        account = Account.from_key(Account.decrypt(content, password))
    except (ValueError, TypeError, KeyError, NotImplementedError):
        pass  # raised below: the library's words and frames hold the password
    if account is None:
        raise KeyRefused(what=path, reason="wrong password, or the file is damaged", hint="check the password")
    return account


def key_signer(key: str, chain_id: int) -> AccountSigner:
    """The account of a private key given as hex digits. Raises KeyRefused on Ethereum itself, or for no valid key."""
    if chain_id == ETHEREUM:
        raise KeyRefused(what=PRIVATE_KEY, reason="not on Ethereum's main network", hint="set a keystore")
    account = parsed_key(key, PRIVATE_KEY)
    log.warning("signing as %s with a key from the environment: a keystore is safer", account.address)
    return AccountSigner(account)


def parsed_key(key: str, name: str) -> LocalAccount:
    """The account of a private key of 64 hex digits. Raises KeyRefused, without quoting it, for what is none."""
    from eth_account import Account

    account: LocalAccount | None = None
    try:
        account = Account.from_key(key.strip())
    except Exception:  # raised below: whatever the library says, it may quote the key
        account = None
    if account is None:
        raise KeyRefused(what=name, reason="it is not a private key of 64 hex digits", hint="")
    return account


def refuse_dev_account(address: Address, chain: Chain) -> None:
    """Raise KeyRefused for an account whose key everybody knows, unless the chain is a local development chain."""
    if not chain.is_local and (address in DEV_ACCOUNTS or address in _tiny_accounts()):
        raise KeyRefused(
            what=address,
            reason=f"everybody knows this development key, and chain {chain.chain_id} is not a local development chain",
            hint="make a key of your own and set it as a keystore",
        )


# ── what was signed ──────────────────────────────────────────────────────────────────────────────────────────────

INTENT_FIELDS = ("type", "chainId", "nonce", "value", "gas", "maxFeePerGas", "maxPriorityFeePerGas", "data")
LEGACY_FIELDS = ("chainId", "nonce", "value", "gas", "gasPrice", "data")


def signed(signer: Signer, tx: Mapping[str, Any]) -> tuple[bytes, bytes]:
    """Have `tx` signed. Returns the raw bytes and their keccak-256, the transaction's hash.

    Raises SignerMismatch unless the bytes decode to exactly `tx` and were signed by `signer.address`.
    """
    fields = _fields_of(tx)
    assert set(fields) <= tx.keys() <= {*fields, "to"} and tx.get("type", 2) == 2
    raw = signer.sign(tx)
    check_signed(raw, tx, signer.address)
    return raw, keccak(raw)


def check_signed(raw: bytes, tx: Mapping[str, Any], sender: Address) -> None:
    """Raise SignerMismatch unless `raw` is `tx`, signed by `sender`."""
    wanted = tx.get("type", "legacy")
    if _type_of(raw) != wanted:
        raise SignerMismatch(field="type", expected=wanted, got=_type_of(raw) if raw else "nothing")
    from eth_account import Account

    try:
        found = decoded(raw)
        signed_by = Account.recover_transaction(raw)
    except Exception as error:  # rlp, eth_keys and eth_account have no common base for "these bytes are none"
        raise SignerMismatch(field="encoding", expected=f"a transaction of type {wanted}", got="other bytes") from error
    for name in _fields_of(tx):
        _compare(name, tx[name], found[name])
    _compare("to", tx.get("to"), found["to"])
    _compare("accessList", (), found["accessList"])
    _compare("encoding", found["canonical"], raw)  # the decoder reads an empty list as zero; nodes may not
    _compare("sender", sender, signed_by)


def decoded(raw: bytes) -> dict[str, Any]:
    """The fields of a signed transaction, `canonical` being the bytes that they give. Raises what the decoders raise."""
    if _type_of(raw) == "legacy":
        return _decoded_legacy(raw)
    from eth_account.typed_transactions.typed_transaction import TypedTransaction
    from hexbytes import HexBytes

    transaction = TypedTransaction.from_bytes(HexBytes(raw))
    found = transaction.as_dict()
    to = bytes(found["to"])
    return {
        **found,
        "data": bytes(found["data"]),
        "to": checksummed(to) if to else None,
        "accessList": tuple(found["accessList"]),
        "canonical": transaction.encode(),
    }


def _decoded_legacy(raw: bytes) -> dict[str, Any]:
    import rlp

    parts: list[bytes] = rlp.decode(raw)
    to, data = parts[3], parts[5]
    nonce, price, gas, value, v, _, _ = (int.from_bytes(part, "big") for part in (*parts[:3], parts[4], *parts[6:]))
    return {
        "chainId": (v - 35) // 2,  # EIP-155; below zero without a chain id
        "nonce": nonce,
        "gasPrice": price,
        "gas": gas,
        "to": checksummed(to) if to else None,
        "value": value,
        "data": data,
        "accessList": (),
        "canonical": rlp.encode(parts),
    }


def _fields_of(tx: Mapping[str, Any]) -> tuple[str, ...]:
    return INTENT_FIELDS if "type" in tx else LEGACY_FIELDS


def _type_of(raw: bytes) -> int | str:
    """The type of signed bytes: the first of them below 0x80, else a legacy transaction's list (EIP-2718)."""
    return raw[0] if raw and raw[0] < 0x80 else "legacy"


def keccak(data: bytes) -> bytes:
    from eth_hash.auto import keccak as keccak_256

    return keccak_256(data)


def _compare(field: str, expected: object, got: object) -> None:
    if expected != got:
        raise SignerMismatch(field=field, expected=_short(expected), got=_short(got))


def _short(value: object) -> str:
    text = hex_data(value) if isinstance(value, bytes) else str(value)
    return text if len(text) <= 80 else f"{text[:40]}… ({len(text)} characters)"


def _signed_at(rpc: Rpc, address: Address, tx: Mapping[str, Any]) -> bytes:
    """What a JSON-RPC signer answers: the raw bytes as hex digits, or (geth, Clef) an object that holds them."""
    request = {"from": address} | {name: _json_form(value) for name, value in tx.items()}
    answer = rpc.call("eth_signTransaction", [request])
    if isinstance(answer, dict):
        answer = answer.get("raw")
    try:
        return plain_bytes(answer)
    except ValueError as error:
        raise SignerMismatch(field="answer", expected="signed bytes in hex", got=_short(answer)) from error


def _json_form(value: Any) -> Any:
    if isinstance(value, bytes):
        return hex_data(value)
    return hex(value) if isinstance(value, int) else value


# ── keystore files ───────────────────────────────────────────────────────────────────────────────────────────────


def read_keystore(path: Path) -> dict[str, Any]:
    """The content of a keystore file, still encrypted. Raises KeyRefused for a file that must not or cannot be used."""
    content = _read_private(path)
    _check_work(path, content)
    return content


def _read_private(path: Path) -> dict[str, Any]:
    """The JSON of a regular file that only its owner can read."""
    data = read_key_file(path, KEYSTORE_BYTES, "check the path; `pipeline account new` makes one")
    try:
        content = parse_json(data)
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise KeyRefused(what=path, reason="it is not a keystore file", hint="")
    return content


def _check_work(path: Path, content: Mapping[str, Any]) -> None:
    """Refuse work factors that would take minutes or gigabytes before the password is even looked at."""
    lower = {str(name).lower(): value for name, value in content.items()}
    crypto = lower.get("crypto")
    params = crypto.get("kdfparams") if isinstance(crypto, dict) else None
    if not isinstance(crypto, dict) or not isinstance(params, dict):
        raise KeyRefused(what=path, reason="it is not a keystore file", hint="")
    limits = MAX_WORK.get(str(crypto.get("kdf")))
    if limits is None:
        raise KeyRefused(what=path, reason="its key derivation is neither scrypt nor pbkdf2", hint="")
    work = 1
    for name, limit in limits.items():
        value = params.get(name)
        if type(value) is not int or value < 1 or params.get("dklen") != 32:
            raise KeyRefused(what=path, reason="its key derivation has senseless parameters", hint="")
        work *= value
        if value > limit or (work > MAX_SCRYPT_PRODUCT and "n" in limits):
            raise KeyRefused(what=path, reason=f"its key derivation is too much work ({name} = {value})", hint="")


def _tiny_accounts() -> frozenset[str]:
    from eth_account import Account

    return frozenset(Account.from_key(key.to_bytes(32, "big")).address for key in range(1, TINY_KEYS + 1))
