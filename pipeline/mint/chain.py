"""One chain behind one RPC URL: who it is, and what is on it, in strict types.

A node may lie by accident: behind a load balancer it may be minutes behind, or answer `null`. Every value is checked
for its form here, so that nobody further in handles `nonce=None`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.base.errors import ChainError, RpcError, RpcUnavailable, WrongChain
from pipeline.base.records import Address, hex_data
from pipeline.mint.fees import LEAST_PRIORITY_WEI, Fees, market_fees
from pipeline.mint.refusals import has_no_method, least_tip_wei, wants_fewer_arguments
from pipeline.mint.rpc import Rpc

DEV_CHAIN_IDS = frozenset({31337, 1337})  # anvil and hardhat; ganache
FEE_BLOCKS = 10  # how far back the market is looked at
FEE_PERCENTILE = 50
BEGAN_ANEW = (
    "a development chain that began anew is another one: start the old one from its state; where it will never come back,"
    " `pipeline abandon --chain-gone` lets go of an unfinished run, and another --workspace begins again"
)
NO_FINALIZED_TAG_DEPTH = 64  # two epochs of Ethereum, for chains that do not know the tag


@dataclass(frozen=True, slots=True)
class Block:
    number: int
    hash: bytes
    gas_limit: int
    base_fee_wei: int


@dataclass(frozen=True, slots=True)
class Log:
    address: Address
    topics: tuple[bytes, ...]
    data: bytes
    block_number: int
    block_hash: bytes
    tx_hash: bytes
    index: int


@dataclass(frozen=True, slots=True)
class Receipt:
    tx_hash: bytes
    ok: bool
    block_number: int
    block_hash: bytes
    gas_used: int
    gas_price_wei: int
    logs: tuple[Log, ...]


@dataclass(frozen=True, slots=True)
class Transaction:
    hash: bytes
    sender: Address
    nonce: int
    block_number: int | None  # None: in the pool


class Chain:
    """Typed reads of a chain, and the one write: `send`. `connect` makes it.

    What its node can do is learned by asking: whether it has block 0, a base fee, a fee history, and how it estimates.
    `least_priority_wei` is what the node was heard to demand.
    """

    def __init__(
        self,
        rpc: Rpc,
        chain_id: int,
        genesis_hash: bytes,
        client_version: str,
        *,
        gives_genesis: bool = True,
        has_base_fee: bool = True,
    ) -> None:
        self.rpc = rpc
        self.chain_id = chain_id
        self.genesis_hash = genesis_hash
        self.client_version = client_version
        self.gives_genesis = gives_genesis  # False where block 0 is not to be had: `genesis_hash` only stands for it
        self.has_base_fee = has_base_fee  # False: legacy transactions only (before EIP-1559)
        self.least_priority_wei = LEAST_PRIORITY_WEI
        self._missing: set[str] = set()  # methods that the node has not got
        self._estimates_at_a_block = True

    def __repr__(self) -> str:
        return f"Chain({self.chain_id}, {self.rpc.shown!r})"

    @property
    def is_local(self) -> bool:
        """A development chain on this machine: its money is worth nothing and its keys are public."""
        return self.chain_id in DEV_CHAIN_IDS and self.rpc.is_loopback

    @property
    def is_rehearsal(self) -> bool:
        """A development node on this machine whatever its chain id, such as a fork of a public chain: it may make a
        block only when there is a transaction for it, so that nothing ever gets deep."""
        program = self.client_version.lower().partition("/")[0]
        return self.rpc.is_loopback and program in ("anvil", "hardhatnetwork", "ganache", "edr")

    @property
    def is_ganache(self) -> bool:
        return self.client_version.lower().startswith("ganache")

    def check_identity(self, chain_id: int, genesis_hash: bytes) -> None:
        """Raise WrongChain unless this is the chain that a ledger knows by its chain id and genesis block.

        Where the node gives no block 0, or the ledger began with one that gave none, the chain id has to do, and the
        ledger's word is taken from here on: that what it has as mined is on this chain is looked up at every step.
        """
        expect_chain(self.rpc, "chain id", self.chain_id, chain_id)
        if not self.gives_genesis or genesis_hash == no_genesis(chain_id):
            self.gives_genesis, self.genesis_hash = False, genesis_hash
        hint = BEGAN_ANEW if self.chain_id in DEV_CHAIN_IDS else None
        expect_chain(self.rpc, "the genesis block", hex_data(self.genesis_hash), hex_data(genesis_hash), hint)

    def recognise(self, genesis_hashes: Sequence[bytes]) -> None:
        """Be the chain that a ledger knows, if it knows one of this id that this may be: so that an account's nonces
        are counted in one place whether or not a node gives block 0."""
        stands_in = [known for known in genesis_hashes if known == no_genesis(self.chain_id)]
        if genesis_hashes and not self.gives_genesis:
            self.genesis_hash = genesis_hashes[-1]
        elif stands_in and self.genesis_hash not in genesis_hashes:
            self.gives_genesis, self.genesis_hash = False, stands_in[0]

    # ── reads ────────────────────────────────────────────────────────────────────────────────────────────────

    def block(self, at: int | str) -> Block | None:
        """A block by number or tag; None when the chain has none there."""
        answer = self.rpc.call("eth_getBlockByNumber", [block_id(at), False])
        return None if answer is None else self.parsed_block(answer)

    def head(self) -> Block:
        block = self.block("latest")
        if block is None:
            raise _unusable(self.rpc, "eth_getBlockByNumber", "there is no latest block")
        return block

    def finalized(self) -> Block | None:
        """The block up to which nothing changes any more; for chains without the tag, 64 blocks deep."""
        if not self.is_ganache:  # Ganache calls its newest block final
            try:
                return self.block("finalized")
            except RpcError:
                pass  # it does not know the tag
        depth = self.head().number - NO_FINALIZED_TAG_DEPTH
        return self.block(depth) if depth >= 0 else None

    def nonce(self, address: Address, at: int | str = "latest") -> int:
        return self._quantity("eth_getTransactionCount", [address, block_id(at)])

    def balance(self, address: Address) -> int:
        return self._quantity("eth_getBalance", [address, "latest"])

    def code(self, address: Address, at: int | str = "latest") -> bytes:
        return self._bytes("eth_getCode", [address, block_id(at)])

    def codes(self, addresses: Sequence[Address]) -> list[bytes]:
        answers = self.rpc.batch([("eth_getCode", [address, "latest"]) for address in addresses])
        return [self.parsed_bytes("eth_getCode", accepted(answer)) for answer in answers]

    def receipt(self, tx_hash: bytes) -> Receipt | None:
        return self.parsed_receipt(self.rpc.call("eth_getTransactionReceipt", [hex_data(tx_hash)]), tx_hash)

    def transaction(self, tx_hash: bytes) -> Transaction | None:
        return self.parsed_transaction(self.rpc.call("eth_getTransactionByHash", [hex_data(tx_hash)]), tx_hash)

    def call(self, to: Address, data: bytes, at: int | str = "latest", sender: Address | None = None) -> bytes:
        """What the contract answers; RpcError with `data` when it reverts."""
        request = {"to": to, "data": hex_data(data)} | ({"from": sender} if sender else {})
        return self._bytes("eth_call", [request, block_id(at)])

    def created_code(self, sender: Address, init_code: bytes) -> bytes:
        """The code that a deployment would leave behind; RpcError when it would revert."""
        return self._bytes("eth_call", [{"from": sender, "data": hex_data(init_code)}, "latest"])

    def estimate(self, sender: Address, to: Address | None, data: bytes) -> int:
        """Gas that the transaction would use on the newest block, or RpcError with `data` when it would revert."""
        request = {"from": sender, "data": hex_data(data)} | ({"to": to} if to else {})
        if self._estimates_at_a_block:
            try:
                return self._quantity("eth_estimateGas", [request, "latest"])  # Anvil's own default is pending
            except RpcError as error:
                if not wants_fewer_arguments(error):
                    raise
        estimate = self._quantity("eth_estimateGas", [request])
        self._estimates_at_a_block = False
        return estimate

    def pending_nonce(self, address: Address) -> int:
        """Transactions of an account that are mined or wait in the node's pool without a gap; those mined, where it
        does not say."""
        count = self._where_there_is("eth_getTransactionCount", [address, "pending"])
        return self.nonce(address) if count is None else self.parsed_quantity("eth_getTransactionCount", count)

    def fees(self) -> Fees:
        """What the market pays, as far as this node can tell: zero where gas is free."""
        if not self.has_base_fee:
            legacy = self._quantity("eth_gasPrice", [])
            legacy = max(legacy, self.least_priority_wei) if legacy else 0
            return Fees(legacy, legacy)
        base_fee, rewards = self._fee_history() or (_next_base_fee(self.head()), [])
        if rewards or self.is_local:  # a development node suggests a constant; its empty market is free
            return market_fees(base_fee, rewards, self.least_priority_wei)
        price = self._number("eth_gasPrice")
        suggested = self._number("eth_maxPriorityFeePerGas")
        if suggested is None:
            suggested = max(0, (price or 0) - base_fee)
        if not (base_fee or price or suggested) and self.least_priority_wei == LEAST_PRIORITY_WEI:
            return Fees(0, 0)
        return market_fees(base_fee, [suggested], self.least_priority_wei)

    def demand(self, refusal: RpcError) -> None:
        """Heed a node that called a transaction underpriced: what it names from now on, else what it suggests."""
        wanted = least_tip_wei(refusal) or self._number("eth_maxPriorityFeePerGas") or 0
        self.least_priority_wei = max(self.least_priority_wei, wanted)

    def check_opcodes(self) -> None:
        """Raise ChainError for a chain that cannot run what Solidity writes since the Shanghai upgrade of 2023."""
        try:
            self._bytes("eth_call", [{"data": "0x5f5ff3"}, "latest"])  # PUSH0 PUSH0 RETURN
        except RpcError as error:
            raise ChainError(
                reason=f"the chain at {self.rpc.shown} is too old for the contract: it does not know PUSH0, which came"
                " with the Shanghai upgrade",
                hint="nothing was sent; start your own node with a newer hardfork, or use another chain",
            ) from error

    def _fee_history(self) -> tuple[int, list[int]] | None:
        """The next block's base fee, and what recent blocks were paid beside theirs; None where there is no history."""
        answer = self._where_there_is("eth_feeHistory", [hex(FEE_BLOCKS), "latest", [FEE_PERCENTILE]])
        if answer is None:
            return None
        try:
            base_fee = quantity(answer["baseFeePerGas"][-1])
            rewards = [quantity(reward[0]) for reward in answer.get("reward") or [] if reward]
        except (AttributeError, KeyError, IndexError, TypeError, ValueError):
            self._missing.add("eth_feeHistory")  # some answer it with something else
            return None
        return base_fee, [reward for reward in rewards if reward > 0]

    def _where_there_is(self, method: str, params: Sequence[Any]) -> Any:
        """The answer of a method that not every node has; None where it refuses. One that has it not is asked once."""
        if method in self._missing:
            return None
        try:
            return self.rpc.call(method, params)
        except RpcError as error:
            if has_no_method(error):
                self._missing.add(method)
            return None

    def _number(self, method: str) -> int | None:
        answer = self._where_there_is(method, [])
        return None if answer is None else self.parsed_quantity(method, answer)

    def logs(self, address: Address, first: int, last: int, topics: Sequence[Any] = ()) -> list[Log]:
        """Logs of one contract in blocks `first` to `last`."""
        answer = self.rpc.call("eth_getLogs", [log_filter(address, first, last, topics)])
        return self.parsed_logs(answer)

    # ── the write ────────────────────────────────────────────────────────────────────────────────────────────

    def send(self, raw: bytes) -> None:
        """Hand signed bytes to the node, once. Whatever it answers or raises says nothing about the outcome."""
        self.rpc.call("eth_sendRawTransaction", [hex_data(raw)])

    # ── forms ────────────────────────────────────────────────────────────────────────────────────────────────

    def parsed_block(self, answer: Any) -> Block:
        return _block(self.rpc, answer)

    def parsed_receipt(self, answer: Any, tx_hash: bytes) -> Receipt | None:
        """None when the transaction is not in a block. A receipt of another transaction is unusable."""
        try:
            if answer is None or answer.get("blockHash") is None:
                return None
            receipt = Receipt(
                fixed_bytes(answer["transactionHash"]),
                quantity(answer["status"]) == 1,
                quantity(answer["blockNumber"]),
                fixed_bytes(answer["blockHash"]),
                quantity(answer["gasUsed"]),
                quantity(answer.get("effectiveGasPrice") or "0x0"),
                tuple(self.parsed_logs(answer["logs"])),
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise _unusable(self.rpc, "eth_getTransactionReceipt", "it is not a receipt") from error
        if receipt.tx_hash != tx_hash:
            raise _unusable(self.rpc, "eth_getTransactionReceipt", "it is another transaction's receipt")
        return receipt

    def parsed_transaction(self, answer: Any, tx_hash: bytes) -> Transaction | None:
        if answer is None:
            return None
        try:
            block_number = None if answer["blockNumber"] is None else quantity(answer["blockNumber"])
            found = Transaction(
                fixed_bytes(answer["hash"]), checksummed(answer["from"]), quantity(answer["nonce"]), block_number
            )
        except (KeyError, TypeError, ValueError) as error:
            raise _unusable(self.rpc, "eth_getTransactionByHash", "it is not a transaction") from error
        if found.hash != tx_hash:
            raise _unusable(self.rpc, "eth_getTransactionByHash", "it is another transaction")
        return found

    def parsed_logs(self, answer: Any) -> list[Log]:
        try:
            return [
                Log(
                    checksummed(log["address"]),
                    tuple(fixed_bytes(topic) for topic in log["topics"]),
                    plain_bytes(log["data"]),
                    quantity(log["blockNumber"]),
                    fixed_bytes(log["blockHash"]),
                    fixed_bytes(log["transactionHash"]),
                    quantity(log["logIndex"]),
                )
                for log in answer
            ]
        except (KeyError, TypeError, ValueError) as error:
            raise _unusable(self.rpc, "eth_getLogs", "they are not logs") from error

    def parsed_bytes(self, method: str, answer: Any) -> bytes:
        try:
            return plain_bytes(answer)
        except ValueError as error:
            raise _unusable(self.rpc, method, "it is not a string of bytes") from error

    def parsed_quantity(self, method: str, answer: Any) -> int:
        return _quantity(self.rpc, method, answer)

    def _quantity(self, method: str, params: Sequence[Any]) -> int:
        return self.parsed_quantity(method, self.rpc.call(method, params))

    def _bytes(self, method: str, params: Sequence[Any]) -> bytes:
        return self.parsed_bytes(method, self.rpc.call(method, params))


def connect(url: str, expected_chain_id: int | None = None, *, patience_s: float | None = None) -> Chain:
    """The chain behind `url`.

    Raises RpcUnavailable, BadArgument for a URL that is none, or WrongChain when the chain id is not the expected one.
    """
    rpc = Rpc(url) if patience_s is None else Rpc(url, patience_s=patience_s)
    blocks = [("eth_getBlockByNumber", [at, False]) for at in ("0x0", "latest")]
    chain_id, genesis, head, version = rpc.batch([("eth_chainId", []), *blocks, ("web3_clientVersion", [])])
    number = _quantity(rpc, "eth_chainId", accepted(chain_id))
    # A node whose history has expired refuses block 0, with a code of its own, or answers that there is none.
    first = None if genesis is None or isinstance(genesis, RpcError) else _block(rpc, genesis)
    _block(rpc, accepted(head))
    if first is not None:
        rpc.expect_block("0x0")
    if expected_chain_id is not None:
        expect_chain(rpc, "chain id", number, expected_chain_id)
    return Chain(
        rpc,
        number,
        first.hash if first else no_genesis(number),
        "" if isinstance(version, RpcError) else str(version),
        gives_genesis=first is not None,
        has_base_fee=head.get("baseFeePerGas") is not None,
    )


def no_genesis(chain_id: int) -> bytes:
    """What stands for the hash of block 0 where a node does not give it."""
    return hashlib.sha256(f"chain {chain_id}, whose node gives no block 0".encode()).digest()


def _next_base_fee(head: Block) -> int:
    return head.base_fee_wei * 9 // 8  # EIP-1559: at most an eighth more


def expect_chain(rpc: Rpc, what: str, got: object, expected: object, hint: str | None = None) -> None:
    if got != expected:
        raise WrongChain(rpc=rpc.shown, what=what, got=got, expected=expected, hint=hint)


def accepted(answer: Any) -> Any:
    """One answer of a batch: raised when it is an error."""
    if isinstance(answer, RpcError):
        raise answer
    return answer


def _quantity(rpc: Rpc, method: str, answer: Any) -> int:
    try:
        return quantity(answer)
    except ValueError as error:
        raise _unusable(rpc, method, "it is not a number") from error


def _block(rpc: Rpc, answer: Any) -> Block:
    try:
        return Block(
            quantity(answer["number"]),
            fixed_bytes(answer["hash"]),
            quantity(answer["gasLimit"]),
            quantity(answer.get("baseFeePerGas") or "0x0"),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise _unusable(rpc, "eth_getBlockByNumber", "it is not a block") from error


def _unusable(rpc: Rpc, method: str, reason: str) -> RpcUnavailable:
    return RpcUnavailable(rpc=rpc.shown, method=method, reason=reason)


# ── JSON-RPC's forms (Ethereum execution API: quantities and data are hex strings) ───────────────────────────────


def quantity(value: Any) -> int:
    """The number of a `0x…` string. ValueError for anything else: null, a JSON number, minus signs, underscores."""
    if not isinstance(value, str) or not value.startswith("0x") or not 3 <= len(value) <= 66:
        raise ValueError(f"{value!r:.80} is not a quantity")
    return int.from_bytes(bytes.fromhex(value[2:].zfill(64)), "big")


def plain_bytes(value: Any) -> bytes:
    if not isinstance(value, str) or not value.startswith("0x"):
        raise ValueError(f"{value!r:.80} is not data")
    return bytes.fromhex(value[2:])


def fixed_bytes(value: Any, length: int = 32) -> bytes:
    data = plain_bytes(value)
    if len(data) != length:
        raise ValueError(f"{len(data)} bytes where {length} belong")
    return data


def block_id(at: int | str) -> str:
    return at if isinstance(at, str) else hex(at)


def log_filter(address: Address, first: int, last: int, topics: Sequence[Any] = ()) -> dict[str, Any]:
    return {"address": address, "fromBlock": hex(first), "toBlock": hex(last), "topics": list(topics)}


def checksummed(value: Any) -> Address:
    """An address in EIP-55 form, from 20 bytes or 40 hex digits in any case."""
    data = value if isinstance(value, bytes) else fixed_bytes(value, 20)
    found = _checksummed.get(data)
    if found is None:
        from eth_utils.address import to_checksum_address

        if len(_checksummed) > 100_000:  # a cache, not a leak
            _checksummed.clear()
        found = _checksummed[data] = Address(to_checksum_address(data))
    return found


_checksummed: dict[bytes, Address] = {}
