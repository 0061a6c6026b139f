"""The embedded store: idempotent, never half written, and every damage is found."""

from __future__ import annotations

import hashlib
import io
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline.base.cid import CID
from pipeline.base.errors import BadArgument, BadCar, Corrupt, GatewayUnavailable, WorkspaceUnwritable
from pipeline.pin import unixfs
from pipeline.pin.car import CarReader, CarWriter
from pipeline.pin.store import MAX_INDEXES, CarStore, KnownFile, Source
from pipeline.pin.unixfs import PROFILES, BadDag, NotInDag

ENTRIES: list[tuple[str, Source]] = [(f"{token_id}.json", b"{%d}" % token_id) for token_id in range(1, 30)]


@pytest.fixture
def store(tmp_path: Path) -> CarStore:
    return CarStore(tmp_path / "car")


def flip(path: Path, bit: int) -> None:
    data = bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)


def test_a_directory_is_stored_under_its_root_and_read_back(store: CarStore) -> None:
    root = store.put_directory(ENTRIES)
    assert store.path(root.cid).stat().st_size > root.block_bytes
    assert hashlib.sha256(store.path(root.cid).read_bytes()).digest() == root.car_sha256
    assert store.verify(root.cid) == root
    assert store.read(root.cid, "7.json") == b"{7}"
    assert store.roots() == [root.cid]
    with store.open(root.cid) as car:
        assert len(car) == root.blocks == len(ENTRIES) + 1


def test_the_same_content_again_changes_nothing(store: CarStore) -> None:
    root = store.put_directory(ENTRIES)
    before = store.path(root.cid).stat()
    assert store.put_directory(reversed(ENTRIES)) == root
    after = store.path(root.cid).stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    assert sorted(path.name for path in store.folder.rglob("*")) == sorted(["incoming", f"{root.cid}.car"])


def test_two_stores_write_the_same_bytes(store: CarStore, tmp_path: Path) -> None:
    other = CarStore(tmp_path / "elsewhere")
    root = store.put_directory(ENTRIES)
    assert other.put_directory(ENTRIES) == root
    assert store.path(root.cid).read_bytes() == other.path(root.cid).read_bytes()


def test_each_profile_has_its_own_root(tmp_path: Path) -> None:
    big: list[tuple[str, Source]] = [("big", bytes(300_000))]
    stores = [CarStore(tmp_path / name, profile) for name, profile in PROFILES.items()]
    assert len({store.put_directory(big).cid for store in stores}) == 3
    assert [store.read(store.roots()[0], "big") for store in stores] == [bytes(300_000)] * 3


def test_every_flipped_bit_in_a_stored_car_is_found(store: CarStore) -> None:
    root = store.put_directory(ENTRIES[:2])
    path = store.path(root.cid)
    for bit in range(0, path.stat().st_size * 8, 7):
        flip(path, bit)
        with pytest.raises(Corrupt, match=path.name):
            store.verify(root.cid)
        flip(path, bit)
    assert store.verify(root.cid) == root


def test_a_damaged_car_is_not_silently_replaced(store: CarStore) -> None:
    root = store.put_directory(ENTRIES)
    flip(store.path(root.cid), 3_000)
    damaged = store.path(root.cid).read_bytes()
    with pytest.raises(Corrupt) as caught:
        store.put_directory(ENTRIES)
    assert "move it away" in caught.value.hint
    assert store.path(root.cid).read_bytes() == damaged
    for use in store.open, store.verify:
        with pytest.raises(Corrupt):
            use(root.cid)
    store.path(root.cid).rename(store.folder / "damaged")
    assert store.put_directory(ENTRIES) == root


def test_a_car_under_another_name_is_found(store: CarStore) -> None:
    one, two = store.put_directory(ENTRIES[:3]), store.put_directory(ENTRIES[:4])
    store.path(one.cid).write_bytes(store.path(two.cid).read_bytes())
    with pytest.raises(Corrupt, match="its root is"):
        store.verify(one.cid)


def test_a_missing_car_is_told(store: CarStore) -> None:
    for use in store.verify, store.open, lambda cid: store.read(cid, "x"):
        with pytest.raises(Corrupt, match="missing"):
            use(CID.raw(b"never stored"))
    assert store.roots() == []


def test_the_pinner_reads_the_store_again(store: CarStore) -> None:
    root = store.put_directory(ENTRIES)
    store.pin(store.path(root.cid), root, "test")
    store.check(root)
    flip(store.path(root.cid), 4_000)
    with pytest.raises(Corrupt):
        store.pin(store.path(root.cid), root, "test")


def test_a_sound_car_that_is_not_the_recorded_file_is_found(store: CarStore) -> None:
    """The same block twice is a sound CAR, and other bytes."""
    root = store.put_directory([("a", b"x")])
    with store.path(root.cid).open("ab") as file:
        file.write(b"\x25" + CID.raw(b"x").bytes + b"x")
    assert store.verify(root.cid).cid == root.cid
    with pytest.raises(Corrupt, match="not the file that was recorded"):
        store.check(root)


def test_a_file_that_did_not_change_is_hashed_once_before_signatures(
    store: CarStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However large. One that changed a moment ago is hashed again: its times may be those of before."""
    root, read = store.put_directory(ENTRIES), list[Path]()

    def hashed(path: Path) -> bytes:
        read.append(path)
        return root.car_sha256

    monkeypatch.setattr("pipeline.pin.store._file_sha256", hashed)
    monkeypatch.setattr("pipeline.pin.store.RACY_NS", 1 << 62)
    for _ in range(2):
        store.must_hold(root)
    assert len(read) == 2
    monkeypatch.setattr("pipeline.pin.store.RACY_NS", -(1 << 62))
    for _ in range(3):
        store.must_hold(root)
    assert len(read) == 3
    store.path(root.cid).chmod(0o600)
    store.must_hold(root)
    assert len(read) == 4


def test_before_a_signature_the_recorded_file_has_to_be_there(store: CarStore) -> None:
    root = store.put_directory(ENTRIES)
    store.must_hold(root)
    flip(store.path(root.cid), 8 * 200)
    with pytest.raises(Corrupt, match="not the file that was recorded"):
        store.must_hold(root)
    store.path(root.cid).unlink()
    with pytest.raises(Corrupt, match="missing"):
        store.must_hold(root)


def test_a_flipped_bit_in_an_image_stops_the_directory(store: CarStore, tmp_path: Path) -> None:
    image = tmp_path / "1.png"
    image.write_bytes(bytes(5_000))
    known = KnownFile(image, hashlib.sha256(bytes(5_000)).digest())
    flip(image, 12_345)
    with pytest.raises(Corrupt, match="1.png") as caught:
        store.put_directory([("1.png", known)])
    assert "drawn again" in caught.value.hint
    assert list(store.folder.rglob("*.car")) == []
    image.unlink()
    with pytest.raises(Corrupt, match="No such file"):
        store.put_directory([("1.png", known)])


def test_a_changed_file_is_hashed_again(store: CarStore) -> None:
    root = store.put_directory(ENTRIES)
    store.read(root.cid, "1.json")
    flip(store.path(root.cid), 4_000)
    with pytest.raises(Corrupt):
        store.open(root.cid)


def test_many_roots_keep_few_indexes(store: CarStore) -> None:
    roots = [store.put_directory([("a", b"%d" % index)]) for index in range(MAX_INDEXES + 3)]
    for root in roots:
        store.read(root.cid, "a")
    assert len(store._indexes) == MAX_INDEXES
    assert store.read(roots[0].cid, "a") == b"0"


def test_reading_has_a_limit_and_tells_what_is_not_there(store: CarStore) -> None:
    root = store.put_directory(ENTRIES)
    with pytest.raises(BadDag, match="limit is 2"):
        store.read(root.cid, "1.json", limit=2)
    with pytest.raises(NotInDag):
        store.read(root.cid, "../1.json")
    with pytest.raises(BadArgument):
        store.put_directory([("../1.json", b"")])


def test_roots_ignores_files_that_are_no_cars(store: CarStore) -> None:
    root = store.put_directory(ENTRIES)
    (store.folder / "notes.car").write_bytes(b"")
    (store.folder / "notes.txt").write_bytes(b"")
    assert store.roots() == [root.cid]


PUT = """
import sys
from pathlib import Path
from pipeline.pin.store import CarStore
store = CarStore(Path(sys.argv[1]))
print(store.put_directory([("a", bytes(3_000_000)), ("b", b"x")]).cid)
"""


@pytest.mark.parametrize("place", ["car_not_written", "car_written"])
def test_a_killed_process_leaves_no_half_car(store: CarStore, place: str) -> None:
    environ = {**os.environ, "PIPELINE_CRASH_AT": place}
    killed = subprocess.run([sys.executable, "-c", PUT, str(store.folder)], env=environ, timeout=60, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert len(store.roots()) == (1 if place == "car_written" else 0)
    for root in store.roots():
        store.verify(root)
    again = subprocess.run(
        [sys.executable, "-c", PUT, str(store.folder)], capture_output=True, text=True, timeout=60, check=True
    )
    assert [str(root) for root in store.roots()] == [again.stdout.strip()]
    assert list((store.folder / "incoming").iterdir()) == []


def test_a_killed_writer_is_gone_on_with_and_the_bytes_are_the_same(store: CarStore, tmp_path: Path) -> None:
    """Whatever the kill left: nothing, a header, half a block, blocks of something else."""
    entries: list[tuple[str, Source]] = [(f"{number}", bytes([number]) * 300_000) for number in range(9)]
    whole = store.path(store.put_directory(entries).cid)
    expected = whole.read_bytes()
    other = CarStore(tmp_path / "other")
    foreign = other.path(other.put_directory([*entries[:3], ("3", b"not the same"), *entries[4:]]).cid).read_bytes()
    for partial in (
        *(expected[:end] for end in (0, 10, 59, 1_000, 700_000, 2_000_000, len(expected) - 1, len(expected))),
        foreign,
        foreign[:1_000_000],
        expected[:1_000_000] + bytes(5_000_000),
        expected[:400_000] + b"\x01" + expected[400_001:],
        b"garbage" * 1_000,
    ):
        whole.unlink()
        place = _partial_of(store, entries)
        place.write_bytes(partial)
        assert store.path(store.put_directory(entries).cid).read_bytes() == expected
        assert not place.exists()


def test_what_a_killed_writer_wrote_is_not_written_again(store: CarStore) -> None:
    entries: list[tuple[str, Source]] = [("a", bytes(3_000_000)), ("b", b"x")]
    whole = store.path(store.put_directory(entries).cid)
    expected = whole.read_bytes()
    file = Counting(expected[:2_500_000])
    writer = CarWriter(file, 1)
    for cid, _, block in CarReader(io.BytesIO(expected), "x"):
        writer.put(cid, block)
    writer.finish(CarReader(io.BytesIO(expected), "x").root)
    assert file.getvalue() == expected
    assert file.written < len(expected) - 1_000_000


class Counting(io.BytesIO):
    written = 0

    def write(self, data: Any, /) -> int:
        self.written += len(data)
        return super().write(data)


def _partial_of(store: CarStore, entries: list[tuple[str, Source]]) -> Path:
    """Where the store writes these entries: the place that a process killed there leaves."""
    environ = {**os.environ, "PIPELINE_CRASH_AT": "car_not_written"}
    names = [name for name, _ in entries]
    script = PUT.replace('[("a", bytes(3_000_000)), ("b", b"x")]', f"[(name, b'') for name in {names!r}]")
    subprocess.run([sys.executable, "-c", script, str(store.folder)], env=environ, timeout=60, check=False)
    (place,) = (store.folder / "incoming").iterdir()
    return place


@pytest.mark.parametrize("count", [3, 6_000])
def test_a_root_that_comes_from_elsewhere_is_the_very_same_file(store: CarStore, tmp_path: Path, count: int) -> None:
    """Flat and sharded, with equal files, chunked ones and an empty one, in any order of blocks."""
    files: list[tuple[str, Source]] = [(f"{number}.json", b"%d" % (number // 2)) for number in range(count)]
    root = store.put_directory([*files, ("big", bytes(range(256)) * 10_000), ("none", b"")])
    other = CarStore(tmp_path / "other")
    with store.open(root.cid) as car:
        blocks = list(unixfs.walk(root.cid, car.get_block))

    def bring(put: unixfs.Put) -> None:
        for cid, block in sorted(blocks):
            put(cid, block)

    assert other.restore(root.cid, bring) == root
    assert other.path(root.cid).read_bytes() == store.path(root.cid).read_bytes()
    assert list((other.folder / "incoming").iterdir()) == []


def test_a_root_that_comes_incomplete_or_not_at_all_is_not_stored(store: CarStore, tmp_path: Path) -> None:
    root = store.put_directory(ENTRIES)
    other = CarStore(tmp_path / "other")
    with store.open(root.cid) as car:
        first = next(iter(unixfs.walk(root.cid, car.get_block)))
    with pytest.raises(BadCar, match="missing"):
        other.restore(root.cid, lambda put: put(*first))

    def fail(put: unixfs.Put) -> None:
        raise GatewayUnavailable(gateway="g", cid=root.cid, reason="gone")

    with pytest.raises(GatewayUnavailable):
        other.restore(root.cid, fail)
    assert [path for path in other.folder.rglob("*") if path.is_file()] == []


def test_unpinning_removes_the_car_and_twice_is_harmless(store: CarStore) -> None:
    root = store.put_directory(ENTRIES)
    for _ in range(2):
        store.unpin(root)
        assert store.roots() == []
    with pytest.raises(Corrupt, match="missing"):
        store.check(root)


def test_a_full_disk_leaves_no_half_car(store: CarStore) -> None:
    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))

    full = subprocess.run(
        [sys.executable, "-c", PUT, str(store.folder)],
        preexec_fn=limit,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert full.returncode == 1
    assert "WorkspaceUnwritable" in full.stderr
    assert [path for path in store.folder.rglob("*") if path.is_file()] == []


def test_no_space_left_is_told_and_the_same_call_heals_it(store: CarStore) -> None:
    """On a disk of one megabyte of its own, where the system lets a test mount one; by a limit on files elsewhere."""
    script = PUT.replace("print(", "from pipeline.base.errors import WorkspaceUnwritable\ntry:\n    print(") + (
        "except WorkspaceUnwritable as error:\n    print(error)\n"
        "print([path.name for path in store.folder.rglob('*') if path.is_file()])\n"
    )
    store.folder.mkdir()
    command = [sys.executable, "-c", script, str(store.folder)]
    mount = [
        "unshare",
        "--map-root-user",
        "--mount",
        "sh",
        "-c",
        'mount -t tmpfs -o size=1m none "$1" && shift && "$@"',
    ]
    mounted = subprocess.run([*mount, "sh", str(store.folder), "true"], capture_output=True, timeout=60).returncode == 0
    limit = ["sh", "-c", 'trap "" XFSZ; ulimit -f 1000; "$@"', "sh"]
    full = subprocess.run(
        [*mount, "sh", str(store.folder), *command] if mounted else [*limit, *command],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    told, left = full.stdout.splitlines()
    assert ("No space left" if mounted else "too large") in told and left == "[]"
    healed = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert str(store.roots()[0]) in healed.stdout


def test_a_folder_that_is_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(WorkspaceUnwritable):
        CarStore(tmp_path / "file" / "car").put_directory([("a", b"")])
