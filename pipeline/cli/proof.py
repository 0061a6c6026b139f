"""Verbs that compare what is claimed with what is there: `verify`, `repair`, `compile`."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.base.errors import BadArgument
from pipeline.base.limits import MAX_TOKEN_ID
from pipeline.cli.call import Call, Verb, chosen_name, number, say
from pipeline.cli.tables import fields_of, print_json, print_table
from pipeline.settings import Scope

if TYPE_CHECKING:
    from pipeline.after.verify import ContractReport, Step


MARKS = {True: "✓", False: "✗", None: "–"}
MOST_FAILED = 20  # tokens that failed and are shown one by one; --json has all of them
SOME_FAILED = 3


def _verify(call: Call) -> int:
    from pipeline.after.verify import Ladder, verify
    from pipeline.cli.terminal import progress_on_stderr

    arguments = call.arguments
    _check_junit(arguments.junit)
    if _walks_tokens(arguments):
        return _verify_tokens(call)
    ladder = Ladder(call.config.pin.gateway or None, _sample(arguments)) if arguments.content else None
    with progress_on_stderr() as observer:
        report = verify(call.workspace, call.config, chosen_name(call), observer, ladder)
    _write_junit(arguments.junit, report.collection, [("collection", check) for check in report.checks])
    if call.as_json:
        print_json(report)
    else:
        _print_steps("check", report.checks)
        say("every check holds." if report.ok else "some checks failed: see ✗ above.")
    return 0 if report.ok else 1


def _walks_tokens(arguments: argparse.Namespace) -> bool:
    """Whether single tokens are asked for, rather than all that the workspace holds. Raises BadArgument for both."""
    only_tokens = ("contract", "token", "kubo", "regenerate")
    if arguments.content:
        for name in only_tokens:
            if getattr(arguments, name):
                raise BadArgument(name=f"--{name}", value=getattr(arguments, name), expected="not with --content")
        return False
    return any(getattr(arguments, name) for name in (*only_tokens, "sample", "gateway"))


def _sample(arguments: argparse.Namespace) -> int | None:
    return None if arguments.sample is None else number("--sample", arguments.sample, 1, MAX_TOKEN_ID)


def _verify_tokens(call: Call) -> int:
    from pipeline.after.verify import Scope, verify_contract
    from pipeline.cli.terminal import progress_on_stderr

    arguments = call.arguments
    if arguments.token is not None and arguments.sample is not None:
        raise BadArgument(name="--sample", value=arguments.sample, expected="not with --token: one or the other")
    if arguments.gateway is not None and arguments.kubo:
        raise BadArgument(name="--kubo", value="", expected="not with --gateway: content comes from one of them")
    # A stranger's contract has no content here; of our own, only a gateway that this call names is asked.
    gateway = arguments.gateway or (not arguments.kubo and arguments.contract and call.config.pin.gateway) or None
    scope = Scope(
        arguments.contract,
        None if arguments.token is None else number("--token", arguments.token, 1, MAX_TOKEN_ID),
        _sample(arguments),
        gateway,
        arguments.kubo,
        arguments.regenerate,
    )
    with progress_on_stderr() as observer:
        report = verify_contract(call.workspace, call.config, chosen_name(call), scope, observer)
    _write_junit(arguments.junit, report.contract, report.cases())
    if call.as_json:
        print_json(report)
    else:
        _print_steps("step", report.results[0].steps if report.tokens == 1 and report.results else report.sums)
        if report.failed and report.tokens > 1:
            _print_failed(report)
        say(_verdict(report))
    if report.ok:
        return 0
    return SOME_FAILED if 0 < len(report.failed) < report.tokens else 1


def _verdict(report: ContractReport) -> str:
    where = f"{report.contract} on chain {report.chain_id}, content from {report.content}"
    if report.ok:
        return f"every step holds, for {report.tokens:,} of {report.total_supply or '?'} tokens of {where}."
    return f"{len(report.failed):,} of {report.tokens:,} tokens failed, of {where}: see ✗ above."


def _print_steps(heading: str, steps: Iterable[Step]) -> None:
    print_table(("", heading, "found"), [(MARKS[step.ok], step.name, step.detail) for step in steps], wrap=True)


def _print_failed(report: ContractReport) -> None:
    failed = [result for result in report.results if not result.ok]
    rows = [
        (result.token_id, step.name, step.detail)
        for result in failed[:MOST_FAILED]
        for step in result.steps
        if step.ok is False
    ]
    print_table(("token id", "failed at", "found"), rows, wrap=True)
    if len(failed) > MOST_FAILED:
        say(f"and {len(failed) - MOST_FAILED:,} more; `--json` has all of them.")


def _check_junit(file: str | None) -> None:
    """Before anything is verified: a mistyped folder must not cost an hour."""
    if file is not None and not Path(file).absolute().parent.is_dir():
        raise BadArgument(name="--junit", value=file, expected="a file in a folder that is there")


def _write_junit(file: str | None, suite: str, cases: Sequence[tuple[str, Step]]) -> None:
    if file is not None:
        from pipeline.after.verify import junit
        from pipeline.base.files import write_whole

        write_whole(Path(file), junit(suite, cases))


def _repair(call: Call) -> int:
    from pipeline.after.repair import repair
    from pipeline.cli.terminal import progress_on_stderr

    with progress_on_stderr() as observer:
        reports = repair(call.workspace, call.config, call.arguments.contract, observer)
    if call.as_json:
        print_json({"collections": reports})
    else:
        for report in reports:
            print_table(("", ""), fields_of(report), wrap=True)
    if reports[0].seed_is_new:
        say("the collection's seed is on no chain: tokens to come are drawn from a new one, unless --seed is given.")
    if unknown := sum(report.attempts_unknown for report in reports):
        say(
            f"of {unknown:,} drawings the attempt is not known, and 0 was recorded: the collection's seed alone tells it."
        )
    call.next("proves every token from the chain back to its pixels", "verify")
    return 0


def _compile(call: Call) -> int:
    from pipeline.after.source import source_report

    out = call.arguments.out or call.workspace.folder / "export" / "verification"
    report = source_report(call.config, call.workspace, chosen_name(call), Path(out) if call.arguments.verify else None)
    if call.as_json:
        print_json(report)
    else:
        rows = fields_of(report, but=("files",))
        print_table(("", ""), [*rows, *(("file", file) for file in report.files)], wrap=True)
    if report.files:
        say(
            "Sourcify and Etherscan take standard-input.json with the contract and compiler named above; "
            "Etherscan wants the constructor arguments as well."
        )
    return 0 if report.sound else 1


VERBS = (
    Verb(
        "verify",
        _verify,
        "check everything from the chain back to the pixels",
        (
            "verify",
            "verify --regenerate --sample 10",
            "verify --contract 0x… --rpc-url https://… --gateway https://…",
            "verify --contract 0x… --rpc-url https://… --gateway https://… --token 7 --json",
            "verify --content --gateway https://…",
            "verify --junit verified.xml",
        ),
        (Scope.NAME, "rpc_url", "chain", Scope.PLACE, "model", Scope.MACHINE),
        (
            (
                "--contract",
                {"metavar": "ADDRESS", "help": "address of a collection: the chain alone is asked, no ledger"},
            ),
            ("--token", {"metavar": "N", "help": "only this token"}),
            ("--sample", {"metavar": "N", "help": "only N tokens: the first, the last, and others at random"}),
            ("--kubo", {"action": "store_true", "help": "content from the Kubo node at --ipfs-api"}),
            ("--regenerate", {"action": "store_true", "help": "draw each image again from its seed, and compare"}),
            (
                "--content",
                {"action": "store_true", "help": "prove that every pinner, and the gateway, gives all content back"},
            ),
            ("--junit", {"metavar": "FILE", "help": "write the steps as JUnit XML as well"}),
        ),
    ),
    Verb(
        "repair",
        _repair,
        "write a lost ledger anew from the chain and its content",
        (
            "repair --from-chain --contract 0x…",
            "repair --from-chain --contract 0x… --rpc-url https://… --gateway http://127.0.0.1:8080",
        ),
        ("rpc_url", "chain", "seed", "gateway"),
        (
            (
                "--from-chain",
                {"action": "store_true", "required": True, "help": "believe the chain: it is the only source"},
            ),
            (
                "--contract",
                {"metavar": "ADDRESS", "required": True, "nargs": "+", "help": "addresses of all its collections"},
            ),
        ),
    ),
    Verb(
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
)
