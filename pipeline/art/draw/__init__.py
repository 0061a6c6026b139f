"""Generation: from a seed to pixels.

>>> from pipeline.art.draw import Gate, generate, load_generator
>>> from pipeline.base.records import TokenSpec
>>> from pathlib import Path
>>> generator, specs = load_generator("default"), [TokenSpec(1, 7, "0x" + "00" * 20)]
>>> [artwork.path.name for artwork in generate(specs, generator, 16, Gate(7), lambda token_id: Path(f"{token_id}.png"))]
['1.png']

A generator is a built-in name, an entry point of the group `pipeline.generators`, a checkpoint file, or a training's
folder. Importing this package loads neither torch nor numpy.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path

from pipeline.art.draw.gates import Gate, is_blank, phash
from pipeline.art.draw.generator import BatchGenerator, Drawing, Generator
from pipeline.art.draw.stage import drawn, generate, provenance
from pipeline.base.errors import NoModel
from pipeline.base.installation import loaded
from pipeline.base.seeds import token_seed

__all__ = [
    "BatchGenerator",
    "Drawing",
    "Gate",
    "Generator",
    "drawn",
    "generate",
    "is_blank",
    "decides_once",
    "load_generator",
    "phash",
    "provenance",
    "token_seed",
]

ENTRY_POINTS = "pipeline.generators"
COMPOSED = "compose"  # and `compose:VOICE:…`: see composed.py
LINO = "lino"  # and `lino:MOTIF:…`: see lino.py


Factory = Callable[[str, int | None], Generator]  # device, threads

# name -> "module:attribute" of a Factory
BUILT_IN = {
    "default": "pipeline.art.draw.artist:default_artist",  # of version 0.1: what its collections are drawn with
}


def decides_once(name: str) -> str:
    """COMPOSED or LINO, for a name that holds, or leaves open, what a collection decides once; empty for another."""
    kind = name.partition(":")[0]
    return kind if kind in (COMPOSED, LINO) else ""


def load_generator(name_or_path: str | Path, device: str = "cpu", threads: int | None = None) -> Generator:
    """The generator of that name, or of the checkpoint at that path; `device` may be `auto`.

    Raises GenerationError for an unknown name, weights that are missing or unsound, and a device that is not there.
    """
    name = str(name_or_path)
    if decides_once(name) == COMPOSED:
        from pipeline.art.draw.composed import composer

        return composer(name, device=device, threads=threads)
    if decides_once(name) == LINO:
        from pipeline.art.draw.lino import lino
        from pipeline.art.draw.several import on_every

        return on_every(lambda one: lino(name, one, threads), device)
    if name in BUILT_IN:
        module, _, attribute = BUILT_IN[name].partition(":")
        factory: Factory = getattr(import_module(module), attribute)
        from pipeline.art.draw.several import on_every

        return on_every(lambda one: factory(one, threads), device)
    plugins = {point.name: point for point in entry_points(group=ENTRY_POINTS)}
    if name in plugins:
        plugin: Factory = loaded(plugins[name])
        return plugin(device, threads)
    if isinstance(name_or_path, Path) or "/" in name or "." in name:
        from pipeline.art.draw.sampler import open_checkpoint
        from pipeline.art.draw.several import on_every

        return on_every(lambda one: open_checkpoint(Path(name), one, threads), device)
    known = [*BUILT_IN, COMPOSED, LINO, *plugins]
    near = difflib.get_close_matches(name, known, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}, or give the path of a checkpoint"
    raise NoModel(reason=f"there is no model {name!r}", hint=hint)
