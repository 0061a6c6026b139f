"""What a generator is: a seed becomes a drawing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from pipeline.base.records import Attribute

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Drawing:
    """What one seed looks like."""

    seed: int
    pixels: NDArray[np.uint8]  # (H, W, 3); of layers, where parts are transparent, (H, W, 4)
    attributes: tuple[Attribute, ...]
    flaw: str = ""  # what the generator itself finds wrong with it, such as "blank" or "not finite"
    layout: NDArray[np.float32] | None = None  # see `layouts.py`; of generators that are LaidOut
    mark: str = ""  # the watermark in its pixels, written out: see `marking.py`


class Generator(Protocol):
    """Draws a token from its seed alone: never from its neighbours, their order, or how often the run was restarted."""

    name: str
    weights_sha256: str  # hex digest of the weights file
    renderer: str  # changes whenever pixels of the same seed and weights would
    device: str
    dtype: str  # of the numbers that pixels are computed with
    threads: int

    def draw(self, seed: int, size: int) -> Drawing:
        """Exactly this seed, `size` pixels wide and high, whatever it looks like: choosing is the gate's business.

        Raises BadArgument for a size out of range.
        """
        ...


@runtime_checkable
class BatchGenerator(Generator, Protocol):
    """A generator that may also draw several tokens at once, for the sake of a GPU or of many cores. None needs to be one.

    Where those of a batch share their products, they are promised to a level or two (class B), and `renderer` says so.
    """

    batch: int  # how many are meant to be drawn at once; fewer are where they are large, or memory is short

    def draw_batch(self, seeds: Sequence[int], size: int) -> list[Drawing]:
        """A drawing for each seed, in their order; see `draw`. An error that says "out of memory" halves the batch."""
        ...


@runtime_checkable
class OfOneSide(Generator, Protocol):
    """A generator whose pictures have a side of their own: any other is scaled from their pixels."""

    side: int
    collapsed: str  # why the training that its weights are from was called collapsed; empty for a sound one


@runtime_checkable
class LaidOut(Generator, Protocol):
    """A generator that knows where it puts what, before it is drawn."""

    def layout(self, seed: int) -> NDArray[np.float32]:
        """The layout that `draw` gives with the seed's drawing, at a fraction of its cost."""
        ...
