"""Everything at once, by seed: a bad network, kills, reorgs, a forgetful pool, base fees that leap. Then: is it exact?

    outcome = chaos(seed, folder)

A real minter in a process of its own, against a real Anvil behind the fault proxy, killed again and again by SIGKILL, at
a named place or at a random moment, while the chain is disturbed. The last run is left alone, and must bring it to an end.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from mint.conftest import House, assert_exact
from mint.faultproxy import FaultProxy
from mint.plans import open_plan, sealed_batches
from postgres import text_of

from pipeline.base.errors import PipelineError
from pipeline.base.workspace import Server
from pipeline.mint.chain import connect
from pipeline.mint.devnet import devnet
from pipeline.mint.fees import GWEI, Limits
from pipeline.mint.sender import Sender
from pipeline.mint.signer import open_signer
from pipeline.mint.stage import mint

TESTS = Path(__file__).resolve().parents[1]
ACTIONS = ("drop_before", "drop_after", "fail_after", "truncate", "null", "wrong_id", "limit", "html")
METHODS = (
    "eth_call",
    "eth_estimateGas",
    "eth_getBlockByNumber",
    "eth_getTransactionCount",
    "eth_getTransactionReceipt",
    "eth_sendRawTransaction",
)
POINTS = (
    "nonce_chosen",
    "signed_not_persisted",
    "persisted_not_sent",
    "sent_not_recorded",
    "mined_not_recorded",
    "inside_mined_commit",
    "mined_recorded",
)
BATCHES, SIZE = 10, 4
KILLS, SURE_KILLS = 8, 3
LONGEST_S = 60.0  # of one minter: then it is stuck, which is a finding


@dataclass
class Outcome:
    """What was done to a run, and what was found at its end."""

    seed: int
    injected: Counter[str] = field(default_factory=Counter)
    ended: Counter[str] = field(default_factory=Counter)  # how the minters ended that were not killed
    duplicates: int = 0
    losses: int = 0
    problem: str = ""  # why ledger and chain are not one; empty when they are

    @property
    def is_exact(self) -> bool:
        return not (self.duplicates or self.losses or self.problem)


def chaos(seed: int, folder: Path, place: Path | Server | None = None) -> Outcome:
    """One seed from the first deployment to the last token; the ledger is a file of the folder, or at `place`."""
    dice, outcome = random.Random(seed), Outcome(seed)
    with devnet(folder / "anvil") as url, FaultProxy(url, seed=seed) as proxy:
        chain = connect(url)
        signer = open_signer(chain, environment={})
        place = place or folder / "ledger.sqlite"
        with open_plan(place, chain, signer.address, batches=BATCHES, size=SIZE) as ledger:
            house = House(url, place, ledger, chain, signer)
            while outcome.injected["kill"] < KILLS and set(house.states("batch")) != {"mined"}:
                _one_run(house, proxy, dice, outcome)
            outcome.injected["fault"] += sum(rule.fired for rule in proxy.rules.values())
            proxy.heal()
            house.node("evm_setAutomine", True)
            house.node("evm_mine")
            _look_at_the_end(house, outcome)
    return outcome


def _one_run(house: House, proxy: FaultProxy, dice: random.Random, outcome: Outcome) -> None:
    """A minter that is killed at a place or at a moment, if it does not end before, and a chain that is never still."""
    environment = os.environ | {"PYTHONPATH": f"{TESTS.parent}:{TESTS}"}
    if outcome.injected["kill"] < SURE_KILLS:  # however quick the machine is, a minter does not get past the first time
        environment["PIPELINE_CRASH_AT"] = f"{POINTS[outcome.injected['kill']]}:1"
    elif dice.random() < 0.6:
        environment["PIPELINE_CRASH_AT"] = f"{dice.choice(POINTS)}:{dice.randint(1, 3)}"
    end = time.monotonic() + (LONGEST_S if "PIPELINE_CRASH_AT" in environment else dice.uniform(0.8, 3.0))
    minter = subprocess.Popen(
        [sys.executable, "-m", "mint.minter", text_of(house.path), proxy.url],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    while minter.poll() is None and time.monotonic() < end:
        _disturb(house, proxy, dice, outcome)
        time.sleep(dice.uniform(0.1, 0.4))
    minter.kill()
    _, told = minter.communicate()
    if minter.returncode == -signal.SIGKILL:
        outcome.injected["kill"] += 1
    elif minter.returncode:
        outcome.ended[told.strip().splitlines()[-1].split(":")[0].rpartition(".")[2]] += 1


def _disturb(house: House, proxy: FaultProxy, dice: random.Random, outcome: Outcome) -> None:
    outcome.injected["fault"] += sum(rule.fired for rule in proxy.rules.values())
    for method in METHODS:
        proxy.spoil(method, dice.choice(ACTIONS), times=None, probability=0.12)
    trick = dice.choice(("nothing", "reorg", "drop", "spike", "by hand"))
    head = int(house.node("eth_blockNumber"), 16)
    if trick == "reorg" and head > 0:
        house.node("anvil_reorg", dice.randint(1, min(4, head)), [])
    elif trick == "drop":
        house.node("anvil_dropAllTransactions")
    elif trick == "spike":
        house.node("anvil_setNextBlockBaseFeePerGas", hex(dice.randint(5, 300) * GWEI))
    if trick != "nothing":
        outcome.injected[trick] += 1
    house.node("evm_setAutomine", trick != "by hand")
    if trick != "by hand":
        house.node("evm_mine")


def _look_at_the_end(house: House, outcome: Outcome) -> None:
    """Let a run come to its end, and compare plan, ledger and chain."""
    try:
        sender = Sender(house.ledger, house.chain, house.signer, Limits(), 1)
        sender.recover(1)
        for _ in mint(sealed_batches(house.ledger), sender, 1):
            pass
        assert_exact(house.ledger, house.chain, house.signer.address)
    except (AssertionError, PipelineError) as error:
        outcome.problem = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
    planned = {row["token_id"] for row in house.ledger.rows("SELECT token_id FROM token")}
    logs = house.chain.logs(house.contract.address, 0, house.chain.head().number)
    minted = Counter(
        int.from_bytes(log.topics[3], "big") for log in logs if len(log.topics) == 4 and log.topics[1] == bytes(32)
    )
    outcome.duplicates = sum(count - 1 for count in minted.values()) + len(set(minted) - planned)
    outcome.losses = len(planned - set(minted))
