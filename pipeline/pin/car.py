"""CARv1 with one root: the blocks of a DAG in one file, which every IPFS implementation imports.

    <length> <header: DAG-CBOR {"roots": [<root>], "version": 1}>
    <length> <CID> <block>        once for every block

Lengths are varints. Bytes come out the same for the same blocks in the same order, and each block is written once.
Reading trusts nothing: every length has a limit, and every block is hashed before anybody sees it.

Source: ipld.io/specs/transport/car/carv1.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol, Self

from pipeline.base.cid import CID, DAG_PB, MAX_VARINT, RAW, USUAL, varint
from pipeline.base.errors import BadCar
from pipeline.base.files import open_regular
from pipeline.base.limits import BLOCK_BYTES
from pipeline.base.records import PinnedRoot
from pipeline.pin.unixfs import BadDag, Put, links_of

MAX_HEADER = 1 << 16  # bytes: one root needs 58, a thousand roots 40,000
_MAX_SECTION = BLOCK_BYTES + 256  # a block and its CID
_BEFORE_ROOTS = b"\xa2\x65roots"  # DAG-CBOR: a map of 2, "roots"
_AFTER_ROOTS = b"\x67version\x01"
_CID_TAG = b"\xd8\x2a"  # tag 42
_V2_PRAGMA = b"\xa1\x67version\x02"


class CarCut(BadCar):
    """A CAR that ends too early, or lacks blocks: what is there is sound."""


class Readable(Protocol):
    """A stream: `read(n)` gives n bytes, fewer only at its end."""

    def read(self, size: int, /) -> bytes: ...


class CarWriter:
    """Writes blocks into a file that is open for reading and writing; the root is put into the header at the end.

    What the file holds already is the work of a writer that was killed: blocks that are put again, in the same order,
    are found there and not written again. So the bytes come out the same, however often writing was interrupted.
    """

    def __init__(self, file: BinaryIO, root_version: int) -> None:
        """`root_version` is the CID version of the root to come: it decides how long the header is."""
        self._file = file
        self._seen: set[bytes] = set()  # their bytes: these hash quicker than what they stand for
        self._header = car_header(CID(root_version, DAG_PB, bytes(32)))
        self._end = len(self._header)  # of what was put
        self._written = deque(self._scan())  # blocks behind that, and where each of them ends
        if not self._written:
            self._cut()

    def put(self, cid: CID, block: bytes) -> None:
        """Append a block, unless it is there already."""
        name = cid.bytes
        if name in self._seen:
            return
        self._seen.add(name)
        if self._written:
            written, end = self._written.popleft()
            if written == cid:
                self._end = end
                if not self._written:
                    self._cut()
                return
            self._written.clear()
            self._cut()
        self._end += self._file.write(b"".join((varint(len(name) + len(block)), name, block)))

    def finish(self, root: CID) -> None:
        """Name the root. The caller still has to flush and sync the file."""
        header = car_header(root)
        assert len(header) == len(self._header), f"{root} does not fit a header of {len(self._header)} bytes"
        self._cut()
        self._file.seek(0)
        self._file.write(header)
        self._file.seek(0, os.SEEK_END)

    def _scan(self) -> list[tuple[CID, int]]:
        """The blocks that are there, up to the first that is not whole and sound."""
        self._file.seek(0)
        found: list[tuple[CID, int]] = []
        with contextlib.suppress(BadCar):
            reader = CarReader(self._file, "a partial CAR")
            if len(car_header(reader.root)) == len(self._header):
                for cid, offset, block in reader:
                    found.append((cid, offset + len(block)))
        return found

    def _cut(self) -> None:
        """End the file behind what was put, and write on from there."""
        self._file.seek(0)
        self._file.write(self._header)
        self._file.truncate(self._end)
        self._file.seek(self._end)


class CarReader:
    """One pass over a CAR: its `roots`, then by iteration every block with its CID and offset, hashed. Raises BadCar."""

    def __init__(self, file: Readable, path: Path | str) -> None:
        self._file = file
        self._path = path
        self._offset = 0
        self.sha256 = hashlib.sha256()  # of all bytes read so far; of the file, when the iteration has ended
        self.roots = self._read_header()

    @property
    def root(self) -> CID:
        """The only root. Raises BadCar when there are others, or none."""
        if len(self.roots) != 1:
            raise self._bad(f"it has {len(self.roots)} roots, not one")
        return self.roots[0]

    def __iter__(self) -> Iterator[tuple[CID, int, bytes]]:
        for name, block in self.named():
            yield CID.decode(name), self._offset - len(block), block

    def named(self) -> Iterator[tuple[bytes, bytes]]:
        """Every block with the bytes of its CID, hashed."""
        sha256 = hashlib.sha256
        while length := self._read_length(_MAX_SECTION):
            section = self._take(length)
            if section[:4] in USUAL:  # nearly every block of ours and of others: its digest is all there is to read
                name, block = section[:36], section[36:]
                sound = sha256(block).digest() == name[4:]
            else:
                try:
                    cid, start = CID.read(section, 0)
                except ValueError as error:
                    raise self._bad(str(error)) from error
                name, block = cid.bytes, section[start:]
                sound = cid.matches(block)
            if len(block) > BLOCK_BYTES:
                raise self._bad(f"block {self._told(name)} has {len(block)} bytes, the limit is {BLOCK_BYTES}")
            if not sound:
                raise self._bad(f"the bytes of block {self._told(name)} do not hash to it")
            yield name, block

    def _told(self, name: bytes) -> CID:
        try:
            return CID.decode(name)
        except ValueError as error:
            raise self._bad(str(error)) from error

    def _read_header(self) -> tuple[CID, ...]:
        header = self._take(self._read_length(MAX_HEADER))
        if header == _V2_PRAGMA:
            raise self._bad("it is a CARv2, and only CARv1 can be read")
        if not (header.startswith(_BEFORE_ROOTS) and header.endswith(_AFTER_ROOTS)):
            raise self._bad("its header is not that of a CARv1")
        try:
            roots = _decode_roots(header[len(_BEFORE_ROOTS) : -len(_AFTER_ROOTS)])
        except (ValueError, IndexError) as error:
            raise self._bad(f"its roots are no CIDs: {error}") from error
        if car_header(*roots)[len(varint(len(header))) :] != header:
            raise self._bad("its header is not that of a CARv1")
        return roots

    def _read_length(self, limit: int) -> int:
        """Read a varint; 0 means that the file ends here, as it may."""
        number = 0
        for index in range(MAX_VARINT):
            byte = self._file.read(1)
            self.sha256.update(byte)
            if not byte:
                if index:
                    raise self._cut("it ends inside a length")
                return 0
            self._offset += 1
            number |= (byte[0] & 0x7F) << (7 * index)
            if byte[0] < 0x80:
                if not 0 < number <= limit or (index and not byte[0]):
                    raise self._bad(f"{number} is no length, the limit is {limit}")
                return number
        raise self._bad("a length is over nine bytes long")

    def _take(self, length: int) -> bytes:
        data = self._file.read(length)
        if len(data) != length or not length:
            raise self._cut("it ends too early")
        self.sha256.update(data)
        self._offset += length
        return data

    def _bad(self, reason: str) -> BadCar:
        return BadCar(path=self._path, reason=f"{reason} (at byte {self._offset})")

    def _cut(self, reason: str) -> BadCar:
        return CarCut(path=self._path, reason=f"{reason} (at byte {self._offset})")


@dataclass(frozen=True, slots=True)
class Index:
    """Where each block of a CAR is: offset and length."""

    root: CID
    places: dict[CID, tuple[int, int]]


def index_car(path: Path) -> Index:
    """Hash every block of a CAR and note its place. Raises BadCar, or FileNotFoundError."""
    with open_regular(path) as file:
        reader = CarReader(file, path)
        return Index(reader.root, {cid: (offset, len(block)) for cid, offset, block in reader})


class Car:
    """An open CAR, with its blocks at hand. Close it, or use it in a `with` block. Any thread may read."""

    def __init__(self, path: Path, index: Index | None = None) -> None:
        """Open a CAR; without an index made before, all of it is hashed first. Raises BadCar, FileNotFoundError."""
        self.path = path
        self._places = (index or index_car(path)).places
        self._file = open_regular(path)

    def get_block(self, cid: CID) -> bytes:
        """Read one block; it is hashed again. Raises BadCar when it is missing or has changed."""
        if cid not in self._places:
            raise BadCar(path=self.path, reason=f"block {cid} is missing")
        offset, length = self._places[cid]
        block = os.pread(self._file.fileno(), length, offset)
        if not cid.matches(block):
            raise BadCar(path=self.path, reason=f"the bytes of block {cid} do not hash to it")
        return block

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __contains__(self, cid: CID) -> bool:
        return cid in self._places

    def __len__(self) -> int:
        return len(self._places)


def check_car(
    file: Readable,
    path: Path | str,
    max_blocks: int | None = None,
    root: CID | None = None,
    put: Put | None = None,
) -> PinnedRoot:
    """Read a CAR to its end and say what it holds: a root, every block of its DAG, and nothing else.

    Each block is handed to `put` once it is hashed, before it is known whether the rest is sound.
    Raises CarCut when blocks are missing; BadCar when one is damaged, of no use to the root, or over `max_blocks`, and
    before reading on when the root is not `root`.
    """
    reader = CarReader(file, path)
    if root is not None and reader.root != root:
        raise BadCar(path=path, reason=f"its root is {reader.root}")
    found: set[bytes] = set()  # CIDs as they stand in files: these hash quicker
    linked = {reader.root.bytes}
    size = 0
    for name, block in reader.named():
        if name not in found:
            found.add(name)
            size += len(block)
            if put:
                put(CID.decode(name), block)
        if max_blocks is not None and max(len(found), len(linked)) > max_blocks:
            raise BadCar(path=path, reason=f"it has more than {max_blocks} blocks")
        if USUAL.get(name[:4]) != RAW:
            try:
                linked.update(links_of(CID.decode(name), block))
            except BadDag as error:
                raise BadCar(path=path, reason=str(error)) from error
    # Hash links cannot form a loop, so a set of blocks is one whole DAG exactly when all but the root are linked to.
    if missing := linked - found:
        first = min(map(CID.decode, missing))
        raise CarCut(path=path, reason=f"{len(missing)} of its blocks are missing, {first} first")
    if found - linked:
        raise BadCar(path=path, reason=f"{len(found - linked)} blocks do not belong to its root")
    return PinnedRoot(cid=reader.root, blocks=len(found), block_bytes=size, car_sha256=reader.sha256.digest())


def car_header(*roots: CID) -> bytes:
    """How a CAR of these roots begins."""
    # In DAG-CBOR a CID stands behind a zero byte: the multibase prefix of plain bytes.
    encoded = (b"\0" + root.bytes for root in roots)
    links = b"".join(_CID_TAG + _cbor_length(0x40, len(name)) + name for name in encoded)
    header = _BEFORE_ROOTS + _cbor_length(0x80, len(roots)) + links + _AFTER_ROOTS
    return varint(len(header)) + header


def _cbor_length(kind: int, length: int) -> bytes:
    if length < 24:
        return bytes([kind | length])
    return bytes([kind | 24, length]) if length < 256 else bytes([kind | 25]) + length.to_bytes(2)


def _decode_roots(data: bytes) -> tuple[CID, ...]:
    """Read a list of CIDs in DAG-CBOR. Raises ValueError or IndexError; a second spelling of the same is not looked for."""
    count, at = _read_cbor_length(data, 0)
    roots = []
    for _ in range(count):
        length, start = _read_cbor_length(data, at + len(_CID_TAG))
        at = start + length
        roots.append(CID.decode(data[start + 1 : at]))
    return tuple(roots)


def _read_cbor_length(data: bytes, at: int) -> tuple[int, int]:
    short = data[at] & 0x1F
    if short < 24:
        return short, at + 1
    return (data[at + 1], at + 2) if short == 24 else (int.from_bytes(data[at + 1 : at + 3]), at + 3)


def car_section(cid: CID, block: bytes) -> bytes:
    """How a block stands in a CAR."""
    name = cid.bytes
    return b"".join((varint(len(name) + len(block)), name, block))
