"""Weights as counts: whole numbers that add up, as near to the weights as whole numbers can be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction


def largest_remainder(weights: Sequence[Fraction], total: int) -> list[int]:
    """Share `total` out by weights: each share is its quota rounded down or up, and they add up to `total`.

    What is left after rounding down goes to the largest remainders, of equal ones to the first. Weights are exact, so that
    a share does not depend on how a machine adds floats. They must not be negative, nor all zero where `total` is not.
    """
    if total == 0:
        return [0] * len(weights)
    whole = sum(weights, Fraction(0))
    quotas = [weight * total / whole for weight in weights]
    shares = [int(quota) for quota in quotas]
    by_remainder = sorted(range(len(weights)), key=lambda place: (shares[place] - quotas[place], place))
    for place in by_remainder[: total - sum(shares)]:
        shares[place] += 1
    return shares


def shared_beyond(
    weights: Sequence[Fraction], total: int, used: Sequence[int], floors: Mapping[int, int] | None = None
) -> list[int]:
    """Counts of `total` more tokens that bring all of them, with the `used` ones, as near to the weights as can be.

    `floors` has, by place, counts that other values' rules ask for: those come first, and the weights share the rest.
    """
    least = [(floors or {}).get(place, 0) for place in range(len(weights))]
    rest = total - sum(least)
    if rest < 0:
        return least  # more is asked for than there is: whoever proves it says by which rules
    everything, whole = sum(used) + rest, sum(weights, Fraction(0))
    wanted = [max(Fraction(0), weight * everything / whole - has) for weight, has in zip(weights, used, strict=True)]
    more = largest_remainder(wanted if any(wanted) else list(weights), rest)
    return [low + share for low, share in zip(least, more, strict=True)]
