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

if TYPE_CHECKING:
    from playwright.sync_api import Browser

settings.register_profile("unhurried", deadline=None)  # how long an example takes says nothing on a busy machine
settings.load_profile("unhurried")

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the person who runs the tests reaches them."""
    for variable in [name for name in os.environ if name.startswith("PIPELINE_")]:
        monkeypatch.delenv(variable)


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
