"""The embedded chain: the same tomorrow, gone when nobody needs it, and never a stranger's."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from mint.conftest import wait_until_kept

from pipeline.base.errors import ChainError, Corrupt
from pipeline.mint.chain import Chain, connect
from pipeline.mint.devnet import Kind, devnet, funded
from pipeline.mint.programs import find_anvil
from pipeline.mint.rpc import Rpc
from pipeline.mint.signer import open_signer, signed

ROOT = Path(__file__).resolve().parents[2]


def latest_time(chain: Chain) -> int:
    return int(chain.rpc.call("eth_getBlockByNumber", ["latest", False])["timestamp"], 16)


def send_one(chain: Chain) -> bytes:
    """A transaction to ourselves, mined."""
    signer = open_signer(chain, environment={})
    tx = {
        "type": 2,
        "chainId": chain.chain_id,
        "nonce": chain.nonce(signer.address),
        "to": signer.address,
        "value": 0,
        "data": b"",
        "gas": 30_000,
        "maxFeePerGas": 10**10,
        "maxPriorityFeePerGas": 1,
    }
    raw, tx_hash = signed(signer, tx)
    chain.send(raw)
    deadline = time.monotonic() + 10
    while chain.receipt(tx_hash) is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return tx_hash


def holder(folder: Path, kind: str = "anvil") -> subprocess.Popen[str]:
    """Another process that runs the chain of a folder until it is killed; it has printed the URL when this returns."""
    code = (
        "import sys, signal; from pathlib import Path; from pipeline.mint.devnet import devnet\n"
        "with devnet(Path(sys.argv[1]), sys.argv[2]) as url:\n"
        "    print(url, flush=True); sys.stdin.read()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(folder), kind],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None and process.stdout.readline().startswith("http://127.0.0.1:")
    return process


def end(process: subprocess.Popen[str]) -> None:
    process.communicate(timeout=30)


def node_of(folder: Path) -> int:
    return int((folder / "pid").read_text().split()[0])


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("kind", ["anvil", "ganache"])
def test_yesterdays_transactions_are_there_today_on_the_same_url_and_genesis(tmp_path: Path, kind: Kind) -> None:
    sent: list[bytes] = []
    seen = set()
    for _ in range(4):  # Anvil's second genesis block would show from the third start on
        with devnet(tmp_path, kind) as url:
            chain = connect(url)
            seen.add((url, chain.genesis_hash, chain.chain_id))
            assert all(chain.receipt(tx_hash) for tx_hash in sent)
            sent.append(send_one(chain))
            assert abs(latest_time(chain) - time.time()) < 30
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", int(url.rsplit(":", 1)[1]))) != 0, "the node is gone"
    assert len(seen) == 1


def test_two_workspaces_have_different_chains(tmp_path: Path) -> None:
    with devnet(tmp_path / "a") as one, devnet(tmp_path / "b") as other:
        assert connect(one).genesis_hash != connect(other).genesis_hash


def test_a_chain_that_a_live_process_runs_is_joined_and_left_running(tmp_path: Path) -> None:
    process = holder(tmp_path)
    try:
        pid = node_of(tmp_path)
        with devnet(tmp_path) as url:
            send_one(connect(url))
            assert node_of(tmp_path) == pid
        assert is_running(pid)
    finally:
        end(process)
    assert not is_running(pid)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's parent-death signal is Linux's")
@pytest.mark.parametrize("kind", ["anvil", "ganache"])
def test_a_killed_parent_leaves_no_node_behind_and_no_transaction_is_lost(tmp_path: Path, kind: Kind) -> None:
    process = holder(tmp_path, kind)
    pid = node_of(tmp_path)
    tx_hash = send_one(connect(f"http://127.0.0.1:{(tmp_path / 'port').read_text().strip()}"))
    process.kill()
    end(process)
    with devnet(tmp_path, kind) as url:  # at once: the old node is waited for
        assert not is_running(pid)
        assert connect(url).receipt(tx_hash) is not None


def test_a_node_that_outlived_its_parent_is_ended_and_not_joined(tmp_path: Path) -> None:
    with devnet(tmp_path) as url:
        pass
    born, gas, port = ((tmp_path / name).read_text().strip() for name in ("born", "gas_limit", "port"))
    orphan = subprocess.Popen(
        [str(find_anvil()), "--silent", "--port", port, "--timestamp", born, "--gas-limit", gas]
        + ["--state", str(tmp_path / "anvil.json")]
    )
    try:
        dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
        (tmp_path / "pid").write_text(f"{orphan.pid} {dead.stdout.strip()}\n")
        with devnet(tmp_path) as again:
            assert again == url and node_of(tmp_path) != orphan.pid
            assert not is_running(orphan.pid)
    finally:
        orphan.kill()
        orphan.wait()


def test_a_port_that_a_stranger_took_is_said_clearly(tmp_path: Path) -> None:
    with devnet(tmp_path) as url:
        port = int(url.rsplit(":", 1)[1])
    with socket.socket() as stranger:
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        stranger.bind(("127.0.0.1", port))
        stranger.listen()
        stranger.settimeout(0.1)
        with pytest.raises(ChainError, match=f"port {port} .* is taken by another program") as caught, devnet(tmp_path):
            pass
    assert "delete" in caught.value.hint
    with devnet(tmp_path / "other") as other:
        (tmp_path / "port").write_text(other.rsplit(":", 1)[1])
        with pytest.raises(ChainError, match="taken by another program"), devnet(tmp_path):
            pass


def test_a_state_cut_while_being_written_is_replaced_by_the_last_whole_copy(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with devnet(tmp_path) as url:
        genesis, tx_hash = connect(url).genesis_hash, send_one(connect(url))
    state = tmp_path / "anvil.json"
    for cut in (b"", state.read_bytes()[:500], b"{}"):
        state.write_bytes(cut)
        with devnet(tmp_path) as url:
            assert connect(url).genesis_hash == genesis
            assert connect(url).receipt(tx_hash) is not None
        assert "last whole copy is used" in caplog.text
    assert json.loads(state.read_bytes())


def test_a_killed_node_comes_back_with_at_most_its_last_second_missing(tmp_path: Path) -> None:
    with devnet(tmp_path) as url:
        tx_hash = send_one(connect(url))
        wait_until_kept(tmp_path)
        os.kill(node_of(tmp_path), signal.SIGKILL)
    with devnet(tmp_path) as url:
        assert connect(url).receipt(tx_hash) is not None


def test_a_chain_without_any_state_left_is_born_again_with_the_same_genesis(tmp_path: Path) -> None:
    with devnet(tmp_path) as url:
        genesis = connect(url).genesis_hash
    for path in tmp_path.glob("anvil*.json"):
        path.unlink()
    with devnet(tmp_path) as url:
        assert connect(url).genesis_hash == genesis


def test_a_state_that_anvil_does_not_take_is_set_aside_and_the_chain_is_born_again(tmp_path: Path) -> None:
    with devnet(tmp_path) as url:
        genesis = connect(url).genesis_hash
    odd = b'{"block": 1, "accounts": 2, "blocks": 3, "transactions": 4}'
    for name in ("anvil.json", "anvil.good.json"):
        (tmp_path / name).write_bytes(odd)
    with devnet(tmp_path) as url:
        assert connect(url).genesis_hash == genesis
    assert (tmp_path / "anvil.cut.json").read_bytes() == odd
    (tmp_path / "anvil.json").unlink()
    (tmp_path / "anvil.json").mkdir()  # whoever did that
    (tmp_path / "port").write_bytes(b"\xff\xfe")
    (tmp_path / "pid").write_text("a b")
    with devnet(tmp_path) as url:
        assert connect(url).genesis_hash == genesis


def test_a_number_that_the_chain_was_born_with_and_is_damaged_is_told(tmp_path: Path) -> None:
    with devnet(tmp_path):
        pass
    (tmp_path / "born").write_text("yesterday")
    with pytest.raises(Corrupt, match="born is damaged"), devnet(tmp_path):
        pass


def test_a_missing_anvil_says_what_to_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.mint.programs.tools", lambda: tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ChainError, match="no Anvil") as caught:
        find_anvil()
    assert "scripts/setup" in caught.value.hint
    script = tmp_path / "anvil"
    script.write_text("#!/usr/bin/env node\n")
    script.chmod(0o755)
    with pytest.raises(ChainError):
        find_anvil()  # npm's wrapper is no Anvil
    monkeypatch.setenv("PIPELINE_ANVIL", str(tmp_path / "absent"))
    with pytest.raises(ChainError, match="PIPELINE_ANVIL"):
        find_anvil()


def test_npms_wrapper_on_the_path_leads_to_the_native_anvil_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.mint.programs.tools", lambda: None)
    packages = tmp_path / "lib" / "node_modules" / "@foundry-rs"
    wrapper, native = packages / "anvil" / "bin.mjs", packages / "anvil-linux-amd64" / "bin" / "anvil"
    for file in (wrapper, native):
        file.parent.mkdir(parents=True)
        file.write_text("#!/usr/bin/env node\n")
        file.chmod(0o755)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "anvil").symlink_to(wrapper)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert find_anvil() == native


def test_the_node_listens_on_this_machine_only(tmp_path: Path) -> None:
    with devnet(tmp_path) as url:
        port = int(url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), 5):
            pass
        # All of 127.0.0.0/8 leads to this machine: a node that listens everywhere would answer here as well.
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.2", port), 5)


@pytest.mark.parametrize("kind", ["anvil", "ganache"])
def test_the_accounts_that_are_shown_are_the_funded_ones(tmp_path: Path, kind: Kind) -> None:
    with devnet(tmp_path, kind) as url:
        assert Rpc(url).call("eth_accounts")[:3] == [address.lower() for address, _ in funded(kind, 3)]
