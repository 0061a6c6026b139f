"""A layered collection's table, changed by people: some cells drawn again, rows exchanged, counts made to hold again."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from pipeline.art.arrangement import Choice, Counted, Counts, Locks, Plans, Ruled, Table
from pipeline.art.layers.design import Design, Layer
from pipeline.art.layers.proof import Clause, Column, Impossible
from pipeline.art.layers.rules import clauses_of
from pipeline.art.layers.solver import FREE, ROUNDS, Problem, Unsolved, fitting, repeating, solve
from pipeline.art.layers.solver import Table as Cells
from pipeline.art.layers.table import Names, Row, names_of, problem_of, rerolled, row_text
from pipeline.base.errors import BadArgument
from pipeline.base.philox import words
from pipeline.settings.table import near

if TYPE_CHECKING:
    from numpy.typing import NDArray

CANDIDATES = 4_096  # combinations that are looked at for one token
STRAY = 0.02  # share of the weight by which a value that nobody lacks is looked at as well
BRIEF = 200  # rounds of a search that has an easier way behind it: half a second
LOOSENED = (
    0,
    2,
    4,
    8,
    16,
    32,
    64,
    256,
    1 << 30,
)  # tokens whose cells are let go of beside those that are too many, try by try


class LayeredArrangement:
    """One state of the table; `rows` has all tokens of the collection, `paint` gives pixels of a row and a seed."""

    def __init__(
        self,
        design: Design,
        table: Table,
        rows: Mapping[int, Row],
        taken: Sequence[Names],
        holds: Callable[[Sequence[str]], str],
        paint: Callable[[Row, int], NDArray[np.uint8]],
        loops: Callable[[Sequence[Row]], None],
    ) -> None:
        self._design, self._table, self._rows, self._taken = _with_counts(design, table.counts), table, rows, taken
        self._holds, self._paint, self._loops = holds, paint, loops
        self.layers = [
            Choice(_word(design, number, layer), tuple(value.name for value in layer.values))
            for number, kind in enumerate(design.kinds)
            for layer in kind.layers
        ]
        self.singles = [single.name for single in design.singles]

    # ── looking ──────────────────────────────────────────────────────────────────────────────────────────────

    def cells(self, token_id: int) -> dict[str, str]:
        row = self._row(token_id)
        if row.single is not None:
            return {}
        layers = self._design.kinds[row.kind].layers
        return {
            _word(self._design, row.kind, layer): layer.values[value].name
            for layer, value in zip(layers, row.values, strict=True)
        }

    def single(self, token_id: int) -> str:
        single = self._row(token_id).single
        return "" if single is None else self._design.singles[single].name

    def counted(self) -> list[Counted]:
        found = []
        for number, kind in enumerate(self._design.kinds):
            if not (ids := self._of_kind(number)):
                continue
            cells = self._cells(ids)
            for at, (layer, column) in enumerate(
                zip(kind.layers, self._problem(number, len(ids)).columns, strict=True)
            ):
                there = np.bincount(cells[:, at], minlength=len(layer.values))
                word = _word(self._design, number, layer)
                found += [
                    Counted(kind.form.name, word, value.name, column.counts[place], int(there[place]))
                    for place, value in enumerate(layer.values)
                ]
        return found

    def rules(self) -> list[Ruled]:
        broken: dict[str, list[int]] = {rule.told: [] for rule in self._design.form.rules}
        for number, kind in enumerate(self._design.kinds):
            ids = self._of_kind(number)
            cells = self._cells(ids)
            for clause in clauses_of(self._design, kind) if ids else ():
                broken[clause.told] += [ids[place] for place in np.flatnonzero(_breaking(clause, cells))]
        return [Ruled(told, tuple(sorted(set(those)))) for told, those in broken.items()]

    def repeated(self) -> list[int]:
        found = []
        for number, _ in enumerate(self._design.kinds):
            if ids := self._of_kind(number):
                again = repeating(self._problem(number, len(ids)), self._cells(ids))
                found += [ids[place] for place in np.flatnonzero(again)]
        return sorted(found)

    def picture(self, token_id: int, seed: int) -> NDArray[np.uint8]:
        return self._paint(self._row(token_id), seed)

    # ── changing ─────────────────────────────────────────────────────────────────────────────────────────────

    def rerolled(self, token_ids: Sequence[int], locks: Locks, seed: int) -> Plans:
        for token_id in token_ids:
            self._must_be_composed(token_id)
        if len(token_ids) > 1 and (exchanged := self._exchanged(token_ids, locks, seed)):
            return exchanged
        changed, rows = dict[int, Row](), dict(self._rows)
        for token_id in token_ids:
            del rows[token_id]
        for token_id in token_ids:  # none of them gets what one of them was
            row = self._drawn_again(token_id, locks.get(token_id, ()), rows, token_ids, seed)
            rows[token_id] = changed[token_id] = row
        return self._told(changed)

    def swapped(self, one: int, other: int) -> Plans:
        if one == other:
            raise BadArgument(name="token id", value=other, expected=f"another one than {one}")
        first, second = self._row(one), self._row(other)
        numbers = (second.number, first.number) if first.kind == second.kind else (first.number, second.number)
        return self._told({one: replace(second, number=numbers[1]), other: replace(first, number=numbers[0])})

    def placed(self, token_id: int, single: str) -> Plans:
        if single not in self.singles:
            told = f"one of {', '.join(self.singles)}" if self.singles else "a form with `singles`, a folder of them"
            raise BadArgument(name="whole picture", value=single, expected=told + near(single, self.singles))
        self._row(token_id)
        number = self.singles.index(single)
        stood = next((other for other, row in self._rows.items() if row.single == number), None)
        if stood == token_id:
            raise BadArgument(name="token id", value=token_id, expected=f"another one: {single} stands there already")
        if stood is not None:
            return self.swapped(token_id, stood)
        return self._told({token_id: Row(-1, single=number)})

    def chosen(self, token_id: int, layer: str, value: str) -> Plans:
        row = self._must_be_composed(token_id)
        number, at, place = self._value(layer, value)
        if number != row.kind:
            raise BadArgument(name="layer", value=layer, expected=f"a layer of token {token_id}'s group")
        values = (*row.values[:at], place, *row.values[at + 1 :])
        changed = replace(row, values=values)
        self._must_fit(token_id, changed)
        return self._told({token_id: changed})

    def levelled(self, held: Collection[int], locks: Locks, seed: int) -> Plans:
        changed = dict[int, Row]()
        for number in range(len(self._design.kinds)):
            if not (ids := self._of_kind(number)):
                continue
            problem = problem_of(self._design, number, len(ids), self._table.seed + 1, taken=self._taken)
            cells, loose = self._cells(ids), self._loose(ids, number, held, locks)
            found = _levelled(problem, cells, loose, seed + number)
            for place in np.flatnonzero((found != cells).any(axis=1)):
                token_id = ids[place]
                changed[token_id] = replace(self._rows[token_id], values=tuple(map(int, found[place])))
        return self._told(changed)

    def must_count(self, layer: str, value: str, wanted: int) -> None:
        number, _, _ = self._value(layer, value)
        ids = self._of_kind(number)
        counts = {name: dict(own) for name, own in self._table.counts.items()}
        counts.setdefault(layer, {})[value] = wanted
        problem_of(_with_counts(self._design, counts), number, len(ids), self._table.seed + 1)

    def must_be_painted(self, token_ids: Sequence[int]) -> None:
        self._loops([self._row(token_id) for token_id in token_ids])

    # ── one token ────────────────────────────────────────────────────────────────────────────────────────────

    def _drawn_again(
        self, token_id: int, locked: Collection[str], others: Mapping[int, Row], gone: Sequence[int], seed: int
    ) -> Row:
        """The row with other values where it is not locked: of many that fit, the first of those that are lacked most."""
        row, design = self._rows[token_id], self._design
        layers = design.kinds[row.kind].layers
        free = self._free(row.kind, locked)
        ids = [other for other, each in others.items() if each.kind == row.kind]
        cells = np.array([others[other].values for other in ids], np.int32).reshape(-1, len(layers))
        problem = self._problem(row.kind, len(self._of_kind(row.kind)))
        lots = words(seed, f"studio/reroll/{token_id}", CANDIDATES * len(layers)).reshape(len(layers), -1) * 2.0**-32
        candidates = np.tile(np.array(row.values, np.int32), (CANDIDATES, 1))
        surplus = np.zeros(CANDIDATES, np.int32)
        for at, column in enumerate(problem.columns):
            if not free[at]:
                continue
            lacked = np.array(column.counts) - np.bincount(cells[:, at], minlength=len(column.values))
            share = np.maximum(lacked, 0) + STRAY * (np.array(column.counts) > 0)
            edges = np.cumsum(share)
            candidates[:, at] = np.minimum(np.searchsorted(edges, lots[at] * edges[-1], "right"), len(edges) - 1)
            surplus += lacked[candidates[:, at]] <= 0
        before = self._cells([other for other in gone if self._rows[other].kind == row.kind])
        fits = np.flatnonzero(fitting(problem, np.concatenate([cells, before]), candidates))
        if not len(fits):
            left = ", ".join(layer.name for layer, is_free in zip(layers, free, strict=True) if is_free) or "none"
            raise BadArgument(
                name="token id",
                value=token_id,
                expected=f"one that has room for another combination in the layers that are not locked ({left})",
                hint="unlock a layer: every other combination breaks a rule, or is another token's",
            )
        best = fits[int(surplus[fits].argmin())]
        return replace(row, values=tuple(map(int, candidates[best])))

    def _exchanged(self, token_ids: Sequence[int], locks: Locks, seed: int) -> Plans | None:
        """Several tokens with each other's values, so that counts stay; None where that gives nothing new for all."""
        loose = {
            token_id: [
                layer.name
                for layer in self._design.kinds[self._rows[token_id].kind].layers
                if _word(self._design, self._rows[token_id].kind, layer) not in locks.get(token_id, ())
            ]
            for token_id in token_ids
        }
        ids = list(self._rows)
        places = {ids.index(token_id): layers for token_id, layers in loose.items()}
        before = [names_of(self._design, self._rows[token_id]) for token_id in token_ids]
        try:
            rows = rerolled(self._design, list(self._rows.values()), places, seed, [*self._taken, *before], BRIEF)
        except (Impossible, Unsolved):
            return None
        changed = {ids[place]: rows[place] for place in places}
        return self._told(changed)

    def _must_fit(self, token_id: int, row: Row) -> None:
        ids = [other for other in self._of_kind(row.kind) if other != token_id]
        cells, own = self._cells(ids), np.array([row.values], np.int32)
        for clause in clauses_of(self._design, self._design.kinds[row.kind]):
            if _breaking(clause, own)[0]:
                raise BadArgument(name="value", value=clause.told, expected="a combination that obeys this rule")
        if not fitting(self._problem(row.kind, len(ids) + 1), cells, own)[0]:
            raise BadArgument(name="token id", value=token_id, expected="a combination that no other token has")

    # ── the whole table ──────────────────────────────────────────────────────────────────────────────────────

    def _loose(self, ids: Sequence[int], number: int, held: Collection[int], locks: Locks) -> NDArray[np.bool_]:
        """Which cells may change."""
        loose = np.zeros((len(ids), len(self._design.kinds[number].layers)), np.bool_)
        for place, token_id in enumerate(ids):
            if token_id in self._table.movable and token_id not in held:
                loose[place] = self._free(number, locks.get(token_id, ()))
        return loose

    def _free(self, number: int, locked: Collection[str]) -> list[bool]:
        return [_word(self._design, number, layer) not in locked for layer in self._design.kinds[number].layers]

    @cached_property
    def _ids(self) -> dict[int, list[int]]:
        found: dict[int, list[int]] = {}
        for token_id, row in self._rows.items():
            found.setdefault(row.kind, []).append(token_id)
        return found

    def _of_kind(self, number: int) -> list[int]:
        return self._ids.get(number, [])

    def _cells(self, ids: Sequence[int]) -> Cells:
        return np.array([self._rows[token_id].values for token_id in ids], np.int32)

    def _problem(self, number: int, size: int) -> Problem:
        """Counts as the plan had them, but where somebody changed them."""
        if number not in self._problems:
            seed = self._table.seed + 1
            try:
                self._problems[number] = problem_of(self._design, number, size, seed, taken=self._taken)
            except BadArgument:  # a whole picture took a token's place, and counts that were all given add up no more
                self._problems[number] = self._as_given(number)
        return self._problems[number]

    def _as_given(self, number: int) -> Problem:
        kind, cells = self._design.kinds[number], self._cells(self._of_kind(number))
        columns = []
        for at, layer in enumerate(kind.layers):
            there = np.bincount(cells[:, at], minlength=len(layer.values))
            counts = [
                int(has) if one.count is None else one.count for one, has in zip(layer.values, there, strict=True)
            ]
            columns.append(Column(layer.name, tuple(one.name for one in layer.values), tuple(counts), layer.tells))
        return Problem(tuple(columns), clauses_of(self._design, kind))

    @cached_property
    def _problems(self) -> dict[int, Problem]:
        return {}

    def _row(self, token_id: int) -> Row:
        if token_id not in self._rows:
            raise BadArgument(name="token id", value=token_id, expected="a token of the collection's plan")
        return self._rows[token_id]

    def _must_be_composed(self, token_id: int) -> Row:
        row = self._row(token_id)
        if row.single is not None:
            name = self._design.singles[row.single].name
            raise BadArgument(
                name="token id", value=token_id, expected=f"a token that is composed; this one is the picture {name}"
            )
        return row

    def _value(self, layer: str, value: str) -> tuple[int, int, int]:
        """The numbers of a layer's group, of the layer, and of its value."""
        for number, kind in enumerate(self._design.kinds):
            for at, each in enumerate(kind.layers):
                if _word(self._design, number, each) == layer:
                    place = each.number(value)
                    if place is None:
                        names = [one.name for one in each.values]
                        told = f"a value of {layer}{near(value, names)}: {', '.join(names[:20])}"
                        raise BadArgument(name="value", value=value, expected=told)
                    return number, at, place
        known = [choice.layer for choice in self.layers]
        raise BadArgument(name="layer", value=layer, expected=f"one of {', '.join(known)}{near(layer, known)}")

    def _told(self, rows: Mapping[int, Row]) -> Plans:
        return {token_id: row_text(self._design, row, self._holds) for token_id, row in rows.items()}


def _word(design: Design, number: int, layer: Layer) -> str:
    """What people call a layer: its name, and its group's before that where there are several."""
    if len(design.kinds) == 1:
        return layer.name
    return f"{design.kinds[number].form.name or number + 1}/{layer.name}"


def _with_counts(design: Design, counts: Counts) -> Design:
    """The design with counts that somebody chose instead of its own."""
    if not counts:
        return design
    kinds = []
    for number, kind in enumerate(design.kinds):
        layers = []
        for layer in kind.layers:
            own = counts.get(_word(design, number, layer), {})
            values = [replace(value, count=own.get(value.name, value.count)) for value in layer.values]
            layers.append(replace(layer, values=tuple(values)))
        kinds.append(replace(kind, layers=tuple(layers)))
    return replace(design, kinds=tuple(kinds))


def _breaking(clause: Clause, cells: Cells) -> NDArray[np.bool_]:
    broken = np.ones(len(cells), np.bool_)
    for column, values in clause.parts:
        broken &= np.isin(cells[:, column], list(values))
    return broken


def _levelled(problem: Problem, cells: Cells, loose: NDArray[np.bool_], seed: int) -> Cells:
    """The cells with counts as they are wanted; beside those that are too many no more are let go of than it takes."""
    if not _is_wrong(problem, cells):
        return cells
    order = np.argsort(words(seed, "studio/level", len(cells)), kind="stable")
    fixed = cells.copy()
    for at, column in enumerate(problem.columns):
        over = np.bincount(cells[:, at], minlength=len(column.values)) - np.array(column.counts)
        for place in order:
            value = int(cells[place, at])
            if loose[place, at] and over[value] > 0:
                fixed[place, at] = FREE
                over[value] -= 1
    wrong = np.flatnonzero((~fitting(problem, cells[:0], cells)) | repeating(problem, cells))
    for place in wrong:
        fixed[place, loose[place]] = FREE
    for more in LOOSENED:
        trial = fixed.copy()
        for place in order[:more]:
            trial[place, loose[place]] = FREE
        is_last = more >= len(cells)
        try:
            return solve(problem, seed, trial, ROUNDS if is_last else BRIEF)
        except Unsolved:
            if is_last:
                raise
    raise AssertionError("the last try lets go of all")


def _is_wrong(problem: Problem, cells: Cells) -> bool:
    counts = [
        tuple(map(int, np.bincount(cells[:, at], minlength=len(column.values)))) != column.counts
        for at, column in enumerate(problem.columns)
    ]
    return any(counts) or not fitting(problem, cells[:0], cells).all() or bool(repeating(problem, cells).any())
