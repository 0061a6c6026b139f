"""What all tests share: a clean environment, and the program as a user runs it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

from pipeline.base.secrets import forget

if TYPE_CHECKING:
    from playwright.sync_api import Browser
    from postgres import Postgres

settings.register_profile("unhurried", deadline=None)  # how long an example takes says nothing on a busy machine
settings.load_profile("unhurried")

REPOSITORY = Path(__file__).resolve().parent.parent


# What `scripts/test --quick` runs: everything that needs no node, no browser and no minute. A fixture holds them to it.
QUICK = (
    *("after/test_rarity.py", "after/verify/test_walk.py", "art/compose", "art/test_artist.py", "art/test_augment.py"),
    *("art/test_batches.py", "art/test_checkpoint.py", "art/test_data.py", "art/test_encode.py", "art/test_folder.py"),
    *("art/test_gates.py", "art/test_load.py", "art/test_losses.py", "art/test_markup.py", "art/test_sampler.py"),
    *("art/layers/test_bad_input.py", "art/layers/test_blend.py", "art/layers/test_engines.py"),
    "art/layers/test_solver.py",
    *("art/test_seeds.py", "art/test_stage.py", "base", "flow/test_planning.py", "flow/test_recipients.py"),
    *("ledger", "mint/test_fees.py", "mint/test_signer.py", "pin/test_car.py", "pin/test_cid.py"),
    *("pin/test_patience.py", "pin/test_stage.py", "pin/test_store.py", "pin/test_unixfs.py"),
    *("serve/gallery/test_index.py", "settings", "test_dead_code.py", "test_docs.py", "test_house.py", "test_locks.py"),
)
# Fixtures that start a program.
SLOW_PARTS = {
    "javascript",
    "pipeline",
    "chain",
    "minted",
    "browser",
    "kubo",
    "kubo_binary",
    "repos",
    "oracle",
    "anvil",
    "postgres",
}
LONG = {  # tests of those files that take longer than all the others beside them
    "test_a_million_lines_are_read",
    "test_a_storm_of_429_is_got_through_with_few_requests",
    "test_after_any_nonsense_a_workspace_takes_a_plain_mint",
    "test_large_pictures_come_through_whole",
    "test_memory_stays_flat_for_a_file_of_a_gigabyte",
    "test_wherever_a_run_is_cut_its_tokens_have_the_same_attempts",
}


def _is_quick(item: pytest.Item) -> bool:
    long = getattr(item, "originalname", item.name) in LONG or "107374182" in item.name  # a file of a gigabyte
    return not long and not SLOW_PARTS.intersection(getattr(item, "fixturenames", ()))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    folder = Path(__file__).parent
    quick = tuple(str(folder / path) for path in QUICK)
    for item in items:
        if str(item.path).startswith(quick) and _is_quick(item):
            item.add_marker(pytest.mark.quick)


@pytest.fixture(autouse=True)
def _quick_tests_start_nothing(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.node.get_closest_marker("quick"):
        monkeypatch.setattr("pipeline.mint.devnet.find_anvil", lambda: pytest.fail("a quick test starts no node"))


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the person who runs the tests reaches them."""
    for variable in [name for name in os.environ if name.startswith("PIPELINE_")]:
        monkeypatch.delenv(variable)


@pytest.fixture(autouse=True)
def forgotten_secrets() -> Iterator[None]:
    """What one test hid is no secret of the next: a password that is a common word would be missing in what that one reads."""
    yield
    forget()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A real PostgreSQL server, of this test process alone."""
    from postgres import postgres_server

    with postgres_server() as server:
        yield server


@dataclass(frozen=True)
class Ended:
    """A finished command: what it printed where, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Pipeline = Callable[..., Ended]
SIGNERS_OWN = ("minted", "tx_fee_wei", "tx_gas_used", "tx_tokens")  # in `show`: known to the ledger that signed alone


def pipeline_in(folder: Path) -> Pipeline:
    """`python -m pipeline` as a process of its own, in a folder."""

    def run(
        *words: str | Path, env: dict[str, str] | None = None, timeout: float = 240, cwd: Path | None = None
    ) -> Ended:
        process = subprocess.run(
            [sys.executable, "-m", "pipeline", *map(str, words)],
            cwd=cwd or folder,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY), **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        return Ended(process.returncode, process.stdout, process.stderr)

    return run


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    """The program as its user runs it, in the test's folder."""
    return pipeline_in(tmp_path)


@pytest.fixture(scope="module")  # not longer: while it is open, nothing else in this thread may run an event loop
def browser() -> Iterator[Browser]:
    """A real Chromium without a window."""
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium")
    assert program, "Chromium is missing: run scripts/setup test"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()
