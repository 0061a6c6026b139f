"""A workspace that version 0.1 made, as its user left it, is opened, finished, proved and added to by this version.

`make`, beside this file, says how the archive was made; it is never made again.
"""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest
from conftest import Ended, Pipeline, pipeline_in
from nodes import free_port

CONTRACTS = {
    "Old Drawn": "0x5FbDB2315678afecb367f032d93F642f64180aa3",
    "Old Images": "0xDc64a140Aa3E981100a9becA4E685f962f0cF6C9",
    "Old Recipients": "0x0165878A594ca255338adfa4d48449f69242Eb8F",
}
# Directories of metadata as 0.1 planned them: any byte of a document that moved would show here.
TOKEN_5 = "ipfs://bafybeid2iwunewmre3k33f5r5uwnno2xigddj2rszefkoa2bwkwoqxhfxu/5.json"
TO_RECIPIENTS = (
    *("bafybeif7nkw4rjgcyaswhxqlll7onlecqkis2jfdjsyxwrropdioeilz5u",) * 2,
    *("bafybeicha77noyh2oeh5u6kefcuewzzou2kdo7zm2k57gkwastzol4czea",) * 2,
    *("bafybeifead2lthl3pdhhsx5weg6pufy2hxncqdjwxkydxbq25tf5dfe4ly",) * 2,
)
UNFINISHED = ("--to", "recipients.csv", "--name", "Old Recipients", "--size", "16", "--batch", "2", "--seed", "9")


def unpack(folder: Path) -> Path:
    """The archive's content on a port that is free here; a workspace keeps its port for ever, and so would two tests."""
    with tarfile.open(Path(__file__).with_name("0.1.tar.xz")) as archive:
        archive.extractall(folder, filter="data")
    (folder / "workspace" / "chain" / "anvil" / "port").write_text(f"{free_port()}\n")
    return folder


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    """The workspace as it was left: nothing in this module that takes it may write."""
    return pipeline_in(unpack(tmp_path_factory.mktemp("left")))


@pytest.fixture(scope="module")
def continued(tmp_path_factory: pytest.TempPathFactory) -> tuple[Pipeline, Ended]:
    """The workspace after the unfinished run was given again."""
    run = pipeline_in(unpack(tmp_path_factory.mktemp("continued")))
    return run, run("mint", *UNFINISHED, "--json")


def test_status_tells_three_collections_and_the_unfinished_run(left: Pipeline) -> None:
    ended = left("status", "--json")
    assert ended.code == 0, ended.err
    told = {row["name"]: row for row in ended.json["collections"]}
    assert {name: row["contract"] for name, row in told.items()} == CONTRACTS
    assert [(row["planned"], row["minted"], row["state"]) for row in told.values()] == [
        (5, 5, "minted"),
        (3, 3, "minted"),
        (6, 2, "unfinished"),
    ]
    assert ended.json["unfinished"] is not None


def test_another_call_for_the_unfinished_run_s_collection_is_refused(left: Pipeline) -> None:
    ended = left("mint", "--count", "1", "--more", "--name", "Old Recipients")
    assert ended.code == 2 and "unfinished" in ended.err


def test_the_unfinished_run_is_finished_and_sends_nothing_twice(continued: tuple[Pipeline, Ended]) -> None:
    _, ended = continued
    assert ended.code == 0, ended.err
    assert ended.json["contract"] == CONTRACTS["Old Recipients"]
    assert [token["token_id"] for token in ended.json["tokens"]] == [1, 2, 3, 4, 5, 6]
    uris = [f"ipfs://{root}/{token_id}.json" for token_id, root in enumerate(TO_RECIPIENTS, 1)]
    assert [token["token_uri"] for token in ended.json["tokens"]] == uris
    assert "transaction 0x5f1cdd34" in ended.err and "mined meanwhile" in ended.err  # sent before the kill


def test_owners_are_the_recipients_of_the_file(continued: tuple[Pipeline, Ended]) -> None:
    run, _ = continued
    owners = {row["owner"][:4]: row["token_ids"] for row in run("owners", "--json").json["owners"]}
    assert owners == {"0x11": [1, 2, 3], "0x22": [4, 5], "0x33": [6]}


@pytest.mark.parametrize("name", CONTRACTS)
def test_every_collection_verifies_down_to_its_pixels(continued: tuple[Pipeline, Ended], name: str) -> None:
    run, _ = continued
    ended = run("verify", "--name", name, "--regenerate", "--json")
    assert ended.code == 0, ended.out + ended.err
    assert ended.json["ok"] and ended.json["contract"] == CONTRACTS[name] and not ended.json["failed"]


def test_two_more_are_minted_beside_the_old_ones(continued: tuple[Pipeline, Ended]) -> None:
    run, _ = continued
    ended = run("mint", "--count", "2", "--size", "32", "--more", "--name", "Old Drawn", "--json")
    assert ended.code == 0, ended.err
    assert ended.json["contract"] == CONTRACTS["Old Drawn"]
    assert [token["token_id"] for token in ended.json["tokens"]] == [6, 7]
    assert run("show", "5", "--name", "Old Drawn", "--json").json["token_uri"] == TOKEN_5
