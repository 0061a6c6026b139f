"""Fees and limits, as properties."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.base.errors import LimitReached
from pipeline.mint.fees import Fees, Limits, bumped, capped, check_spending, least_fee_wei, market_fees

WEI = st.integers(0, 10**15)


@st.composite
def fees(draw: st.DrawFn) -> Fees:
    priority = draw(WEI)
    return Fees(priority + draw(WEI), priority)


@given(fees(), fees())
def test_a_bump_raises_both_fees_by_an_eighth_and_not_below_the_market(last: Fees, market: Fees) -> None:
    new = bumped(last, market)
    for old, now, market_now in (
        (last.max_fee_wei, new.max_fee_wei, market.max_fee_wei),
        (last.priority_fee_wei, new.priority_fee_wei, market.priority_fee_wei),
    ):
        assert 8 * now >= 9 * old
        assert now >= market_now
        assert old == 0 or 10 * now >= 11 * old  # geth's rule for replacements


@given(fees())
def test_a_bump_without_a_market_is_the_least_that_is_enough(last: Fees) -> None:
    assert 8 * (bumped(last, Fees(0, 0)).max_fee_wei - 1) < 9 * last.max_fee_wei or last.max_fee_wei == 0


@given(fees(), st.integers(1, 10**15))
def test_the_cap_is_never_passed_and_changes_nothing_below_it(wanted: Fees, cap: int) -> None:
    got = capped(wanted, cap)
    assert got.max_fee_wei <= cap and got.priority_fee_wei <= got.max_fee_wei
    if wanted.max_fee_wei <= cap:
        assert got == wanted
    assert capped(wanted, None) == wanted


@given(WEI, st.lists(WEI, max_size=20))
def test_market_fees_pay_the_next_block_and_stand_a_doubling(base: int, rewards: list[int]) -> None:
    got = market_fees(base, rewards)
    assert got.max_fee_wei == 2 * base + got.priority_fee_wei
    assert got.priority_fee_wei >= 1
    assert not rewards or got.priority_fee_wei <= max(1, *rewards)
    assert least_fee_wei(got) == base + got.priority_fee_wei


@given(WEI, WEI, WEI, st.one_of(st.none(), WEI), st.one_of(st.none(), WEI), st.one_of(st.none(), WEI))
def test_spending_is_allowed_exactly_within_all_limits(
    cost: int, run: int, day: int, per_tx: int | None, per_run: int | None, per_day: int | None
) -> None:
    limits = Limits(transaction_wei=per_tx, run_wei=per_run, day_wei=per_day)
    fine = (
        (per_tx is None or cost <= per_tx)
        and (per_run is None or run + cost <= per_run)
        and (per_day is None or day + cost <= per_day)
    )
    if fine:
        check_spending(limits, cost, run, day)
    else:
        with pytest.raises(LimitReached):
            check_spending(limits, cost, run, day)


def test_a_priority_fee_above_the_fee_cap_cannot_be_made() -> None:
    with pytest.raises(AssertionError):
        Fees(1, 2)
