"""Files that are either whole or absent, whatever kills the process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power failure."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
