"""The ledger is gone: the chain and the CARs bring it back, and everything goes on as if it had never been away."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import REPOSITORY, Pipeline

from pipeline.pin.gateway import gateway_app, serve_gateway

BOB = "0x1111111111111111111111111111111111111111"
MINT = ("mint", "--size", "32", "--batch", "2", "--json")


@pytest.fixture(scope="module")
def minted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A collection of two runs with other sizes, one token of which was given away."""
    folder = tmp_path_factory.mktemp("minted")
    more = ("mint", "--count", "3", "--more", "--size", "48", "--batch", "2")
    for words in ((*MINT, "--count", "5", "--seed", "9"), more, ("transfer", "3", "--to", BOB)):
        subprocess.run(
            [sys.executable, "-m", "pipeline", *words],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            check=True,
            capture_output=True,
        )
    return folder


@pytest.fixture
def lost(minted: Path, tmp_path: Path, pipeline: Pipeline) -> tuple[Path, dict[str, Any]]:
    """A copy of that workspace without its ledger, and what the ledger said."""
    shutil.copytree(minted, tmp_path / "lost")
    folder = tmp_path / "lost"
    before = told(pipeline, folder)
    for path in (folder / "workspace").glob("ledger.sqlite*"):
        path.unlink()
    return folder, before


def told(pipeline: Pipeline, folder: Path) -> dict[str, Any]:
    """All that the program says of every token, and who owns what."""
    tokens = {n: pipeline("show", str(n), "--json", cwd=folder).json for n in range(1, 9)}
    return {"tokens": tokens, "owners": pipeline("owners", "--json", cwd=folder).json["owners"]}


def test_a_deleted_ledger_comes_back_with_the_same_tokens_and_goes_on(
    pipeline: Pipeline, lost: tuple[Path, dict[str, Any]]
) -> None:
    folder, before = lost
    contract = before["tokens"][1]["contract"]
    for path in (folder / "workspace" / "images").rglob("4.png"):
        path.unlink()  # comes back from its CAR
    ended = pipeline("repair", "--from-chain", "--contract", contract, "--seed", "9", "--json", cwd=folder)
    assert ended.code == 0, ended.err
    assert {key: ended.json[key] for key in ("tokens", "batches", "owners", "seed_is_new")} == {
        "tokens": 8,
        "batches": 5,
        "owners": 2,
        "seed_is_new": False,
    }
    assert told(pipeline, folder) == before
    verified = pipeline("verify", cwd=folder)
    assert verified.code == 0, verified.out + verified.err

    more = pipeline(*MINT, "--count", "2", "--more", cwd=folder)
    assert more.code == 0, more.err
    assert [token["token_id"] for token in more.json["tokens"]] == [9, 10]
    assert more.json["contract"] == contract
    assert pipeline("verify", cwd=folder).code == 0


def test_a_ledger_that_is_there_is_never_overwritten(pipeline: Pipeline, minted: Path) -> None:
    before = (minted / "workspace" / "ledger.sqlite").read_bytes()
    ended = pipeline("repair", "--from-chain", "--contract", BOB, cwd=minted)
    assert ended.code == 2 and "never overwrites a ledger" in ended.err
    assert (minted / "workspace" / "ledger.sqlite").read_bytes() == before


def test_killed_while_rebuilding_there_is_no_half_ledger_and_the_same_command_ends_well(
    pipeline: Pipeline, lost: tuple[Path, dict[str, Any]]
) -> None:
    folder, before = lost
    words = ("repair", "--from-chain", "--contract", before["tokens"][1]["contract"], "--seed", "9")
    killed = pipeline(*words, cwd=folder, env={"PIPELINE_CRASH_AT": "inside_ledger_commit:6"})
    assert killed.code == -signal.SIGKILL
    assert not (folder / "workspace" / "ledger.sqlite").exists()
    assert pipeline(*words, cwd=folder).code == 0
    assert told(pipeline, folder) == before


def test_missing_content_is_named_and_nothing_is_written(pipeline: Pipeline, lost: tuple[Path, dict[str, Any]]) -> None:
    folder, before = lost
    root = before["tokens"][3]["image"].removeprefix("ipfs://").split("/")[0]
    (folder / "workspace" / "car" / f"{root}.car").unlink()
    ended = pipeline("repair", "--from-chain", "--contract", before["tokens"][1]["contract"], cwd=folder)
    assert ended.code == 1 and root in ended.err
    assert not (folder / "workspace" / "ledger.sqlite").exists()


def test_lost_cars_come_back_through_a_gateway_byte_for_byte(
    pipeline: Pipeline, lost: tuple[Path, dict[str, Any]], minted: Path
) -> None:
    folder, before = lost
    shutil.rmtree(folder / "workspace" / "car")
    shutil.rmtree(folder / "workspace" / "images")
    words = ("repair", "--from-chain", "--contract", before["tokens"][1]["contract"], "--seed", "9", "--gateway")
    with serve_gateway(gateway_app(minted / "workspace" / "car"), 0) as url:
        ended = pipeline(*words, url, cwd=folder)
    assert ended.code == 0, ended.err
    assert told(pipeline, folder) == before
    for car in (minted / "workspace" / "car").glob("*.car"):
        assert (folder / "workspace" / "car" / car.name).read_bytes() == car.read_bytes()
    assert pipeline("verify", cwd=folder).code == 0


def test_a_gateway_that_lacks_a_root_is_named_and_nothing_is_written(
    pipeline: Pipeline, lost: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    folder, before = lost
    shutil.rmtree(folder / "workspace" / "car")
    words = ("repair", "--from-chain", "--contract", before["tokens"][1]["contract"], "--gateway")
    with serve_gateway(gateway_app(tmp_path), 0) as url:
        ended = pipeline(*words, url, cwd=folder)
    assert ended.code == 1 and url in ended.err
    assert not (folder / "workspace" / "ledger.sqlite").exists()


def test_an_address_without_our_contract_is_refused(pipeline: Pipeline, lost: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = lost
    ended = pipeline("repair", "--from-chain", "--contract", BOB, cwd=folder)
    assert ended.code == 2 and "expected a contract of ours" in ended.err


def test_a_wrong_seed_is_refused_and_none_is_told(pipeline: Pipeline, lost: tuple[Path, dict[str, Any]]) -> None:
    folder, before = lost
    contract = before["tokens"][1]["contract"]
    wrong = pipeline("repair", "--from-chain", "--contract", contract, "--seed", "8", cwd=folder)
    assert wrong.code == 2 and "the seed that token 1 was drawn from" in wrong.err
    none = pipeline("repair", "--from-chain", "--contract", contract, cwd=folder)
    assert none.code == 0 and "drawn from a new one" in none.err
