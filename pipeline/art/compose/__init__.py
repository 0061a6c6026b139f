"""Composition: from a seed to marks, and from marks to what lies at each pixel.

    composition = VOICES["braid"].bound(law_seed)(token_seed)
    picture = flat(pieces(composition.marks), colours, 512)

A voice is a system of composition, a law is what a collection draws of it once. Nothing here knows of tokens or needs
more than numpy; every number is rounded or whole, so that compositions are the same on every machine.
"""

from pipeline.art.compose.flat import flat
from pipeline.art.compose.marks import Composition, Shape, Sheet, Stroke
from pipeline.art.compose.planes import FEATURES, Layout, Planes, planes
from pipeline.art.compose.raster import Pieces, pieces
from pipeline.art.compose.voice import Voice
from pipeline.art.compose.voices import VOICES

__all__ = [
    "FEATURES",
    "VOICES",
    "Composition",
    "Layout",
    "Pieces",
    "Planes",
    "Shape",
    "Sheet",
    "Stroke",
    "Voice",
    "flat",
    "pieces",
    "planes",
]
