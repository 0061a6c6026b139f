"""Files become durable in groups, in an order that a power failure may cut anywhere."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.base.errors import WorkspaceUnwritable
from pipeline.base.files import make_durable, write_whole


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of what was synced, in order."""
    names, sync = list[str](), os.fsync

    def noted(handle: int) -> None:
        sync(handle)
        names.append(Path(os.readlink(f"/proc/self/fd/{handle}")).name)

    monkeypatch.setattr(os, "fsync", noted)
    return names


def test_a_groups_data_is_durable_before_its_names_are(tmp_path: Path, synced: list[str]) -> None:
    paths = [tmp_path / folder / f"{number}.png" for folder in ("one", "two") for number in range(20)]
    for path in paths:
        write_whole(path, path.name.encode(), durable=False)
    assert not synced and all(path.read_bytes() == path.name.encode() for path in paths)
    make_durable(paths)
    assert sorted(synced[:40]) == sorted(path.name for path in paths) and synced[40:] == ["one", "two"]


def test_a_file_of_its_own_is_durable_with_its_name(tmp_path: Path, synced: list[str]) -> None:
    write_whole(tmp_path / "one" / "1.png", b"")
    assert synced[-1] == "one" and len(synced) == 2


def test_what_cannot_be_made_durable_is_told(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceUnwritable):
        make_durable([tmp_path / "gone.png"])
