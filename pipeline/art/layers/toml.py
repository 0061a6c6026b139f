"""`layers.toml`: read into a form, and written from one. Whatever is unknown or of the wrong kind is refused by its key."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from pipeline.art.layers.form import (
    BLENDS,
    FORM_NAME,
    READINGS,
    Form,
    Group,
    LayerForm,
    Part,
    Rule,
    Writing,
)
from pipeline.base.errors import BadArgument
from pipeline.base.files import read_regular
from pipeline.base.limits import MAX_COUNT, MAX_SIDE, MIN_SIDE
from pipeline.base.untrusted import in_digits
from pipeline.settings.table import near

T = TypeVar("T")
D = TypeVar("D")

FORM_BYTES = 8 << 20  # ten thousand rules have about one
MAX_WEIGHT = 10**15
MAX_PLACES, MAX_BITS = 60, 200  # of a number: before and behind the point, and as a whole one
_NONE: tuple[str, ...] = ()


def refused(key: str, value: object, expected: str, hint: str = "nothing was planned") -> BadArgument:
    """What is wrong with a line of `layers.toml`."""
    return BadArgument(name=f"{FORM_NAME}: {key}", value=in_digits(value), expected=expected, hint=hint)


def read_form(path: Path) -> Form:
    """The form in a file. Raises BadArgument, naming the key."""
    try:
        text = read_regular(path, FORM_BYTES).decode("utf-8-sig")
        document = tomllib.loads(text, parse_float=Decimal)
    except OSError as error:
        raise BadArgument(name="--layers", value=str(path), expected=f"a readable file ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise BadArgument(name="--layers", value=str(path), expected=f"TOML ({error or 'nested too deep'})") from error
    return _form(_Table(document, ""))


class _Table:
    """One table of the file, and which of its keys were read: what is left over is unknown."""

    def __init__(self, entries: Mapping[str, Any], place: str) -> None:
        self._entries, self._place, self._known = entries, place, list[str]()

    def key(self, name: str) -> str:
        return f"{self._place}.{name}" if self._place else name

    def take(self, name: str, read: Callable[[str, Any], T], default: D) -> T | D:
        self._known.append(name)
        return read(self.key(name), self._entries[name]) if name in self._entries else default

    def close(self) -> None:
        for name in self._entries:
            if name not in self._known:
                raise refused(self.key(name), "given", f"a key that exists{near(name, self._known)}")

    def items(self) -> Iterator[tuple[str, Any]]:
        for name, value in self._entries.items():
            self._known.append(name)
            yield name, value

    def __contains__(self, name: str) -> bool:
        return name in self._entries


# ── kinds of values ──────────────────────────────────────────────────────────────────────────────────────────


def _text(key: str, value: Any) -> str:
    return value if isinstance(value, str) else _wrong(key, value, "text")


def _texts(key: str, value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, list):
        _wrong(key, value, "text, or a list of texts")
    return tuple(_text(f"{key}[{number}]", item) for number, item in enumerate(value, 1))


def _switch(key: str, value: Any) -> bool:
    return value if isinstance(value, bool) else _wrong(key, value, "true or false")


def _whole(low: int, high: int) -> Callable[[str, Any], int]:
    def read(key: str, value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            _wrong(key, value, f"a whole number from {low:,} to {high:,}")
        return int(value)

    return read


def _is_number(value: Any) -> bool:
    """A number that is finite and can be worked with: `1e-999999999` is short to write, and a billion digits as a fraction."""
    if isinstance(value, Decimal):
        return value.is_finite() and (not value or -MAX_PLACES <= value.adjusted() <= MAX_PLACES)
    return isinstance(value, int) and not isinstance(value, bool) and value.bit_length() < MAX_BITS


def _weight(key: str, value: Any) -> Fraction:
    if not _is_number(value):
        _wrong(key, value, "a number of 0 or more")
    if not 0 <= value <= MAX_WEIGHT:
        _wrong(key, value, "a number of 0 or more" if value < 0 else f"at most {MAX_WEIGHT:,}")
    return Fraction(value)


def _number(key: str, value: Any) -> float:
    if not _is_number(value):
        _wrong(key, value, "a number")
    return float(value)


def _opacity(key: str, value: Any) -> float:
    found = _number(key, value)
    return found if 0 <= found <= 1 else _wrong(key, value, "a number from 0 to 1")


def _of(names: tuple[T, ...]) -> Callable[[str, Any], T]:
    def read(key: str, value: Any) -> T:
        for name in names:
            if name == value:
                return name
        close = near(value, map(str, names)) if isinstance(value, str) else ""
        _wrong(key, value, f"one of {', '.join(map(str, names))}{close}")

    return read


def _map(read: Callable[[str, Any], T]) -> Callable[[str, Any], dict[str, T]]:
    def read_all(key: str, value: Any) -> dict[str, T]:
        if not isinstance(value, dict):
            _wrong(key, value, "a table")
        return {name: read(f"{key}.{name}", entry) for name, entry in value.items()}

    return read_all


def _table(key: str, value: Any) -> _Table:
    return _Table(value, key) if isinstance(value, dict) else _wrong(key, value, "a table")


def _tables(key: str, value: Any) -> list[_Table]:
    if not isinstance(value, list):
        _wrong(key, value, f"tables, each under [[{key}]]")
    return [_table(f"{key}[{number}]", entry) for number, entry in enumerate(value, 1)]


def _pair(read: Callable[[str, Any], T]) -> Callable[[str, Any], tuple[T, T]]:
    def read_both(key: str, value: Any) -> tuple[T, T]:
        if not isinstance(value, list) or len(value) != 2:
            _wrong(key, value, "two numbers")
        return read(f"{key}[1]", value[0]), read(f"{key}[2]", value[1])

    return read_both


def _attribute(key: str, value: Any) -> str | int | float:
    if not isinstance(value, str) and not _is_number(value):
        _wrong(key, value, "text or a number")
    assert isinstance(value, str | int | Decimal)
    return float(value) if isinstance(value, Decimal) else value


def _wrong(key: str, value: Any, expected: str) -> NoReturn:
    raise refused(key, "empty" if value == "" else in_digits(value)[:80], expected)


# ── the file ─────────────────────────────────────────────────────────────────────────────────────────────────


def _form(table: _Table) -> Form:
    own, named = (table.take(name, _tables, list[_Table]()) for name in ("layers", "groups"))
    if own and named:
        raise refused("layers", "given", "nothing beside [[groups]]: each group has its own layers")
    if not own and not named:
        raise refused("layers", "", "at least one [[layers]] with a folder, or [[groups]]")
    groups = tuple(_group(group) for group in named) or (Group(tuple(_layer(layer) for layer in own)),)
    form = Form(
        groups=groups,
        reading=table.take("reading", _of(READINGS), "layers"),
        root=table.take("root", _text, ""),
        name=table.take("name", _text, ""),
        symbol=table.take("symbol", _text, ""),
        description=table.take("description", _text, ""),
        external_url=table.take("external_url", _text, ""),
        prefix=table.take("prefix", _text, ""),
        size=table.take("size", _pair(_whole(MIN_SIDE, MAX_SIDE)), None),
        smooth=table.take("smooth", _switch, True),
        ground=table.take("ground", _text, ""),
        ground_below=table.take("ground_below", _switch, False),
        delimiter=table.take("delimiter", _text, "#") or "#",
        nested_traits=table.take("nested_traits", _switch, False),
        nothing=table.take("nothing", _text, "NONE"),
        shuffled=table.take("shuffled", _switch, False),
        rules=tuple(_rule(rule, number) for number, rule in enumerate(table.take("rules", _tables, list[_Table]()), 1)),
        singles=table.take("singles", _text, ""),
        earlier=table.take("earlier", _texts, ()),
        attributes=table.take("attributes", _map(_attribute), {}),
    )
    table.close()
    return form


def _group(table: _Table) -> Group:
    layers = table.take("layers", _tables, list[_Table]())
    if not layers:
        raise refused(table.key("layers"), "", "at least one layer")
    group = Group(
        layers=tuple(_layer(layer) for layer in layers),
        name=table.take("name", _text, ""),
        count=table.take("count", _whole(0, MAX_COUNT), None),
        prefix=table.take("prefix", _text, None),
        numbered=table.take("numbered", _switch, False),
    )
    table.close()
    return group


def _layer(table: _Table) -> LayerForm:
    writing = table.take("text", _table, None)
    folder = table.take("folder", _text, "")
    if not folder and writing is None:
        raise refused(table.key("folder"), "", "the folder of the layer's pictures")
    layer = LayerForm(
        folder=folder,
        trait=table.take("trait", _text, None),
        blend=table.take("blend", _of(BLENDS), "source-over"),
        opacity=table.take("opacity", _opacity, 1.0),
        z=table.take("z", _whole(-10_000, 10_000), 0),
        bypass=table.take("bypass", _switch, False),
        counts=table.take("counts", _map(_whole(0, MAX_COUNT)), {}),
        weights=table.take("weights", _map(_weight), {}),
        says=table.take("says", _map(_text), {}),
        tags=table.take("tags", _map(_texts), {}),
        sets=table.take("sets", _map(_map(_texts)), {}),
        parts=table.take("parts", _map(_part), {}),
        writing=_writing(writing) if writing is not None else None,
    )
    table.close()
    if writing is not None and (folder or layer.trait is None):
        raise refused(table.key("text"), "given", "a trait and no folder beside it: words are not in files")
    if both := layer.counts.keys() & layer.weights.keys():
        raise refused(table.key(f"weights.{min(both)}"), "given", "a count or a weight, not both")
    return layer


def _part(key: str, value: Any) -> Part:
    table = _table(key, value)
    part = Part(
        trait=table.take("trait", _text, None),
        blend=table.take("blend", _of(BLENDS), None),
        opacity=table.take("opacity", _opacity, None),
    )
    table.close()
    return part


def _writing(table: _Table) -> Writing:
    writing = Writing(
        values=table.take("values", _map(_weight), {}),
        height=table.take("height", _number, 32.0),
        colour=table.take("colour", _text, "#000000"),
        at=table.take("at", _pair(_number), (0.0, 0.0)),
    )
    table.close()
    if not writing.values:
        raise refused(table.key("values"), "", "at least one text, with its weight")
    if not 1 <= writing.height <= MAX_SIDE:
        raise refused(table.key("height"), writing.height, f"1 to {MAX_SIDE:,} pixels")
    return writing


def _rule(table: _Table, number: int) -> Rule:
    """`never = […]`, `match = […]`, or `if = … ` with `only_with = …` or `always = …`."""
    kinds = [kind for kind in ("never", "match", "only_with", "always") if kind in table]
    if len(kinds) != 1:
        raise refused(f"rules[{number}]", " and ".join(kinds) or "empty", "one of never, match, only_with, always")
    one_way = table.take("one_way", _switch, False)
    if kinds[0] in ("never", "match"):
        kind = "never" if kinds[0] == "never" else "match"
        when = table.take(kind, _texts, _NONE)
        if len(when) < 2:
            raise refused(table.key(kind), ", ".join(when) or "empty", "two selectors or more")
        table.close()
        told = f"rule {number} ({kind} {' with '.join(when)})"
        return Rule("never" if kind == "never" else "match", told, when, one_way=one_way)
    when, kind = table.take("if", _texts, _NONE), kinds[0]
    then = table.take(kind, _texts, _NONE)
    if not when or not then:
        raise refused(table.key("if" if not when else kind), "", "a selector such as 'Hat=Crown'")
    table.close()
    told = f"rule {number} ({' or '.join(when)} {kind.replace('_', ' ')} {' or '.join(then)})"
    if kind == "always":
        told = f"rule {number} ({' or '.join(when)} always with {' and '.join(then)})"
    return Rule("only_with" if kind == "only_with" else "always", told, when, then, one_way)


# ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────


def written(form: Form, notes: tuple[str, ...] = ()) -> str:
    """The form as a file; `notes` stand at its head as comments. `read_form` of it gives the same form again."""
    lines = [*(f"# {note}".rstrip() for note in notes), *([""] if notes else [])]
    plain: dict[str, Any] = {
        "reading": form.reading,
        "root": form.root,
        "name": form.name,
        "symbol": form.symbol,
        "description": form.description,
        "external_url": form.external_url,
        "prefix": form.prefix,
        "size": list(form.size) if form.size else "",
        "smooth": form.smooth,
        "ground": form.ground,
        "ground_below": form.ground_below,
        "delimiter": form.delimiter,
        "nested_traits": form.nested_traits,
        "nothing": form.nothing,
        "shuffled": form.shuffled,
        "singles": form.singles,
        "earlier": list(form.earlier),
        "attributes": dict(form.attributes),
    }
    defaults = Form(())
    lines += [
        f"{key} = {_said(value)}"
        for key, value in plain.items()
        if value not in ("", [], {}) and value != getattr(defaults, key) or (key == "nothing" and value == "")
    ]
    single = len(form.groups) == 1 and form.groups[0] == Group(form.groups[0].layers)
    for group in form.groups:
        if not single:
            lines += ["", "[[groups]]", *_entries(_fields(group, ("layers",), Group(())))]
        for layer in group.layers:
            lines += ["", "[[layers]]" if single else "[[groups.layers]]", *_layer_lines(layer)]
    for rule in form.rules:
        lines += ["", "[[rules]]", *_rule_lines(rule)]
    return "\n".join(lines) + "\n"


def _layer_lines(layer: LayerForm) -> list[str]:
    fields = _fields(layer, ("writing", "parts"), LayerForm(""))
    if layer.parts:
        fields["parts"] = {
            name: {key: value for key, value in _fields(part, (), Part()).items()} for name, part in layer.parts.items()
        }
    if layer.writing:
        fields["text"] = _fields(layer.writing, (), Writing({}))
    return _entries(fields)


def _rule_lines(rule: Rule) -> list[str]:
    one_way = {"one_way": True} if rule.one_way else {}
    if rule.kind in ("never", "match"):
        return _entries({rule.kind: list(rule.when), **one_way})
    return _entries({"if": list(rule.when), rule.kind: list(rule.then), **one_way})


def _fields(value: Any, without: tuple[str, ...], default: Any) -> dict[str, Any]:
    """A dataclass's fields that say something."""
    return {
        name: getattr(value, name)
        for name in value.__dataclass_fields__
        if name not in without and getattr(value, name) != getattr(default, name)
    }


def _entries(fields: Mapping[str, Any]) -> list[str]:
    return [f"{_key(name)} = {_said(value)}" for name, value in fields.items()]


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name, ensure_ascii=False)


def _said(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Fraction):
        return str(value.numerator) if value.denominator == 1 else str(Decimal(value.numerator) / value.denominator)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(name)} = {_said(entry)}" for name, entry in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_said, value)) + "]"
    return str(value)
