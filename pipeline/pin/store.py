"""The embedded store: one CAR per root in a folder, named by the root. No daemon, and any IPFS node can import it.

<folder>/<root CID>.car
<folder>/incoming/          CARs that are being written; their root is known only at the end
"""

from __future__ import annotations

import hashlib
import itertools
import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pipeline.cid import CID
from pipeline.crash import crash_point
from pipeline.errors import BadArgument, BadCar, Corrupt, WorkspaceUnwritable
from pipeline.files import sync_folder, whole_file
from pipeline.pin import unixfs
from pipeline.pin.car import Car, CarWriter, Index, check_car, index_car
from pipeline.records import PinnedRoot

log = logging.getLogger(__name__)

MAX_INDEXES = 64  # kept in memory: a few hundred bytes per block
MAX_READ = 256 << 20  # bytes of one file read into memory at once
_serial = itertools.count()


@dataclass(frozen=True, slots=True)
class KnownFile:
    """A file on disk whose bytes must still hash to `sha256`."""

    path: Path
    sha256: bytes


Source = Path | bytes | KnownFile


class CarStore:
    """CARs in a folder. Also the built-in pinner `embedded`: what is stored here and reads back is pinned here."""

    name = "embedded"

    def __init__(self, folder: Path, profile: unixfs.Profile = unixfs.DEFAULT_PROFILE) -> None:
        self.folder = folder
        self.profile = profile
        self._indexes: dict[tuple[CID, int, int, int], Index] = {}  # by root and state of the file, oldest first

    def path(self, root: CID) -> Path:
        """Where the CAR of `root` is, or would be."""
        return self.folder / f"{root}.car"

    def put_directory(self, entries: Iterable[tuple[str, Source]]) -> PinnedRoot:
        """Store a directory with a file per entry, and return its root once it is on the disk.

        The same entries give the same bytes, in any order and at any time; storing them again changes nothing.
        Raises Corrupt when a file does not hash to what is known of it, or when the CAR in the store is not the one
        these entries give; WorkspaceUnwritable when the disk is full.
        """
        incoming = self.folder / "incoming" / f"{os.getpid()}-{next(_serial)}.car"
        in_order = sorted(entries, key=lambda entry: entry[0].encode(errors="replace"))
        with _writing(incoming.parent):
            incoming.parent.mkdir(parents=True, exist_ok=True)
            self._sweep(incoming.parent)
        try:
            with whole_file(incoming) as file:
                self._write(file, in_order)
                crash_point("car_not_written")
            fresh = _check(incoming)
            with _writing(self.folder):
                self._keep(incoming, fresh)
        finally:
            incoming.unlink(missing_ok=True)
        crash_point("car_written")
        return fresh

    def verify(self, root: CID) -> PinnedRoot:
        """Read a CAR again, to its last byte: every block hashes to its CID, and every link leads to a block.

        Raises Corrupt when it does not, or is not there.
        """
        path = self.path(root)
        try:
            found = _check(path)
        except FileNotFoundError as error:
            raise Corrupt(what=path, reason="it is missing") from error
        except BadCar as error:
            raise Corrupt(what=path, reason=error.fields["reason"]) from error
        if found.cid != root:
            raise Corrupt(what=path, reason=f"its root is {found.cid}")
        return found

    def open(self, root: CID) -> Car:
        """The blocks of one root; the caller closes it. A file is hashed when it is new here or has changed.

        Raises Corrupt.
        """
        path = self.path(root)
        try:
            state = path.stat()
            key = (root, state.st_ino, state.st_size, state.st_mtime_ns)
            index = self._indexes.get(key) or index_car(path)
            while len(self._indexes) >= MAX_INDEXES:
                self._indexes.pop(next(iter(self._indexes)), None)
            self._indexes[key] = index
            return Car(path, index)
        except FileNotFoundError as error:
            raise Corrupt(what=path, reason="it is missing") from error
        except BadCar as error:
            raise Corrupt(what=path, reason=error.fields["reason"]) from error

    def read(self, root: CID, path: str, limit: int = MAX_READ) -> bytes:
        """Read one file below `root`. Raises unixfs.NotInDag, unixfs.BadDag when over the limit, Corrupt, BadCar."""
        with self.open(root) as car:
            return unixfs.read_bytes(unixfs.resolve(root, path, car.get_block), car.get_block, limit)

    def roots(self) -> list[CID]:
        """Every root in this store, in order. Other files in the folder are not looked at."""
        roots = []
        for path in self.folder.glob("*.car"):
            try:
                roots.append(CID.parse(path.stem))
            except BadArgument:
                log.warning("%s is not named by a CID", path)
        return sorted(roots)

    def pin(self, car: Path, root: PinnedRoot, name: str) -> None:
        """Prove that this store holds `root`: read the CAR again. Raises Corrupt."""
        self.check(root)

    def check(self, root: PinnedRoot) -> None:
        """Read the CAR again. Raises Corrupt when it is not, byte for byte, the one that was recorded."""
        if self.verify(root.cid) != root:
            raise Corrupt(what=self.path(root.cid), reason="it is sound, but not the file that was recorded")

    def _write(self, file: BinaryIO, entries: list[tuple[str, Source]]) -> None:
        car = CarWriter(file, self.profile.cid_version)
        nodes = (
            (name, unixfs.add_file(_chunks(source, self.profile.chunk), car.put, self.profile))
            for name, source in entries
        )
        car.finish(unixfs.add_directory(nodes, car.put, self.profile).cid)

    def _keep(self, incoming: Path, fresh: PinnedRoot) -> None:
        path = self.path(fresh.cid)
        if not path.exists():
            os.replace(incoming, path)
            sync_folder(self.folder)
        elif _file_sha256(path) != fresh.car_sha256:
            raise Corrupt(
                what=path,
                reason="the same content gives another file",
                hint="move it away, then give the same command again: it is written anew",
            )

    def _sweep(self, incoming: Path) -> None:
        """Remove what a killed process left: the workspace has one writer at a time, so only our own files are alive."""
        for path in incoming.iterdir():
            if not path.name.lstrip(".").startswith(f"{os.getpid()}-"):
                log.info("removing the unfinished %s", path)
                path.unlink(missing_ok=True)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise WorkspaceUnwritable(path=path, reason=error.strerror or str(error)) from error


def _check(path: Path) -> PinnedRoot:
    with path.open("rb") as file:
        return check_car(file, path)


def _file_sha256(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _chunks(source: Source, size: int) -> Iterator[bytes]:
    """Cut a source into chunks. A file that cannot be read, or is not what it was, raises Corrupt."""
    if isinstance(source, bytes):
        yield from (source[at : at + size] for at in range(0, len(source), size))
        return
    path = source.path if isinstance(source, KnownFile) else source
    known = hashlib.sha256() if isinstance(source, KnownFile) else None
    try:
        file = path.open("rb")
    except OSError as error:
        raise Corrupt(what=path, reason=error.strerror) from error
    with file:
        while chunk := _read(file, size, path):
            if known:
                known.update(chunk)
            yield chunk
    if known and isinstance(source, KnownFile) and known.digest() != source.sha256:
        raise Corrupt(
            what=path,
            reason=f"its sha256 is {known.hexdigest()}, and was {source.sha256.hex()} when it was made",
            hint="nothing was sent; remove the file, then give the same command again: it is drawn again from its seed",
        )


def _read(file: BinaryIO, size: int, path: Path) -> bytes:
    # Kept apart from the code around it: an error while writing the CAR passes through there, and is another matter.
    try:
        return file.read(size)
    except OSError as error:
        raise Corrupt(what=path, reason=error.strerror) from error
