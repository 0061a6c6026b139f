"""The old name of `pipeline.art.draw`, kept for one release so that installed plug-ins go on."""

from pipeline.art.draw import (
    BatchGenerator,
    Drawing,
    Gate,
    Generator,
    drawn,
    generate,
    is_blank,
    load_generator,
    phash,
    provenance,
    token_seed,
)

__all__ = [
    "BatchGenerator",
    "Drawing",
    "Gate",
    "Generator",
    "drawn",
    "generate",
    "is_blank",
    "load_generator",
    "phash",
    "provenance",
    "token_seed",
]
