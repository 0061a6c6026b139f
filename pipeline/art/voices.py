"""What composed art offers: its voices, materials and palettes, with pictures of each voice and material."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.base.seeds import token_seed

if TYPE_CHECKING:
    from PIL.Image import Image

SIDE = 256  # of a picture on the sheet
EACH = 3  # pictures of a voice or material, each of a collection of its own
SHOWN_IN = ("braid", "raked", "massif")  # the voices that materials are shown in


@dataclass(frozen=True, slots=True)
class VoiceTold:
    voice: str
    about: str


@dataclass(frozen=True, slots=True)
class MaterialTold:
    material: str
    about: str


@dataclass(frozen=True, slots=True)
class Offer:
    """What `--voice`, `--material` and `--palettes` may be."""

    voices: tuple[VoiceTold, ...]
    materials: tuple[MaterialTold, ...]
    palettes: tuple[str, ...]
    files: tuple[Path, ...]


def offer(sheet: Path | None = None, seed: int = 0, own: Mapping[str, str] | None = None) -> Offer:
    """Tell what there is, with `own` palettes.

    With `sheet`, write pictures of each voice and material there, of collections that begin with `seed`.
    """
    from pipeline.art.compose.palettes import KNOWN
    from pipeline.art.compose.voices import VOICES
    from pipeline.art.draw.composed import MATERIALS
    from pipeline.art.sheet import contact_sheets

    files = contact_sheets(_pictures(tuple(VOICES), seed), sheet, SIDE) if sheet else []
    told = tuple(VoiceTold(voice.name, voice.about) for voice in VOICES.values())
    materials = tuple(MaterialTold(*material) for material in MATERIALS.items())
    return Offer(told, materials, (*KNOWN, *(own or {})), tuple(files))


def _pictures(voices: tuple[str, ...], seed: int) -> Iterator[tuple[str, Image]]:
    from pipeline.art.draw.composed import LEARNED

    for voice in voices:
        for collection in range(seed, seed + EACH):
            yield voice, _first_picture(f"compose:{voice}", collection)
    for material in LEARNED:
        for collection, voice in enumerate(SHOWN_IN, seed):
            yield material, _first_picture(f"compose:{voice}:{material}", collection)


def _first_picture(name: str, collection: int) -> Image:
    from PIL import Image

    from pipeline.art.draw.composed import composer

    generator = composer(name, collection)
    attempts = (generator.draw(token_seed(collection, 1, attempt), SIDE) for attempt in range(100))
    return Image.fromarray(next(drawing for drawing in attempts if not drawing.flaw).pixels)
