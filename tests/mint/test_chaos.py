"""Everything at once, by seed: a bad network, reorgs, a forgetful pool, runs that end anywhere. Always exact."""

from __future__ import annotations

import itertools
import random

import pytest
from mint.conftest import House, Opener
from mint.faultproxy import FaultProxy
from mint.plans import sealed_batches
from mint.test_faults import READS, SEND, impatient

from pipeline.errors import PipelineError
from pipeline.mint.stage import mint

ACTIONS = ("drop_before", "drop_after", "fail_after", "truncate", "null", "wrong_id", "limit", "html")
BATCHES, SIZE = 12, 4


def disturb(house: House, proxy: FaultProxy, dice: random.Random) -> None:
    for method in (*READS, SEND):
        proxy.spoil(method, dice.choice(ACTIONS), times=None, probability=0.08)
    trick = dice.choice(("nothing", "reorg", "forget", "by hand"))
    if trick == "reorg":
        house.node("anvil_reorg", dice.randint(1, min(3, int(house.node("eth_blockNumber"), 16))), [])
    if trick == "forget":
        house.node("anvil_dropAllTransactions")
    house.node("evm_setAutomine", trick != "by hand")


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_chaos_mints_every_planned_token_once(anvil: str, proxy: FaultProxy, open_house: Opener, seed: int) -> None:
    house = open_house(anvil, via=proxy.url, batches=BATCHES, size=SIZE)
    dice = random.Random(seed)
    ended_early = 0
    for _ in range(12):
        sender = house.sender(chain=impatient(house, patience_s=3))
        try:
            sender.recover(1)
            for _ in itertools.islice(mint(sealed_batches(house.ledger), sender, 1), dice.randint(1, 4)):
                disturb(house, proxy, dice)
                house.node("evm_setAutomine", True)
                house.node("evm_mine")
        except PipelineError as error:
            ended_early += 1
            assert error.retryable, error  # nothing but an unusable node ended it
    proxy.heal()
    house.mint()
    house.assert_exact()
    assert {"resent", "reorg"} & set(house.kinds())
