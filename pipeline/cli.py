"""The command line: words in, words out. It decides nothing.

stdout carries the result and nothing else; progress, notices and errors go to stderr. `--json` changes the form of a
result, never its content. Exit codes: 0 all done, 1 error, 2 usage or configuration, 3 some tokens failed, 130
interrupted and resumable (143 when terminated).
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from pipeline import __version__
from pipeline.config import MAX_COUNT, SETTINGS, Config, Expected, load_config, whole
from pipeline.errors import BadArgument, Interrupted, PipelineError
from pipeline.mint.fees import GWEI
from pipeline.tables import ether, print_json, print_table, ranges, short, short_uri
from pipeline.workspace import Workspace

if TYPE_CHECKING:
    from pipeline.mint.accounts import KeyFile

DEFAULT_WORKSPACE = "workspace"
LONG_TABLE = 100  # rows after which nobody reads on
MAX_KEY_TEXT = 200  # characters read where a private key of 66 is expected
MAX_TOKEN_ID = 2**48 - 1  # of the contract
MAX_BLOCK = 2**53  # a chain with a block each millisecond gets there in 285,000 years
SIGPIPE_EXIT = 141  # what a shell reports for a program that a closed pipe ended

_LIMITS = ("max_fee_gwei", "max_transaction_eth", "max_run_eth", "max_day_eth")
_MINT_SETTINGS = (
    *("name", "symbol", "description", "external_url", "royalty_bps", "royalty_receiver", "cover", "max_supply"),
    *("model", "size", "seed", "device", "threads", "pin", "ipfs_api", "chain", "rpc_url", "network"),
    *("keystore", "signer_url", "signer_address", "confirmations", "to", "batch", *_LIMITS),
)


@dataclass(frozen=True, slots=True)
class Call:
    """What a verb gets: its arguments, the settings in force, the workspace, and where to write."""

    arguments: argparse.Namespace
    config: Config
    workspace: Workspace

    @property
    def as_json(self) -> bool:
        return bool(self.arguments.json)


def entry() -> NoReturn:
    """Run the program with this process's arguments, and exit."""
    signal.signal(signal.SIGTERM, _terminate)
    code = main(sys.argv[1:])
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.flush()
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nothing left to fail at interpreter exit
    sys.exit(code)


class _Terminated(BaseException):
    """SIGTERM: unwinds like Ctrl-C, with an exit code of its own."""


def _terminate(*_: object) -> NoReturn:
    raise _Terminated


def main(words: Sequence[str]) -> int:
    """Run one command line and return its exit code."""
    try:
        parser = _parser()
        arguments = parser.parse_args(words, argparse.Namespace(workspace=DEFAULT_WORKSPACE, json=False))
        if arguments.verb is None:
            parser.print_help()
            return 0
        flags = {setting.name: getattr(arguments, setting.name, None) for setting in SETTINGS}
        config = load_config(flags, os.environ, Path.cwd())
        code: int = arguments.run(Call(arguments, config, Workspace(Path(arguments.workspace))))
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        return SIGPIPE_EXIT
    except (KeyboardInterrupt, Interrupted):
        _say("\ninterrupted: everything so far is recorded. Give the same command again: it continues.")
        return Interrupted.exit_code
    except _Terminated:
        _say("\nterminated: everything so far is recorded. Give the same command again: it continues.")
        return 128 + signal.SIGTERM
    except PipelineError as error:
        _say(f"error: {error}" + (f"\n  → {error.hint}" if error.hint else ""))
        return error.exit_code


# ── verbs ────────────────────────────────────────────────────────────────────────────────────────────────────


def _mint(call: Call) -> int:
    from pipeline.ledger import Ledger
    from pipeline.report import run_report
    from pipeline.run import mint_run
    from pipeline.terminal import person_here, progress_on_stderr

    count = None if call.arguments.count is None else _number("--count", call.arguments.count, 1, MAX_COUNT)
    if call.arguments.dry_run:
        return _tell_bill(call, count)
    with progress_on_stderr() as observer:
        outcome = mint_run(
            call.config,
            count,
            call.workspace,
            observer,
            more=call.arguments.more,
            new=call.arguments.new,
            person=person_here(call.arguments.confirm_name),
        )
    with Ledger(call.workspace.ledger) as ledger:
        report = run_report(ledger, outcome)
        if call.as_json:
            print_json(report)
        else:
            _print_tokens(report)
        sys.stdout.flush()
        outcome.mark_reported(ledger)
    if not outcome.fresh:
        _say(
            f"this run was complete before: nothing was sent. `--more` adds tokens to {outcome.collection.name!r}, "
            "`--new` (or a new `--name`) starts another collection."
        )
    _next("pipeline verify", "proves every token from the chain back to its pixels")
    return 0


def _tell_bill(call: Call, count: int | None) -> int:
    from pipeline.bill import dry_run

    bill = dry_run(call.config, count, call.workspace, more=call.arguments.more, new=call.arguments.new)
    if call.as_json:
        print_json(bill)
        return 0
    shown = bill["lines"][:LONG_TABLE]
    rows = [(line["what"], f"{line['gas']:,}", ether(line["wei"])) for line in shown]
    if len(shown) < len(bill["lines"]):
        rows.append((f"… {len(bill['lines']) - len(shown):,} more", "", ""))
    rows.append((f"all {bill['tokens']:,} tokens", f"{bill['gas']:,}", ether(bill["wei"])))
    rows.append(("each token", "", ether(bill["wei_per_token"])))
    print_table(("transaction", "gas", "ETH"), rows)
    if bill["alternatives"]:
        others = [(o["name"], f"{o['gas']:,}", ether(o["wei"]), f"{o['times']}×") for o in bill["alternatives"]]
        print_table(("the same with", "gas", "ETH", "of the above"), others)
    base, tip = bill["base_fee_wei"] / GWEI, bill["priority_fee_wei"] / GWEI
    _say(f"at a base fee of {base:g} gwei and {tip:g} gwei for the block's maker, on chain {bill['chain_id']} now.")
    if bill["node_estimates_deploy"]:
        _say(f"the node's own estimate of the deployment: {bill['node_estimates_deploy']:,} gas.")
    if bill["balance_wei"] is not None and bill["balance_wei"] < bill["wei"]:
        _say(f"{bill['payer']} has {ether(bill['balance_wei'])} ETH: not enough.")
    _say("a rollup's fee for its data on Ethereum comes on top. Nothing was planned, signed or sent.")
    return 0


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
    else:
        print_table(("address", "file"), [(row["address"], row["file"]) for row in rows])
    if action != "list":
        _say(f"send {rows[0]['address']} what minting costs; keep a copy of the file and its password in a safe place.")
        _next(f"pipeline mint --count 50 --rpc-url … --keystore {rows[0]['file']}", "mints with this account")
    return 0


def _made_key_file(call: Call, action: str, file: str) -> KeyFile:
    from pipeline.mint.accounts import import_key, import_keystore, known_password, new_account
    from pipeline.terminal import person_here

    ask = person_here().ask_password
    folder, out = call.workspace.keys, Path(call.arguments.out) if call.arguments.out else None
    if action == "new":
        return new_account(folder, out, known_password(os.environ, ask, new=True))
    if file:
        return import_keystore(folder, out, Path(file), known_password(os.environ, ask, new=False))
    key = ask("Private key (64 hex digits): ") if ask else sys.stdin.read(MAX_KEY_TEXT)
    return import_key(folder, out, key, known_password(os.environ, ask, new=True))


def _number(name: str, text: str, low: int, high: int) -> int:
    """A whole number of the command line. Raises BadArgument."""
    try:
        return whole(low, high)(text)
    except Expected as expected:
        raise BadArgument(name=name, value=text, expected=str(expected)) from None


def _status(call: Call) -> int:
    from pipeline.report import status_report

    report = status_report(call.workspace, call.config)
    if call.as_json:
        print_json(report)
        return 0
    if not report["collections"]:
        _say(f"{call.workspace.folder} holds no collection yet.")
        _next("pipeline mint --count 50", "makes one")
        return 0
    print_table(
        ("collection", "contract", "chain", "drawn", "pinned", "minted", "final", "state"),
        [
            (
                c["name"],
                short(c["contract"]),
                c["chain_id"],
                c["drawn"],
                c["pinned"],
                c["minted"],
                c["final"],
                c["state"],
            )
            for c in report["collections"]
        ],
    )
    if report["unfinished"]:
        _next(report["unfinished"], "finishes the run that was interrupted")
    else:
        _next("pipeline show 1", "shows a token")
    return 0


def _show(call: Call) -> int:
    from pipeline.report import token_report

    report = token_report(call.workspace, _name(call), _number("token id", call.arguments.token_id, 1, MAX_TOKEN_ID))
    if call.as_json:
        print_json(report)
        return 0
    rows = [
        (key.replace("_", " "), ", ".join(value) if isinstance(value, list) else value)
        for key, value in report.items()
        if key != "attributes"
    ]
    print_table(("", ""), rows, wrap=True)
    if report["attributes"]:
        print_table(("attribute", "value"), [(a["trait_type"], a["value"]) for a in report["attributes"]])
    return 0


def _owners(call: Call) -> int:
    from pipeline.report import owners_report

    at = call.arguments.at
    report = owners_report(
        call.workspace, call.config, _name(call), None if at is None else _number("--at", at, 0, MAX_BLOCK)
    )
    if call.as_json:
        print_json(report)
        return 0
    print_table(
        ("owner", "tokens", "token ids"),
        [(o["owner"], len(o["token_ids"]), ranges(o["token_ids"])) for o in report["owners"]],
    )
    _say(f"as of block {report['block_number']:,}")
    return 0


def _transfer(call: Call) -> int:
    from pipeline.terminal import person_here, progress_on_stderr
    from pipeline.transfer import transfer

    token_id = _number("token id", call.arguments.token_id, 1, MAX_TOKEN_ID)
    with progress_on_stderr() as observer:
        report = transfer(
            call.workspace,
            call.config,
            _name(call),
            token_id,
            call.arguments.recipient,
            observer,
            person_here().ask_password,
        )
    if call.as_json:
        print_json(report)
    else:
        print_table(("", ""), [(key.replace("_", " "), value) for key, value in report.items()], wrap=True)
    if not report["sent"]:
        _say(f"{report['owner']} had token {token_id} before this call: nothing was sent.")
    _next("pipeline owners", "who owns what now")
    return 0


def _verify(call: Call) -> int:
    from pipeline.terminal import progress_on_stderr
    from pipeline.verify import verify

    with progress_on_stderr() as observer:
        report = verify(call.workspace, call.config, _name(call), observer)
    if call.as_json:
        print_json(report.as_dict())
    else:
        print_table(
            ("", "check", "found"),
            [("✓" if check.ok else "✗", check.name, check.detail) for check in report.checks],
            wrap=True,
        )
        _say("every check holds." if report.ok else "some checks failed: see ✗ above.")
    return 0 if report.ok else 1


def _repair(call: Call) -> int:
    from pipeline.repair import repair
    from pipeline.terminal import progress_on_stderr

    with progress_on_stderr() as observer:
        report = repair(call.workspace, call.config, call.arguments.contract, observer)
    if call.as_json:
        print_json(report)
    else:
        print_table(("", ""), [(key.replace("_", " "), value) for key, value in report.items()], wrap=True)
    if report["seed_is_new"]:
        _say("the collection's seed is on no chain: tokens to come are drawn from a new one, unless --seed is given.")
    _next("pipeline verify", "proves every token from the chain back to its pixels")
    return 0


def _export(call: Call) -> int:
    from pipeline.export import export

    formats = tuple(call.arguments.format.split(","))
    paths = export(call.workspace, _name(call), formats, call.arguments.out and Path(call.arguments.out))
    if call.as_json:
        print_json({"files": [str(path) for path in paths]})
    else:
        for path in paths:
            print(path)
    return 0


def _compile(call: Call) -> int:
    from pipeline.source import source_report

    out = call.arguments.out or call.workspace.folder / "export" / "verification"
    report = source_report(call.config, call.workspace, _name(call), Path(out) if call.arguments.verify else None)
    if call.as_json:
        print_json(report)
    else:
        rows = [(key.replace("_", " "), value) for key, value in report.items() if not isinstance(value, list)]
        print_table(("", ""), [*rows, *(("file", file) for file in report["files"])], wrap=True)
    if report["files"]:
        _say(
            "Sourcify and Etherscan take standard-input.json with the contract and compiler named above; "
            "Etherscan wants the constructor arguments as well."
        )
    return 0 if report["matches_artifact"] and report["matches_chain"] is not False else 1


def _devnet(call: Call) -> int:
    from pipeline.mint.devnet import devnet

    kind = call.config["chain"]
    with devnet(call.workspace.chain / kind, kind) as url:
        if call.as_json:
            print_json({"rpc_url": url, "chain": kind})
        else:
            print(url)
        sys.stdout.flush()
        _say(f"{kind} answers at {url}; its state stays in {call.workspace.chain / kind}. Ctrl-C ends it.")
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()
    return 0


def _config(call: Call) -> int:
    rows = [
        {
            "setting": setting.key,
            "value": _shown(setting.name, call.config[setting.name]),
            "source": call.config.values[setting.name].source,
            "flag": setting.flag,
            "variable": setting.variable,
            "help": setting.help,
        }
        for setting in SETTINGS
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


def _shown(name: str, value: Any) -> Any:
    """A setting's value as it may be shown: addresses of nodes lose whatever could carry a key."""
    if name in ("rpc_url", "signer_url", "ipfs_api", "external_url") and "://" in str(value):
        from pipeline.mint.rpc import shown

        return shown(value)
    return value


# ── words ────────────────────────────────────────────────────────────────────────────────────────────────────


def _say(text: str) -> None:
    """Tell the person something that is not the result; a closed stderr is no reason to stop."""
    with contextlib.suppress(OSError):
        print(text, file=sys.stderr, flush=True)


def _next(command: str, why: str) -> None:
    _say(f"next: {command}   ({why})")


def _print_tokens(report: dict[str, Any]) -> None:
    print_table(
        ("token id", "owner", "token URI", "transaction"),
        [(t["token_id"], short(t["owner"]), short_uri(t["token_uri"]), short(t["tx"])) for t in report["tokens"]],
    )
    _say(
        f"{len(report['tokens']):,} tokens of {report['name']!r} at {report['contract']} on chain {report['chain_id']}"
    )
    if report["explorer"]:
        _say(report["explorer"])
    if report["seconds"]:
        _say("  ".join(f"{stage} {seconds:.1f} s" for stage, seconds in report["seconds"].items()))


def _name(call: Call) -> str | None:
    return call.config["name"] if call.config.given("name") else None


# ── the parser ───────────────────────────────────────────────────────────────────────────────────────────────


class _Parser(argparse.ArgumentParser):
    """Errors in the same form as all others, and with the next step."""

    def error(self, message: str) -> NoReturn:
        told = re.sub("[0-9a-fA-F]{64,}", "…", message)  # somebody may have typed a private key
        _say(f"error: {told}\n  → `{self.prog} --help` shows examples")
        sys.exit(2)


@dataclass(frozen=True, slots=True)
class _Verb:
    """One line of the command line: what it runs, its own arguments, and the settings that it takes as flags."""

    name: str
    run: Callable[[Call], int]
    help: str
    examples: tuple[str, ...]
    settings: tuple[str, ...] = ()
    arguments: tuple[tuple[str, dict[str, Any]], ...] = ()

    def add_to(self, verbs: Any, everywhere: argparse.ArgumentParser) -> None:
        parser = verbs.add_parser(
            self.name,
            parents=[everywhere],
            help=self.help,
            description=self.help[0].upper() + self.help[1:] + ".",
            epilog="examples:\n" + "\n".join(f"  pipeline {example}" for example in self.examples),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        parser.set_defaults(run=self.run)
        for word, options in self.arguments:
            parser.add_argument(word, **options)
        for setting in SETTINGS:
            if setting.name in self.settings:
                parser.add_argument(setting.flag, dest=setting.name, metavar=setting.form, help=setting.help)


VERBS = (
    _Verb(
        "mint",
        _mint,
        "draw, pin and mint tokens; given again, continue",
        (
            "mint --count 50",
            "mint --count 10 --more",
            "mint --count 500 --new --name 'Night Linos' --size 1024 --to 0x…",
            "mint --to recipients.csv",
            "mint --count 500 --dry-run --rpc-url https://…",
            "mint --count 50 --pin embedded,kubo --rpc-url http://127.0.0.1:8545",
            "mint --count 50 --rpc-url https://… --network sepolia --keystore key.json",
            "mint --count 50 --rpc-url https://… --signer-url http://127.0.0.1:9000 --signer-address 0x…",
        ),
        _MINT_SETTINGS,
        (
            ("--count", {"metavar": "N", "help": f"number of tokens, 1 to {MAX_COUNT:,}; a --to FILE says it itself"}),
            ("--more", {"action": "store_true", "help": "add tokens to the last (or --name'd) collection"}),
            ("--new", {"action": "store_true", "help": "start another collection in this workspace"}),
            ("--dry-run", {"action": "store_true", "help": "tell what it would cost; plan, sign and send nothing"}),
            (
                "--confirm-name",
                {"metavar": "TEXT", "help": "the collection's name, where real money is spent by a script"},
            ),
        ),
    ),
    _Verb("status", _status, "how far everything is", ("status", "status --json"), ("rpc_url",)),
    _Verb(
        "show",
        _show,
        "one token: picture, traits, CIDs, owner",
        ("show 7", "show 7 --name 'Night Linos' --json"),
        ("name",),
        (("token_id", {"metavar": "TOKEN_ID", "help": "id of the token"}),),
    ),
    _Verb(
        "owners",
        _owners,
        "who owns what, read from the chain",
        ("owners", "owners --json", "owners --at 21000000"),
        ("name", "rpc_url"),
        (("--at", {"metavar": "BLOCK", "help": "number of the block after which to look (the newest)"}),),
    ),
    _Verb(
        "transfer",
        _transfer,
        "give a token to somebody else, exactly once",
        ("transfer 7 --to 0x…", "transfer 7 --to 0x… --name 'Night Linos' --json"),
        ("name", "rpc_url", "network", "keystore", "signer_url", "signer_address", "confirmations", *_LIMITS),
        (
            ("token_id", {"metavar": "TOKEN_ID", "help": "id of the token"}),
            ("--to", {"metavar": "ADDRESS", "required": True, "dest": "recipient", "help": "its new owner"}),
        ),
    ),
    _Verb(
        "verify",
        _verify,
        "check everything from the chain back to the pixels",
        ("verify", "verify --json"),
        ("name", "rpc_url"),
    ),
    _Verb(
        "repair",
        _repair,
        "write a lost ledger anew from the chain and the CARs",
        ("repair --from-chain --contract 0x…", "repair --from-chain --contract 0x… --rpc-url http://127.0.0.1:8545"),
        ("rpc_url", "chain", "seed"),
        (
            (
                "--from-chain",
                {"action": "store_true", "required": True, "help": "believe the chain: it is the only source"},
            ),
            ("--contract", {"metavar": "ADDRESS", "required": True, "help": "address of the collection"}),
        ),
    ),
    _Verb(
        "export",
        _export,
        "write the collection as CARs, CSV and JSON",
        ("export", "export --format csv --out /tmp/drop"),
        ("name",),
        (
            ("--format", {"metavar": "NAME,…", "default": "car,csv,json", "help": "car, csv, json (all)"}),
            ("--out", {"metavar": "DIR", "help": "folder to write to (export/ in the workspace)"}),
        ),
    ),
    _Verb(
        "compile",
        _compile,
        "compile the contract again and compare; write what explorers verify it with",
        ("compile", "compile --verify", "compile --verify --out /tmp/verification"),
        ("name", "rpc_url"),
        (
            ("--verify", {"action": "store_true", "help": "write files for Sourcify and Etherscan; look at the chain"}),
            ("--out", {"metavar": "DIR", "help": "folder for them (export/verification/ in the workspace)"}),
        ),
    ),
    _Verb(
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
    _Verb(
        "devnet",
        _devnet,
        "run the embedded chain in the foreground, for wallets",
        ("devnet", "devnet --chain ganache"),
        ("chain",),
    ),
    _Verb(
        "config",
        _config,
        "every setting, its value, and where it came from",
        ("config", "config --json"),
        _MINT_SETTINGS,
    ),
)


def _parser() -> argparse.ArgumentParser:
    everywhere = argparse.ArgumentParser(add_help=False)
    everywhere.add_argument(
        "--workspace", metavar="DIR", default=argparse.SUPPRESS, help="folder of the run (./workspace)"
    )
    everywhere.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="the result as JSON")
    parser = _Parser(
        prog="pipeline",
        parents=[everywhere],
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="From seed to pixels to CID to token, and back.",
        epilog="examples:\n"
        "  pipeline mint --count 50             draw, pin and mint 50 artworks on the embedded chain\n"
        "  pipeline mint --count 10 --more      ten more of the same collection\n"
        "  pipeline show 7                      one token\n"
        "  pipeline verify                      from the chain back to the pixels\n"
        "  pipeline devnet                      the embedded chain, for wallets\n\n"
        "`pipeline VERB --help` tells more.",
    )
    parser.add_argument("--version", action="version", version=f"pipeline {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", parser_class=_Parser)
    for verb in VERBS:
        verb.add_to(verbs, everywhere)
    return parser
