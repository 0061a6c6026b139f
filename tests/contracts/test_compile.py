"""The artifact: what it holds, and that it is what contracts/ compiles to."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.base.errors import Corrupt, PipelineError
from pipeline.mint import compile as module
from pipeline.mint.compile import (
    ARTIFACT,
    ARTIFACT_V2,
    SOLC_VERSION,
    compile_contracts,
    load_artifact,
    load_v2,
    matches_source,
    standard_json_input,
)
from pipeline.mint.programs import find_solc

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def fresh_cache() -> Iterator[None]:
    load_artifact.cache_clear()
    yield
    load_artifact.cache_clear()


def test_a_fresh_compile_is_the_artifact_byte_by_byte() -> None:
    assert compile_contracts(ROOT).to_json() == ARTIFACT.read_bytes()


def test_what_is_read_is_what_is_written() -> None:
    assert load_artifact().to_json() == ARTIFACT.read_bytes()


def test_the_artifact_names_compiler_settings_and_sources() -> None:
    artifact = load_artifact()
    assert artifact.compiler == "0.8.37+commit.f401782d"
    assert artifact.settings["evmVersion"] == "shanghai"
    assert artifact.settings["viaIR"] is True
    assert artifact.settings["optimizer"] == {"enabled": True, "runs": 200}
    for path, digest in artifact.source_sha256.items():
        assert digest == hashlib.sha256((ROOT / path).read_bytes()).hexdigest()


def test_explorers_get_the_sources_that_are_on_the_disk() -> None:
    sources = standard_json_input()["sources"]
    assert sorted(sources) == ["contracts/Collection.sol", "contracts/ICollection.sol"]
    for path, source in sources.items():
        assert source["content"] == (ROOT / path).read_text()


def test_the_code_fits_its_budget() -> None:
    assert len(load_artifact().deployed_bytecode) <= 5_200  # EIP-170 allows 24,576; each byte costs 216 gas


@pytest.mark.parametrize(("name", "most"), [("CollectionV2", 10_000), ("Drop", 10_500), ("Factory", 3_500)])
def test_the_contracts_of_sales_fit_theirs(name: str, most: int) -> None:
    assert len(load_v2(name).deployed_bytecode) <= most  # put on a chain once; EIP-170 allows 24,576


def test_the_file_of_sales_has_the_sources_that_are_on_the_disk_and_the_pinned_libraries() -> None:
    for path, source in load_v2("Factory").standard_json_input["sources"].items():
        folder = ROOT if path.startswith("contracts/") else ROOT / module.LIBRARIES
        assert source["content"] == (folder / path).read_text(), path


def test_the_factory_brings_the_codes_that_are_in_its_file() -> None:
    assert all(load_v2(name).bytecode in load_v2("Factory").bytecode for name in ("CollectionV2", "Drop"))


def test_what_is_read_of_sales_is_what_is_written() -> None:
    artifacts = {name: load_v2(name) for name in module.CONTRACTS_V2}
    assert module.v2_to_json(artifacts) == ARTIFACT_V2.read_bytes()


@pytest.mark.parametrize("damage", ["{", "{}", "sources"])
def test_a_damaged_file_of_sales_is_refused(damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if damage == "sources":
        content = json.loads(ARTIFACT_V2.read_bytes())
        content["standardJsonInput"]["sources"]["contracts/Drop.sol"]["content"] += "\n"
        damage = json.dumps(content)
    (tmp_path / "V2.json").write_text(damage)
    monkeypatch.setattr(module, "ARTIFACT_V2", tmp_path / "V2.json")
    load_v2.cache_clear()
    try:
        with pytest.raises(Corrupt):
            load_v2("Drop")
    finally:
        load_v2.cache_clear()


def test_code_with_other_immutables_matches_and_other_code_does_not() -> None:
    artifact = load_artifact()
    filled = bytearray(artifact.deployed_bytecode)
    for start, length in artifact.immutables:
        filled[start : start + length] = b"\xab" * length
    assert matches_source(bytes(filled))
    assert not matches_source(b"")
    assert not matches_source(bytes(filled) + b"\x00")
    assert not matches_source(bytes(filled[:-1]))
    changed = bytearray(filled)
    changed[40] ^= 1
    assert not matches_source(bytes(changed))


@pytest.mark.parametrize("damage", [b"", b"{", b"{}", b"[]"])
def test_a_damaged_artifact_is_refused(
    damage: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh_cache: None
) -> None:
    (tmp_path / "artifacts").mkdir()
    (tmp_path / "artifacts" / ARTIFACT.name).write_bytes(damage)
    monkeypatch.setattr(module, "ARTIFACT", tmp_path / "artifacts" / ARTIFACT.name)
    with pytest.raises(Corrupt) as caught:
        load_artifact()
    assert "scripts/build-contracts" in caught.value.hint


def test_an_artifact_with_another_source_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh_cache: None
) -> None:
    content: dict[str, Any] = json.loads(ARTIFACT.read_bytes())
    content["standardJsonInput"]["sources"]["contracts/Collection.sol"]["content"] += "\n"
    (tmp_path / "artifacts").mkdir()
    (tmp_path / "artifacts" / ARTIFACT.name).write_text(json.dumps(content))
    monkeypatch.setattr(module, "ARTIFACT", tmp_path / "artifacts" / ARTIFACT.name)
    with pytest.raises(Corrupt):
        load_artifact()


def test_a_source_that_does_not_compile_gives_the_compilers_words(tmp_path: Path) -> None:
    (tmp_path / "contracts").mkdir()
    for path in module.SOURCES:
        (tmp_path / path).write_text("pragma solidity ^0.8.37; contract Collection { nonsense }")
    with pytest.raises(PipelineError, match="do not compile"):
        compile_contracts(tmp_path)


def test_sources_that_are_no_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "contracts").mkdir()
    with pytest.raises(PipelineError, match="Collection.sol cannot be read"):
        compile_contracts(tmp_path)
    os.mkfifo(tmp_path / module.SOURCES[0])
    with pytest.raises(PipelineError, match="no plain file"):
        compile_contracts(tmp_path)


def test_without_a_compiler_the_next_step_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import solcx

    monkeypatch.setattr("pipeline.mint.programs.tools", lambda: tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(solcx, "get_installed_solc_versions", list)
    with pytest.raises(PipelineError) as caught:
        compile_contracts()
    assert "npm ci" in caught.value.hint


def test_a_compiler_on_the_path_is_used_if_it_is_that_version(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("pipeline.mint.programs.tools", lambda: None)
    solc = tmp_path / "solc"
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    for version, fits in (("0.8.36", False), (SOLC_VERSION, True)):
        solc.write_text(f"#!/bin/sh\necho 'Version: {version}+commit.f401782d'\n")
        solc.chmod(0o755)
        if fits:
            assert find_solc(SOLC_VERSION) == solc
        else:
            with pytest.raises(PipelineError, match="no solc"):
                find_solc(SOLC_VERSION)


def test_reading_the_artifact_imports_neither_web3_nor_the_compiler() -> None:
    program = "import sys; from pipeline.mint.compile import load_artifact; load_artifact()\n"
    program += "assert not {'web3', 'solcx', 'eth_utils'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)


def test_build_contracts_check_accepts_the_artifact() -> None:
    done = subprocess.run([ROOT / "scripts" / "build-contracts", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_build_contracts_refuses_other_words() -> None:
    done = subprocess.run([ROOT / "scripts" / "build-contracts", "--chekc"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "usage" in done.stderr


SHIM = ROOT / "hardhat-free-env" / "solc"


def test_the_compiler_has_nothing_to_remark() -> None:
    asked = json.dumps(standard_json_input())
    done = subprocess.run([SHIM, "--standard-json"], input=asked, capture_output=True, text=True, check=True)
    assert "errors" not in json.loads(done.stdout)


def test_the_shim_answers_slither(tmp_path: Path) -> None:
    (tmp_path / "Base.sol").write_text("pragma solidity ^0.8.37; contract Base { uint256 public x; }")
    (tmp_path / "Top.sol").write_text('pragma solidity ^0.8.37; import "./Base.sol"; contract Top is Base {}')
    words = [str(SHIM), "Top.sol", "--combined-json", "abi,ast,bin,srcmap-runtime,hashes", "--allow-paths", "."]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True)
    output = json.loads(done.stdout)
    assert output["sourceList"] == ["Base.sol", "Top.sol"]
    assert output["contracts"]["Top.sol:Top"]["hashes"] == {"x()": "0c55699c"}
    assert output["contracts"]["Top.sol:Top"]["bin"]
    assert output["sources"]["Top.sol"]["AST"]["nodeType"] == "SourceUnit"


def test_the_shim_fails_as_a_compiler_does(tmp_path: Path) -> None:
    (tmp_path / "Broken.sol").write_text("pragma solidity ^0.8.37; contract Broken { oops }")
    words = [str(SHIM), "Broken.sol", "--combined-json", "abi"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert "Broken.sol" in done.stderr
    assert subprocess.run([SHIM], capture_output=True).returncode == 1
