"""Accounts of one's own: keystore files that are made, imported and listed. No secret is ever returned or printed.

A keystore is Web3 Secret Storage, version 3, with scrypt: what geth, MetaMask and most wallets read and write.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.base.errors import KeyRefused, WorkspaceUnwritable
from pipeline.base.files import sync_folder
from pipeline.base.records import Address
from pipeline.base.secrets import KEYSTORE_PASSWORD
from pipeline.mint.chain import checksummed
from pipeline.mint.signer import keystore_account, parsed_key, read_keystore

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

KEY_FORM = re.compile("(0x)?[0-9a-fA-F]{64}")
LEAST_PASSWORD = 8  # characters; scrypt makes each guess cost a second, not a short password good


@dataclass(frozen=True, slots=True)
class KeyFile:
    """A keystore file and the account it says it is for."""

    address: Address
    path: Path


def new_account(folder: Path, out: Path | None, password: str) -> KeyFile:
    """A new random account in a keystore file: `out`, or one named by its address in `folder`.

    Raises KeyRefused for a weak password or a file that is there already.
    """
    from eth_account import Account

    check_password(password)
    return _write(Account.create(), folder, out, password)


def import_key(folder: Path, out: Path | None, key: str, password: str) -> KeyFile:
    """A keystore file for a private key given as hex digits. Raises KeyRefused like `new_account`, or for no key."""
    check_password(password)
    return _write(parsed_key(key, "the private key"), folder, out, password)


def import_keystore(folder: Path, out: Path | None, source: Path, password: str) -> KeyFile:
    """A copy of a keystore file, encrypted anew with its own password once that has proved right."""
    account = keystore_account(source, password)
    check_password(password)
    return _write(account, folder, out, password)


def key_files(folder: Path) -> list[KeyFile]:
    """The keystore files of a folder, by name. Files that are none are left out."""
    found = []
    for path in sorted(folder.glob("*.json")):
        try:
            found.append(KeyFile(stated_address(path), path))
        except KeyRefused:
            continue
    return found


def stated_address(path: Path) -> Address:
    """The account that a keystore file says it is for, without its password. Raises KeyRefused when it says none."""
    try:
        return checksummed("0x" + str(read_keystore(path)["address"]).removeprefix("0x"))
    except (KeyError, ValueError) as error:
        raise KeyRefused(what=path, reason="it does not name its account", hint="") from error


def refuse_key(word: str) -> None:
    """Raise KeyRefused for a word of the command line that is a private key: it is no secret any more."""
    if KEY_FORM.fullmatch(word):
        raise KeyRefused(
            what="a private key on the command line",
            reason="every process of this machine can read it there, and the shell remembers it",
            hint="give it on stdin: `pipeline account import`; better, use another key",
        )


def check_password(password: str) -> None:
    """Raise KeyRefused for a password that is no protection."""
    if len(password) < LEAST_PASSWORD:
        raise KeyRefused(
            what="the password",
            reason=f"it has {len(password)} characters, {LEAST_PASSWORD} are needed",
            hint="choose a longer one: whoever copies the file can try passwords at home",
        )


def known_password(environment: Mapping[str, str], ask: Callable[[str], str] | None, *, new: bool) -> str:
    """The password from PIPELINE_KEYSTORE_PASSWORD, or from a person, who types a `new` one twice.

    Raises KeyRefused when there is nobody to ask, or the two differ.
    """
    if KEYSTORE_PASSWORD in environment:
        return environment[KEYSTORE_PASSWORD]
    if ask is None:
        raise KeyRefused(what="the keystore", reason="its password is not known", hint=f"set {KEYSTORE_PASSWORD}")
    password = ask("Password for the keystore: ")
    if new and ask("The same again: ") != password:
        raise KeyRefused(what="the password", reason="the two are not the same", hint="nothing was written")
    return password


def _write(account: LocalAccount, folder: Path, out: Path | None, password: str) -> KeyFile:
    """Write the file as its owner's alone, and never over another: that one may hold the only copy of a key."""
    from eth_account import Account

    path = out or folder / f"{account.address}.json"
    content = json.dumps(Account.encrypt(account.key, password)).encode()
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise KeyRefused(what=path, reason="it is there already", hint="it is left as it was; choose --out") from None
    except OSError as error:
        raise WorkspaceUnwritable(path=path, reason=error.strerror or str(error)) from error
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        sync_folder(path.parent)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise WorkspaceUnwritable(path=path, reason=error.strerror or str(error)) from error
    return KeyFile(Address(account.address), path)
