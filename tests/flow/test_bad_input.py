"""What people get wrong: each ends in a clear sentence, exit code 1 or 2, nothing spent and nothing half-written."""

from __future__ import annotations

import fcntl
import http.server
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import REPOSITORY, Ended, Pipeline
from nodes import anvil

MINT = ("mint", "--count", "3", "--size", "32", "--seed", "1")


def _refused(ended: Ended, code: int, *words: str) -> None:
    """The program said what is wrong and what to do, in words, and ended as a script expects."""
    assert ended.code == code, ended.err
    assert ended.out == ""
    assert "Traceback" not in ended.err
    assert ended.err.startswith("error: ") or "\nerror: " in ended.err
    for word in words:
        assert word in ended.err, f"{word!r} is not in: {ended.err}"


@pytest.fixture(scope="module")
def minted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose workspace holds three minted tokens; tests that change it take a copy."""
    folder = tmp_path_factory.mktemp("minted")
    command = [sys.executable, "-m", "pipeline", *MINT]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
    return folder


@pytest.fixture
def copy(minted: Path, tmp_path: Path) -> Path:
    """The minted workspace, copied to the test's folder."""
    shutil.copytree(minted / "workspace", tmp_path / "workspace")
    return tmp_path


def _nonce(rpc_url: str, address: str) -> int:
    from pipeline.base.records import Address
    from pipeline.mint.chain import connect

    return connect(rpc_url).nonce(Address(address))


# ── words ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("count", ["0", "-5", "1e9", "abc", "1000001", "1.5", ""])
def test_a_count_that_is_none(pipeline: Pipeline, tmp_path: Path, count: str) -> None:
    _refused(pipeline("mint", f"--count={count}"), 2, "--count", "a whole number from 1 to 1,000,000")
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_verb_or_flag(pipeline: Pipeline) -> None:
    _refused(pipeline("mnit"), 2, "--help")
    _refused(pipeline("mint", "--count", "3", "--sise", "3"), 2, "--help")


def test_an_unknown_generator_is_answered_with_a_near_name(pipeline: Pipeline, tmp_path: Path) -> None:
    _refused(pipeline(*MINT, "--model", "defualt"), 2, "defualt", "default")
    assert not (tmp_path / "workspace" / "images").exists()


def test_a_device_that_is_not_there(pipeline: Pipeline, tmp_path: Path) -> None:
    _refused(pipeline(*MINT, "--device", "cuda:7"), 1, "cuda:7")
    assert not (tmp_path / "workspace" / "images").exists()


def test_an_unknown_pinner_is_answered_with_a_near_name(pipeline: Pipeline) -> None:
    _refused(pipeline(*MINT, "--pin", "embeded"), 2, "embeded", "embedded")


def test_a_cover_that_is_no_image(pipeline: Pipeline, tmp_path: Path) -> None:
    (tmp_path / "cover.png").write_text("not an image")
    _refused(pipeline(*MINT, "--cover", "cover.png"), 2, "--cover", "PNG")


@pytest.mark.parametrize("verb", [("show", "1"), ("owners",), ("export",)])
def test_a_workspace_with_nothing_in_it(pipeline: Pipeline, tmp_path: Path, verb: tuple[str, ...]) -> None:
    _refused(pipeline(*verb), 2, "workspace", "pipeline mint")
    assert list(tmp_path.iterdir()) == []


def test_a_token_or_collection_that_is_not_there(pipeline: Pipeline, copy: Path) -> None:
    _refused(pipeline("show", "4"), 2, "4", "1 to 3")
    _refused(pipeline("show", "x"), 2, "x", "whole number")
    _refused(pipeline("show", "1", "--name", "Lion"), 2, "Lion", "Warren")


# ── recipients ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("address", "word"),
    [
        ("vitalik.eth", "40 hex digits"),
        ("0x1234", "40 hex digits"),
        ("0xf39fd6e51aad88F6F4ce6aB8827279cffFb92266", "checksum"),
        ("0x0000000000000000000000000000000000000000", "zero"),
    ],
)
def test_a_recipient_that_is_no_account(pipeline: Pipeline, tmp_path: Path, address: str, word: str) -> None:
    _refused(pipeline(*MINT, "--to", address), 2, "--to", word)
    assert not (tmp_path / "workspace" / "images").exists()


def test_a_contract_that_cannot_receive(pipeline: Pipeline, copy: Path) -> None:
    contract = pipeline("status", "--json").json["collections"][0]["contract"]
    _refused(pipeline(*MINT, "--new", "--to", contract), 2, contract, "does not accept ERC-721")
    assert [c["name"] for c in pipeline("status", "--json").json["collections"]] == ["Warren"]


# ── chains ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_rpc_url_that_refuses(pipeline: Pipeline, tmp_path: Path) -> None:
    ended = pipeline(*MINT, "--rpc-url", "http://user:secret@127.0.0.1:9/key-in-the-path?token=x")
    _refused(ended, 1, "http://127.0.0.1:9")
    for secret in ("secret", "key-in-the-path", "token"):
        assert secret not in ended.err


def test_an_rpc_url_that_hangs(pipeline: Pipeline) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        _refused(pipeline(*MINT, "--rpc-url", f"http://127.0.0.1:{silent.getsockname()[1]}"), 1, "127.0.0.1")


def test_an_rpc_url_that_answers_html(pipeline: Pipeline) -> None:
    class Page(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<html>welcome</html>")

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        _refused(pipeline(*MINT, "--rpc-url", f"http://127.0.0.1:{server.server_port}"), 1, "JSON")
        server.shutdown()


def test_another_chain_than_the_ledgers(pipeline: Pipeline, tmp_path: Path) -> None:
    with anvil() as first:
        assert pipeline(*MINT, "--rpc-url", first).code == 0
    with anvil("--timestamp", "7") as second:
        ended = pipeline("mint", "--count", "2", "--size", "32", "--more", "--rpc-url", second)
        _refused(ended, 1, "another chain", "genesis")
        _refused(pipeline("verify", "--rpc-url", second), 1, "another chain")


def test_a_well_known_key_on_a_chain_that_is_not_local(pipeline: Pipeline, tmp_path: Path) -> None:
    key = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
    with anvil("--chain-id", "11155111") as url:
        ended = pipeline(*MINT, "--rpc-url", url, env={"PIPELINE_PRIVATE_KEY": key})
        _refused(ended, 2, "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266", "11155111")
        assert key[2:] not in ended.err
        assert _nonce(url, "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266") == 0


# ── keys ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _keystore(path: Path, password: str) -> Path:
    from eth_account import Account
    from eth_typing import HexStr

    content = Account.encrypt(HexStr("0x" + "5e" * 32), password, kdf="pbkdf2", iterations=1000)
    path.write_text(json.dumps(content))
    path.chmod(0o600)
    return path


def test_a_keystore_that_is_not_there(pipeline: Pipeline) -> None:
    _refused(pipeline(*MINT, "--keystore", "nowhere.json"), 2, "nowhere.json")


def test_a_wrong_keystore_password(pipeline: Pipeline, tmp_path: Path) -> None:
    path = _keystore(tmp_path / "key.json", "right")
    ended = pipeline(*MINT, "--keystore", path, env={"PIPELINE_KEYSTORE_PASSWORD": "wr0ng-passw0rd"})
    _refused(ended, 2, "key.json", "password")
    assert "wr0ng-passw0rd" not in ended.err


def test_a_keystore_without_a_password(pipeline: Pipeline, tmp_path: Path) -> None:
    path = _keystore(tmp_path / "key.json", "right")
    _refused(pipeline(*MINT, "--keystore", path), 2, "PIPELINE_KEYSTORE_PASSWORD")


# ── workspaces ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB; only root can mount one, elsewhere the test says so and fails."""
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_workspace_that_cannot_be_made(pipeline: Pipeline, tmp_path: Path) -> None:
    (tmp_path / "workspace").write_text("a file where the folder should be")
    _refused(pipeline(*MINT), 1, "workspace")


def test_a_read_only_workspace(pipeline: Pipeline, small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    _refused(pipeline(*MINT, "--workspace", small_disk), 1, "cannot write", str(small_disk), "Read-only")


def test_a_disk_that_fills_up_and_is_emptied(pipeline: Pipeline, small_disk: Path) -> None:
    filler = small_disk / "filler"
    filler.write_bytes(b"x" * (1 << 20))
    ended = pipeline("mint", "--count", "8", "--size", "256", "--seed", "1", "--workspace", small_disk)
    _refused(ended, 1, "cannot write", "give the same command again")
    filler.unlink()
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    assert pipeline("mint", "--count", "8", "--size", "256", "--seed", "1", "--workspace", small_disk).code == 0
    assert pipeline("verify", "--workspace", small_disk).code == 0


def test_a_workspace_that_another_run_holds(pipeline: Pipeline, tmp_path: Path) -> None:
    (tmp_path / "workspace").mkdir()
    with (tmp_path / "workspace" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write("4242")
        lock.flush()
        _refused(pipeline(*MINT), 1, "in use", "4242", "pipeline status")


def test_a_second_mint_at_once_on_the_same_workspace(pipeline: Pipeline, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pipeline", "mint", "--count", "12", "--size", "128", "--seed", "1"]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    first = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while not (tmp_path / "workspace" / "ledger.sqlite").exists():
        time.sleep(0.01)
    _refused(pipeline("mint", "--count", "12", "--size", "128", "--seed", "1"), 1, "in use", str(first.pid))
    assert first.wait(120) == 0
    assert len(pipeline("mint", "--count", "12", "--size", "128", "--seed", "1", "--json").json["tokens"]) == 12


def test_a_ledger_of_a_newer_version(pipeline: Pipeline, copy: Path) -> None:
    ledger = sqlite3.connect(copy / "workspace" / "ledger.sqlite")
    ledger.execute("PRAGMA user_version = 99")
    ledger.close()
    for verb in (MINT, ("status",), ("show", "1")):
        _refused(pipeline(*verb), 1, "schema 99", "newer")


# ── flipped bits ─────────────────────────────────────────────────────────────────────────────────────────────


def _flip(path: Path, position: int) -> None:
    with path.open("r+b") as file:
        file.seek(position)
        byte = file.read(1)[0]
        file.seek(position)
        file.write(bytes([byte ^ 1]))


def test_a_flipped_bit_in_the_ledger(pipeline: Pipeline, copy: Path) -> None:
    path = copy / "workspace" / "ledger.sqlite"
    _flip(path, path.read_bytes().index(b'"royalty_bps":500') + 14)  # in an event
    _refused(pipeline(*MINT), 1, "ledger.sqlite", "damaged")
    assert pipeline("verify").code == 3


def test_a_flipped_bit_in_signed_bytes(pipeline: Pipeline, copy: Path) -> None:
    path = copy / "workspace" / "ledger.sqlite"
    raw = sqlite3.connect(path).execute("SELECT raw FROM attempt ORDER BY id DESC LIMIT 1").fetchone()[0]
    _flip(path, path.read_bytes().index(raw[:40]) + 20)
    _refused(pipeline("mint", "--count", "2", "--size", "32", "--more"), 1, "damaged")


def test_a_flipped_bit_in_a_car(pipeline: Pipeline, copy: Path) -> None:
    car = max((copy / "workspace" / "car").glob("*.car"), key=lambda path: path.stat().st_size)
    _flip(car, car.stat().st_size // 2)
    verified = pipeline("verify", "--json")
    assert verified.code == 3
    failed = [check for check in verified.json["collections"][0]["checks"] if not check["ok"]]
    assert failed and car.stem in failed[0]["detail"]
    _refused(pipeline("export"), 1, car.name, "damaged")


def test_a_flipped_bit_in_an_image(pipeline: Pipeline, copy: Path) -> None:
    image = next((copy / "workspace" / "images").rglob("2.png"))
    _flip(image, image.stat().st_size // 2)
    verified = pipeline("verify", "--json")
    assert verified.code == 3
    assert [check["name"] for check in verified.json["collections"][0]["checks"] if not check["ok"]] == ["files"]


# ── ended from outside ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("sign", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_run_that_is_asked_to_end_can_be_resumed(pipeline: Pipeline, tmp_path: Path, sign: int, code: int) -> None:
    words = ("mint", "--count", "30", "--size", "256", "--seed", "1")
    run = subprocess.Popen(
        [sys.executable, "-m", "pipeline", *words],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    images = tmp_path / "workspace" / "images" / "1"
    while len(list(images.glob("[1-9]*.png"))) < 3:
        assert run.poll() is None
        time.sleep(0.02)
    run.send_signal(sign)
    out, err = run.communicate(timeout=60)
    assert (run.returncode, out) == (code, "")
    assert "Traceback" not in err and "same command again" in err
    resumed = pipeline(*words, "--json")
    assert resumed.code == 0 and len(resumed.json["tokens"]) == 30
    assert "continuing" in resumed.err


def test_a_closed_pipe_loses_nothing(pipeline: Pipeline, tmp_path: Path) -> None:
    command = f"{sys.executable} -m pipeline {' '.join(MINT)} --json | true; exit ${{PIPESTATUS[0]}}"
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    ended = subprocess.run(["bash", "-c", command], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert ended.returncode == 141 and "Traceback" not in ended.stderr
    again = pipeline(*MINT, "--json")
    assert len(again.json["tokens"]) == 3 and "nothing was sent" in again.err
