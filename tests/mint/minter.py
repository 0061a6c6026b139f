"""One run in a process of its own, to be killed: python -m mint.minter LEDGER URL [MUTANT | Hasty]"""

from __future__ import annotations

import sys
import time
from typing import Any

from mint import mutants
from mint.plans import open_plan, sealed_batches
from postgres import place_of

from pipeline.mint.chain import connect
from pipeline.mint.fees import Limits
from pipeline.mint.lane import Pace
from pipeline.mint.sender import Sender
from pipeline.mint.signer import open_signer
from pipeline.mint.stage import mint


class Hasty(Sender):
    """Waits a sixtieth of the time before it raises a fee."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, pace=Pace(clock=lambda: 60 * time.monotonic()), **options)


def main(path: str, url: str, kind: str = "") -> None:
    chain = connect(url)
    signer = open_signer(chain, environment={})
    cls: type[Sender] = Hasty if kind == "Hasty" else getattr(mutants, kind) if kind else Sender
    with open_plan(place_of(path), chain, signer.address) as ledger:
        chain.recognise(ledger.collections.genesis_hashes(chain.chain_id))
        sender = cls(ledger, chain, signer, Limits(), 1)
        sender.recover(1)
        for _ in mint(sealed_batches(ledger), sender, 1):
            pass


if __name__ == "__main__":
    main(*sys.argv[1:])
