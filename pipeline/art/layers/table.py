"""The plan of a layered collection: a table with a row for each token, fixed by the collection's seed before any is painted.

    rows = planned(design, count=100, seed=7, first=1, before=())

Every row is written down as text in words of its own, and read back from there. Whoever changes a table (locks some cells,
draws the others again, changes counts) gives what is to stay to `solved`, and gets a table of the same counts and rules.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.art.arrangement import Counted
from pipeline.art.layers.counts import largest_remainder, shared_beyond
from pipeline.art.layers.design import Design, Kind, Layer
from pipeline.art.layers.form import FORM_NAME
from pipeline.art.layers.proof import Clause, Column
from pipeline.art.layers.rules import check_rules, clauses_of
from pipeline.art.layers.solver import FREE, ROUNDS, Problem, Table, solve
from pipeline.art.layers.toml import refused
from pipeline.base.errors import BadArgument
from pipeline.base.files import read_regular
from pipeline.base.philox import words
from pipeline.base.records import Attribute
from pipeline.base.untrusted import parse_json

EARLIER_BYTES = 256 << 20  # the documents of a hundred thousand tokens
SAMPLED = 20_000  # tokens by which it is learned how often older programs would paint a value under their rules

Names = Mapping[str, str]  # of layers and their values


@dataclass(frozen=True, slots=True)
class Row:
    """One token: the value that it has of each layer of its kind, or the whole picture that it is."""

    kind: int
    values: tuple[int, ...] = ()
    single: int | None = None
    number: int | None = None  # in its name, where that is not the token id


def known_count(design: Design) -> int | None:
    """How many tokens the form makes; None where it does not say."""
    counts = [_own_count(kind) for kind in design.kinds]
    if any(count is None for count in counts):
        return None
    return sum(filter(None, counts)) + len(design.singles)


def _own_count(kind: Kind) -> int | None:
    if kind.form.count is not None:
        return kind.form.count
    for layer in kind.layers:
        if all(value.count is not None for value in layer.values):
            return sum(value.count or 0 for value in layer.values)
    return None


# ── planning ─────────────────────────────────────────────────────────────────────────────────────────────────


def planned(
    design: Design, count: int, seed: int, first: int = 1, before: Sequence[str] = (), *, taken: Sequence[Names] = ()
) -> list[Row]:
    """Rows for tokens `first`, `first + 1`, …; `before` has the plans of the collection's tokens so far.

    Counts of the form are those of the whole collection: what the earlier tokens have is taken off. Combinations of theirs,
    and of `taken`, do not come again. Raises BadArgument for counts that do not add up and for rules about nothing,
    Impossible with a proof, Unsolved where there is neither a table nor a proof.
    """
    check_rules(design)
    earlier = [_parsed(text) for text in before if text]
    singles = _singles_left(design, earlier)
    sizes = _sizes(design, count - len(singles), earlier, known=len(singles))
    names = [*(_names(one) for one in earlier), *taken]
    rows = list[Row]()
    for number, (kind, size) in enumerate(zip(design.kinds, sizes, strict=True)):
        of_kind = [one for one in earlier if one.get("group") == number]
        table = solved(design, number, size, seed + first, [_names(one) for one in of_kind], names)
        begin = len(of_kind) + 1
        made = [Row(number, tuple(map(int, values))) for values in table]
        if kind.form.numbered:
            made = [replace(row, number=place) for place, row in enumerate(made, begin)]
        names += [_named(kind, row.values) for row in made]
        rows += made
    return _placed(design, rows, singles, seed + first)


def solved(
    design: Design,
    kind: int,
    size: int,
    seed: int,
    used: Sequence[Names] = (),
    taken: Sequence[Names] = (),
    fixed: Table | None = None,
) -> Table:
    """A table of `size` tokens of a kind. `used` are its tokens so far, `taken` all whose combinations are taken.

    Cells of `fixed` that are not FREE stay, and the counts include them. Raises what `planned` does.
    """
    problem = problem_of(design, kind, size, seed, used, taken)
    if size == 0:
        return np.zeros((0, len(problem.columns)), np.int32)
    return solve(problem, seed + kind, fixed)


def rerolled(
    design: Design,
    rows: Sequence[Row],
    loose: Mapping[int, Collection[str]],
    seed: int,
    taken: Sequence[Names] = (),
    rounds: int = ROUNDS,
) -> list[Row]:
    """The rows with other values in cells that are loose: by the place of a row, the layers of which it may get another.

    Counts stay as they are, whoever has the values; so one row alone gets nothing new, and the loose ones exchange with each
    other. Rules hold and rows differ afterwards. Raises Impossible and Unsolved, with nothing changed.
    """
    changed = list(rows)
    for number, kind in enumerate(design.kinds):
        places = [place for place, row in enumerate(rows) if row.kind == number]
        if not any(place in loose for place in places):
            continue
        table = np.array([rows[place].values for place in places], np.int32)
        columns = [
            Column(
                layer.name,
                tuple(value.name for value in layer.values),
                tuple(map(int, np.bincount(table[:, at], minlength=len(layer.values)))),
                layer.tells,
            )
            for at, layer in enumerate(kind.layers)
        ]
        fixed = table.copy()
        for at, place in enumerate(places):
            fixed[at, [layer.name in loose.get(place, ()) for layer in kind.layers]] = FREE
        others = [row for names in taken if (row := _row_of(kind.layers, names)) is not None]
        found = solve(Problem(tuple(columns), clauses_of(design, kind), others), seed + number, fixed, rounds)
        for at, place in enumerate(places):
            changed[place] = replace(rows[place], values=tuple(map(int, found[at])))
    return changed


def problem_of(
    design: Design, kind: int, size: int, seed: int, used: Sequence[Names] = (), taken: Sequence[Names] = ()
) -> Problem:
    """What the table of a kind has to be: counts, clauses and taken rows. Raises BadArgument."""
    layers, clauses = design.kinds[kind].layers, clauses_of(design, design.kinds[kind])
    if design.form.reading == "nftchef" and clauses:
        layers = _as_they_would_be(layers, clauses, seed)
    columns = []
    for layer in layers:
        has = Counter(names.get(layer.name) for names in used)
        columns.append(_column(layer, size, [has[value.name] for value in layer.values]))
    if design.form.reading == "nftchef":
        columns = _with_forced(columns, clauses, layers)
    rows = [row for names in taken if (row := _row_of(layers, names)) is not None]
    return Problem(tuple(columns), clauses, rows)


def _column(layer: Layer, size: int, used: Sequence[int]) -> Column:
    """A layer's counts for `size` more tokens: those that somebody gave, the others by weight."""
    counts = [0] * len(layer.values)
    for number, value in enumerate(layer.values):
        if value.count is not None:
            counts[number] = value.count - used[number]
            if counts[number] < 0:
                has = f"{used[number]:,} or more: so many tokens have it"
                raise refused(f"counts of {layer.folder}", f"{value.name} = {value.count}", has)
    by_weight = [number for number, value in enumerate(layer.values) if value.count is None and value.weight]
    rest = size - sum(counts)
    if rest < 0 or (rest and not by_weight):
        so_far = f" and the earlier ones have {sum(used):,}" if any(used) else ""
        raise refused(
            f"counts of {layer.folder or layer.name}",
            f"{sum(counts) + sum(used):,} in all",
            f"{size + sum(used):,}, the number of tokens{so_far}",
        )
    shares = shared_beyond(
        [layer.values[number].weight for number in by_weight], rest, [used[number] for number in by_weight]
    )
    for number, share in zip(by_weight, shares, strict=True):
        counts[number] = share
    return Column(layer.name, tuple(value.name for value in layer.values), tuple(counts), layer.tells)


def _singles_left(design: Design, earlier: Sequence[Mapping[str, Any]]) -> list[int]:
    placed = {one.get("single") for one in earlier}
    return [number for number, single in enumerate(design.singles) if single.name not in placed]


def _sizes(design: Design, count: int, earlier: Sequence[Mapping[str, Any]], *, known: int) -> list[int]:
    """How many tokens of each kind are to be made."""
    has = Counter(one.get("group") for one in earlier)
    told = f" beside {known} whole pictures" if known else ""
    counts = [None if kind.form.count is None else kind.form.count - has[at] for at, kind in enumerate(design.kinds)]
    if count < 0:
        raise BadArgument(name="--count", value=count + known, expected=f"{known} or more: so many are whole pictures")
    for kind, left in zip(design.kinds, counts, strict=True):
        if left is not None and left < 0:
            raise refused(f"count of {kind.form.name or 'a group'}", kind.form.count, "as many as it has already")
    rest, open_ = count - sum(filter(None, counts)), [at for at, left in enumerate(counts) if left is None]
    if rest < 0 or (rest and not open_):
        raise BadArgument(
            name="--count",
            value=count + known,
            expected=f"{count - rest + known:,}, as many as its groups have{told}",
            hint=f"leave --count out, or change the counts of the groups in {FORM_NAME} (growEditionSizeTo in config.js)",
        )
    shares = largest_remainder([Fraction(1)] * len(open_), rest)
    for at, share in zip(open_, shares, strict=True):
        counts[at] = share
    return [size or 0 for size in counts]


def _placed(design: Design, rows: list[Row], singles: Sequence[int], seed: int) -> list[Row]:
    """Rows in the order of token ids: whole pictures at ids from the seed, kinds mixed where the form says so."""
    count = len(rows) + len(singles)
    lots = words(seed, "layers/places", max(1, 2 * count))
    if design.form.shuffled:
        rows = [rows[int(at)] for at in np.argsort(lots[: len(rows)], kind="stable")]
    places = sorted(map(int, np.argsort(lots[count : 2 * count], kind="stable")[: len(singles)]))
    for place, single in zip(places, singles, strict=True):
        rows.insert(place, Row(-1, single=single))
    return rows


# ── how older programs would choose ──────────────────────────────────────────────────────────────────────────


def _as_they_would_be(layers: Sequence[Layer], clauses: Sequence[Clause], seed: int) -> tuple[Layer, ...]:
    """Layers with weights as they come out under rules, where those are obeyed layer by layer while choosing.

    So counts follow what the older program would paint on average, and a rule has room.
    """
    chosen = np.zeros((SAMPLED, len(layers)), np.int64)
    for number, layer in enumerate(layers):
        weights = np.array([float(value.weight) for value in layer.values])
        allowed = np.ones((SAMPLED, len(weights)), bool)
        for clause in clauses:
            if clause.parts[-1][0] != number:
                continue
            broken = np.ones(SAMPLED, bool)
            for column, those in clause.parts[:-1]:
                broken &= np.isin(chosen[:, column], list(those))
            for out in clause.parts[-1][1]:
                allowed[broken, out] = False
        share = weights * allowed
        share[share.sum(axis=1) == 0] = allowed[share.sum(axis=1) == 0]
        edges = np.cumsum(share, axis=1)
        lots = words(seed, f"layers/sample/{number}", SAMPLED) * 2.0**-32 * edges[:, -1]
        chosen[:, number] = np.minimum((edges <= lots[:, None]).sum(axis=1), len(weights) - 1)
    told = []
    for number, layer in enumerate(layers):
        found = np.bincount(chosen[:, number], minlength=len(layer.values))
        is_ruled = any(clause.parts[-1][0] == number for clause in clauses)
        weighed = [
            replace(value, weight=Fraction(int(has))) if is_ruled and value.count is None else value
            for value, has in zip(layer.values, found, strict=True)
        ]
        told.append(replace(layer, values=tuple(weighed)))
    return tuple(told)


def _with_forced(columns: list[Column], clauses: Sequence[Clause], layers: Sequence[Layer]) -> list[Column]:
    """Counts with room for values that others force: rounding must not leave one of those without."""
    for clause in clauses:
        (one, when), *others = clause.parts
        if len(others) != 1 or not clause.told.startswith("forced"):
            continue
        other = others[0][0]
        forced = [number for number in range(len(columns[other].values)) if number not in others[0][1]]
        counts = list(columns[other].counts)
        missing = sum(columns[one].counts[number] for number in when) - sum(counts[number] for number in forced)
        while missing > 0:
            most = max((number for number in range(len(counts)) if number not in forced), key=counts.__getitem__)
            counts[most] -= 1
            counts[forced[0]] += 1
            missing -= 1
        columns[other] = replace(columns[other], counts=tuple(counts))
    return columns


# ── combinations that are taken ──────────────────────────────────────────────────────────────────────────────


def _row_of(layers: Sequence[Layer], names: Names) -> tuple[int, ...] | None:
    """The telling values of a combination; None where tokens of these layers cannot agree with it."""
    telling = [layer for layer in layers if layer.tells]
    if not {layer.name for layer in telling} <= names.keys():
        return None
    found = [layer.number(names[layer.name]) for layer in telling]
    return tuple(number for number in found if number is not None) if None not in found else None


def named_in(text: str) -> dict[str, str]:
    """The names of a token's values, by layer, as they were written down."""
    return dict(_names(_parsed(text)))


def names_of(design: Design, row: Row) -> dict[str, str]:
    """The names of a composed token's values, by layer."""
    return _named(design.kinds[row.kind], row.values)


def _named(kind: Kind, values: Sequence[int]) -> dict[str, str]:
    return {layer.name: layer.values[number].name for layer, number in zip(kind.layers, values, strict=True)}


def combinations_of(design: Design) -> list[dict[str, str]]:
    """The combinations of earlier collections that the form names, by the layers here. Raises BadArgument."""
    documents = [document for name in design.form.earlier for document in _documents(design.folder / name)]
    if not documents:
        return []
    found = []
    for kind in design.kinds:
        layers = [layer for layer in kind.layers if layer.tells]
        for layer in layers:
            if not any(value.traits for value in layer.values):
                told = f"earlier collections tell only traits, and {layer.name} is none"
                raise refused(
                    "earlier", ", ".join(design.form.earlier), f"layers that are traits, or bypass = true ({told})"
                )
        lookups = [_by_traits(layer) for layer in layers]
        for document in documents:
            values = [lookup(document) for lookup in lookups]
            if None not in values:
                found.append({layer.name: value or "" for layer, value in zip(layers, values, strict=True)})
    return found


def _by_traits(layer: Layer) -> Callable[[Mapping[str, str]], str | None]:
    kinds = {trait for value in layer.values for trait, _ in value.traits}
    known = {frozenset(value.traits): value.name for value in reversed(layer.values)}

    def named(document: Mapping[str, str]) -> str | None:
        return known.get(frozenset((trait, said) for trait, said in document.items() if trait in kinds))

    return named


def _documents(path: Path) -> list[dict[str, str]]:
    """The traits of each token in a file or folder of JSON."""
    if path.is_dir():
        files = sorted(file for file in path.glob("*.json") if not file.name.startswith("_"))
        return [one for file in files for one in _documents(file)]
    try:
        read = parse_json(read_regular(path, EARLIER_BYTES))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise refused("earlier", path, f"JSON of earlier tokens ({reason})") from error
    entries = read if isinstance(read, list) else read.get("tokens", [read]) if isinstance(read, dict) else [read]
    found = []
    for entry in entries:
        attributes = entry.get("attributes") if isinstance(entry, dict) else None
        if not isinstance(attributes, list):
            raise refused("earlier", path, "JSON of tokens with attributes, such as HashLips' _metadata.json")
        pairs = [one for one in attributes if isinstance(one, dict) and "trait_type" in one]
        found.append({str(one["trait_type"]): str(one.get("value")) for one in pairs})
    return found


# ── rows as text ─────────────────────────────────────────────────────────────────────────────────────────────


def _parsed(text: str) -> dict[str, Any]:
    found = parse_json(text)
    return found if isinstance(found, dict) else {}


def _names(one: Mapping[str, Any]) -> Names:
    values = one.get("values")
    return values if isinstance(values, dict) else {}


def row_text(design: Design, row: Row, holds: Callable[[Sequence[str]], str]) -> str:
    """A row as it is written down. `holds(files)` is a digest over pictures: what was planned is recognised by it."""
    told: dict[str, Any] = {} if row.number is None else {"number": row.number}
    if row.single is not None:
        single = design.singles[row.single]
        return json.dumps(told | {"single": single.name, "holds": holds([single.file])}, ensure_ascii=False)
    kind = design.kinds[row.kind]
    chosen = [(layer, layer.values[number]) for layer, number in zip(kind.layers, row.values, strict=True)]
    told |= {
        "group": row.kind,
        "values": {layer.name: value.name for layer, value in chosen},
        "holds": {
            layer.name: _short([holds([piece.file for piece in value.pieces if piece.file]), str(value.pieces)])
            for layer, value in chosen
        },
    }
    return json.dumps(told, ensure_ascii=False)


def _short(parts: Sequence[str]) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def row_from(design: Design, text: str, holds: Callable[[Sequence[str]], str]) -> Row:
    """The row that was written down. Raises BadArgument, by layer and value, for what is another picture now, or gone."""
    one = _parsed(text)
    if "single" in one:
        names = [single.name for single in design.singles]
        if one["single"] not in names or holds([design.singles[names.index(one["single"])].file]) != one["holds"]:
            raise _changed(design, f"the whole picture {one['single']}")
        return Row(-1, single=names.index(one["single"]), number=one.get("number"))
    if not isinstance(one.get("group"), int) or one["group"] >= len(design.kinds):
        raise _changed(design, "its groups of layers")
    kind, values = design.kinds[one["group"]], []
    for layer in kind.layers:
        number = layer.number(str(_names(one).get(layer.name)))
        if number is None:
            raise _changed(design, f"{layer.name}={_names(one).get(layer.name)}")
        values.append(number)
    row = Row(one["group"], tuple(values), number=one.get("number"))
    again = _parsed(row_text(design, row, holds))
    for name, digest in again["holds"].items():
        if one["holds"].get(name) != digest:
            raise _changed(design, f"{name}={_names(one)[name]}")
    return row


def _changed(design: Design, what: str) -> BadArgument:
    return BadArgument(
        name="--layers",
        value=str(design.folder),
        expected=f"what the unfinished run was planned with: {what} is another one now, or gone",
        hint="put it back as it was, or let go of the run with `pipeline abandon` and plan anew",
    )


# ── what a row says ──────────────────────────────────────────────────────────────────────────────────────────


def attributes_of(design: Design, row: Row) -> tuple[Attribute, ...]:
    """A token's traits: of a trait type that stands twice the first."""
    said: dict[str, str | int | float] = {}
    if row.single is not None:
        said["One of one"] = design.singles[row.single].name
    else:
        kind = design.kinds[row.kind]
        for layer, number in zip(kind.layers, row.values, strict=True):
            for trait, value in layer.values[number].traits:
                said.setdefault(trait, value)
    for trait, always in design.form.attributes.items():
        said.setdefault(trait, always)
    return tuple(Attribute(trait, value) for trait, value in said.items())


def files_of(design: Design, row: Row) -> list[str]:
    """The pictures that a token is painted with."""
    if row.single is not None:
        return [design.singles[row.single].file]
    layers = design.kinds[row.kind].layers
    chosen = [layer.values[number] for layer, number in zip(layers, row.values, strict=True)]
    return [piece.file for value in chosen for piece in value.pieces if piece.file]


def name_of(design: Design, row: Row, token_id: int) -> str:
    """A token's own name; empty where the collection's is meant."""
    prefix = design.kinds[row.kind].form.prefix if row.single is None else None
    prefix = design.form.prefix if prefix is None else prefix
    if row.single is not None:
        return design.singles[row.single].name
    return f"{prefix} #{row.number or token_id}" if prefix else ""


def counted(design: Design, rows: Sequence[Row]) -> list[Counted]:
    """Every value with how often the weights want it among these rows, and how often it is there."""
    found = []
    for number, kind in enumerate(design.kinds):
        own = [row for row in rows if row.kind == number]
        for place, layer in enumerate(kind.layers):
            there = Counter(row.values[place] for row in own)
            wanted = _column(layer, len(own), [0] * len(layer.values)).counts
            found += [
                Counted(kind.form.name, layer.name, value.name, wanted[at], there[at])
                for at, value in enumerate(layer.values)
            ]
    return found


@dataclass(frozen=True, slots=True)
class Absent:
    """Two values that no token has together, though chance alone would give some."""

    first: str
    second: str
    expected: float
    ruled: bool  # whether a rule keeps them apart


def absent(design: Design, rows: Sequence[Row]) -> list[Absent]:
    """The pairs of values that do not occur among these rows, those that chance would give most often first."""
    found = []
    for number, kind in enumerate(design.kinds):
        cells = np.array([row.values for row in rows if row.kind == number], np.int32)
        if not len(cells):
            continue
        never = [dict(clause.parts) for clause in clauses_of(design, kind)]
        for one, two in combinations(range(len(kind.layers)), 2):
            sizes = len(kind.layers[one].values), len(kind.layers[two].values)
            there = np.zeros(sizes, np.int64)
            np.add.at(there, (cells[:, one], cells[:, two]), 1)
            expected = there.sum(1)[:, None] * there.sum(0)[None] / len(cells)
            for x, y in np.argwhere((there == 0) & (expected > 0)):
                names = [f"{kind.layers[at].name}={kind.layers[at].values[v].name}" for at, v in ((one, x), (two, y))]
                ruled = any(of.keys() == {one, two} and x in of[one] and y in of[two] for of in never)
                found.append(Absent(names[0], names[1], float(expected[x, y]), ruled))
    return sorted(found, key=lambda pair: (-pair.expected, pair.first, pair.second))
