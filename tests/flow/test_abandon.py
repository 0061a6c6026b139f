"""A run that was begun can be given up: what is not on the chain goes, what is there stays, and the ids have no gap."""

from __future__ import annotations

import signal
import sqlite3
from pathlib import Path

import nodes
import pytest
from conftest import Pipeline

from pipeline.ledger import Ledger

SMALL = ("--size", "16", "--seed", "11")
SIX = ("mint", "--count", "6", "--batch", "2", *SMALL)


def killed(pipeline: Pipeline, place: str, *words: str) -> None:
    ended = pipeline(*words, env={"PIPELINE_CRASH_AT": place})
    assert ended.code == -signal.SIGKILL, ended.err


def test_a_planned_run_without_a_contract_leaves_nothing(pipeline: Pipeline, tmp_path: Path) -> None:
    killed(pipeline, "artwork_recorded:2", *SIX, "--stop-after", "generate", "--name", "First")
    killed(pipeline, "run_planned", *SIX, "--name", "Second")
    which = pipeline("abandon")
    assert which.code == 2 and "'First', 'Second'" in which.err
    gone = pipeline("abandon", "--name", "First", "--json")
    assert gone.code == 0, gone.err
    assert gone.json == {
        "collection": "First",
        "contract": None,
        "kept": [],
        "let_go": [1, 2, 3, 4, 5, 6],
        "withdrawn": [],
        "held_elsewhere": [],
    }
    assert "the collection is gone too" in pipeline("abandon").out
    assert "nothing is unfinished here" in pipeline("abandon").err
    assert list((tmp_path / "workspace").glob("images/*/*")) == []
    assert pipeline("status", "--json").json["collections"] == []
    with Ledger(tmp_path / "workspace" / "ledger.sqlite") as ledger:
        ledger.check()


def test_what_is_minted_stays_and_more_tokens_go_on_without_a_gap(pipeline: Pipeline, tmp_path: Path) -> None:
    killed(pipeline, "mined_recorded:2", *SIX)  # the deployment, and the first batch
    ended = pipeline("abandon", "--json")
    assert ended.code == 0, ended.err
    kept = ended.json["kept"]
    assert kept and kept + ended.json["let_go"] == [1, 2, 3, 4, 5, 6]
    again = pipeline(*SIX)
    assert again.code == 2 and "which was let go of" in again.err
    more = pipeline("mint", "--count", "2", "--more", *SMALL, "--json")
    assert more.code == 0, more.err
    assert [token["token_id"] for token in more.json["tokens"]] == [len(kept) + 1, len(kept) + 2]
    assert pipeline("verify").code == 0
    status = pipeline("status", "--json").json
    assert (status["collections"][0]["minted"], status["unfinished"]) == (len(kept) + 2, None)


@pytest.mark.parametrize("place", ["run_withdrawn", "inside_ledger_commit:1", "run_abandoned"])
def test_killed_anywhere_it_ends_the_same_when_it_is_given_again(
    pipeline: Pipeline, tmp_path: Path, place: str
) -> None:
    killed(pipeline, "persisted_not_sent:2", *SIX)  # signed, and never sent
    killed(pipeline, place, "abandon")
    ended = pipeline("abandon", "--json")
    assert ended.code == 0, ended.err
    if place != "run_abandoned":
        assert ended.json["let_go"] == [1, 2, 3, 4, 5, 6] and ended.json["contract"]
        assert all(one["paid_wei"] > 0 for one in ended.json["withdrawn"]) and ended.json["withdrawn"]
    result = pipeline("mint", "--count", "1", "--more", *SMALL, "--json")
    assert result.code == 0, result.err
    assert [token["token_id"] for token in result.json["tokens"]] == [1]
    assert pipeline("verify").code == 0


def test_a_run_is_let_go_of_when_its_chain_answers_or_is_known_to_be_gone(pipeline: Pipeline, tmp_path: Path) -> None:
    def unfinished() -> int:
        with sqlite3.connect(tmp_path / "workspace" / "ledger.sqlite") as ledger:
            (count,) = ledger.execute("SELECT count(*) FROM run WHERE state = 'running'").fetchone()
            return int(count)

    with nodes.anvil() as url:
        killed(pipeline, "sent_not_recorded:2", *SIX, "--rpc-url", url)
        there = pipeline("abandon", "--rpc-url", url, "--chain-gone")
        assert there.code == 2 and "is there, and is asked" in there.err
    silent = pipeline("abandon", "--rpc-url", url)
    assert silent.code != 0 and unfinished() == 1
    silent = pipeline("abandon", "--rpc-url", url, "--chain-gone")
    assert silent.code != 0 and unfinished() == 1
    with nodes.anvil("--timestamp", "1") as url:
        other = pipeline("abandon", "--rpc-url", url)
        assert other.code != 0 and "--chain-gone" in other.err and unfinished() == 1
        gone = pipeline("abandon", "--rpc-url", url, "--chain-gone")
        assert gone.code == 0, gone.err
        fresh = pipeline("mint", "--count", "1", "--new", *SMALL, "--rpc-url", url)
        assert fresh.code == 0, fresh.err
