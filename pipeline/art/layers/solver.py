"""A table of tokens in which counts are exact, no rule is broken, and no two tokens agree. Solved, not sampled.

Every column is begun as an exact multiset in random order, so that counts hold from the first moment on. What is wrong
then, a row that breaks a rule or repeats another, is mended by exchanging two cells of one column: counts cannot change.
Where nearly every combination is wanted that would not end; those are enumerated, and the few that are left out are found
in the same way.

The same problem and seed give the same table on every machine: only raw words of Philox decide, never the time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import prod

import numpy as np
from numpy.typing import NDArray

from pipeline.art.layers.proof import Clause, Column, impossible, must_be_possible
from pipeline.base.errors import GenerationError
from pipeline.base.philox import words

Table = NDArray[np.int32]  # (tokens, columns): the number of a value, FREE where none is chosen yet
Flags = NDArray[np.bool_]
Keys = NDArray[np.uint64]

FREE = -1
ROUNDS = 4_000  # of exchanges; a table of 10,000 tokens under 60 rules takes about 20
TRIALS = 4_096  # exchanges that are tried in a round, over all rows that need one
STUCK = 40  # rounds without progress after which a step back is allowed
ENUMERATED = 4_000_000  # combinations that are written out where most of them are wanted
SATURATED = 0.6  # share of the combinations from which on the ones left out are looked for instead


class Unsolved(GenerationError):
    """No table was found, and none was shown to be impossible."""

    sentence = "no table was found for {tokens:,} tokens: after {rounds:,} rounds {left:,} still {told}"
    next_step = (
        "nothing shows that it is impossible, but it is tight: take fewer tokens, more even counts, or one rule less"
    )


@dataclass(frozen=True)
class Problem:
    """What a table has to be: columns with their counts, clauses, and rows that others have already."""

    columns: tuple[Column, ...]
    clauses: tuple[Clause, ...] = ()
    taken: Sequence[Sequence[int]] = field(default=(), repr=False)  # rows over the telling columns, in their order

    @property
    def tokens(self) -> int:
        return sum(self.columns[0].counts) if self.columns else 0

    @cached_property
    def telling(self) -> list[int]:
        """The columns that tokens are told apart by."""
        return [number for number, column in enumerate(self.columns) if column.tells]


def solve(problem: Problem, seed: int, fixed: Table | None = None, rounds: int = ROUNDS) -> Table:
    """The table, rows in random order. Cells of `fixed` that are not FREE stay as they are; counts include them.

    Raises Impossible with the proof, or Unsolved where neither a table nor a proof was found.
    """
    must_be_possible(problem.columns, problem.clauses, len(problem.taken))
    if fixed is None and (table := _enumerated(problem, seed)) is not None:
        return table
    return _Search(problem, seed, fixed).table(rounds)


class _Chance:
    """Random numbers whose stream no version of numpy changes."""

    def __init__(self, seed: int, name: str) -> None:
        self._seed, self._name, self._at = seed, f"layers/{name}", 0

    def unit(self, count: int) -> NDArray[np.float64]:
        """Numbers from 0 up to 1."""
        count = max(1, count)
        raw = words(self._seed, self._name, count, self._at)
        self._at += -(-count // 8) * 8
        return np.asarray(raw * 2.0**-32, np.float64)

    def below(self, limit: int, count: int) -> NDArray[np.int64]:
        return (self.unit(count) * limit).astype(np.int64)

    def shuffled(self, values: NDArray[np.int32]) -> NDArray[np.int32]:
        return values[np.argsort(self.unit(len(values)), kind="stable")] if len(values) else values


class _Rules:
    """Clauses, ready to be asked of many rows at once: those of two columns are gathered into one matrix for the pair."""

    def __init__(self, columns: Sequence[Column], clauses: Sequence[Clause]) -> None:
        self._sizes = [len(column.values) for column in columns]
        self._pairs: dict[tuple[int, int], Flags] = {}
        self._others: list[list[tuple[int, Flags]]] = []
        for clause in clauses:
            parts = [(column, self._mask(column, values)) for column, values in clause.parts]
            if len(parts) == 2:
                (one, first), (two, second) = sorted(parts, key=lambda part: part[0])
                matrix = self._pairs.setdefault((one, two), np.zeros((self._sizes[one], self._sizes[two]), np.bool_))
                matrix |= first[:, None] & second[None]
            else:
                self._others.append(parts)

    def _mask(self, column: int, values: frozenset[int]) -> Flags:
        mask = np.zeros(self._sizes[column], np.bool_)
        mask[list(values)] = True
        return mask

    def _each(self, rows: Table) -> Iterator[tuple[tuple[int, ...], Flags]]:
        """The columns of each rule, and which rows break it."""
        for (one, two), matrix in self._pairs.items():
            yield (one, two), matrix[rows[:, one], rows[:, two]]
        for parts in self._others:
            broken = np.ones(len(rows), np.bool_)
            for column, mask in parts:
                broken &= mask[rows[:, column]]
            yield tuple(column for column, _ in parts), broken

    def broken(self, rows: Table) -> NDArray[np.int32]:
        """How many rules each row breaks."""
        count = np.zeros(len(rows), np.int32)
        for _, broken in self._each(rows):
            count += broken
        return count

    def involved(self, rows: Table) -> Flags:
        """(rows, columns): the cells that a broken rule is about."""
        found = np.zeros(rows.shape, np.bool_)
        for columns, broken in self._each(rows):
            for column in columns:
                found[:, column] |= broken
        return found


class _Names:
    """A number of 64 bits for what tells a row apart: equal rows have equal ones, others next to never."""

    def __init__(self, problem: Problem) -> None:
        self._telling = problem.telling
        self._parts = [_wide(f"name/{number}", len(problem.columns[number].values)) for number in self._telling]
        taken = np.array([list(row) for row in problem.taken], np.int32).reshape(-1, len(self._telling))
        self.taken = np.sort(self._joined(taken.T))

    def of(self, rows: Table) -> Keys:
        return self._joined(rows[:, self._telling].T)

    def _joined(self, columns: NDArray[np.int32]) -> Keys:
        joined = np.zeros(columns.shape[1], np.uint64)
        for part, values in zip(self._parts, columns, strict=True):
            joined ^= part[values]
        return joined


def fitting(problem: Problem, rows: Table, candidates: Table) -> Flags:
    """Which candidates break no rule, and agree neither with one of these rows nor with one that somebody has."""
    names = _Names(problem)
    there = np.sort(np.concatenate([names.of(rows), names.taken]))
    fits = ~_among(names.of(candidates), there)
    fits &= _Rules(problem.columns, problem.clauses).broken(candidates) == 0
    return fits


def repeating(problem: Problem, rows: Table) -> Flags:
    """Which rows agree with one before them, or with one that somebody has."""
    names = _Names(problem)
    keys = names.of(rows)
    order = np.argsort(keys, kind="stable")
    again = np.zeros(len(rows), np.bool_)
    again[order[1:]] = keys[order[1:]] == keys[order[:-1]]
    again |= _among(keys, names.taken)
    return again


def _wide(name: str, count: int) -> Keys:
    return words(0, f"layers/{name}", 2 * count).view("<u8").astype(np.uint64)


def _among(keys: Keys, ordered: Keys) -> Flags:
    """Which keys stand among ordered ones."""
    if not len(ordered):
        return np.zeros(len(keys), np.bool_)
    found: Flags = ordered[np.minimum(np.searchsorted(ordered, keys), len(ordered) - 1)] == keys
    return found


class _Search:
    """Exchanges within columns until nothing is wrong."""

    def __init__(self, problem: Problem, seed: int, fixed: Table | None) -> None:
        self._problem, self._chance = problem, _Chance(seed, "search")
        self._rules, self._names = _Rules(problem.columns, problem.clauses), _Names(problem)
        shape = problem.tokens, len(problem.columns)
        self._rows = np.full(shape, FREE, np.int32) if fixed is None else fixed.astype(np.int32)
        self._free = self._rows == FREE
        for number, column in enumerate(problem.columns):
            self._fill(number, column)
        self._broken, self._keys = self._rules.broken(self._rows), self._names.of(self._rows)
        self._telling = np.zeros(shape[1], np.bool_)
        self._telling[problem.telling] = True

    def _fill(self, number: int, column: Column) -> None:
        cells = self._rows[:, number]
        has = np.bincount(cells[cells != FREE], minlength=len(column.values))
        left = np.array(column.counts) - has
        if (left < 0).any():
            value = int(left.argmin())
            raise impossible(
                f"{column.name}={column.values[value]} is fixed in {has[value]:,} tokens, and its count is "
                f"{column.counts[value]:,}"
            )
        cells[cells == FREE] = self._chance.shuffled(np.repeat(np.arange(len(left), dtype=np.int32), left))

    def table(self, rounds: int = ROUNDS) -> Table:
        best, since = len(self._rows) + 1, 0
        for _ in range(rounds):
            repeated, ordered = self._repeated()
            wrong = np.flatnonzero((self._broken > 0) | repeated)
            if not len(wrong):
                return self._rows
            best, since = (len(wrong), 0) if len(wrong) < best else (best, since + 1)
            self._exchange(wrong, repeated, ordered, is_stuck=since > STUCK and since % 4 == 0)
        raise self._unsolved(wrong, repeated, rounds)

    def _repeated(self) -> tuple[Flags, Keys]:
        """Rows that repeat an earlier one, or one that somebody has; and all names in order."""
        order = np.argsort(self._keys, kind="stable")
        ordered = self._keys[order]
        repeated = np.zeros(len(order), np.bool_)
        repeated[order[1:]] = ordered[1:] == ordered[:-1]
        if len(self._names.taken):
            repeated |= _among(self._keys, self._names.taken)
            ordered = np.sort(np.concatenate([ordered, self._names.taken]))
        return repeated, ordered

    def _exchange(self, wrong: NDArray[np.int64], repeated: Flags, ordered: Keys, *, is_stuck: bool) -> None:
        """Try exchanges for each row that is wrong, and make the best one of each where it helps."""
        rows, chance = self._rows, self._chance
        if len(wrong) > TRIALS:
            wrong = wrong[np.argsort(chance.unit(len(wrong)), kind="stable")][:TRIALS]
        trials = max(4, TRIALS // len(wrong))
        here = np.repeat(wrong, trials)
        column = self._columns(wrong, trials)
        there = chance.below(len(rows), len(here))
        mine, theirs = rows[here], rows[there]
        places = np.arange(len(here))
        allowed = self._free[here, column] & self._free[there, column] & (here != there)
        mine[places, column], theirs[places, column] = rows[there, column], rows[here, column]
        allowed &= mine[places, column] != theirs[places, column]
        names, others = self._names.of(mine), self._names.of(theirs)
        tells = self._telling[column]
        again = np.where(tells, _among(names, ordered) | (names == others), repeated[here])
        also = np.where(tells, _among(others, ordered), repeated[there])
        before = self._broken[here] + self._broken[there] + repeated[here] + repeated[there]
        after = self._rules.broken(mine) + self._rules.broken(theirs) + again + also
        gain = np.where(allowed, before - after, -99).astype(np.float64) + chance.unit(len(here)) * 0.5
        best = gain.reshape(len(wrong), trials).argmax(axis=1) + np.arange(len(wrong)) * trials
        least = -0.9 if is_stuck else 0.0  # an exchange that changes nothing is a step, too: others may help from there
        self._make([int(place) for place in best if gain[place] >= least], here, there, column, names, others)

    def _columns(self, wrong: NDArray[np.int64], trials: int) -> NDArray[np.int64]:
        """A column for each trial: one that a broken rule of the row is about, else one that tells it apart."""
        about = self._rules.involved(self._rows[wrong])
        about[~about.any(axis=1)] = self._telling
        about &= self._free[wrong]
        wanted = np.repeat(about, trials, axis=0)
        lots = self._chance.unit(wanted.size).reshape(wanted.shape)
        return np.asarray(np.where(wanted, lots, -1.0).argmax(axis=1))

    def _make(
        self,
        chosen: list[int],
        here: NDArray[np.int64],
        there: NDArray[np.int64],
        column: NDArray[np.int64],
        names: Keys,
        others: Keys,
    ) -> None:
        """Make exchanges that have no row and no new name in common."""
        touched, named, made = set[int](), set[int](), list[int]()
        for place in chosen:
            one, two = int(here[place]), int(there[place])
            new = {int(names[place]), int(others[place])}
            if one in touched or two in touched or new & named:
                continue
            touched |= {one, two}
            named |= new
            made.append(place)
        one_, two_, cells = here[made], there[made], column[made]
        self._rows[one_, cells], self._rows[two_, cells] = self._rows[two_, cells], self._rows[one_, cells]
        changed = np.concatenate([one_, two_])
        self._broken[changed] = self._rules.broken(self._rows[changed])
        self._keys[changed] = self._names.of(self._rows[changed])

    def _unsolved(self, wrong: NDArray[np.int64], repeated: Flags, rounds: int) -> Unsolved:
        breaking = int((self._broken > 0).sum())
        told = "break a rule" if breaking else "repeat another token"
        if breaking and repeated.any():
            told = f"break a rule or repeat another token ({breaking:,} of them break one)"
        return Unsolved(tokens=len(self._rows), rounds=rounds, left=len(wrong), told=told)


# ── where most combinations are wanted ───────────────────────────────────────────────────────────────────────


def _enumerated(problem: Problem, seed: int) -> Table | None:
    """The table as all combinations but some; None where it is not worth it, or there are too many to write out."""
    telling = problem.telling
    columns = [problem.columns[number] for number in telling]
    live = [[value for value, count in enumerate(column.counts) if count] for column in columns]
    everything = prod(map(len, live))
    if not columns or everything > ENUMERATED or problem.tokens < SATURATED * _counted(problem, everything):
        return None
    places = {number: place for place, number in enumerate(telling)}
    clauses = [
        Clause(tuple((places[column], values) for column, values in clause.parts), clause.told)
        for clause in problem.clauses
        if all(column in places for column, _ in clause.parts)
    ]
    rows = np.stack(np.meshgrid(*[np.array(values, np.int32) for values in live], indexing="ij"), -1)
    rows = rows.reshape(-1, len(live))
    rows = rows[_Rules(columns, clauses).broken(rows) == 0]
    names = _Names(replace(problem, columns=tuple(columns)))
    rows = rows[~_among(names.of(rows), names.taken)]
    if problem.tokens < SATURATED * len(rows):
        return None
    kept = _without(rows, columns, clauses, problem, seed)
    if kept is None:
        return None
    fixed = np.full((problem.tokens, len(problem.columns)), FREE, np.int32)
    fixed[:, telling] = kept[np.argsort(_Chance(seed, "order").unit(len(kept)), kind="stable")]
    return _Search(problem, seed, fixed).table()


def _counted(problem: Problem, everything: int) -> float:
    """A first guess at how many combinations the rules leave; the true number is found by writing them out."""
    return everything / 2 if problem.clauses or problem.taken else everything


def _without(
    rows: Table, columns: Sequence[Column], clauses: Sequence[Clause], problem: Problem, seed: int
) -> Table | None:
    """All of these rows but as many as are too many, so that what is left has its counts. None where they were not found."""
    told = " and ".join(
        [
            *(["obey the rules"] if clauses else []),
            *(["are free" if problem.taken else "exist"] if problem.taken or not clauses else []),
        ]
    )
    if len(rows) < problem.tokens:
        raise impossible(f"{problem.tokens:,} tokens are wanted, and {len(rows):,} combinations {told}")
    less = []
    for place, column in enumerate(columns):
        has = np.bincount(rows[:, place], minlength=len(column.values))
        over = has - np.array(column.counts)
        if (over < 0).any():
            value = int(over.argmin())
            raise impossible(
                f"{column.name}={column.values[value]} is wanted {column.counts[value]:,} times, and "
                f"{has[value]:,} combinations with it {told}: tokens may not agree"
            )
        less.append(replace(column, counts=tuple(map(int, over))))
    if len(rows) == problem.tokens:
        return rows
    left_out = Problem(tuple(less), tuple(clauses), problem.taken)
    try:
        out = _Search(left_out, seed, None).table()
    except Unsolved:
        return None
    names = _Names(replace(left_out, taken=()))
    return rows[~_among(names.of(rows), np.sort(names.of(out)))]
