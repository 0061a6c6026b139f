"""Every Solidity test as a test of its own: forge runs once, and each result is reported as forge gave it."""

from __future__ import annotations

import fcntl
import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
MODULES = HERE.parents[1] / "hardhat-free-env" / "node_modules"
TEST = re.compile(r"function ((?:test|invariant)_?\w+)\(|^contract (\w+)(?: is ([\w, ]+))? \{", re.MULTILINE)


def solidity_tests() -> list[str]:
    """`Contract.function` of each test in the sources, inherited ones too, so that one that forge skips is missed."""
    own: dict[str, list[str]] = {}
    bases: dict[str, list[str]] = {}
    for path in sorted((HERE / "forge").glob("*.t.sol")):
        contract = ""
        for function, started, parents in TEST.findall(path.read_text()):
            if started:
                contract, own[started], bases[started] = started, [], re.findall(r"\w+", parents)
            else:
                own[contract].append(function)

    def of(contract: str) -> list[str]:
        return own.get(contract, []) + [name for base in bases.get(contract, []) for name in of(base)]

    return [f"{contract}.{function}" for contract in own for function in of(contract)]


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What forge says of each test. The workers of one pytest run share one run of forge."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    report = shared / "forge.json"
    with (shared / "forge.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not report.exists():
            report.write_text(run_forge())
    suites = json.loads(report.read_text())
    return {
        f"{suite.rpartition(':')[2]}.{signature.partition('(')[0]}": result
        for suite, content in suites.items()
        for signature, result in content["test_results"].items()
    }


def run_forge() -> str:
    binaries = list(MODULES.glob("@foundry-rs/forge-*/bin/forge*"))
    assert binaries, "forge is missing: run `npm ci` in hardhat-free-env/"
    done = subprocess.run([binaries[0], "test", "--json"], cwd=HERE, capture_output=True, text=True)
    assert done.stdout.startswith("{"), f"forge gave no results:\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", solidity_tests())
def test_solidity(name: str, results: dict[str, dict[str, Any]]) -> None:
    result = results.get(name)
    assert result is not None, "forge did not run this test"
    assert result["status"] == "Success", f"{result['reason']}\n{result['counterexample']}"


@pytest.mark.timeout(600)
def test_every_result_of_forge_is_reported(results: dict[str, dict[str, Any]]) -> None:
    assert sorted(results) == sorted(solidity_tests())
