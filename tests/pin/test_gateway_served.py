"""The gateway as a running server: over sockets, beside a store that changes, with CARs that others wrote or broke."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import re
import signal
import struct
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import REPOSITORY, Pipeline

from pipeline.base.cid import CID, DAG_PB, IDENTITY, RAW, varint
from pipeline.base.errors import BadArgument, BadCar
from pipeline.pin import unixfs
from pipeline.pin.car import CarWriter, car_header, car_section
from pipeline.pin.gateway import gateway_app, serve_gateway
from pipeline.pin.store import CarStore

_FOLDER = b"\x08\x01"  # UnixFS data of a directory


def get(url: str, path: str, **headers: str) -> tuple[int, bytes]:
    """Ask for a path exactly as it stands: no client in between tidies it up."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)
    try:
        connection.request("GET", path, headers=headers)
        reply = connection.getresponse()
        return reply.status, reply.read()
    finally:
        connection.close()


def folder_of(names: dict[bytes, bytes]) -> tuple[CID, list[tuple[CID, bytes]]]:
    """A directory of small files under names that no file system would take."""
    entries = [(name, unixfs.Node(CID.raw(data), len(data), len(data))) for name, data in names.items()]
    block = unixfs.encode_node(entries, _FOLDER)
    root = CID.dag_pb(hashlib.sha256(block).digest())
    return root, [(root, block), *((CID.raw(data), data) for data in names.values())]


def write_car(path: Path, roots: list[CID], blocks: list[tuple[CID, bytes]]) -> Path:
    path.write_bytes(car_header(*roots) + b"".join(car_section(cid, block) for cid, block in blocks))
    return path


@pytest.fixture
def store(tmp_path: Path) -> CarStore:
    return CarStore(tmp_path / "car")


@pytest.fixture
def url(store: CarStore) -> Iterator[str]:
    with serve_gateway(gateway_app(store.folder), 0) as url:
        yield url


def test_what_is_pinned_while_it_runs_is_served_and_what_is_removed_is_not(store: CarStore, url: str) -> None:
    assert get(url, f"/ipfs/{CID.raw(b'late')}?format=raw")[0] == 404
    first = store.put_directory([("1.json", b"early")])
    assert get(url, f"/ipfs/{first.cid}/1.json") == (200, b"early")
    second = store.put_directory([("1.json", b"late")])
    assert get(url, f"/ipfs/{second.cid}/1.json") == (200, b"late")
    assert get(url, f"/ipfs/{CID.raw(b'late')}?format=raw") == (200, b"late")
    store.path(second.cid).unlink()
    assert get(url, f"/ipfs/{second.cid}/1.json")[0] == get(url, f"/ipfs/{CID.raw(b'late')}")[0] == 404
    assert get(url, f"/ipfs/{first.cid}/1.json") == (200, b"early")


def test_a_damaged_car_takes_none_of_the_others_along(store: CarStore, url: str) -> None:
    store.put_directory([("1", b"sound")])
    broken = store.put_directory([("1", b"broken")])
    data = bytearray(store.path(broken.cid).read_bytes())
    data[-1] ^= 1
    store.path(broken.cid).write_bytes(data)
    status, told = get(url, f"/ipfs/{broken.cid}/1")
    assert (status, told) == (500, b"this content is damaged in the store\n")  # and no path of this machine
    assert get(url, f"/ipfs/{CID.raw(b'broken')}")[0] == 404
    assert get(url, f"/ipfs/{CID.raw(b'sound')}") == (200, b"sound")
    data[-1] ^= 1
    store.path(broken.cid).write_bytes(data)
    assert get(url, f"/ipfs/{broken.cid}/1") == (200, b"broken")


def test_damage_met_on_the_way_cuts_the_answer_short(
    store: CarStore, url: str, random_bytes: Callable[[str, int], bytes]
) -> None:
    """A client sees that bytes are missing; it never gets wrong ones."""
    data = random_bytes("cut", 3 << 20)
    root = store.put_directory([("1.bin", data)])
    assert get(url, f"/ipfs/{root.cid}/1.bin") == (200, data)
    path = store.path(root.cid)
    state, changed = path.stat(), bytearray(path.read_bytes())
    changed[changed.index(data[-100:])] ^= 1
    path.write_bytes(changed)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))  # rot in a disk leaves no time stamp
    for target in f"/ipfs/{root.cid}/1.bin", f"/ipfs/{root.cid}?format=car":
        with pytest.raises(http.client.IncompleteRead) as cut:
            get(url, target)
        assert changed[-100:] not in cut.value.partial
    assert get(url, f"/ipfs/{root.cid}/1.bin", Range="bytes=0-99") == (206, data[:100])


@pytest.mark.parametrize(
    ("target", "found"),
    [
        ("/etc/passwd", 404),
        ("/../../../etc/passwd", 404),
        ("/ipfs/../ledger.sqlite", 400),
        ("/ipfs/{root}/../ledger.sqlite", 404),
        ("/ipfs/{root}/..%2f..%2fledger.sqlite", 404),
        ("/ipfs/{root}/%2e%2e/%2e%2e/ledger.sqlite", 404),
        ("/ipfs/{root}//etc/passwd", 404),
        ("/ipfs/%2Fetc%2Fpasswd", 400),
        ("/ipfs/incoming", 400),
    ],
)
def test_nothing_but_content_is_in_reach(store: CarStore, url: str, target: str, found: int) -> None:
    (store.folder.parent / "ledger.sqlite").write_text("secret")
    root = store.put_directory([("1.json", b"{}")])
    status, told = get(url, target.format(root=root.cid))
    assert status == found and b"secret" not in told and str(store.folder).encode() not in told


def test_a_redirect_never_leads_to_another_machine(store: CarStore, url: str) -> None:
    root = store.put_directory([("evil.example/1", b"")])
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)
    connection.request("GET", "//evil.example", headers={"Host": f"{root.cid}.ipfs.localhost"})
    reply = connection.getresponse()
    assert (reply.status, reply.getheader("Location")) == (301, "/evil.example/")
    connection.close()


def test_names_that_no_file_system_takes_are_served_by_their_bytes(tmp_path: Path) -> None:
    names = {
        b"..": b"dots",
        b"a\0b": b"nul",
        b"%41": b"percent",
        b"\xff\xfe": b"no text",
        "\U0001f642".encode(): b"emoji",
        "caf\u00e9".encode(): b"NFC",
        "cafe\u0301".encode(): b"NFD",
        "a\u202egnp.exe".encode(): b"turned around",
        b"a\"><script>alert(1)<'&": b"markup",
    }
    root, blocks = folder_of(names)
    with serve_gateway(gateway_app(None, [write_car(tmp_path / "x.car", [root], blocks)]), 0) as url:
        for name, data in names.items():
            assert get(url, f"/ipfs/{root}/{urllib.parse.quote(name)}") == (200, data), name
        assert get(url, f"/ipfs/{root}/A")[0] == get(url, f"/ipfs/{root}/cafe")[0] == 404
        page = get(url, f"/ipfs/{root}/")[1].decode()
        assert page.count("<tr>") == len(names)
        assert "<script>" not in page and "\u202e" not in page and "\0" not in page


def test_cars_of_every_make_are_served_together(
    tmp_path: Path, new_repo: Callable[[str], Any], random_bytes: Callable[[str, int], bytes]
) -> None:
    """Kubo's own export, a CARv2 around it, several roots in one file, and a DAG whose blocks lie in two."""
    repo = new_repo("unixfs-v0-2015")
    tree = tmp_path / "tree"
    (tree / "many").mkdir(parents=True)
    (tree / "large").write_bytes(random_bytes("large", 700_000))
    for i in range(1_300):  # long names, so that few files make a HAMT
        (tree / f"many/{i:0200}.json").write_text(f'{{"name":"#{i}"}}')
    root = repo.run("add", "-r", "-Q", str(tree))
    exported = tmp_path / "kubo.car"
    with exported.open("wb") as file:
        subprocess.run([repo.binary, "dag", "export", root], env=repo.environ, stdout=file, check=True, timeout=120)

    inner = exported.read_bytes()
    padding = bytes(100)
    header = struct.pack("<16xQQQ", 11 + 40 + len(padding), len(inner), 0)
    second = tmp_path / "v2.car"
    second.write_bytes(b"\x0a\xa1\x67version\x02" + header + padding + inner + b"an index, which is not read")

    one, blocks = folder_of({b"x": b"one"})
    other, more = folder_of({b"x": b"two", b"inline": b"of both"})
    split = [
        write_car(tmp_path / "a.car", [one, other], [*blocks, more[0]]),
        write_car(tmp_path / "b.car", [one], more[1:]),
    ]

    for kubo_car in exported, second:
        with serve_gateway(gateway_app(None, [kubo_car, *split]), 0) as url:
            assert get(url, f"/ipfs/{root}/large") == (200, (tree / "large").read_bytes())
            assert get(url, f"/ipfs/{root}/many/{1234:0200}.json") == (200, b'{"name":"#1234"}')
            assert get(url, f"/ipfs/{root}/many/x.json")[0] == 404
            version_1 = CID.dag_pb(CID.parse(root).digest)
            assert get(url, f"/ipfs/{version_1}/many/{1:0200}.json") == (200, b'{"name":"#1"}')
            assert get(url, f"/ipfs/{one}/x") == (200, b"one")
            assert get(url, f"/ipfs/{other}/inline") == (200, b"of both")
            assert get(url, f"/ipfs/{CID(1, RAW, b'in the name', IDENTITY)}") == (200, b"in the name")


def test_blocks_of_other_codecs_are_given_raw_and_said_not_to_be_shown(tmp_path: Path) -> None:
    document = b"\xa1\x61x\x01"
    cid = CID(1, 0x71, hashlib.sha256(document).digest())
    car = write_car(tmp_path / "x.car", [cid], [(cid, document)])
    with serve_gateway(gateway_app(None, [car]), 0) as url:
        assert get(url, f"/ipfs/{cid}?format=raw") == (200, document)
        assert get(url, f"/ipfs/{cid}?format=car&dag-scope=block")[0] == 200
        for target in f"/ipfs/{cid}", f"/ipfs/{cid}/x", f"/ipfs/{cid}/x?format=car":
            status, told = get(url, target)
            assert (status, b"dag-cbor" in told) == (501, True)


def _forged_cycle() -> bytes:
    """Two directories that each link to the other: one of the two CIDs has to be a lie."""
    loop = CID.dag_pb(bytes(32))
    block = unixfs.encode_node([(b"x", unixfs.Node(loop, 1, 0))], _FOLDER)
    return car_header(loop) + car_section(loop, block)


_SOUND = car_header(CID.raw(b"x")) + car_section(CID.raw(b"x"), b"x")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "too early"),
        (_SOUND[:-10], "too early"),
        (_SOUND[:-1] + b"y", "do not hash"),
        (car_header(CID.raw(b"x")) + car_section(CID.raw(b"y"), b"x"), "do not hash"),
        (_forged_cycle(), "do not hash"),
        (varint(1 << 40) + b"\xa2", "limit"),
        (varint(60_000) + b"\xa2" * 60_000, "header"),
        (b"\xff" * 100, "nine bytes"),
        (_SOUND + b"\x80" * 20, "nine bytes"),
        (_SOUND + varint(1 << 30), "limit"),
        (b"\x0a\xa1\x67version\x02" + struct.pack("<16xQQQ", 51, 1 << 60, 0), "behind its end"),
        (b"\x0a\xa1\x67version\x02" + b"\0" * 20, "inside the header"),
        (b"PK\x03\x04" + bytes(200), "header"),
    ],
    ids=str,
)
def test_a_car_that_is_not_sound_is_refused_before_anything_is_served(tmp_path: Path, data: bytes, reason: str) -> None:
    path = tmp_path / "x.car"
    path.write_bytes(data)
    with pytest.raises(BadCar, match=reason):
        gateway_app(None, [path])


def test_a_file_that_is_not_there_and_a_port_that_is_taken_are_named(tmp_path: Path, url: str) -> None:
    with pytest.raises(BadArgument, match="missing.car"):
        gateway_app(None, [tmp_path / "missing.car"])
    taken = int(url.rpartition(":")[2])
    with pytest.raises(BadArgument, match=f"port is {taken}"), serve_gateway(gateway_app(None), taken):
        pass


Started = tuple[Any, "subprocess.Popen[bytes]"]


@pytest.fixture
def gateway_process(tmp_path: Path) -> Iterator[Callable[..., Started]]:
    """Start `pipeline gateway` on a free port: what it printed, and the process. It ends by Ctrl-C, without a word."""
    processes = []

    def start(*words: str | Path) -> Started:
        process = subprocess.Popen(
            [sys.executable, "-m", "pipeline", "gateway", "--port", "0", "--json", *words],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        processes.append(process)
        assert process.stdout
        told = b""
        while not told.endswith(b"}\n"):
            told += process.stdout.readline() or b"}\n"
        return json.loads(told), process

    yield start
    for process in processes:
        if process.poll() is not None:
            continue
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0 and b"Traceback" not in said, said


def test_terminated_it_says_that_there_is_nothing_to_continue(gateway_process: Callable[..., Started]) -> None:
    _, process = gateway_process()
    process.terminate()
    _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert b"nothing to continue" in said and b"same command" not in said


def test_the_verb_prints_an_address_that_works(
    gateway_process: Callable[..., Started], pipeline: Pipeline, tmp_path: Path
) -> None:
    root, blocks = folder_of({b"a b.json": b"{}"})
    car = write_car(tmp_path / "x.car", [root], blocks)
    told, _ = gateway_process("--car", car)
    assert told["roots"] == [str(root)]
    with urllib.request.urlopen(told["example"], timeout=60) as reply:
        assert reply.read() == b"{}"

    assert pipeline("gateway", "--car", tmp_path / "none.car").code == 2
    car.write_bytes(car.read_bytes()[:-1])
    refused = pipeline("gateway", "--car", car)
    assert refused.code == 1 and "x.car is not a sound CAR" in refused.err
    assert pipeline("gateway", "--port", "70000").code == 2


def test_the_verb_serves_a_workspace_that_is_empty_or_has_a_damaged_car(
    gateway_process: Callable[..., Started], tmp_path: Path
) -> None:
    told, _ = gateway_process()
    assert (told["roots"], told["example"]) == ([], None)
    store = CarStore(tmp_path / "workspace/car")
    roots = sorted(store.put_directory([("1", data)]).cid for data in (b"a", b"b"))
    assert get(told["url"], f"/ipfs/{roots[1]}/1")[0] == 200
    store.path(roots[0]).write_bytes(store.path(roots[0]).read_bytes()[:-1])
    again, _ = gateway_process()
    assert again["example"].endswith(f"/ipfs/{roots[1]}/1")


def test_memory_stays_where_it_is_while_a_large_file_streams(
    gateway_process: Callable[..., Started], tmp_path: Path, random_bytes: Callable[[str, int], bytes]
) -> None:
    size = 256 << 20
    part = bytearray(random_bytes("large", 1 << 20))

    def chunks() -> Iterator[bytes]:
        for i in range(size >> 20):
            part[:8] = i.to_bytes(8)
            yield bytes(part)

    with (tmp_path / "x.car").open("w+b") as file:
        car = CarWriter(file, 1)
        node = unixfs.add_file(chunks(), car.put)
        root = unixfs.add_directory([("x", node)], car.put).cid
        car.finish(root)
    told, process = gateway_process("--car", tmp_path / "x.car")

    def highest() -> int:
        return int(re.findall(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process.pid}/status").read_text())[0]) << 10

    before, got = highest(), 0
    with urllib.request.urlopen(f"{told['url']}/ipfs/{root}/x", timeout=120) as reply:
        while data := reply.read(1 << 20):
            got += len(data)
    assert got == size
    assert highest() < before + (64 << 20)  # blocks of 1 MiB, buffers, and what Python keeps of them


def test_a_version_0_root_in_the_store_is_found_by_its_version_1(tmp_path: Path) -> None:
    store = CarStore(tmp_path / "car", unixfs.PROFILES["unixfs-v0-2015"])
    root = store.put_directory([("1.json", b"{}")])
    assert root.cid.version == 0
    with serve_gateway(gateway_app(store.folder), 0) as url:
        host = f"{CID(1, DAG_PB, root.cid.digest)}.ipfs.localhost"
        assert get(url, "/1.json", Host=host) == get(url, f"/ipfs/{root.cid}/1.json") == (200, b"{}")
