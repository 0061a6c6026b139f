"""Which blocks a gateway has: the CARs of a workspace as they come and go, and CARs of anybody that were named.

Every CAR is read and hashed once, when it is first needed, and each block again whenever it is served. Nothing else is
ever opened: a request can name a CID, never a file.

Sources: ipld.io/specs/transport/car/carv1 and /carv2.
"""

from __future__ import annotations

import logging
import os
import struct
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from pipeline.base.cid import CID, DAG_PB, IDENTITY, SHA2_256
from pipeline.base.errors import BadArgument, BadCar, Corrupt, PinError
from pipeline.base.files import open_regular
from pipeline.pin.car import CarReader, Readable
from pipeline.pin.unixfs import GetBlock

log = logging.getLogger(__name__)

_V2_PRAGMA = b"\x0a\xa1\x67version\x02"
_V2_HEADER = struct.Struct("<16xQQ8x")  # characteristics; offset and size of the CARv1; offset of an index


class NotHere(PinError, LookupError):
    """A block that no CAR here has."""

    sentence = "block {cid} is not here"


class _Part:
    """The first `size` bytes of a stream, as a stream."""

    def __init__(self, file: Readable, size: int) -> None:
        self._file, self._left = file, size

    def read(self, size: int, /) -> bytes:
        data = self._file.read(min(size, self._left))
        self._left -= len(data)
        return data


def _car_v1(file: BinaryIO, path: Path) -> tuple[Readable, int]:
    """The CARv1 in a file, and where it begins: the file itself, or what the header of a CARv2 points to."""
    if file.read(len(_V2_PRAGMA)) != _V2_PRAGMA:
        file.seek(0)
        return file, 0
    header = file.read(_V2_HEADER.size)
    if len(header) < _V2_HEADER.size:
        raise BadCar(path=path, reason="it ends inside the header of a CARv2")
    start, size = _V2_HEADER.unpack(header)
    if start + size > os.fstat(file.fileno()).st_size:
        raise BadCar(path=path, reason="its CARv2 header points behind its end")
    file.seek(start)
    return _Part(file, size), start


_State = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class IndexedCar:
    """One CAR whose blocks were all hashed. Blocks are found by digest, as in Kubo: a CID's two versions name one block."""

    path: Path
    state: _State
    roots: tuple[CID, ...] = ()
    damage: str = ""
    places: dict[bytes, int] = field(default_factory=dict)  # offset and length in one number: a third of the memory

    def __contains__(self, cid: CID) -> bool:
        return cid.digest in self.places

    def read(self, cid: CID) -> bytes:
        """Read one block. Raises Corrupt when its bytes have changed or are gone."""
        place = self.places[cid.digest]
        try:
            with open_regular(self.path) as file:
                block = os.pread(file.fileno(), place & 0xFFFFFF, place >> 24)
        except OSError as error:
            raise Corrupt(what=self.path, reason=error.strerror or str(error)) from error
        if not cid.matches(block):
            raise Corrupt(what=self.path, reason=f"the bytes of block {cid} do not hash to it")
        return block


def _index(path: Path) -> IndexedCar:
    """Hash all of a CAR. Raises BadCar, OSError."""
    with open_regular(path) as file:
        state = _state(os.fstat(file.fileno()))
        inner, start = _car_v1(file, path)
        reader = CarReader(inner, path)
        places = {cid.digest: start + at << 24 | len(block) for cid, at, block in reader if cid.hash == SHA2_256}
        return IndexedCar(path, state, reader.roots, places=places)


def _state(found: os.stat_result) -> _State:
    return found.st_ino, found.st_size, found.st_mtime_ns


class Library:
    """The CARs of a folder, which may change while it runs, and any others by name. All threads may read."""

    def __init__(self, folder: Path | None = None, files: Sequence[Path] = ()) -> None:
        """`files` are indexed now, the CARs in `folder` when they are needed. Raises BadCar, BadArgument."""
        self._folder = folder
        self._stored: dict[Path, IndexedCar] = {}
        self._indexing = threading.Lock()
        self._named = [_named(path) for path in files]

    def roots(self) -> list[CID]:
        """The roots of all CARs: as their headers name them, and as those in the folder are named."""
        roots = [root for car in self._named for root in car.roots]
        for path in self._folder_cars():
            try:
                roots.append(CID.parse(path.stem))
            except BadArgument:
                log.warning("%s is not named by a CID", path)
        return roots

    def reader(self, root: CID) -> GetBlock:
        """What gives the blocks below `root`. Raises NotHere, and Corrupt where the CAR of this root is damaged.

        The reader raises NotHere for a block that is in no CAR, Corrupt for one that has changed.
        """
        near = None if root.hash == IDENTITY else self._holding(root)
        last: tuple[CID, bytes] | None = None  # a file's type, size and bytes are asked of the same block

        def get_block(cid: CID) -> bytes:
            nonlocal last
            if cid.hash == IDENTITY:
                return cid.digest
            if last is None or last[0] != cid:
                last = cid, (near if near and cid in near else self._holding(cid)).read(cid)
            return last[1]

        return get_block

    def _holding(self, cid: CID) -> IndexedCar:
        for car in self._named:
            if cid in car:
                return car
        for path in self._paths(cid):
            if (found := self._indexed(path)) and found.damage:
                raise Corrupt(what=path, reason=found.damage)
            if found and cid in found:
                return found
        for path in self._folder_cars():
            if (found := self._indexed(path)) and cid in found:
                return found
        raise NotHere(cid=cid)

    def _paths(self, root: CID) -> list[Path]:
        """What the CAR of `root` is called, in either version of the CID."""
        if self._folder is None:
            return []
        names = [root]
        if root.codec == DAG_PB:
            names.append(CID(1 - root.version, DAG_PB, root.digest))
        return [self._folder / f"{name}.car" for name in names]

    def _folder_cars(self) -> list[Path]:
        return sorted(self._folder.glob("*.car")) if self._folder else []

    def _indexed(self, path: Path) -> IndexedCar | None:
        """The index of a CAR in the folder: made when the file is new or has changed, None when it is gone."""
        try:
            state = _state(path.stat())
            if (known := self._stored.get(path)) and known.state == state:
                return known
            with self._indexing:
                if (known := self._stored.get(path)) and known.state == state:
                    return known
                self._stored[path] = known = _index(path)
        except FileNotFoundError:
            self._stored.pop(path, None)
            return None
        except BadCar as error:
            log.error("%s", error)
            self._stored[path] = known = IndexedCar(path, state, damage=error.fields["reason"])
        return known


def _named(path: Path) -> IndexedCar:
    try:
        return _index(path)
    except OSError as error:
        raise BadArgument(
            name="CAR", value=str(path), expected=f"a file that can be read ({error.strerror})"
        ) from error
