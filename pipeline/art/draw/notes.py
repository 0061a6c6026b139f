"""What weights say of the pictures that they learned from, read from the file's head alone: no tensor is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipeline.base.files import open_regular
from pipeline.base.untrusted import parse_json, printable

HEAD_BYTES = 4 << 20  # far more than names and shapes of a model have
WEIGHTS = "model.safetensors"  # in a training's folder
BEST = "best.safetensors"  # beside it: those of the checkpoint whose pictures were nearest to the training pictures


@dataclass(frozen=True, slots=True)
class Learned:
    """From how many pictures, and under which terms these were, in the words of whoever trained."""

    pictures: int
    licence: str


def learned_from(path: Path) -> Learned | None:
    """None for weights that do not say it, or that are not here."""
    try:
        with open_regular(path / WEIGHTS if path.is_dir() else path) as file:
            length = int.from_bytes(file.read(8), "little")  # safetensors: the length of the JSON that follows
            head = parse_json(file.read(length)) if length <= HEAD_BYTES else {}
        notes = parse_json(head["__metadata__"]["notes"])
        pictures, licence = notes["pictures"], notes["licence"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if type(pictures) is not int or type(licence) is not str:
        return None
    return Learned(pictures, printable(licence, 200))
