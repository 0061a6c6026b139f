"""UnixFS: files and directories as DAGs of blocks, exactly as `ipfs add` would build them, and back.

    file        leaves of `chunk` bytes; above them nodes of at most `width` links, all leaves at the same depth
    directory   one node with a link per entry, sorted by name; too large for one block, it becomes a HAMT:
                a trie over murmur3 of the names, 256 ways per node

How a tree is cut into blocks is a convention, and with it the CID. The conventions here are those of IPIP-499
(`unixfs-v1-2025`, `unixfs-v0-2015`) and `ipfs add --cid-version=1` (`kubo-cidv1`).

Building streams: every block is handed to `put` as soon as it is complete, children before parents, and nothing is kept
but one list of links per level. Reading takes a `get_block(cid) -> bytes`, which must give bytes that hash to `cid`
(a DAG of such blocks cannot loop); everything else about the blocks is checked here.

Sources: specs.ipfs.tech/unixfs, specs.ipfs.tech/ipips/ipip-0499, ipld.io/specs/codecs/dag-pb.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal

import mmh3

from pipeline.base.cid import CID, DAG_PB, IDENTITY, RAW, USUAL, read_varint, varint
from pipeline.base.errors import BadArgument, PinError

Put = Callable[[CID, bytes], None]
GetBlock = Callable[[CID], bytes]

RAW_NODE, DIRECTORY, FILE, METADATA, SYMLINK, HAMT_SHARD = range(6)  # UnixFS `Data.DataType`
_KINDS = ("raw", "directory", "file", "metadata", "symlink", "sharded directory")

SHARD_ABOVE = 256 << 10  # bytes of directory, in all three profiles
FANOUT = 256  # so one byte of the hash chooses the way at each level
MURMUR3_X64_64 = 0x22
MAX_NAME = 255  # bytes: what file systems take, so that every directory can be written to a disk again
MAX_DEPTH = 32  # levels of file nodes, or of directories in a path: far above need, well below Python's stack


class BadDag(PinError):
    """A block that is intact and still not a UnixFS node that can be read."""

    sentence = "{cid} cannot be read: {reason}"


class NotInDag(PinError, LookupError):
    """A path that leads nowhere."""

    sentence = "{path!r} is not in {root}"


@dataclass(frozen=True, slots=True)
class Profile:
    """One convention for cutting trees into blocks."""

    name: str
    cid_version: Literal[0, 1]
    chunk: int  # bytes per leaf
    width: int  # links per file node
    shard_by: Literal["links", "block"]  # what is compared with SHARD_ABOVE: names and CIDs, or the whole block

    @property
    def raw_leaves(self) -> bool:
        return self.cid_version == 1


PROFILES = {
    profile.name: profile
    for profile in (
        Profile("unixfs-v1-2025", cid_version=1, chunk=1 << 20, width=1024, shard_by="block"),
        Profile("unixfs-v0-2015", cid_version=0, chunk=256 << 10, width=174, shard_by="links"),
        Profile("kubo-cidv1", cid_version=1, chunk=256 << 10, width=174, shard_by="links"),
    )
}
DEFAULT_PROFILE = PROFILES["unixfs-v1-2025"]


@dataclass(frozen=True, slots=True)
class Node:
    """A finished DAG, as a parent needs to know it."""

    cid: CID
    tsize: int  # bytes of its blocks, counted again wherever a block is linked again (`Tsize` of dag-pb)
    size: int  # bytes of the file; 0 for a directory


# ── building ─────────────────────────────────────────────────────────────────────────────────────────────────


def add_file(chunks: Iterable[bytes], put: Put, profile: Profile = DEFAULT_PROFILE) -> Node:
    """Build a file from its chunks, all but the last of `profile.chunk` bytes. No chunk at all is the empty file."""
    chunks = iter(chunks)
    first, second = next(chunks, b""), next(chunks, None)
    if second is None:  # as nearly all are
        return _leaf(first, put, profile)
    levels: list[list[Node]] = [[]]  # finished nodes of each height that still wait for a parent

    def place(node: Node, height: int) -> None:
        if height == len(levels):
            levels.append([])
        levels[height].append(node)
        if len(levels[height]) == profile.width:
            raise_level(height)

    def raise_level(height: int) -> None:
        children, levels[height] = levels[height], []
        place(_file_node(children, put, profile), height + 1)

    for chunk in chain((first, second), chunks):
        place(_leaf(chunk, put, profile), 0)
    height = 0
    while height < len(levels) - 1 or len(levels[height]) > 1:
        if levels[height]:
            raise_level(height)
        height += 1
    return levels[height][0]


def add_directory(entries: Iterable[tuple[str, Node]], put: Put, profile: Profile = DEFAULT_PROFILE) -> Node:
    """Build a directory from paths and the nodes at them; `a/b` makes a directory `a`. Any order gives the same root.

    Raises BadArgument for a path twice, a path below a file, and names that are no file names.
    """
    tree: _Tree = {}
    for path, node in entries:
        folder = tree
        *parents, name = _names(path)
        for parent in parents:
            below = folder.setdefault(parent, {})
            if isinstance(below, Node):
                raise BadArgument(name="path", value=path, expected="no path below a file")
            folder = below
        if name in folder:
            raise BadArgument(name="path", value=path, expected="every path once")
        folder[name] = node
    return _directory(tree, put, profile)


_Tree = dict[bytes, "Node | _Tree"]
_Entry = tuple[bytes, Node]


def _names(path: str) -> list[bytes]:
    try:
        names = path.encode().split(b"/")
    except UnicodeEncodeError as error:
        raise BadArgument(name="path", value=path, expected="text that UTF-8 can hold") from error
    if len(names) > MAX_DEPTH:
        raise BadArgument(name="path", value=path[:80], expected=f"at most {MAX_DEPTH} levels")
    for name in names:
        if name in (b"", b".", b"..") or b"\0" in name or len(name) > MAX_NAME:
            raise BadArgument(name="path", value=path, expected=f"file names of 1 to {MAX_NAME} bytes joined by /")
    return names


def _directory(tree: _Tree, put: Put, profile: Profile) -> Node:
    entries: list[_Entry] = []
    for name, below in sorted(tree.items()):
        entries.append((name, below if isinstance(below, Node) else _directory(below, put, profile)))
    size = sum(len(name) + len(node.cid.bytes) for name, node in entries)
    block = b"" if size > SHARD_ABOVE else encode_node(entries, _unixfs(DIRECTORY))  # which is longer than that
    if size > SHARD_ABOVE or (profile.shard_by == "block" and len(block) > SHARD_ABOVE):
        return _shard([(_hash(name), (name, node)) for name, node in entries], 0, put, profile)
    return _put_node(block, entries, 0, put, profile)


def _shard(entries: Sequence[tuple[int, _Entry]], level: int, put: Put, profile: Profile) -> Node:
    """Build the HAMT node for `entries`, whose hashes agree in their first `level` bytes."""
    if level == 8:
        raise BadArgument(name="file names", value=[entry[0] for _, entry in entries], expected="names that hash apart")
    ways: dict[int, list[tuple[int, _Entry]]] = {}
    for entry in entries:
        ways.setdefault(_way(entry[0], level), []).append(entry)
    links: list[_Entry] = []
    for way, below in sorted(ways.items()):
        if len(below) == 1:
            name, node = below[0][1]
            links.append((b"%02X%s" % (way, name), node))
        else:
            links.append((b"%02X" % way, _shard(below, level + 1, put, profile)))
    bitfield = sum(1 << way for way in ways)
    data = _unixfs(HAMT_SHARD, data=bitfield.to_bytes((bitfield.bit_length() + 7) // 8))
    data += b"\x28" + varint(MURMUR3_X64_64) + b"\x30" + varint(FANOUT)
    return _put_node(encode_node(links, data), links, 0, put, profile)


def _hash(name: bytes) -> int:
    return mmh3.hash64(name, signed=False)[0]


def _way(name_hash: int, level: int) -> int:
    return name_hash >> (56 - 8 * level) & 0xFF


def _leaf(chunk: bytes, put: Put, profile: Profile) -> Node:
    if profile.raw_leaves:
        cid = CID.raw(chunk)
        put(cid, chunk)
        return Node(cid, len(chunk), len(chunk))
    data = _unixfs(FILE, data=chunk) + b"\x18" + varint(len(chunk))
    return _put_node(encode_node((), data), (), len(chunk), put, profile)


def _file_node(children: Sequence[Node], put: Put, profile: Profile) -> Node:
    size = sum(child.size for child in children)
    data = _unixfs(FILE) + b"\x18" + varint(size) + b"".join(b"\x20" + varint(child.size) for child in children)
    links = [(b"", child) for child in children]
    return _put_node(encode_node(links, data), links, size, put, profile)


def _put_node(block: bytes, links: Sequence[_Entry], size: int, put: Put, profile: Profile) -> Node:
    cid = CID(profile.cid_version, DAG_PB, hashlib.sha256(block).digest())
    put(cid, block)
    return Node(cid, len(block) + sum(node.tsize for _, node in links), size)


def _unixfs(kind: int, data: bytes = b"") -> bytes:
    return b"\x08" + bytes([kind]) + (b"\x12" + varint(len(data)) + data if data else b"")


def encode_node(links: Iterable[_Entry], data: bytes) -> bytes:
    """Encode a dag-pb node: the links as given, then the data, as the codec wants it."""
    parts = []
    for name, node in links:
        cid = node.cid.bytes
        link = b"\x0a" + varint(len(cid)) + cid + b"\x12" + varint(len(name)) + name + b"\x18" + varint(node.tsize)
        parts.append(b"\x12" + varint(len(link)) + link)
    parts.append(b"\x0a" + varint(len(data)) + data)
    return b"".join(parts)


# ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Block:
    """One node, decoded. A raw block is a file without links."""

    kind: int
    data: bytes  # inline bytes of a file, the bitfield of a HAMT, the target of a symlink
    size: int  # bytes of the file at and below this node
    links: tuple[tuple[bytes, CID], ...]
    sizes: tuple[int, ...]  # of a file: bytes below each link

    @property
    def is_directory(self) -> bool:
        return self.kind in (DIRECTORY, HAMT_SHARD)


def decode_block(cid: CID, block: bytes) -> Block:
    """Decode a UnixFS node. Raises BadDag for other codecs, and for what the dag-pb and UnixFS specs do not allow."""
    if cid.codec == RAW:
        return Block(FILE, block, len(block), (), ())
    if cid.codec != DAG_PB:
        raise BadDag(cid=cid, reason=f"its codec is {cid.codec_name}, not raw or dag-pb")
    try:
        links, data = _decode_node(block)
        return _decode_unixfs(links, data)
    except ValueError as error:
        raise BadDag(cid=cid, reason=str(error)) from error


Decode = Callable[[CID, bytes], Block]


def walk(root: CID, get_block: GetBlock, dups: bool = False) -> Iterator[tuple[CID, bytes]]:
    """Yield every block of a DAG: parents before children, children in link order, depth first; once, or at each link."""
    seen: set[CID] = set()
    stack = [root]
    while stack:
        cid = stack.pop()
        if cid in seen and not dups:
            continue
        seen.add(cid)
        block = cid.digest if cid.hash == IDENTITY else get_block(cid)
        yield cid, block
        if cid.codec != RAW:
            stack.extend(link for _, link in reversed(decode_block(cid, block).links))


def as_built(root: CID, get_block: GetBlock) -> Iterator[tuple[CID, bytes]]:
    """Yield every block of a DAG once, in the order in which a directory of files is built: files by name, then shards.

    Directories below it come out whole as well, though not always in the order of their building.
    """
    files: list[tuple[bytes, CID]] = []
    folders: dict[CID, bytes] = {}

    def visit(cid: CID, path: bytes, depth: int) -> None:
        block = _get(cid, get_block)
        node = decode_block(cid, block)
        if not node.is_directory:
            files.append((path, cid))
        elif depth > 8 * MAX_DEPTH:
            raise BadDag(cid=cid, reason="directories go too deep")
        elif cid not in folders:
            for name, below in node.links:
                own = name if node.kind == DIRECTORY else name[2:]
                visit(below, b"/".join(filter(None, (path, own))), depth + 1)
            folders[cid] = block

    visit(root, b"", 0)
    seen: set[CID] = set()
    for _, cid in sorted(files):
        yield from _file_as_built(cid, get_block, seen, 0)
    yield from folders.items()


def _file_as_built(cid: CID, get_block: GetBlock, seen: set[CID], depth: int) -> Iterator[tuple[CID, bytes]]:
    if cid in seen:
        return
    seen.add(cid)
    if depth == MAX_DEPTH:
        raise BadDag(cid=cid, reason=f"the file is more than {MAX_DEPTH} nodes deep")
    block = _get(cid, get_block)
    for _, below in decode_block(cid, block).links:
        yield from _file_as_built(below, get_block, seen, depth + 1)
    if cid.hash != IDENTITY:
        yield cid, block


def resolve(root: CID, path: str, get_block: GetBlock, decode: Decode = decode_block) -> CID:
    """Follow `path` down from `root`, through plain and sharded directories. Raises NotInDag.

    `decode` may remember: decoding a large directory takes far longer than finding a name in it.
    """
    cid = root
    for name in filter(None, path.encode(errors="surrogateescape").split(b"/")):
        found = _lookup(cid, name, get_block, decode)
        if found is None:
            raise NotInDag(path=path, root=root)
        cid = found
    return cid


def entries(cid: CID, get_block: GetBlock, level: int = 0) -> Iterator[tuple[str, CID]]:
    """Yield name and CID of all that is in a directory: by name, or in the order of the hashes when it is sharded."""
    block = decode_block(cid, _get(cid, get_block))
    if not block.is_directory:
        raise BadDag(cid=cid, reason=f"it is a {_KINDS[block.kind]}, not a directory")
    for name, below in block.links:
        if block.kind == DIRECTORY:
            yield name.decode(errors="surrogateescape"), below
        elif len(name) > 2:
            yield name[2:].decode(errors="surrogateescape"), below
        elif level < 8:
            yield from entries(below, get_block, level + 1)
        else:
            raise BadDag(cid=cid, reason="its shards go deeper than its hash")


def shards(cid: CID, get_block: GetBlock, level: int = 0) -> Iterator[CID]:
    """Yield the CIDs of the nodes that a sharded directory consists of, its root first."""
    yield cid
    for name, below in decode_block(cid, _get(cid, get_block)).links:
        if len(name) == 2 and level < 8:
            yield from shards(below, get_block, level + 1)


def read_file(cid: CID, get_block: GetBlock, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
    """Yield the bytes of a file, or those from `start` to before `stop`; other leaves are not even fetched.

    Raises BadDag for anything but a file, and where the sizes in the DAG do not add up.
    """
    size = file_size(cid, get_block)
    yield from _read(cid, get_block, start, size if stop is None else min(stop, size), size, 0)


def walk_file(cid: CID, get_block: GetBlock, start: int, stop: int, depth: int = 0) -> Iterator[tuple[CID, bytes]]:
    """Yield the blocks that hold the bytes of a file from `start` to before `stop`, its root always. Raises BadDag."""
    if depth == MAX_DEPTH:
        raise BadDag(cid=cid, reason=f"the file is more than {MAX_DEPTH} nodes deep")
    data = _get(cid, get_block)
    yield cid, data
    block = _decode_file(cid, data)
    at = len(block.data)
    for (_, below), length in zip(block.links, block.sizes, strict=True):
        if max(at, start) < min(at + length, stop):
            yield from walk_file(below, get_block, start - at, stop - at, depth + 1)
        at += length


def read_bytes(cid: CID, get_block: GetBlock, limit: int) -> bytes:
    """Read a whole file of at most `limit` bytes. Raises BadDag for a larger one, before reading it."""
    size = file_size(cid, get_block)
    if size > limit:
        raise BadDag(cid=cid, reason=f"it has {size} bytes, the limit is {limit}")
    return b"".join(read_file(cid, get_block))


def file_size(cid: CID, get_block: GetBlock) -> int:
    """How many bytes the file has. Raises BadDag for anything but a file."""
    return _decode_file(cid, _get(cid, get_block)).size


def _get(cid: CID, get_block: GetBlock) -> bytes:
    return cid.digest if cid.hash == IDENTITY else get_block(cid)


def _lookup(cid: CID, name: bytes, get_block: GetBlock, decode: Decode) -> CID | None:
    name_hash = _hash(name)
    for level in range(9):
        block = decode(cid, _get(cid, get_block))
        if block.kind == DIRECTORY:
            return next((below for found, below in block.links if found == name), None)
        if block.kind != HAMT_SHARD or level == 8:
            return None
        prefix = b"%02X" % _way(name_hash, level)
        here = {found: below for found, below in block.links if found.startswith(prefix)}
        if prefix + name in here or prefix not in here:
            return here.get(prefix + name)
        cid = here[prefix]
    return None


def _read(cid: CID, get_block: GetBlock, start: int, stop: int, size: int, depth: int) -> Iterator[bytes]:
    block = _decode_file(cid, _get(cid, get_block))
    if block.size != size:
        raise BadDag(cid=cid, reason=f"it has {block.size} bytes where its parent says {size}")
    if depth == MAX_DEPTH:
        raise BadDag(cid=cid, reason=f"the file is more than {MAX_DEPTH} nodes deep")
    if part := block.data[max(start, 0) : max(stop, 0)]:
        yield part
    at = len(block.data)
    for (_, below), length in zip(block.links, block.sizes, strict=True):
        # An empty child is never visited: otherwise a small DAG could link one a billion times over.
        if length and at < stop and at + length > start:
            yield from _read(below, get_block, start - at, stop - at, length, depth + 1)
        at += length


def _decode_file(cid: CID, data: bytes) -> Block:
    block = decode_block(cid, data)
    if block.kind not in (FILE, RAW_NODE):
        raise BadDag(cid=cid, reason=f"it is a {_KINDS[block.kind]}, not a file")
    return block


def _decode_unixfs(links: tuple[tuple[bytes, CID], ...], data: bytes) -> Block:
    kind = size = fanout = hash_type = None
    inline, sizes = b"", []
    for field, value in _fields(data):
        match field, value:
            case 1, int():
                kind = value
            case 2, bytes():
                inline = value
            case 3, int():
                size = value
            case 4, int():
                sizes.append(value)
            case 4, bytes():  # packed: writers do not, readers must
                sizes.extend(_packed(value))
            case 5, int():
                hash_type = value
            case 6, int():
                fanout = value
            case ((1 | 2 | 3 | 5 | 6), _):
                raise ValueError(f"UnixFS field {field} has the wrong type")
    if kind is None or kind >= len(_KINDS):
        raise ValueError(f"{kind} is not a UnixFS type")
    if kind == HAMT_SHARD:
        if (hash_type, fanout) != (MURMUR3_X64_64, FANOUT):
            raise ValueError(f"its shards use hash {hash_type} and fanout {fanout}, not murmur3 and {FANOUT}")
        if any(len(name) < 2 for name, _ in links):
            raise ValueError("a link of a shard has no prefix")
    if kind in (FILE, RAW_NODE):
        if len(sizes) != len(links):
            raise ValueError(f"a file with {len(links)} links has {len(sizes)} block sizes")
        total = len(inline) + sum(sizes)
        if size is not None and size != total:
            raise ValueError(f"a file of {size} bytes has parts of {total}")
        return Block(kind, inline, total, links, tuple(sizes))
    return Block(kind, inline, 0, links, ())


def _decode_node(block: bytes) -> tuple[tuple[tuple[bytes, CID], ...], bytes]:
    """Decode dag-pb, as strictly as the codec's spec: links in one run, no unknown fields, no data twice."""
    links: list[tuple[bytes, CID]] = []
    data: bytes | None = None
    last = 0
    for field, value in _fields(block):
        if field == 2 and isinstance(value, bytes):
            if links and last != 2:
                raise ValueError("the links of a dag-pb node stand together")
            links.append(_decode_link(value))
        elif field == 1 and isinstance(value, bytes) and data is None:
            data = value
        else:
            raise ValueError(f"a dag-pb node has no such field {field}")
        last = field
    if data is None:
        raise ValueError("a dag-pb node without data is not UnixFS")
    return tuple(links), data


def links_of(cid: CID, block: bytes) -> Iterator[bytes]:
    """The CIDs, as bytes, of the blocks that a node links to, inline ones left out. Raises BadDag for what is no node."""
    return (link.bytes for _, link in decode_block(cid, block).links if link.hash != IDENTITY)


def _decode_link(link: bytes) -> tuple[bytes, CID]:
    if link[:2] == b"\x0a\x24" and link[2:6] in USUAL and link[38:39] == b"\x12":  # as all writers write it
        end = 40 + link[39] if link[39] < 0x80 else len(link)
        if link[end : end + 1] == b"\x18" and read_varint(link, end + 1)[1] == len(link):
            return link[40:end], CID(1, USUAL[link[2:6]], link[6:38])
    cid, name, last = None, b"", 0
    for field, value in _fields(link):
        if field <= last:
            raise ValueError("the fields of a dag-pb link stand in order, each once")
        last = field
        match field, value:
            case 1, bytes():
                cid = CID.decode(value)
            case 2, bytes():
                name = value
            case 3, int():
                pass  # Tsize is a hint that nothing here relies on
            case _:
                raise ValueError(f"a dag-pb link has no such field {field}")
    if cid is None:
        raise ValueError("a dag-pb link without CID")
    return name, cid


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield number and value of each protobuf field: an int for a varint, bytes for a string or message."""
    at = 0
    while at < len(data):
        key, at = read_varint(data, at)
        if key & 7 == 0:
            number, at = read_varint(data, at)
            yield key >> 3, number
        elif key & 7 == 2:
            length, at = read_varint(data, at)
            if at + length > len(data):
                raise ValueError("a field is longer than its message")
            yield key >> 3, data[at : at + length]
            at += length
        elif key & 7 in (1, 5):  # mtime nanoseconds are fixed32: stepped over
            at += 8 if key & 7 == 1 else 4
            if at > len(data):
                raise ValueError("a field is longer than its message")
        else:
            raise ValueError(f"wire type {key & 7} is not protobuf")


def _packed(data: bytes) -> Iterator[int]:
    at = 0
    while at < len(data):
        number, at = read_varint(data, at)
        yield number
