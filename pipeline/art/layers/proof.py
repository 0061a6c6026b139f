"""Why a table cannot be: the rule and the counts that leave no room, or the bits that are missing.

Each of these is a proof, and none of them is complete: what passes all may still be impossible, and then the search says
that it found nothing. Sources: Hall's theorem by a minimal cut (Ford and Fulkerson); subadditivity of entropy.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import log2, prod

from pipeline.base.errors import UsageError

TRIED = 20_000  # steps of the search for one token that has a value
MANY = 1 << 62


class Impossible(UsageError):
    """A table that cannot be, and why."""

    sentence = "this collection cannot be made: {reason}"
    next_step = "change counts, rules or the number of tokens; nothing was planned"


def impossible(reason: str, hint: str | None = None) -> Impossible:
    return Impossible(reason=reason, hint=hint)


@dataclass(frozen=True, slots=True)
class Column:
    """What tokens have one of: as many of each value as its count says."""

    name: str
    values: tuple[str, ...]
    counts: tuple[int, ...]
    tells: bool = True  # whether tokens are told apart by it


@dataclass(frozen=True, slots=True)
class Clause:
    """No token has, in each of these columns, one of these values."""

    parts: tuple[tuple[int, frozenset[int]], ...]  # a column at most once
    told: str  # the rule as it was written


def must_be_possible(columns: Sequence[Column], clauses: Sequence[Clause], taken: int = 0) -> None:
    """Raise Impossible with the first proof that a table cannot be."""
    _sums(columns)
    tokens = sum(columns[0].counts) if columns else 0
    _enough(columns, tokens, taken)
    _every_value(columns, clauses)
    _bits(columns, tokens)
    _every_pair(columns, clauses)


def _sums(columns: Sequence[Column]) -> None:
    sums = {column.name: sum(column.counts) for column in columns}
    if len(set(sums.values())) > 1:
        told = ", ".join(f"{name} {total:,}" for name, total in sums.items())
        raise impossible(f"the counts of layers add up to different numbers of tokens: {told}")


def _enough(columns: Sequence[Column], tokens: int, taken: int) -> None:
    sizes = {column.name: sum(map(bool, column.counts)) for column in columns if column.tells}
    everything = prod(sizes.values())
    if tokens > everything:
        shown = " × ".join(map(str, sizes.values())) or "no layer that tells them apart"
        if any(0 in column.counts for column in columns if column.tells):
            shown += "; values that are too rare for one token are not counted"
        raise impossible(
            f"{tokens:,} tokens are wanted, and there are {everything:,} combinations ({shown})",
            "add values or layers, or take fewer tokens; nothing was planned",
        )


# ── every value has a token ──────────────────────────────────────────────────────────────────────────────────


def _every_value(columns: Sequence[Column], clauses: Sequence[Clause]) -> None:
    """A value that is wanted has at least one token that obeys all rules."""
    if not clauses:
        return
    live = [frozenset(value for value, count in enumerate(column.counts) if count) for column in columns]
    named = {(column, value) for clause in clauses for column, values in clause.parts for value in values}
    for number, value in sorted(named):
        if value not in live[number] or _some_row(live, clauses, number, value) is not False:
            continue
        core = _core(live, clauses, number, value)
        name = f"{columns[number].name}={columns[number].values[value]}"
        told = "; ".join(dict.fromkeys(clause.told for clause in core))
        count = columns[number].counts[value]
        raise impossible(
            f"{name} is wanted {count:,} times, and no token can have it: {told}",
            "drop one of these rules, or give that value the count 0; nothing was planned",
        )


def _core(live: Sequence[frozenset[int]], clauses: Sequence[Clause], number: int, value: int) -> list[Clause]:
    """Clauses that rule a value out together, and none of which can be left away."""
    core = list(clauses)
    for clause in clauses:
        fewer = [other for other in core if other is not clause]
        if _some_row(live, fewer, number, value) is False:
            core = fewer
    return core


def _some_row(live: Sequence[frozenset[int]], clauses: Sequence[Clause], number: int, value: int) -> bool | None:
    """Whether some row has a value and obeys all clauses; None where that was not found out in time."""
    start = list(live)
    start[number] = frozenset([value])
    steps = TRIED

    def search(domains: list[frozenset[int]]) -> bool | None:
        nonlocal steps
        steps -= 1
        if steps < 0:
            return None
        narrowed = _narrowed(domains, clauses)
        if narrowed is None:
            return False
        open_ = [place for place, domain in enumerate(narrowed) if len(domain) > 1 and _is_asked(place, clauses)]
        if not open_:
            return True
        place = min(open_, key=lambda place: len(narrowed[place]))
        unknown = False
        for choice in sorted(narrowed[place]):
            found = search([*narrowed[:place], frozenset([choice]), *narrowed[place + 1 :]])
            if found:
                return True
            unknown |= found is None
        return None if unknown else False

    return search(start)


def _is_asked(place: int, clauses: Sequence[Clause]) -> bool:
    return any(place == column for clause in clauses for column, _ in clause.parts)


def _narrowed(domains: list[frozenset[int]], clauses: Sequence[Clause]) -> list[frozenset[int]] | None:
    """Domains without what the clauses rule out at once; None where one of them has nothing left."""
    domains, changed = list(domains), True
    while changed:
        changed = False
        for clause in clauses:
            loose = [(column, values) for column, values in clause.parts if not domains[column] <= values]
            if not loose:
                return None
            if len(loose) == 1:
                column, values = loose[0]
                if domains[column] & values:
                    domains[column] -= values
                    changed = True
                    if not domains[column]:
                        return None
    return domains


# ── counts of two layers ─────────────────────────────────────────────────────────────────────────────────────


def _every_pair(columns: Sequence[Column], clauses: Sequence[Clause]) -> None:
    """Two layers' counts have a table of pairs in which no ruled out pair stands, and none oftener than it can."""
    ruled: dict[tuple[int, int], list[Clause]] = {}
    for clause in clauses:
        if len(clause.parts) == 2:
            one, two = sorted(column for column, _ in clause.parts)
            ruled.setdefault((one, two), []).append(clause)
    for one, two in combinations(range(len(columns)), 2):
        found = ruled.get((one, two), [])
        room = _room(columns, one, two)
        if found or room < MANY:
            _pair(columns, one, two, found, room)


def _room(columns: Sequence[Column], one: int, two: int) -> int:
    """How many tokens can have the same pair of values; MANY where that is more than anybody wants."""
    if not (columns[one].tells and columns[two].tells):
        return MANY
    others = [column for place, column in enumerate(columns) if column.tells and place not in (one, two)]
    room = prod(sum(map(bool, column.counts)) for column in others)
    return room if room < max(*columns[one].counts, *columns[two].counts) else MANY


def _pair(columns: Sequence[Column], one: int, two: int, ruled: Sequence[Clause], room: int) -> None:
    left, right = columns[one], columns[two]
    out = {pair for clause in ruled for pair in _pairs(clause, one)}
    rooms = [
        [0 if (row, place) in out else room for place in range(len(right.counts))] for row in range(len(left.counts))
    ]
    cut = _cut(left.counts, right.counts, rooms)
    if cut is None:
        return
    rows, places = cut
    wanted = sum(left.counts[row] for row in rows)
    allowed = sum(right.counts[place] for place in places)
    within = sum(rooms[row][place] for row in rows for place in range(len(right.counts)) if place not in places)
    rules = dict.fromkeys(
        clause.told
        for clause in ruled
        if any(row in rows and place not in places for row, place in _pairs(clause, one))
    )
    rooms_left = [f"{allowed:,} beside {_named(right, places)}"] if places else []
    if within:
        rooms_left.append(f"{within:,} beside {'other values' if places else 'all values'} of {right.name}")
    where = (
        f"there is room for {' and '.join(rooms_left)}" if rooms_left else f"none of {right.name} may stand beside it"
    )
    told = f"{_named(left, rows)} is wanted {wanted:,} times, and {where}"
    raise impossible(f"{told}{': ' if rules else ''}{'; '.join(rules)}")


def _pairs(clause: Clause, first: int) -> Iterator[tuple[int, int]]:
    parts = sorted(clause.parts, key=lambda part: part[0] != first)
    return ((row, place) for row in parts[0][1] for place in parts[1][1])


def _named(column: Column, values: Sequence[int]) -> str:
    live = [column.values[value] for value in values if column.counts[value]]
    if len(live) > 6:
        return f"{column.name}={'|'.join(live[:5])}|… ({len(live)} values)"
    return f"{column.name}={'|'.join(live)}"


def _cut(
    left: Sequence[int], right: Sequence[int], rooms: Sequence[Sequence[int]]
) -> tuple[list[int], list[int]] | None:
    """Rows whose counts do not fit into the columns they may use, and those columns; None where all fit."""
    flow = [[0] * len(right) for _ in left]
    rest_left, rest_right = list(left), list(right)
    while True:
        path, reached = _way(rest_left, rest_right, flow, rooms)
        if path is None:
            break
        amount = min(rest_left[path[0][0]], rest_right[path[-1][1]])
        for step, (row, place) in enumerate(path):
            amount = min(amount, flow[row][place] if step % 2 else rooms[row][place] - flow[row][place])
        for step, (row, place) in enumerate(path):
            flow[row][place] += -amount if step % 2 else amount
        rest_left[path[0][0]] -= amount
        rest_right[path[-1][1]] -= amount
    if not any(rest_left):
        return None
    rows, places = reached
    return sorted(rows), sorted(places)


def _way(
    rest_left: Sequence[int], rest_right: Sequence[int], flow: Sequence[Sequence[int]], rooms: Sequence[Sequence[int]]
) -> tuple[list[tuple[int, int]] | None, tuple[set[int], set[int]]]:
    """A way on which more can flow, as its edges forwards and backwards in turn, and what was reached on all ways."""
    came_row: dict[int, int | None] = {row: None for row, rest in enumerate(rest_left) if rest}
    came_place: dict[int, int] = {}
    waiting = list(came_row)
    for row in waiting:
        for place, room in enumerate(rooms[row]):
            if place in came_place or flow[row][place] >= room:
                continue
            came_place[place] = row
            if rest_right[place]:
                return _walked(place, came_row, came_place), (set(came_row), set(came_place))
            for other in range(len(rest_left)):
                if other not in came_row and flow[other][place]:
                    came_row[other] = place
                    waiting.append(other)
    return None, (set(came_row), set(came_place))


def _walked(place: int, came_row: dict[int, int | None], came_place: dict[int, int]) -> list[tuple[int, int]]:
    path: list[tuple[int, int]] = []
    at: int | None = place
    while at is not None:
        row = came_place[at]
        path.append((row, at))
        at = came_row[row]
        if at is not None:
            path.append((row, at))
    return path[::-1]


# ── bits ─────────────────────────────────────────────────────────────────────────────────────────────────────


def bits(counts: Sequence[int]) -> float:
    """The entropy of counts: how far a layer tells tokens apart."""
    total = sum(counts)
    return sum(count / total * log2(total / count) for count in counts if count) if total else 0.0


def _bits(columns: Sequence[Column], tokens: int) -> None:
    """N tokens that all differ are a uniform distribution of log2 N bits, and no joint distribution has more bits than its
    parts have together."""
    if tokens < 2:
        return
    has = {column: bits(column.counts) for column in columns if column.tells}
    needed, there = log2(tokens), sum(has.values())
    if needed <= there + 1e-9:
        return
    helps = max(has, key=lambda column: log2(len(column.values)) - has[column], default=None)
    hint = None
    if helps is not None and (best := log2(len(helps.values))) > has[helps] + 0.01:
        hint = (
            f"{helps.name} would help most: its {len(helps.values)} values have {has[helps]:.1f} bits, and with even "
            f"counts {best:.1f}; or take fewer tokens. Nothing was planned"
        )
    raise impossible(
        f"{tokens:,} tokens that all differ need log2 {tokens:,} = {needed:.1f} bits, and the counts of "
        f"{len(has)} layers have {there:.1f}, which is enough for at most {int(2**there):,}",
        hint,
    )
