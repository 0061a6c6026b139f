"""Real nodes on free ports, each with its own state, ended by their own process number."""

from __future__ import annotations

import json
import os
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import pytest
from mint.faultproxy import FaultProxy
from mint.plans import open_plan, sealed_batches

from pipeline.base.records import Address, MintedBatch, hex_data
from pipeline.base.workspace import Server
from pipeline.ledger import Ledger
from pipeline.mint.chain import Chain, connect
from pipeline.mint.collection import Collection
from pipeline.mint.devnet import devnet
from pipeline.mint.fees import Limits
from pipeline.mint.lane import Pace
from pipeline.mint.sender import Sender
from pipeline.mint.signer import Signer, open_signer
from pipeline.mint.stage import mint
from pipeline.mint.watcher import ChainEvent


@pytest.fixture
def anvil(tmp_path: Path) -> Iterator[str]:
    with devnet(tmp_path / "anvil") as url:
        yield url


@pytest.fixture
def ganache(tmp_path: Path) -> Iterator[str]:
    with devnet(tmp_path / "ganache", "ganache") as url:
        yield url


@pytest.fixture
def proxy(anvil: str) -> Iterator[FaultProxy]:
    with FaultProxy(anvil) as proxy:
        yield proxy


@dataclass(eq=False)
class House:
    """A workspace with a planned collection, and all that is needed to mint it."""

    url: str
    path: Path | Server
    ledger: Ledger
    chain: Chain
    signer: Signer
    events: list[ChainEvent] = field(default_factory=list)

    def sender(self, cls: type[Sender] = Sender, **options: Any) -> Sender:
        pace = Pace(**{each.name: options.pop(each.name) for each in fields(Pace) if each.name in options})
        options = {"limits": Limits(), "run_id": 1, "on_event": self.events.append, "pace": pace, **options}
        return cls(self.ledger, options.pop("chain", self.chain), options.pop("signer", self.signer), **options)

    def mint(self, sender: Sender | None = None, **options: Any) -> list[MintedBatch]:
        """What a run does: recover, then mint what is missing."""
        sender = sender or self.sender(**options)
        sender.recover(1)
        return list(mint(sealed_batches(self.ledger), sender, 1))

    def let_go(self) -> None:
        """Have another process sign, where a server's ledger has one at a time do it."""
        self.ledger.release(f"signing by {self.signer.address} on chain {self.chain.chain_id}")

    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]

    def node(self, method: str, *params: Any) -> Any:
        """Ask the node itself, also for what no pipeline would ask."""
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        with urllib.request.urlopen(
            urllib.request.Request(self.url, json.dumps(request).encode(), {"Content-Type": "application/json"})
        ) as response:
            answer = json.loads(response.read())
        assert "error" not in answer, answer
        return answer["result"]

    @property
    def contract(self) -> Collection:
        row = self.ledger.row("SELECT contract FROM collection")
        assert row is not None and row["contract"]
        return Collection(connect(self.url), Address(row["contract"]))

    def states(self, table: str) -> list[str]:
        return [row["state"] for row in self.ledger.rows(f"SELECT state FROM {table} ORDER BY id")]

    def assert_exact(self, *, transactions: int | None = None, foreign: int = 0) -> None:
        """Supply exact, ids unique, ledger equal to chain, one contract, no transaction that the ledger does not know."""
        assert_exact(self.ledger, connect(self.url), self.signer.address, transactions, foreign)


def assert_exact(
    ledger: Ledger, chain: Chain, account: Address, transactions: int | None = None, foreign: int = 0
) -> None:
    contract = Collection(chain, Address(ledger.rows("SELECT contract FROM collection")[0]["contract"]))
    tokens = ledger.rows("SELECT token_id, recipient FROM token ORDER BY token_id")
    assert contract.next_token_id() == len(tokens) + 1, "supply"
    ids = [row["token_id"] for row in tokens]
    assert contract.owners_of(ids) == [row["recipient"] for row in tokens]
    for row in ledger.rows("SELECT * FROM batch ORDER BY start"):
        uris = contract.token_uris(range(row["start"], row["start"] + row["quantity"]))
        assert uris == [
            f"ipfs://{row['metadata_root']}/{token}.json"
            for token in range(row["start"], row["start"] + row["quantity"])
        ]
        assert row["state"] in ("mined", "final")
        block = chain.block(row["block_number"])
        assert block is not None and block.hash == row["block_hash"]
    minted = chain.logs(contract.address, 0, chain.head().number)
    transfers = [log for log in minted if len(log.topics) == 4 and log.topics[1] == bytes(32)]
    assert sorted(int.from_bytes(log.topics[3], "big") for log in transfers) == ids
    assert_all_known(ledger, chain, account, foreign)
    sent = sent_by(chain, account)
    assert len([tx for tx in sent if tx["to"] is None]) == 1, "one contract"
    if transactions is not None:
        assert len(sent) == transactions
    ledger.check_integrity()


def sent_by(chain: Chain, account: Address) -> list[dict[str, Any]]:
    """Every transaction of an account on the chain."""
    numbers = range(chain.head().number + 1)
    blocks = chain.rpc.batch([("eth_getBlockByNumber", [hex(number), True]) for number in numbers])
    return [tx for block in blocks for tx in block["transactions"] if tx["from"] == account.lower()]


def assert_all_known(ledger: Ledger, chain: Chain, account: Address, foreign: int = 0) -> None:
    """Written before sent: whatever of ours is on the chain stands in the ledger."""
    written = {hex_data(row["hash"]) for row in ledger.rows("SELECT hash FROM attempt")}
    unknown = [tx["hash"] for tx in sent_by(chain, account) if tx["hash"] not in written]
    assert len(unknown) == foreign, "a transaction that was never written down"


Opener = Callable[..., House]


def wait_until_kept(folder: Path) -> None:
    """Anvil writes its state once a second: the second writing from now on began after what was just mined."""
    state, deadline = folder / "anvil.json", time.monotonic() + 60
    for _ in range(2):
        before = state.stat().st_mtime_ns if state.exists() else 0
        while not state.exists() or state.stat().st_mtime_ns == before:
            assert time.monotonic() < deadline, "Anvil did not write its state"
            time.sleep(0.02)


@pytest.fixture
def open_house(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Opener]:
    """`open_house(url, batches=3, size=5)`: a House on the node at `url`.

    Its ledger is a file, or in a new database at a server for who asks so by `TEST_LEDGER=server` (scripts/engines).
    """
    opened: list[Ledger] = []

    def opener(
        url: str, *, via: str | None = None, name: str = "ledger.sqlite", place: Server | None = None, **plan: Any
    ) -> House:
        chain = connect(via or url)
        signer = open_signer(chain, environment={})
        if place is None and os.environ.get("TEST_LEDGER") == "server":
            place = request.getfixturevalue("postgres").place()
        path = place or tmp_path / name
        ledger = open_plan(path, chain, signer.address, **plan)
        opened.append(ledger)
        return House(url, path, ledger, chain, signer)

    yield opener
    for ledger in opened:
        ledger.close()


@pytest.fixture
def house(anvil: str, open_house: Opener) -> House:
    return open_house(anvil)


@pytest.fixture
def faulty(anvil: str, proxy: FaultProxy, open_house: Opener) -> House:
    """A House whose requests go through the fault proxy; its own questions do not."""
    return open_house(anvil, via=proxy.url)
