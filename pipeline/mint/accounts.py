"""Accounts of one's own: keystore files that are made, imported and listed. No secret is ever returned or printed.

A keystore is Web3 Secret Storage, version 3, with scrypt: what geth, MetaMask and most wallets read and write.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.base.errors import KeyRefused
from pipeline.base.keyfiles import check_password, write_key_file
from pipeline.base.records import Address
from pipeline.mint.chain import checksummed
from pipeline.mint.signer import keystore_account, parsed_key, read_keystore

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

KEY_FORM = re.compile("(0x)?[0-9a-fA-F]{64}")


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


def _write(account: LocalAccount, folder: Path, out: Path | None, password: str) -> KeyFile:
    from eth_account import Account

    path = out or folder / f"{account.address}.json"
    write_key_file(path, json.dumps(Account.encrypt(account.key, password)).encode())
    return KeyFile(Address(account.address), path)
