"""The gateway, asked as an ASGI server would ask it, and compared with Kubo's own."""

from __future__ import annotations

import asyncio
import html
import io
import urllib.error
import urllib.request
from collections.abc import Callable
from email.parser import BytesParser
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from pipeline.base.cid import CID, DAG_PB, IDENTITY, RAW
from pipeline.base.records import PinnedRoot
from pipeline.pin.car import CarReader, check_car
from pipeline.pin.gateway import gateway_app
from pipeline.pin.store import CarStore, Source


class Reply:
    """What was sent. `is_whole` is false where the body was broken off, which ends the connection."""

    def __init__(self, messages: list[dict[str, Any]]) -> None:
        self.status = messages[0]["status"]
        self.headers = {name.decode(): value.decode("latin-1") for name, value in messages[0]["headers"]}
        self.body = b"".join(message["body"] for message in messages[1:])
        self.is_whole = [message.get("more_body", False) for message in messages[1:]] == [True] * (
            len(messages) - 2
        ) + [False]


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
    gateway = gateway_app(store.folder)

    def ask(target: Any, method: str = "GET", **headers: str) -> Reply:
        path, _, query = (f"/ipfs/{target}" if not str(target).startswith("/") else str(target)).partition("?")
        messages: list[dict[str, Any]] = []

        async def send(message: Any) -> None:
            messages.append(message)

        told = {"host": "127.0.0.1:8088"} | headers
        listed = [(name.replace("_", "-").encode(), value.encode()) for name, value in told.items()]
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
        ("bytes=0-", 206, 0, None),
        ("bytes=-99999999", 206, 0, None),
        ("bytes=7-5", 200, 0, None),
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
    page = ask(f"{root.cid}/").body
    assert b'<a href="/ipfs/%s/1.png">1.png</a>' % str(root.cid).encode() in page and b"..</a>" not in page
    assert b'<a href="/ipfs/%s/a%%20b/..">..</a>' % str(root.cid).encode() in ask(f"{root.cid}/a%20b/").body
    evil = store.put_directory([('"><script>alert(1)<', b""), *((f"{i}", b"") for i in range(1_200))])
    page = ask(f"{evil.cid}/").body
    assert b"<script>" not in page and page.count(b"<tr>") == 1_001
    assert "sandbox" in ask(f"{evil.cid}/").headers["content-security-policy"]


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


def test_several_ranges_are_several_parts(ask: Any, store: CarStore, root: PinnedRoot) -> None:
    whole = store.read(root.cid, "1.png")
    reply = ask(f"{root.cid}/1.png", range="bytes=5-9,-3, 1048570-1048580")
    assert (reply.status, int(reply.headers["content-length"])) == (206, len(reply.body))
    message = BytesParser().parsebytes(f"Content-Type: {reply.headers['content-type']}\r\n\r\n".encode() + reply.body)
    parts = list(message.walk())[1:]
    assert [part["Content-Range"] for part in parts] == [
        f"bytes {start}-{stop}/{len(whole)}" for start, stop in [(5, 9), (2300005, 2300007), (1048570, 1048580)]
    ]
    assert {part["Content-Type"] for part in parts} == {"image/png"}
    for data in whole[5:10], whole[-3:], whole[1048570:1048581]:
        assert b"\r\n\r\n" + data + b"\r\n--" in reply.body
    many = "bytes=" + ",".join(f"{i}-{i}" for i in range(40))
    assert (ask(f"{root.cid}/1.png", range=many).status, ask(f"{root.cid}/1.png", range="bytes=0-,0-").status) == (
        200,
        200,
    )
    assert ask(f"{root.cid}/1.png", range="bytes=1-2,99999999-").headers["content-range"] == "bytes 1-2/2300008"


def test_a_range_holds_only_for_the_version_it_was_asked_of(ask: Any, root: PinnedRoot) -> None:
    tag = ask(f"{root.cid}/1.png").headers["etag"]
    assert ask(f"{root.cid}/1.png", range="bytes=0-3", if_range=tag).status == 206
    assert ask(f"{root.cid}/1.png", range="bytes=0-3", if_range='"other"').status == 200


def test_the_entity_bytes_of_a_car_are_the_least_blocks(ask: Any, root: PinnedRoot) -> None:
    def blocks(wanted: str) -> list[CID]:
        reply = ask(f"{root.cid}/1.png?format=car&entity-bytes={wanted}")
        return [cid for cid, _, _ in CarReader(io.BytesIO(reply.body), "x")]

    folder, file, first, second, third = blocks("0:*")
    assert blocks("0:0") == blocks("-99999999:-1500000") == [folder, file, first]
    assert blocks("1048575:1048576") == [folder, file, first, second]
    assert blocks("-1:*") == blocks("2097152:99999999") == [folder, file, third]
    assert blocks("99999999:*") == blocks("5:1") == [folder, file]  # as dag-scope=block: the sizes in it say why
    for wrong in "1", "a:b", "1:2:3", "1:**", "\u0661:2":
        assert ask(f"{root.cid}/1.png?format=car&entity-bytes={quote(wrong)}").status == 400


def test_blocks_that_are_linked_twice_come_once_or_twice_as_asked(ask: Any, store: CarStore) -> None:
    root = store.put_directory([("a", b"same"), ("b", b"same"), ("c", b"other")])

    def answer(target: str, accept: str) -> tuple[str, int]:
        reply = ask(f"{root.cid}{target}", accept=accept)
        return reply.headers["content-type"], len(list(CarReader(io.BytesIO(reply.body), "x")))

    kind = "application/vnd.ipld.car"
    assert answer("", kind) == answer("?format=car", "*/*") == (f"{kind}; version=1; order=dfs; dups=n", 3)
    assert (
        answer("", f"{kind}; dups=y")
        == answer("?car-dups=y", f"{kind};dups=n")
        == (
            f"{kind}; version=1; order=dfs; dups=y",
            4,
        )
    )
    assert answer("?format=car&car-order=dfs", f"{kind};order=unk;dups=y")[1] == 4
    for refused in "version=2", "order=bfs", "dups=maybe":
        assert ask(root.cid, accept=f"{kind};{refused}").status == 400


def test_the_heaviest_type_that_is_known_is_answered(ask: Any, root: PinnedRoot) -> None:
    raw, car = "application/vnd.ipld.raw", "application/vnd.ipld.car"
    for accept, kind in [
        (f"{car};q=0.5, {raw}", raw),
        (f"{raw};q=0, {car}", car),
        (f"application/vnd.ipld.dag-json, {raw}", raw),
        ("application/vnd.ipld.dag-json, */*;q=0.1", "application/json"),
        ("application/json", "application/json"),
        (f"text/html, {raw};q=0.9", "application/json"),
    ]:
        assert ask(f"{root.cid}/1.json", accept=accept).headers["content-type"].startswith(kind), accept


def test_a_download_has_the_name_that_was_asked_for(ask: Any, root: PinnedRoot) -> None:
    def disposition(query: str) -> str | None:
        said: str | None = ask(f"{root.cid}/1.png?{query}").headers.get("content-disposition")
        return said

    assert disposition("") is None
    assert disposition("download=true") == 'attachment; filename="1.png"'
    assert disposition("filename=x.png") == 'inline; filename="x.png"'
    assert disposition("filename=t%D1%82.png&download=true") == (
        "attachment; filename=\"t_.png\"; filename*=UTF-8''t%D1%82.png"
    )
    assert disposition("filename=a%22%0d%0aSet-Cookie:x") == (
        "inline; filename=\"a___Set-Cookie_x\"; filename*=UTF-8''a%22%0D%0ASet-Cookie%3Ax"
    )
    assert ask(f"{root.cid}/1.png?filename=x.txt").headers["content-type"] == "text/plain; charset=utf-8"
    assert (
        ask(f"{root.cid}?format=raw&filename=my.bin").headers["content-disposition"] == 'attachment; filename="my.bin"'
    )


def test_the_index_of_a_directory_is_shown_for_it(ask: Any, store: CarStore) -> None:
    site = store.put_directory([("index.html", b"<h1>hello</h1>"), ("a/1.png", b"")])
    reply = ask(f"{site.cid}/")
    assert (reply.body, reply.headers["etag"]) == (b"<h1>hello</h1>", f'"{site.cid}"')
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    assert ask(f"{site.cid}?a=1").headers["location"] == f"/ipfs/{site.cid}/?a=1"
    assert ask(f"{site.cid}/a").headers["location"] == f"/ipfs/{site.cid}/a/"


def test_a_name_in_the_other_normal_form_is_another_name(ask: Any, store: CarStore) -> None:
    names = {"caf\u00e9.txt": b"NFC", "cafe\u0301.txt": b"NFD", "%41.txt": b"percent", "\U0001f642 #?&.txt": b"emoji"}
    root = store.put_directory(list(names.items()))
    page = ask(f"{root.cid}/").body.decode()
    for name, data in names.items():
        assert ask(f"{root.cid}/{quote(name)}").body == data
        assert f">{html.escape(name)}</a>" in page
    assert ask(f"{root.cid}/A.txt").status == 404


def test_on_localhost_each_root_gets_an_origin_of_its_own(ask: Any, store: CarStore, root: PinnedRoot) -> None:
    moved = ask(f"{root.cid}/a%20b/%C3%BC%23.svg?x=%41", host="localhost:8088")
    assert moved.status == 301
    assert moved.headers["location"] == f"http://{root.cid}.ipfs.localhost:8088/a%20b/%C3%BC%23.svg?x=%41"
    old = CID(0, DAG_PB, root.cid.digest)
    assert ask(old, host="localhost").headers["location"] == f"http://{root.cid}.ipfs.localhost/"
    assert ask(old, host="127.0.0.1").status == 301  # to its list: a version 0 names the same block
    host = f"{root.cid}.ipfs.localhost:8088"
    page = ask("/a%20b/%C3%BC%23.svg", host=host.upper())
    assert (page.status, page.body) == (200, b"<svg/>")
    assert "content-security-policy" not in page.headers
    assert page.headers["x-ipfs-path"] == f"/ipfs/{root.cid}/a%20b/%C3%BC%23.svg"
    assert ask("/a%20b", host=host).headers["location"] == "/a%20b/"
    assert ask(f"/ipfs/{root.cid}/1.png", host=host).status == 404
    assert ask(f"{root.cid}?format=raw", host="localhost").status == 200  # no browser runs a block
    long = CID(1, RAW, bytes(60), IDENTITY)
    assert (ask(long, host="localhost").status, ask(long).status) == (400, 200)
    assert ask("/", host=f"{long}.ipfs.localhost").status == 400


@pytest.mark.parametrize(
    "host",
    ["example.com", "127.0.0.1.example.com", "localhost.example.com", "x.localhost", "169.254.169.254", "", "::1"],
)
def test_other_names_for_this_machine_are_refused(ask: Any, root: PinnedRoot, host: str) -> None:
    for method in "GET", "OPTIONS":
        assert ask(f"{root.cid}/1.png", method, host=host).status == 403


def test_no_service_worker_takes_over_the_shared_origin(ask: Any, root: PinnedRoot) -> None:
    assert ask(f"{root.cid}/1.json", service_worker="script").status == 400
    assert ask("/1.json", host=f"{root.cid}.ipfs.localhost", service_worker="script").status == 200


def test_what_is_not_here_is_no_reason_to_look_elsewhere(ask: Any) -> None:
    nowhere = CID.raw(b"nowhere")
    assert ask(nowhere, cache_control="only-if-cached").status == 412
    assert ask(f"{nowhere}?format=car").status == ask(f"{nowhere}?format=raw", "HEAD").status == 404


def test_it_answers_as_kubos_gateway_does(ask: Any, kubo: Any, store: CarStore, root: PinnedRoot) -> None:
    kubo.run("dag", "import", str(store.path(root.cid)))
    same = ("content-type", "content-length", "content-range", "etag", "x-ipfs-roots", "x-ipfs-path")
    for target, headers in [
        (f"{root.cid}/1.png", {}),
        (f"{root.cid}/1.json", {}),
        (f"{root.cid}/1.png", {"range": "bytes=1048570-1048580"}),
        (f"{root.cid}?format=raw", {}),
        (f"{root.cid}/1.png?format=raw", {}),
        (f"{root.cid}/1.png", {"range": "bytes=0-"}),
        (f"{root.cid}/1.png", {"range": "bytes=2300000-99999999"}),
        (f"{root.cid}/1.png?format=raw", {"range": "bytes=3-5"}),
        (f"{root.cid}/2.png", {}),
        (f"{root.cid}/1.png/x", {}),
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


def test_its_cars_are_those_of_kubos_gateway(ask: Any, kubo: Any, store: CarStore, root: PinnedRoot) -> None:
    large = store.put_directory([(f"{i}.json", b"%d" % i) for i in range(5_000)])
    twice = store.put_directory([("a", b"same"), ("b", b"same")])
    for one in root, large, twice:
        kubo.run("dag", "import", str(store.path(one.cid)))
    for target in (
        f"{root.cid}?format=car",
        f"{root.cid}/1.png?format=car&dag-scope=entity",
        f"{root.cid}/1.png?format=car&dag-scope=entity&entity-bytes=1048570:-1048580",
        f"{root.cid}/a%20b?format=car&dag-scope=block",
        f"{large.cid}?format=car&dag-scope=entity",
        f"{large.cid}/4321.json?format=car",
        f"{twice.cid}?format=car&car-dups=y",
        f"{twice.cid}?format=car&car-dups=n",
    ):
        with urllib.request.urlopen(f"http://127.0.0.1:{kubo.gateway_port}/ipfs/{target}", timeout=60) as response:
            ours = ask(target)
            assert ours.body == response.read(), target
            assert ours.headers["content-type"] == response.headers["content-type"], target
