"""The embedded chain: Anvil, or Ganache, with its state kept in a folder, so that yesterday's tokens are there today.

A folder is one chain: its port and its genesis block stay the same for ever. It holds

    port           chosen once; the URL of the chain is the same tomorrow
    gas_limit      of every block; its random part makes this chain's genesis block unlike any other's
    born           time of its genesis block, so that this block can be made again
    genesis        hash of block 0, in hex, as first seen
    pid            the node's process and the one that started it
    anvil.json     Anvil's state; anvil.good.json is the last copy known to be whole
    ganache/       Ganache's database
    node.log       what the node printed last time

Anvil rewrites its state in place every second (the file is cut to nothing first), so a power failure may leave half of
one. Then the last whole copy takes its place, and the chain is a little behind the ledger: the same signed bytes are
sent again and the same blocks come back.
"""

from __future__ import annotations

import fcntl
import itertools
import logging
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from pipeline.base.errors import ChainError, Corrupt, RpcError, RpcUnavailable, WorkspaceUnwritable
from pipeline.base.files import open_regular, read_regular, write_whole
from pipeline.base.limits import MAX_PORT
from pipeline.base.untrusted import parse_json
from pipeline.mint.chain import BEGAN_ANEW, quantity
from pipeline.mint.programs import find_anvil, find_ganache
from pipeline.mint.rpc import Rpc

log = logging.getLogger(__name__)

Kind = Literal["anvil", "ganache"]

CHAIN_IDS: dict[Kind, int] = {"anvil": 31337, "ganache": 1337}
ACCOUNTS = 20
BALANCE_ETHER = 10_000
# What Anvil and Ganache derive their accounts from as they are started here: known to everybody, so good for nothing else.
MNEMONICS: dict[Kind, str] = {
    "anvil": "test test test test test test test test test test test junk",
    "ganache": "myth like bonus scare over problem client lizard pioneer submit female collect",
}
MAX_STATE = 1 << 30  # bytes of Anvil's state: a chain of this machine's own grows by some kilobytes a batch
MAX_NOTE = 1 << 10  # bytes of a file that holds a number or a hash
GAS_LIMIT = 60_000_000  # of Ethereum's blocks today
HARDFORKS: dict[Kind, str] = {"anvil": "osaka", "ganache": "shanghai"}  # shanghai is the last that Ganache knows

PORTS = range(20000, 30000)  # below the ports that systems give to outgoing connections
START_S = 30.0  # Ganache takes a second, on a busy machine ten
STOP_S = 15.0  # writing a state of 100 MB takes about one
LEAVE_S = 2.0  # a process that is just ending has no name any more and still holds its port
STATE_PARTS = frozenset({"block", "accounts", "blocks", "transactions"})  # of every state that Anvil wrote
SETTLE_S = 0.02  # between two looks
GOOD_COPY_S = 5.0  # between two copies of Anvil's state while it runs

# The kernel sends SIGTERM to the node when the thread that started it ends, also by SIGKILL (prctl(2), PR_SET_PDEATHSIG;
# the setting survives execve). This is done by a fresh interpreter, since forking one with threads may deadlock.
_LAUNCH = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 15)
if os.getppid() != int(sys.argv[1]): sys.exit(1)  # died before the line above
os.execv(sys.argv[2], sys.argv[2:])
"""


def funded(kind: Kind, count: int) -> list[tuple[str, str]]:
    """The first funded accounts of such a chain: address and private key, which are public everywhere."""
    from eth_account import Account

    Account.enable_unaudited_hdwallet_features()
    made = (Account.from_mnemonic(MNEMONICS[kind], account_path=f"m/44'/60'/0'/0/{n}") for n in range(count))
    return [(account.address, f"0x{account.key.hex().removeprefix('0x')}") for account in made]


@contextmanager
def devnet(folder: Path, kind: Kind = "anvil") -> Iterator[str]:
    """The RPC URL of the chain in `folder`, which is started, or joined when a live process already runs it.

    What this call started, it stops at the end, with its state written; if this process is killed, the node ends too.
    Call it from the main thread, which the node's life is tied to. Raises ChainError when no node program is found,
    when the port is taken by a stranger, or when the node does not come up.
    """
    folder.mkdir(parents=True, exist_ok=True)
    folder = folder.resolve()
    with _starting(folder):
        port = _port(folder)
        url = f"http://127.0.0.1:{port}"
        node = None if _joinable(folder, url, port) else _start(folder, kind, url, port)
    if node is None:
        yield url
        return
    keeper = _Keeper(folder) if kind == "anvil" else None
    try:
        yield url
    finally:
        if keeper is not None:
            keeper.stop()
        _stop(node, folder)
        if kind == "anvil":
            _keep_good_copy(folder)


# ── start ────────────────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def _starting(folder: Path) -> Iterator[None]:
    """One process at a time looks at the folder and starts a node."""
    with (folder / "lock").open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _start(folder: Path, kind: Kind, url: str, port: int) -> subprocess.Popen[bytes]:
    if not _is_free(port):
        raise _taken(folder, port)
    if kind == "anvil":
        _repair_state(folder)
    try:
        return _started(folder, kind, url, port)
    except _Ended:
        # A state may be whole to us and not to Anvil. Then the chain is born again, and signed bytes are sent again.
        if kind != "anvil" or not _set_aside(folder / "anvil.json"):
            raise
        log.warning("the chain's state is damaged: it is set aside, and the chain begins again from what was signed")
        return _started(folder, kind, url, port)


def _started(folder: Path, kind: Kind, url: str, port: int) -> subprocess.Popen[bytes]:
    with (folder / "node.log").open("w+b") as output:
        node = _spawn(_command(folder, kind, port), output)
    write_whole(folder / "pid", f"{node.pid} {os.getpid()}\n".encode())
    try:
        known = _read(folder / "genesis")
        genesis = _wait_until_up(node, folder, url, known)
        if kind == "anvil":
            _set_clock(url)
        if known is None:
            write_whole(folder / "genesis", f"{genesis}\n".encode())
    except BaseException:
        _stop(node, folder)
        raise
    return node


def _command(folder: Path, kind: Kind, port: int) -> list[str]:
    gas_limit = str(_kept(folder / "gas_limit", lambda: GAS_LIMIT + secrets.randbelow(1 << 20)))
    if kind == "anvil":
        return [
            str(find_anvil()),
            *("--host", "127.0.0.1", "--port", str(port), "--no-cors", "--silent"),
            *("--chain-id", str(CHAIN_IDS[kind]), "--hardfork", HARDFORKS[kind], "--gas-limit", gas_limit),
            *("--accounts", str(ACCOUNTS), "--balance", str(BALANCE_ETHER), "--enable-tx-gas-limit"),
            *("--state", str(folder / "anvil.json"), "--state-interval", "1"),
            # Anvil makes a genesis block at every start, beside those in its state, and answers with any of them: with
            # the same time they are the same. It also lets a chain be born again that lost its state; signed bytes are
            # good for it as before.
            *("--timestamp", str(_kept(folder / "born", lambda: int(time.time())))),
        ]
    return [
        *map(str, find_ganache()),
        *("--server.host", "127.0.0.1", "--server.port", str(port), "--logging.quiet"),
        *("--chain.chainId", str(CHAIN_IDS[kind]), "--chain.networkId", str(CHAIN_IDS[kind])),
        *("--chain.hardfork", HARDFORKS[kind], "--miner.blockGasLimit", gas_limit),
        *("--wallet.deterministic", "--wallet.totalAccounts", str(ACCOUNTS)),
        *("--wallet.defaultBalance", str(BALANCE_ETHER), "--database.dbPath", str(folder / "ganache")),
    ]


def _spawn(command: list[str], output: IO[bytes]) -> subprocess.Popen[bytes]:
    if sys.platform == "linux" and threading.current_thread() is threading.main_thread():
        command = [sys.executable, "-I", "-S", "-c", _LAUNCH, str(os.getpid()), *command]
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # Ctrl-C is for us: we settle first and stop the node afterwards
    )


def _wait_until_up(node: subprocess.Popen[bytes], folder: Path, url: str, known: str | None) -> str:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        genesis = _genesis(url)
        if genesis is not None and known in (None, genesis):
            return genesis
        if genesis is not None:
            raise ChainError(
                reason=f"the chain in {folder} came up with another genesis block than before",
                hint="its state was replaced: put it back. " + BEGAN_ANEW,
            )
        if node.poll() is not None:
            said = _tail(folder / "node.log")
            raise _Ended(
                reason=f"the embedded chain ended while starting: {said or node.returncode}",
                hint=f"what it said is in {folder / 'node.log'}; where nothing helps, use another --workspace",
            )
        time.sleep(SETTLE_S)
    raise ChainError(
        reason=f"the embedded chain did not answer within {START_S:.0f} s", hint="see " + str(folder / "node.log")
    )


class _Ended(ChainError):
    """The node did not come up."""


def kept_port(folder: Path) -> int | None:
    """The port that a folder's chain has when it runs; None where none is known."""
    known = _read(folder / "port") or ""
    return int(known) if _is_number(known) and 0 < int(known) <= MAX_PORT else None


def _port(folder: Path) -> int:
    if kept_port(folder) is None:
        _set_aside(folder / "port")  # another one will do
    return _kept(folder / "port", lambda: next(port for port in iter(_some_port, 0) if _is_free(port)))


def _some_port() -> int:
    return PORTS.start + secrets.randbelow(len(PORTS))


def _kept(path: Path, choose: Callable[[], int]) -> int:
    """A number that is chosen once and then always the same. Raises Corrupt where the file holds something else."""
    known = _read(path)
    if known is None:
        known = str(choose())
        write_whole(path, f"{known}\n".encode())
    if not _is_number(known):
        raise Corrupt(
            what=path, reason="it holds no number", hint="restore it from a backup: the chain was made with it"
        )
    return int(known)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 20


def _set_clock(url: str) -> None:
    """Let Anvil's next block have the present time, and none before its predecessor: it begins at its birth otherwise."""
    rpc = Rpc(url)
    try:
        latest = quantity(rpc.call("eth_getBlockByNumber", ["latest", False])["timestamp"])
        rpc.call("anvil_setTime", [max(int(time.time()), latest + 1)])
    finally:
        rpc.close()


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port in TIME_WAIT is free
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


# ── join, or end what is left over ───────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class _Process:
    node: int
    parent: int


def _joinable(folder: Path, url: str, port: int) -> bool:
    """True when a live process runs this folder's chain. A node whose starter is dead is ended first, and not joined."""
    left_over = _recorded(folder)
    if left_over is not None and not _is_alive(left_over.parent):
        _end(left_over.node)
        return False
    deadline = time.monotonic() + LEAVE_S
    while not _is_free(port):
        genesis = _genesis(url)
        if genesis is not None and genesis == _read(folder / "genesis"):
            return True
        if time.monotonic() > deadline:
            raise _taken(folder, port)
        time.sleep(SETTLE_S)
    return False


def _recorded(folder: Path) -> _Process | None:
    """The node that runs this folder's chain, if it still does: a process number alone may be a stranger's by now."""
    words = (_read(folder / "pid") or "").split()
    if len(words) != 2 or not all(map(_is_number, words)):
        return None
    found = _Process(int(words[0]), int(words[1]))
    return found if str(folder) in _command_line(found.node) else None


def _command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
    except OSError:
        if Path("/proc/self/cmdline").exists():
            return ""
    listed = subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return listed.stdout


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:  # a dead child that nobody waited for still has its number
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (OSError, IndexError):
        return not Path("/proc/self/stat").exists()


def _end(pid: int) -> None:
    """Ask a node whose starter died to write its state and end; wait for it."""
    for sign, patience_s in ((signal.SIGTERM, STOP_S), (signal.SIGKILL, STOP_S)):
        try:
            os.kill(pid, sign)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline:
            if not _is_alive(pid):
                return
            time.sleep(SETTLE_S)


def _stop(node: subprocess.Popen[bytes], folder: Path) -> None:
    node.terminate()
    try:
        node.wait(STOP_S)
    except subprocess.TimeoutExpired:
        node.kill()
        node.wait()
    (folder / "pid").unlink(missing_ok=True)


def _taken(folder: Path, port: int) -> ChainError:
    return ChainError(
        reason=f"port {port} of this workspace's chain is taken by another program",
        hint=f"stop that program, or delete {folder / 'port'} to have another port chosen",
    )


def _genesis(url: str) -> str | None:
    """The hash of block 0 of whatever listens there; None when it is no chain."""
    rpc = Rpc(url, patience_s=0, read_timeout_s=5)
    try:
        block = rpc.call("eth_getBlockByNumber", ["0x0", False])
        return str(block["hash"])
    except (RpcUnavailable, RpcError, TypeError, KeyError):
        return None
    finally:
        rpc.close()


# ── Anvil's state file ───────────────────────────────────────────────────────────────────────────────────────────


class _Keeper:
    """Copies Anvil's state aside while it runs, whenever it changed and is whole."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="anvil-state", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        seen = 0
        while not self._over.wait(GOOD_COPY_S):
            try:
                changed = (self._folder / "anvil.json").stat().st_mtime_ns
                if changed != seen and _keep_good_copy(self._folder):
                    seen = changed
            except (OSError, WorkspaceUnwritable) as error:
                log.warning("no copy of the chain's state: %s", error)


def _keep_good_copy(folder: Path) -> bool:
    state = _whole_state(folder / "anvil.json")
    if state is not None:
        write_whole(folder / "anvil.good.json", state)
    return state is not None


def _repair_state(folder: Path) -> None:
    """Put the last whole copy in the place of a state file that is cut, or none, and that one aside."""
    state = folder / "anvil.json"
    if _whole_state(state) is not None or not _set_aside(state):
        return
    good = _whole_state(folder / "anvil.good.json")
    if good is not None:
        write_whole(state, good)
        log.warning("the chain's state was cut off while being written; its last whole copy is used")


def _set_aside(path: Path) -> bool:
    """Give a file, or a folder in its place, a name that nobody reads; False when nothing is there."""
    names = (path.with_name(f"{path.stem}.cut{number or ''}{path.suffix}") for number in itertools.count())
    try:
        os.replace(path, next(name for name in names if not name.exists()))
    except FileNotFoundError:
        return False
    except OSError as error:
        raise WorkspaceUnwritable(path=path, reason=error.strerror or str(error)) from error
    return True


def _whole_state(path: Path) -> bytes | None:
    """The file's content if it is one whole JSON object of an Anvil's state: Anvil refuses to start with less."""
    try:
        content = read_regular(path, MAX_STATE)
        state = parse_json(content)
    except (OSError, ValueError):
        return None
    return content if isinstance(state, dict) and STATE_PARTS <= state.keys() else None


def _tail(path: Path) -> str:
    """The last words of a log."""
    with open_regular(path) as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - 2000))
        return file.read(2000).decode("utf-8", "replace").strip()[-500:]


def _read(path: Path) -> str | None:
    """What a small file says; None where there is none, or nothing in it."""
    try:
        return read_regular(path, MAX_NOTE).decode("ascii", "replace").strip() or None
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ChainError(
            reason=f"{path} cannot be read: {error.strerror or error}",
            hint="put a copy of it back, or use another --workspace",
        ) from error
