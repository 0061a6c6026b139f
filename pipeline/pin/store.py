"""The embedded store: one CAR per root in a folder, named by the root. No daemon, and any IPFS node can import it.

<folder>/<root CID>.car
<folder>/incoming/          CARs that are being written; a killed process's are gone on with
"""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import BinaryIO, NamedTuple

from pipeline.base.cid import CID, DAG_PB
from pipeline.base.crash import crash_point
from pipeline.base.errors import BadArgument, BadCar, Corrupt, WorkspaceUnwritable
from pipeline.base.files import open_regular, sync_folder
from pipeline.base.limits import FILE_BYTES
from pipeline.base.records import PinnedRoot
from pipeline.pin import Pinner, Rung, unixfs
from pipeline.pin.car import Car, CarWriter, Index, check_car, index_car

log = logging.getLogger(__name__)

RACY_NS = 50_000_000  # a file that changed so lately may change again without another time: clocks of disks tick slowly
MAX_INDEXES = 64  # kept in memory: a few hundred bytes per block


_BRING_BACK = (
    "nothing more was signed for it; put a copy back, or fetch it from whoever has it (pipeline repin --all --gateway URL),"
    " then give the same command again"
)


@dataclass(frozen=True, slots=True)
class KnownFile:
    """A file on disk whose bytes must still hash to `sha256`."""

    path: Path
    sha256: bytes


Source = Path | bytes | KnownFile


class FileState(NamedTuple):
    """What changes of a file whenever its bytes do; `changed_ns` cannot be set back."""

    inode: int
    size: int
    modified_ns: int
    changed_ns: int


class CarStore(Pinner):
    """CARs in a folder. Also the built-in pinner `embedded`: what is stored here and reads back is pinned here."""

    name = "embedded"

    def __init__(self, folder: Path, profile: unixfs.Profile = unixfs.DEFAULT_PROFILE) -> None:
        self.folder = folder
        self.profile = profile
        self._proved: dict[Path, tuple[FileState, bytes]] = {}  # files that were hashed, as they were then
        self._indexes: dict[tuple[CID, FileState], Index] = {}  # by root and state of the file, oldest first

    def path(self, root: CID) -> Path:
        """Where the CAR of `root` is, or would be."""
        return self.folder / f"{root}.car"

    def put_directory(self, entries: Iterable[tuple[str, Source]]) -> PinnedRoot:
        """Store a directory with a file per entry, and return its root once it is on the disk.

        The same entries give the same bytes, in any order and at any time; storing them again changes nothing.
        Raises Corrupt when a file does not hash to what is known of it, or when the CAR in the store is not the one
        these entries give; WorkspaceUnwritable when the disk is full.
        """
        in_order = sorted(entries, key=lambda entry: entry[0].encode(errors="replace"))
        # The root is known only at the end; what is written twice has the same names, so that is where it is looked for.
        names = hashlib.sha256("\0".join([self.profile.name, *(name for name, _ in in_order)]).encode(errors="replace"))
        incoming = self._incoming(names.hexdigest()[:32])
        self._sweep(incoming)
        with _resumable(incoming) as file:
            self._write(file, in_order)
            crash_point("car_not_written")
        return self._keep(incoming, _check(incoming))

    def restore(self, root: CID, bring: Callable[[unixfs.Put], object]) -> PinnedRoot:
        """Store a root that comes from elsewhere: `bring(put)` hands over its blocks, hashed, in any order.

        The file is byte for byte the one that `put_directory` would have written. Raises BadCar when blocks are
        missing, and whatever `bring` raises.
        """
        loose, incoming = self._incoming(f"{root}.loose"), self._incoming(str(root))
        try:
            with _resumable(loose) as file:
                writer = CarWriter(file, root.version)
                bring(writer.put)
                writer.finish(CID(root.version, DAG_PB, bytes(32)))
            with Car(loose) as blocks, _resumable(incoming) as file:
                writer = CarWriter(file, root.version)
                for cid, block in unixfs.as_built(root, blocks.get_block):
                    writer.put(cid, block)
                writer.finish(root)
        finally:
            loose.unlink(missing_ok=True)
        return self._keep(incoming, _check(incoming))

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

    def must_hold(self, root: PinnedRoot) -> None:
        """Raise Corrupt unless the CAR of a root is the file that was recorded: to be asked before anything is signed
        for it.

        It is hashed whatever its size, and once in a process: after that, size, times and inode say that it is the same.
        """
        path = self.path(root.cid)
        try:
            same = self._sha256(path) == root.car_sha256
        except OSError as error:
            reason = "it is missing" if isinstance(error, FileNotFoundError) else error.strerror or str(error)
            raise Corrupt(what=path, reason=reason, hint=_BRING_BACK) from error
        if not same:
            raise Corrupt(what=path, reason="it is not the file that was recorded", hint=_BRING_BACK)

    def _sha256(self, path: Path) -> bytes:
        """The hash of a file, read again where it may have changed since. Raises OSError."""
        before = _state(path)
        known = self._proved.get(path)
        if known and known[0] == before:
            return known[1]
        began, digest = time.time_ns(), _file_sha256(path)
        if _state(path) == before and began - before.changed_ns > RACY_NS:
            self._proved[path] = before, digest
        return digest

    def open(self, root: CID) -> Car:
        """The blocks of one root; the caller closes it. A file is hashed when it is new here or has changed.

        Raises Corrupt.
        """
        path = self.path(root)
        try:
            key = (root, _state(path))
            index = self._indexes.get(key) or index_car(path)
            while len(self._indexes) >= MAX_INDEXES:
                self._indexes.pop(next(iter(self._indexes)), None)
            self._indexes[key] = index
            return Car(path, index)
        except FileNotFoundError as error:
            raise Corrupt(what=path, reason="it is missing") from error
        except BadCar as error:
            raise Corrupt(what=path, reason=error.fields["reason"]) from error

    def read(self, root: CID, path: str, limit: int = FILE_BYTES) -> bytes:
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

    def unpin(self, root: PinnedRoot) -> None:
        """Remove the CAR. There is nothing to collect: no root shares a block with another."""
        self.path(root.cid).unlink(missing_ok=True)
        if self.folder.exists():
            sync_folder(self.folder)

    def set_aside(self, root: CID) -> Path:
        """Rename the CAR of a root to what nobody reads, and never remove it: what is damaged may still be of use."""
        path = self.path(root)
        names = (path.with_name(f"{path.name}.damaged{number or ''}") for number in count())
        aside = next(name for name in names if not name.exists())
        with _writing(path):
            os.rename(path, aside)
            sync_folder(self.folder)
        return aside

    def rungs(self, root: PinnedRoot) -> Sequence[Rung]:
        """Read the CAR again: it must be, byte for byte, the one that was recorded. Raises Corrupt."""

        def read() -> str:
            if self.verify(root.cid) != root:
                raise Corrupt(what=self.path(root.cid), reason="it is sound, but not the file that was recorded")
            return f"{root.blocks:,} blocks of {root.block_bytes:,} bytes in {self.path(root.cid).name}, each hashed"

        return (("CAR", read),)

    def _write(self, file: BinaryIO, entries: list[tuple[str, Source]]) -> None:
        car = CarWriter(file, self.profile.cid_version)
        nodes = (
            (name, unixfs.add_file(_chunks(source, self.profile.chunk), car.put, self.profile))
            for name, source in entries
        )
        car.finish(unixfs.add_directory(nodes, car.put, self.profile).cid)

    def _incoming(self, name: str) -> Path:
        return self.folder / "incoming" / f"{name}.car"

    def _keep(self, incoming: Path, fresh: PinnedRoot) -> PinnedRoot:
        path = self.path(fresh.cid)
        with _writing(self.folder):
            if known := path.exists():
                incoming.unlink()
            else:
                os.replace(incoming, path)
                sync_folder(self.folder)
        if known and _file_sha256(path) != fresh.car_sha256:
            raise Corrupt(
                what=path,
                reason="the same content gives another file",
                hint="move it away, then give the same command again: it is written anew",
            )
        crash_point("car_written")
        return fresh

    def _sweep(self, keep: Path) -> None:
        """Remove what killed processes left and nobody goes on with: the workspace has one writer at a time."""
        with _writing(keep.parent):
            keep.parent.mkdir(parents=True, exist_ok=True)
            for path in keep.parent.iterdir():
                if path != keep:
                    log.info("removing the unfinished %s", path)
                    path.unlink(missing_ok=True)


@contextmanager
def _resumable(path: Path) -> Iterator[BinaryIO]:
    """Give the file of a killed process, or a new one; synced when the block ends, and removed when it raises.

    Raises WorkspaceUnwritable for a full disk and the like.
    """
    try:
        with _writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644), "r+b") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
    except Exception:
        with suppress(OSError):  # what went wrong above is what counts
            path.unlink(missing_ok=True)
        raise


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise WorkspaceUnwritable(path=path, reason=error.strerror or str(error)) from error


def _check(path: Path) -> PinnedRoot:
    with open_regular(path) as file:
        return check_car(file, path)


def _state(path: Path) -> FileState:
    state = path.stat()
    return FileState(state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)


def _file_sha256(path: Path) -> bytes:
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").digest()


def _chunks(source: Source, size: int) -> Iterator[bytes]:
    """Cut a source into chunks. A file that cannot be read, or is not what it was, raises Corrupt."""
    if isinstance(source, bytes):
        yield from (source[at : at + size] for at in range(0, len(source), size))
        return
    path = source.path if isinstance(source, KnownFile) else source
    known = hashlib.sha256() if isinstance(source, KnownFile) else None
    try:
        file = open_regular(path)
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
