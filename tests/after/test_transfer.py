"""`pipeline transfer` as a user meets it: done once, told in plain words, refused with the next step."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import REPOSITORY, Pipeline

from pipeline.after.transfer import _sender
from pipeline.base.errors import Corrupt
from pipeline.base.observer import Silence
from pipeline.base.workspace import Workspace
from pipeline.flow.consent import NOBODY
from pipeline.ledger import Ledger
from pipeline.ledger.journal import Intent
from pipeline.pin.store import CarStore
from pipeline.settings import Settings

ALICE = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
BOB = "0x1111111111111111111111111111111111111111"


@pytest.fixture(scope="module")
def minted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("minted")
    subprocess.run(
        [sys.executable, "-m", "pipeline", "mint", "--count", "4", "--batch", "2", "--size", "32", "--seed", "1"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        check=True,
        capture_output=True,
    )
    return folder


def test_a_token_is_given_away_once_and_everybody_knows(pipeline: Pipeline, minted: Path) -> None:
    first = pipeline("transfer", "1", "--to", ALICE, "--json", cwd=minted)
    assert first.code == 0, first.err
    assert first.json["owner"] == ALICE and first.json["sent"] is True
    again = pipeline("transfer", "1", "--to", ALICE, "--json", cwd=minted)
    assert again.code == 0 and again.json == {**first.json, "sent": False}
    assert pipeline("show", "1", "--json", cwd=minted).json["owner"] == ALICE
    owners = pipeline("owners", "--json", cwd=minted).json["owners"]
    assert {"owner": ALICE, "token_ids": [1]} in owners
    assert pipeline("verify", cwd=minted).code == 0


@pytest.mark.parametrize(
    ("token", "place"), [("2", "persisted_not_sent"), ("3", "sent_not_recorded"), ("4", "mined_not_recorded")]
)
def test_killed_anywhere_the_same_command_finishes_it(pipeline: Pipeline, minted: Path, token: str, place: str) -> None:
    words = ("transfer", token, "--to", BOB, "--json")
    killed = pipeline(*words, cwd=minted, env={"PIPELINE_CRASH_AT": f"{place}:1"})
    assert killed.code == -signal.SIGKILL
    ended = pipeline(*words, cwd=minted)
    assert ended.code == 0, ended.err
    assert ended.json["owner"] == BOB
    assert pipeline("verify", cwd=minted).code == 0


def test_a_mint_s_fee_is_not_raised_by_a_transfer_when_its_content_is_gone(minted: Path, tmp_path: Path) -> None:
    """Whatever verb comes upon a mint that waits: its next signature commits the chain to the same content."""
    shutil.copytree(minted, tmp_path / "copy")
    workspace = Workspace(tmp_path / "copy" / "workspace")
    with Ledger(workspace.ledger) as ledger:
        [collection] = ledger.collections.all()
        batch = ledger.batches.get(1)
        mint = Intent("mint", collection.id, batch.id, batch.start, batch.quantity)
    assert batch.metadata_root is not None
    CarStore(workspace.cars).path(batch.metadata_root).unlink()
    config = Settings.of(workspace=str(workspace.folder))
    with _sender(workspace, config, collection, Silence(), NOBODY) as (sender, _):
        with pytest.raises(Corrupt, match="missing"):
            sender.lane.sign(mint, 99, None, b"", 21_000)


def test_what_cannot_be_given_is_refused_with_the_next_step(pipeline: Pipeline, minted: Path) -> None:
    pipeline("transfer", "1", "--to", ALICE, cwd=minted)
    for words, told in (
        (("1", "--to", BOB), f"token 1 belongs to {ALICE}, not to the signing account"),
        (("99", "--to", BOB), "token id is 99; expected 1 to 4"),
        (("1", "--to", "bob"), "expected 0x and 40 hex digits"),
    ):
        ended = pipeline("transfer", *words, cwd=minted)
        assert ended.code == 2 and told in ended.err
