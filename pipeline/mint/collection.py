"""The contract's face: what is sent to it, and what it says, in our words.

web3.py knows the ABI; requests go through our own client (many reads in one JSON batch), which is strict, keeps the
RPC URL to itself, and asks for nothing twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from pipeline.base import words
from pipeline.base.cid import CID, IpfsUri
from pipeline.base.errors import BadArgument, BadRecipient, RpcError, RpcUnavailable
from pipeline.base.records import ZERO_ADDRESS, Address, hex_data
from pipeline.mint.chain import Chain, Log, Receipt, accepted, checksummed
from pipeline.mint.compile import load_artifact

if TYPE_CHECKING:
    from eth_typing import HexAddress
    from web3.types import Nonce

DELEGATION = bytes.fromhex("ef0100")  # EIP-7702: an account of a person, with code lent to it
ON_RECEIVED = bytes.fromhex("150b7a02")  # onERC721Received(address,address,uint256,bytes), also its own answer
TRANSFER = bytes.fromhex("ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef")
NO_ADDRESS = bytes(32)  # as a topic
ERROR_STRING = bytes.fromhex("08c379a0")  # Error(string)
PANIC = bytes.fromhex("4e487b71")  # Panic(uint256)


@dataclass(frozen=True, slots=True)
class Constructor:
    """The arguments of the constructor, in its order."""

    name: str
    symbol: str
    owner: Address
    minter: Address  # ZERO_ADDRESS: nobody beside the owner
    royalty_receiver: Address
    royalty_bps: int
    max_supply: int  # 0: no maximum
    info_digest: bytes  # of the directory with collection.json; 32 zero bytes: none


@dataclass(frozen=True, slots=True)
class State:
    """What the contract says about itself."""

    name: str
    symbol: str
    owner: Address
    minter: Address
    max_supply: int
    total_supply: int
    contract_uri: str
    frozen: bool
    closed: bool


@dataclass(frozen=True, slots=True)
class OnChainBatch:
    """A batch as the contract keeps it: tokens `start` to `end`, both included."""

    start: int
    end: int
    digest: bytes


class Collection:
    """A deployed contract. Every read may be asked at a block number; RpcError or RpcUnavailable come through."""

    def __init__(self, chain: Chain, address: Address) -> None:
        self.chain = chain
        self.address = address

    def __repr__(self) -> str:
        return f"Collection({self.address})"

    def exists(self) -> bool:
        return len(self.chain.code(self.address)) > 0

    def next_token_id(self) -> int:
        return int(self._read("nextTokenId"))

    def batch_of(self, token_id: int) -> OnChainBatch | None:
        """The batch that holds a token; None when there is no such token."""
        (answer,) = self._read_many("batchOf", [token_id])
        return None if answer is None else OnChainBatch(*answer)

    def owners_of(self, token_ids: Sequence[int], at: int | str = "latest") -> list[Address | None]:
        """The owner of each token, None where there is no such token."""
        return [None if owner is None else checksummed(owner) for owner in self._read_many("ownerOf", token_ids, at)]

    def token_uris(self, token_ids: Sequence[int], at: int | str = "latest") -> list[str | None]:
        """The URI of each token, None where there is no such token."""
        return cast(list[str | None], self._read_many("tokenURI", token_ids, at))

    def state(self) -> State:
        names = ("name", "symbol", "owner", "minter", "maxSupply", "totalSupply", "contractURI", "frozen", "closed")
        answers = self.chain.rpc.batch([self._call(name, b"") for name in names])
        values = [self._decoded(name, accepted(answer)) for name, answer in zip(names, answers, strict=True)]
        values[2:4] = map(checksummed, values[2:4])
        return State(*values)

    def royalty(self) -> tuple[Address, int]:
        """Who gets royalties, and how many hundredths of a percent."""
        method, params = self._call("royaltyInfo", word(1) + word(10_000))
        receiver, bps = self._decoded("royaltyInfo", self.chain.rpc.call(method, params))
        return checksummed(receiver), int(bps)

    def mint_log(self, token_id: int, first_block: int) -> Log | None:
        """The event that minted a token; None when the node does not find it, or refuses to look that far back."""
        topics = [hex_data(TRANSFER), hex_data(NO_ADDRESS), None, hex_data(word(token_id))]
        try:
            found = self.chain.logs(self.address, first_block, self.chain.head().number, topics)
        except RpcError:
            return None
        return found[0] if found else None

    # ── inside ───────────────────────────────────────────────────────────────────────────────────────────────

    def _read(self, name: str) -> Any:
        method, params = self._call(name, b"")
        return self._decoded(name, self.chain.rpc.call(method, params))

    def _read_many(self, name: str, token_ids: Sequence[int], at: int | str = "latest") -> list[Any]:
        answers = self.chain.rpc.batch([self._call(name, word(token_id), at) for token_id in token_ids])
        return [self._decoded_or_none(name, answer) for answer in answers]

    def _call(self, name: str, arguments: bytes, at: int | str = "latest") -> tuple[str, list[Any]]:
        data = hex_data(_selector(name) + arguments)
        return "eth_call", [{"to": self.address, "data": data}, at if isinstance(at, str) else hex(at)]

    def _decoded_or_none(self, name: str, answer: Any) -> Any:
        if isinstance(answer, RpcError) and _is_no_such_token(answer.fields["data"]):
            return None
        return self._decoded(name, accepted(answer))

    def _decoded(self, name: str, answer: Any) -> Any:
        """The value, or the tuple of values, that a function returned."""
        from eth_abi.abi import decode
        from eth_abi.exceptions import DecodingError

        types = _output_types(name)
        data = self.chain.parsed_bytes("eth_call", answer)
        if types == ("address",) and len(data) == 32:  # the usual case of a thousand
            return data[12:]
        try:
            values = decode(types, data)
        except DecodingError as error:
            raise RpcUnavailable(
                rpc=self.chain.rpc.shown, method=name, reason=f"{self.address} does not answer as our contract would"
            ) from error
        return values[0] if len(values) == 1 else values


# ── what is sent ─────────────────────────────────────────────────────────────────────────────────────────────────


def deploy_data(settings: Constructor) -> bytes:
    """The init code that creates a collection."""
    constructor = _codec().constructor(
        settings.name,
        settings.symbol,
        settings.owner,
        settings.minter,
        settings.royalty_receiver,
        settings.royalty_bps,
        settings.max_supply,
        settings.info_digest,
    )
    return bytes.fromhex(str(constructor.data_in_transaction)[2:])


def mint_call(start: int, recipients: Sequence[Address], digest: bytes) -> bytes:
    """Call data that mints `start`, `start + 1`, … to the recipients, in order: one recipient is much cheaper."""
    if len(set(recipients)) == 1:
        return _encoded("mintBatch", [start, recipients[0], len(recipients), digest])
    return _encoded("airdrop", [start, list(recipients), digest])


def transfer_call(sender: Address, recipient: Address, token_id: int) -> bytes:
    """Call data that gives a token to somebody; a contract that cannot hold it reverts it."""
    return _encoded("safeTransferFrom(address,address,uint256)", [sender, recipient, token_id])


def predicted_address(sender: Address, nonce: int) -> Address:
    """Where a contract created by `sender` with `nonce` will be: known before anything is sent (CREATE)."""
    from web3.utils.address import get_create_address

    return Address(get_create_address(cast("HexAddress", sender), cast("Nonce", nonce)))


def contract_uri(info_digest: bytes) -> str:
    """What contractURI() says for the digest of the directory that holds collection.json."""
    return str(IpfsUri(CID.dag_pb(info_digest), "collection.json")) if any(info_digest) else ""


# ── what comes back ──────────────────────────────────────────────────────────────────────────────────────────────


def minted_tokens(receipt: Receipt, contract: Address) -> list[int]:
    """Token ids that a transaction minted in `contract`, in order, from its Transfer events."""
    return [
        int.from_bytes(log.topics[3], "big")
        for log in receipt.logs
        if log.address == contract and log.topics[:2] == (TRANSFER, NO_ADDRESS) and len(log.topics) == 4
    ]


def gave(receipt: Receipt, contract: Address, sender: Address, recipient: Address, token_id: int) -> bool:
    """Whether a transaction moved this token of `contract` from `sender` to `recipient`, by its Transfer events."""
    ends = [bytes(12) + bytes.fromhex(address[2:]) for address in (sender, recipient)]
    return any(log.address == contract and log.topics == (TRANSFER, *ends, word(token_id)) for log in receipt.logs)


def decoded_error(data: bytes | None) -> str:
    """A revert's data as "Name(argument=value, …)"."""
    if not data:
        return "no reason given"
    if data[:4] == ERROR_STRING:
        return _with_values("Error", [("reason", "string")], data)
    if data[:4] == PANIC:
        return _with_values("Panic", [("code", "uint256")], data)
    known = _errors().get(data[:4])
    if known is None:
        return f"an unknown error, {hex_data(data)[:74]}"
    return _with_values(*known, data)


# ── who can receive ──────────────────────────────────────────────────────────────────────────────────────────────


def parsed_address(text: str, name: str = "address") -> Address:
    """`text` as an address, by the rule of `words.address`. Raises BadArgument."""
    try:
        return words.address(text)
    except words.Expected as expected:
        raise BadArgument(name=name, value=text[:80], expected=str(expected)) from None


def check_recipients(chain: Chain, recipients: Sequence[Address], minter: Address) -> None:
    """Raise BadRecipient for a contract that does not take ERC-721 tokens, BadArgument for what is no account.

    Minting calls nothing on the recipient, so that nobody can hold up a batch: who mints asks beforehand. People's
    accounts have no code, or code lent by EIP-7702; a contract must answer onERC721Received as ERC-721 says.
    """
    different = list(dict.fromkeys(parsed_address(recipient, "recipient") for recipient in recipients))
    codes = chain.codes(different)
    contracts = [address for address, code in zip(different, codes, strict=True) if code and code[:3] != DELEGATION]
    for address in contracts:
        try:
            answer = chain.call(address, _received_call(minter), sender=minter)
        except RpcError as error:
            raise BadRecipient(address=address, reason=decoded_error(error.fields["data"])) from error
        if answer[:4] != ON_RECEIVED or len(answer) != 32:
            raise BadRecipient(address=address, reason="it does not answer onERC721Received")


def _received_call(minter: Address) -> bytes:
    from eth_abi.abi import encode

    return ON_RECEIVED + encode(["address", "address", "uint256", "bytes"], [minter, ZERO_ADDRESS, 1, b""])


@cache
def _codec() -> Any:
    """web3.py's class of the contract, without a node."""
    from web3 import Web3

    artifact = load_artifact()
    return Web3().eth.contract(abi=artifact.abi, bytecode=artifact.bytecode)


def _encoded(name: str, arguments: list[Any]) -> bytes:
    return bytes.fromhex(_codec().encode_abi(name, arguments)[2:])


@cache
def _selector(name: str) -> bytes:
    from web3 import Web3

    function = _entry("function", name)
    types = ",".join(item["type"] for item in function["inputs"])
    return bytes(Web3.keccak(text=f"{name}({types})")[:4])


@cache
def _output_types(name: str) -> tuple[str, ...]:
    return tuple(item["type"] for item in _entry("function", name)["outputs"])


@cache
def _errors() -> dict[bytes, tuple[str, list[tuple[str, str]]]]:
    from web3 import Web3

    found = {}
    for entry in _codec().abi:
        if entry["type"] == "error":
            arguments = [(item["name"], item["type"]) for item in entry["inputs"]]
            signature = f"{entry['name']}({','.join(kind for _, kind in arguments)})"
            found[bytes(Web3.keccak(text=signature)[:4])] = (entry["name"], arguments)
    return found


def _entry(kind: str, name: str) -> Any:
    return next(entry for entry in _codec().abi if entry["type"] == kind and entry["name"] == name)


def _with_values(name: str, arguments: list[tuple[str, str]], data: bytes) -> str:
    from eth_abi.abi import decode
    from eth_abi.exceptions import DecodingError

    try:
        values = decode([kind for _, kind in arguments], data[4:])
    except DecodingError:
        return f"{name}({hex_data(data[4:])[:74]})"
    return f"{name}({', '.join(f'{key}={_plain(value)}' for (key, _), value in zip(arguments, values, strict=True))})"


def _plain(value: Any) -> str:
    return hex_data(value) if isinstance(value, bytes) else str(value)


def _is_no_such_token(data: bytes | None) -> bool:
    return data is not None and decoded_error(data).startswith("ERC721NonexistentToken(")


def word(number: int) -> bytes:
    """A uint256 as the ABI writes it."""
    return number.to_bytes(32, "big")
