"""The whole way, walked as a user walks it: one command, and what can be done with its tokens afterwards."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from conftest import REPOSITORY, Pipeline

from pipeline.base.cid import CID
from pipeline.base.metadata import check_token_metadata
from pipeline.ledger import Ledger
from pipeline.pin.store import CarStore

SMALL = ("--size", "32", "--seed", "11")


def _mint(pipeline: Pipeline, *words: str, **options: Any) -> dict[str, Any]:
    ended = pipeline("mint", *words, *SMALL, "--json", **options)
    assert ended.code == 0, ended.err
    result: dict[str, Any] = ended.json
    return result


def _images(folder: Path, collection: int = 1) -> dict[str, str]:
    images = folder / "workspace" / "images" / str(collection)
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in images.glob("*.png")}


def _events(folder: Path) -> list[tuple[str, dict[str, Any]]]:
    ledger = sqlite3.connect(folder / "workspace" / "ledger.sqlite")
    rows = ledger.execute("SELECT kind, data FROM event ORDER BY seq").fetchall()
    ledger.close()
    return [(kind, json.loads(data)) for kind, data in rows]


def test_stages_overlap(pipeline: Pipeline, tmp_path: Path) -> None:
    """The contract is deployed before the first batch is drawn, and the first batch mined before the last is."""
    ended = pipeline("mint", "--count", "8", "--batch", "2", "--size", "384")
    assert ended.code == 0, ended.err
    told = [kind if kind != "mined" else f"mined {data['block']}" for kind, data in _events(tmp_path)]
    assert told.index("mined 1") < told.index("batch.sealed")
    last_sealed = len(told) - 1 - told[::-1].index("batch.sealed")
    assert told.index("mined 2") < last_sealed


def test_every_link_from_token_to_pixels_holds(pipeline: Pipeline, tmp_path: Path) -> None:
    result = _mint(pipeline, "--count", "3")
    store = CarStore(tmp_path / "workspace" / "car")
    for token in result["tokens"]:
        root, _, name = token["token_uri"].removeprefix("ipfs://").partition("/")
        document = check_token_metadata(store.read(CID.parse(root), name))
        assert document["image"] == token["image"]
        assert document["generator"]["seed"] == token["seed"] < 2**53
        assert set(document["generator"]) == {"model", "weights_sha256", "renderer", "encoder", "seed", "size"}
        root, _, name = document["image"].removeprefix("ipfs://").partition("/")
        image = store.read(CID.parse(root), name)
        assert hashlib.sha256(image).hexdigest() == document["image_sha256"] == _images(tmp_path)[name]
    verified = pipeline("verify", "--json")
    assert verified.code == 0 and verified.json["ok"]
    checks = verified.json["collections"][0]["checks"]
    assert all(check["ok"] for check in checks) and len(checks) >= 9


def test_an_artwork_depends_on_its_seed_alone(pipeline: Pipeline, tmp_path: Path) -> None:
    """Not on the size of batches, nor on how many others there are."""
    for name, words in {"one": ("--count", "4", "--batch", "4"), "two": ("--count", "2", "--batch", "1")}.items():
        (tmp_path / name).mkdir()
        _mint(pipeline, *words, cwd=tmp_path / name)
    few, many = _images(tmp_path / "two"), _images(tmp_path / "one")
    assert len(few) == 3 and len(many) == 5  # with the cover
    assert few.items() <= many.items()


def test_asked_again_it_tells_and_sends_nothing(pipeline: Pipeline, tmp_path: Path) -> None:
    first = _mint(pipeline, "--count", "2")
    events = _events(tmp_path)
    ended = pipeline("mint", "--count", "2", *SMALL, "--quorum", "1", "--json")
    assert ended.code == 0 and "has no use for" in ended.err and "--quorum" in ended.err
    assert {**ended.json, "seconds": {}} == {**first, "seconds": {}}
    assert "complete before" in ended.err and "--new" in ended.err
    assert _events(tmp_path) == events


def test_more_tokens_and_other_collections_in_one_workspace(pipeline: Pipeline, tmp_path: Path) -> None:
    first = _mint(pipeline, "--count", "2")
    more = _mint(pipeline, "--count", "3", "--more")
    assert [token["token_id"] for token in more["tokens"]] == [3, 4, 5]
    assert more["contract"] == first["contract"]
    other = _mint(pipeline, "--count", "2", "--new")
    assert other["contract"] != first["contract"] and other["name"] == "Grove 2"
    named = _mint(pipeline, "--count", "1", "--name", "Third")
    assert [token["token_id"] for token in named["tokens"]] == [1]
    collections = pipeline("status", "--json").json["collections"]
    assert [(c["name"], c["minted"]) for c in collections] == [("Grove", 5), ("Grove 2", 2), ("Third", 1)]
    assert pipeline("owners", "--name", "Grove", "--json").json["owners"][0]["token_ids"] == [1, 2, 3, 4, 5]
    for collection in collections:
        assert pipeline("verify", "--name", collection["name"]).code == 0
    walked = pipeline("verify", "--regenerate", "--json")
    assert walked.code == 0 and walked.json["verdict"] == "holds", walked.err
    assert [report["tokens"] for report in walked.json["collections"]] == [5, 2, 1]
    asked = pipeline("verify", "--token", "1")
    assert asked.code == 2 and "'Grove 2'" in asked.err and "--name" in asked.err


def test_settings_are_shown_before_the_deployment_and_stand_on_the_chain(pipeline: Pipeline, tmp_path: Path) -> None:
    words = (
        "--name",
        "Night Linos",
        "--symbol",
        "NITE",
        "--royalty-bps",
        "250",
        "--external-url",
        "https://example.org",
        *("--artist", "Zoë Ħ.", "--statement", "Cut by night.\r\n\r\nPrinted by day.", "--licence", "cc-by-4.0"),
    )
    ended = pipeline("mint", "--count", "1", *words, *SMALL, "--description", "Ünïcode.", "--json")
    assert ended.code == 0, ended.err
    for shown in ("Night Linos (NITE)", "Ünïcode.", "2.5 %", "https://example.org", "cover", "Zoë Ħ.", "CC-BY-4.0"):
        assert shown in ended.err
    store = CarStore(tmp_path / "workspace" / "car")
    token = json.loads(store.read(CID.parse(ended.json["metadata_roots"][0]), "1.json"))
    assert (token["artist"], token["license"], token["description"]) == ("Zoë Ħ.", "CC-BY-4.0", "Ünïcode.")
    with Ledger(tmp_path / "workspace" / "ledger.sqlite", readonly=True) as ledger:
        (collection,) = ledger.collections.all()
    assert collection.info_root is not None
    document = json.loads(store.read(collection.info_root, "collection.json"))
    assert document["statement"] == collection.statement == "Cut by night.\n\nPrinted by day."
    assert (
        (document["artist"], document["license"]) == (collection.artist, collection.licence) == ("Zoë Ħ.", "CC-BY-4.0")
    )
    assert pipeline("verify").code == 0


def test_nobody_waits_for_blocks_that_a_development_node_does_not_make(pipeline: Pipeline) -> None:
    assert "no block to wait for" in pipeline("mint", "--count", "1", "--confirmations", "7", *SMALL).err


def test_tokens_of_yesterday_are_there_today_and_no_process_is_left(pipeline: Pipeline, tmp_path: Path) -> None:
    result = _mint(pipeline, "--count", "2")
    port = (tmp_path / "workspace" / "chain" / "anvil" / "port").read_text()
    assert result["rpc_url"].endswith(port.strip())
    for _ in range(2):
        owners = pipeline("owners", "--json").json["owners"]
        assert [(o["owner"], o["token_ids"]) for o in owners] == [(result["tokens"][0]["owner"], [1, 2])]
        assert (tmp_path / "workspace" / "chain" / "anvil" / "port").read_text() == port
    running = subprocess.run(["pgrep", "-f", str(tmp_path)], capture_output=True, text=True)
    assert running.stdout == ""


@contextmanager
def _devnet(folder: Path) -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline", "devnet", "--json"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    lines = ""
    while not lines.rstrip().endswith("}"):
        lines += process.stdout.readline()
    try:
        yield json.loads(lines)["rpc_url"]
    finally:
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 0, err


def test_a_devnet_in_the_foreground_is_joined_and_left_running(pipeline: Pipeline, tmp_path: Path) -> None:
    from pipeline.mint.chain import connect

    with _devnet(tmp_path) as url:
        result = _mint(pipeline, "--count", "2")
        assert result["rpc_url"] == url
        assert pipeline("verify").code == 0
        assert connect(url).head().number >= 2


def test_a_chain_of_ones_own_signs_with_its_first_account(pipeline: Pipeline, tmp_path: Path) -> None:
    from pipeline.mint.devnet import devnet

    with devnet(tmp_path / "elsewhere") as node:
        result = _mint(pipeline, "--count", "2", "--rpc-url", node)
        assert result["rpc_url"] == node and result["chain_id"] == 31337
        assert not (tmp_path / "workspace" / "chain").exists()
        assert pipeline("verify", "--rpc-url", node).code == 0
        assert pipeline("owners", "--rpc-url", node, "--json").json["owners"][0]["token_ids"] == [1, 2]
    assert pipeline("show", "1").code == 0
    ended = pipeline("verify")
    assert ended.code == 2 and "--rpc-url" in ended.err


def test_ganache_does_the_same(pipeline: Pipeline, tmp_path: Path) -> None:
    result = _mint(pipeline, "--count", "4", "--batch", "2", "--chain", "ganache")
    assert result["chain_id"] == 1337 and len(result["transactions"]) == 3
    assert pipeline("verify").code == 0
    assert pipeline("owners", "--json").json["owners"][0]["token_ids"] == [1, 2, 3, 4]


def test_finality_comes_later_by_status(pipeline: Pipeline, tmp_path: Path) -> None:
    from pipeline.mint.chain import connect

    _mint(pipeline, "--count", "2")
    assert pipeline("status", "--json").json["collections"][0]["final"] == 0
    with _devnet(tmp_path) as url:
        for _ in range(70):
            connect(url).rpc.call("evm_mine", [])
        assert pipeline("status", "--json").json["collections"][0]["final"] == 2
    assert pipeline("status", "--json").json["collections"][0]["state"] == "final"


def test_a_cover_of_ones_own(pipeline: Pipeline, tmp_path: Path) -> None:
    from PIL import Image

    Image.new("RGB", (8, 8), "teal").save(tmp_path / "cover.webp", lossless=True)
    _mint(pipeline, "--count", "1", "--cover", "cover.webp")
    kept = tmp_path / "workspace" / "images" / "1" / "cover.webp"
    assert kept.read_bytes() == (tmp_path / "cover.webp").read_bytes()
    assert pipeline("verify").code == 0


def test_an_embedded_chain_that_lost_its_state_is_sent_the_same_bytes(pipeline: Pipeline, tmp_path: Path) -> None:
    result = _mint(pipeline, "--count", "3")
    for state in (tmp_path / "workspace" / "chain" / "anvil").glob("anvil*.json"):
        state.unlink()
    owners = pipeline("owners", "--json")
    assert owners.code == 0, owners.err
    assert owners.json["contract"] == result["contract"] and owners.json["owners"][0]["token_ids"] == [1, 2, 3]
    assert pipeline("verify").code == 0
    assert _mint(pipeline, "--count", "3")["transactions"] == result["transactions"]
