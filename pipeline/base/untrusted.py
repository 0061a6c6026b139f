"""Reading what somebody else wrote: JSON that cannot crash us, text that cannot fool a reader."""

from __future__ import annotations

import json
import re
import sys
import unicodedata
from typing import Any

MAX_FRAMES = 1_000  # Python's own default; py_ecc, which web3 loads, raises it to 100,000 when it is imported
MAX_SHOWN = 400  # characters: more does not help a reader


def parse_json(data: bytes | str, *, unique: bool = False, **hooks: Any) -> Any:
    """`json.loads` that nesting cannot crash: the C parser overruns its stack long before 100,000 levels.

    Raises ValueError for anything that is not JSON, NaN and infinities included, for JSON that nests too deep, and with
    `unique` for a key that stands twice in one object. `hooks` are those of `json.loads`.
    """
    if unique:
        hooks["object_pairs_hook"] = _unique
    hooks.setdefault("parse_constant", _no_constant)
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(min(limit, MAX_FRAMES))
    try:
        return json.loads(data, **hooks)
    except RecursionError as error:
        raise ValueError("it nests too deep") from error
    finally:
        sys.setrecursionlimit(limit)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return document


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def printable(text: object, limit: int = MAX_SHOWN, *, lines: bool = False) -> str:
    """Text of somebody else's as it may be shown: at most `limit` characters, and nothing in it that acts.

    It is one line, unless `lines` allows more: only for text whose lines are ours.

    Control and direction characters, which move the cursor or reorder what stands around them (Unicode TR 36), lone
    surrogates and characters without a meaning are shown as `\\u{202e}`; so is every other white space than a space.
    """
    shown = "".join(
        character if _is_plain(character) or (lines and character == "\n") else f"\\u{{{ord(character):x}}}"
        for character in str(text)[: limit + 1]
    )
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def in_digits(value: object) -> str:
    """`str(value)`, also of a number, or of a list with one, that has more digits than Python writes."""
    try:
        return str(value)
    except ValueError:
        return "a number that is too long to be shown"


def json_text(value: Any, indent: int | None = None) -> str:
    """`value` as JSON that a terminal may show too: characters that act are written as `\\u…`."""
    return _ACTING.sub(_escaped, json.dumps(value, indent=indent, ensure_ascii=False))


def _escaped(found: re.Match[str]) -> str:
    units = found[0].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


# Controls beyond ASCII, direction and format characters, lone surrogates, separators of lines: json.dumps leaves them.
_ACTING = re.compile(
    "[\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)


def _is_plain(character: str) -> bool:
    return character == " " or unicodedata.category(character)[0] not in "CZ"
