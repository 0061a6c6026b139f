"""A small slice of scripts/fuzz-settings: whatever was said, the workspace takes a plain mint afterwards."""

from __future__ import annotations

import subprocess
import sys

from conftest import REPOSITORY


def test_after_any_nonsense_a_workspace_takes_a_plain_mint() -> None:
    words = [sys.executable, "scripts/fuzz-settings", "--cases", "6", "--requests", "4", "--seed", "2"]
    ended = subprocess.run(words, cwd=REPOSITORY, capture_output=True, text=True, timeout=280, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "0  faults" in ended.stdout
