"""Attempts through the whole program: a generator that repeats itself, killed anywhere, ends with the same tokens."""

from __future__ import annotations

import hashlib
import os
import signal
import sqlite3
from pathlib import Path

import pytest
from conftest import REPOSITORY, Pipeline
from plugins import install, run

from pipeline.art.draw import token_seed

COUNT, SEED = 8, 21
MINT = ("mint", "--count", str(COUNT), "--batch", "3", "--size", "32", "--seed", str(SEED), "--model", "few", "--json")

# Installed beside the package, as a stranger's generator would be: it knows PICTURES pictures, and flaws.
PLUGIN = """
import os
import numpy as np
from pipeline.art.draw import Drawing

class Few:
    name, weights_sha256, renderer, dtype = "few", "0" * 64, "few-1", "float64"

    def __init__(self, device, threads):
        self.device, self.threads = "cpu", 1

    def draw(self, seed, size):
        number = seed % int(os.environ.get("PICTURES", "12"))
        pixels = np.random.default_rng(number).integers(0, 256, (size, size, 3), np.uint8)
        flaw = {0: "not finite", 1: "blank"}.get(seed // 100 % 10, "")
        return Drawing(seed, pixels, (), flaw)
"""


@pytest.fixture(scope="session")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install(tmp_path_factory.mktemp("plugin"), "few", PLUGIN, "Few")


def recorded(folder: Path) -> list[tuple[int, int, int, int, str]]:
    """Token id, attempt, seed, hash, class of every token."""
    ledger = sqlite3.connect(folder / "workspace" / "ledger.sqlite")
    rows = ledger.execute("SELECT token_id, attempt, seed, phash, determinism FROM token ORDER BY token_id").fetchall()
    ledger.close()
    return rows


def images(folder: Path) -> dict[str, str]:
    paths = (folder / "workspace" / "images").rglob("*.png")
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, plugin: Path) -> Path:
    import subprocess
    import sys

    folder = tmp_path_factory.mktemp("undisturbed")
    environment = {**os.environ, "PYTHONPATH": f"{REPOSITORY}{os.pathsep}{plugin}"}
    subprocess.run(
        [sys.executable, "-m", "pipeline", *MINT], cwd=folder, env=environment, check=True, capture_output=True
    )
    return folder


def test_the_accepted_attempt_and_its_seed_stand_in_ledger_and_metadata(
    pipeline: Pipeline, undisturbed: Path, plugin: Path
) -> None:
    rows = recorded(undisturbed)
    assert any(attempt > 0 for _, attempt, _, _, _ in rows) and any(attempt == 0 for _, attempt, _, _, _ in rows)
    for token_id, attempt, seed, _, determinism in rows:
        assert seed == token_seed(SEED, token_id, attempt) and determinism == "C"
    assert len({hashed for _, _, _, hashed, _ in rows}) == COUNT
    assert pipeline("verify", cwd=undisturbed).code == 0  # metadata has the same seeds as the ledger
    shown = pipeline("show", "1", "--json", cwd=undisturbed).json
    assert (shown["seed"], shown["attempt"], shown["determinism"]) == (rows[0][2], rows[0][1], "C")


@pytest.mark.parametrize(
    "place",
    ["run_planned:1", "image_not_written:4", "image_written:5", "artwork_recorded:2", "artwork_recorded:5"]
    + ["inside_ledger_commit:9", "batch_sealed:1", "car_written:3", "batch_sealed:3"],
)
def test_killed_anywhere_it_ends_with_the_same_attempts_and_bytes(
    pipeline: Pipeline, tmp_path: Path, plugin: Path, undisturbed: Path, place: str
) -> None:
    assert run(pipeline, plugin, *MINT, PIPELINE_CRASH_AT=place).code == -signal.SIGKILL
    ended = run(pipeline, plugin, *MINT)
    assert ended.code == 0, ended.err
    assert recorded(tmp_path) == recorded(undisturbed)
    assert images(tmp_path) == images(undisturbed)


def test_files_that_were_lost_meanwhile_are_drawn_again_with_their_attempts(
    pipeline: Pipeline, tmp_path: Path, plugin: Path, undisturbed: Path
) -> None:
    assert run(pipeline, plugin, *MINT, PIPELINE_CRASH_AT="artwork_recorded:6").code == -signal.SIGKILL
    for token_id in (2, 4):
        (tmp_path / "workspace" / "images" / "1" / f"{token_id}.png").unlink(missing_ok=True)
    assert run(pipeline, plugin, *MINT).code == 0
    assert recorded(tmp_path) == recorded(undisturbed) and images(tmp_path) == images(undisturbed)


def test_a_model_that_repeats_itself_ends_clearly_and_can_go_on_without_the_comparison(
    pipeline: Pipeline, tmp_path: Path, plugin: Path
) -> None:
    ended = run(pipeline, plugin, *MINT, PICTURES="5")
    assert ended.code == 1
    assert "token 6: 16 attempts from number 0 on were refused" in ended.err and "like token" in ended.err
    assert "--duplicate-bits off" in ended.err
    first = recorded(tmp_path)[:3]
    ended = run(pipeline, plugin, *MINT, "--duplicate-bits", "off", PICTURES="5")
    assert ended.code == 0, ended.err
    assert recorded(tmp_path)[:3] == first
    assert pipeline("verify").code == 0


def test_more_tokens_are_compared_with_those_before_them(pipeline: Pipeline, tmp_path: Path, plugin: Path) -> None:
    assert run(pipeline, plugin, *MINT).code == 0
    ended = run(pipeline, plugin, "mint", "--count", "2", "--more", *MINT[5:])
    assert ended.code == 0, ended.err
    assert len({hashed for _, _, _, hashed, _ in recorded(tmp_path)}) == COUNT + 2
    assert any(attempt > 0 for _, attempt, _, _, _ in recorded(tmp_path)[COUNT:])


def test_a_resumed_run_keeps_to_its_encoder(pipeline: Pipeline, tmp_path: Path, plugin: Path) -> None:
    """Whatever the settings say by then: file bytes decide CIDs."""
    fast = (*MINT, "--encoder", "fpng")
    assert run(pipeline, plugin, *fast, PIPELINE_CRASH_AT="artwork_recorded:2").code == -signal.SIGKILL
    assert run(pipeline, plugin, *MINT).code == 0
    other = tmp_path / "at once"
    other.mkdir()
    assert run(pipeline, plugin, *fast, cwd=other).code == 0
    drawn = {name: digest for name, digest in images(other).items() if name != "cover.png"}
    assert drawn.items() <= images(tmp_path).items()
