"""Verbs that compare what is claimed with what is there: `verify`, `repair`, `compile`."""

from __future__ import annotations

from pathlib import Path

from pipeline.cli.call import Call, Verb, chosen_name, next_command, say
from pipeline.cli.tables import print_json, print_table


def _verify(call: Call) -> int:
    from pipeline.cli.terminal import progress_on_stderr
    from pipeline.verify import verify

    with progress_on_stderr() as observer:
        report = verify(call.workspace, call.config, chosen_name(call), observer)
    if call.as_json:
        print_json(report.as_dict())
    else:
        print_table(
            ("", "check", "found"),
            [("✓" if check.ok else "✗", check.name, check.detail) for check in report.checks],
            wrap=True,
        )
        say("every check holds." if report.ok else "some checks failed: see ✗ above.")
    return 0 if report.ok else 1


def _repair(call: Call) -> int:
    from pipeline.cli.terminal import progress_on_stderr
    from pipeline.repair import repair

    with progress_on_stderr() as observer:
        report = repair(call.workspace, call.config, call.arguments.contract, observer)
    if call.as_json:
        print_json(report)
    else:
        print_table(("", ""), [(key.replace("_", " "), value) for key, value in report.items()], wrap=True)
    if report["seed_is_new"]:
        say("the collection's seed is on no chain: tokens to come are drawn from a new one, unless --seed is given.")
    next_command("pipeline verify", "proves every token from the chain back to its pixels")
    return 0


def _compile(call: Call) -> int:
    from pipeline.source import source_report

    out = call.arguments.out or call.workspace.folder / "export" / "verification"
    report = source_report(call.config, call.workspace, chosen_name(call), Path(out) if call.arguments.verify else None)
    if call.as_json:
        print_json(report)
    else:
        rows = [(key.replace("_", " "), value) for key, value in report.items() if not isinstance(value, list)]
        print_table(("", ""), [*rows, *(("file", file) for file in report["files"])], wrap=True)
    if report["files"]:
        say(
            "Sourcify and Etherscan take standard-input.json with the contract and compiler named above; "
            "Etherscan wants the constructor arguments as well."
        )
    return 0 if report["matches_artifact"] and report["matches_chain"] is not False else 1


VERBS = (
    Verb(
        "verify",
        _verify,
        "check everything from the chain back to the pixels",
        ("verify", "verify --json"),
        ("name", "rpc_url"),
    ),
    Verb(
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
