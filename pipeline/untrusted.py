"""Reading JSON that somebody else wrote."""

from __future__ import annotations

import json
import sys
from typing import Any

MAX_FRAMES = 1_000  # Python's own default; py_ecc, which web3 loads, raises it to 100,000 when it is imported


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
