"""Several places at once: the same content in each, a quorum, and what failed is told and mended."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from pin.servers import Server, forward

from pipeline.base.errors import BadArgument, Corrupt, DigestMismatch, OnlyClaimed, PinnerUnavailable
from pipeline.base.records import Pin, PinnedRoot
from pipeline.pin import Pinner, Rung
from pipeline.pin.kubo import KuboPinner
from pipeline.pin.places import Places
from pipeline.pin.services import S3Service
from pipeline.pin.store import CarStore
from pipeline.testing import MemoryPinner


@pytest.fixture
def store(tmp_path: Path) -> CarStore:
    return CarStore(tmp_path / "car")


@pytest.fixture
def root(store: CarStore, request: pytest.FixtureRequest) -> PinnedRoot:
    return store.put_directory((f"{i}.json", f"{request.node.name} {i}".encode()) for i in range(20))


def places(*pinners: Pinner, quorum: int = 0) -> Places:
    return Places({pinner.name: pinner for pinner in pinners}, quorum, lambda pause_s: None)


GONE = PinnerUnavailable(pinner="b", reason="gone")
LIES = DigestMismatch(where="b", got="another", expected="ours")
LATE = OnlyClaimed(pinner="b", cid="c", reason="404")


@pytest.mark.parametrize(("error", "state"), [(GONE, "failed"), (LIES, "failed"), (LATE, "claimed")])
def test_enough_places_are_enough_and_the_others_are_told(
    error: Exception, state: Any, store: CarStore, root: PinnedRoot
) -> None:
    a, b, c = MemoryPinner("a"), MemoryPinner("b", always=error), MemoryPinner("c")
    pins = places(a, b, c, quorum=2).pin(store.path(root.cid), root, "x")
    assert pins == (Pin(root.cid, "a", "proved"), Pin(root.cid, "b", state, str(error)), Pin(root.cid, "c", "proved"))
    for quorum in 0, 3:
        with pytest.raises(type(error)):
            places(a, b, c, quorum=quorum).pin(store.path(root.cid), root, "x")
    b.always = None
    mended = list(places(b).pin_each([("b", store.path(root.cid), root, "x")]))
    assert mended == [Pin(root.cid, "b", "proved")]


def test_content_that_is_not_sound_here_stops_everything_whatever_the_quorum(store: CarStore, root: PinnedRoot) -> None:
    path = store.path(root.cid)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(Corrupt):
        places(MemoryPinner("a"), store, quorum=1).pin(path, root, "x")


def test_places_are_asked_at_the_same_time(store: CarStore, root: PinnedRoot) -> None:
    both = threading.Barrier(2, timeout=30)

    class Meeting(MemoryPinner):
        def pin(self, car: Path, root: PinnedRoot, name: str) -> None:
            both.wait()

    places(Meeting("a"), Meeting("b")).pin(store.path(root.cid), root, "x")


def test_a_place_is_asked_whether_it_still_has_what_it_had_and_nothing_is_read_back(
    store: CarStore, root: PinnedRoot
) -> None:
    class Lists(MemoryPinner):
        def rungs(self, root: PinnedRoot) -> Sequence[Rung]:
            return (("pin list", self.listed), ("fetch back", lambda: pytest.fail("it was read back")))

        def listed(self) -> str:
            if self.always:
                raise self.always
            return "listed"

    asked = places(Lists("a"), Lists("b", always=LIES), store, quorum=2)
    assert asked.missing(root) == {"b": LIES}
    assert asked.are_enough(2) and not asked.are_enough(1)


def test_a_quorum_above_the_number_of_places_is_refused() -> None:
    with pytest.raises(BadArgument, match="at most 2"):
        places(MemoryPinner("a"), MemoryPinner("b"), quorum=3)


@pytest.fixture
def bucket(kubo: Any) -> Iterator[S3Service]:
    """A real S3 server behind the one header that Filebase adds, proved through a real Kubo's gateway."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    keys = {"aws_access_key_id": "key", "aws_secret_access_key": "secret", "region_name": "us-east-1"}
    boto3.client("s3", endpoint_url=f"http://{host}:{port}", **keys).create_bucket(Bucket="art")
    real = forward(f"http://{host}:{port}")

    def answer(ask: Any) -> Any:
        status, headers, body = real(ask)
        if status == 200 and ask.method in ("PUT", "HEAD"):
            headers["x-amz-meta-cid"] = ask.path.rpartition("/")[2].removesuffix(".car")
        return status, headers, body

    front = Server(answer)
    yield S3Service(front.url, "art", "key", "secret", kubo.gateway, public_s=300)
    front.close()
    server.stop()


def test_embedded_kubo_and_filebase_have_the_same_root(
    kubo: Any, bucket: S3Service, store: CarStore, root: PinnedRoot
) -> None:
    node = KuboPinner(kubo.address, timeout_s=600)
    node.pin(store.path(root.cid), root, "Lino")  # its gateway is the one that proves what the bucket says
    pinners = {"embedded": store, "kubo": node, "filebase": bucket}
    pins = Places(pinners).pin(store.path(root.cid), root, "Lino")
    assert pins == tuple(Pin(root.cid, place, "proved") for place in pinners)
    assert str(root.cid) in kubo.run("pin", "ls", "--type=recursive", "--quiet")
    for pinner in pinners.values():
        assert all(climb() for _, climb in pinner.rungs(root))
