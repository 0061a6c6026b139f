"""The verb `doctor`: what is wrong with the installation, or with a token in the eyes of wallets."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import asdict
from itertools import groupby
from typing import TYPE_CHECKING, Any

from pipeline.base.limits import MAX_TOKEN_ID
from pipeline.cli.call import CONTENT, Call, Verb, chosen_name, number, say
from pipeline.cli.tables import print_json, print_table
from pipeline.settings import Scope

if TYPE_CHECKING:
    from pipeline.after.doctor import Finding

MARKS = {"ok": "✓", "warning": "!", "failed": "✗", "unknown": "?"}


def _doctor(call: Call) -> int:
    if call.arguments.token is not None:
        return _token(call)
    from pipeline.after.doctor import examine

    findings = []
    for finding in examine(call.workspace, call.config, os.environ):
        findings.append(finding)
        if not call.as_json and finding.state != "ok":
            say(f"{MARKS[finding.state]} {finding.rule}: {finding.found}")  # while the others are looked at
    if call.as_json:
        print_json({"ok": _sound(findings), "findings": [_fields(call, finding) for finding in findings]})
    else:
        rows = [_row(call, finding) for finding in findings]
        print_table(("", "part", "found", "what to do"), rows, wrap=True)
        if _sound(findings):
            if call.standing().collections:
                call.next("how far everything is", "status")
            else:
                call.next("draws, pins and mints 50 artworks", "mint", "--count", 50)
        else:
            say("something that a run needs is wrong: see ✗ above.")
    return 0 if _sound(findings) else 1


def _token(call: Call) -> int:
    from pipeline.after.doctor import examine_token
    from pipeline.after.verify import Scope

    arguments = call.arguments
    token_id = number("--token", arguments.token, 0, 2**256 - 1 if arguments.contract else MAX_TOKEN_ID)
    scope = Scope(arguments.contract, token_id, gateway=arguments.gateway, kubo=arguments.kubo)
    findings, verdicts = examine_token(call.workspace, call.config, chosen_name(call), scope)
    if call.as_json:
        told = [_fields(call, finding) for finding in findings]
        print_json({"ok": _sound(findings), "verdicts": verdicts, "findings": told})
    else:
        for subject, mine in groupby(findings, key=lambda finding: finding.subject):
            print_table(("", subject, "found", "what to do"), [_row(call, finding) for finding in mine], wrap=True)
        print_table(("for", "verdict"), verdicts.items(), wrap=True)
    return 0 if _sound(findings) else 1


def _row(call: Call, finding: Finding) -> tuple[str, ...]:
    return MARKS[finding.state], finding.rule, finding.found, call.told(finding.advice)


def _fields(call: Call, finding: Finding) -> dict[str, Any]:
    return asdict(finding) | {"advice": call.told(finding.advice)}


def _sound(findings: Iterable[Finding]) -> bool:
    return all(finding.state != "failed" for finding in findings)


VERBS = (
    Verb(
        "doctor",
        _doctor,
        "what is wrong with this installation, or with a token in the eyes of wallets",
        (
            "doctor",
            "doctor --pin embedded,kubo --rpc-url https://…",
            "doctor --token 7 --gateway https://dweb.link",
            "doctor --contract 0x… --token 7 --rpc-url https://… --gateway https://… --json",
        ),
        (Scope.NAME, Scope.NODE, "keystore", *CONTENT, "model", "device"),
        (
            ("--token", {"metavar": "N", "help": "look at this token as MetaMask and OpenSea would"}),
            ("--contract", {"metavar": "ADDRESS", "help": "of this contract (that of the workspace)"}),
            ("--kubo", {"action": "store_true", "help": "read the content from the Kubo node at --ipfs-api"}),
        ),
    ),
)
