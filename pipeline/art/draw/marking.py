"""Drawings that carry their token in their pixels: a step between the generator and the gate, named in the renderer.

A renderer's name says whether its pictures are marked: `compose-1/flat/mark-1/cpu`. Its pictures without a mark are
those of `compose-1/flat/cpu`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from pipeline.mark.watermark import SMALLEST, Mark, embed, number_of

if TYPE_CHECKING:
    from pipeline.art.draw import Drawing

Finish = Callable[[int, "Drawing"], "Drawing"]  # what is done to the drawing of a token id before the gate sees it

CODE = "mark-1"  # goes up whenever the same drawing would be marked otherwise
LEAST_SIZE = SMALLEST  # pixels


def unmarked(token_id: int, drawing: Drawing) -> Drawing:
    """A drawing as the generator gave it."""
    return drawing


def marked(seed: int) -> Finish:
    """Marks the drawings of the collection with this seed."""
    number = number_of(seed)
    return lambda token_id, drawing: carrying(Mark(number, token_id), drawing)


def carrying(mark: Mark, drawing: Drawing) -> Drawing:
    return replace(drawing, pixels=embed(drawing.pixels, mark), mark=str(mark))


def is_marked(renderer: str) -> bool:
    return CODE in renderer.split("/")


def marked_renderer(renderer: str) -> str:
    """The name of a renderer whose pictures are marked."""
    *code, device = renderer.split("/")
    return "/".join([*code, CODE, device])


def unmarked_renderer(renderer: str) -> str:
    """The name of what draws the same pictures without a mark."""
    return "/".join(part for part in renderer.split("/") if part != CODE)
