"""Addresses of images on this server. Each names the content that it leads to, so that it may be cached for ever."""

from __future__ import annotations

WIDTHS = (320, 640)  # of thumbnails: a cell of the grid, and the same on a dense screen
GRID_WIDTH, COVER_WIDTH = WIDTHS


def image_path(collection_id: int, token_id: int, version: str) -> str:
    """The whole image of a token; `version` is the beginning of its sha256."""
    return f"/media/{collection_id}/{token_id}/{version}/image"


def animation_path(collection_id: int, token_id: int, version: str) -> str:
    """What moves beside a token's image; `version` is the beginning of its own sha256."""
    return f"/media/{collection_id}/{token_id}/{version}/animation"


def thumbnail_path(collection_id: int, token_id: int, version: str, width: int) -> str:
    return f"/media/{collection_id}/{token_id}/{version}/{width}.webp"


def cover_thumbnail(collection_id: int, root: str, width: int) -> str:
    """The cover of a collection, by the CID of the directory that holds it."""
    return f"/media/{collection_id}/cover/{root}/{width}.webp"
