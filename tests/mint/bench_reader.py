"""Measures reading the owners of many tokens three ways on an embedded Anvil; run by scripts/bench-reader."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mint.plans import open_plan, sealed_batches

from pipeline.base.records import Address
from pipeline.mint.chain import connect
from pipeline.mint.collection import Collection
from pipeline.mint.compile import load_artifact
from pipeline.mint.devnet import devnet
from pipeline.mint.fees import Limits
from pipeline.mint.indexer import sync
from pipeline.mint.sender import Sender
from pipeline.mint.signer import open_signer
from pipeline.mint.stage import mint

SIZE = 250
REPEATS = 3


def main(tokens: int) -> None:
    with tempfile.TemporaryDirectory() as folder, devnet(Path(folder, "chain")) as url:
        chain = connect(url)
        signer = open_signer(chain, environment={})
        batches = -(-tokens // SIZE)
        with open_plan(Path(folder, "ledger.sqlite"), chain, signer.address, batches=batches, size=SIZE) as ledger:
            sender = Sender(ledger, chain, signer, Limits(), 1)
            for _ in mint(sealed_batches(ledger), sender, 1):
                pass
            contract = Collection(chain, Address(ledger.rows("SELECT contract FROM collection")[0]["contract"]))
            ids = list(range(1, tokens + 1))

            expected, loop_s = timed(lambda: call_loop(url, contract.address, ids), 1)
            batched, batch_s = timed(lambda: contract.owners_of(ids))
            assert batched == expected

            def from_events() -> list[Any]:
                ledger.owners.roll_back(1, -1)
                sync(ledger, chain, 1)
                return list(ledger.owners.owners_at(1).values())[:tokens]

            indexed, index_s = timed(from_events)
            assert indexed == expected
    print(f"{tokens} owners, web3.py call by call   {loop_s:8.3f} s")
    print(f"{tokens} owners, one JSON batch         {batch_s:8.3f} s   ×{loop_s / batch_s:.0f}")
    print(f"{tokens} owners, from Transfer events   {index_s:8.3f} s   ×{loop_s / index_s:.0f}")


def call_loop(url: str, address: Address, ids: list[int]) -> list[Any]:
    """What one would write first: web3.py as it comes, one call per token."""
    from web3 import HTTPProvider, Web3

    eth: Any = Web3(HTTPProvider(url)).eth
    owner_of = eth.contract(address=address, abi=load_artifact().abi).functions.ownerOf
    return [owner_of(token_id).call() for token_id in ids]


def timed(work: Callable[[], list[Any]], repeats: int = REPEATS) -> tuple[list[Any], float]:
    """The result, and the shortest time of a few runs."""
    shortest = float("inf")
    for _ in range(repeats):
        began = time.perf_counter()
        result = work()
        shortest = min(shortest, time.perf_counter() - began)
    return result, shortest


if __name__ == "__main__":
    main(int(sys.argv[1]))
