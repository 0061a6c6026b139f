"""Everything a run needs of this machine, looked at one by one. Nothing is written but one temporary file."""

from __future__ import annotations

import fcntl
import importlib.metadata
import os
import platform
import re
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from pipeline.after.doctor.finding import Finding, State
from pipeline.art.source import open_source
from pipeline.base.errors import ChainError, NotMadeHere, PipelineError
from pipeline.base.files import open_regular, read_regular
from pipeline.base.installation import in_checkout
from pipeline.base.workspace import Workspace
from pipeline.flow.connection import reach
from pipeline.flow.consent import check_network
from pipeline.ledger import Ledger
from pipeline.mint.networks import network_of
from pipeline.mint.programs import find_anvil, find_ganache
from pipeline.pin import load_pinners
from pipeline.pin.kubo import kubo_from
from pipeline.pin.store import CarStore
from pipeline.settings import Settings
from pipeline.settings.sources import secret_variables

OLDEST_PYTHON = (3, 11)
LEAST_DISK, LITTLE_DISK = 200 << 20, 2 << 30  # bytes; 10,000 artworks of 512 px and their CARs take about 4 GB
TOOL_S = 20.0  # for a program to say its version: Node.js on a busy machine takes seconds

# Read from the environment beside the settings.

REPAIR = in_checkout("run scripts/setup", "`pip install nft-pipeline`")

Answer = tuple[State, str, str]  # state, what was found, what to do


def examine(workspace: Workspace, config: Settings, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Yield a Finding per part of the installation, each as soon as it was looked at. Raises nothing."""
    parts: tuple[tuple[str, Callable[[], Answer]], ...] = (
        ("Python", _python),
        ("packages", _packages),
        ("settings", lambda: _settings(config, environ)),
        ("torch", lambda: _torch(config)),
        ("weights", lambda: _weights(config)),
        ("Anvil", lambda: _anvil(config)),
        ("Ganache", lambda: _ganache(config)),
        ("Kubo", lambda: _kubo(config, environ)),
        ("pinners", lambda: _pinners(workspace, config)),
        ("chain", lambda: _chain(workspace, config)),
        ("keys", lambda: _keys(workspace, config)),
        ("workspace", lambda: _workspace(workspace)),
        ("lock", lambda: _lock(workspace)),
        ("ledger", lambda: _ledger(workspace)),
        ("disk", lambda: _disk(workspace)),
    )
    for name, look in parts:
        try:
            yield Finding("installation", name, *look())
        except PipelineError as error:
            yield Finding("installation", name, "failed", str(error), error.hint)
        except Exception as error:  # a broken package may raise anything when it is imported: that is a finding too
            yield Finding("installation", name, "failed", f"{type(error).__name__}: {error}", REPAIR)


def _python() -> Answer:
    version = ".".join(map(str, sys.version_info[:3]))
    found = f"{version} at {sys.executable}, {platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    if sys.version_info < OLDEST_PYTHON:
        return "failed", found, f"install Python {'.'.join(map(str, OLDEST_PYTHON))} or newer"
    return "ok", found, ""


def _packages() -> Answer:
    """Every requirement of the package's own metadata is installed."""
    names = [
        re.split(r"[\s<>=!~;\[(]", line)[0]
        for line in importlib.metadata.requires("nft-pipeline") or ()
        if "extra ==" not in line
    ]
    missing = []
    for name in names:
        try:
            importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        return "failed", f"missing: {', '.join(missing)}", f"{REPAIR} again"
    return "ok", f"{len(names)} of {len(names)} are installed", ""


def _settings(config: Settings, environ: Mapping[str, str]) -> Answer:
    """Which values were chosen, and which secrets are there."""
    chosen = [f"{name} by {source}" for name, source in config.sources.items()]
    secrets = [f"{name} is set" for name in secret_variables() if environ.get(name)]
    return "ok", ", ".join([*chosen, *secrets]) or "all are the defaults", ""


def _torch(config: Settings) -> Answer:
    import torch

    devices = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        devices.append("mps")
    found = f"torch {torch.__version__}, " + (f"with {', '.join(devices)}" if devices else "no GPU: the CPU draws")
    chosen = config.art.device
    if chosen not in ("auto", "cpu") and not devices:
        return "failed", f"{found}, and device is {chosen}", "set --device auto"
    return "ok", found, ""


def _weights(config: Settings) -> Answer:
    """What draws is sound, and can be told by its digest: a generator's weights, or what another source has for them."""
    try:
        redrawer = open_source(config).redrawer("cpu", 1)
    except NotMadeHere as error:
        return "ok", f"none: {error}", ""
    return "ok", f"{config.art.model}, sha256 {redrawer.weights_sha256}, drawn by {redrawer.renderer}", ""


def _anvil(config: Settings) -> Answer:
    return _tool([str(find_anvil()), "--version"], needed=config.chain.chain == "anvil" and not config.chain.rpc_url)


def _ganache(config: Settings) -> Answer:
    needed = config.chain.chain == "ganache" and not config.chain.rpc_url
    try:
        node, program = find_ganache()
    except ChainError as error:
        if needed:
            raise
        return "ok", f"not asked for, and not here ({error})", ""
    return _tool([str(node), str(program), "--version"], needed=needed)


def _tool(command: list[str], *, needed: bool) -> Answer:
    """What a program says of its version."""
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=TOOL_S, stdin=subprocess.DEVNULL)
        line = (ended.stdout or ended.stderr).strip().splitlines()[0]
        failure = "" if ended.returncode == 0 else f"it ended with {ended.returncode}: {line}"
    except (OSError, subprocess.TimeoutExpired, IndexError) as error:
        line, failure = "", f"{type(error).__name__}"
    if failure:
        return "failed" if needed else "warning", f"{command[0]}: {failure}", REPAIR
    return "ok", line, ""


def _kubo(config: Settings, environ: Mapping[str, str]) -> Answer:
    wanted = "kubo" in config.pin.places
    node = kubo_from(config.pin.ipfs_api, environ)
    try:
        version = node.version()
    except PipelineError as error:
        if wanted:
            return "failed", str(error), "start the node (`ipfs daemon`), or correct --ipfs-api"
        return "ok", f"not asked for, and none answers ({node.name})", ""
    return "ok", f"{node.name} is Kubo {version}", ""


def _pinners(workspace: Workspace, config: Settings) -> Answer:
    """Every place that content goes to can be opened: its address and its secret are there. Nothing is sent."""
    names = config.pin.places
    load_pinners(names, CarStore(workspace.cars), config)
    return "ok", f"{', '.join(names)}: addresses and secrets are there", ""


def _chain(workspace: Workspace, config: Settings) -> Answer:
    """The node that the settings name; an embedded chain is not started for this."""
    if not config.chain.rpc_url:
        kind = config.chain.chain
        here = (workspace.chain / kind).exists()
        return (
            "ok",
            f"embedded {kind}, " + (f"its state is in {workspace.chain / kind}" if here else "not made yet"),
            "",
        )

    chain = reach(config.chain.rpc_url)
    check_network(config, chain.chain_id, chain.rpc.shown)
    network = network_of(chain.chain_id)
    name = network.name if network else "no network that is known here"
    return "ok", f"{chain.rpc.shown} is chain {chain.chain_id} ({name}), {chain.client_version}", ""


def _keys(workspace: Workspace, config: Settings) -> Answer:
    """Keystore files can be read by their owner alone."""
    files = sorted(workspace.keys.glob("*.json"))
    if config.chain.keystore:
        files.append(Path(config.chain.keystore))
    absent = [str(path) for path in files if not path.is_file()]
    if absent:
        return "failed", f"there is no {', '.join(absent)}", "correct --keystore"
    loose = [path for path in files if stat.S_IMODE(path.stat().st_mode) & 0o077]
    if loose:
        names = " ".join(map(str, loose))
        return "failed", f"others on this machine can read {names}", f"chmod 600 {names}"
    return "ok", f"{len(files)} keystore files, readable by their owner alone" if files else "no keystore files", ""


def _workspace(workspace: Workspace) -> Answer:
    folder = workspace.folder
    if folder.exists() and not folder.is_dir():
        return "failed", f"{folder} is not a folder", "choose another --workspace"
    place = folder if folder.exists() else next(path for path in folder.absolute().parents if path.exists())
    try:
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(b"doctor")
            file.flush()
    except OSError as error:
        return (
            "failed",
            f"{place} cannot be written: {error.strerror}",
            "choose another --workspace, or its permissions",
        )
    return "ok", f"{folder} can be written" if place == folder else f"{folder} can be made in {place}", ""


def _lock(workspace: Workspace) -> Answer:
    """Whether a run holds the workspace now; the lock is only tried, on the file that a run made."""
    path = workspace.folder / "lock"
    try:
        with open_regular(path) as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return "ok", "no run has been here", ""
    except BlockingIOError:
        holder = read_regular(path, 4 << 10).decode(errors="replace")[:20].strip()
        return "warning", f"process {holder} is working here", "wait for it to end, or use another --workspace"
    return "ok", "nobody is working here", ""


def _ledger(workspace: Workspace) -> Answer:
    if not Ledger.exists(workspace.ledger):
        return "ok", "none yet: the first mint makes it", ""
    with Ledger(workspace.ledger, readonly=True) as ledger:
        ledger.check()
        names = [collection.name for collection in ledger.collections.all()]
    return "ok", f"sound; collections: {', '.join(names) or 'none'}", ""


def _disk(workspace: Workspace) -> Answer:
    folder = workspace.folder.absolute()
    place = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(place).free
    found = f"{free / 1e9:,.1f} GB free at {place}"
    if free < LITTLE_DISK:
        return "failed" if free < LEAST_DISK else "warning", found, "free space, or choose another --workspace"
    return "ok", found, ""
