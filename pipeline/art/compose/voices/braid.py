"""Braid: a word of the braid group. Neighbours swap, one over the other, in strands from hairline to slab."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.art.compose.chance import Chance, grown
from pipeline.art.compose.marks import BODY, Composition, Points, Sheet
from pipeline.art.compose.voice import Voice, number
from pipeline.base.records import Attribute

OVERLAP = 0.003  # of a strand's part in one row with its part in the next, straight on
THINNEST = 0.03  # of a row
STEPS = 24  # of a strand through one row
WIDEST = 0.36  # of the canvas: a wider strand tears where it bends


@dataclass(frozen=True)
class Law:
    margin: float
    strands: tuple[int, int]
    rows: tuple[int, int]
    upright: bool
    spread: float  # of widths: how far a slab is from a hairline
    gap: float
    cord: float
    fat: float  # share of a cord that is painted
    swaps: float
    late: float  # share of strands that begin later, or end sooner
    bare: float
    rungs: float  # share of strands drawn as rungs
    weights: tuple[float, ...]
    accent: int


def law(chance: Chance) -> Law:
    weights = [0.12 + chance() * chance() for _ in range(4)]
    return Law(
        margin=chance.one(0.05, 0.065, 0.08),
        strands=chance.one((4, 8), (6, 11), (9, 17)),
        rows=chance.one((2, 4), (3, 6), (4, 8)),
        upright=chance.happens(0.5),
        spread=chance.one(0.5, 0.8, 1.1),
        gap=chance(0.1, 0.24),
        cord=chance.one(0.011, 0.017, 0.026),
        fat=chance.one(0.66, 0.78, 0.9),
        swaps=chance(0.5, 0.95),
        late=chance.one(0.08, 0.2, 0.32),
        bare=chance.one(0.0, 0.1, 0.16),
        rungs=chance.one(0.0, 0.12, 0.25),
        weights=tuple(weights),
        accent=chance.one(1, 3, 3),
    )


@dataclass(frozen=True)
class Strand:
    width: float
    ink: int
    second: int  # of every other cord
    cords: int
    rungs: bool
    begin: int  # row
    end: int
    bare: bool
    dryness: NDArray[np.float64]  # (cords,)


@dataclass(frozen=True)
class Row:
    before: list[int]  # strands from left to right
    after: list[int]
    over: dict[int, int]  # strand -> 1 where it passes over its neighbour, 0 where under
    top: float
    height: float


def compose(law: Law, chance: Chance) -> Composition:
    sheet = Sheet()
    rows = chance.whole(*law.rows)
    gap = law.gap * chance(0.7, 1.3)
    strands = _strands(law, chance, rows, gap)
    gap /= len(strands)
    plan = _plan(law, chance, strands, rows, gap)
    turned = law.upright != chance.happens(0.12)
    for number_, row in enumerate(plan):
        _draw(sheet, law, strands, row, number_, plan, gap, turned)
    crossings = sum(
        1
        for n, row in enumerate(plan)
        for k, over in row.over.items()
        if over and _alive(strands[k], n) and any(_alive(strands[j], n) for j in _partner(row, k))
    )
    seen = [s for s in strands if not s.bare and s.end > s.begin]
    return sheet.composition(
        [
            number("Strands", len(seen)),
            number("Crossings", crossings),
            number("Cords", sum(s.cords for s in seen)),
            Attribute("Weave", "Calm" if crossings < 6 else "Woven" if crossings < 16 else "Dense"),
            Attribute("Run", "Across" if turned else "Down"),
        ]
    )


def _strands(law: Law, chance: Chance, rows: int, gap: float) -> list[Strand]:
    count = chance.whole(*law.strands)
    widths = [grown(chance.normal(law.spread)) * (0.22 if chance.happens(0.22) else 1.0) for _ in range(count)]
    slab = chance.whole(0, count - 1)
    widths[slab] *= chance.one(1.4, 2.2, 3.2)
    room = 1 - 2 * law.margin - gap * (count - 1) / count
    for _ in range(8):  # what is cut from too wide a strand goes to the others
        total = sum(widths)
        widths = [min(w / total * room, WIDEST) for w in widths]
    rare, widest = chance.whole(0, count - 1), max(range(count), key=lambda k: widths[k])
    strands = []
    for k, width in enumerate(widths):
        ink = law.accent if k == rare else chance.weighted((1, 2, 3, 4), law.weights)
        if k == widest and ink == 1:
            ink = chance.whole(2, 4)
        cords = min(9, max(1, round(width / (law.cord * chance.one(1.0, 1.0, 2.2)))))
        if width > 0.1 and chance.happens(0.25):
            cords = 1
        strands.append(
            Strand(
                width=width,
                ink=ink,
                second=ink % 4 + 1 if chance.happens(0.25) else ink,
                cords=cords,
                rungs=k not in (rare, widest) and 0.012 < width < 0.12 and chance.happens(law.rungs),
                begin=chance.whole(0, rows // 2) if chance.happens(law.late) else 0,
                end=chance.whole(rows - rows // 2, rows) if chance.happens(law.late) else rows,
                bare=k not in (rare, widest) and chance.happens(law.bare),
                dryness=chance.many(cords),
            )
        )
    return strands


def _plan(law: Law, chance: Chance, strands: list[Strand], rows: int, gap: float) -> list[Row]:
    """Who swaps with whom in which row; a row is at least as high as its widest move bends well in."""
    order, found, room = list(range(len(strands))), list[Row](), 1 - 2 * law.margin
    calm = set(chance.shuffled(range(rows))[: max(1, rows // 4)]) if rows > 2 else set()
    for row in range(rows):
        if room < THINNEST:
            break
        after, over = (order, dict[int, int]()) if row in calm else _swapped(law, chance, order)
        before, to = (_places(strands, o, law.margin, gap) for o in (order, after))
        height = 0.06 * chance(0.75, 1.5)
        for k in order:
            move = abs(before[k] - to[k])
            height = max(height, math.sqrt(4.2 * move * strands[k].width), 0.6 * move)
        if height > room:
            after, over, height = order, {}, min(room, 0.12)
        found.append(Row(order, after, over, 0.0, height))
        room -= height
        order = after
    scale, top, placed = (1 - 2 * law.margin) / sum(row.height for row in found), law.margin, []
    for one in found:
        placed.append(replace(one, top=top, height=one.height * scale))
        top += one.height * scale
    return placed


def _swapped(law: Law, chance: Chance, order: list[int]) -> tuple[list[int], dict[int, int]]:
    after, over = order[:], dict[int, int]()
    i = chance.whole(0, 1)
    while i < len(order) - 1:
        if chance.happens(law.swaps):
            one, other = order[i], order[i + 1]
            after[i], after[i + 1] = other, one
            over[one] = chance.whole(0, 1)
            over[other] = 1 - over[one]
            i += 1
        i += 1
    return after, over


def _places(strands: list[Strand], order: list[int], margin: float, gap: float) -> dict[int, float]:
    """Where the middle of each strand is."""
    x, places = margin, {}
    for k in order:
        places[k] = x + strands[k].width / 2
        x += strands[k].width + gap
    return places


def _alive(strand: Strand, row: int) -> bool:
    return strand.begin <= row < strand.end and not strand.bare


def _partner(row: Row, k: int) -> list[int]:
    """The strand that another swaps with."""
    at, to = row.before.index(k), row.after.index(k)
    return [row.before[to]] if at != to else []


def _draw(
    sheet: Sheet, law: Law, strands: list[Strand], row: Row, number_: int, plan: list[Row], gap: float, turned: bool
) -> None:
    before, after = (_places(strands, order, law.margin, gap) for order in (row.before, row.after))
    u = np.linspace(0.0, 1.0, STEPS + 1)
    t = u * u * (3 - 2 * u)  # denser where a bend begins and ends: there it must lie flush with the next row
    ease = t * t * (3 - 2 * t)
    for turn in (None, 0, 1):  # those that go straight on, those below, those above
        for k in row.before:
            if not _alive(strands[k], number_) or row.over.get(k) != turn:
                continue
            x0, x1 = before[k], after[k]
            path = np.stack([x0 + (x1 - x0) * ease, row.top + t * row.height], 1)
            head, foot = (x0, row.top - OVERLAP), (x1, row.top + row.height + OVERLAP)
            path = np.array([head, foot]) if turn is None else np.concatenate([[head], path, [foot]])
            if turn == 1:
                halo = strands[k].width + min(gap * 0.9 + 0.007, gap * 1.7)
                sheet.stroke(_turned(path, turned)[1:-1], halo, 0, BODY)
            begin = plan[strands[k].begin].top
            side = _side(path, (x1 - x0) * 6 * t * (1 - t), row.height)
            _strand(sheet, law, strands[k], k, path, side, row.top - begin, row.height, turned)


def _side(path: Points, rise: NDArray[np.float64], height: float) -> Points:
    """The unit vectors across a strand, (N, 2): straight across where it is straight, at its ends above all."""
    across = np.zeros(len(path))
    if len(path) > 2:
        across[1:-1] = rise
    far = np.sqrt(across * across + height * height)
    return np.stack([-height / far, across / far], 1)


def _strand(
    sheet: Sheet,
    law: Law,
    strand: Strand,
    k: int,
    path: Points,
    side: Points,
    start: float,
    height: float,
    turned: bool,
) -> None:
    """One strand through one row, as cords or as rungs."""
    if strand.rungs:
        _rungs(sheet, strand, path, side, turned)
        return
    each = strand.width / strand.cords
    painted = each * (law.fat if strand.cords > 1 else 1.0)
    for j in range(strand.cords):
        cord = path + side * ((j + 0.5) * each - strand.width / 2)
        dry = float(strand.dryness[j])
        sheet.stroke(
            _turned(cord, turned),
            painted * (0.9 + 0.14 * dry),
            strand.second if j % 2 else strand.ink,
            0.8 + 0.45 * dry,
            key=k * 11 + j + 1,
            start=start * 0.14,
            whole=(start + height) * 0.14 + 0.2,
            pace=0.14,
        )


def _rungs(sheet: Sheet, strand: Strand, path: Points, side: Points, turned: bool) -> None:
    """Short bars across the strand, evenly along it."""
    pitch = 0.012 + strand.width * 0.12
    count = max(1, int((path[-1, 1] - path[0, 1]) / pitch))
    at = (np.arange(count) + 0.5) * ((len(path) - 1) / count)
    low = at.astype(np.int64)
    part = (at - low)[:, None]
    middle = path[low] * (1 - part) + path[low + 1] * part
    across = side[low] * (strand.width * 0.5)
    for one, other in zip(_turned(middle - across, turned), _turned(middle + across, turned), strict=True):
        sheet.stroke([one, other], pitch * 0.5, strand.ink, 1.1)


def _turned(points: Points, turned: bool) -> Points:
    return points[:, ::-1] if turned else points


BRAID = Voice("braid", "strands that swap, one over the other, from hairline to slab", law, compose)
