"""Tables of tokens: counts hold exactly, no rule is broken, no two rows agree; and what cannot be is proved in words."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.art.layers.counts import largest_remainder
from pipeline.art.layers.proof import Clause, Column, Impossible
from pipeline.art.layers.solver import FREE, Problem, Table, Unsolved, solve


def column(name: str, *counts: int, tells: bool = True) -> Column:
    return Column(name, tuple("abcdefghijklmnopqrstuvwxyz"[: len(counts)]), counts, tells)


def even(name: str, values: int, tokens: int) -> Column:
    return column(name, *largest_remainder([Fraction(1)] * values, tokens))


def never(one: tuple[int, int], other: tuple[int, int], told: str = "rule") -> Clause:
    return Clause(tuple((place, frozenset([value])) for place, value in sorted([one, other])), told)


def must_hold(problem: Problem, table: Table) -> None:
    """Counts are exact, rows differ in what tells them apart, and no clause is broken."""
    for place, each in enumerate(problem.columns):
        assert tuple(np.bincount(table[:, place], minlength=len(each.counts))) == each.counts, each.name
    rows = [tuple(row) for row in table[:, problem.telling]]
    assert len(set(rows)) == len(rows) and not {tuple(row) for row in problem.taken} & set(rows)
    for clause in problem.clauses:
        assert not any(all(row[place] in values for place, values in clause.parts) for row in table), clause.told


@given(st.lists(st.integers(1, 40), min_size=1, max_size=9), st.integers(0, 500))
def test_shares_add_up_and_each_is_its_quota_rounded(weights: list[int], total: int) -> None:
    shares = largest_remainder([Fraction(weight) for weight in weights], total)
    assert sum(shares) == total
    for share, weight in zip(shares, weights, strict=True):
        assert abs(share - Fraction(weight * total, sum(weights))) < 1


@given(st.integers(0, 2**53 - 1), st.lists(st.integers(2, 5), min_size=3, max_size=5), st.data())
def test_a_table_has_the_counts_and_obeys_the_rules_or_is_refused(
    seed: int, sizes: list[int], data: st.DataObject
) -> None:
    tokens = data.draw(st.integers(1, 40))
    columns = []
    for number, size in enumerate(sizes):
        weights = data.draw(st.lists(st.integers(1, 9), min_size=size, max_size=size))
        columns.append(column(f"L{number}", *largest_remainder([Fraction(weight) for weight in weights], tokens)))
    cell = st.tuples(st.integers(0, len(sizes) - 1), st.integers(0, 1))
    pairs = data.draw(st.lists(st.tuples(cell, cell).filter(lambda pair: pair[0][0] != pair[1][0]), max_size=4))
    problem = Problem(tuple(columns), tuple(never(*pair) for pair in pairs))
    try:
        must_hold(problem, solve(problem, seed))
    except (Impossible, Unsolved) as refusal:
        assert str(refusal)


def test_ten_thousand_tokens_under_sixty_rules_are_solved_and_the_same_seed_gives_the_same_table() -> None:
    columns = tuple(even(f"L{number}", 12, 10_000) for number in range(8))
    clauses = tuple(never((n % 7, n % 12), (n % 7 + 1, (5 * n) % 12)) for n in range(60))
    problem = Problem(columns, clauses)
    table = solve(problem, 7)
    must_hold(problem, table)
    assert (solve(problem, 7) == table).all() and not (solve(problem, 8) == table).all()


def test_every_combination_there_is_is_found_and_so_are_all_but_a_few() -> None:
    for tokens in (9_984, 9_900):
        problem = Problem(tuple(even(f"L{n}", size, tokens) for n, size in enumerate((12, 13, 8, 8))))
        must_hold(problem, solve(problem, 1))


def test_combinations_that_somebody_has_do_not_come_again() -> None:
    problem = Problem((even("A", 4, 12), even("B", 4, 12)), taken=[(0, 0), (1, 1), (2, 2), (3, 3)])
    must_hold(problem, solve(problem, 3))


def test_what_is_locked_stays_and_counts_include_it() -> None:
    problem = Problem((even("A", 4, 40), even("B", 5, 40), even("C", 3, 40)))
    before = solve(problem, 1)
    fixed = before.copy()
    fixed[10] = FREE, before[10, 1], FREE
    fixed[20:, :] = FREE
    after = solve(problem, 2, fixed)
    must_hold(problem, after)
    assert (after[fixed != FREE] == before[fixed != FREE]).all() and not (after == before).all()


def test_a_layer_that_tells_nobody_apart_may_be_all_that_differs_in_no_two() -> None:
    problem = Problem((even("A", 3, 9), even("B", 3, 9), column("Sheen", 5, 4, tells=False)))
    must_hold(problem, solve(problem, 1))


def refusal(columns: Sequence[Column], *clauses: Clause) -> str:
    with pytest.raises(Impossible) as caught:
        solve(Problem(tuple(columns), clauses), 1)
    return f"{caught.value} → {caught.value.hint}"


def test_more_tokens_than_combinations_are_refused_with_the_product() -> None:
    assert "7 tokens are wanted, and there are 6 combinations (2 × 3)" in refusal([even("A", 2, 7), even("B", 3, 7)])


def test_rarity_that_leaves_too_few_bits_is_refused_with_both_numbers_and_the_layer_that_helps() -> None:
    weights = [Fraction(weight) for weight in (50, 30, 15, 4, 1)]
    told = refusal([column(f"L{n}", *largest_remainder(weights, 5_000)) for n in range(6)])
    assert "log2 5,000 = 12.3 bits" in told and "have 10.1" in told and "L0 would help most" in told
    assert "2.3" in told, told  # the bits of five even values


def test_counts_that_rules_leave_no_room_for_are_refused_with_the_rule_and_the_counts() -> None:
    hats, robes = column("Hat", 60, 40), column("Robe", 30, 70)
    told = refusal(
        [hats, robes, even("X", 26, 100), even("Y", 26, 100)], never((0, 0), (1, 1), "never Hat=a with Robe=b")
    )
    assert "Hat=a is wanted 60 times" in told and "30 beside Robe=a" in told and "never Hat=a with Robe=b" in told


def test_rules_that_contradict_each_other_are_refused_together_and_no_other_is_named() -> None:
    columns = [even(name, 2, 4) for name in "ABC"]
    rules = [never((0, 0), (1, 0), "first"), never((0, 0), (1, 1), "second"), never((1, 0), (2, 0), "innocent")]
    told = refusal(columns, *rules)
    assert "A=a is wanted 2 times, and no token can have it: first; second" in told and "innocent" not in told


def test_a_chain_of_rules_that_leads_back_to_another_value_is_refused() -> None:
    columns = [even(name, 2, 8) for name in "ABC"]
    chain = [never((0, 0), (1, 1), "A=a always with B=a"), never((1, 0), (2, 1), "B=a always with C=a")]
    told = refusal(columns, *chain, never((0, 0), (2, 0), "C=a always with A=b"))
    assert told.count("always with") == 3


def test_a_value_that_is_wanted_oftener_than_it_can_differ_is_refused() -> None:
    told = refusal([column("A", 7, 1, 1, 1), even("B", 5, 10)])
    assert "combinations" in told or "bits" in told or "there is room for" in told
