"""The ladder of proof, climbed at a real Kubo and through its gateway, with each rung sawn off in turn."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from after.verify.conftest import flip
from conftest import REPOSITORY, Ended, Pipeline
from pin.test_fetch import Liar

from pipeline.after.token import token_report
from pipeline.base.workspace import Workspace
from pipeline.mint.devnet import devnet

RUNGS = ["recompute", "embedded: CAR", "kubo: import stats", "kubo: pin list", "kubo: fetch back"]


@pytest.fixture(scope="module")
def pinned(kubo: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """Four tokens, kept here and by a Kubo node."""
    folder = tmp_path_factory.mktemp("pinned")
    words = ("mint", "--count", "4", "--batch", "2", "--size", "32", "--seed", "4", "--pin", "embedded,kubo")
    with devnet(folder / "chain") as url:
        ended = subprocess.run(
            [sys.executable, "-m", "pipeline", *words, "--rpc-url", url, "--ipfs-api", kubo.address],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            capture_output=True,
            text=True,
        )
        assert ended.returncode == 0, ended.stderr
        yield folder, url


@pytest.fixture
def climb(pipeline: Pipeline, kubo: Any, pinned: tuple[Path, str], tmp_path: Path) -> Callable[..., Ended]:
    """Run `verify --content` in a copy of that workspace."""
    folder, url = pinned
    shutil.copytree(folder / "workspace", tmp_path / "workspace")

    def run(*words: str, ipfs_api: str = kubo.address) -> Ended:
        return pipeline("verify", "--content", "--rpc-url", url, "--ipfs-api", ipfs_api, *words, "--json")

    return run


def failed(ended: Ended) -> list[str]:
    return [check["name"] for check in ended.json["collections"][0]["checks"] if check["ok"] is False]


def root_of(pinned: tuple[Path, str], token_id: int, what: str) -> str:
    uri: str = getattr(token_report(Workspace(pinned[0] / "workspace"), None, token_id), what)
    return uri.removeprefix("ipfs://").partition("/")[0]


def test_every_rung_holds_at_every_place_and_through_a_gateway(climb: Callable[..., Ended], kubo: Any) -> None:
    ended = climb("--gateway", kubo.gateway)
    assert ended.code == 0, ended.out + ended.err
    checks = {check["name"]: check for check in ended.json["collections"][0]["checks"]}
    assert list(checks)[-6:] == [*RUNGS, "gateway"]
    assert all(checks[name]["detail"].startswith("6 ") for name in [*RUNGS, "gateway"])  # two batches, cover and info


def test_a_pin_that_was_removed_is_missed(climb: Callable[..., Ended], kubo: Any, pinned: tuple[Path, str]) -> None:
    root = root_of(pinned, 3, "token_uri")
    kubo.run("pin", "rm", root)
    try:
        ended = climb()
    finally:
        kubo.run("pin", "add", root)
    assert ended.code == 3 and failed(ended) == ["kubo: pin list"] and root in ended.out


def test_a_block_that_the_node_lost_is_missed_without_waiting_for_the_network(
    climb: Callable[..., Ended], kubo: Any, pinned: tuple[Path, str]
) -> None:
    root = root_of(pinned, 1, "image")
    block = kubo.run("ls", root).splitlines()[0].split()[0]
    kubo.run("pin", "rm", root)
    data = subprocess.run([kubo.binary, "block", "get", block], env=kubo.environ, capture_output=True, check=True)
    kubo.run("block", "rm", block)
    try:
        ended = climb()
    finally:
        kubo.run("block", "put", "--cid-codec=raw", data=data.stdout)
        kubo.run("pin", "add", root)
    assert ended.code == 3 and "kubo: import stats" in failed(ended) and "embedded: CAR" not in failed(ended)


def test_a_node_that_is_away_proves_nothing_and_the_rest_is_climbed(climb: Callable[..., Ended]) -> None:
    ended = climb(ipfs_api="/ip4/127.0.0.1/tcp/1")
    assert ended.code == 4 and failed(ended) == []
    checks = ended.json["collections"][0]["checks"]
    assert [check["name"] for check in checks if check["not_checked"]] == RUNGS[2:]
    assert next(check["ok"] for check in checks if check["name"] == "recompute")


def test_an_image_file_that_changed_is_another_root(climb: Callable[..., Ended], tmp_path: Path) -> None:
    flip(tmp_path / "workspace" / "images" / "1" / "2.png", 60)
    ended = climb()
    assert ended.code == 3 and failed(ended) == ["files", "recompute"]


def test_a_flipped_bit_in_a_car_is_found_at_its_place(
    climb: Callable[..., Ended], pinned: tuple[Path, str], tmp_path: Path
) -> None:
    flip(tmp_path / "workspace" / "car" / f"{root_of(pinned, 1, 'image')}.car", 400)
    names = failed(climb())
    assert "embedded: CAR" in names and not [name for name in names if name.startswith("kubo")]


def test_a_lying_gateway_and_a_sample_through_an_honest_one(
    climb: Callable[..., Ended], kubo: Any, liar: Callable[..., Liar]
) -> None:
    liars = liar(lambda handler: handler.give(b"\x00" * 64)).url
    ended = climb("--gateway", liars)
    assert ended.code == 3 and failed(ended) == ["gateway"]
    ended = climb("--gateway", liars, "--sample", "2")
    assert ended.code == 3 and failed(ended) == ["gateway"]
    ended = climb("--gateway", kubo.gateway, "--sample", "2")
    assert ended.code == 0 and ended.json["collections"][0]["checks"][-1]["detail"].startswith("2 tokens of the sample")


@pytest.mark.parametrize("words", [("--contract", "0x" + "11" * 20), ("--token", "1"), ("--kubo",), ("--regenerate",)])
def test_the_ladder_is_climbed_for_a_workspace_alone(climb: Callable[..., Ended], words: tuple[str, ...]) -> None:
    ended = climb(*words)
    assert ended.code == 2 and "not with --content" in ended.err
