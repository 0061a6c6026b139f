"""What is wrong, and what to do about it: with this installation, or with one token in the eyes of wallets.

installation.py   Python, devices, weights, chains, Kubo, keys, workspace, disk
token.py          what there is to see of a token: the contract's answers, its events, its files
rules.py          by which wallets and marketplaces decide whether and how they show it
finding.py        one line of either
"""

from __future__ import annotations

from pipeline.after.doctor.finding import Finding, State, worst
from pipeline.after.doctor.installation import examine
from pipeline.after.doctor.rules import judge, verdicts
from pipeline.after.doctor.token import look
from pipeline.after.verify.content import content_from
from pipeline.after.verify.contract import Scope, open_contract
from pipeline.base.workspace import Workspace
from pipeline.settings import Settings

__all__ = ["Finding", "State", "examine", "examine_token", "worst"]


def examine_token(
    workspace: Workspace, config: Settings, name: str | None, scope: Scope
) -> tuple[list[Finding], dict[str, str]]:
    """What every rule says of the scope's token, and a verdict for each who would show it.

    Raises BadArgument and RpcUnavailable as `verify_contract` does; what wallets would stumble over is in the findings.
    """
    assert scope.token is not None
    # By hash from here where it is here: what the gateway gives to wallets is compared with it.
    local = scope.contract is None
    content, _, _ = content_from(workspace, config, None if local else scope.gateway, scope.kubo)
    with open_contract(workspace, config, name, scope.contract) as contract:
        findings = judge(look(contract, scope.token, content, scope.gateway))
    return findings, verdicts(findings)
