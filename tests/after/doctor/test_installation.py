"""The installation, examined: what is there is told, what is wrong is named with what to do, and nothing is written."""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from after.verify.conftest import Minted
from conftest import Pipeline
from nodes import anvil

from pipeline.after.doctor import Finding, examine
from pipeline.base.workspace import Workspace
from pipeline.settings import load_settings

PARTS = [
    *("Python", "packages", "settings", "torch", "weights", "Anvil", "Ganache", "Kubo", "pinners", "chain"),
    *("keys", "workspace", "lock", "ledger", "disk"),
]


def examined(
    folder: Path, flags: dict[str, Any] | None = None, environ: dict[str, str] | None = None
) -> dict[str, Any]:
    config = load_settings(flags or {}, environ or {}, folder)
    return {finding.rule: finding for finding in examine(Workspace(folder / "workspace"), config, environ or {})}


def states(findings: dict[str, Finding]) -> dict[str, str]:
    return {rule: finding.state for rule, finding in findings.items() if finding.state != "ok"}


def written(folder: Path) -> dict[Path, int]:
    """When each file was last written. SQLite's index in shared memory is left out: every reader marks its place there."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.name.endswith("-shm"))
    return {path: path.stat().st_mtime_ns for path in files}


def test_a_sound_installation_is_told_part_by_part_and_nothing_is_written(pipeline: Pipeline, tmp_path: Path) -> None:
    ended = pipeline("doctor", "--json")
    assert ended.code == 0, ended.out + ended.err
    found = {finding["rule"]: finding for finding in ended.json["findings"]}
    assert list(found) == PARTS and all(finding["state"] == "ok" for finding in found.values()), ended.out
    assert "anvil" in found["Anvil"]["found"].lower() and "ganache" in found["Ganache"]["found"].lower()
    assert "sha256" in found["weights"]["found"] and "torch" in found["torch"]["found"]
    assert list(tmp_path.iterdir()) == []
    table = pipeline("doctor")
    assert table.code == 0 and table.out.count("✓") == len(PARTS)


def test_a_workspace_in_use_is_sound_and_stays_as_it_was(original: Minted, tmp_path: Path) -> None:
    shutil.copytree(original.folder / "workspace", tmp_path / "workspace")
    before = written(tmp_path)
    found = examined(tmp_path, {"rpc_url": original.url})
    assert states(found) == {}
    assert "sound; collections: " in found["ledger"].found and "31337" in found["chain"].found
    assert written(tmp_path) == before


def test_a_run_at_work_and_a_damaged_ledger_are_told(original: Minted, tmp_path: Path) -> None:
    shutil.copytree(original.folder / "workspace", tmp_path / "workspace")
    workspace = Workspace(tmp_path / "workspace")
    data = workspace.ledger_file.read_bytes()
    position = data.index(b'"royalty_bps":500') + 14
    workspace.ledger_file.write_bytes(data[:position] + b"9" + data[position + 1 :])
    with workspace.lock():
        found = examined(tmp_path)
    assert states(found) == {"lock": "warning", "ledger": "failed"}
    assert str(os.getpid()) in found["lock"].found and "damaged" in found["ledger"].found
    with (workspace.folder / "lock").open("r+b") as file:  # the doctor let go of it
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_keys_that_others_can_read(tmp_path: Path) -> None:
    keys = tmp_path / "workspace" / "keys"
    keys.mkdir(parents=True)
    (keys / "0x1.json").write_text("{}")
    (keys / "0x1.json").chmod(0o640)
    found = examined(tmp_path)
    assert states(found) == {"keys": "failed"} and found["keys"].advice.startswith("chmod 600")
    (keys / "0x1.json").chmod(0o600)
    assert states(examined(tmp_path)) == {}
    assert states(examined(tmp_path, {"keystore": "nowhere.json"})) == {"keys": "failed"}


@pytest.mark.parametrize(
    ("flags", "part", "told"),
    [
        ({"rpc_url": "http://127.0.0.1:1/hush-key"}, "chain", "no usable answer"),
        ({"pin": "embedded,kubo", "ipfs_api": "/ip4/127.0.0.1/tcp/1"}, "Kubo", "kubo at 127.0.0.1:1"),
        ({"pin": "pinata"}, "pinners", "PIPELINE_PINATA_TOKEN"),
        ({"model": "nowhere.safetensors"}, "weights", "there are no weights"),
        ({"device": "cuda"}, "torch", "device is cuda"),
    ],
)
def test_what_the_settings_ask_for_and_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: dict[str, str], part: str, told: str
) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)  # a GPU of the machine that runs the tests
    found = examined(tmp_path, flags)
    assert states(found) == {part: "failed"} and told in found[part].found
    assert "hush" not in str(found) and found[part].advice


def test_a_chain_that_is_not_the_named_one(tmp_path: Path) -> None:
    with anvil() as url:
        found = examined(tmp_path, {"rpc_url": url, "network": "sepolia"})
    assert states(found) == {"chain": "failed"} and "sepolia" in found["chain"].found


def test_what_was_chosen_is_told_and_no_secret_is(tmp_path: Path) -> None:
    environ = {"PIPELINE_SIZE": "256", "PIPELINE_IPFS_TOKEN": "bearer:hidden"}
    found = examined(tmp_path, environ=environ)
    assert (
        "size by PIPELINE_SIZE" in found["settings"].found and "PIPELINE_IPFS_TOKEN is set" in found["settings"].found
    )
    assert "hidden" not in str(found)


def test_a_workspace_that_is_a_file_or_has_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "workspace").write_text("not a folder")
    assert examined(tmp_path)["workspace"].state == "failed"
    (tmp_path / "workspace").unlink()
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1 << 20))
    assert states(examined(tmp_path)) == {"disk": "failed"}
