"""Verbs about what is around a collection: `account`, `devnet`, `config`."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.base.errors import BadArgument
from pipeline.base.keyfiles import known_password
from pipeline.base.secrets import KEYSTORE_PASSWORD, shown_url, shown_value
from pipeline.cli.call import Call, Verb, say
from pipeline.cli.minting import EVERYTHING
from pipeline.cli.tables import print_json, print_table
from pipeline.settings import Scope, Setting, Settings, every_setting

if TYPE_CHECKING:
    from pipeline.mint.accounts import KeyFile

SHOWN_ACCOUNTS = 3  # of a development chain
MAX_KEY_TEXT = 200  # characters read where a private key of 66 is expected


def _account(call: Call) -> int:
    from pipeline.mint.accounts import key_files, refuse_key

    action, file = call.arguments.action, call.arguments.file
    refuse_key(file)
    if file and action != "import":
        raise BadArgument(name=f"account {action}", value=file, expected="nothing more")
    found = key_files(call.workspace.keys) if action == "list" else [_made_key_file(call, action, file)]
    rows = [{"address": entry.address, "file": str(entry.path)} for entry in found]
    if call.as_json:
        print_json(rows if action == "list" else rows[0])
    elif rows:
        print_table(("address", "file"), [(row["address"], row["file"]) for row in rows])
    else:
        say("there is no keystore file here yet.")
        call.next("makes a new account", "account", "new")
    if action != "list":
        say(f"send {rows[0]['address']} what minting costs; keep a copy of the file and its password in a safe place.")
        say(f"then `mint` with --rpc-url and --keystore {shlex.quote(rows[0]['file'])} mints with this account.")
    return 0


def _made_key_file(call: Call, action: str, file: str) -> KeyFile:
    from pipeline.cli.terminal import person_here
    from pipeline.mint.accounts import import_key, import_keystore, new_account

    ask = person_here().ask_password
    folder, out = call.workspace.keys, Path(call.arguments.out) if call.arguments.out else None
    if action == "new":
        return new_account(folder, out, _password(ask, new=True))
    if file:
        return import_keystore(folder, out, Path(file), _password(ask, new=False))
    key = ask("Private key (64 hex digits): ") if ask else sys.stdin.read(MAX_KEY_TEXT)
    return import_key(folder, out, key, _password(ask, new=True))


def _password(ask: Callable[[str], str] | None, *, new: bool) -> str:
    return known_password("the keystore", KEYSTORE_PASSWORD, os.environ, ask, new=new)


def _devnet(call: Call) -> int:
    from pipeline.mint.devnet import BALANCE_ETHER, CHAIN_IDS, devnet, funded

    kind = call.config.chain.chain
    accounts = funded(kind, SHOWN_ACCOUNTS)
    with devnet(call.workspace.chain / kind, kind) as url:
        if call.as_json:
            addresses, keys = [address for address, _ in accounts], [key for _, key in accounts]
            more = {"chain_id": CHAIN_IDS[kind], "currency": "ETH", "accounts": addresses, "private_keys": keys}
            print_json({"rpc_url": url, "chain": kind, **more})
        else:
            print(url)
            print(f"chain id  {CHAIN_IDS[kind]}\ncurrency  ETH")
            for address, key in accounts:
                print(f"account   {address}\n    key   {key}")
        sys.stdout.flush()
        say(
            f"each account began with {BALANCE_ETHER:,} ETH of no worth. These keys are public: never send them anything real."
        )
        say("in a wallet: add a network by hand with the address, chain id and currency above, then import a key.")
        say(f"{kind} answers at {url}; its state stays in {call.workspace.chain / kind}. Ctrl-C ends it.")
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()
    return 0


def _config(call: Call) -> int:
    rows = [
        {
            "setting": line.key,
            "value": _shown(call.config, line),
            "source": call.config.source(line.name),
            "flag": line.flag,
            "variable": line.variable,
            "help": line.help,
        }
        for line in every_setting()
    ]
    if call.as_json:
        print_json(rows)
    else:
        print_table(
            ("setting", "value", "from", "meaning"),
            [(r["setting"], r["value"], r["source"], r["help"]) for r in rows],
            wrap=True,
        )
    return 0


def _shown(settings: Settings, line: Setting) -> Any:
    """A value as JSON has it and as it may be shown: the address of a server loses whatever could carry a key."""
    value, text = settings.value(line.name), settings.text(line.name)
    if line.scope in (Scope.PLACE, Scope.NODE, Scope.KEY) and "://" in text:
        return shown_url(text)
    return text if value is None else shown_value(value)


VERBS = (
    Verb(
        "account",
        _account,
        "keystore files: make one, list them, import a key",
        (
            "account new",
            "account list",
            "account import < key.txt",
            "account import geth-keystore.json --out key.json",
        ),
        (),
        (
            ("action", {"metavar": "new|list|import", "choices": ("new", "list", "import"), "help": "what to do"}),
            ("file", {"metavar": "FILE", "nargs": "?", "default": "", "help": "keystore file to import, if it is one"}),
            ("--out", {"metavar": "FILE", "help": "keystore file to write (keys/ in the workspace)"}),
        ),
    ),
    Verb(
        "devnet",
        _devnet,
        "run the embedded chain in the foreground, for wallets",
        ("devnet", "devnet --chain ganache"),
        ("chain",),
        ended="the chain is closed. Its state is kept: nothing of it is lost.",
    ),
    Verb(
        "config",
        _config,
        "every setting, its value, and where it came from",
        ("config", "config --json"),
        EVERYTHING,
    ),
)
