"""One run in a process of its own, to be killed: python -m mint.minter LEDGER URL [MUTANT]"""

from __future__ import annotations

import sys
from pathlib import Path

from mint import mutants
from mint.plans import open_plan, sealed_batches

from pipeline.mint.chain import connect
from pipeline.mint.fees import Limits
from pipeline.mint.sender import Sender
from pipeline.mint.signer import open_signer
from pipeline.mint.stage import mint


def main(path: str, url: str, mutant: str = "") -> None:
    chain = connect(url)
    signer = open_signer(chain, environment={})
    cls: type[Sender] = getattr(mutants, mutant) if mutant else Sender
    with open_plan(Path(path), chain, signer.address) as ledger:
        sender = cls(ledger, chain, signer, Limits(), 1)
        sender.recover(1)
        for _ in mint(sealed_batches(ledger), sender, 1):
            pass


if __name__ == "__main__":
    main(*sys.argv[1:])
