"""A third art source, as a stranger would write one: no generator, no folder, settings of its own.

A token is a square of tiles, each of one colour of a palette; which ones is planned, and written down, before any is laid.
"""

from __future__ import annotations

import hashlib
import io
import json
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.art.cover import Cover
from pipeline.art.source import About, ArtPlan, Asked, Redrawer, Work
from pipeline.base.errors import BadArgument, NotMadeHere
from pipeline.base.files import write_whole
from pipeline.base.records import Artwork, Attribute, Fingerprint, TokenSpec, TokenWords
from pipeline.ledger import Run
from pipeline.settings import Scope, Section, Settings, setting
from pipeline.settings.forms import listed

if TYPE_CHECKING:
    from PIL.Image import Image

    from pipeline.art.draw import Drawing

RENDERER, ENCODER, SIDE = "tiles-1/cpu", "pillow-tiles", 4
CODE = hashlib.sha256(RENDERER.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class TileSettings(Section):
    """What tiles are made of."""

    section = "tiles"
    palette: str = setting(listed("COLOUR,…"), "red,gold,teal", "colours of the tiles", Scope.RUN)


class Tiles:
    """Tiles of a palette."""

    def __init__(self, settings: Settings) -> None:
        self._palette = settings.of_plugin(TileSettings).palette
        self._size = settings.art.size

    def located(self, settings: Settings) -> Settings:
        return settings

    def count(self, asked: int | None, waiting: Callable[[], Sequence[Run]]) -> int | None:
        return asked

    def about(self) -> About:
        return About(name="Tiles", symbol="TILE", description=f"Tiles of {self._palette}.", cover="all of the palette")

    def plan(self, asked: Asked) -> ArtPlan:
        if len(self._palette.split(",")) < 2:
            raise BadArgument(name="--tiles-palette", value=self._palette, expected="two colours or more")
        tokens = {
            token_id: json.dumps({"first": self._palette.split(",")[token_id % 2]})
            for token_id in range(asked.first, asked.first + asked.count)
        }
        return ArtPlan(Fingerprint("tiles", CODE, RENDERER, ENCODER, self._size), tokens=tokens)

    def check(self, run: Run) -> None:
        if run.renderer != RENDERER:
            raise BadArgument(name="tiles", value=RENDERER, expected=run.renderer)

    def artworks(self, todo: Iterable[TokenSpec | Artwork], work: Work) -> Iterator[Artwork]:
        for item in todo:
            yield item if isinstance(item, Artwork) else self._laid(item, work)

    def cover(self, work: Work) -> Cover:
        return Cover(png(laid(0, work.run.size, self._palette, self._palette.split(",")[0])), ".png")

    def goes_on(self, settings: Settings) -> bool:
        return True

    def disliked(self) -> str:
        return "a picture that you do not like stays: tiles are laid once."

    def must_redraw(self, token_ids: Sequence[int], work: Work) -> None:
        raise BadArgument(name="token id", value=token_ids[0], expected="nothing: tiles are laid once")

    def redrawer(self, device: str, threads: int | None) -> Redrawer:
        return Layer()

    def _laid(self, spec: TokenSpec, work: Work) -> Artwork:
        import numpy as np

        from pipeline.art.draw import phash

        first = json.loads(spec.plan)["first"]
        picture = laid(spec.seed, work.run.size, self._palette, first)
        data, path = png(picture), work.image(spec.token_id)
        write_whole(path, data)
        return Artwork(
            token_id=spec.token_id,
            seed=spec.seed,
            path=path,
            image_sha256=hashlib.sha256(data).digest(),
            pixel_sha256=hashlib.sha256(picture.tobytes()).digest(),
            image_bytes=len(data),
            attributes=(Attribute("First", first),),
            phash=phash(np.asarray(picture)),
            words=TokenWords(name=f"Floor {spec.token_id}", drawn_from=(("first", first), ("palette", self._palette))),
        )


class Layer:
    """Lays the tiles of a token again, from its metadata alone."""

    weights_sha256, renderer = CODE, RENDERER

    def again(self, document: Mapping[str, Any]) -> Drawing:
        import numpy as np

        from pipeline.art.draw import Drawing

        made = document["generator"]
        if not {"palette", "first"} <= made.keys():
            raise NotMadeHere(reason="a seed alone does not tell the tiles of a token: they are planned")
        picture = laid(made["seed"], made["size"], made["palette"], made["first"])
        return Drawing(made["seed"], np.asarray(picture), (Attribute("First", made["first"]),))


def laid(seed: int, size: int, palette: str, first: str) -> Image:
    from PIL import Image, ImageColor

    colours, chance = palette.split(","), random.Random(seed)
    tiles = [first, *(chance.choice(colours) for _ in range(SIDE * SIDE - 1))]
    small = Image.new("RGB", (SIDE, SIDE))
    small.putdata([ImageColor.getrgb(name) for name in tiles])
    return small.resize((size, size), Image.Resampling.NEAREST)


def png(picture: Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()
