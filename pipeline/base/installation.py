"""What this installation has beside the package: the extras that were installed, and the checkout that it runs from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

from pipeline.base.errors import BrokenPlugin, MissingExtra

# Extra of pyproject.toml -> what needs it
EXTRAS = {
    "c2pa": "signed credentials in files",
    "compile": "compiling the contract",
    "fast": "the encoder fpng",
    "plot": "a plot",
    "postgres": "a ledger at a PostgreSQL server",
    "ray": "drawing on a Ray cluster",
    "s3": "pinning at S3-style services",
    "serve": "serving over HTTP",
    "terminal": "pictures and completion in a terminal",
    "train": "training",
}


@contextmanager
def extra(name: str) -> Iterator[None]:
    """Import optional packages in this block. Raises MissingExtra with the line that installs them."""
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package == __name__.partition(".")[0]:  # no package of somebody else
            raise
        raise MissingExtra(what=EXTRAS[name], package=package, extra=name) from error


def loaded(entry: EntryPoint) -> Any:
    """What a package that was installed beside ours adds. Raises BrokenPlugin where it cannot be imported."""
    try:
        return entry.load()
    except Exception as error:  # it is somebody else's code
        package = entry.dist.name if entry.dist else entry.value
        reason = f"{type(error).__name__}: {error}"
        raise BrokenPlugin(name=entry.name, package=package, reason=reason) from error


@cache
def checkout() -> Path | None:
    """The folder of the repository that the package is imported from; None where it was installed without one."""
    folder = Path(__file__).resolve().parents[2]
    return folder if (folder / "hardhat-free-env" / "package.json").is_file() else None


def tools() -> Path | None:
    """Where a checkout's scripts/setup puts programs of Node.js; None without a checkout."""
    folder = checkout()
    return folder and folder / "hardhat-free-env" / "node_modules"


def in_checkout(step: str, otherwise: str) -> str:
    """A next step that is `step` for who has the repository's scripts, and something else for who has not."""
    return step if checkout() else otherwise
