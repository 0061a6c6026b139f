"""From the chain back to the pixels: every link of the way, checked by what it hashes to and not by what we remember.

    for step in verify_token(Source(contract, CarStore(folder)), token_id): show(step.name, step.ok, step.detail)

walk.py       one token: contract → owner → token URI → metadata → image → digest → pixels
pixels.py     the last of these: drawn again from seed and weights, and compared
contract.py   many tokens of a contract, from the chain alone
content.py    who gives their content: a gateway, a Kubo node, CARs
ladder.py     proof that pinned content is there, at every pinner and through a gateway
workspace.py  the collections of a workspace: what its ledger remembers, against chain and content
steps.py      what all of them say, and its forms
"""

from __future__ import annotations

from pipeline.after.verify.contract import ContractReport, Scope, verify_contract
from pipeline.after.verify.ladder import Ladder
from pipeline.after.verify.pixels import Redraw, redraw_with
from pipeline.after.verify.steps import Proof, Report, Step, Verdict, junit
from pipeline.after.verify.walk import Content, Source, verify_token
from pipeline.after.verify.workspace import verify

__all__ = [
    "Content",
    "ContractReport",
    "Ladder",
    "Proof",
    "Redraw",
    "Report",
    "Scope",
    "Source",
    "Step",
    "Verdict",
    "junit",
    "redraw_with",
    "verify",
    "verify_contract",
    "verify_token",
]
