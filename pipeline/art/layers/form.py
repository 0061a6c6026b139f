"""What a layered collection is described by, typed: `layers.toml` says it, and so do the settings of two older programs.

Nothing here was looked up: folders, values and selectors are as somebody wrote them. `design.py` looks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal, get_args

Reading = Literal["layers", "hashlips", "nftchef"]
"""How the names of files are read. hashlips: flat folders, `Name#weight.png`, no weight is 1. nftchef: trees, in which
what has no weight is always drawn. layers: trees, in which a folder's entries are its values."""

Blend = Literal[
    "source-over",
    "source-in",
    "source-out",
    "source-atop",
    "destination-over",
    "destination-in",
    "destination-out",
    "destination-atop",
    "lighter",
    "copy",
    "xor",
    "multiply",
    "screen",
    "overlay",
    "darken",
    "lighten",
    "color-dodge",
    "color-burn",
    "hard-light",
    "soft-light",
    "difference",
    "exclusion",
    "hue",
    "saturation",
    "color",
    "luminosity",
]
BLENDS: tuple[Blend, ...] = get_args(Blend)
READINGS: tuple[Reading, ...] = get_args(Reading)

FORM_NAME = "layers.toml"


@dataclass(frozen=True, slots=True)
class Part:
    """How a folder within a layer differs from the layer."""

    trait: str | None = None
    blend: Blend | None = None
    opacity: float | None = None


@dataclass(frozen=True, slots=True)
class Writing:
    """A layer of words: its values are written, and not painted."""

    values: Mapping[str, Fraction]  # each text, with its weight
    height: float = 32.0  # pixels
    colour: str = "#000000"
    at: tuple[float, float] = (0.0, 0.0)  # pixels, of the upper left corner of the text


@dataclass(frozen=True, slots=True)
class LayerForm:
    """One layer: a folder, and how its pictures are used."""

    folder: str
    trait: str | None = None  # None: the folder's name; empty: it is no trait
    blend: Blend = "source-over"
    opacity: float = 1.0
    z: int = 0
    bypass: bool = False  # tokens are not told apart by it
    counts: Mapping[str, int] = field(default_factory=dict)
    weights: Mapping[str, Fraction] = field(default_factory=dict)
    says: Mapping[str, str] = field(default_factory=dict)  # what the trait says instead of a value's name
    tags: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # by tag, patterns of values
    sets: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)  # colour -> red -> patterns
    parts: Mapping[str, Part] = field(default_factory=dict)
    writing: Writing | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """Tokens that are made of the same layers."""

    layers: tuple[LayerForm, ...]
    name: str = ""
    count: int | None = None  # None: what is left of all tokens
    prefix: str | None = None  # of a token's name; None: the collection's
    numbered: bool = False  # whether its names count from 1


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule over selectors such as `Hat=Crown`, `Hat=*`, `Hat#royal` (a tag), `*=Red`; `told` is how it was written."""

    kind: Literal["never", "only_with", "always", "match"]
    told: str
    when: tuple[str, ...]  # never: all of them; only_with, always: any of them; match: `Layer.set`, two or more
    then: tuple[str, ...] = ()  # only_with: one of them; always: each of them
    one_way: bool = False  # never: only where the first stands in an earlier layer


@dataclass(frozen=True, slots=True)
class Form:
    """A whole collection."""

    groups: tuple[Group, ...]
    reading: Reading = "layers"
    root: str = ""  # the folder that layers are in, below that of the form
    name: str = ""
    symbol: str = ""
    description: str = ""
    external_url: str = ""
    prefix: str = ""  # of a token's name: `PREFIX #7`; empty: the collection's name
    size: tuple[int, int] | None = None  # None: that of the pictures
    smooth: bool = True  # how pictures of another size are fitted
    ground: str = ""  # a colour; `random 80%`: a hue for each token, of that lightness; empty: transparent
    ground_below: bool = False  # laid under the finished picture, and not before the first layer
    delimiter: str = "#"
    nested_traits: bool = False  # nftchef: the weighted folder around a picture is its trait type, not the layer's
    nothing: str = "NONE"  # the name of a value that paints nothing and is no trait; empty: there is none
    shuffled: bool = False  # whether the tokens of groups are mixed
    rules: tuple[Rule, ...] = ()
    singles: str = ""  # a folder of whole pictures, each one token at an id from the seed
    earlier: tuple[str, ...] = ()  # files or folders of JSON of earlier collections, whose combinations are taken
    attributes: Mapping[str, str | int | float] = field(default_factory=dict)  # that every token has
