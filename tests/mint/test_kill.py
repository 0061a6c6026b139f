"""Killed at every point of deploying and minting, in a process of its own; then the same call again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from mint.conftest import House, Opener, assert_all_known
from postgres import text_of

POINTS = (
    "nonce_chosen",
    "signed_not_persisted",
    "persisted_not_sent",
    "sent_not_recorded",
    "mined_not_recorded",
    "inside_mined_commit",
    "mined_recorded",
)
DEPLOY, FIRST_MINT, LAST_MINT = 1, 2, 4
TESTS = Path(__file__).resolve().parents[1]


def run_until_killed(house: House, point: str, kind: str = "") -> None:
    """A run of a kind of sender in its own process, which dies at `point`."""
    environment = os.environ | {"PIPELINE_CRASH_AT": point, "PYTHONPATH": f"{TESTS.parent}:{TESTS}"}
    house.let_go()
    command = [sys.executable, "-m", "mint.minter", text_of(house.path), house.url, *([kind] if kind else [])]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr


@pytest.mark.parametrize("nth", [DEPLOY, FIRST_MINT, LAST_MINT])
@pytest.mark.parametrize("point", POINTS)
def test_a_killed_run_continues_to_exactly_the_planned_tokens(house: House, point: str, nth: int) -> None:
    run_until_killed(house, f"{point}:{nth}")
    assert_all_known(house.ledger, house.chain, house.signer.address)
    house.mint()
    house.assert_exact(transactions=4)  # the deployment and three batches: nothing was sent in vain


@pytest.mark.parametrize("point", ["signed_not_persisted", "persisted_not_sent", "sent_not_recorded"])
def test_killed_while_raising_a_fee_a_run_continues_to_exactly_the_planned_tokens(house: House, point: str) -> None:
    sender = house.sender()
    sender.recover(1)
    sender.ensure_deployed(1)
    house.node("evm_setAutomine", False)
    run_until_killed(house, f"{point}:4", "Hasty")  # three batches are in the pool; the fourth is the first one, dearer
    attempts = house.ledger.rows("SELECT count(*) AS n FROM attempt")[0]["n"]
    assert attempts == (4 if point == "signed_not_persisted" else 5)
    house.node("evm_setAutomine", True)
    house.node("evm_mine")
    assert_all_known(house.ledger, house.chain, house.signer.address)
    house.mint()
    house.assert_exact(transactions=4)


@pytest.mark.parametrize("point", ["persisted_not_sent", "sent_not_recorded", "mined_not_recorded"])
def test_killed_runs_on_ganache_continue_as_well(ganache: str, open_house: Opener, point: str) -> None:
    house = open_house(ganache)
    for nth in (1, 2):  # Ganache's filler or the deployment; then what is first in the second run
        run_until_killed(house, f"{point}:{nth}")
    house.mint()
    house.assert_exact(transactions=5)


def test_a_run_killed_at_every_step_in_turn_still_ends(house: House) -> None:
    for _ in range(2):
        for point in ("persisted_not_sent:1", "mined_not_recorded:1"):
            run_until_killed(house, point)
            assert_all_known(house.ledger, house.chain, house.signer.address)
            if set(house.states("batch")) == {"mined"}:
                break
    house.mint()
    house.assert_exact(transactions=4)


def test_what_was_found_after_a_kill_is_told(house: House) -> None:
    run_until_killed(house, "persisted_not_sent:2")
    found = house.sender().recover(1)
    assert len(found) == 1
    assert found[0].endswith("for tokens 1-5 was signed but not sent: sending it")


@pytest.mark.parametrize("nth", [DEPLOY, FIRST_MINT])
def test_the_kill_tests_find_a_sender_that_sends_before_it_writes(house: House, nth: int) -> None:
    run_until_killed(house, f"sent_not_recorded:{nth}", "SendsBeforeWriting")
    with pytest.raises(AssertionError, match="never written down"):
        assert_all_known(house.ledger, house.chain, house.signer.address)


def test_the_kill_tests_find_a_sender_without_any_safeguard(house: House) -> None:
    from mint.mutants import HasNoSafeguard

    run_until_killed(house, f"sent_not_recorded:{FIRST_MINT}", "HasNoSafeguard")
    house.mint(house.sender(HasNoSafeguard))
    with pytest.raises(AssertionError, match="supply"):
        house.assert_exact()
    assert house.contract.next_token_id() == 21  # 20 tokens where 15 were planned
