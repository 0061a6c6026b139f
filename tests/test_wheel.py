"""The wheel, installed alone: no checkout beside it, and no package that it does not ask for."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

import pytest
from conftest import REPOSITORY, Ended
from packaging.requirements import Requirement

from pipeline.mint.programs import find_anvil

GIVEN = ("compile",)  # the extras that are installed beside it


@dataclass(frozen=True)
class Installed:
    """A wheel in an environment of its own."""

    wheel: Path
    python: Path
    folder: Path

    def __call__(self, *words: str, **environment: str) -> Ended:
        process = subprocess.run(
            [self.python, "-I", "-m", "pipeline", *words],
            cwd=self.folder,
            env={"PATH": f"{self.folder / 'bin'}:/usr/bin:/bin", **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=240,
        )
        return Ended(process.returncode, process.stdout, process.stderr)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel of this tree, with its requirements borrowed from the tests' environment by links."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    shutil.copytree(REPOSITORY / "pipeline", source / "pipeline", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, source)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    subprocess.run(
        [*pip, "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, source], check=True
    )
    [wheel] = folder.glob("*.whl")
    shutil.rmtree(source)
    venv.create(folder / "venv", with_pip=False)
    python = folder / "venv" / "bin" / "python"
    [packages] = (folder / "venv" / "lib").glob("python*/site-packages")
    with zipfile.ZipFile(wheel) as archive:  # a wheel without scripts needs no more than this
        archive.extractall(packages)
    [metadata] = packages.glob("nft_pipeline-*.dist-info")
    for found in required(Distribution.at(metadata), GIVEN):
        borrow(found, packages)
    (folder / "bin").mkdir()
    return Installed(wheel, python, folder)


def required(package: Distribution, extras: tuple[str, ...]) -> Iterator[Distribution]:
    """The distributions that a package with these extras needs, each once."""
    waiting, seen = [(package, extras)], set[tuple[str, tuple[str, ...]]]()
    while waiting:
        current, wanted = waiting.pop()
        for line in current.requires or ():
            asked = Requirement(line)
            if asked.marker and not any(asked.marker.evaluate({"extra": extra}) for extra in ("", *wanted)):
                continue
            if (asked.name, key := tuple(sorted(asked.extras))) in seen:
                continue
            seen.add((asked.name, key))
            try:
                found = distribution(asked.name)
            except PackageNotFoundError:  # such as a GPU's libraries beside a torch for the CPU
                continue
            waiting.append((found, key))
            yield found


def borrow(package: Distribution, packages: Path) -> None:
    """Link what a distribution installed."""
    for name in {file.parts[0] for file in package.files or () if file.parts[0] not in ("..", "__pycache__")}:
        place = Path(str(package.locate_file(name)))
        if place.exists() and not (packages / name).exists():
            (packages / name).symlink_to(place)


def test_the_wheel_holds_its_data_and_nothing_of_the_repository(installed: Installed) -> None:
    with zipfile.ZipFile(installed.wheel) as archive:
        names = set(archive.namelist())
    for data in ("mint/artifacts/Collection.json", "art/draw/weights/default.safetensors", "py.typed"):
        assert f"pipeline/{data}" in names
    assert any(name.startswith("pipeline/serve/gallery/static/") for name in names)
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"pipeline", "nft_pipeline"}


def test_it_draws_mints_compiles_and_verifies_without_a_checkout(installed: Installed) -> None:
    (installed.folder / "bin" / "solc").symlink_to(REPOSITORY / "hardhat-free-env" / "solc")
    drawn = installed("generate", "--seed", "7", "--size", "16", "--out", "seven.png")
    assert drawn.code == 0, drawn.err
    anvil = {"PIPELINE_ANVIL": str(find_anvil())}
    node = {"PATH": f"{installed.folder / 'bin'}:{os.environ['PATH']}"}  # solc is the JavaScript one here
    minted = installed("mint", "--count", "2", "--size", "16", "--seed", "1", "--json", **anvil)
    assert minted.code == 0, minted.err
    assert len(minted.json["tokens"]) == 2
    compiled = installed("compile", "--verify", "--json", **anvil, **node)
    assert compiled.code == 0, compiled.err
    assert compiled.json["matches_artifact"] and compiled.json["matches_chain"]
    verified = installed("verify", "--regenerate", "--json", **anvil)
    assert verified.code == 0, verified.out + verified.err


def test_a_wheel_without_anvil_says_how_to_get_it(installed: Installed) -> None:
    ended = installed("mint", "--count", "1", "--size", "16", "--workspace", "other", PATH="/nowhere")
    assert ended.code == 1
    assert "no Anvil" in ended.err and "npm install --global @foundry-rs/anvil" in ended.err
    assert "PIPELINE_ANVIL" in ended.err and "scripts/setup" not in ended.err


@pytest.mark.parametrize("words", [("serve", "--port", "0"), ("gateway", "--port", "0")])
def test_what_an_extra_would_do_is_named_with_the_line_that_installs_it(
    installed: Installed, words: tuple[str, ...]
) -> None:
    ended = installed(*words)
    assert ended.code == 2
    assert "Traceback" not in ended.err and "pip install 'nft-pipeline[serve]'" in ended.err
