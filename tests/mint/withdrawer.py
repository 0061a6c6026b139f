"""One withdrawal in a process of its own, to be killed: python -m mint.withdrawer LEDGER URL"""

from __future__ import annotations

import sys
from pathlib import Path

from mint.plans import open_plan

from pipeline.ledger.abandon import let_go
from pipeline.mint.chain import connect
from pipeline.mint.fees import Limits
from pipeline.mint.lane import Pace
from pipeline.mint.sender import Sender
from pipeline.mint.signer import open_signer


def main(path: str, url: str) -> None:
    chain = connect(url)
    signer = open_signer(chain, environment={})
    with open_plan(Path(path), chain, signer.address) as ledger:
        sender = Sender(ledger, chain, signer, Limits(), 1, pace=Pace(sleep=lambda _: chain.rpc.call("evm_mine")))
        sender.withdraw(1)
        let_go(ledger, ledger.runs.get(1))


if __name__ == "__main__":
    main(*sys.argv[1:])
