"""`import pipeline`: what it gives, what it does not load, and that its examples run."""

from __future__ import annotations

import doctest
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from conftest import REPOSITORY

import pipeline
import pipeline.api

HEAVY = ("torch", "web3", "numpy", "PIL", "eth_account", "rich", "fastapi", "safetensors", "argparse")


def python(program: str) -> str:
    """What a program of one line prints, in an interpreter of its own."""
    ended = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    return ended.stdout + ended.stderr


def test_its_names_are_sorted_and_there() -> None:
    assert sorted(pipeline.__all__) == pipeline.__all__ == dir(pipeline)
    assert [name for name in pipeline.__all__ if getattr(pipeline, name, None) is None] == []
    with pytest.raises(AttributeError, match="no attribute 'mintt'"):
        _ = pipeline.mintt


def test_importing_it_loads_nothing_heavy_and_takes_no_time() -> None:
    lines = python("import pipeline; pipeline.Settings; pipeline.Workspace; pipeline.PipelineError").splitlines()
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}
    assert "pipeline" in loaded and loaded.isdisjoint(HEAVY)
    told = [line for _ in range(3) for line in python("import pipeline").splitlines() if line.endswith("| pipeline")]
    assert min(int(line.split("|")[1]) for line in told) < 100_000  # microseconds, with all that it imports


@pytest.mark.parametrize("first", ["import pipeline.mint.fees", "from pipeline.mint.chain import Chain", "pass"])
def test_mint_is_a_function_whoever_imported_the_room_of_that_name_before(first: str) -> None:
    python(f"{first}; import pipeline; from pipeline import mint; assert callable(mint) and callable(pipeline.mint)")


EXAMPLES = [
    ".".join(path.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(".__init__")
    for path in sorted((REPOSITORY / "pipeline").rglob("*.py"))
    if re.search(r"^ *>>> ", path.read_text(), re.MULTILINE)
]


@pytest.mark.parametrize("module", EXAMPLES)
def test_examples_in_docstrings_run_as_they_stand(module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    failed, tried = doctest.testmod(import_module(module))
    assert tried and not failed
