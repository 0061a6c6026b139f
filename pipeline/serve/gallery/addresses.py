"""Addresses on this server: of pages, which people pass on, and of images, each of which names the content that it leads to."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

WIDTHS = (320, 640, 1280)  # of thumbnails: a cell of the grid, the same on a dense screen, a picture on a page
REDRAWN = (2048, 3072)  # of pictures that are drawn again where they have every size: a screen, and a dense one
GRID_WIDTH, COVER_WIDTH, PAGE_WIDTH = WIDTHS
PREVIEW = "preview.jpg"  # what a chat shows of a link: JPEG, which every one of them takes
MAX_SLUG = 60  # characters: with four bytes each a folder's name still
# What is at the root and is no collection. A collection of such a name has its number behind it.
RESERVED = frozenset(
    {
        "",
        "v1",
        "media",
        "gallery",
        "owner",
        "docs",
        "detect",
        "data",
        "studio",
        "ipfs",
        "healthz",
        "readyz",
        "metrics",
        "index",
    }
)


def slugs(collections: Iterable[tuple[int, str]]) -> dict[int, str]:
    """The word by which an address names each collection: its name, with its number where another has that word.

    `collections` are numbers and names, the oldest first.
    """
    found: dict[int, str] = {}
    for number, name in collections:
        word = slug(name)
        found[number] = f"{word}-{number}".lstrip("-") if word in RESERVED or word in found.values() else word
    return found


def slug(name: str) -> str:
    """Letters and digits of any script, in lower case, with `-` between words; empty where a name has none."""
    plain = unicodedata.normalize("NFKC", name).casefold()
    return "-".join(re.findall(r"[^\W_]+", plain))[:MAX_SLUG].strip("-")


def image_path(collection_id: int, token_id: int, version: str) -> str:
    """The whole image of a token; `version` is the beginning of its sha256."""
    return f"/media/{collection_id}/{token_id}/{version}/image"


def animation_path(collection_id: int, token_id: int, version: str) -> str:
    """What moves beside a token's image; `version` is the beginning of its own sha256."""
    return f"/media/{collection_id}/{token_id}/{version}/animation"


def thumbnail_path(collection_id: int, token_id: int, version: str, width: int) -> str:
    return f"/media/{collection_id}/{token_id}/{version}/{width}.webp"


def preview_path(collection_id: int, token_id: int, version: str) -> str:
    return f"/media/{collection_id}/{token_id}/{version}/{PREVIEW}"


def cover_thumbnail(collection_id: int, root: str, width: int) -> str:
    """The cover of a collection, by the CID of the directory that holds it."""
    return f"/media/{collection_id}/cover/{root}/{width}.webp"


def cover_preview(collection_id: int, root: str) -> str:
    return f"/media/{collection_id}/cover/{root}/{PREVIEW}"
