"""What the name of a file or folder says: a value, its weight, where it lies, how it is blended.

    Crown#12.png   z-1,Cape#0.5.png   Glow#3?blend=screen&opacity=50.png

Three readings of one name, since two older programs read it otherwise, each with its traps. What a trap would make of a
name silently is refused by that name, or told.

Sources: HashLips/hashlips_art_engine 1.x and nftchef/art-engine 2.2.0, src/main.js of both.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from pipeline.art.layers.form import BLENDS, Blend, Reading
from pipeline.base.errors import BadArgument
from pipeline.base.media import ANIMATIONS, DECODED, SVG
from pipeline.base.words import tidied

_DEPTH = re.compile(r"z(-?\d*),")
_NUMBER = re.compile(r"\d{1,15}(\.\d{1,12})?|\.\d{1,12}")
_LIKE_A_NUMBER = re.compile(r"[-+]?(\d|\.\d)[\d.,]*%?")
_FOUR = (".png", ".jpg", ".gif")  # endings that the older programs cut off rightly


@dataclass(frozen=True, slots=True)
class Named:
    """What a name says. `weight` is None where it says none."""

    name: str
    weight: Fraction | None
    z: int | None = None
    blend: Blend | None = None
    opacity: float | None = None


def faulty(path: Path, expected: str, why: str) -> BadArgument:
    """A file or folder that cannot be used."""
    return BadArgument(
        name="--layers", value=str(path), expected=f"{expected} ({why})", hint="nothing was planned, pinned or sent"
    )


def read_name(path: Path, reading: Reading, delimiter: str, *, is_folder: bool) -> Named:
    """Raises BadArgument for a name that has two readings, or none."""
    stem = path.name if is_folder else _stem(path, reading)
    if reading == "hashlips":
        return _hashlips(path, stem, delimiter)
    z, stem = _depth(path, stem)
    stem, _, query = stem.partition("?")
    blend, opacity = _query(path, query)
    if reading == "nftchef":
        first, found, rest = stem.partition(delimiter)
        name, weight = tidied(first), _weight(path, rest.partition(delimiter)[0], empty=Fraction(0)) if found else None
    else:
        first, found, rest = stem.rpartition(delimiter)
        is_weight = bool(found) and _LIKE_A_NUMBER.fullmatch(rest.strip()) is not None
        name, weight = tidied(first if is_weight else stem), _weight(path, rest) if is_weight else None
    if not name:
        raise faulty(path, f"a name before {delimiter!r}", "there is none")
    return Named(name, weight, z, blend, opacity)


def _stem(path: Path, reading: Reading) -> str:
    suffix = path.suffix.lower()
    if suffix == SVG:
        raise faulty(
            path, "a picture of pixels", "nothing here paints an SVG: export it as PNG, of the collection's size"
        )
    if suffix in ANIMATIONS:
        raise faulty(path, "a picture", "a layer that moves is a WebP, a GIF or an APNG: save it as one of these")
    if suffix not in DECODED:
        raise faulty(path, f"a picture ({', '.join(DECODED)})", "its name ends otherwise: move it elsewhere")
    if reading != "layers" and suffix not in _FOUR:
        raise faulty(
            path,
            f"a name that ends in {', '.join(_FOUR)}",
            f"{reading} cuts off four characters of it, and the trait would be wrong: rename it, or write reading = "
            "'layers' into a layers.toml",
        )
    return path.name[: -len(suffix)]


def _hashlips(path: Path, stem: str, delimiter: str) -> Named:
    """The name is what stands before the first delimiter, the weight what stands after the last: all of it where there is none."""
    name, last = tidied(stem.split(delimiter)[0]), stem.split(delimiter)[-1].strip()
    if not name:
        raise faulty(path, f"a name before {delimiter!r}", "there is none")
    if delimiter not in stem and not _LIKE_A_NUMBER.fullmatch(last):
        return Named(name, Fraction(1))
    if delimiter in stem and last and not _LIKE_A_NUMBER.fullmatch(last):
        return Named(name, Fraction(1))
    return Named(name, _weight(path, last, empty=Fraction(0)))


def _weight(path: Path, text: str, *, empty: Fraction | None = None) -> Fraction:
    text = text.strip()
    if not text and empty is not None:
        return empty
    if not _NUMBER.fullmatch(text):
        told = "a weight is never negative" if text.startswith("-") else f"{text!r} is none"
        raise faulty(path, "a number of 0 or more as its weight, such as 12 or 0.5", told)
    return Fraction(text)


def _depth(path: Path, stem: str) -> tuple[int | None, str]:
    found = _DEPTH.search(stem)
    if not found:
        return None, stem
    if not re.fullmatch(r"-?\d{1,5}", found[1]):
        raise faulty(path, "a depth such as z-1, or z2,", f"{found[0]!r} is none")
    return int(found[1]), stem.replace(found[0], "", 1)


def _query(path: Path, query: str) -> tuple[Blend | None, float | None]:
    blend: Blend | None = None
    opacity = None
    for setting in filter(None, query.split("&")):
        key, _, value = setting.partition("=")
        if key == "blend":
            blend = next((mode for mode in BLENDS if mode == value), None)
            if blend is None:
                raise faulty(path, f"a blend mode ({', '.join(BLENDS)})", f"{value!r} is none")
        elif key == "opacity":
            if not _NUMBER.fullmatch(value) or not 0 <= float(value) <= 100:
                raise faulty(path, "an opacity from 0 to 100", f"{value!r} is none")
            opacity = float(value) / 100
        else:
            raise faulty(path, "only blend and opacity after the question mark", f"it says {setting!r}")
    return blend, opacity
