"""A layered collection as it is: every layer with its values, and of every value the pictures that it is painted with.

The folder is a stranger's. Links, ways out of it and what is no picture are refused by name, and all faults are told at
once. Nothing is decoded here: `pictures.py` does.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import translate
from fractions import Fraction
from itertools import product
from math import prod
from pathlib import Path, PurePosixPath

from pipeline.art.layers.engines import engine_form, found_config
from pipeline.art.layers.form import FORM_NAME, Blend, Form, Group, LayerForm, Writing
from pipeline.art.layers.names import Named, faulty, read_name
from pipeline.art.layers.toml import read_form, refused
from pipeline.base.errors import BadArgument, BadFiles
from pipeline.base.files import is_there
from pipeline.base.limits import MAX_ATTRIBUTES, MAX_TEXT, TRAIT_CHARACTERS
from pipeline.base.metadata import clean_text
from pipeline.base.untrusted import printable
from pipeline.base.words import tidied
from pipeline.settings.table import near

MAX_FILES = 100_000  # of one collection: each is read once
MAX_VALUES = 20_000  # of one layer, nested ones multiplied out
MAX_DEPTH = 12  # folders within folders
_OF_SYSTEMS = ("Thumbs.db", "desktop.ini", "__MACOSX", "Icon\r", "@eaDir")


@dataclass(frozen=True, slots=True)
class Piece:
    """One picture, or one text, of a value."""

    file: str  # below the folder, its parts joined by /; empty for a text
    z: int = 0
    blend: Blend = "source-over"
    opacity: float = 1.0
    order: tuple[int, ...] = ()  # of the layer, then of the entries down to it: what is drawn first
    text: str = ""
    writing: Writing | None = None


@dataclass(frozen=True, slots=True)
class Value:
    """One of a layer's values. A value without pieces paints nothing."""

    name: str
    weight: Fraction
    count: int | None = None
    pieces: tuple[Piece, ...] = ()
    traits: tuple[tuple[str, str], ...] = ()  # trait type and value
    names: frozenset[str] = frozenset()  # what rules may call it


@dataclass(frozen=True, slots=True)
class Layer:
    """What a token has one value of."""

    name: str
    folder: str  # of the form's layer: several layers may come from one folder
    values: tuple[Value, ...]
    tells: bool = True  # whether tokens are told apart by it
    tags: Mapping[str, frozenset[int]] = field(default_factory=dict)
    sets: Mapping[str, Mapping[str, frozenset[int]]] = field(default_factory=dict)

    def number(self, name: str) -> int | None:
        return next((number for number, value in enumerate(self.values) if value.name == name), None)


@dataclass(frozen=True, slots=True)
class Kind:
    """The layers of a group's tokens."""

    form: Group
    layers: tuple[Layer, ...]


@dataclass(frozen=True, slots=True)
class Single:
    """A whole picture that is one token."""

    name: str
    file: str


@dataclass(frozen=True, slots=True)
class Design:
    """All of it; `notes` is what is worth telling."""

    folder: Path
    form: Form
    kinds: tuple[Kind, ...]
    singles: tuple[Single, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def files(self) -> list[str]:
        """Every picture of it, once."""
        pieces = (
            p.file for kind in self.kinds for layer in kind.layers for value in layer.values for p in value.pieces
        )
        return list(dict.fromkeys(file for file in (*pieces, *(one.file for one in self.singles)) if file))


def read_design(folder: Path) -> Design:
    """What a folder holds: by its layers.toml, else by the settings of an older program.

    Raises BadArgument where there is neither, and for one fault; BadFiles, which names each, for several.
    """
    form, notes = form_of(folder)
    return _Reader(folder, form, notes).design()


def form_of(folder: Path) -> tuple[Form, tuple[str, ...]]:
    """The form of a folder, and what of an older program's settings it does not carry."""
    if not folder.is_dir():
        raise faulty(folder, f"a folder with a {FORM_NAME}, or with the config.js of an older program", "there is none")
    if (folder / FORM_NAME).exists():
        return read_form(folder / FORM_NAME), ()
    if config := found_config(folder):
        carried = engine_form(folder, config)
        return carried.form, carried.left
    raise faulty(folder, f"a {FORM_NAME}, a config.js or a src/config.js in it", "it has none of them")


# ── reading folders ──────────────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class _Option:
    """An entry that may be chosen, with what has to be chosen within it."""

    name: str
    weight: Fraction | None
    inside: _Inside


@dataclass(slots=True)
class _Inside:
    """What a folder asks for: pictures that are always drawn, and choices."""

    pieces: list[Piece] = field(default_factory=list)
    traits: list[tuple[str, str]] = field(default_factory=list)
    choices: list[tuple[str, list[_Option]]] = field(default_factory=list)  # where, and of which one is chosen

    def take(self, other: _Inside) -> None:
        self.pieces += other.pieces
        self.traits += other.traits
        self.choices += other.choices


@dataclass(frozen=True, slots=True)
class _Place:
    """A folder or file within a layer, as what stands above it has it."""

    path: Path
    names: tuple[str, ...]  # from the layer's own folder down to this one, as they are written
    order: tuple[int, ...]
    z: int
    blend: Blend
    opacity: float


class _Reader:
    """Reads the folders that a form names; faults are gathered, and told together."""

    def __init__(self, folder: Path, form: Form, notes: Sequence[str]) -> None:
        self._folder, self._form, self._notes = folder, form, list(notes)
        self._faults: list[BadArgument] = []
        self._files = 0

    def design(self) -> Design:
        kinds = tuple(Kind(group, tuple(self._layers(group))) for group in self._form.groups)
        singles = tuple(self._singles())
        self._raise()
        return Design(self._folder, self._form, kinds, singles, tuple(self._notes))

    def _raise(self) -> None:
        if len(self._faults) == 1:
            raise self._faults[0]
        if self._faults:
            told = [(shown(self._folder, fault), str(fault.fields["expected"])) for fault in self._faults]
            raise BadFiles(folder=self._folder, faults=told, hint=self._faults[0].hint)

    def _layers(self, group: Group) -> Iterator[Layer]:
        seen, traits = dict[str, int](), 0
        for number, form in enumerate(group.layers):
            try:
                layers = [self._of_words(number, form)] if form.writing else self._of_folder(number, form)
            except BadArgument as fault:
                self._faults.append(fault)
                continue
            for layer in layers:
                again = seen[layer.name] = seen.get(layer.name, 0) + 1
                traits += max(len(value.traits) for value in layer.values)
                yield layer if again == 1 else replace(layer, name=f"{layer.name} {again}")
        if traits > MAX_ATTRIBUTES:
            too_many = faulty(self._folder, f"layers with at most {MAX_ATTRIBUTES} traits", f"there are {traits}")
            self._faults.append(too_many)

    def _of_words(self, number: int, form: LayerForm) -> Layer:
        assert form.writing is not None and form.trait is not None
        values = [
            Value(
                name=text,
                weight=weight,
                pieces=(Piece("", form.z, form.blend, form.opacity, (number,), text, form.writing),),
                traits=self._trait(form, form.trait, text),
                names=frozenset([text]),
            )
            for text, weight in form.writing.values.items()
        ]
        return self._finished(form, form.trait or "text", values)

    def _of_folder(self, number: int, form: LayerForm) -> list[Layer]:
        name = PurePosixPath(form.folder).name
        path = self._way(form.folder)
        found = self._inside(_Place(path, (name,), (number,), form.z, form.blend, form.opacity), form)
        if found.pieces:
            found.choices.insert(
                0, (f"{name} always", [_Option(name, Fraction(1), _Inside(found.pieces, found.traits))])
            )
        if not found.choices:
            raise faulty(path, "a folder with pictures", "it is empty")
        return [self._chosen(form, where, options) for where, options in found.choices]

    def _chosen(self, form: LayerForm, where: str, options: Sequence[_Option]) -> Layer:
        self._must_weigh(options, form)
        values = [value for option in options for value in self._multiplied(option, form)]
        if len(values) > MAX_VALUES:
            raise faulty(self._path(form.folder), f"at most {MAX_VALUES:,} values", f"its folders make {len(values):,}")
        return self._finished(form, where, values)

    # ── files ────────────────────────────────────────────────────────────────────────────────────────────────

    def _path(self, name: str) -> Path:
        return self._folder / self._form.root / name

    def _way(self, name: str) -> Path:
        """The folder that the form calls so. A way out of this one, or through a link, is refused."""
        path = self._folder
        for part in PurePosixPath(self._form.root, name).parts:
            if part in ("..", "/"):
                raise faulty(self._path(name), "a folder within this one", "its name leads out of it")
            path /= part
            if not is_there(path):
                break
            if path.is_symlink():
                raise faulty(path, "a folder", "it is a link: put the folder itself there")
        if not is_there(path) or not path.is_dir():
            raise faulty(path, "a folder with pictures", "there is none")
        return path

    def _entries(self, folder: Path) -> list[tuple[Path, bool]]:
        """Files and folders in the order of their names; what systems leave is passed over."""
        found = []
        with os.scandir(folder) as listing:
            entries = sorted(listing, key=lambda entry: entry.name)
        for entry in entries:
            path = Path(entry.path)
            if entry.name.startswith(".") or entry.name in _OF_SYSTEMS or entry.name.endswith(".ini"):
                continue
            if entry.is_symlink():
                self._faults.append(faulty(path, "a file or a folder", "it is a link: put the file itself there"))
            elif entry.is_dir() or entry.is_file():
                found.append((path, entry.is_dir()))
            else:
                self._faults.append(faulty(path, "a file", "it is a pipe or a device"))
        self._files += len(found)
        if self._files > MAX_FILES:
            raise faulty(folder, f"at most {MAX_FILES:,} files", "there are more")
        return found

    def _inside(self, place: _Place, form: LayerForm) -> _Inside:
        """What a folder of a layer asks for."""
        if len(place.names) > MAX_DEPTH:
            raise faulty(place.path, f"at most {MAX_DEPTH} folders within each other", "there are more")
        found, options = _Inside(), list[_Option]()
        for number, (path, is_folder) in enumerate(self._entries(place.path)):
            try:
                named = read_name(path, self._form.reading, self._form.delimiter, is_folder=is_folder)
                entry = self._entry(self._below(place, path, number, named, form), named, form, is_folder=is_folder)
            except BadArgument as fault:
                self._faults.append(fault)
                continue
            if named.weight is not None or (self._form.reading == "layers" and len(place.names) == 1):
                options.append(_Option(named.name, named.weight, entry))
            else:
                found.take(entry)
        if options:
            where = "/".join(_plain(name, self._form.delimiter) for name in place.names)
            found.choices.insert(0, (where, options))
        return found

    def _below(self, place: _Place, path: Path, number: int, named: Named, form: LayerForm) -> _Place:
        """How an entry is drawn: by what its name says, else by its part of the form, else as the folder around it."""
        blend, opacity = place.blend, place.opacity
        if part := form.parts.get(named.name):
            blend, opacity = part.blend or "source-over", 1.0 if part.opacity is None else part.opacity
        return _Place(
            path,
            (*place.names, path.name),
            (*place.order, number),
            place.z if named.z is None else named.z,
            named.blend or blend,
            opacity if named.opacity is None else named.opacity,
        )

    def _entry(self, place: _Place, named: Named, form: LayerForm, *, is_folder: bool) -> _Inside:
        if is_folder:
            if self._form.reading == "hashlips":
                raise faulty(place.path, "pictures alone", "it is a folder, which HashLips cannot draw")
            found = self._inside(place, form)
            if not found.pieces and not found.choices:
                raise faulty(place.path, "a folder with pictures", "it is empty")
            return found
        if self._is_nothing(named.name):
            return _Inside()
        file = place.path.relative_to(self._folder).as_posix()
        piece = Piece(file, place.z, place.blend, place.opacity, place.order)
        traits = self._traits_of_nftchef(place, named, form) if self._form.reading == "nftchef" else []
        return _Inside([piece], traits)

    def _is_nothing(self, name: str) -> bool:
        return name == self._form.nothing != ""

    # ── traits ───────────────────────────────────────────────────────────────────────────────────────────────

    def _traits_of_nftchef(self, place: _Place, named: Named, form: LayerForm) -> list[tuple[str, str]]:
        """A weighted picture speaks for itself, one that is always drawn for the folder around it; the trait type is the
        folder around that, or, where that one is weighted, the one around it again.
        """
        plain = [self._form.root or "layers", *(_plain(name, self._form.delimiter) for name in place.names)]
        back, value = (2, named.name) if named.weight is not None else (3, plain[-2])
        at = len(plain) - back
        if not self._form.nested_traits and at and self._form.delimiter in place.names[at - 1]:
            at -= 1
        part = form.parts.get(plain[at])
        trait = part.trait if part and part.trait is not None else form.trait if form.trait is not None else plain[at]
        return list(self._trait(form, trait, value))

    def _trait(self, form: LayerForm, trait: str, value: str) -> tuple[tuple[str, str], ...]:
        if not trait:
            return ()
        said = form.says.get(value, value)
        try:
            return ((clean_text("trait", trait, MAX_TEXT), clean_text(trait, said, TRAIT_CHARACTERS)),)
        except BadArgument as fault:
            told = f"{printable(said)!r} is none"
            raise faulty(self._path(form.folder), f"as a trait {fault.fields['expected']}", told) from fault

    # ── values ───────────────────────────────────────────────────────────────────────────────────────────────

    def _must_weigh(self, options: Sequence[_Option], form: LayerForm) -> None:
        """Give options the weight 1 where none of them has one. Raises BadArgument where some have, and others not."""
        without = [
            option
            for option in options
            if option.weight is None and option.name not in form.counts and option.name not in form.weights
        ]
        if without and len(without) < len(options):
            name = without[0].name
            raise faulty(
                self._path(form.folder) / name,
                "a weight, as others beside it have one",
                f"name it {name}{self._form.delimiter}10, or give it a count or a weight in {FORM_NAME}",
            )
        for option in options:
            option.weight = Fraction(1) if option.weight is None else option.weight

    def _multiplied(self, option: _Option, form: LayerForm) -> Iterator[Value]:
        """A value for each way of choosing within an option."""
        for _, options in option.inside.choices:
            self._must_weigh(options, form)
        ways = [
            [value for part in parts for value in self._multiplied(part, form)] for _, parts in option.inside.choices
        ]
        if prod(map(len, ways)) > MAX_VALUES:
            raise faulty(self._path(form.folder), f"at most {MAX_VALUES:,} values", f"{option.name} has more ways")
        sums = [sum((value.weight for value in way), Fraction(0)) for way in ways]
        if not all(sums):
            raise faulty(
                self._path(form.folder) / option.name, "something in it that can be chosen", "all weights are 0"
            )
        for chosen in product(*ways):
            shares = [value.weight / total for value, total in zip(chosen, sums, strict=True)]
            names = [option.name, *(value.name for value in chosen)]
            traits = [*option.inside.traits, *(trait for value in chosen for trait in value.traits)]
            if self._form.reading != "nftchef" and not self._is_nothing(option.name):
                trait = form.trait if form.trait is not None else PurePosixPath(form.folder).name
                traits = list(self._trait(form, trait, " ".join(names) if len(names) > 1 else option.name))
            yield Value(
                name="/".join(names),
                weight=prod(shares, start=option.weight or Fraction(0)),
                pieces=(*option.inside.pieces, *(piece for value in chosen for piece in value.pieces)),
                traits=tuple({trait: (trait, said) for trait, said in reversed(traits)}.values())[::-1],
                names=frozenset([option.name]).union(*(value.names for value in chosen)),
            )

    def _finished(self, form: LayerForm, name: str, values: Sequence[Value]) -> Layer:
        known = {value.name for value in values}
        if len(known) < len(values):
            names = [value.name for value in values]
            twice = next(each for each in names if names.count(each) > 1)
            raise faulty(self._path(form.folder) / twice, "one value of that name", "there are two")
        for key in (*form.counts, *form.weights):
            if key not in known and not self._stands_elsewhere(form, key, known):
                raise refused(f"counts of {form.folder}", key, f"one of its values{near(key, known)}")
        values = [
            replace(value, count=form.counts.get(value.name), weight=form.weights.get(value.name, value.weight))
            for value in values
        ]
        if not any(value.weight or value.count for value in values):
            raise faulty(self._path(form.folder), "a value that can be chosen", "all weights are 0")
        tags = {tag: matching(patterns, values) for tag, patterns in form.tags.items()}
        sets = {
            kind: {each: matching(patterns, values) for each, patterns in members.items()}
            for kind, members in form.sets.items()
        }
        return Layer(name, form.folder, tuple(values), not form.bypass, tags, sets)

    def _stands_elsewhere(self, form: LayerForm, key: str, known: set[str]) -> bool:
        """A folder of several choices has counts for all of them in one place."""
        return self._form.reading == "nftchef" and not known & (form.counts.keys() | form.weights.keys())

    def _singles(self) -> Iterator[Single]:
        if not self._form.singles:
            return
        try:
            folder = self._way(self._form.singles)
            for path, is_folder in self._entries(folder):
                if is_folder:
                    raise faulty(path, "pictures alone", "it is a folder")
                named = read_name(path, self._form.reading, self._form.delimiter, is_folder=False)
                yield Single(named.name, path.relative_to(self._folder).as_posix())
        except BadArgument as fault:
            self._faults.append(fault)


def matching(patterns: Sequence[str], values: Sequence[Value]) -> frozenset[int]:
    """The numbers of values that one of the patterns is about: `Red`, `*red*`, whatever their case with a star in it."""
    found = set[int]()
    for pattern in patterns:
        if any(sign in pattern for sign in "*?["):
            form = re.compile(translate(pattern.casefold()))
            found |= {
                number
                for number, value in enumerate(values)
                if any(form.match(name.casefold()) for name in (value.name, *value.names))
            }
        else:
            found |= {number for number, value in enumerate(values) if pattern in (value.name, *value.names)}
    return frozenset(found)


def shown(folder: Path, fault: BadArgument) -> str:
    """The file that a fault is about, below the folder."""
    path = Path(str(fault.fields["value"]))
    is_below = path.is_absolute() and path.is_relative_to(folder) and path != folder
    return printable(path.relative_to(folder)) if is_below else printable(f"{fault.fields['name']} {path}")


def _plain(name: str, delimiter: str) -> str:
    """A folder's name without its weight and depth."""
    return tidied(re.sub(r"z-?\d*,", "", name).split(delimiter)[0])
