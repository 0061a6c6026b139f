"""Rules over layers and values as clauses: sets of values that no token has together.

    Hat=Crown   Hat=*red*   Hat=*   Hat#royal   *=Red

A selector names a layer, or with `*` all of them, and values by name, by pattern, or by a tag. `Hat=*` is any hat: all values
but the one that paints nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, product

from pipeline.art.layers.design import Design, Kind, Layer, matching
from pipeline.art.layers.form import Rule
from pipeline.art.layers.proof import Clause
from pipeline.art.layers.toml import refused
from pipeline.settings.table import near

Chosen = dict[int, frozenset[int]]  # by the number of a layer, its values


def clauses_of(design: Design, kind: Kind) -> tuple[Clause, ...]:
    """What a group's tokens must not have."""
    return tuple(clause for rule in design.form.rules for clause in _clauses(rule, kind.layers, design.form.nothing))


def check_rules(design: Design) -> None:
    """Raise BadArgument for a rule that names nothing, or says what holds anyway."""
    for rule in design.form.rules:
        for selector in (*rule.when, *rule.then):
            if rule.kind == "match":
                _must_have_set(rule, selector, design)
            elif not any(_chosen(selector, kind.layers, design.form.nothing) for kind in design.kinds):
                raise _names_nothing(rule, selector, design)
        if not any(True for kind in design.kinds for _ in _clauses(rule, kind.layers, design.form.nothing)):
            said = "it would rule nothing out: a token has one value of a layer"
            if rule.one_way:
                continue  # of an older program, whose rules work in the order of layers
            raise refused(rule.told, "without effect", f"values that could stand together ({said})")


def _names_nothing(rule: Rule, selector: str, design: Design) -> Exception:
    layer, sign, pattern = _parts(selector)
    layers = [each for kind in design.kinds for each in kind.layers]
    here = [each for each in layers if layer in ("*", each.name, each.folder)]
    if not sign:
        return refused(rule.told, selector, "a selector such as 'Hat=Crown', 'Hat=*' or 'Hat#royal'")
    if not here:
        close = near(layer, {name for each in layers for name in (each.name, each.folder)})
        return refused(rule.told, selector, f"a layer that there is{close}")
    names = (
        {tag for each in here for tag in each.tags} if sign == "#" else {v.name for each in here for v in each.values}
    )
    return refused(rule.told, selector, f"a {'tag' if sign == '#' else 'value'} that there is{near(pattern, names)}")


def _parts(selector: str) -> tuple[str, str, str]:
    """Layer, `=` or `#`, and what of it."""
    at = min((place for place in (selector.find("="), selector.find("#")) if place > 0), default=-1)
    return (selector[:at], selector[at], selector[at + 1 :]) if at > 0 else (selector, "", "")


def _chosen(selector: str, layers: Sequence[Layer], nothing: str) -> Chosen:
    """The values that a selector names, in each layer that has some."""
    name, sign, pattern = _parts(selector)
    found: Chosen = {}
    for number, layer in enumerate(layers):
        if name not in ("*", layer.name, layer.folder):
            continue
        if sign == "#":
            values = layer.tags.get(pattern, frozenset())
        elif pattern == "*":
            values = frozenset(at for at, value in enumerate(layer.values) if value.name != nothing)
        else:
            values = matching([pattern], layer.values) if sign else frozenset()
        if values:
            found[number] = values
    return found


def _clauses(rule: Rule, layers: Sequence[Layer], nothing: str) -> Iterator[Clause]:
    if rule.kind == "match":
        yield from _matched(rule, layers)
        return
    when = [_chosen(selector, layers, nothing) for selector in rule.when]
    if rule.kind == "never":
        yield from _never(rule, when)
        return
    then = [_chosen(selector, layers, nothing) for selector in rule.then]
    wanted = [_united(then)] if rule.kind == "only_with" else then
    for number, values in _united(when).items():
        for choices in wanted:
            later = {at: some for at, some in choices.items() if at > number or not rule.one_way}
            if rule.one_way and not later:
                continue
            yield from _unless(rule, number, values, later, layers)


def _united(several: Sequence[Chosen]) -> Chosen:
    found: Chosen = {}
    for chosen in several:
        for number, values in chosen.items():
            found[number] = found.get(number, frozenset()) | values
    return found


def _never(rule: Rule, when: Sequence[Chosen]) -> Iterator[Clause]:
    for combination in product(*(chosen.items() for chosen in when)):
        numbers = [number for number, _ in combination]
        if rule.one_way and numbers != sorted(set(numbers)):
            continue
        parts: Chosen = {}
        for number, values in combination:
            parts[number] = parts.get(number, values) & values
        if all(parts.values()) and len(parts) == len(numbers):
            yield Clause(tuple(sorted(parts.items(), key=lambda part: part[0])), rule.told)


def _unless(
    rule: Rule, number: int, values: frozenset[int], choices: Chosen, layers: Sequence[Layer]
) -> Iterator[Clause]:
    """No token has these values and none of the choices."""
    parts: Chosen = {number: values}
    for other, wanted in choices.items():
        rest = frozenset(range(len(layers[other].values))) - wanted
        parts[other] = parts.get(other, rest) & rest
    if all(parts.values()):
        yield Clause(tuple(sorted(parts.items(), key=lambda part: part[0])), rule.told)


# ── the same colour ──────────────────────────────────────────────────────────────────────────────────────────


def _sets(selector: str, layers: Sequence[Layer]) -> Iterator[tuple[int, dict[str, frozenset[int]]]]:
    name, _, kind = selector.rpartition(".")
    for number, layer in enumerate(layers):
        if name in (layer.name, layer.folder) and kind in layer.sets:
            yield number, dict(layer.sets[kind])


def _must_have_set(rule: Rule, selector: str, design: Design) -> None:
    name, dot, kind = selector.rpartition(".")
    if not dot:
        raise refused(rule.told, selector, "a layer's set, such as 'Hair.colour'")
    for each in design.kinds:
        for _, members in _sets(selector, each.layers):
            if not any(members.values()):
                raise refused(rule.told, selector, "a set whose patterns name some of the layer's values")
            return
    layers = [layer for each in design.kinds for layer in each.layers]
    here = [layer for layer in layers if name in (layer.name, layer.folder)]
    known = [f"{layer.folder}.{each}" for layer in layers for each in layer.sets]
    expected = f"a set that its layer has under `sets`{near(selector, known)}" if here else "a layer that there is"
    raise refused(rule.told, selector, expected)


def _matched(rule: Rule, layers: Sequence[Layer]) -> Iterator[Clause]:
    """Values of two layers that are in sets of their kind are in a common one."""
    found = [entry for selector in rule.when for entry in _sets(selector, layers)]
    for (one, first), (two, second) in combinations(found, 2):
        if one == two:
            continue
        everything = frozenset().union(*second.values())
        for number in sorted(frozenset().union(*first.values())):
            own = [name for name, values in first.items() if number in values]
            agreeing = frozenset().union(*(second.get(name, frozenset()) for name in own))
            if other := everything - agreeing:
                yield Clause(((one, frozenset([number])), (two, other)), rule.told)
