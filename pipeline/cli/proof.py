"""Verbs that compare what is claimed with what is there: `verify`, `repair`, `compile`."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.base.errors import BadArgument, RpcUnavailable
from pipeline.base.limits import MAX_TOKEN_ID
from pipeline.base.results import as_json
from pipeline.base.words import counted
from pipeline.cli.call import Call, Verb, chosen_name, number, say
from pipeline.cli.tables import fields_of, print_json, print_line, print_table
from pipeline.settings import Scope as SettingScope

if TYPE_CHECKING:
    from pipeline.after.verify import ContractReport, Proof, Report, Scope, Step, Verdict
    from pipeline.base.observer import Observer


MARKS = {True: "✓", False: "✗", None: "–"}
NOT_CHECKED = "?"
MOST_FAILED = 20  # tokens that failed and are shown one by one; --json has all of them


def _verify(call: Call) -> int:
    from pipeline.after.verify import Ladder, verify
    from pipeline.cli.terminal import progress_on_stderr

    arguments = call.arguments
    _check_junit(arguments.junit)
    if _walks_tokens(arguments):
        return _verify_tokens(call)
    ladder = Ladder(call.config.pin.gateway or None, _sample(arguments)) if arguments.content else None
    with progress_on_stderr() as observer:
        proof = verify(call.workspace, call.config, chosen_name(call), observer, ladder)
    _write_junit(arguments.junit, "verify", [case for report in proof.collections for case in report.cases()])
    if call.as_json:
        print_json(proof)
    else:
        for report in proof.collections:
            _print_report(call, report)
        if not proof.collections:
            _tell_none(call)
        if len(proof.collections) > 1:
            print_line(_sum(proof))
    return _exit_code(proof.verdict)


def _tell_none(call: Call) -> None:
    print_line(f"no collection is in {call.workspace.folder} yet: nothing to prove.")
    call.next("draws, pins and mints 50 artworks", "mint", "--count", 50)


def _exit_code(verdict: Verdict) -> int:
    return {"false": 3, "not checked": 4}.get(verdict, 0)


def _print_report(call: Call, report: Report) -> None:
    where = f"{report.contract} on chain {report.chain_id}" if report.contract else "not deployed yet"
    print_line(f"{report.collection}: {where}")
    _print_steps(call, "check", report.checks)
    told = {
        "holds": "every check holds.",
        "false": "something is false: see ✗ above.",
        "not checked": "nothing is false, and not all could be checked: see ? above.",
        "nothing to prove yet": "",
    }[report.verdict]
    print_line(" ".join(filter(None, (told, f"{report.pending}." if report.pending else ""))))


def _sum(proof: Proof) -> str:
    counts = Counter(report.verdict for report in proof.collections)
    told = {"holds": "proved", "nothing to prove yet": "with nothing to prove yet"}
    words = ", ".join(f"{count:,} {told.get(verdict, verdict)}" for verdict, count in counts.items())
    return f"{len(proof.collections):,} collections: {words}."


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
    from pipeline.after.verify import Scope
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
    names = _names_to_walk(call, scope)
    with progress_on_stderr() as observer:
        found = [(name, _walked(call, name, scope, observer)) for name in names]
    walked = [report for _, report in found if report is not None]
    _write_junit(arguments.junit, walked[0].contract if len(walked) == 1 else "verify", _cases(found))
    if call.as_json:
        several = {"verdict": _worst(walked), "collections": [as_json(report) for report in walked]}
        print_json(walked[0] if len(names) == 1 and walked else several)
    else:
        for name, report in found:
            _tell_walk(call, name if len(names) > 1 else None, report)
        if not found:
            _tell_none(call)
    return _exit_code(_worst(walked))


def _names_to_walk(call: Call, scope: Scope) -> list[str | None]:
    """The collections whose tokens are walked: the one that was named, or all. Raises BadArgument for a token of several."""
    from pipeline.after.report import collections_of, has_begun

    name = chosen_name(call)
    if scope.contract is not None or name is not None:
        return [name]
    names: list[str | None] = [*collections_of(call.workspace)] if has_begun(call.workspace, call.config) else []
    if len(names) > 1 and scope.token is not None:
        told = ", ".join(map(repr, names))
        raise BadArgument(name="--token", value=scope.token, expected=f"--name beside it: there are {told}")
    return names


def _walked(call: Call, name: str | None, scope: Scope, observer: Observer) -> ContractReport | None:
    """What was found of a collection; None where it is not on the chain yet."""
    from pipeline.after.report import collection_named
    from pipeline.after.verify import verify_contract

    if scope.contract is None and collection_named(call.workspace, name).contract is None:
        return None
    try:
        return verify_contract(call.workspace, call.config, name, scope, observer)
    except RpcUnavailable as error:
        raise ChainSilent(reason=str(error), hint=error.hint) from error


def _worst(reports: Sequence[ContractReport]) -> Verdict:
    """One false is false, and all that holds holds only where all could be checked."""
    from pipeline.after.verify import Verdict

    found = {report.verdict for report in reports}
    order = (Verdict.FALSE, Verdict.NOT_CHECKED, Verdict.HOLDS)
    return next((verdict for verdict in order if verdict in found), Verdict.NOTHING_YET)


def _cases(found: Sequence[tuple[str | None, ContractReport | None]]) -> list[tuple[str, Step]]:
    return [case for _, report in found if report is not None for case in report.cases()]


def _tell_walk(call: Call, name: str | None, report: ContractReport | None) -> None:
    if name is not None:
        print_line(f"{name}:")
    if report is None:
        print_line("not deployed yet: nothing to prove.")
        return
    _print_steps(call, "step", report.results[0].steps if report.tokens == 1 and report.results else report.sums)
    if not report.ok and report.tokens > 1:
        _print_broken(call, report)
    print_line(_verdict(report))


class ChainSilent(RpcUnavailable):
    """The node that all of a proof rests on gave no answer."""

    exit_code = 4
    sentence = "nothing could be checked: {reason}"


def _verdict(report: ContractReport) -> str:
    where = f"{report.contract} on chain {report.chain_id}, content from {report.content}"
    if report.ok:
        supply = counted(report.total_supply, "token(s)") if report.total_supply else "? tokens"
        return f"every step holds, for {report.tokens:,} of {supply} of {where}."
    tokens = counted(report.tokens, "token(s)")
    missing = f"{len(report.not_checked):,} of {tokens} could not be checked"
    if not report.failed:
        return f"nothing is false, and {missing}, of {where}: see ? above."
    told = f"{len(report.failed):,} of {tokens} failed" + (f", {missing}" if report.not_checked else "")
    return f"{told}, of {where}: see ✗ above."


def _mark(step: Step) -> str:
    return NOT_CHECKED if step.not_checked and step.ok is None else MARKS[step.ok]


def _print_steps(call: Call, heading: str, steps: Iterable[Step]) -> None:
    rows = [(_mark(step), step.name, call.told(step.detail)) for step in steps]
    print_table(("", heading, "found"), rows, wrap=True)


def _print_broken(call: Call, report: ContractReport) -> None:
    broken = sorted(
        (result for result in report.results if not result.ok), key=lambda result: result.verdict != "false"
    )
    rows = [
        (_mark(step), result.token_id, step.name, call.told(step.detail))
        for result in broken[:MOST_FAILED]
        for step in result.steps
        if step.ok is False or step.not_checked
    ]
    print_table(("", "token id", "broke off at", "found"), rows, wrap=True)
    if len(broken) > MOST_FAILED:
        print_line(f"and {len(broken) - MOST_FAILED:,} more; `--json` has all of them.")


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
        (SettingScope.NAME, "rpc_url", "chain", SettingScope.PLACE, "model", "layers", SettingScope.MACHINE),
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
