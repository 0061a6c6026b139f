"""Files that hold a key: their owner's alone, never written over, encrypted with a password that somebody knows."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path

from pipeline.base.errors import KeyRefused, WorkspaceUnwritable
from pipeline.base.files import open_regular, sync_folder

LEAST_PASSWORD = 8  # characters; scrypt makes each guess cost a second, not a short password good


def write_key_file(path: Path, data: bytes) -> None:
    """Write a file that only its owner can read, and never over another: that one may hold the only copy of a key.

    Raises KeyRefused for a path that is taken, WorkspaceUnwritable for one that cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise KeyRefused(what=path, reason="it is there already", hint="it is left as it was; choose --out") from None
    except OSError as error:
        raise WorkspaceUnwritable(path=path, reason=error.strerror or str(error)) from error
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        sync_folder(path.parent)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise WorkspaceUnwritable(path=path, reason=error.strerror or str(error)) from error


def read_key_file(path: Path, limit: int, hint: str = "check the path", *, private: bool = True) -> bytes:
    """The content of a regular file: where it is `private`, of one that only its owner can read. Raises KeyRefused."""
    try:
        with open_regular(path) as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if private and os.name == "posix" and mode & 0o077:
                raise KeyRefused(what=path, reason=f"others can read it (mode {mode:04o})", hint=f"chmod 600 {path}")
            data = file.read(limit + 1)
    except OSError as error:
        raise KeyRefused(what=path, reason=error.strerror or str(error), hint=hint) from error
    if len(data) > limit:
        raise KeyRefused(what=path, reason=f"it has more than {limit >> 10} KiB", hint="check the path")
    return data


def check_password(password: str) -> None:
    """Raise KeyRefused for a password that is no protection."""
    if len(password) < LEAST_PASSWORD:
        raise KeyRefused(
            what="the password",
            reason=f"it has {len(password)} characters, {LEAST_PASSWORD} are needed",
            hint="choose a longer one: whoever copies the file can try passwords at home",
        )


def known_password(
    what: str, variable: str, environment: Mapping[str, str], ask: Callable[[str], str] | None, *, new: bool
) -> str:
    """The password of `what` from the environment's variable, or from a person, who types a `new` one twice.

    Raises KeyRefused when there is nobody to ask, or the two differ.
    """
    if variable in environment:
        return environment[variable]
    if ask is None:
        raise KeyRefused(what=what, reason="its password is not known", hint=f"set {variable}")
    password = ask(f"Password of {what}: ")
    if new and ask("The same again: ") != password:
        raise KeyRefused(what="the password", reason="the two are not the same", hint="nothing was written")
    return password
