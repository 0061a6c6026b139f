"""The ledger is gone: the chain and the CARs bring it back, and everything goes on as if it had never been away."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import REPOSITORY, SIGNERS_OWN, Pipeline
from folders import MP4, SVG, write
from galleries import application, serving

from pipeline.base.workspace import Workspace
from pipeline.ledger import Ledger
from pipeline.pin.gateway import gateway_app, serve_gateway

BOB = "0x1111111111111111111111111111111111111111"
MINT = ("mint", "--size", "32", "--batch", "2", "--json")


WORDS = ("--artist", "Zoë", "--statement", "By night.", "--licence", "CC0-1.0")


@pytest.fixture(scope="module")
def minted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A collection of two runs with other sizes; one token was rejected first, and one was given away."""
    folder = tmp_path_factory.mktemp("minted")
    more = ("mint", "--count", "3", "--more", "--size", "48", "--batch", "2")
    five, reject = (*MINT, "--count", "5", "--seed", "9", *WORDS), ("reject", "2")
    for words in ((*five, "--stop-after", "generate"), reject, five, more, ("transfer", "3", "--to", BOB)):
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


def shown(pipeline: Pipeline, folder: Path, token_id: int) -> dict[str, Any]:
    """What `show` says of a token, less what only the ledger that signed could know."""
    found = pipeline("show", str(token_id), "--json", cwd=folder).json
    return {key: value for key, value in found.items() if key not in SIGNERS_OWN}


def told(pipeline: Pipeline, folder: Path) -> dict[str, Any]:
    """All that the program says of every token, less what only the ledger that signed could know; and who owns what."""
    tokens = {n: shown(pipeline, folder, n) for n in range(1, 9)}
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
    (report,) = ended.json["collections"]
    assert {key: report[key] for key in ("tokens", "batches", "owners", "seed_is_new", "attempts_unknown")} == {
        "tokens": 8,
        "batches": 5,
        "owners": 2,
        "seed_is_new": False,
        "attempts_unknown": 0,
    }
    assert told(pipeline, folder) == before
    assert before["tokens"][2]["attempt"] == 1
    with Ledger(folder / "workspace" / "ledger.sqlite", readonly=True) as ledger:
        (collection,) = ledger.collections.all()
    assert (collection.artist, collection.statement, collection.licence) == ("Zoë", "By night.", "CC0-1.0")
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
    assert (
        none.code == 0 and "drawn from a new one" in none.err and "of 8 drawings the attempt is not known" in none.err
    )


# ── collections of images that existed ───────────────────────────────────────────────────────────────────────


def forget(folder: Path) -> None:
    """Delete the ledger, and the copies of the images: the CARs have them."""
    for path in (folder / "workspace").glob("ledger.sqlite*"):
        path.unlink()
    shutil.rmtree(folder / "workspace" / "images")


def test_a_ledger_of_existing_images_comes_back_whole_and_goes_on(pipeline: Pipeline, tmp_path: Path) -> None:
    words = {
        "name": "Cat",
        "description": "A cat.",
        "external_url": "https://example.org/cat",
        "background_color": "c0ffee",
        "youtube_url": "https://www.youtube.com/watch?v=aaaaaaaaaaa",
        "attributes": [{"trait_type": "Age", "value": 3, "max_value": 9}],
    }
    elsewhere = {"animation_url": "https://example.org/cat.mp4", "name": "Far"}
    write(tmp_path / "art", {"1.png": 1, "2.jpg": 2, "2.json": words, "3.mp4": MP4, "3.webp": 3, "4.svg": SVG})
    write(tmp_path / "art", {"5.gif": 5, "5.json": elsewhere})
    minted = pipeline("mint", "--images", "art", "--batch", "2", "--json")
    assert minted.code == 0, minted.err
    drawn = pipeline(*MINT, "--count", "2", "--more", "--model", "compose")
    assert drawn.code == 0, drawn.err

    def told_of_all() -> list[Any]:
        return [shown(pipeline, tmp_path, n) for n in range(1, 8)] + [pipeline("owners", "--json").json]

    before, found = told_of_all(), rows_of_found(tmp_path)
    forget(tmp_path)
    ended = pipeline("repair", "--from-chain", "--contract", minted.json["contract"], "--json")
    assert ended.code == 0, ended.err
    assert (ended.json["collections"][0]["tokens"], ended.json["collections"][0]["batches"]) == (7, 4)
    after = told_of_all()
    assert after == before
    assert rows_of_found(tmp_path) == found
    status = pipeline("status", "--json").json
    assert (status["collections"][0]["minted"], status["unfinished"]) == (7, None)
    verified = pipeline("verify")
    assert verified.code == 0, verified.out + verified.err

    again = pipeline("mint", "--images", "art", "--more")
    assert again.code == 2 and "the same as token 1" in again.err
    write(tmp_path / "rest", {"6.png": 6, "7.png": 7})
    more = pipeline("mint", "--images", "rest", "--more", "--json")
    assert more.code == 0, more.err
    assert [token["token_id"] for token in more.json["tokens"]] == [8, 9]
    assert more.json["contract"] == minted.json["contract"]
    assert pipeline("verify").code == 0


def rows_of_found(folder: Path) -> list[dict[str, Any]]:
    """What the ledger says of files that existed; where they lay is forgotten with it, and so are their names."""
    ledger = sqlite3.connect(folder / "workspace" / "ledger.sqlite")
    ledger.row_factory = sqlite3.Row
    rows = [dict(row) for row in ledger.execute("SELECT * FROM found ORDER BY token_id")]
    ledger.close()
    for row in rows:
        row["source"], row["animation"] = "", row["animation"] and Path(row["animation"]).suffix
    return rows


def test_several_collections_come_back_into_one_ledger(pipeline: Pipeline, tmp_path: Path) -> None:
    write(tmp_path / "art", {"1.png": 1, "2.png": 2})
    minted = pipeline("mint", "--images", "art", "--json").json["contract"]
    other = pipeline(*MINT, "--count", "2", "--new", "--name", "Other").json["contract"]
    forget(tmp_path)
    words = ("repair", "--from-chain", "--contract", other, minted)
    seeded = pipeline(*words, "--seed", "9")
    assert seeded.code == 2 and "each has a seed of its own" in seeded.err
    ended = pipeline(*words, "--json")
    assert ended.code == 0, ended.err
    assert [one["collection"] for one in ended.json["collections"]] == ["Other", "art"]
    for name in ("art", "Other"):
        verified = pipeline("verify", "--name", name)
        assert verified.code == 0, verified.out + verified.err


def test_a_contract_that_has_minted_nothing_comes_back_is_shown_and_mints(pipeline: Pipeline, tmp_path: Path) -> None:
    words = (*MINT, "--count", "2", "--seed", "9")
    killed = pipeline(*words, env={"PIPELINE_CRASH_AT": "persisted_not_sent:2"})  # the contract is there, no token
    assert killed.code == -signal.SIGKILL
    ledger = sqlite3.connect(tmp_path / "workspace" / "ledger.sqlite")
    (contract,) = ledger.execute("SELECT contract FROM collection").fetchone()
    ledger.close()
    forget(tmp_path)
    ended = pipeline("repair", "--from-chain", "--contract", contract, "--seed", "9", "--json")
    assert ended.code == 0, ended.err
    assert ended.json["collections"][0]["tokens"] == 0
    assert pipeline("status", "--json").json["collections"][0]["planned"] == 0
    assert pipeline("status").code == 0

    with serving(application(Workspace(tmp_path / "workspace"))) as url, httpx.Client(base_url=url + "/v1") as client:
        assert client.get("/collections").json()[0]["progress"]["planned"] == 0
        told = client.get("/collections/1").json()
        assert (told["contract"], told["size"], told["chain"]["rpc_url"]) == (contract, None, None)
        for path in ("tokens", "index", "facets", "owners", "batches", "transactions", "progress"):
            assert client.get(f"/collections/1/{path}").status_code == 200, path
        assert client.get("/collections/1/tokens/1").status_code == 404

    minted = pipeline(*words, "--more")
    assert minted.code == 0, minted.err
    assert minted.json["contract"] == contract and len(minted.json["tokens"]) == 2
    assert pipeline("verify").code == 0
