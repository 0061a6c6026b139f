"""Folders of layers, painted by a description: a path for each picture, the colour and the box by what it is called."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from PIL import Image

SIDE = 32


def paint(folder: Path, names: Iterable[str], side: int = SIDE) -> Path:
    """Write a small picture for each name, such as `Hat/Crown#5.png`; the first layer's fill the canvas. No two are alike."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256(name.encode()).digest()
        covers = "ackground" in name
        picture = Image.new("RGBA", (side, side), (*digest[:3], 255) if covers else (0, 0, 0, 0))
        if not covers:
            left, upper = digest[3] % (side // 2), digest[4] % (side // 2)
            picture.paste((*digest[:3], 255), (left, upper, left + side // 4 + digest[5] % 8, upper + side // 4))
        picture.save(path)
    return folder


def write(folder: Path, text: str, *names: str, side: int = SIDE) -> Path:
    """A folder with this `layers.toml` and these pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "layers.toml").write_text(text)
    return paint(folder, names, side)


CATS = """
name = "Cats"
description = "Cats of layers."
prefix = "Cat"

[[layers]]
folder = "Background"

[[layers]]
folder = "Fur"
blend = "multiply"

[[layers]]
folder = "Hat"
counts = { Crown = 2 }

[[rules]]
never = ["Fur=Grey", "Hat=Cap"]

[[rules]]
if = "Hat=Crown"
only_with = "Background=Gold"
"""
CAT_PICTURES = (
    *("Background/Gold#1.png", "Background/Blue#1.png", "Background/Moss#1.png"),
    *("Fur/Grey#1.png", "Fur/Red#1.png", "Fur/White#1.png"),
    *("Hat/Crown.png", "Hat/Cap#1.png", "Hat/NONE#2.png"),
)


def cats(folder: Path) -> Path:
    """A small collection of ours, with counts, rules, a blend mode, and a value that paints nothing."""
    return write(folder, CATS, *CAT_PICTURES)


BOTS = """
name = "Bots"
prefix = "Bot"
singles = "rare"

[[layers]]
folder = "Background"

[[layers]]
folder = "Body"

[[layers]]
folder = "Hat"
counts = { Crown = 4 }

[[layers]]
folder = "Eyes"

[[rules]]
never = ["Body=Grey", "Hat=Cap"]

[[rules]]
if = "Hat=Crown"
only_with = "Background=Gold"
"""
BOT_PICTURES = (
    *(f"Background/{name}#1.png" for name in ("Gold", "Blue", "Moss", "Sand")),
    *(f"Body/{name}#1.png" for name in ("Grey", "Red", "White", "Pink")),
    *("Hat/Crown.png", "Hat/Cap#2.png", "Hat/NONE#4.png", "Hat/Bow#1.png"),
    *(f"Eyes/{name}#{weight}.png" for weight, name in enumerate(("Wide", "Shut", "Sly", "Star"), 1)),
    "rare/Golden.png",
)


def bots(folder: Path) -> Path:
    """A collection of 256 combinations under two rules, with a whole picture among its tokens."""
    return write(folder, BOTS, *BOT_PICTURES)
