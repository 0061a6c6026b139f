"""A picture at the size of a screen, drawn again from its seed: for art that has every size."""

from __future__ import annotations

import threading

from pipeline.art.draw import COMPOSED, LINO, decides_once
from pipeline.art.draw.marking import unmarked_renderer
from pipeline.art.source import Stated
from pipeline.base.errors import NoSuch
from pipeline.ledger import Run, Token
from pipeline.serve.gallery.thumbnails import webp
from pipeline.settings import Settings

_one_at_a_time = threading.Lock()  # each takes up to a gigabyte


def scales(run: Run) -> bool:
    """Whether its pictures are drawn again at any size while somebody waits: those of flat composed marks, and of `lino`.

    A learned material has every size as well, but takes minutes of a processor for one.
    """
    kind = decides_once(run.model)
    return kind == LINO or (kind == COMPOSED and run.renderer.startswith("compose-"))


def redrawn(config: Settings, run: Run, token: Token, width: int) -> bytes:
    """A token's picture at `width`, as WebP. Raises NoSuch where what drew it is not here, or draws another one."""
    from PIL import Image

    again = Stated(config).redrawer(run.model, run.renderer.rpartition("/")[2])
    made = dict(token.words.drawn_from) | {"renderer": run.renderer, "seed": token.seed, "size": width}
    with _one_at_a_time:
        drawing = again.again({"generator": made})  # with the mark that the token's own picture has
    same = (again.renderer, again.weights_sha256) == (unmarked_renderer(run.renderer), run.weights_sha256)
    if not same or tuple(drawing.attributes) != tuple(token.attributes):
        raise NoSuch(what=f"width {width} of token {token.token_id}: here another program draws")
    return webp(Image.fromarray(drawing.pixels))
