"""Files that are either whole or absent, whatever kills the process; and files that somebody named, of which little is known."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO

from pipeline.base.errors import WorkspaceUnwritable


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Give a writable file that appears at `path`, synced, when the block ends well, and vanishes when it does not.

    Raises WorkspaceUnwritable for a full disk, a read-only folder and the like.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
        sync_folder(path.parent)
    except OSError as error:
        raise WorkspaceUnwritable(path=path, reason=error.strerror or str(error)) from error
    finally:
        with suppress(OSError):  # what went wrong above is what counts
            partial.unlink()


def write_whole(path: Path, data: bytes) -> None:
    """Write `data` to `path`: afterwards the file is complete and on the disk, or as it was."""
    with whole_file(path) as file:
        file.write(data)


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
