"""`mint --pin embedded,kubo` as a user calls it, against a real Kubo daemon: up, away, and back."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from conftest import Pipeline

MINT = ("mint", "--count", "2", "--size", "32", "--seed", "1", "--pin", "embedded,kubo", "--json")


def test_kubo_has_the_tokens_after_a_wait_for_it_and_gives_a_lost_workspace_back(
    pipeline: Pipeline, new_repo: Callable[[str], Any], tmp_path: Path
) -> None:
    repo = new_repo("unixfs-v1-2025")
    words = (*MINT, "--ipfs-api", repo.address)

    away = pipeline(*words)
    assert away.code == 1 and "kubo" in away.err and "same command again" in away.err
    assert pipeline("status", "--json").json["collections"][0]["minted"] == 0

    repo.start()
    try:
        killed = pipeline(*words, env={"PIPELINE_CRASH_AT": "batch_sealed"})
        assert killed.code == -9
        for root in repo.run("pin", "ls", "--type=recursive", "--quiet").split():
            repo.run("pin", "rm", root)
        repo.run("repo", "gc")  # proved a moment ago, and gone
        minted = pipeline(*words)
        assert minted.code == 0, minted.err
        assert "kubo does not say any more" in minted.err
        token = minted.json["tokens"][1]
        document = json.loads(repo.run("cat", token["token_uri"].replace("ipfs://", "/ipfs/")))
        assert document["image"] == token["image"]
        pinned = repo.run("pin", "ls", "--type=recursive", "--quiet").split()
        assert set(minted.json["images_roots"] + minted.json["metadata_roots"]) <= set(pinned)
        assert pipeline("show", "2", "--json").json["pinned_at"] == ["embedded", "kubo"]
        assert pipeline("verify").code == 0

        for path in tmp_path.glob("workspace/ledger.sqlite*"):
            path.unlink()
        shutil.rmtree(tmp_path / "workspace/car")
        gateway = ("--gateway", f"http://127.0.0.1:{repo.gateway_port}")
        repaired = pipeline("repair", "--from-chain", "--contract", minted.json["contract"], *gateway)
        assert repaired.code == 0, repaired.err
        assert pipeline("verify").code == 0
    finally:
        repo.stop()
