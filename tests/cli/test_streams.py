"""What a shell does to stdout and stderr ends in a sentence at most: closed, full, in another encoding."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import REPOSITORY


def _run(folder: Path, line: str, **env: str) -> subprocess.CompletedProcess[str]:
    command = line.replace("pipeline", f"{sys.executable} -m pipeline", 1)
    around = {"PYTHONPATH": str(REPOSITORY), "PATH": "/usr/bin:/bin", **env}
    return subprocess.run(["bash", "-c", command], cwd=folder, env=around, capture_output=True, text=True)


def test_a_full_disk_under_stdout_is_told(tmp_path: Path) -> None:
    ended = _run(tmp_path, "pipeline config >/dev/full")
    assert ended.returncode == 1
    assert "the result could not be written: No space left on device" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_no_fault(tmp_path: Path, closed: str) -> None:
    ended = _run(tmp_path, f"pipeline status {closed}")
    assert "Traceback" not in ended.stdout + ended.stderr and ended.returncode in (0, 2)


def test_an_encoding_without_our_characters_is_no_fault(tmp_path: Path) -> None:
    ended = _run(tmp_path, "pipeline config --name 'Zoë’s …'", PYTHONIOENCODING="ascii")
    assert ended.returncode == 0 and ended.stdout.isascii() and ended.stderr == ""


def test_a_name_that_is_no_text_is_refused_in_words(tmp_path: Path) -> None:
    ended = _run(tmp_path, "pipeline check --images $'\\xff\\xfe' --json")
    assert ended.returncode in (1, 2) and "Traceback" not in ended.stderr
    assert json.loads(ended.stdout)["exit_code"] == ended.returncode
