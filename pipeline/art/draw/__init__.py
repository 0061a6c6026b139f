"""Generation: from a seed to pixels.

    generator = load_generator("default")
    for artwork in generate(specs, generator, 512, image_path): ...

A generator is a built-in name, an entry point of the group `pipeline.generators`, a checkpoint file, or a training's folder. Importing this
package loads neither torch nor numpy.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from pipeline.art.draw.gates import Gate, is_blank, phash
from pipeline.art.draw.stage import drawn, generate, provenance
from pipeline.base.errors import GenerationError
from pipeline.base.installation import loaded
from pipeline.base.records import Attribute
from pipeline.base.seeds import token_seed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "BatchGenerator",
    "Drawing",
    "Gate",
    "Generator",
    "drawn",
    "generate",
    "is_blank",
    "is_composed",
    "load_generator",
    "phash",
    "provenance",
    "token_seed",
]

ENTRY_POINTS = "pipeline.generators"
COMPOSED = "compose"  # and `compose:VOICE:…`: see composed.py


@dataclass(frozen=True, slots=True, eq=False)
class Drawing:
    """What one seed looks like."""

    seed: int
    pixels: NDArray[np.uint8]  # (H, W, 3)
    attributes: tuple[Attribute, ...]
    flaw: str = ""  # what the generator itself finds wrong with it, such as "blank" or "not finite"


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
    """A generator that may also draw several tokens at once, for the sake of a GPU. No generator needs to be one.

    Where its `batch` is more than one, its pictures are promised to a level or two (class B), and `renderer` says so.
    """

    batch: int  # how many are meant to be drawn at once; fewer are where they are large, or memory is short

    def draw_batch(self, seeds: Sequence[int], size: int) -> list[Drawing]:
        """A drawing for each seed, in their order; see `draw`. An error that says "out of memory" halves the batch."""
        ...


Factory = Callable[[str, int | None], Generator]  # device, threads

# name -> "module:attribute" of a Factory
BUILT_IN = {
    "default": "pipeline.art.draw.artist:default_artist",  # of version 0.1: what its collections are drawn with
    "lino": "pipeline.art.draw.artist:default_artist",
}


def is_composed(name: str) -> bool:
    """Whether a generator of this name draws compositions: it holds, or leaves open, what a collection decides once."""
    return name.partition(":")[0] == COMPOSED


def load_generator(name_or_path: str | Path, device: str = "cpu", threads: int | None = None) -> Generator:
    """The generator of that name, or of the checkpoint at that path; `device` may be `auto`.

    Raises GenerationError for an unknown name, weights that are missing or unsound, and a device that is not there.
    """
    name = str(name_or_path)
    if is_composed(name):
        from pipeline.art.draw.composed import composer

        return composer(name, device=device)
    if name in BUILT_IN:
        module, _, attribute = BUILT_IN[name].partition(":")
        factory: Factory = getattr(import_module(module), attribute)
        return factory(device, threads)
    plugins = {point.name: point for point in entry_points(group=ENTRY_POINTS)}
    if name in plugins:
        plugin: Factory = loaded(plugins[name])
        return plugin(device, threads)
    if isinstance(name_or_path, Path) or "/" in name or "." in name:
        from pipeline.art.draw.sampler import open_checkpoint

        return open_checkpoint(Path(name), device, threads)
    known = [*BUILT_IN, COMPOSED, *plugins]
    near = difflib.get_close_matches(name, known, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}, or give the path of a checkpoint"
    raise GenerationError(reason=f"there is no model {name!r}", hint=hint)
