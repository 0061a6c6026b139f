"""Files that are either whole or absent, whatever kills the process; and files that somebody named, of which little is known."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import stat
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from hashlib import sha256
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO

from pipeline.base.crash import crash_point
from pipeline.base.errors import WorkspaceUnwritable

TOGETHER = 8  # threads that sync: a file system's journal makes all durable at once that wait for it


@contextmanager
def whole_file(path: Path, *, durable: bool = True) -> Iterator[BinaryIO]:
    """Give a writable file that appears at `path`, synced, when the block ends well, and vanishes when it does not.

    One that is not to be `durable` yet is whole whatever kills the process, and survives a power failure once it was given
    to `make_durable`. What a killed process left of the same file is written over. Raises WorkspaceUnwritable for a full disk, a read-only
    folder and the like.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial, handle = _partial(path)
        with os.fdopen(handle, "w+b") as file:
            try:
                yield file
                file.flush()
                if durable:
                    os.fsync(file.fileno())
                os.replace(partial, path)
            except BaseException:
                with suppress(OSError):  # what went wrong above is what counts
                    partial.unlink()  # while the lock is held: later it may be somebody else's
                raise
        if durable:
            sync_folder(path.parent)
    except OSError as error:
        raise WorkspaceUnwritable(path=path, reason=error.strerror or str(error)) from error


def _partial(path: Path) -> tuple[Path, int]:
    """An empty file beside `path`, and its handle. Its name is always the same, so that no killed process's is left,
    unless somebody who lives writes the same file at this moment: the lock on it tells, and goes with its process.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    usual = path.with_name(f".{path.name}.partial")
    handle = os.open(usual, flags, 0o666)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(handle), os.stat(usual)):  # or it became the whole file just now
            os.ftruncate(handle, 0)
            return usual, handle
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(handle)
    other = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.partial")
    return other, os.open(other, flags | os.O_TRUNC, 0o666)


def write_whole(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Write `data` to `path`: afterwards the file is complete and on the disk, or as it was; see `whole_file`."""
    with whole_file(path, durable=durable) as file:
        file.write(data)


def make_durable(paths: Sequence[Path]) -> None:
    """Make whole files survive a power failure: the data of each first, then the names in their folders.

    A group costs a small part of what its files cost one by one. Raises WorkspaceUnwritable.
    """
    from concurrent.futures import ThreadPoolExecutor

    def sync(path: Path) -> None:
        try:
            with open_regular(path) as file:
                os.fsync(file.fileno())
        except OSError as error:
            raise WorkspaceUnwritable(path=path, reason=error.strerror or str(error)) from error

    if len(paths) > 1:
        with ThreadPoolExecutor(min(TOGETHER, len(paths)), "sync") as pool:
            list(pool.map(sync, paths))
    else:
        list(map(sync, paths))
    crash_point("data_durable")
    for folder in dict.fromkeys(path.parent for path in paths):
        try:
            sync_folder(folder)
        except OSError as error:
            raise WorkspaceUnwritable(path=folder, reason=error.strerror or str(error)) from error
    crash_point("names_durable")


def open_regular(path: Path) -> BufferedReader:
    """A regular file for reading, to be closed. Raises OSError, with its reason in `strerror`, for what is missing or none.

    A pipe would be waited for and a device read for ever, whatever their size is said to be.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NONBLOCK", 0))
    except ValueError as error:  # a name with a zero byte in it
        raise FileNotFoundError(errno.ENOENT, "it cannot be the name of a file", str(path)) from error
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "it is no plain file", str(path))
    return os.fdopen(handle, "rb")


def read_regular(path: Path, limit: int) -> bytes:
    """The bytes of a regular file of at most `limit` bytes. Raises OSError, with its reason in `strerror`."""
    with open_regular(path) as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        size = f"{limit >> 20} MiB" if limit >= 1 << 20 else f"{limit >> 10} KiB"
        raise OSError(errno.EFBIG, f"it has more than {size}", str(path))
    return data


def is_there(path: Path) -> bool:
    """Whether something lies at a path, or a link, whose name somebody else chose: none does at one that no disk could hold."""
    try:
        path.lstat()
    except (OSError, ValueError):  # too long, not there, a zero byte
        return False
    return True


def folder_name(name: str) -> str:
    """A name of anybody's as that of one folder: itself where it is plain, else what is plain of it, and a digest."""
    plain = re.sub(r"[^\w .()+,'&!-]", "", name).strip(". ")[:60]
    if name and plain == name:
        return name
    return f"{plain or 'collection'}-{sha256(name.encode('utf-8', 'replace')).hexdigest()[:8]}"


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power failure."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
