"""Palettes of one's own: the table `[palettes]` of `pipeline.toml`, names for five colours that `--palettes` may choose."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pipeline.base.errors import BadArgument
from pipeline.base.untrusted import in_digits

SECTION = "palettes"
COLOURS = 5  # ground, three inks, contrast
NAME = re.compile(r"[A-Za-z0-9 _-]{1,24}")
COLOUR = re.compile(r"#?[0-9a-fA-F]{6}")


def own_palettes(file: str, table: Mapping[str, Any]) -> dict[str, str]:
    """Thirty hex digits by name. Raises BadArgument for a name or a colour that cannot be used, saying which."""
    found: dict[str, str] = {}
    for name, value in table.items():
        told = f"{file}: {SECTION}.{name}"
        if not NAME.fullmatch(name) or name != name.strip():
            raise BadArgument(
                name=told, value=name, expected="a name of up to 24 letters, digits, spaces, - and _, without accents"
            )
        if twin := next((other for other in found if other.lower() == name.lower()), None):
            raise BadArgument(
                name=told, value=name, expected=f"another name than {twin!r}, whatever the case of letters"
            )
        found[name] = _digits(told, value)
    return found


def named(chosen: str, own: Mapping[str, str]) -> str:
    """A choice of palettes in which one's own are written out as NAME=COLOURS, so that it holds wherever it is recorded."""
    known = {name.lower(): f"{name}={colours}" for name, colours in own.items()}
    return ",".join(known.get(part.lower(), part) for part in chosen.split(","))


def _digits(told: str, value: Any) -> str:
    parts = value if isinstance(value, list) else value.replace(",", " ").split() if isinstance(value, str) else []
    for part in parts:
        if not (isinstance(part, str) and COLOUR.fullmatch(part.strip())):
            raise BadArgument(
                name=told, value=in_digits(part)[:40], expected="colours of six hex digits, such as #e4572e"
            )
    if len(parts) != COLOURS:
        raise BadArgument(
            name=told,
            value=f"{len(parts)} colours",
            expected="five: ground, three inks, contrast",
            hint=f'write [{SECTION}] and below it Mine = "f4ead6 e4572e 2a9d8f ffc914 2e282a"',
        )
    return "".join(part.strip().removeprefix("#").lower() for part in parts)
