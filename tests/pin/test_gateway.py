"""The gateway, asked as an ASGI server would ask it, and compared with Kubo's own."""

from __future__ import annotations

import asyncio
import io
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from pipeline.cid import CID, DAG_PB, RAW
from pipeline.pin.car import CarReader, check_car
from pipeline.pin.gateway import Gateway
from pipeline.pin.store import CarStore, Source
from pipeline.records import PinnedRoot


class Reply:
    def __init__(self, messages: list[dict[str, Any]]) -> None:
        self.status = messages[0]["status"]
        self.headers = {name.decode(): value.decode("latin-1") for name, value in messages[0]["headers"]}
        self.body = b"".join(message["body"] for message in messages[1:])
        assert [message.get("more_body", False) for message in messages[1:]] == [True] * (len(messages) - 2) + [False]


@pytest.fixture
def store(tmp_path: Path) -> CarStore:
    return CarStore(tmp_path / "car")


@pytest.fixture
def root(store: CarStore, random_bytes: Callable[[str, int], bytes]) -> PinnedRoot:
    png = b"\x89PNG\r\n\x1a\n" + random_bytes("gateway", 2_300_000)
    files: list[tuple[str, Source]] = [("1.png", png), ("1.json", b'{"name":"x"}'), ("a b/ü#.svg", b"<svg/>")]
    return store.put_directory(files)


@pytest.fixture
def ask(store: CarStore) -> Callable[..., Reply]:
    gateway = Gateway(store)

    def ask(target: Any, method: str = "GET", **headers: str) -> Reply:
        path, _, query = (f"/ipfs/{target}" if not str(target).startswith("/") else str(target)).partition("?")
        messages: list[dict[str, Any]] = []

        async def send(message: Any) -> None:
            messages.append(message)

        listed = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        scope = {"type": "http", "method": method, "path": path, "raw_path": path.encode()}
        asyncio.run(gateway(scope | {"query_string": query.encode(), "headers": listed}, None, send))
        return Reply(messages)

    return ask


def test_a_file_is_served_whole_with_its_type_and_for_ever(ask: Any, store: CarStore, root: PinnedRoot) -> None:
    reply = ask(f"{root.cid}/1.png")
    assert reply.status == 200
    assert reply.body == store.read(root.cid, "1.png")
    assert reply.headers["content-type"] == "image/png"
    assert reply.headers["content-length"] == str(len(reply.body))
    assert "immutable" in reply.headers["cache-control"]
    assert reply.headers["access-control-allow-origin"] == "*"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["x-ipfs-path"] == f"/ipfs/{root.cid}/1.png"
    assert ask(f"{root.cid}/1.json").headers["content-type"] == "application/json"


def test_head_has_the_headers_and_no_body(ask: Any, root: PinnedRoot) -> None:
    get, head = ask(f"{root.cid}/1.png"), ask(f"{root.cid}/1.png", "HEAD")
    assert (head.status, head.headers, head.body) == (200, get.headers, b"")


@pytest.mark.parametrize(
    ("wanted", "status", "start", "stop"),
    [
        ("bytes=0-0", 206, 0, 1),
        ("bytes=1048570-1048580", 206, 1048570, 1048581),
        ("bytes=2300000-", 206, 2300000, None),
        ("bytes=-5", 206, -5, None),
        ("bytes=5-99999999", 206, 5, None),
        ("bytes=0-", 200, 0, None),
        ("bytes=-99999999", 200, 0, None),
        ("bytes=7-5", 200, 0, None),
        ("bytes=0-1,4-5", 200, 0, None),
        ("lines=1-2", 200, 0, None),
    ],
)
def test_ranges_are_slices(
    ask: Any, store: CarStore, root: PinnedRoot, wanted: str, status: int, start: int, stop: int | None
) -> None:
    reply = ask(f"{root.cid}/1.png", range=wanted)
    whole = store.read(root.cid, "1.png")
    assert (reply.status, reply.body) == (status, whole[start:stop])
    assert ("content-range" in reply.headers) == (status == 206)


def test_a_range_behind_the_end_is_416(ask: Any, root: PinnedRoot) -> None:
    for wanted in "bytes=99999999-", "bytes=-0":
        reply = ask(f"{root.cid}/1.png", range=wanted)
        assert reply.status == 416
        assert reply.headers["content-range"] == "bytes */2300008"


def test_what_the_client_has_is_not_sent_again(ask: Any, root: PinnedRoot) -> None:
    for target in f"{root.cid}/1.png", f"{root.cid}?format=raw", f"{root.cid}?format=car", f"{root.cid}/":
        tag = ask(target).headers["etag"]
        for condition in tag, f'"other", W/{tag}', "*":
            again = ask(target, if_none_match=condition)
            assert (again.status, again.body, again.headers["etag"]) == (304, b"", tag)
        assert ask(target, if_none_match='"other"').status == 200


def test_raw_blocks_of_any_depth_are_served_by_their_cid(ask: Any, store: CarStore, root: PinnedRoot) -> None:
    with store.path(root.cid).open("rb") as file:
        for cid, _, block in CarReader(file, "x"):
            reply = ask(f"{cid}?format=raw")
            assert (reply.status, reply.body) == (200, block)
            assert reply.headers["content-type"] == "application/vnd.ipld.raw"
            assert ask(cid, accept="application/vnd.ipld.raw").body == block


def test_a_car_holds_the_whole_dag_in_depth_first_order(ask: Any, root: PinnedRoot) -> None:
    reply = ask(f"{root.cid}?format=car")
    found = check_car(io.BytesIO(reply.body), "gateway")
    assert (found.cid, found.blocks, found.block_bytes) == (root.cid, root.blocks, root.block_bytes)
    assert next(iter(CarReader(io.BytesIO(reply.body), "x")))[0] == root.cid


def test_the_scope_of_a_car_is_kept(ask: Any, store: CarStore) -> None:
    files: list[tuple[str, Source]] = [(f"{i}.json", b"%d" % i) for i in range(5_000)]
    root = store.put_directory(files)

    def codecs(target: str) -> list[int]:
        return [cid.codec for cid, _, _ in CarReader(io.BytesIO(ask(target).body), "x")]

    assert codecs(f"{root.cid}?format=car&dag-scope=block") == [DAG_PB]
    assert codecs(f"{root.cid}?format=car&dag-scope=entity") == [DAG_PB] * (root.blocks - 5_000)
    assert len(codecs(f"{root.cid}?format=car")) == root.blocks
    way = codecs(f"{root.cid}/7.json?format=car&dag-scope=entity")
    assert way[0] == DAG_PB and way[-1] == RAW and 2 <= len(way) <= 4
    assert ask(f"{root.cid}?format=car&dag-scope=some").status == 400


def test_names_are_percent_encoded(ask: Any, root: PinnedRoot) -> None:
    reply = ask(f"{root.cid}/{quote('a b/ü#.svg')}")
    assert (reply.status, reply.body, reply.headers["content-type"]) == (200, b"<svg/>", "image/svg+xml")
    assert "sandbox" in reply.headers["content-security-policy"]


def test_a_directory_is_a_list_of_escaped_names(ask: Any, store: CarStore, root: PinnedRoot) -> None:
    assert ask(root.cid).headers["location"] == f"/ipfs/{root.cid}/"
    assert b'<a href="1.png">' in ask(f"{root.cid}/").body
    evil = store.put_directory([('"><script>alert(1)<', b""), *((f"{i}", b"") for i in range(1_200))])
    page = ask(f"{evil.cid}/").body
    assert b"<script>" not in page and page.count(b"<li>") == 1_001


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/", 404),
        ("/ipfs/", 404),
        ("/ipns/example.org", 404),
        ("/ipfs/notacid", 400),
        (f"/ipfs/{CID.raw(b'nowhere')}", 404),
        ("{root}/2.png", 404),
        ("{root}/1.png/x", 404),
        ("{root}/../../etc/passwd", 404),
        ("{root}/%2e%2e%2f1.png", 404),
        ("{root}/%zz", 400),
        ("{root}/%00", 404),
        ("{root}/%ff", 404),
        ("{root}/" + "a" * 5_000, 414),
        ("{root}?format=tar", 406),
        ("bafkqaaa", 200),
        ("bafkqaaa?format=raw", 200),
    ],
)
def test_statuses(ask: Any, root: PinnedRoot, target: str, status: int) -> None:
    reply = ask(target.format(root=root.cid))
    assert reply.status == status
    assert reply.headers["access-control-allow-origin"] == "*"


def test_other_methods_and_formats_are_refused(ask: Any, root: PinnedRoot) -> None:
    assert ask(root.cid, "POST").status == 405
    assert ask(root.cid, "OPTIONS").status == 204
    assert ask(root.cid, accept="application/vnd.ipld.dag-json").status == 406
    assert ask(f"{root.cid}/1.png", accept="text/html, */*").status == 200


def test_damage_is_an_error_and_never_content(ask: Any, store: CarStore, root: PinnedRoot) -> None:
    data = bytearray(store.path(root.cid).read_bytes())
    data[len(data) // 2] ^= 1
    store.path(root.cid).write_bytes(data)
    assert ask(f"{root.cid}/1.png").status == 500


def test_it_answers_as_kubos_gateway_does(ask: Any, kubo: Any, store: CarStore, root: PinnedRoot) -> None:
    kubo.run("dag", "import", str(store.path(root.cid)))
    same = ("content-type", "content-length", "content-range", "etag", "x-ipfs-roots", "x-ipfs-path")
    for target, headers in [
        (f"{root.cid}/1.png", {}),
        (f"{root.cid}/1.json", {}),
        (f"{root.cid}/1.png", {"range": "bytes=1048570-1048580"}),
        (f"{root.cid}?format=raw", {}),
        (f"{root.cid}/1.png?format=raw", {}),
        (f"{root.cid}/2.png", {}),
        ("notacid", {}),
    ]:
        request = urllib.request.Request(f"http://127.0.0.1:{kubo.gateway_port}/ipfs/{target}", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=20) as response:
                theirs, body = response, response.read()
        except urllib.error.HTTPError as error:
            with error:
                theirs, body = error, b""
        ours = ask(target, **headers)
        assert ours.status == theirs.status, target
        if ours.status < 400:
            assert ours.body == body
            assert {name: ours.headers.get(name) for name in same} == {name: theirs.headers[name] for name in same}, (
                target
            )
    url = f"http://127.0.0.1:{kubo.gateway_port}/ipfs/{root.cid}?format=car"
    with urllib.request.urlopen(url, timeout=20) as response:
        assert ask(f"{root.cid}?format=car").body == response.read()
