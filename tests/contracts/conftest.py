"""Chains in subprocesses, and the collection on them through web3."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from nodes import free_port

from pipeline.mint.compile import load_artifact

MODULES = Path(__file__).resolve().parents[2] / "hardhat-free-env" / "node_modules"
DIGEST = bytes(range(32))


@contextmanager
def running(command: list[str], url: str) -> Iterator[Any]:
    """Start a chain, give a connected Web3, and end the process afterwards."""
    from web3 import HTTPProvider, Web3

    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    w3 = Web3(HTTPProvider(url))
    try:
        deadline = time.monotonic() + 30
        while not w3.is_connected():
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"{command[0]} did not start")
            time.sleep(0.1)
        yield w3
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(scope="session")
def anvil() -> Iterator[Any]:
    """Anvil with today's mainnet rules, the limit of 2^24 gas per transaction among them."""
    port = free_port()
    [binary] = MODULES.glob("@foundry-rs/anvil-*/bin/anvil*")
    rules = ["--hardfork", "osaka", "--enable-tx-gas-limit", "--no-cors"]
    with running([str(binary), "--port", str(port), "--silent", *rules], f"http://127.0.0.1:{port}") as w3:
        yield w3


@pytest.fixture(scope="session")
def ganache() -> Iterator[Any]:
    """Ganache, whose newest rules are those of shanghai."""
    port = free_port()
    command = ["node", str(MODULES / "ganache" / "dist" / "node" / "cli.js"), "--port", str(port), "--logging.quiet"]
    with running([*command, "--wallet.deterministic"], f"http://127.0.0.1:{port}") as w3:
        yield w3


class Deployed:
    """A collection on a chain: `send` waits for success, `call` reads."""

    def __init__(self, w3: Any, **overrides: Any) -> None:
        self.w3 = w3
        self.owner, self.alice, self.bob, *self.others = w3.eth.accounts
        artifact = load_artifact()
        arguments = {
            "name": "Some art",
            "symbol": "ART",
            "owner": self.owner,
            "minter": "0x" + "00" * 20,
            "royaltyReceiver": self.owner,
            "royaltyBps": 500,
            "maxSupply": 0,
            "contractCidDigest": DIGEST,
        } | overrides
        factory = w3.eth.contract(abi=artifact.abi, bytecode=artifact.bytecode)
        self.receipt = self._mined(factory.constructor(*arguments.values()))
        self.contract = w3.eth.contract(self.receipt["contractAddress"], abi=artifact.abi)

    def send(self, function: str, *arguments: Any, sender: str | None = None) -> Any:
        return self._mined(self.contract.functions[function](*arguments), sender)

    def call(self, function: str, *arguments: Any) -> Any:
        return self.contract.functions[function](*arguments).call()

    def _mined(self, transaction: Any, sender: str | None = None) -> Any:
        fields = {"from": sender or self.owner}
        fields["gas"] = min(transaction.estimate_gas(fields) * 6 // 5, 2**24)  # EIP-7825
        receipt = self.w3.eth.wait_for_transaction_receipt(transaction.transact(fields))
        assert receipt["status"] == 1
        return receipt


@pytest.fixture(scope="session")
def deploy() -> type[Deployed]:
    return Deployed
