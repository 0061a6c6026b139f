"""`pipeline train` as a person uses it: on digits, on a folder, killed, continued, and minted from."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import REPOSITORY, Pipeline
from PIL import Image

TRAIN = (
    "train",
    "--model",
    "vae",
    "--data",
    "digits",
    "--batch",
    "8",
    "--save-every",
    "10",
    "--threads",
    "1",
    "--json",
)


@pytest.fixture
def art(tmp_path: Path) -> Path:
    """A small artist's folder, with two files that cannot be used."""
    folder = tmp_path / "my art"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(20):
        coarse = Image.fromarray(rng.integers(0, 256, (5, 5, 3), dtype=np.uint8), "RGB")
        coarse.resize((60 + number, 50)).save(folder / f"work {number}.png")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no more")
    Image.new("RGB", (3, 3)).save(folder / "tiny.png")
    return folder


def start(folder: Path, steps: int, **env: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "pipeline", *TRAIN, "--out", str(folder), "--steps", str(steps)],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), **env},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_step(folder: Path, step: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        log = folder / "log.jsonl"
        if log.exists() and f'"step": {step},' in log.read_text():
            return
        time.sleep(0.01)
    raise AssertionError(f"no step {step}: {process.stderr.read() if process.stderr else ''}")


def test_killed_at_any_instant_it_ends_with_the_same_weights(pipeline: Pipeline, tmp_path: Path) -> None:
    whole = pipeline(*TRAIN, "--out", "runs/whole", "--steps", "300")
    assert whole.code == 0, whole.err
    killed = tmp_path / "runs" / "killed"
    for place in ("state_not_written:2", "state_written:1"):
        process = start(killed, 300, PIPELINE_CRASH_AT=place)
        process.communicate(timeout=120)
        assert process.returncode == -signal.SIGKILL
    process = start(killed, 300)
    wait_for_step(killed, 151, process)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    ended = pipeline(*TRAIN, "--out", "runs/killed", "--steps", "300")
    assert ended.code == 0 and "continuing at step" in ended.err
    weights = [tmp_path / "runs" / name / "model.safetensors" for name in ("whole", "killed")]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    steps = [
        [json.loads(line)["step"] for line in (weight.parent / "log.jsonl").read_text().splitlines()]
        for weight in weights
    ]
    assert steps[0] == steps[1] == [*range(1, 300, 10), 300]


def test_ctrl_c_writes_a_checkpoint_and_the_same_command_continues(pipeline: Pipeline, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    process = start(folder, 100_000)
    wait_for_step(folder, 11, process)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130 and "it continues" in said
    stopped = max(int(path.stem) for path in (folder / "grids").glob("*.png"))
    more = pipeline("train", "--resume", folder, "--steps", str(stopped + 1), "--json")
    assert more.code == 0 and more.json["steps"] == stopped + 1
    assert f"continuing at step {stopped:,}" in more.err


def test_an_artist_s_folder_becomes_tokens(pipeline: Pipeline, art: Path, tmp_path: Path) -> None:
    done = pipeline(
        *("train", "--model", "stylegan2", "--data", art, "--licence", "my own work", "--out", "runs/x"),
        *("--steps", "3", "--size", "32", "--batch", "4", "--threads", "1"),
    )
    assert done.code == 0, done.err
    assert "20 pictures; 2 set aside" in done.err and "broken.jpg" in done.err and "learned by heart" in done.err
    assert "pipeline mint --count 50 --model runs/x" in done.err
    assert "set aside: tiny.png" in (tmp_path / "runs/x/data.txt").read_text()

    minted = pipeline("mint", "--count", "2", "--model", "runs/x", "--seed", "3", "--json")
    assert minted.code == 0, minted.err
    assert len(minted.json["tokens"]) == 2 and "draws pictures of 32 by 32 pixels" in minted.err
    image = next((tmp_path / "workspace" / "images").rglob("1.png"))
    with Image.open(image) as opened:
        assert opened.size == (32, 32)  # nobody asked for more
    larger = pipeline("mint", "--count", "1", "--more", "--size", "48", "--json")
    assert larger.code == 0 and "enlarged 1.5 times to 48, as was asked for" in larger.err
    again = pipeline("mint", "--count", "1", "--more", "--json")
    assert again.code == 0, again.err
    with Image.open(image.with_stem("4")) as opened:
        assert opened.size == (48, 48)  # as the collection's last ones
    assert pipeline("verify").code == 0


def test_torchrun_trains_with_two_processes_and_continues(pipeline: Pipeline, tmp_path: Path) -> None:
    def together(steps: int) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [
                *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"),
                *("-m", "pipeline", *TRAIN, "--out", str(tmp_path / "run"), "--steps", str(steps)),
            ],
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            capture_output=True,
            text=True,
            timeout=240,
        )

    first = together(10)
    assert first.returncode == 0, first.stderr
    second = together(20)
    assert second.returncode == 0 and second.stderr.count("continuing at step 10") == 1, second.stderr
    steps = [json.loads(line)["step"] for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert steps == [1, 11, 20]
    alone = pipeline("train", "--resume", tmp_path / "run", "--steps", "30")
    assert alone.code == 1 and "trained by 2 processes together, and here is another number: 1" in alone.err
    assert f"torchrun --nproc-per-node 2 -m pipeline train --resume {tmp_path / 'run'}" in alone.err


def test_calls_that_make_no_sense_are_refused_before_anything_is_written(
    pipeline: Pipeline, art: Path, tmp_path: Path
) -> None:
    from pipeline.cli.main import main

    def refused(*words: str | Path) -> int:
        return main([str(word) for word in words])

    mine = ("--data", art, "--licence", "my own work", "--out", tmp_path / "run")
    few = tmp_path / "few"
    few.mkdir()
    Image.new("RGB", (64, 64)).save(few / "one.png")
    assert refused("train", "--model", "dcgn", *mine) == 2
    assert refused("train", "--model", "dcgan") == 2
    assert refused("train", "--model", "dcgan", "--data", art, "--out", tmp_path / "run") == 2  # no licence
    assert refused("train", "--model", "dcgan", *mine, "--loss", "wasserstein") == 2
    assert refused("train", "--model", "vae", *mine, "--loss", "hinge") == 2
    assert refused("train", "--model", "dcgan", *mine, "--size", "0") == 2
    assert refused("train", "--model", "dcgan", *mine, "--size", "7") == 2
    assert refused("train", "--model", "dcgan", *mine, "--size", "100000") == 2
    assert refused("train", "--model", "dcgan", *mine, "--lr", "fast") == 2
    assert refused("train", "--model", "dcgan", *mine, "--steps", "0") == 2
    assert refused("train", "--model", "dcgan", *mine, "--augment", "sharpen") == 2
    assert refused("train", "--resume", tmp_path / "nowhere") == 1
    assert refused("train", "--resume", tmp_path / "run", "--lr", "0.1") == 2
    assert refused("train", "--model", "dcgan", *mine, "--device", "cuda:9") == 1
    assert refused("train", "--model", "dcgan", "--data", few, "--licence", "mine", "--out", tmp_path / "run") == 1
    assert not (tmp_path / "run").exists()
