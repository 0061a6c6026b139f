"""A collection's own picture: a file that somebody gave, or what its art source has for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipeline.base.errors import BadArgument
from pipeline.base.limits import IMAGE_BYTES
from pipeline.base.media import DECODERS, suffix_of
from pipeline.base.pictures import BadPicture, decode, plain_bytes


@dataclass(frozen=True, slots=True)
class Cover:
    """A picture's bytes, and the suffix that its content asks for."""

    data: bytes
    suffix: str


def read_cover(path: Path, name: str = "the cover") -> Cover:
    """The cover in a file; `name` is what it is called where it is refused.

    Raises BadArgument for a file that is missing, no plain file, too large, or no sound PNG, JPEG, WebP or GIF.
    """
    try:
        data = plain_bytes(path, IMAGE_BYTES)
        seen = decode(data, DECODERS, every_frame=True)
    except BadPicture as error:
        raise BadArgument(
            name=name,
            value=str(path),
            expected=f"a PNG, JPEG, WebP or GIF file ({error.reason})",
            hint="give a picture as --cover",
        ) from error
    return Cover(data, suffix_of(seen.format))
