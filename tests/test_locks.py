"""What pyproject.toml asks for is what the locks pin."""

from __future__ import annotations

import re
import tomllib

import pytest
from conftest import REPOSITORY
from packaging.requirements import Requirement

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
LOCKED_IN = {"test": "test", "node": "node", "go": "go", "all": "runtime"}  # an extra, and the lock that holds it


def wanted(extra: str) -> list[Requirement]:
    """What an extra asks for, with what it takes over from other extras."""
    found = []
    for line in EXTRAS[extra]:
        asked = Requirement(line)
        found += [r for name in asked.extras for r in wanted(name)] if asked.name == PROJECT["name"] else [asked]
    return found


def pins(lock: str) -> dict[str, set[str]]:
    """The versions of each package in a lock; several where they depend on the Python."""
    found: dict[str, set[str]] = {}
    for name, version in re.findall(
        r"^([\w.-]+)==(\S+)", (REPOSITORY / "requirements" / f"{lock}.lock").read_text(), re.M
    ):
        found.setdefault(name, set()).add(version)
    return found


@pytest.mark.parametrize(("extra", "lock"), LOCKED_IN.items())
def test_a_lock_holds_what_is_asked_for_at_versions_that_satisfy_it(extra: str, lock: str) -> None:
    base = [] if lock in ("node", "go") else [Requirement(line) for line in PROJECT["dependencies"]]
    pinned = pins(lock)
    for asked in [*base, *wanted(extra)]:
        versions = pinned.get(asked.name.lower())
        assert versions, f"requirements/{lock}.lock has no {asked.name}; run scripts/lock"
        assert all(asked.specifier.contains(version, prereleases=True) for version in versions), (
            f"{asked} is {versions}"
        )


def test_the_runtime_set_is_a_part_of_the_test_set() -> None:
    test = pins("test")
    assert {name: versions for name, versions in pins("runtime").items() if test.get(name) != versions} == {}


def test_every_extra_of_a_user_is_in_all() -> None:
    assert set(Requirement(EXTRAS["all"][0]).extras) == set(EXTRAS) - {"all", *LOCKED_IN}


def test_locks_name_no_registry() -> None:
    for lock in (REPOSITORY / "requirements").glob("*.lock"):
        assert not re.search(r"https?://|--index", lock.read_text()), lock
