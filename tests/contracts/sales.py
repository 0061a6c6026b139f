"""The factory on a chain, with what it makes: collections, drops, and purchases of each kind. For tests and scripts/bench-gas."""

from __future__ import annotations

from typing import Any

from pipeline.mint.compile import load_v2

ZERO = "0x" + "00" * 20
DIGEST = bytes(range(32))
ART = b"\x07" * 32
FOREVER = (1 << 40) - 1
KINDS = ("none", "public", "allowlist", "voucher", "holder", "auction")
TERMS = {
    "name": "Some art",
    "symbol": "ART",
    "owner": ZERO,
    "minter": ZERO,
    "royaltyReceiver": ZERO,
    "royaltyBps": 500,
    "maxSupply": 0,
    "contractCidDigest": DIGEST,
    "licence": 0,
    "validated": False,
    "transferValidator": ZERO,
}


class Sales:
    """One factory. Every transaction must succeed; `gas` has what the last one cost."""

    def __init__(self, w3: Any) -> None:
        self.w3 = w3
        self.owner, self.alice, self.bob, self.signer, *self.others = w3.eth.accounts
        self.gas = 0
        self.made = 0
        artifact = load_v2("Factory")
        contract = w3.eth.contract(abi=artifact.abi, bytecode=artifact.bytecode)
        self.factory = self.at("Factory", self.send(contract.constructor())["contractAddress"])
        self.deployed = self.gas

    def at(self, name: str, address: str) -> Any:
        return self.w3.eth.contract(address, abi=load_v2(name).abi)

    def send(self, transaction: Any, sender: str | None = None, value: int = 0) -> Any:
        fields = {"from": sender or self.owner, "value": value}
        fields["gas"] = min(transaction.estimate_gas(fields) * 6 // 5, 2**24)  # EIP-7825
        receipt = self.w3.eth.wait_for_transaction_receipt(transaction.transact(fields))
        assert receipt["status"] == 1
        self.gas = int(receipt["gasUsed"])
        return receipt

    # ── making ───────────────────────────────────────────────────────────────────────────────────────────────────

    def terms(self, **overrides: Any) -> tuple[Any, ...]:
        named = TERMS | {"owner": self.owner, "royaltyReceiver": self.owner} | overrides
        return tuple(named.values())

    def collection(self, whole: bool = False, first: int = 0, **overrides: Any) -> Any:
        terms, batch = self.terms(**overrides), (self.alice, first, ART)
        make = self.factory.functions.makeCollection(terms, self.salt(), whole, batch)
        return self.at("CollectionV2", self._made(make, "CollectionMade", "collection"))

    def drop(self, collection: Any, whole: bool = False) -> Any:
        make = self.factory.functions.makeDrop(
            self.owner, collection.address, [(self.owner, 9_000), (self.bob, 1_000)], self.salt(), whole
        )
        return self.at("Drop", self._made(make, "DropMade", "drop"))

    def salt(self) -> bytes:
        self.made += 1
        return self.made.to_bytes(32, "big")

    def _made(self, make: Any, event: str, name: str) -> str:
        [log] = self.factory.events[event]().process_receipt(self.send(make), errors=_discarded())
        return str(log["args"][name])

    def sale(self, kind: str, whole: bool = False, limit: int = 0, **stage: Any) -> tuple[Any, Any]:
        """A collection with an open lot of 100, and a drop with one stage that sells it now."""
        collection = self.collection(whole)
        drop = self.drop(collection, whole)
        self.send(collection.functions.openLot(1, 100, ART, drop.address, False, bytes(32)))
        values = {"price": 1_000, "supply": 0, "key": bytes(32)} | stage
        terms = (KINDS.index(kind), 1, FOREVER, values["price"], values["supply"], limit, 0, values["key"])
        self.send(drop.functions.addStage(terms))
        return collection, drop

    # ── buying ───────────────────────────────────────────────────────────────────────────────────────────────────

    def voucher(self, drop: Any, account: str, quantity: int, price: int, nonce: int) -> tuple[tuple[Any, ...], bytes]:
        """A voucher for stage 0 and its signature by `signer`."""
        fields = {
            "stage": 0,
            "account": account,
            "quantity": quantity,
            "price": price,
            "nonce": nonce,
            "deadline": FOREVER,
        }
        kinds = {name: "address" if name == "account" else "uint256" for name in fields}
        message = {
            "types": {
                "EIP712Domain": [
                    {"name": "name", "type": "string"},
                    {"name": "version", "type": "string"},
                    {"name": "chainId", "type": "uint256"},
                    {"name": "verifyingContract", "type": "address"},
                ],
                "Voucher": [{"name": name, "type": kind} for name, kind in kinds.items()],
            },
            "primaryType": "Voucher",
            "domain": {
                "name": "Drop",
                "version": "1",
                "chainId": self.w3.eth.chain_id,
                "verifyingContract": drop.address,
            },
            "message": fields,
        }
        from eth_account import Account

        signed = Account.sign_typed_data(SIGNER_KEY, full_message=message)
        return tuple(fields.values()), bytes(signed.signature)

    def tree(self, accounts: list[str], price: int, limit: int) -> tuple[bytes, list[bytes]]:
        """Root of the list of these accounts, and the proof of the first one."""
        from eth_abi.abi import encode

        def hashed(data: bytes) -> bytes:
            return bytes(self.w3.keccak(data))

        level = [
            hashed(hashed(encode(["address", "uint256", "uint256"], [account, price, limit]))) for account in accounts
        ]
        proof = []
        while len(level) > 1:
            if len(level) > 1:
                proof.append(level[1])
            pairs = [level[i : i + 2] for i in range(0, len(level), 2)]
            level = [hashed(b"".join(sorted(pair))) if len(pair) == 2 else pair[0] for pair in pairs]
        return level[0], proof


SIGNER_KEY = b"\x05" * 32


def signer_key() -> bytes:
    """The account of SIGNER_KEY as a stage's key."""
    from eth_account import Account

    return bytes(12) + bytes.fromhex(Account.from_key(SIGNER_KEY).address[2:])


def _discarded() -> Any:
    from web3.logs import DISCARD

    return DISCARD
