"""What the same tokens would cost with other contracts: gas as `scripts/bench-gas` measures it (docs/contract.md)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

MEASURED = 50  # tokens in the batches that were measured


@dataclass(frozen=True, slots=True)
class Alternative:
    """A contract and its gas: deployment, the first and a later batch of 50 to one owner, and each token beyond 50."""

    name: str
    deploy: int
    first: int
    later: int
    further: int

    def gas(self, quantities: Sequence[int], *, deployed: bool) -> int:
        """The gas of these batches to one owner, with the deployment unless the contract is there already."""
        total = 0 if deployed else self.deploy
        for number, quantity in enumerate(quantities):
            batch = self.later if deployed or number else self.first
            total += batch + (quantity - MEASURED) * self.further
        return total


ALTERNATIVES: tuple[Alternative, ...] = (
    Alternative("ERC721A with the same functions", 1_738_764, 240_225, 206_025, 1_958),
    Alternative("ERC721A, base URI only", 1_254_975, 171_471, 154_371, 1_958),
    Alternative("OpenZeppelin loop, base URI only", 1_166_965, 1_289_249, 1_272_149, 24_764),
    Alternative("thirdweb ERC721Base", 2_574_587, 328_079, 276_779, 1_984),
    Alternative("tutorial: Enumerable, URIStorage", 1_291_497, 12_258_342, 12_264_062, 245_304),
)
