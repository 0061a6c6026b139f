"""Named places where a test may kill the process, to see that nothing is lost and nothing happens twice.

`PIPELINE_CRASH_AT=sent_not_recorded` kills at the first pass of that place, `sent_not_recorded:3` at the third.
SIGKILL runs no handler and flushes nothing, as a power failure would.
"""

from __future__ import annotations

import os
import signal
from collections import Counter

_wanted, _, _nth = os.environ.get("PIPELINE_CRASH_AT", "").partition(":")
_passes: Counter[str] = Counter()


def crash_point(name: str) -> None:
    """Kill this process here when the environment asks for it. Free otherwise."""
    if name == _wanted:
        _passes[name] += 1
        if _passes[name] == int(_nth or 1):
            os.kill(os.getpid(), signal.SIGKILL)
