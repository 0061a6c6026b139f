"""Files that somebody named: regular, bounded, and never outside the folder that is ours."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import REPOSITORY

from pipeline.base.files import folder_name, read_regular, whole_file, write_whole
from pipeline.base.workspace import Workspace


def test_a_regular_file_is_read_up_to_its_limit(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 1024)
    assert read_regular(path, 1024) == b"x" * 1024
    with pytest.raises(OSError, match="more than 0 KiB"):
        read_regular(path, 1023)


def test_pipes_devices_and_folders_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/zero")
    for path in (tmp_path / "pipe", Path("/dev/zero"), tmp_path / "link", tmp_path):
        with pytest.raises(OSError) as caught:
            read_regular(path, 1024)
        assert caught.value.strerror


def test_a_name_that_no_file_can_have_is_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_regular(tmp_path / "a\0b", 1)


@pytest.mark.parametrize(
    "name", ["/abs/ESC", "../../../ESC", "..", ".", "", "a/b", "a\\b", ".hidden", "\x1b[2J", "con\n", "é" * 90, "x. "]
)
def test_a_collection_of_any_name_is_exported_below_its_workspace(name: str, tmp_path: Path) -> None:
    folder = Workspace(tmp_path).export(name)
    assert folder.parent == tmp_path / "export" and folder.name not in ("", ".", "..")
    assert folder.name.isprintable() and len(folder.name.encode()) < 255
    folder.mkdir(parents=True)


def test_plain_names_are_kept_and_different_names_never_meet() -> None:
    assert folder_name("Lino") == "Lino" and folder_name("Zoë's cats #2") != folder_name("Zoë's cats 2")
    assert folder_name("a/b") != folder_name("ab") != folder_name("a:b")


def test_what_a_killed_process_left_of_a_file_is_written_over(tmp_path: Path) -> None:
    killed = f"""
import os, signal
from pathlib import Path
from pipeline.base.files import whole_file
with whole_file(Path({str(tmp_path / "x")!r})) as file:
    file.write(bytes(100_000))
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", killed], cwd=REPOSITORY, timeout=60)
    assert [path.name for path in tmp_path.iterdir()] == [".x.partial"]
    write_whole(tmp_path / "x", b"whole")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("x", b"whole")]


def test_two_who_write_one_file_at_once_leave_one_of_both(tmp_path: Path) -> None:
    with whole_file(tmp_path / "x") as one, whole_file(tmp_path / "x") as other:
        one.write(b"one")
        other.write(b"other")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("x", b"one")]
