"""The settings of two older programs as a form: HashLips 1.x and nftchef 2.x, read as they are.

Both have a `config.js` (in `src/`, or on top), and folders of pictures below `layers/`. What a key of theirs means stands in
`docs/layers.md`; what has no meaning here is left, and told by its key.

Sources: HashLips/hashlips_art_engine src/config.js and src/main.js; nftchef/art-engine 2.2.0, the same files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from pipeline.art.layers.form import BLENDS, Blend, Form, Group, LayerForm, Part, Rule
from pipeline.art.layers.javascript import Keys, NotRead, Unread, Value, read_constants
from pipeline.base.errors import BadArgument
from pipeline.base.files import read_regular
from pipeline.base.limits import MAX_COUNT, MAX_SIDE, MIN_SIDE
from pipeline.base.untrusted import parse_json, printable
from pipeline.base.words import tidied
from pipeline.settings.table import near

CONFIG_BYTES = 4 << 20
PLACES = ("config.js", "src/config.js", "config.json", "src/config.json")
ROOT = "layers"

_MODES = {mode.split("-")[0] + "".join(word.title() for word in mode.split("-")[1:]): mode for mode in BLENDS}
_OF_NFTCHEF = ("emptyLayerName", "useRootTraitType", "forcedCombinations", "incompatible", "traitValueOverrides")
_NEEDLESS = frozenset(  # ways of working, of no effect on a token
    ("basePath", "isLocal", "path", "buildDir", "layersDir", "debugLogs", "uniqueDnaTorrance", "uniqueDnaTolerance")
    + ("preview", "preview_gif", "pixelFormat", "hashImages", "network", "NETWORK", "MODE", "fs")
)


@dataclass(frozen=True, slots=True)
class Carried:
    """A form, and what it does not carry: a line for each, by its key."""

    form: Form
    left: tuple[str, ...]


def found_config(folder: Path) -> Path | None:
    """The settings of an older program in a folder, if there are any."""
    return next((folder / place for place in PLACES if (folder / place).is_file()), None)


def engine_form(folder: Path, config: Path) -> Carried:
    """Raises BadArgument for what cannot be read, or has no meaning, naming line and key."""
    root = "" if not (folder / ROOT).is_dir() else ROOT
    source = _source(config)
    keys = _Keys(config, _constants(source, config, _MODES))
    if any(name in keys for name in _OF_NFTCHEF):
        return _nftchef(keys, root)
    # HashLips' own table has another mode under one of its names: what it paints is what counts.
    carried = _hashlips(_Keys(config, _constants(source, config, {**_MODES, "sourceAtop": "source-out"})), root)
    if "MODE.sourceAtop" not in source:
        return carried
    told = "MODE.sourceAtop: HashLips paints it as source-out, and so it is here; write source-atop where that is meant"
    return Carried(carried.form, (*carried.left, told))


def _source(config: Path) -> str:
    try:
        return read_regular(config, CONFIG_BYTES).decode("utf-8-sig")
    except OSError as error:
        raise _bad(config, 0, "", f"a readable file ({error.strerror})") from error
    except ValueError as error:
        raise _bad(config, 0, "", "text in UTF-8") from error


def _constants(source: str, config: Path, modes: Mapping[str, str]) -> Keys:
    try:
        if config.suffix == ".json":
            return _keys_of(parse_json(source), config)
        return read_constants(source, {"MODE": dict(modes), "NETWORK": {"eth": "eth", "sol": "sol"}})
    except NotRead as error:
        raise _bad(config, error.line, "", f"settings as plain values ({error}); it is read, and never run") from error
    except ValueError as error:
        raise _bad(config, 0, "", f"text, or JSON ({error})") from error


def _keys_of(value: object, config: Path) -> Keys:
    """JSON in the same form."""

    def same(entry: object) -> Value:
        if isinstance(entry, dict):
            keys = Keys()
            keys.update({str(name): same(inner) for name, inner in entry.items()})
            return keys
        if isinstance(entry, list):
            return [same(inner) for inner in entry]
        if isinstance(entry, int) and not isinstance(entry, bool):
            return float(entry)
        return entry if isinstance(entry, str | float | bool) or entry is None else str(entry)

    found = same(value)
    if not isinstance(found, Keys):
        raise _bad(config, 0, "", "an object of settings")
    return found


def _bad(config: Path, line: int, key: str, expected: str, value: object = None) -> BadArgument:
    place = f"{config.name} line {line}" if line else config.name
    name = f"{place}: {key}" if key else place
    return BadArgument(
        name=name,
        value=str(config) if value is None else printable(value, 80),
        expected=expected,
        hint="mend it, or describe the folder in a layers.toml; nothing was planned",
    )


@dataclass
class _Keys:
    """One object of the settings: every key is asked for by the kind that it has to be."""

    config: Path
    keys: Keys
    place: str = ""
    asked: set[str] = field(default_factory=set)

    def __contains__(self, name: str) -> bool:
        return name in self.keys

    def refuse(self, name: str, expected: str) -> NoReturn:
        value = self.keys.get(name)
        line = value.line if isinstance(value, Unread) else self.keys.lines.get(name, 0)
        told = value.text if isinstance(value, Unread) else _shown(value)
        if isinstance(value, Unread):
            expected = f"{expected}, written out (settings are read, and never run)"
        raise _bad(self.config, line, f"{self.place}{name}", expected, told)

    def _take(self, name: str) -> Value:
        self.asked.add(name)
        return self.keys.get(name)

    def text(self, name: str, default: str = "") -> str:
        value = self._take(name)
        if value is None:
            return default
        return value if isinstance(value, str) else self.refuse(name, "text")

    def switch(self, name: str, default: bool = False) -> bool:
        value = self._take(name)
        if value is None:
            return default
        return value if isinstance(value, bool) else self.refuse(name, "true or false")

    def number(self, name: str, low: float, high: float, default: float) -> float:
        value = self._take(name)
        if value is None:
            return default
        if not isinstance(value, float) or not low <= value <= high:
            self.refuse(name, f"a number from {low:,g} to {high:,g}")
        return value

    def whole(self, name: str, low: int, high: int, default: int | None = None) -> int:
        value = self._take(name)
        if value is None and default is not None:
            return default
        if not isinstance(value, float) or not value.is_integer() or not low <= value <= high:
            self.refuse(name, f"a whole number from {low:,} to {high:,}")
        return int(value)

    def blend(self, name: str) -> Blend:
        value = self._take(name)
        if value is None:
            return "source-over"
        for mode in BLENDS:
            if mode == value:
                return mode
        close = near(str(value), [*BLENDS, *_MODES]) if isinstance(value, str) else ""
        self.refuse(name, f"one of MODE's {len(BLENDS)} blend modes{close}")

    def inner(self, name: str) -> _Keys:
        value = self._take(name)
        if value is None:
            return _Keys(self.config, Keys(), f"{self.place}{name}.")
        return self._object(name, value, f"{self.place}{name}.")

    def _object(self, name: str, value: Value, place: str) -> _Keys:
        return _Keys(self.config, value, place) if isinstance(value, Keys) else self.refuse(name, "an object")

    def objects(self, name: str) -> list[_Keys]:
        value = self._take(name)
        if not isinstance(value, list) or not value:
            self.refuse(name, "a list with at least one object")
        return [self._object(name, entry, f"{self.place}{name}[{at}].") for at, entry in enumerate(value)]

    def texts(self, name: str) -> list[str]:
        value = self._take(name)
        if not isinstance(value, list):
            self.refuse(name, "a list of names")
        for entry in value:
            if not isinstance(entry, str):
                self.refuse(name, "a list of names")
        return [entry for entry in value if isinstance(entry, str)]

    def unasked(self) -> list[str]:
        """Keys that nobody asked for."""
        return [f"{self.place}{name}" for name in self.keys if name not in self.asked and name not in _NEEDLESS]


def _shown(value: Value) -> str:
    if value is None:
        return "not given"
    return printable(json.dumps(value, default=lambda other: f"<{other.text}>"), 80)


# ── what both have ───────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class _Shared:
    """What both programs say in the same way."""

    size: tuple[int, int]
    smooth: bool
    ground: str
    sizes: list[int]
    configurations: list[_Keys]


def _shared(keys: _Keys) -> _Shared:
    configurations = keys.objects("layerConfigurations")
    grown, sizes = 0, list[int]()
    for one in configurations:
        to = one.whole("growEditionSizeTo", 1, MAX_COUNT)
        if to <= grown:
            one.refuse(
                "growEditionSizeTo", f"more than {grown:,}, since it counts the configurations before it as well"
            )
        sizes.append(to - grown)
        grown = to
    format_, background = keys.inner("format"), keys.inner("background")
    size = format_.whole("width", MIN_SIDE, MAX_SIDE, 512), format_.whole("height", MIN_SIDE, MAX_SIDE, 512)
    ground = ""
    if background.switch("generate"):
        brightness = background.text("brightness", "80%")
        ground = background.text("default", "#000000") if background.switch("static") else f"random {brightness}"
    return _Shared(size, format_.switch("smoothing", True), ground, sizes, configurations)


def _ways(keys: _Keys) -> list[str]:
    """What is left of both programs' further settings."""
    left = []
    gif, text = keys.inner("gif"), keys.inner("text")
    if gif.switch("export"):
        left.append("gif.export: a GIF with a frame for each layer added is not made")
    if text.switch("only"):
        text.refuse("only", "false: layers are painted here, and not written as words")
    if keys.text("baseUri"):
        left.append("baseUri: images are pinned, and their address follows from their bytes")
    extra = keys.inner("extraMetadata")
    if extra.keys:
        left.append(f"extraMetadata: {', '.join(map(printable, extra.keys))}: wallets show none of it")
    return left


def _told(keys: Sequence[_Keys]) -> list[str]:
    return [f"{name}: not known here" for part in keys for name in part.unasked()]


# ── HashLips ─────────────────────────────────────────────────────────────────────────────────────────────────


def _hashlips(keys: _Keys, root: str) -> Carried:
    shared, left = _shared(keys), _ways(keys)
    groups = []
    for one, size in zip(shared.configurations, shared.sizes, strict=True):
        groups.append(Group(tuple(_hashlips_layer(layer) for layer in one.objects("layersOrder")), count=size))
        left += _told([one])
    sold = keys.inner("solanaMetadata")
    if _is_solana(keys):
        left.append("network: Solana's editions begin with 0, token ids here with 1")
    symbol = sold.text("symbol") if _is_solana(keys) else ""
    name = keys.text("namePrefix")
    form = Form(
        groups=tuple(groups),
        reading="hashlips",
        root=root,
        name=name,
        symbol=symbol,
        prefix=name,
        description=keys.text("description"),
        size=shared.size,
        smooth=shared.smooth,
        ground=shared.ground,
        delimiter=keys.text("rarityDelimiter", "#") or "#",
        nothing="",  # a value that is called NONE is a value like others
        shuffled=keys.switch("shuffleLayerConfigurations"),
    )
    return Carried(form, tuple(left + _told([keys])))


def _is_solana(keys: _Keys) -> bool:
    return keys.keys.get("network") == "sol"


def _hashlips_layer(layer: _Keys) -> LayerForm:
    options = layer.inner("options")
    trait = options.text("displayName") if "displayName" in options else None
    return LayerForm(
        folder=_folder(layer),
        trait=trait or None,
        blend=options.blend("blend"),
        opacity=options.number("opacity", 0, 1, 1.0),
        bypass=options.switch("bypassDNA"),
    )


def _folder(layer: _Keys) -> str:
    name = layer.text("name")
    return name if name else layer.refuse("name", "the name of a folder")


# ── nftchef ──────────────────────────────────────────────────────────────────────────────────────────────────


def _nftchef(keys: _Keys, root: str) -> Carried:
    shared, left = _shared(keys), _ways(keys)
    overrides = {name: keys.inner("traitValueOverrides").text(name) for name in keys.inner("traitValueOverrides").keys}
    groups = []
    for one, size in zip(shared.configurations, shared.sizes, strict=True):
        layers = tuple(_nftchef_layer(layer, overrides, left) for layer in one.objects("layersOrder"))
        prefix = one.text("namePrefix")
        groups.append(Group(layers, count=size, prefix=prefix or None, numbered=one.switch("resetNameIndex")))
        left += _told([one])
    if keys.switch("outputJPEG"):
        left.append("outputJPEG: images are PNG, without loss")
    if keys.whole("startIndex", 0, MAX_COUNT, 0) != 1:
        left.append("startIndex: token ids begin with 1")
    attributes = _attributes(keys, left)
    form = Form(
        groups=tuple(groups),
        reading="nftchef",
        root=root,
        description=keys.text("description"),
        size=shared.size,
        smooth=shared.smooth,
        ground=shared.ground,
        ground_below=True,
        delimiter=keys.text("rarityDelimiter", "#") or "#",
        nested_traits=not keys.switch("useRootTraitType"),
        nothing=keys.text("emptyLayerName"),
        shuffled=keys.switch("shuffleLayerConfigurations"),
        rules=(*_incompatible(keys), *_forced(keys)),
        attributes=attributes,
    )
    return Carried(form, tuple(left + _told([keys])))


def _nftchef_layer(layer: _Keys, overrides: Mapping[str, str], left: list[str]) -> LayerForm:
    parts = {}
    below = layer.inner("sublayerOptions")
    for name in below.keys:
        part = below.inner(name)
        parts[name] = Part(
            trait=part.text("trait") if "trait" in part else None,
            blend=part.blend("blend") if "blend" in part else None,
            opacity=part.number("opacity", 0, 1, 1.0) if "opacity" in part else None,
        )
        left += _told([part])
    options = layer.inner("options")
    form = LayerForm(
        folder=_folder(layer),
        trait=layer.text("trait") if "trait" in layer else None,
        blend=layer.blend("blend"),
        opacity=layer.number("opacity", 0, 1, 1.0),
        bypass=options.switch("bypassDNA"),
        says=dict(overrides),
        parts=parts,
    )
    left += _told([layer, options])
    return form


def _incompatible(keys: _Keys) -> list[Rule]:
    """It works in the order of layers: the key's comes first."""
    table = keys.inner("incompatible")
    return [
        Rule("never", f"incompatible {name}: {other}", (f"*={_name(name)}", f"*={_name(other)}"), one_way=True)
        for name in table.keys
        for other in table.texts(name)
    ]


def _forced(keys: _Keys) -> list[Rule]:
    table = keys.inner("forcedCombinations")
    return [
        Rule(
            "always", f"forcedCombinations {name}: {other}", (f"*={_name(name)}",), (f"*={_name(other)}",), one_way=True
        )
        for name in table.keys
        for other in table.texts(name)
    ]


def _name(name: str) -> str:
    """A value's name as a selector has it: signs that stand for others are themselves."""
    plain = tidied(name)
    return "".join(f"[{sign}]" if sign in "*?[" else sign for sign in plain)


def _attributes(keys: _Keys, left: list[str]) -> dict[str, str | int | float]:
    """What `extraAttributes` returns, where that is written out."""
    keys.asked.add("extraAttributes")
    value = keys.keys.get("extraAttributes")
    if isinstance(value, Unread) and "".join(value.text.split()) not in ("()=>[]", "()=>([])"):
        left.append("extraAttributes: it is a function, and settings are read, never run")
    return {}
