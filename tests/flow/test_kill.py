"""kill -9 at every named place, and at random moments: the same command again ends with exactly the tokens asked for.

The real program, a real Anvil, real signals. `KILL_TRIALS=100 scripts/test tests/flow/test_kill.py -k random` for
more random trials than the one that runs by default; `KILL_SEED` begins elsewhere.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import REPOSITORY, Pipeline

from pipeline import api
from pipeline.base.errors import Corrupt
from pipeline.base.observer import Silence
from pipeline.settings import Settings

COUNT, BATCH = 6, 2
MINT = ("mint", "--count", str(COUNT), "--batch", str(BATCH), "--size", "32", "--seed", "7", "--json")
TRANSACTIONS = 1 + COUNT // BATCH

# Where a run can die, and at which passes: for the sender's places the first is the deployment, later ones are mints.
PLACES = [
    ("run_planned", 1),
    ("info_recorded", 1),
    ("inside_ledger_commit", 1),
    ("inside_ledger_commit", 12),
    ("inside_ledger_commit", 25),
    ("image_not_written", 2),
    ("image_written", 2),
    ("artwork_recorded", 3),
    ("car_not_written", 1),
    ("car_not_written", 4),
    ("car_written", 3),
    ("car_written", 4),
    ("batch_sealed", 2),
    *[
        (place, nth)
        for place in (
            "nonce_chosen",
            "signed_not_persisted",
            "persisted_not_sent",
            "sent_not_recorded",
            "mined_not_recorded",
            "inside_mined_commit",
            "mined_recorded",
        )
        for nth in (1, 3)
    ],
    ("run_done", 1),
]


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Digests of the images of a run that nobody interrupted."""
    folder = tmp_path_factory.mktemp("undisturbed")
    ended = _mint(folder)
    assert ended.returncode == 0, ended.stderr
    return _images(folder)


def _mint(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pipeline", *MINT],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )


def _images(folder: Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted((folder / "workspace" / "images").rglob("*.png"))
    }


def _must_be_exact(
    pipeline: Pipeline, folder: Path, ended: subprocess.CompletedProcess[str], expected: dict[str, str]
) -> None:
    """All of it, once: what the program says, what the chain says, what lies on the disk."""
    assert ended.returncode == 0, ended.stderr
    result = json.loads(ended.stdout)
    assert [token["token_id"] for token in result["tokens"]] == list(range(1, COUNT + 1))
    assert _images(folder) == expected
    verified = pipeline("verify", "--json", cwd=folder)
    assert verified.code == 0, verified.out + verified.err
    assert _sent_from(pipeline, folder, result) == TRANSACTIONS
    assert not _processes_of(folder)


def _sent_from(pipeline: Pipeline, folder: Path, result: dict[str, Any]) -> int:
    """How many transactions the signing account has on the chain: one deployment and one mint for each batch."""
    from pipeline.mint.chain import connect
    from pipeline.mint.devnet import devnet
    from pipeline.mint.signer import open_signer

    with devnet(folder / "workspace" / "chain" / "anvil", "anvil") as url:
        chain = connect(url)
        assert chain.chain_id == result["chain_id"]
        return chain.nonce(open_signer(chain).address)


def _processes_of(folder: Path) -> list[str]:
    """Processes that name the folder in their command line: nothing may be left behind."""
    deadline = time.monotonic() + 10
    while True:
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    words = (entry / "cmdline").read_bytes().decode(errors="replace")
                except OSError:
                    continue
                if str(folder) in words:
                    found.append(words.replace("\0", " "))
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(0.1)


@pytest.mark.parametrize(("place", "nth"), PLACES)
def test_killed_at_a_place_the_same_command_ends_with_exactly_the_tokens(
    pipeline: Pipeline, tmp_path: Path, expected: dict[str, str], place: str, nth: int
) -> None:
    killed = _mint(tmp_path, PIPELINE_CRASH_AT=f"{place}:{nth}")
    assert killed.returncode == -signal.SIGKILL, f"{place} was never passed {nth} times:\n{killed.stderr}"
    _must_be_exact(pipeline, tmp_path, _mint(tmp_path), expected)


@pytest.mark.parametrize("trial", range(int(os.environ.get("KILL_TRIALS", "1"))))
@pytest.mark.timeout(600)
def test_killed_at_random_moments_it_ends_with_exactly_the_tokens(
    pipeline: Pipeline, tmp_path: Path, expected: dict[str, str], trial: int
) -> None:
    """Kill after a random time, again and again, until a run ends by itself: later tries are given a little longer."""
    moments = random.Random(int(os.environ.get("KILL_SEED", "1")) + trial)
    limit, kills, folder = moments.uniform(1, 6), 0, _fresh(tmp_path)
    while True:
        process = subprocess.Popen(
            [sys.executable, "-m", "pipeline", *MINT],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            out, err = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            kills += 1
            limit = moments.uniform(1, 6) + kills
            continue
        if kills:
            break
        # A machine quick enough to end before the first kill begins again, and is killed in half that time.
        limit, folder = limit / 2, _fresh(tmp_path)
    ended = subprocess.CompletedProcess(process.args, process.returncode, out, err)
    _must_be_exact(pipeline, folder, ended, expected)
    print(f"trial {trial}: killed {kills} times")


def _fresh(parent: Path) -> Path:
    return Path(tempfile.mkdtemp(dir=parent))


def test_content_that_is_gone_since_it_was_sealed_is_not_minted(pipeline: Pipeline, tmp_path: Path) -> None:
    assert _mint(tmp_path, PIPELINE_CRASH_AT="batch_sealed").returncode == -signal.SIGKILL
    car = max((tmp_path / "workspace" / "car").glob("*.car"), key=lambda path: path.stat().st_mtime)
    content = car.read_bytes()
    car.unlink()
    ended = _mint(tmp_path)
    assert ended.returncode == 1 and car.name in ended.stderr and "pipeline repin" in ended.stderr
    car.write_bytes(content)
    assert _mint(tmp_path).returncode == 0


def test_content_that_goes_while_the_run_goes_on_is_not_minted(pipeline: Pipeline, tmp_path: Path) -> None:
    """Proved a moment ago, in this very process: a file is looked at again before each signature."""
    cars = tmp_path / "workspace" / "car"

    class Thief(Silence):
        """Takes the newest CAR as soon as the second batch is pinned: nothing is signed for it yet."""

        def progress(self, stage: str, done: int, total: int) -> None:
            if stage == "pin" and done == 2 * BATCH:
                newest = max(cars.glob("*.car"), key=lambda path: path.stat().st_mtime_ns)
                newest.rename(tmp_path / newest.name)

    settings = Settings.of(size=32, seed=7, batch=BATCH, workspace=str(tmp_path / "workspace"))
    with pytest.raises(Corrupt, match="missing") as caught:
        api.mint(settings, COUNT, observer=Thief())
    car = Path(str(caught.value.fields["what"]))
    assert "pipeline repin" in caught.value.hint
    assert pipeline("status", "--json").json["collections"][0]["minted"] <= BATCH
    (tmp_path / car.name).rename(car)
    assert _mint(tmp_path).returncode == 0
    assert pipeline("verify").code == 0


def test_killed_while_it_chooses_among_layouts_the_same_command_draws_the_same_tokens(tmp_path: Path) -> None:
    """A collection whose law leaves little room: tokens have other attempts where earlier ones are not remembered."""
    draw = ("mint", "--count", "7", "--size", "48", "--seed", "21", "--voice", "grove", "--stop-after", "generate")

    def drawn(folder: Path, **environment: str) -> int:
        folder.mkdir(exist_ok=True)
        return subprocess.run(
            [sys.executable, "-m", "pipeline", *draw],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY), **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=120,
        ).returncode

    assert drawn(tmp_path / "whole") == 0
    assert drawn(tmp_path / "cut", PIPELINE_CRASH_AT="artwork_recorded:5") == -signal.SIGKILL
    assert drawn(tmp_path / "cut") == 0
    assert _images(tmp_path / "cut") == _images(tmp_path / "whole")
