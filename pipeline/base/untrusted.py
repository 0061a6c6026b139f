"""Reading what somebody else wrote: JSON that cannot crash us, text that cannot fool a reader."""

from __future__ import annotations

import json
import sys
import unicodedata
from typing import Any

MAX_FRAMES = 1_000  # Python's own default; py_ecc, which web3 loads, raises it to 100,000 when it is imported
MAX_SHOWN = 400  # characters: more does not help a reader


def parse_json(data: bytes | str, **hooks: Any) -> Any:
    """`json.loads` that nesting cannot crash: the C parser overruns its stack long before 100,000 levels.

    Raises ValueError for anything that is not JSON, and for JSON that nests too deep. `hooks` are those of `json.loads`.
    """
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(min(limit, MAX_FRAMES))
    try:
        return json.loads(data, **hooks)
    except RecursionError as error:
        raise ValueError("it nests too deep") from error
    finally:
        sys.setrecursionlimit(limit)


def printable(text: object, limit: int = MAX_SHOWN) -> str:
    """Text of somebody else's as it may be shown: on one line, at most `limit` characters, and nothing in it that acts.

    Control and direction characters, which move the cursor or reorder what stands around them (Unicode TR 36), lone
    surrogates and characters without a meaning are shown as `\\u{202e}`; so is every other white space than a space.
    """
    shown = "".join(
        character if character == " " or _is_plain(character) else f"\\u{{{ord(character):x}}}"
        for character in str(text)[: limit + 1]
    )
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def _is_plain(character: str) -> bool:
    return unicodedata.category(character)[0] not in "CZ"
