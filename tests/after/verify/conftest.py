"""A collection that was really minted, the chain it lives on, and copies of its workspace to do damage to."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from conftest import REPOSITORY
from pin.conftest import kubo, kubo_binary, new_repo
from pin.test_fetch import liar

from pipeline.after.token import token_report
from pipeline.base.records import Address
from pipeline.base.results import as_json
from pipeline.base.workspace import Workspace
from pipeline.mint.devnet import devnet

__all__ = ["kubo", "kubo_binary", "liar", "new_repo"]  # fixtures of the pin tests


@dataclass(frozen=True)
class Minted:
    """Five tokens in batches of two, and an Anvil that keeps running."""

    folder: Path
    url: str
    contract: Address

    @property
    def workspace(self) -> Workspace:
        return Workspace(self.folder / "workspace")

    def token(self, token_id: int) -> dict[str, Any]:
        """What the ledger says of a token."""
        said: dict[str, Any] = as_json(token_report(self.workspace, None, token_id))
        return said

    def car(self, uri: str) -> Path:
        """The CAR that a URI leads into."""
        return self.workspace.cars / f"{uri.removeprefix('ipfs://').partition('/')[0]}.car"


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Minted]:
    """Never to be written to."""
    folder = tmp_path_factory.mktemp("minted")
    words = ("mint", "--count", "5", "--batch", "2", "--size", "32", "--seed", "9", "--device", "cpu")
    with devnet(folder / "chain") as url:
        ended = subprocess.run(
            [sys.executable, "-m", "pipeline", *words, "--rpc-url", url],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            capture_output=True,
            text=True,
        )
        assert ended.returncode == 0, ended.stderr
        contract = Address(token_report(Workspace(folder / "workspace"), None, 1).contract or "")
        yield Minted(folder, url, contract)


@pytest.fixture
def minted(original: Minted, tmp_path: Path) -> Minted:
    """A copy of that workspace, in the test's folder; the chain is the same one."""
    shutil.copytree(original.folder / "workspace", tmp_path / "workspace")
    return Minted(tmp_path, original.url, original.contract)


def flip(path: Path, position: int) -> None:
    """Turn one bit of a file over."""
    with path.open("r+b") as file:
        file.seek(position)
        byte = file.read(1)[0]
        file.seek(position)
        file.write(bytes([byte ^ 1]))
