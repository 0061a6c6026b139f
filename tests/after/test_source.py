"""`compile` and `owners --at`: from the chain back to the source, and back in time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import REPOSITORY, Pipeline

from pipeline.mint.compile import load_artifact, standard_json_input


@pytest.fixture(scope="module")
def minted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("minted")
    for words in (["--count", "4", "--batch", "2"], ["--count", "1", "--more"]):
        subprocess.run(
            [sys.executable, "-m", "pipeline", "mint", "--size", "32", "--seed", "1", *words],
            cwd=folder,
            env={"PYTHONPATH": str(REPOSITORY), "PATH": "/usr/bin:/bin"},
            check=True,
            capture_output=True,
        )
    return folder


def test_the_contract_compiles_to_what_ships(pipeline: Pipeline, tmp_path: Path) -> None:
    ended = pipeline("compile", "--json")
    assert ended.code == 0, ended.err
    assert ended.json["contract"] == "contracts/Collection.sol:Collection"
    assert ended.json["compiler"] == "v0.8.37+commit.f401782d"
    assert ended.json["matches_artifact"] is True and ended.json["matches_chain"] is None
    assert list(tmp_path.iterdir()) == []


def test_the_deployed_contract_is_proved_and_written_for_explorers(pipeline: Pipeline, minted: Path) -> None:
    ended = pipeline("compile", "--verify", "--json", cwd=minted)
    assert ended.code == 0, ended.err
    assert ended.json["matches_chain"] is True
    folder = minted / "workspace" / "export" / "verification"
    assert json.loads((folder / "standard-input.json").read_text()) == standard_json_input()
    metadata = json.loads((folder / "metadata.json").read_text())
    assert metadata["settings"]["compilationTarget"] == {"contracts/Collection.sol": "Collection"}
    assert sorted(metadata["sources"]) == sorted(standard_json_input()["sources"])

    from eth_abi.abi import decode

    arguments = bytes.fromhex((folder / "constructor-arguments.txt").read_text())
    types = next(entry for entry in load_artifact().abi if entry["type"] == "constructor")["inputs"]
    values = decode([item["type"] for item in types], arguments)
    assert values[:2] == ("Warren", "WARRE") and values[5] == 500
    assert ended.json["constructor_arguments"] == arguments.hex()


def test_files_for_explorers_need_no_collection(pipeline: Pipeline, tmp_path: Path) -> None:
    ended = pipeline("compile", "--verify", "--out", tmp_path / "out")
    assert ended.code == 0, ended.err
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["metadata.json", "standard-input.json"]


def test_owners_at_an_earlier_block(pipeline: Pipeline, minted: Path) -> None:
    deployed = pipeline("show", "1", "--json", cwd=minted).json["block_number"] - 1
    now = pipeline("owners", "--json", cwd=minted).json
    assert now["owners"][0]["token_ids"] == [1, 2, 3, 4, 5]

    def at(block: int) -> list[int]:
        ended = pipeline("owners", "--at", str(block), "--json", cwd=minted)
        assert ended.code == 0, ended.err
        assert ended.json["block_number"] == block
        return [token_id for owner in ended.json["owners"] for token_id in owner["token_ids"]]

    assert at(deployed) == []
    assert at(deployed + 1) == [1, 2]
    assert at(now["block_number"]) == [1, 2, 3, 4, 5]
    for block in (deployed - 1, now["block_number"] + 1):
        ended = pipeline("owners", "--at", str(block), cwd=minted)
        assert ended.code == 2 and f"expected {deployed} to {now['block_number']}" in ended.err
    assert pipeline("owners", "--at", "yesterday", cwd=minted).code == 2
