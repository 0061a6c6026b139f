"""What to pay: the market's fees, the bump of a stuck transaction, and the limits that nothing passes.

Pure functions over whole numbers of wei (EIP-1559: fee cap and priority fee are per unit of gas).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.base.errors import LimitReached

GWEI = 10**9
ETHER = 10**18

LEAST_PRIORITY_WEI = 1  # some nodes refuse a priority fee of zero
BUMP_NUMERATOR, BUMP_DENOMINATOR = 9, 8  # 12.5 %: above the 10 % that geth demands of both fees of a replacement


@dataclass(frozen=True, slots=True)
class Fees:
    """The two prices of a type-2 transaction, per unit of gas; a legacy transaction's one price is both."""

    max_fee_wei: int
    priority_fee_wei: int

    def __post_init__(self) -> None:
        assert 0 <= self.priority_fee_wei <= self.max_fee_wei, f"priority fee above the fee cap: {self}"


@dataclass(frozen=True, slots=True)
class Limits:
    """What may be spent, in wei; None is no limit. `day_wei` covers 24 hours back, over all runs of the ledger."""

    max_fee_wei: int | None = None  # per unit of gas
    transaction_wei: int | None = None
    run_wei: int | None = None
    day_wei: int | None = None


def market_fees(base_fee_wei: int, rewards_wei: Sequence[int], least_priority_wei: int = LEAST_PRIORITY_WEI) -> Fees:
    """Fees that stand six full blocks of rising base fee: twice the base fee, and the middle of recent rewards."""
    middle = sorted(rewards_wei)[(len(rewards_wei) - 1) // 2] if rewards_wei else 0
    priority = max(middle, least_priority_wei)
    return Fees(2 * base_fee_wei + priority, priority)


def least_fee_wei(market: Fees) -> int:
    """What a transaction must be able to pay per gas to enter the next block of this market."""
    return (market.max_fee_wei - market.priority_fee_wei) // 2 + market.priority_fee_wei


def bumped(last: Fees, market: Fees) -> Fees:
    """Fees that replace a transaction with `last` in every node's pool, and are not below the market."""
    priority = max(market.priority_fee_wei, _raise(last.priority_fee_wei))
    return Fees(max(market.max_fee_wei, _raise(last.max_fee_wei), priority), priority)


def capped(fees: Fees, max_fee_wei: int | None) -> Fees:
    """`fees`, cut to the cap."""
    if max_fee_wei is None or fees.max_fee_wei <= max_fee_wei:
        return fees
    return Fees(max_fee_wei, min(fees.priority_fee_wei, max_fee_wei))


def check_spending(limits: Limits, cost_wei: int, run_wei: int, day_wei: int) -> None:
    """Raise LimitReached unless `cost_wei` may still be reserved, with `run_wei` and `day_wei` reserved or spent before."""
    for name, limit, needed in (
        ("the limit per transaction (wei)", limits.transaction_wei, cost_wei),
        ("the limit per run (wei)", limits.run_wei, run_wei + cost_wei),
        ("the limit per day (wei)", limits.day_wei, day_wei + cost_wei),
    ):
        if limit is not None and needed > limit:
            raise LimitReached(limit=name, value=limit, needed=needed)


def _raise(wei: int) -> int:
    return max(1, -(-wei * BUMP_NUMERATOR // BUMP_DENOMINATOR))  # rounded up; from free gas there is a way up as well


def gwei(wei: int) -> str:
    """An amount in gwei with as many digits as it has, and never an exponent."""
    whole, rest = divmod(wei, GWEI)
    return f"{whole}.{rest:09d}".rstrip("0").rstrip(".")


def ether(wei: int) -> str:
    """An amount in ETH with nine digits, the last of which is a gwei."""
    whole_ether, rest = divmod(wei, ETHER)
    return f"{whole_ether}.{rest // GWEI:09d}"
