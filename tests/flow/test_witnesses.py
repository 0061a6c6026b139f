"""Ledger, plan and chain are three witnesses: none is believed alone, also after a run has said that it is done."""

from __future__ import annotations

from pathlib import Path

from conftest import Pipeline
from nodes import anvil, asked

MINT = ("mint", "--count", "6", "--size", "32", "--seed", "3", "--batch", "2")


def test_a_reorg_after_done_is_told_by_all_and_what_it_took_is_sent_again(pipeline: Pipeline, tmp_path: Path) -> None:
    with anvil() as url:
        assert pipeline(*MINT, "--rpc-url", url).code == 0
        asked(url, "anvil_reorg", 2, [])

        verified = pipeline("verify", "--rpc-url", url)
        assert verified.code == 3
        assert "the chain has 2 tokens, the ledger has 6 as minted" in verified.out + verified.err
        status = pipeline("status", "--json", "--rpc-url", url).json
        assert [status["collections"][0][word] for word in ("minted", "state")] == [2, "unfinished"]
        assert status["unfinished"].startswith("pipeline mint --count 6")

        again = pipeline(*MINT, "--rpc-url", url)
        assert again.code == 0 and "complete before" not in again.err
        assert pipeline("verify", "--rpc-url", url).code == 0
        finished = pipeline(*MINT, "--rpc-url", url)
        assert finished.code == 0 and "complete before" in finished.err
