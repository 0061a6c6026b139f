"""A picture at the size of a screen, drawn again from its seed: for art that has every size."""

from __future__ import annotations

from pipeline.art.draw import decides_once
from pipeline.art.draw.marking import unmarked_renderer
from pipeline.art.source import Stated
from pipeline.base.errors import NoSuch
from pipeline.ledger import Run, Token
from pipeline.serve.gallery.thumbnails import webp
from pipeline.settings import Settings


def scales(model: str) -> bool:
    """Whether a model draws the same picture at any size: a composer, whose marks are shapes, and `lino`, a function of the plane."""
    return decides_once(model) != ""


def redrawn(config: Settings, run: Run, token: Token, width: int) -> bytes:
    """A token's picture at `width`, as WebP. Raises NoSuch where what drew it is not here, or draws another one."""
    from PIL import Image

    again = Stated(config).redrawer(run.model, run.renderer.rpartition("/")[2])
    made = dict(token.words.drawn_from) | {"renderer": run.renderer, "seed": token.seed, "size": width}
    drawing = again.again({"generator": made})  # with the mark that the token's own picture has
    same = (again.renderer, again.weights_sha256) == (unmarked_renderer(run.renderer), run.weights_sha256)
    if not same or tuple(drawing.attributes) != tuple(token.attributes):
        raise NoSuch(what=f"width {width} of token {token.token_id}: here another program draws")
    return webp(Image.fromarray(drawing.pixels))
