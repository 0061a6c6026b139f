"""Fetching back: through a real Kubo's gateway, and through gateways that lie, stall, lead elsewhere or never end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pin.servers import Loopback, Quiet

from pipeline.base.cid import CID, varint
from pipeline.base.errors import BadArgument, DigestMismatch, GatewayUnavailable
from pipeline.base.records import PinnedRoot
from pipeline.pin import fetch as fetching
from pipeline.pin import http
from pipeline.pin.car import car_header, car_section
from pipeline.pin.fetch import Limits, fetch, fetch_file, read_back
from pipeline.pin.kubo import KuboPinner
from pipeline.pin.store import CarStore, Source
from pipeline.pin.unixfs import NotInDag

QUICK = Limits(whole_s=20, stall_s=2)


class Liar(Loopback):
    """An HTTP server that answers `/ipfs/…` as the test says: `answer(handler)`."""

    def __init__(self, answer: Callable[[Any], None]) -> None:
        self.asked: list[str] = []
        liar = self

        class Handler(Quiet):
            def do_GET(self) -> None:
                liar.asked.append(self.path)
                try:
                    answer(self)
                except OSError:
                    self.close_connection = True

            def give(self, body: bytes, kind: str = "application/vnd.ipld.car", status: int = 200) -> None:
                self.begin(len(body), kind, status)
                self.wfile.write(body)

            def begin(self, length: int | None, kind: str = "application/vnd.ipld.car", status: int = 200) -> None:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                if length is not None:
                    self.send_header("Content-Length", str(length))
                self.end_headers()

            def redirect(self, target: str) -> None:
                self.send_response(302)
                self.send_header("Location", target)
                self.send_header("Content-Length", "0")
                self.end_headers()

        super().__init__(Handler)


@pytest.fixture
def liar() -> Iterator[Callable[[Callable[[Any], None]], Liar]]:
    started: list[Liar] = []

    def start(answer: Callable[[Any], None]) -> Liar:
        started.append(Liar(answer))
        return started[-1]

    yield start
    for server in started:
        server.close()


@pytest.fixture
def store(tmp_path: Path) -> CarStore:
    return CarStore(tmp_path / "car")


@pytest.fixture
def root(store: CarStore, random_bytes: Callable[[str, int], bytes]) -> PinnedRoot:
    files: list[tuple[str, Source]] = [("big.png", random_bytes("fetch", 2_500_000))]
    return store.put_directory([*files, *((f"{i}.json", b"{%d}" % i) for i in range(20))])


@pytest.fixture
def car(store: CarStore, root: PinnedRoot) -> bytes:
    return store.path(root.cid).read_bytes()


# ── as it should be ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_whole_root_comes_back_through_kubos_gateway(kubo: Any, store: CarStore, root: PinnedRoot) -> None:
    KuboPinner(kubo.address, timeout_s=30).pin(store.path(root.cid), root, "x")
    blocks: dict[CID, bytes] = {}
    found = fetch(root.cid, kubo.gateway, QUICK, blocks.__setitem__)
    assert (found.cid, found.blocks, found.block_bytes) == (root.cid, root.blocks, root.block_bytes)
    with store.open(root.cid) as car:
        assert {cid: car.get_block(cid) for cid in blocks} == blocks
    assert "each hashed" in read_back(root, kubo.gateway)


def test_a_sharded_root_and_one_file_of_it_come_back_through_kubos_gateway(kubo: Any, store: CarStore) -> None:
    root = store.put_directory((f"{i}.json", b"sharded %d" % i) for i in range(6_000))
    KuboPinner(kubo.address, timeout_s=60).pin(store.path(root.cid), root, "x")
    read_back(root, kubo.gateway)
    assert fetch_file(root.cid, "4321.json", kubo.gateway) == b"sharded 4321"
    with pytest.raises((NotInDag, GatewayUnavailable)):
        fetch_file(root.cid, "nobody.json", kubo.gateway)


def test_names_of_every_kind_come_back_through_kubos_gateway(kubo: Any, store: CarStore) -> None:
    """NFC and NFD are two files; what URLs give a meaning is percent-encoded."""
    names = ["ros\u00e9.png", "rose\u0301.png", "100%.json", "a#b?c=d&e.json", "🎨 .png", "%2e%2e", "+", '"<>\\^`{|}']
    root = store.put_directory((name, f"{index}".encode()) for index, name in enumerate(names))
    KuboPinner(kubo.address, timeout_s=30).pin(store.path(root.cid), root, "names")
    for index, name in enumerate(names):
        assert fetch_file(root.cid, name, kubo.gateway, QUICK) == f"{index}".encode()
        assert kubo.run("cat", f"/ipfs/{root.cid}/{name}") == f"{index}"


def test_a_gateway_without_cars_is_asked_block_by_block(
    liar: Callable[..., Liar], store: CarStore, root: PinnedRoot
) -> None:
    with store.open(root.cid) as blocks:

        def raw_only(handler: Any) -> None:
            if "format=raw" not in handler.path:
                handler.give(b"what?", "text/plain", 406)
            else:
                cid = CID.parse(handler.path.removeprefix("/ipfs/").split("?")[0])
                handler.give(blocks.get_block(cid), "application/vnd.ipld.raw")

        gateway = liar(raw_only)
        assert "came back" in read_back(root, gateway.url)
        assert fetch_file(root.cid, "7.json", gateway.url) == b"{7}"
        with pytest.raises(NotInDag):
            fetch_file(root.cid, "nobody.json", gateway.url)
    assert len([path for path in gateway.asked if "raw" in path]) >= root.blocks


# ── gateways that lie ────────────────────────────────────────────────────────────────────────────────────────


def flipped(car: bytes) -> bytes:
    return car[:-5] + bytes([car[-5] ^ 1]) + car[-4:]


def test_a_flipped_bit_is_a_mismatch(liar: Callable[..., Liar], root: PinnedRoot, car: bytes) -> None:
    with pytest.raises(DigestMismatch, match="do not hash") as caught:
        fetch(root.cid, liar(lambda handler: handler.give(flipped(car))).url, QUICK)
    assert not caught.value.retryable


def test_another_root_is_a_mismatch_before_its_content_is_read(
    liar: Callable[..., Liar], store: CarStore, root: PinnedRoot
) -> None:
    other = store.put_directory([("other", bytes(1_000_000))])
    served: list[int] = []

    def answer(handler: Any) -> None:
        served.append(1)
        handler.begin(10 << 30)
        handler.wfile.write(store.path(other.cid).read_bytes()[:100])

    with pytest.raises(DigestMismatch, match=str(other.cid)):
        fetch(root.cid, liar(answer).url, QUICK)
    assert served


def test_blocks_that_nobody_asked_for_are_a_mismatch(liar: Callable[..., Liar], root: PinnedRoot, car: bytes) -> None:
    stray = car_section(CID.raw(b"stray"), b"stray")
    with pytest.raises(DigestMismatch, match="do not belong|more than"):
        fetch(root.cid, liar(lambda handler: handler.give(car + stray)).url, QUICK)


@pytest.mark.parametrize("end", [40, 100, 2_000, -1, -300])
def test_a_car_that_ends_early_is_incomplete_and_not_a_lie(
    end: int, liar: Callable[..., Liar], root: PinnedRoot, car: bytes
) -> None:
    with pytest.raises(GatewayUnavailable) as caught:
        fetch(root.cid, liar(lambda handler: handler.give(car[:end])).url, QUICK)
    assert caught.value.retryable


def test_a_connection_that_is_cut_is_unavailable(liar: Callable[..., Liar], root: PinnedRoot, car: bytes) -> None:
    def answer(handler: Any) -> None:
        handler.begin(len(car))
        handler.wfile.write(car[:1_000])

    with pytest.raises(GatewayUnavailable, match="cut"):
        fetch(root.cid, liar(answer).url, QUICK)


def test_a_lie_about_a_single_block_is_a_mismatch(liar: Callable[..., Liar], root: PinnedRoot) -> None:
    def answer(handler: Any) -> None:
        status = 406 if "car" in handler.path else 200
        handler.give(b"not it", "application/vnd.ipld.raw", status)

    with pytest.raises(DigestMismatch, match="other bytes"):
        fetch(root.cid, liar(answer).url, QUICK)


def test_a_page_instead_of_a_car_is_no_content(liar: Callable[..., Liar], root: PinnedRoot) -> None:
    page = b"<html>Please enable JavaScript</html>"
    with pytest.raises((GatewayUnavailable, DigestMismatch)):
        fetch(root.cid, liar(lambda handler: handler.give(page, "text/html")).url, QUICK)


def test_a_huge_header_and_an_endless_varint_are_a_mismatch(liar: Callable[..., Liar], root: PinnedRoot) -> None:
    for body in varint(1 << 40) + bytes(100), b"\xff" * 100, car_header(root.cid) + b"\xff" * 100:
        with pytest.raises(DigestMismatch):
            fetch(root.cid, liar(lambda handler, body=body: handler.give(body)).url, QUICK)


# ── gateways that waste ──────────────────────────────────────────────────────────────────────────────────────


def endless(car: bytes) -> Callable[[Any], None]:
    """Ten gigabytes, all of them sound blocks."""

    def answer(handler: Any) -> None:
        handler.begin(10 << 30)
        handler.wfile.write(car)
        block = bytes(1 << 20)
        for number in range(10 << 10):
            data = number.to_bytes(4) + block
            handler.wfile.write(car_section(CID.raw(data), data))

    return answer


def test_ten_gigabytes_are_not_read(liar: Callable[..., Liar], root: PinnedRoot, car: bytes) -> None:
    with pytest.raises(DigestMismatch, match="more than"):
        fetch(root.cid, liar(endless(car)).url, Limits.of(root, 20))
    with pytest.raises(DigestMismatch, match="more than 20,000,000 bytes"):
        fetch(root.cid, liar(endless(car)).url, Limits(max_bytes=20_000_000, whole_s=60))


def test_a_gateway_that_stalls_is_left(liar: Callable[..., Liar], root: PinnedRoot) -> None:
    release = threading.Event()

    def answer(handler: Any) -> None:
        handler.begin(1_000)
        release.wait(30)

    try:
        with pytest.raises(GatewayUnavailable, match="did not answer in time"):
            fetch(root.cid, liar(answer).url, Limits(whole_s=30, stall_s=0.5))
    finally:
        release.set()


def test_a_byte_now_and_then_does_not_hold_us(liar: Callable[..., Liar], root: PinnedRoot, car: bytes) -> None:
    def drip(handler: Any) -> None:
        handler.begin(len(car))
        for byte in car:
            handler.wfile.write(bytes([byte]))
            time.sleep(0.05)

    def drip_headers(handler: Any) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
        for _ in range(10_000):
            handler.wfile.write(b"X")
            time.sleep(0.05)

    for answer in drip, drip_headers:
        with pytest.raises(GatewayUnavailable, match="not done after"):
            fetch(root.cid, liar(answer).url, Limits(whole_s=1, stall_s=30))


def test_compressed_answers_are_not_unpacked(liar: Callable[..., Liar], root: PinnedRoot, car: bytes) -> None:
    """A few kilobytes of gzip can be gigabytes of zeros."""
    import gzip

    def answer(handler: Any) -> None:
        body = gzip.compress(car)
        handler.send_response(200)
        handler.send_header("Content-Type", "application/vnd.ipld.car")
        handler.send_header("Content-Encoding", "gzip")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    with pytest.raises(DigestMismatch):
        fetch(root.cid, liar(answer).url, QUICK)


@pytest.mark.parametrize("status", [404, 429, 500, 502, 504])
def test_statuses_of_trouble_are_unavailable(status: int, liar: Callable[..., Liar], root: PinnedRoot) -> None:
    with pytest.raises(GatewayUnavailable, match=str(status)):
        fetch(root.cid, liar(lambda handler: handler.give(b"<html>oops", "text/html", status)).url, QUICK)


# ── gateways that lead elsewhere ─────────────────────────────────────────────────────────────────────────────


def test_a_redirect_to_a_private_address_is_not_followed(
    liar: Callable[..., Liar], root: PinnedRoot, car: bytes
) -> None:
    inside = liar(lambda handler: handler.give(car))
    for target in (
        inside.url,
        inside.url.replace("127.0.0.1", "localhost"),
        inside.url.replace("127.0.0.1", "[::ffff:127.0.0.1]"),
        inside.url.replace("127.0.0.1", "2130706433"),
    ):
        with pytest.raises((DigestMismatch, GatewayUnavailable)):
            fetch(root.cid, liar(lambda handler, to=target: handler.redirect(f"{to}/ipfs/x?format=car")).url, QUICK)
    assert inside.asked == []


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/x", "http://", "http://:0/", "//[/"])
def test_a_redirect_to_no_web_address_is_not_followed(target: str, liar: Callable[..., Liar], root: PinnedRoot) -> None:
    with pytest.raises((DigestMismatch, GatewayUnavailable)):
        fetch(root.cid, liar(lambda handler: handler.redirect(target)).url, QUICK)


def test_a_redirect_within_the_gateway_is_followed_and_a_ring_is_not(
    liar: Callable[..., Liar], root: PinnedRoot, car: bytes
) -> None:
    def answer(handler: Any) -> None:
        if "second" in handler.path:
            handler.give(car)
        else:
            handler.redirect(f"/second{handler.path}")

    assert fetch(root.cid, liar(answer).url, QUICK).blocks == root.blocks
    ring = liar(lambda handler: handler.redirect(handler.path))
    with pytest.raises(DigestMismatch, match="more than 3 times"):
        fetch(root.cid, ring.url, QUICK)
    assert len(ring.asked) == http.MAX_REDIRECTS + 1


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("1.1.1.1", True),
        ("2606:4700::1111", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("192.168.0.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("::1", False),
        ("::ffff:10.0.0.1", False),
        ("2002:0a00:0001::", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
    ],
)
def test_public_addresses_are_told_from_private_ones(address: str, public: bool) -> None:
    assert http._is_public(address) is public


# ── configuration ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("url", ["", "ipfs.io", "ftp://x", "http://user:canary@x", "http://x/?key=canary", "http:// x"])
def test_other_addresses_than_plain_urls_are_refused_and_hidden(url: str, root: PinnedRoot) -> None:
    with pytest.raises(BadArgument) as caught:
        fetch(root.cid, url)
    assert "canary" not in str(caught.value)


def test_a_gateway_that_is_not_there_is_unavailable(root: PinnedRoot) -> None:
    with pytest.raises(GatewayUnavailable, match="refused"):
        fetch(root.cid, "http://127.0.0.1:1", QUICK)


def test_limits_of_a_root_admit_exactly_its_car(root: PinnedRoot, car: bytes) -> None:
    assert len(car) <= Limits.of(root).max_bytes < len(car) + fetching._FRAMING * (root.blocks + 4)
