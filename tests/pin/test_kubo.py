"""A real Kubo daemon: import, pin, read back; and everything a node, or the network before it, can get wrong."""

from __future__ import annotations

import base64
import json
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pin.servers import Loopback, Quiet

from pipeline.base.cid import CID, DAG_PB
from pipeline.base.errors import BadArgument, BadCar, DigestMismatch, PinError, PinnerUnavailable
from pipeline.base.records import PinnedRoot
from pipeline.base.web import STARTING_S
from pipeline.pin import load_pinners
from pipeline.pin.kubo import KuboPinner, _address, _authorization
from pipeline.pin.store import CarStore, Source
from pipeline.pin.unixfs import PROFILES
from pipeline.settings import Settings


@pytest.fixture
def store(tmp_path: Path) -> CarStore:
    return CarStore(tmp_path / "car")


@pytest.fixture
def root(store: CarStore, random_bytes: Callable[[str, int], bytes], request: pytest.FixtureRequest) -> PinnedRoot:
    """A root that no other test uses."""
    files: list[tuple[str, Source]] = [("big.png", random_bytes(request.node.name, 1_500_000))]
    return store.put_directory([*files, *((f"{i}.json", f"{request.node.name} {i}".encode()) for i in range(1, 20))])


def pinner_of(repo: Any, token: str = "", timeout_s: float = 30) -> KuboPinner:
    return KuboPinner(repo.address, token, timeout_s)


# ── as it should be ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_car_is_imported_pinned_by_name_and_read_back(kubo: Any, store: CarStore, root: PinnedRoot) -> None:
    pinner = pinner_of(kubo)
    pinner.pin(store.path(root.cid), root, "Lino 1-50 ü images")
    pinner.check(root)
    assert "Lino 1-50 ü images" in kubo.run("pin", "ls", "--type=recursive", "--names", str(root.cid))
    kubo.run("repo", "gc")
    pinner.check(root)
    assert kubo.run("cat", f"{root.cid}/7.json") == store.read(root.cid, "7.json").decode()


def test_pinning_again_sends_nothing_and_renames(kubo: Any, proxy: Any, store: CarStore, root: PinnedRoot) -> None:
    pinner_of(kubo).pin(store.path(root.cid), root, "first")
    pinner_of(proxy).pin(store.path(root.cid), root, "second")
    assert "dag/import" not in proxy.seen
    assert "second" in kubo.run("pin", "ls", "--type=recursive", "--names", str(root.cid))


def test_every_profile_is_imported_by_ipfs_dag_import(kubo: Any, tmp_path: Path) -> None:
    """Sharded, chunked, and with CIDs of both versions."""
    for name, profile in PROFILES.items():
        store = CarStore(tmp_path / name, profile)
        files: list[tuple[str, Source]] = [(f"{i}.json", f"{name} {i}".encode()) for i in range(6_500)]
        root = store.put_directory([*files, ("big", bytes(range(256)) * 9_000)])
        answer = kubo.run("dag", "import", "--stats", "--enc=json", str(store.path(root.cid)))
        imported = [json.loads(line) for line in answer.splitlines()]
        assert CID.parse(imported[0]["Root"]["Cid"]["/"]).digest == root.cid.digest
        assert imported[1]["Stats"] == {"BlockCount": root.blocks, "BlockBytesCount": root.block_bytes}
        pinner_of(kubo).check(root)


def test_the_root_is_what_ipfs_add_prints(kubo: Any, tmp_path: Path, store: CarStore) -> None:
    for index in range(30):
        (tmp_path / "files").mkdir(exist_ok=True)
        (tmp_path / "files" / f"{index}.json").write_text(f"{index}")
    root = store.put_directory((path.name, path) for path in (tmp_path / "files").iterdir())
    assert CID.parse(kubo.run("add", "-r", "-Q", str(tmp_path / "files"))) == root.cid


def test_a_token_opens_a_secured_node(new_repo: Callable[[str], Any], store: CarStore, root: PinnedRoot) -> None:
    repo = new_repo("unixfs-v1-2025")
    repo.secure("bearer:s3cret")
    repo.start()
    try:
        for wrong in "", "guess":
            with pytest.raises(PinError, match="refuses us") as caught:
                pinner_of(repo, wrong).pin(store.path(root.cid), root, "x")
            assert not caught.value.retryable
            assert "PIPELINE_IPFS_TOKEN" in caught.value.hint
        pinner_of(repo, "bearer:s3cret").pin(store.path(root.cid), root, "x")
        pinner_of(repo, "s3cret").check(root)
    finally:
        repo.stop()


# ── faults of a node ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_stopped_daemon_is_unavailable_and_the_same_call_resumes(
    new_repo: Callable[[str], Any], store: CarStore, root: PinnedRoot
) -> None:
    repo = new_repo("unixfs-v1-2025")
    pinner = pinner_of(repo)
    with pytest.raises(PinnerUnavailable, match="refused") as caught:
        pinner.pin(store.path(root.cid), root, "x")
    assert caught.value.fields["within_s"] == STARTING_S and "ipfs daemon" in caught.value.hint
    repo.start()
    try:
        proxy = Proxy(repo)
        try:
            proxy.rules["pin/add"] = lambda handler, forward: (repo.stop(), handler.drop())
            with pytest.raises(PinnerUnavailable):
                pinner_of(proxy).pin(store.path(root.cid), root, "x")
        finally:
            proxy.close()
        repo.start()
        with pytest.raises(PinError, match="not pinned"):
            pinner.check(root)
        pinner.pin(store.path(root.cid), root, "x")
        pinner.check(root)
    finally:
        repo.stop()


def test_a_node_that_lost_a_block_is_found_at_once_and_healed(kubo: Any, store: CarStore, root: PinnedRoot) -> None:
    """Kubo still lists the pin: its list says nothing about the blocks."""
    pinner = pinner_of(kubo)
    pinner.pin(store.path(root.cid), root, "x")
    multihash = CID.raw(store.read(root.cid, "3.json")).bytes[2:]
    name = base64.b32encode(multihash).decode().rstrip("=")
    (lost,) = (kubo.folder / "blocks").rglob(f"{name}.data")
    lost.unlink()
    with pytest.raises(PinError, match="lacks blocks|broke off|did not take"):
        pinner.check(root)
    pinner.pin(store.path(root.cid), root, "x")
    pinner.check(root)
    assert lost.exists()


def test_a_car_with_a_hole_is_never_sent(proxy: Any, store: CarStore, root: PinnedRoot) -> None:
    path = store.path(root.cid)
    block = store.read(root.cid, "3.json")
    cid = CID.raw(block)
    section = bytes([len(cid.bytes) + len(block)]) + cid.bytes + block
    path.write_bytes(path.read_bytes().replace(section, b""))
    with pytest.raises(BadCar, match="missing"):
        pinner_of(proxy).pin(path, root, "x")
    assert proxy.seen == []


def test_a_car_of_another_root_is_never_sent(proxy: Any, store: CarStore, root: PinnedRoot) -> None:
    other = store.put_directory([("a", b"other")])
    with pytest.raises(BadCar, match="not what was recorded"):
        pinner_of(proxy).pin(store.path(other.cid), root, "x")
    assert proxy.seen == []


# ── faults in between, by a proxy ────────────────────────────────────────────────────────────────────────────


class Proxy(Loopback):
    """Forwards to a daemon; `rules[command]` gets a handler and `forward()`, and answers in its own way."""

    def __init__(self, repo: Any) -> None:
        self.rules: dict[str, Callable[..., Any]] = {}
        self.seen: list[str] = []
        outer = self

        class Handler(Quiet):
            def do_POST(self) -> None:
                command = self.path.split("?")[0].removeprefix("/api/v0/")
                outer.seen.append(command)
                body = self.body()

                def forward(path: str = self.path) -> bytes:
                    request = urllib.request.Request(f"http://127.0.0.1:{repo.api_port}{path}", body, method="POST")
                    if kind := self.headers.get("Content-Type"):
                        request.add_header("Content-Type", kind)
                    try:
                        with urllib.request.urlopen(request, timeout=30) as response:
                            return bytes(response.read())
                    except urllib.error.HTTPError as error:
                        with error:
                            self.answer(error.read(), error.code)
                        raise ConnectionAbortedError from None

                try:
                    if command in outer.rules:
                        outer.rules[command](self, forward)
                    else:
                        self.answer(forward())
                except ConnectionError:
                    pass

            def body(self) -> bytes:
                if self.headers.get("Transfer-Encoding") != "chunked":
                    return self.rfile.read(int(self.headers.get("Content-Length") or 0))
                body = b""
                while size := int(self.rfile.readline(), 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return body

            def answer(self, data: bytes, status: int = 200, length: int | None = None) -> None:
                self.send_response(status)
                self.send_header("Content-Type", "application/json" if data[:1] == b"{" else "application/octet-stream")
                self.send_header("Content-Length", str(len(data) if length is None else length))
                self.end_headers()
                self.wfile.write(data)

            def drop(self) -> None:
                self.close_connection = True
                self.connection.close()

        super().__init__(Handler)
        self.address = self.url  # in the place of a daemon's


@pytest.fixture
def proxy(kubo: Any) -> Iterator[Proxy]:
    proxy = Proxy(kubo)
    yield proxy
    proxy.close()


def replaced(old: str, new: str) -> Callable[..., None]:
    return lambda handler, forward: handler.answer(forward().replace(old.encode(), new.encode()))


def constant(data: bytes, status: int = 200) -> Callable[..., None]:
    def answer(handler: Any, forward: Callable[[], bytes]) -> None:
        forward()
        handler.answer(data, status)

    return answer


def twisted(handler: Any, forward: Callable[[], bytes]) -> None:
    data = bytearray(forward())
    data[-1] ^= 1
    handler.answer(bytes(data))


OTHER = str(CID.dag_pb(bytes(32)))
MISMATCH = [
    ("dag/stat", lambda root: replaced(str(root.cid), OTHER)),
    ("dag/stat", lambda root: replaced(f'"NumBlocks":{root.blocks}', f'"NumBlocks":{root.blocks - 1}')),
    ("dag/stat", lambda root: replaced(f'"Size":{root.block_bytes}', f'"Size":{root.block_bytes + 1}')),
    ("dag/import", lambda root: replaced(f'"BlockCount":{root.blocks}', '"BlockCount":1')),
    ("dag/import", lambda root: constant(b'{"Root":{"Cid":{"/":"%s"},"PinErrorMsg":""}}' % OTHER.encode())),
    ("dag/export", lambda root: twisted),
    ("dag/export", lambda root: lambda handler, forward: handler.answer(forward()[:-100])),
    (
        "dag/export",
        lambda root: lambda handler, forward: handler.answer(forward() + b"\x25" + CID.raw(b"x").bytes + b"x"),
    ),
    ("dag/export", lambda root: constant(b"")),
]


@pytest.mark.parametrize(
    ("command", "rule"), MISMATCH, ids=[f"{command} {i}" for i, (command, _) in enumerate(MISMATCH)]
)
def test_an_answer_about_other_content_is_a_mismatch(
    command: str, rule: Callable[[PinnedRoot], Any], kubo: Any, proxy: Proxy, store: CarStore, root: PinnedRoot
) -> None:
    if command == "dag/stat":
        pinner_of(kubo).pin(store.path(root.cid), root, "x")
    proxy.rules[command] = rule(root)
    with pytest.raises(DigestMismatch) as caught:
        pinner_of(proxy).pin(store.path(root.cid), root, "x")
    assert not caught.value.retryable


def another_car(store: CarStore) -> bytes:
    other = store.put_directory([("other", b"sound, complete, and not asked for")])
    return store.path(other.cid).read_bytes()


def test_a_sound_car_of_another_root_is_a_mismatch(proxy: Proxy, store: CarStore, root: PinnedRoot) -> None:
    proxy.rules["dag/export"] = constant(another_car(store))
    with pytest.raises(DigestMismatch):
        pinner_of(proxy).pin(store.path(root.cid), root, "x")


UNAVAILABLE = [
    ("version", constant(b"<html>bad gateway</html>", 502)),
    ("version", constant(b"{")),
    ("version", constant(b"[" * 100_000)),
    ("version", constant(b"[]")),
    ("version", constant(b" " * (2 << 20))),
    ("dag/import", constant(b"")),
    ("dag/import", constant(b'{"Root":{"Cid":{"/":"x"},"PinErrorMsg":"no space"}}')),
    ("dag/import", constant(b'{"Message":"no space left on device","Code":0,"Type":"error"}', 500)),
    ("dag/import", lambda handler, forward: handler.drop()),
    ("dag/import", lambda handler, forward: handler.answer(b'{"Stats":{"BlockCo', length=1_000)),
    ("pin/add", constant(b'{"Message":"pin: locked","Code":0,"Type":"error"}', 500)),
    ("pin/add", lambda handler, forward: handler.drop()),
    ("pin/ls", constant(b'{"Keys":{}}')),
    ("pin/ls", replaced('"recursive"', '"indirect"')),
    ("pin/ls", replaced('"Name":"x"', '"Name":"y"')),
    ("dag/export", lambda handler, forward: handler.answer(forward()[:500], length=100_000)),
    ("dag/export", constant(b"slow down", 429)),
]


@pytest.mark.parametrize(("command", "rule"), UNAVAILABLE, ids=[f"{c} {i}" for i, (c, _) in enumerate(UNAVAILABLE)])
def test_a_node_in_trouble_is_unavailable_and_heals(
    command: str, rule: Callable[..., Any], proxy: Proxy, store: CarStore, root: PinnedRoot
) -> None:
    proxy.rules[command] = rule
    with pytest.raises(PinnerUnavailable) as caught:
        pinner_of(proxy).pin(store.path(root.cid), root, "x")
    assert caught.value.retryable
    proxy.rules.clear()
    pinner_of(proxy).pin(store.path(root.cid), root, "x")


@pytest.mark.parametrize(
    ("command", "status", "told"),
    [
        ("version", 404, "no Kubo RPC"),
        ("version", 405, "port 5001"),
        ("dag/import", 413, "no body of the size"),
        ("dag/import", 400, "HTTP 400"),
    ],
)
def test_a_refusal_of_who_is_no_kubo_or_stands_before_it_is_final_and_says_what_it_means(
    command: str, status: int, told: str, proxy: Proxy, store: CarStore, root: PinnedRoot
) -> None:
    proxy.rules[command] = constant(b"<html>no</html>", status)
    with pytest.raises(PinError) as caught:
        pinner_of(proxy).pin(store.path(root.cid), root, "x")
    assert told in f"{caught.value} {caught.value.hint}" and not caught.value.retryable


def test_a_node_that_does_not_answer_runs_into_the_time_limit(proxy: Proxy, store: CarStore, root: PinnedRoot) -> None:
    release = threading.Event()
    proxy.rules["pin/add"] = lambda handler, forward: release.wait(20)
    try:
        with pytest.raises(PinnerUnavailable, match="in time"):
            pinner_of(proxy, timeout_s=1).pin(store.path(root.cid), root, "x")
    finally:
        release.set()


@pytest.mark.parametrize("version", ["0.18.1", "0.25.0", "", "dev"])
def test_a_version_without_pin_names_is_told(version: str, proxy: Proxy, store: CarStore, root: PinnedRoot) -> None:
    proxy.rules["version"] = constant(json.dumps({"Version": version}).encode())
    with pytest.raises(PinError, match="cannot name its pins") as caught:
        pinner_of(proxy).pin(store.path(root.cid), root, "x")
    assert "0.26" in caught.value.hint


def test_no_token_reaches_a_message_or_a_log(
    proxy: Proxy, store: CarStore, root: PinnedRoot, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    proxy.rules["pin/add"] = constant(b"oops", 500)
    pinner = pinner_of(proxy, "bearer:canary")
    with pytest.raises(PinnerUnavailable) as caught:
        pinner.pin(store.path(root.cid), root, "x")
    assert "canary" not in str(caught.value) + repr(caught.value) + pinner.name + caplog.text + repr(
        caught.value.fields
    )


# ── configuration ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("address", "multiaddr", "base", "shown"),
    [
        ("/ip4/127.0.0.1/tcp/5001", "/ip4/127.0.0.1/tcp/5001/http", "api/v0", "127.0.0.1:5001"),
        ("/dns/node.example/tcp/443/https", "/dns/node.example/tcp/443/https", "api/v0", "node.example:443"),
        ("http://localhost:5001", "/dns/localhost/tcp/5001/http", "api/v0", "localhost:5001"),
        ("https://node.example/ipfs/", "/dns/node.example/tcp/443/https", "ipfs/api/v0", "node.example:443"),
        ("http://[::1]:5001/", "/ip6/::1/tcp/5001/http", "api/v0", "::1:5001"),
        ("http://10.0.0.7", "/ip4/10.0.0.7/tcp/80/http", "api/v0", "10.0.0.7:80"),
    ],
)
def test_addresses_are_multiaddrs_or_urls(address: str, multiaddr: str, base: str, shown: str) -> None:
    assert _address(address) == (multiaddr, base, shown)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "localhost:5001",
        "/ip4/127.0.0.1",
        "/unix/x/tcp/1",
        "/ip4/1.2.3.4/tcp/5/ws",
        "ftp://x",
        "http://",
        "http://x:y",
    ],
)
def test_other_addresses_are_refused(address: str) -> None:
    with pytest.raises(BadArgument):
        KuboPinner(address)


def test_a_password_in_an_address_is_refused_and_not_shown() -> None:
    with pytest.raises(BadArgument) as caught:
        KuboPinner("https://user:canary@node.example")
    assert "canary" not in str(caught.value)


def test_tokens_are_written_as_kubo_wants_them() -> None:
    assert _authorization("abc") == _authorization("bearer:abc") == "Bearer abc"
    assert _authorization("basic:user:pass") == "Basic dXNlcjpwYXNz"


def test_pinners_are_loaded_by_name(store: CarStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_IPFS_TOKEN", "secret")
    pinners = load_pinners(["embedded", "kubo"], store, Settings.of(ipfs_api="/ip4/127.0.0.1/tcp/5001"))
    assert (pinners["embedded"], pinners["kubo"].name) == (store, "kubo at 127.0.0.1:5001")
    with pytest.raises(BadArgument, match="did you mean 'kubo'"):
        load_pinners(["kobu"], store, Settings())


def test_nodes_may_spell_the_root_in_another_version(kubo: Any, tmp_path: Path) -> None:
    store = CarStore(tmp_path / "v0", PROFILES["unixfs-v0-2015"])
    root = store.put_directory([("a", b"version 0")])
    assert (root.cid.version, root.cid.codec) == (0, DAG_PB)
    pinner_of(kubo).pin(store.path(root.cid), root, "v0")
    pinner_of(kubo).check(root)
