"""From the chain back to the pixels: every link of the way, checked by what it hashes to and not by what we remember.

    for step in verify_token(Source(contract, CarStore(folder)), token_id): show(step.name, step.ok, step.detail)

walk.py       one token: contract → owner → token URI → metadata → image → digest → pixels
pixels.py     the last of these: drawn again from seed and weights, and compared
workspace.py  a collection of a workspace: what its ledger remembers, against chain and content
steps.py      what all of them say, and its forms
"""

from __future__ import annotations

from pipeline.verify.pixels import Redraw, redraw_with
from pipeline.verify.steps import Report, Step
from pipeline.verify.walk import Content, Source, verify_token
from pipeline.verify.workspace import verify

__all__ = ["Content", "Redraw", "Report", "Source", "Step", "redraw_with", "verify", "verify_token"]
