"""UnixFS: the same CIDs as IPIP-499's published vectors, the JavaScript importer and Kubo; and reading it back."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.base.cid import CID, DAG_PB, RAW
from pipeline.base.errors import BadArgument
from pipeline.pin import unixfs
from pipeline.pin.unixfs import PROFILES, BadDag, NotInDag

V0, V1, KUBO_V1 = PROFILES["unixfs-v0-2015"], PROFILES["unixfs-v1-2025"], PROFILES["kubo-cidv1"]
EVERY_PROFILE = pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
ALPHABET = b"abcdefghijklmnopqrstuvwxyz01234567890-_"


def nowhere(cid: CID, block: bytes) -> None:
    """Where blocks go when only the root matters."""


def root_of_keystream(seed: str, size: int, profile: unixfs.Profile) -> str:
    """Hash a published vector of up to 1 GiB in flat memory."""
    from Crypto.Cipher import ChaCha20

    cipher = ChaCha20.new(key=hashlib.sha256(seed.encode()).digest(), nonce=bytes(8))
    sizes = chain([profile.chunk] * (size // profile.chunk), [size % profile.chunk] if size % profile.chunk else [])
    return str(unixfs.add_file((cipher.encrypt(bytes(part)) for part in sizes), nowhere, profile).cid)


# ── the published vectors (IPIP-499, "Test fixtures") ────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("profile", "seed", "size", "cid"),
    [
        (V0, "chunk-v0-seed", 256 << 10, "QmWmRj3dFDZdb6ABvbmKhEL6TmPbAfBZ1t5BxsEyJrcZhE"),
        (V0, "chunk-v0-seed", (256 << 10) + 1, "QmYyLxtzZyW22zpoVAtKANLRHpDjZtNeDjQdJrcQNWoRkJ"),
        (V0, "v0-seed", 174 * (256 << 10), "QmUbBALi174SnogsUzLpYbD4xPiBSFANF4iztWCsHbMKh2"),
        (V0, "v0-seed", 174 * (256 << 10) + 1, "QmV81WL765sC8DXsRhE5fJv2rwhS4icHRaf3J9Zk5FdRnW"),
        (V1, "chunk-v1-seed", 1 << 20, "bafkreiacndfy443ter6qr2tmbbdhadvxxheowwf75s6zehscklu6ezxmta"),
        (V1, "chunk-v1-seed", (1 << 20) + 1, "bafybeigmix7t42i6jacydtquhet7srwvgpizfg7gjbq7627d35mjomtu64"),
        (V1, "v1-2025-seed", 1 << 30, "bafybeihmf37wcuvtx4hpu7he5zl5qaf2ineo2lqlfrapokkm5zzw7zyhvm"),
        (V1, "v1-2025-seed", (1 << 30) + 1, "bafybeibdsi225ugbkmpbdohnxioyab6jsqrmkts3twhpvfnzp77xtzpyhe"),
    ],
)
def test_files_have_the_published_cids(profile: unixfs.Profile, seed: str, size: int, cid: str) -> None:
    assert root_of_keystream(seed, size, profile) == cid


@pytest.mark.parametrize(
    ("profile", "seed", "count", "length", "last", "sharded", "cid"),
    [
        (V0, "hamt-unixfs-v0-2015", 4096, 30, 30, False, "QmX5GtRk3TSSEHtdrykgqm4eqMEn3n2XhfkFAis5fjyZmN"),
        (V0, "hamt-unixfs-v0-2015", 4033, 31, 31, True, "QmeMiJzmhpJAUgynAcxTQYek5PPKgdv3qEvFsdV3XpVnvP"),
        (V1, "hamt-unixfs-v1-2025", 4766, 11, 21, False, "bafybeic3h7rwruealwxkacabdy45jivq2crwz6bufb5ljwupn36gicplx4"),
        (V1, "hamt-unixfs-v1-2025", 4766, 11, 22, True, "bafybeiegvuterwurhdtkikfhbxcldohmxp566vpjdofhzmnhv6o4freidu"),
    ],
)
def test_directories_shard_at_the_published_edge(
    profile: unixfs.Profile,
    seed: str,
    count: int,
    length: int,
    last: int,
    sharded: bool,
    cid: str,
    blocks: Any,
    random_bytes: Callable[[str, int], bytes],
) -> None:
    stream = random_bytes(seed, 1 << 20)
    ends = [length * (index + 1) for index in range(count - 1)] + [length * (count - 1) + last]
    names = [
        "".join(chr(ALPHABET[byte % len(ALPHABET)]) for byte in stream[start:end])
        for start, end in zip([0, *ends], ends, strict=False)
    ]
    root = blocks.tree(dict.fromkeys(names, b"x"), profile)
    assert str(root.cid) == cid
    assert (unixfs.decode_block(root.cid, blocks[root.cid]).kind == unixfs.HAMT_SHARD) is sharded


def test_small_files_and_empty_directories_have_the_published_cids(blocks: Any) -> None:
    assert str(blocks.file(b"hello world", V0).cid) == "Qmf412jQZiuVUtdgnB36FXFX7xg5V6KEbSJ4dpQuhkLyfD"
    assert str(blocks.file(b"hello world", V1).cid) == "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"
    assert str(blocks.tree({}, V0).cid) == "QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn"
    assert str(blocks.tree({}, V1).cid) == "bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354"


# ── other implementations ────────────────────────────────────────────────────────────────────────────────────

names = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=40).filter(
    lambda name: name not in (".", "..") and len(name.encode()) <= unixfs.MAX_NAME
)
contents = st.one_of(
    st.binary(max_size=300),
    st.builds(
        lambda fill, chunks, rest: bytes([fill]) * (chunks * (256 << 10) + rest),
        st.integers(0, 255),
        st.integers(0, 9),
        st.integers(-1, 2).map(lambda rest: max(rest, 0)),
    ),
)


@st.composite
def trees(draw: st.DrawFn) -> dict[str, bytes]:
    """A few files in a few directories, without a file where a directory is."""
    folders = [(), *draw(st.lists(st.lists(names, min_size=1, max_size=3).map(tuple), max_size=3))]
    files: dict[str, bytes] = {}
    for folder in folders:
        for name in draw(st.lists(names, min_size=1, max_size=5)):
            files["/".join((*folder, name))] = draw(contents)
    parents = {path.rsplit("/", depth)[0] for path in files for depth in range(1, path.count("/") + 1)}
    return {path: data for path, data in files.items() if path not in parents}


# The importer takes `\/` for a slash that belongs to the name (its toPathComponents), so that `a\/b` is one file there.
# To Kubo and to a disk a backslash is a letter: the trees below, which Kubo adds, have directories that end with one.
without_escapes = trees().filter(lambda files: not any("\\/" in path for path in files))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files=without_escapes, profile=st.sampled_from(list(PROFILES.values())))
def test_random_trees_are_what_the_javascript_importer_builds(
    files: dict[str, bytes], profile: unixfs.Profile, oracle: Any, blocks: Any
) -> None:
    root = blocks.tree(files, profile).cid
    assert root == oracle.root(profile.name, files)
    for path, data in files.items():
        cid = unixfs.resolve(root, path, blocks.get_block)
        assert unixfs.read_bytes(cid, blocks.get_block, 1 << 24) == data


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files=trees(), wide=st.sampled_from([0, 0, 4_900, 6_300]), profile=st.sampled_from(list(PROFILES.values())))
def test_random_trees_are_what_kubo_adds(
    files: dict[str, bytes], wide: int, profile: unixfs.Profile, repos: dict[str, Any], blocks: Any
) -> None:
    """With a directory around the size at which it is sharded, now and then."""
    if wide:
        files = files | {f"wide/{index}.json": b"%d" % (index % 50) for index in range(wide)}
    with tempfile.TemporaryDirectory() as temporary:
        for path, data in files.items():
            place = Path(temporary, path)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)
        assert blocks.tree(files, profile).cid == repos[profile.name].add(Path(temporary))


@EVERY_PROFILE
@pytest.mark.parametrize("size", [0, 1, (256 << 10) - 1, 256 << 10, (256 << 10) + 1, 1 << 20, (1 << 20) + 1, 5 << 20])
def test_files_are_what_the_javascript_importer_and_kubo_build(
    profile: unixfs.Profile,
    size: int,
    oracle: Any,
    repos: dict[str, Any],
    blocks: Any,
    tmp_path: Path,
    random_bytes: Callable[[str, int], bytes],
) -> None:
    data = random_bytes("file", size)
    (tmp_path / "file").write_bytes(data)
    root = blocks.file(data, profile)
    assert root.cid == oracle.root(profile.name, {"": data}, folder=False) == repos[profile.name].add(tmp_path / "file")
    assert unixfs.read_bytes(root.cid, blocks.get_block, size) == data


@EVERY_PROFILE
@pytest.mark.parametrize("count", [1, 10, 4_096, 5_000, 10_000])
def test_token_directories_are_what_kubo_builds(
    profile: unixfs.Profile, count: int, repos: dict[str, Any], blocks: Any, tmp_path: Path
) -> None:
    files = {f"{token_id}.json": f'{{"name":"Lino #{token_id}"}}'.encode() for token_id in range(count)}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    root = blocks.tree(files, profile).cid
    assert root == repos[profile.name].add(tmp_path)
    for token_id in {0, count // 2, count - 1}:
        cid = unixfs.resolve(root, f"{token_id}.json", blocks.get_block)
        assert unixfs.read_bytes(cid, blocks.get_block, 100) == files[f"{token_id}.json"]
    assert {name for name, _ in unixfs.entries(root, blocks.get_block)} == set(files)


@EVERY_PROFILE
def test_a_nested_tree_with_unicode_names_is_what_kubo_builds(
    profile: unixfs.Profile,
    repos: dict[str, Any],
    blocks: Any,
    tmp_path: Path,
    random_bytes: Callable[[str, int], bytes],
) -> None:
    files = {
        "1.png": random_bytes("png", 1_300_000),
        "ü/né # % ?/🎨.txt": b"art",
        "ü/empty": b"",
        "escape\\/a": b"in a directory that ends with a backslash",
        "escape/a": b"beside one that does not",
        **{f"many/{index}": b"%d" % index for index in range(6_500)},
    }
    for name, data in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    root = blocks.tree(files, profile).cid
    assert root == repos[profile.name].add(tmp_path)
    assert unixfs.read_bytes(unixfs.resolve(root, "ü/né # % ?/🎨.txt", blocks.get_block), blocks.get_block, 9) == b"art"
    reached = dict(unixfs.walk(root, blocks.get_block))
    assert reached.keys() == blocks.keys()


# ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────


@settings(max_examples=150, deadline=None)
@given(size=st.integers(0, 60), start=st.integers(0, 70), stop=st.integers(0, 70), version=st.sampled_from([0, 1]))
def test_a_range_of_a_file_is_that_slice_of_its_bytes(size: int, start: int, stop: int, version: Any) -> None:
    profile = unixfs.Profile("tiny", version, chunk=4, width=2, shard_by="block")
    found: dict[CID, bytes] = {}
    data = bytes(range(size))
    node = unixfs.add_file((data[at : at + 4] for at in range(0, size, 4)), found.__setitem__, profile)
    assert node.size == size
    assert b"".join(unixfs.read_file(node.cid, found.__getitem__, start, stop)) == data[start:stop]


def test_a_range_fetches_only_the_leaves_it_needs(blocks: Any) -> None:
    profile = unixfs.Profile("tiny", 1, chunk=4, width=4, shard_by="block")
    node = blocks.file(bytes(range(64)), profile)
    asked: list[CID] = []

    def get_block(cid: CID) -> bytes:
        asked.append(cid)
        return bytes(blocks[cid])

    assert b"".join(unixfs.read_file(node.cid, get_block, 20, 22)) == bytes([20, 21])
    assert len(set(asked)) == 3  # root, one node, one leaf


def test_a_path_that_leads_nowhere_is_not_in_the_dag(blocks: Any) -> None:
    flat = blocks.tree({"a/b": b"x"}, V1).cid
    sharded = blocks.tree({f"{index}.json": b"x" for index in range(5_000)}, V1).cid
    for root, path in (
        (flat, "c"),
        (flat, "a/b/c"),
        (flat, "../a"),
        (sharded, "5000.json"),
        (sharded, "00"),
        (sharded, "C3"),
    ):
        with pytest.raises(NotInDag):
            unixfs.resolve(root, path, blocks.get_block)
    assert unixfs.resolve(flat, "/a//b", blocks.get_block) == CID.raw(b"x")


@pytest.mark.parametrize(
    "path", ["", "/", "a//b", ".", "a/..", "a\0b", "x" * 256, "\ud800", "/".join("a" * 40)], ids=lambda path: path[:6]
)
def test_names_that_no_disk_could_hold_are_refused(path: str, blocks: Any) -> None:
    with pytest.raises(BadArgument):
        blocks.tree({path: b""}, V1)


def test_a_path_given_twice_and_a_path_below_a_file_are_refused(blocks: Any) -> None:
    node = blocks.file(b"x", V1)
    for paths in ("a", "a"), ("a", "a/b"), ("a/b", "a"):
        with pytest.raises(BadArgument):
            unixfs.add_directory([(path, node) for path in paths], blocks.put)


def test_the_order_of_entries_does_not_matter(blocks: Any) -> None:
    files = {f"{index}.json": b"%d" % index for index in range(6_000)}
    assert blocks.tree(files, V1) == blocks.tree(dict(reversed(files.items())), V1)


def node(data: bytes, *links: bytes) -> tuple[CID, bytes]:
    """A dag-pb block from raw parts."""
    block = b"".join(b"\x12" + bytes([len(link)]) + link for link in links) + b"\x0a" + bytes([len(data)]) + data
    return CID.dag_pb(hashlib.sha256(block).digest()), block


LEAF = CID.raw(b"leaf")
LINK = b"\x0a\x24" + LEAF.bytes + b"\x12\x00\x18\x04"


@pytest.mark.parametrize(
    ("block", "reason"),
    [
        (b"", "without data"),
        (b"\x0a\x05\x08", "longer than its message"),
        (b"\x0a\x02\x08\x09", "not a UnixFS type"),
        (b"\x0a\x00", "not a UnixFS type"),
        (b"\x0a\x02\x08\x01\x0a\x02\x08\x01", "no such field"),
        (b"\x1a\x00", "no such field"),
        (b"\x0b", "not protobuf"),
        (node(b"\x08\x02\x18\x05\x20\x04", LINK)[1], "5 bytes has parts of 4"),
        (node(b"\x08\x02\x18\x04", LINK)[1], "1 links has 0 block sizes"),
        (node(b"\x08\x05\x28\x22\x30\x08")[1], "fanout 8"),
        (node(b"\x08\x05\x28\x22\x30\x80\x02", LINK)[1], "no prefix"),
        (node(b"\x08\x01", b"\x12\x00")[1], "without CID"),
        (node(b"\x08\x01", b"\x12\x00" + LINK)[1], "in order"),
        (node(b"\x08\x01", b"\x0a\x02\x01\x55\x12\x00")[1], "inside a varint"),
        (node(b"\x12\x02\x08\x01\x08\x80\x00")[1], "padded"),
        (
            b"\x12" + bytes([len(LINK)]) + LINK + b"\x0a\x02\x08\x01" + b"\x12" + bytes([len(LINK)]) + LINK,
            "stand together",
        ),
    ],
)
def test_a_block_that_is_not_unixfs_is_refused_with_the_reason(block: bytes, reason: str) -> None:
    with pytest.raises(BadDag, match=reason):
        unixfs.decode_block(CID.dag_pb(hashlib.sha256(block).digest()), block)


def test_other_codecs_symlinks_and_directories_are_not_read_as_files(blocks: Any) -> None:
    symlink, block = node(b"\x08\x04\x12\x01a")
    blocks[symlink] = block
    with pytest.raises(BadDag, match="symlink"):
        unixfs.read_bytes(symlink, blocks.get_block, 10)
    with pytest.raises(BadDag, match="directory"):
        unixfs.read_bytes(blocks.tree({}, V1).cid, blocks.get_block, 10)
    with pytest.raises(BadDag, match="dag-cbor"):
        unixfs.decode_block(CID(1, 0x71, bytes(32)), b"")
    with pytest.raises(BadDag, match="not a directory"):
        list(unixfs.entries(blocks.file(b"x", V0).cid, blocks.get_block))


def test_sizes_that_do_not_add_up_are_refused(blocks: Any) -> None:
    blocks[LEAF] = b"leaf"
    liar, block = node(b"\x08\x02\x18\x05\x20\x05", LINK)
    blocks[liar] = block
    with pytest.raises(BadDag, match="4 bytes where its parent says 5"):
        unixfs.read_bytes(liar, blocks.get_block, 10)


def test_a_file_over_the_limit_is_refused_before_it_is_read(blocks: Any) -> None:
    """A small DAG can stand for a huge file: thirty nodes of two equal links are a gigabyte of zeros."""
    child = blocks.file(b"\0", V1)
    for _ in range(30):
        child = unixfs._file_node([child, child], blocks.put, V1)
    assert child.size == 1 << 30
    assert len(blocks) == 31
    with pytest.raises(BadDag, match="limit is 1000"):
        unixfs.read_bytes(child.cid, blocks.get_block, 1_000)
    assert len(list(unixfs.walk(child.cid, blocks.get_block))) == 31
    for _ in range(3):
        child = unixfs._file_node([child, child], blocks.put, V1)
    with pytest.raises(BadDag, match="nodes deep"):
        list(unixfs.read_file(child.cid, blocks.get_block, 0, 1))


def test_an_empty_child_linked_over_and_over_costs_nothing(blocks: Any) -> None:
    child = blocks.file(b"", V1)
    for _ in range(8):
        child = unixfs._file_node([child] * 50, blocks.put, V1)
    assert unixfs.read_bytes(child.cid, blocks.get_block, 0) == b""


def test_identity_cids_are_read_without_a_block() -> None:
    cid = CID(1, RAW, b"inline", 0)
    nothing: dict[CID, bytes] = {}
    assert unixfs.read_bytes(cid, nothing.__getitem__, 10) == b"inline"
    assert list(unixfs.walk(cid, nothing.__getitem__)) == [(cid, b"inline")]


def test_names_that_hash_alike_to_the_last_bit_are_refused(blocks: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unixfs, "_hash", lambda name: 0)
    with pytest.raises(BadArgument, match="hash apart"):
        blocks.tree({f"{index}": b"x" for index in range(6_000)}, V1)


def test_memory_stays_flat_for_a_file_of_a_gigabyte() -> None:
    """The growth is what the lists of links and digests need, not the content."""
    program = """
import resource, tempfile
from pathlib import Path
from pipeline.pin.store import CarStore
with tempfile.TemporaryDirectory() as folder:
    big = Path(folder, "big")
    with big.open("wb") as file:
        for index in range(1024):
            file.seek(index << 20)
            file.write(index.to_bytes(4))
        file.truncate(1 << 30)
    store = CarStore(Path(folder, "car"))
    store.put_directory([("warm", b"up")])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    root = store.put_directory([("big", big)])
    print(root.blocks, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True)
    blocks, grown_kib = map(int, done.stdout.split())
    assert blocks == 1024 + 2
    assert grown_kib < 16 << 10


def test_codec_and_version_follow_the_profile(blocks: Any) -> None:
    assert blocks.file(b"x", V0).cid.version == 0
    assert blocks.file(b"x", KUBO_V1).cid.codec == RAW
    assert blocks.tree({"a": b""}, KUBO_V1).cid.codec == DAG_PB
