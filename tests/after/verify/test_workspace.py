"""Every collection of a workspace is proved or named: what is not minted yet and who is away are no falsehoods."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
from after.verify.conftest import Minted, flip
from conftest import Ended, Pipeline

NOBODY = "http://127.0.0.1:1"


@pytest.fixture
def two(pipeline: Pipeline, minted: Minted) -> Minted:
    """A minted collection, and a later one that is drawn and no more."""
    words = ("--count", "2", "--size", "16", "--device", "cpu", "--name", "Later", "--new", "--stop-after", "generate")
    drawn = pipeline("mint", *words, cwd=minted.folder)
    assert drawn.code == 0, drawn.err
    return minted


def verdicts(ended: Ended) -> list[str]:
    return [report["verdict"] for report in ended.json["collections"]]


def test_each_collection_is_named_and_the_verdict_is_on_stdout(pipeline: Pipeline, two: Minted) -> None:
    ended = pipeline("verify", "--rpc-url", two.url, cwd=two.folder)
    assert ended.code == 0, ended.out + ended.err
    assert f": {two.contract} on chain 31337" in ended.out and "every check holds." in ended.out
    assert "Later: not deployed yet" in ended.out and "✗" not in ended.out
    assert "2 of 2 tokens drawn, none minted yet: nothing to prove yet." in ended.out
    assert "2 collections: 1 proved, 1 with nothing to prove yet." in ended.out


def test_what_is_not_minted_yet_is_no_failure_of_its_own(pipeline: Pipeline, two: Minted) -> None:
    ended = pipeline("verify", "--name", "Later", "--json", cwd=two.folder)
    assert ended.code == 0 and ended.json["ok"] and verdicts(ended) == ["nothing to prove yet"]


@pytest.mark.parametrize("words", [("verify",), ("verify", "--regenerate")])
def test_where_no_collection_is_there_is_nothing_to_prove(pipeline: Pipeline, words: tuple[str, ...]) -> None:
    ended = pipeline(*words)
    assert ended.code == 0 and ended.out == "no collection is in workspace yet: nothing to prove.\n", ended.err
    mistyped = pipeline(*words, "--workspace", "wrokspace")
    assert mistyped.code == 2 and "wrokspace holds no collection yet" in mistyped.err


def test_a_node_that_is_down_is_not_checked_and_a_falsehood_beside_it_wins(
    pipeline: Pipeline, two: Minted, tmp_path: Path
) -> None:
    file = tmp_path / "verified.xml"
    words = ("verify", "--rpc-url", NOBODY, "--json")
    silent = pipeline(*words, "--junit", str(file), cwd=two.folder)
    assert silent.code == 4 and verdicts(silent) == ["not checked", "nothing to prove yet"]
    suite = ElementTree.parse(file).getroot()
    assert (suite.get("failures"), suite.get("errors")) == ("0", "1")

    flip(two.folder / "workspace" / "images" / "1" / "2.png", 60)
    assert pipeline(*words, cwd=two.folder).code == 3
    stranger = pipeline("verify", "--contract", two.contract, "--rpc-url", NOBODY, cwd=two.folder)
    assert stranger.code == 4 and "nothing could be checked" in stranger.err
