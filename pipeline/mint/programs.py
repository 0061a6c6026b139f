"""Programs that are no Python packages: Anvil, Ganache and solc. Where each is looked for, and how to get it.

Anvil: PIPELINE_ANVIL, a checkout's hardhat-free-env/, the PATH. Ganache: a checkout's hardhat-free-env/, the PATH. solc: one
that py-solc-x installed, a checkout's hardhat-free-env/, the PATH, if it is the one version that the artifact was made with.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from pipeline.base.errors import ChainError, PipelineError
from pipeline.base.files import open_regular
from pipeline.base.installation import checkout, extra, in_checkout, tools

TOOL_S = 20.0  # for a program to say its version: Node.js on a busy machine takes seconds


def find_anvil() -> Path:
    """The native Anvil binary: npm's own `anvil` is a Node wrapper that does not pass signals on."""
    wanted = os.environ.get("PIPELINE_ANVIL")
    if wanted:
        return _executable(wanted, "PIPELINE_ANVIL")
    on_path = shutil.which("anvil")
    for packages in (tools(), _npm_packages(on_path)):
        for binary in sorted((packages / "@foundry-rs").glob("anvil-*/bin/anvil*")) if packages else ():
            if os.access(binary, os.X_OK):
                return binary
    if on_path and not _is_script(Path(on_path)):
        return Path(on_path)
    raise ChainError(
        reason="there is no Anvil on this machine to run the embedded chain",
        hint=in_checkout("run scripts/setup", "npm install --global @foundry-rs/anvil, or install Foundry")
        + "; or set PIPELINE_ANVIL to Foundry's anvil, or --rpc-url to a chain of your own",
    )


def find_ganache() -> tuple[Path, Path]:
    """Node.js and Ganache's entry script."""
    beside_python = str(Path(sys.executable).parent)  # where scripts/setup puts it on a machine without Node.js
    node = shutil.which("node") or shutil.which("node", path=beside_python)
    for packages in (tools(), _npm_packages(shutil.which("ganache"))):
        script = packages / "ganache" / "dist" / "node" / "cli.js" if packages else None
        if node and script and script.exists():
            return Path(node), script
    raise ChainError(
        reason="there is no Ganache on this machine",
        hint=in_checkout("run scripts/setup", "npm install --global ganache") + ", or use the default chain, Anvil",
    )


def find_solc(version: str) -> Path:
    """A compiler of exactly this version: native or JavaScript, both give the same bytes."""
    with extra("compile"):
        import solcx
    if version in map(str, solcx.get_installed_solc_versions()):
        return Path(solcx.install.get_executable(version))
    packages, folder = tools(), checkout()
    if folder and packages and (packages / "solc").is_dir():
        return folder / "hardhat-free-env" / "solc"
    on_path = shutil.which("solc")
    if on_path and _version(on_path) == version:
        return Path(on_path)
    raise PipelineError(
        reason=f"there is no solc {version}",
        hint=in_checkout(
            "run `npm ci` in hardhat-free-env/", f"put it on the PATH as `solc`, or run {_INSTALL % version}"
        ),
    )


_INSTALL = "python -c 'import solcx; solcx.install_solc(\"%s\")'"


def _version(solc: str) -> str | None:
    try:
        said = subprocess.run([solc, "--version"], capture_output=True, text=True, timeout=TOOL_S).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"Version: (\d+\.\d+\.\d+)", said)
    return found and found[1]


def _npm_packages(program: str | None) -> Path | None:
    """The node_modules that npm's wrapper on the PATH belongs to; None for a program that is no such wrapper."""
    real = Path(program).resolve() if program else Path()
    return next((folder for folder in real.parents if folder.name == "node_modules"), None)


def _executable(path: str, source: str) -> Path:
    found = shutil.which(path)
    if found is None:
        raise ChainError(reason=f"{source} is {path!r}, which is not a program", hint=f"correct {source}")
    return Path(found)


def _is_script(path: Path) -> bool:
    with open_regular(path) as file:
        return file.read(2) == b"#!"
