"""The folder that holds everything a run makes, and the lock that keeps a second run out.

ledger.sqlite            what was planned, drawn, pinned, signed, mined
images/<collection>/     <token id>.png, or the suffix of an image that existed before
car/                     <root CID>.car
chain/                   state of the embedded chain
backup/                  the ledger as it was before and after the last run
export/                  what `export` wrote
keys/                    keystore files that `account` made
judge/                   <digest of a collection's seed>.json, what `judge` learned
cache/                   thumbnails of the gallery; may be deleted at any time
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from pipeline.base.errors import WorkspaceLocked, WorkspaceUnwritable
from pipeline.base.files import folder_name


@dataclass(frozen=True, slots=True)
class Server:
    """A PostgreSQL database that keeps a ledger. A password is no part of its address."""

    url: str

    def __str__(self) -> str:
        parts = urlsplit(self.url)
        return f"postgresql://{parts.netloc.rpartition('@')[2]}{parts.path}"


@dataclass(frozen=True, slots=True)
class Workspace:
    """Paths in one workspace; nothing is created by naming them. `server` is the ledger's, where it is no file here."""

    folder: Path
    server: str = ""

    @property
    def ledger(self) -> Path | Server:
        return Server(self.server) if self.server else self.ledger_file

    @property
    def ledger_file(self) -> Path:
        """Where a ledger is that no server keeps."""
        return self.folder / "ledger.sqlite"

    @property
    def cars(self) -> Path:
        return self.folder / "car"

    @property
    def chain(self) -> Path:
        return self.folder / "chain"

    @property
    def keys(self) -> Path:
        return self.folder / "keys"

    @property
    def thumbnails(self) -> Path:
        return self.folder / "cache" / "thumbnails"

    def judge(self, collection_seed: int) -> Path:
        return self.folder / "judge" / f"{hashlib.sha256(str(collection_seed).encode()).hexdigest()[:16]}.json"

    def image(self, collection_id: int, token_id: int, suffix: str = ".png") -> Path:
        return self.folder / "images" / str(collection_id) / f"{token_id}{suffix}"

    def cover(self, collection_id: int, suffix: str) -> Path:
        return self.folder / "images" / str(collection_id) / f"cover{suffix}"

    def backup(self, when: str) -> Path:
        return self.folder / "backup" / f"ledger-{when}.sqlite"

    def export(self, collection: str) -> Path:
        """Where `export` writes: a folder of this workspace, whatever the collection is called."""
        return self.folder / "export" / folder_name(collection)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the workspace for writing. The system lets go of it however this process ends.

        Raises WorkspaceLocked when another run holds it, WorkspaceUnwritable when the folder cannot be written.
        """
        path = self.folder / "lock"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise WorkspaceUnwritable(path=self.folder, reason=error.strerror or str(error)) from error
        try:
            _lock(handle, self.folder)
            yield
        finally:
            os.close(handle)

    def is_locked(self) -> bool:
        """True while somebody holds it for writing."""
        try:
            handle = os.open(self.folder / "lock", os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(handle)
        return False


def _lock(handle: int, folder: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(handle, 20, 0).decode("ascii", "replace").strip()
        raise WorkspaceLocked(path=folder, holder=f" (process {holder})" if holder else "") from None
    try:
        os.ftruncate(handle, 0)
        os.pwrite(handle, str(os.getpid()).encode(), 0)
    except OSError as error:
        raise WorkspaceUnwritable(path=folder, reason=error.strerror or str(error)) from error
