"""A run whose generator draws four at once, as on a GPU: minted, killed, resumed with other batches, and verified."""

from __future__ import annotations

import hashlib
import json
import signal
import sqlite3
from pathlib import Path

import pytest
from conftest import Pipeline
from plugins import install, run

COUNT, SEED = 10, 21
MINT = ("mint", "--count", str(COUNT), "--batch", "3", "--size", "64", "--seed", str(SEED), "--json")
FOUR = (*MINT, "--model", "together")

# The default generator, told to draw as many at once on the CPU as the environment says.
PLUGIN = """
import os
from pipeline.art.draw.artist import default_artist

def together(device, threads):
    return default_artist("cpu", threads, int(os.environ.get("TOGETHER", "4")))
"""


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install(tmp_path_factory.mktemp("plugin"), "together", PLUGIN, "together")


def images(folder: Path) -> dict[int, bytes]:
    found = (folder / "workspace" / "images").rglob("[0-9]*.png")
    return {int(path.stem): hashlib.sha256(path.read_bytes()).digest() for path in found}


def recorded(folder: Path) -> dict[int, tuple[bytes, int, str]]:
    """Image digest, attempt and class of every token that is drawn."""
    ledger = sqlite3.connect(folder / "workspace" / "ledger.sqlite")
    rows = ledger.execute(
        "SELECT token_id, image_sha256, attempt, determinism FROM token WHERE image_sha256 IS NOT NULL"
    ).fetchall()
    ledger.close()
    return {token_id: tuple(rest) for token_id, *rest in rows}


@pytest.mark.parametrize("place", ["artwork_recorded:6", "image_written:7"])
def test_killed_and_resumed_with_other_batches_every_token_verifies(
    pipeline: Pipeline, tmp_path: Path, plugin: Path, place: str
) -> None:
    assert run(pipeline, plugin, *FOUR, PIPELINE_CRASH_AT=place).code == -signal.SIGKILL
    before = recorded(tmp_path)
    assert before or place != "artwork_recorded:6"
    ended = run(pipeline, plugin, *FOUR)
    assert ended.code == 0, ended.err
    assert [token["token_id"] for token in ended.json["tokens"]] == list(range(1, COUNT + 1))

    after = recorded(tmp_path)
    assert before.items() <= after.items(), "what was recorded is not drawn again"
    assert {token_id: digest for token_id, (digest, _, _) in after.items()} == images(tmp_path)
    assert {determinism for _, _, determinism in after.values()} == {"B"}
    assert pipeline("verify").code == 0

    verified = pipeline("verify", "--regenerate", "--json")  # one at a time: this installation has no plug-in
    assert verified.code == 0, verified.out + verified.err
    pixels = [step for token in verified.json["results"] for step in token["steps"] if step["name"] == "pixels"]
    assert len(pixels) == COUNT and all(step["ok"] for step in pixels)
    assert all("batch-4/cpu was used" in step["detail"] for step in pixels)
    assert all("equal pixels" in step["detail"] or "within the bounds" in step["detail"] for step in pixels)


def test_the_batch_stands_in_the_plan_and_a_resumed_run_keeps_to_it(
    pipeline: Pipeline, tmp_path: Path, plugin: Path
) -> None:
    assert run(pipeline, plugin, *FOUR, PIPELINE_CRASH_AT="artwork_recorded:2").code == -signal.SIGKILL
    ended = run(pipeline, plugin, *FOUR, TOGETHER="2")
    assert ended.code == 1 and "planned with renderer" in ended.err
    assert "batch-4/cpu" in ended.err and "batch-2/cpu" in ended.err
    assert run(pipeline, plugin, *FOUR).code == 0


def test_looked_at_first_and_rejected_it_goes_on(pipeline: Pipeline, tmp_path: Path, plugin: Path) -> None:
    assert run(pipeline, plugin, *FOUR, "--stop-after", "generate").code == 0
    before = recorded(tmp_path)
    assert len(before) == COUNT and not list((tmp_path / "workspace" / "car").glob("*.car"))
    assert run(pipeline, plugin, "reject", "2", "3", "9").code == 0
    after = recorded(tmp_path)
    assert {token_id for token_id in after if after[token_id] != before[token_id]} == {2, 3, 9}
    assert all(after[token_id][1] > before[token_id][1] for token_id in (2, 3, 9))
    assert run(pipeline, plugin, *FOUR).code == 0
    assert recorded(tmp_path) == after and pipeline("verify", "--regenerate").code == 0


def test_a_sheet_shows_what_would_be_minted(pipeline: Pipeline, tmp_path: Path, plugin: Path) -> None:
    words = ("generate", "--count", str(COUNT), "--size", "64", "--seed", str(SEED), "--sheet", "sheet.png", "--json")
    drawn = run(pipeline, plugin, *words, "--model", "together")
    assert drawn.code == 0, drawn.err
    alone = json.loads(pipeline(*words, "--model", "default", "--device", "cpu").out)
    assert [(token["token_id"], token["attempt"], token["seed"]) for token in drawn.json["tokens"]] == [
        (token["token_id"], token["attempt"], token["seed"]) for token in alone["tokens"]
    ]
    assert [token["attributes"] for token in drawn.json["tokens"]] == [t["attributes"] for t in alone["tokens"]]
