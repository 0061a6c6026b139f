"""Public chains by name: what their id is, where people look them up, and whether their money is worth something."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Literal

from pipeline.base.errors import BadArgument

Worth = Literal["devnet", "testnet", "mainnet"]


@dataclass(frozen=True, slots=True)
class Network:
    """One chain; `explorer` is the address of its block explorer, empty where there is none."""

    name: str
    chain_id: int
    worth: Worth
    confirmations: int  # blocks until a token counts as minted, unless the setting says otherwise
    explorer: str = ""

    @property
    def is_real_money(self) -> bool:
        return self.worth == "mainnet"

    @property
    def is_rollup(self) -> bool:
        return self.name.split("-", 1)[0] in _ROLLUPS

    def contract_page(self, contract: str) -> str | None:
        return f"{self.explorer}/address/{contract}" if self.explorer else None

    def token_page(self, contract: str, token_id: int) -> str | None:
        return f"{self.explorer}/nft/{contract}/{token_id}" if self.explorer else None


# Confirmations: reorganisations of Ethereum have been one block deep but for rare accidents, those of Polygon were
# often deeper; a rollup has one sequencer, which takes a block back only when it fails. Past this depth the ledger
# goes on watching until the block is final.
NETWORKS: tuple[Network, ...] = (
    Network("anvil", 31337, "devnet", 1),
    Network("ganache", 1337, "devnet", 1),
    Network("sepolia", 11155111, "testnet", 2, "https://sepolia.etherscan.io"),
    Network("holesky", 17000, "testnet", 2, "https://holesky.etherscan.io"),
    Network("hoodi", 560048, "testnet", 2, "https://hoodi.etherscan.io"),
    Network("base-sepolia", 84532, "testnet", 2, "https://sepolia.basescan.org"),
    Network("optimism-sepolia", 11155420, "testnet", 2, "https://sepolia-optimism.etherscan.io"),
    Network("arbitrum-sepolia", 421614, "testnet", 2, "https://sepolia.arbiscan.io"),
    Network("amoy", 80002, "testnet", 4, "https://amoy.polygonscan.com"),
    Network("base", 8453, "mainnet", 3, "https://basescan.org"),
    Network("optimism", 10, "mainnet", 3, "https://optimistic.etherscan.io"),
    Network("arbitrum", 42161, "mainnet", 3, "https://arbiscan.io"),
    Network("polygon", 137, "mainnet", 16, "https://polygonscan.com"),
    Network("mainnet", 1, "mainnet", 3, "https://etherscan.io"),
)
_ROLLUPS = ("base", "optimism", "arbitrum")
_BY_NAME = {network.name: network for network in NETWORKS}
_BY_CHAIN_ID = {network.chain_id: network for network in NETWORKS}


def network_named(name: str) -> Network:
    """The network of this name. Raises BadArgument, with a near name where there is one."""
    if name not in _BY_NAME:
        near = difflib.get_close_matches(name, _BY_NAME, n=1)
        raise BadArgument(
            name="--network",
            value=name,
            expected=f"one of {', '.join(_BY_NAME)}",
            hint=f"did you mean {near[0]!r}?" if near else None,
        )
    return _BY_NAME[name]


def network_of(chain_id: int) -> Network | None:
    """The network with this chain id; None for a chain that has no name here."""
    return _BY_CHAIN_ID.get(chain_id)
