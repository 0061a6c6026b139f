"""What composed art offers: its voices, materials and palettes, with a picture of each voice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.base.seeds import token_seed

if TYPE_CHECKING:
    from PIL.Image import Image

SIDE = 256  # of a picture on the sheet
EACH = 3  # pictures of a voice, each of a collection of its own


@dataclass(frozen=True, slots=True)
class VoiceTold:
    voice: str
    about: str


@dataclass(frozen=True, slots=True)
class Offer:
    """What `--voice`, `--material` and `--palettes` may be."""

    voices: tuple[VoiceTold, ...]
    materials: tuple[str, ...]
    palettes: tuple[str, ...]
    files: tuple[Path, ...]


def offer(sheet: Path | None = None, seed: int = 0, own: Mapping[str, str] | None = None) -> Offer:
    """Tell what there is, with `own` palettes; with `sheet`, write pictures of each voice there, of collections that begin with `seed`."""
    from pipeline.art.compose.palettes import KNOWN
    from pipeline.art.compose.voices import VOICES
    from pipeline.art.draw.composed import MATERIALS
    from pipeline.art.sheet import contact_sheets

    files = contact_sheets(_pictures(tuple(VOICES), seed), sheet, SIDE) if sheet else []
    told = tuple(VoiceTold(voice.name, voice.about) for voice in VOICES.values())
    return Offer(told, MATERIALS, (*KNOWN, *(own or {})), tuple(files))


def _pictures(voices: tuple[str, ...], seed: int) -> Iterator[tuple[str, Image]]:
    from PIL import Image

    from pipeline.art.draw.composed import composer

    for voice in voices:
        for collection in range(seed, seed + EACH):
            generator = composer(f"compose:{voice}", collection)
            attempts = (generator.draw(token_seed(collection, 1, attempt), SIDE) for attempt in range(100))
            yield voice, Image.fromarray(next(drawing for drawing in attempts if not drawing.flaw).pixels)
