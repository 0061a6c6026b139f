"""Pictures in a terminal that can show them: by Kitty's protocol or Sixel, else in half blocks.

Nothing is shown in a pipe, in a terminal without colour, or where the extra `terminal` is missing: a picture is a
courtesy, and never what somebody waits for.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from pathlib import Path

from pipeline.base.limits import IMAGE_BYTES
from pipeline.base.pictures import BadPicture, decode, plain_bytes, shown

SHARE = 2 / 3  # of the terminal's width, at most
NARROWEST, WIDEST = 20, 60  # columns


def can_show() -> bool:
    """Whether a picture may stand in what is printed: on a terminal with colours whose foreground is ours.

    The terminal is asked what it can do, and who asks from the background is stopped for it.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return False
    if os.environ.get("NO_COLOR") or os.environ.get("TERM", "dumb") == "dumb":
        return False
    try:
        is_ours = os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
        return is_ours and os.get_terminal_size(sys.stdout.fileno()).columns >= NARROWEST
    except OSError:  # a terminal, and not this session's
        return False


def show_picture(path: Path) -> None:
    """Print a picture, where that can be."""
    if not can_show() or not path.exists():
        return
    from rich.console import Console

    logging.getLogger("textual_image").setLevel(logging.ERROR)  # that a terminal does not answer is no news
    with contextlib.suppress(ImportError, OSError, BadPicture):
        from textual_image.renderable import Image as Shown  # asks the terminal what it can do

        console = Console()
        picture = shown(decode(plain_bytes(path, IMAGE_BYTES)).image)
        console.print(Shown(picture, width=min(WIDEST, int(console.width * SHARE)), height="auto"))
