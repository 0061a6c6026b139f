"""CARs: golden bytes, and every way in which one can be wrong."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.base.cid import CID, DAG_PB, IDENTITY, RAW, varint
from pipeline.base.errors import BadCar
from pipeline.base.limits import BLOCK_BYTES
from pipeline.pin import unixfs
from pipeline.pin.car import Car, CarReader, CarWriter, car_header, check_car, index_car
from pipeline.pin.unixfs import PROFILES

GOLDEN = Path(__file__).parents[1] / "golden"
FILES = {"1.json": b'{"name":"Lino #1"}', "2.json": b'{"name":"Lino #2"}', "same.json": b'{"name":"Lino #1"}'}


def car_of(files: dict[str, bytes], profile: unixfs.Profile = unixfs.DEFAULT_PROFILE) -> bytes:
    file = io.BytesIO()
    writer = CarWriter(file, profile.cid_version)
    nodes = (
        (name, unixfs.add_file([data] if data else [], writer.put, profile)) for name, data in sorted(files.items())
    )
    writer.finish(unixfs.add_directory(nodes, writer.put, profile).cid)
    return file.getvalue()


def section(cid: CID, block: bytes) -> bytes:
    return varint(len(cid.bytes) + len(block)) + cid.bytes + block


SOUND = car_of(FILES)
HEADER = SOUND[: 1 + SOUND[0]]
ROOT = CarReader(io.BytesIO(SOUND), "golden").root


def refused(data: bytes, reason: str) -> None:
    with pytest.raises(BadCar, match=reason):
        check_car(io.BytesIO(data), "test.car")


@pytest.mark.parametrize("profile", PROFILES)
def test_car_bytes_never_move(profile: str) -> None:
    assert car_of(FILES, PROFILES[profile]) == (GOLDEN / f"three-files-{profile}.car").read_bytes()


def test_a_sound_car_is_told_by_its_root_count_and_digest() -> None:
    found = check_car(io.BytesIO(SOUND), "test.car")
    assert found.cid == ROOT
    assert found.blocks == 3  # two equal files are one block
    assert found.block_bytes == sum(len(block) for _, _, block in CarReader(io.BytesIO(SOUND), "x"))
    assert found.car_sha256 == hashlib.sha256(SOUND).digest()


def test_blocks_are_read_at_their_places(tmp_path: Path) -> None:
    path = tmp_path / "test.car"
    path.write_bytes(SOUND)
    assert index_car(path).root == ROOT
    with Car(path) as car:
        assert len(car) == 3
        assert CID.raw(FILES["1.json"]) in car
        for name, data in FILES.items():
            cid = unixfs.resolve(ROOT, name, car.get_block)
            assert unixfs.read_bytes(cid, car.get_block, 100) == data
        with pytest.raises(BadCar, match="missing"):
            car.get_block(CID.raw(b"other"))


def test_a_block_that_changes_after_opening_is_not_handed_out(tmp_path: Path) -> None:
    path = tmp_path / "test.car"
    path.write_bytes(SOUND)
    with Car(path) as car:
        with path.open("r+b") as file:
            file.seek(SOUND.index(FILES["2.json"]))
            file.write(b"!")
        with pytest.raises(BadCar, match="do not hash"):
            car.get_block(CID.raw(FILES["2.json"]))


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(SOUND) * 8 - 1))
def test_any_flipped_bit_is_found(bit: int) -> None:
    data = bytearray(SOUND)
    data[bit // 8] ^= 1 << bit % 8
    with pytest.raises(BadCar):
        check_car(io.BytesIO(data), "test.car")


@pytest.mark.parametrize("end", range(len(SOUND)))
def test_any_cut_is_found(end: int) -> None:
    with pytest.raises(BadCar):
        check_car(io.BytesIO(SOUND[:end]), "test.car")


def test_a_missing_block_is_found() -> None:
    gone = section(CID.raw(FILES["2.json"]), FILES["2.json"])
    assert gone in SOUND
    refused(SOUND.replace(gone, b""), "1 of its blocks are missing")


def test_a_block_of_another_dag_is_found() -> None:
    refused(SOUND + section(CID.raw(b"stray"), b"stray"), "1 blocks do not belong")


def test_a_block_that_names_itself_is_found() -> None:
    """A loop needs a block that links to its own hash; such a block does not hash to its name."""
    own = CID.dag_pb(bytes(32))
    loop = unixfs.encode_node([(b"self", unixfs.Node(own, 1, 0))], b"\x08\x01")
    header = HEADER.replace(ROOT.bytes, own.bytes)
    refused(header + section(own, loop), "do not hash")


def test_the_same_block_twice_counts_once() -> None:
    block = section(CID.raw(FILES["2.json"]), FILES["2.json"])
    assert check_car(io.BytesIO(SOUND + block), "test.car").blocks == 3


def test_blocks_over_the_limit_are_refused() -> None:
    refused(SOUND + section(CID.raw(bytes(BLOCK_BYTES + 1)), bytes(BLOCK_BYTES + 1)), "the limit is 2097152")
    refused(SOUND + varint(1 << 40) + b"x", "is no length")
    with pytest.raises(BadCar, match="more than 2 blocks"):
        check_car(io.BytesIO(SOUND), "test.car", max_blocks=2)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "too early"),
        (b"\x00", "is no length"),
        (b"\x80\x00", "is no length"),
        (b"\xff" * 10, "over nine bytes"),
        (b"\x81", "inside a length"),
        (varint((1 << 16) + 1) + bytes(70_000), "is no length"),
        (varint(1 << 62) + bytes(70_000), "is no length"),
        (b"\x0a\xa1\x67version\x02" + bytes(40), "CARv2"),
        (b"\x02hi", "not that of a CARv1"),
        (HEADER.replace(b"version\x01", b"version\x02"), "not that of a CARv1"),
        (car_header(), "0 roots"),
        (car_header(ROOT, ROOT), "2 roots"),
        (HEADER.replace(b"\x81", b"\x82"), "roots are no CIDs"),
        (HEADER.replace(b"\xd8\x2a", b"\xd8\x2b"), "not that of a CARv1"),
        (HEADER.replace(ROOT.bytes, b"\x01\x55\x13" + bytes(33)), "roots are no CIDs"),
        (HEADER[:-1], "too early"),
        (HEADER, "1 of its blocks are missing"),
        (HEADER + b"\x00", "is no length"),
        (HEADER + varint(2) + b"\x01\x55", "inside a varint"),
        (HEADER + section(CID(1, 0x71, hashlib.sha256(b"x").digest()), b"x"), "dag-cbor"),
    ],
)
def test_garbage_is_refused_with_the_reason(data: bytes, reason: str) -> None:
    refused(data, reason)


@given(st.binary(max_size=200))
def test_random_bytes_never_do_more_than_be_refused(data: bytes) -> None:
    for start in (b"", HEADER):
        with pytest.raises(BadCar):
            check_car(io.BytesIO(start + data), "test.car")


def test_a_car_of_a_single_raw_block_is_read() -> None:
    cid = CID.raw(b"alone")
    file = io.BytesIO()
    writer = CarWriter(file, 1)
    writer.put(cid, b"alone")
    writer.finish(cid)
    assert check_car(io.BytesIO(file.getvalue()), "test.car").cid == cid


@pytest.mark.parametrize("count", [0, 1, 2, 23, 24, 255, 256, 1_000])
def test_headers_with_any_number_of_roots_are_read_again(count: int) -> None:
    roots = [CID(1, RAW, b"identity", IDENTITY), *(CID.raw(b"%d" % number) for number in range(1_000))][:count]
    assert CarReader(io.BytesIO(car_header(*roots)), "x").roots == tuple(roots)


def test_a_root_of_another_length_than_announced_is_not_written() -> None:
    writer = CarWriter(io.BytesIO(), 1)
    with pytest.raises(AssertionError):
        writer.finish(CID(0, DAG_PB, bytes(32)))


def test_memory_is_not_spent_on_announced_lengths() -> None:
    """A length near the limit with no bytes behind it must not allocate the limit for each of many sections."""

    class Counting(io.BytesIO):
        asked = 0

        def read(self, size: int | None = -1, /) -> bytes:
            self.asked = max(self.asked, size or 0)
            return super().read(size)

    file: Any = Counting(HEADER + varint(BLOCK_BYTES) + b"x")
    with pytest.raises(BadCar, match="too early"):
        check_car(file, "test.car")
    assert file.asked <= BLOCK_BYTES + 256
