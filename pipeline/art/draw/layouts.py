"""What a collection's tokens look like from afar, so that none is an earlier one in other colours.

A layout is how much of each ink lies in each cell of a coarse map. Two tokens are compared where their ids are at most
WINDOW apart: a sheet of them has no picture twice, and a collection of a million still finds room. The more attempts a
token has needed, the nearer it may come. Both tokens of a pair count, so the answer is the same whichever is drawn first:
restarts, `--more` and tokens drawn again do not show.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from pipeline.art.draw.generator import LaidOut

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pipeline.art.draw import Generator

    Layout = NDArray[np.float32]  # (inks, cells, cells): shares of a cell

WINDOW = 36
APART = (0.09, 0.09, 0.09, 0.09, 0.06, 0.06, 0.06, 0.06, 0.04, 0.04, 0.04, 0.04)  # by attempt; later ones are free


class Layouts:
    """Layouts of one collection's tokens.

    `drawn` has attempt and seed of the tokens that are drawn already, by token id; `of_seed` composes one of them when a
    token near it is judged.
    """

    def __init__(self, of_seed: Callable[[int], Layout], drawn: Mapping[int, tuple[int, int]] | None = None) -> None:
        self._of_seed, self._drawn = of_seed, dict(drawn or {})
        self._known: dict[int, tuple[int, Layout]] = {}  # attempt and layout, by token id

    def twin(self, token_id: int, attempt: int, layout: Layout) -> int | None:
        """The token near this one that looks most like it, where they are one picture; never `token_id` itself."""
        nearest: tuple[float, int] | None = None
        for other in range(token_id - WINDOW, token_id + WINDOW + 1):
            if other == token_id or not (known := self._of(other)):
                continue
            away = distance(layout, known[1])
            if away < min(_apart(attempt), _apart(known[0])) and (nearest is None or away < nearest[0]):
                nearest = (away, other)
        return None if nearest is None else nearest[1]

    def remember(self, token_id: int, attempt: int, layout: Layout) -> None:
        self._known[token_id] = (attempt, layout)
        for gone in [known for known in self._known if known < token_id - WINDOW]:
            del self._known[gone]  # tokens are drawn in the order of their ids
        self._drawn.pop(token_id, None)

    def _of(self, token_id: int) -> tuple[int, Layout] | None:
        if token_id not in self._known and token_id in self._drawn:
            attempt, seed = self._drawn[token_id]
            self._known[token_id] = (attempt, self._of_seed(seed))
        return self._known.get(token_id)


def layouts_of(generator: Generator, drawn: Mapping[int, tuple[int, int]] | None = None) -> Layouts | None:
    """The layouts of a generator that has some; None for another."""
    return Layouts(generator.layout, drawn) if isinstance(generator, LaidOut) else None


def distance(one: Layout, other: Layout) -> float:
    """The share of the picture that has another ink, on average over cells, as they are or mirrored."""
    straight, mirrored = abs(one - other), abs(one - other[:, :, ::-1])
    return min(float(straight.sum(0).mean()), float(mirrored.sum(0).mean())) / 2


def _apart(attempt: int) -> float:
    return APART[attempt] if attempt < len(APART) else 0.0
