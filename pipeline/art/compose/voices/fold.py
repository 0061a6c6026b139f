"""Fold: ribbons of paper folded flat. At each crease a ribbon turns, shows its other side, and lies over or under itself."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, replace

from pipeline.art.compose.chance import Chance, cos, sin
from pipeline.art.compose.marks import BODY, Composition, Sheet
from pipeline.art.compose.voice import Voice, number
from pipeline.base.records import Attribute

Point = tuple[float, float]

RIGHT = math.pi / 2
TRIES = 60  # for a piece that stays on the canvas
WIDEST = 0.24
LOOSE = ("one", "coil")  # plans whose walk is made to fit afterwards


@dataclass(frozen=True)
class Law:
    margin: float
    step: float  # all directions are multiples of this angle
    offset: float
    turns: tuple[int, ...]  # in steps
    fronts: tuple[int, ...]
    back: int
    lines: int  # along a ribbon
    edge: float  # share of the width that its borders take
    hatch: bool  # shade below a crease
    ends: tuple[str, ...]
    plans: tuple[str, ...]
    widest: float = WIDEST
    calm: bool = False  # fewer pieces, which seldom end at the margin


def law(chance: Chance) -> Law:
    step, turns = chance.one(
        (RIGHT / 2, (2, 3, -2, -3)), (RIGHT * 2 / 3, (1, 2, -1, -2)), (RIGHT / 3, (3, 4, 5, -3, -4, -5))
    )
    inks = chance.shuffled((1, 2, 3, 4))
    return Law(
        margin=chance.one(0.06, 0.075, 0.09),
        step=step,
        offset=chance.one(0.0, 0.0, RIGHT / 6),
        turns=turns,
        fronts=tuple(inks[:2]),
        back=inks[2],
        lines=chance.one(0, 1, 3, 5),
        edge=chance.one(0.0, 0.08, 0.16),
        hatch=chance.happens(0.65),
        ends=chance.one(("flat",), ("flat", "tail"), ("tail",), ("slant", "flat")),
        plans=tuple(chance.shuffled(("one", "pair", "crowd", "coil", "thin"))[:4]),
    )


def through_law(chance: Chance) -> Law:
    """The second edition's: most sheets have ribbons that come from beyond them and go on; none has a tangle."""
    found = law(chance)
    return replace(found, widest=0.32, calm=True, plans=("through", "through", chance.one("coil", "through")))


@dataclass(frozen=True)
class Piece:
    """A ribbon between two creases; the points stand for the paper's own left and right side."""

    begin: tuple[Point, Point]
    end: tuple[Point, Point]
    front: bool


# plan -> (ribbons, widths, pieces, how long a piece is in widths)
PLANS = {
    "one": ((1, 1), (0.13, 0.2), (5, 8), (1.6, 4.5)),
    "pair": ((2, 3), (0.07, 0.13), (6, 11), (2.0, 9.0)),
    "crowd": ((4, 8), (0.03, 0.07), (6, 13), (3.0, 14.0)),
    "coil": ((1, 1), (0.1, 0.16), (6, 13), (2.2, 4.0)),
    "thin": ((2, 5), (0.014, 0.034), (12, 26), (8.0, 40.0)),
}
CALM = {
    "through": ((3, 6), (0.03, 0.2), (3, 5), (0.0, 0.0)),
    "coil": ((1, 1), (0.12, 0.16), (7, 13), (2.2, 4.0)),
}


def compose(law: Law, chance: Chance) -> Composition:
    sheet, plan = Sheet(), chance.of(law.plans)
    ribbons, widths, pieces, long = (CALM if law.calm else PLANS)[plan]
    drawn = folds = 0
    count = chance.whole(*ribbons)
    for ribbon in range(count):
        if plan == "through":  # from slabs below to a hairline on top
            width = widths[1] * (1 - (ribbon + chance(0.0, 0.5)) / (count + 0.5)) + widths[0] * 0.4
            path = _through(law, chance, width, chance.whole(*pieces))
        else:
            width = chance(*widths) * (chance.one(0.35, 1.0, 1.6) if count > 2 else 1.0)
            path = _walk(law, chance, plan, width, chance.whole(*pieces), long)
        if len(path) < 3:
            continue
        if plan in LOOSE:
            path, width = _fitted(path, width, chance, law)
        fronts = law.fronts if ribbon or chance.happens(0.7) else law.fronts[::-1]
        inks = (fronts[ribbon % 2], law.back)
        if ribbon == count - 1 and count > 1:
            inks = (
                (next(i for i in (3, 4, 2, 1) if i not in (*law.fronts, law.back)), inks[1])
                if chance.happens(0.6)
                else inks
            )
        _ribbon(sheet, law, chance, path, width, inks)
        drawn += 1
        folds += len(path) - 2
    if plan == "through":
        sheet.frame(law.margin)
    return sheet.composition(
        [
            number("Ribbons", drawn),
            number("Folds", folds),
            Attribute("Plan", plan.capitalize()),
            Attribute("Lines", "None" if not law.lines else "Ruled"),
        ]
    )


def _walk(law: Law, chance: Chance, plan: str, width: float, pieces: int, long: tuple[float, float]) -> list[Point]:
    """The middle of a ribbon at its ends and creases: a walk that stays on the canvas with its whole width."""
    low, high = law.margin + width * 0.9, 1 - law.margin - width * 0.9
    path = [(chance(low, high), chance(low, high))]
    heading = chance.whole(0, 23)
    turn, even, growth = chance.of(law.turns), width * chance(*long), chance(0.16, 0.4)
    for piece in range(pieces):
        for _ in range(TRIES):
            after = heading + (turn if plan == "coil" else chance.of(law.turns)) if piece else heading
            angle = after * law.step + law.offset
            dx, dy = cos(angle), sin(angle)
            far = even * (1 + growth * piece) if plan == "coil" else width * chance(*long)
            if plan not in LOOSE:
                room = _room(path[-1], (dx, dy), low, high)
                far = min(far, room * chance(0.5, 1.0) if law.calm else room)
            if far > width * 1.3:
                path.append((path[-1][0] + dx * far, path[-1][1] + dy * far))
                heading = after
                break
            heading = heading if piece else chance.whole(0, 23)
        else:
            break
    return path


def _through(law: Law, chance: Chance, width: float, pieces: int) -> list[Point]:
    """From beyond the sheet over its middle, with creases well inside, and out again."""
    heading = chance.whole(0, 23)
    angle = heading * law.step + law.offset
    x, y = chance(0.22, 0.78), chance(0.22, 0.78)  # the first crease
    path = [(x - cos(angle) * 1.6, y - sin(angle) * 1.6), (x, y)]
    for piece in range(pieces):
        for _ in range(TRIES):
            after = heading + chance.of(law.turns)
            angle = after * law.step + law.offset
            far = 1.6 if piece == pieces - 1 else chance(0.2, 0.75)
            to = (path[-1][0] + cos(angle) * far, path[-1][1] + sin(angle) * far)
            if far > width * 1.4 and (piece == pieces - 1 or (0.1 < to[0] < 0.9 and 0.1 < to[1] < 0.9)):
                path.append(to)
                heading = after
                break
        else:
            break
    return path


def _room(at: Point, heading: Point, low: float, high: float) -> float:
    """How far one can go."""
    far = 2.0
    for place, step in zip(at, heading, strict=True):
        if abs(step) > 1e-6:
            far = min(far, ((high if step > 0 else low) - place) / step)
    return far


def _fitted(path: list[Point], width: float, chance: Chance, law: Law) -> tuple[list[Point], float]:
    """A walk that was let loose, moved and scaled so that it fills the canvas, and its width with it."""
    left, right = min(x for x, _ in path), max(x for x, _ in path)
    top, bottom = min(y for _, y in path), max(y for _, y in path)
    room = 1 - 2 * law.margin
    scale = room * chance(0.86, 1.0) / (max(right - left, bottom - top) + width * 1.5)
    scale = min(scale, law.widest / width)
    x0, y0 = 0.5 - (left + right) / 2 * scale, 0.5 - (top + bottom) / 2 * scale
    return [(x0 + x * scale, y0 + y * scale) for x, y in path], width * scale


def _unit(one: Point, other: Point) -> Point:
    dx, dy = other[0] - one[0], other[1] - one[1]
    far = math.sqrt(dx * dx + dy * dy)
    return dx / far, dy / far


def _pieces(path: list[Point], width: float) -> list[Piece]:
    """Cut the ribbon at its creases. A crease halves the angle between the directions before and after it."""
    headings = [_unit(one, other) for one, other in zip(path, path[1:], strict=False)]
    creases = []
    for i, (x, y) in enumerate(path):
        before, after = headings[max(0, i - 1)], headings[min(i, len(headings) - 1)]
        if i in (0, len(path) - 1):
            along, paper = (-before[1], before[0]) if i else (-after[1], after[0]), after if not i else before
        else:
            along = (before[0] + after[0], before[1] + after[1])
            if along[0] * along[0] + along[1] * along[1] < 1e-6:  # straight back
                along = (-before[1], before[0])
            paper = before
        across = paper[0] * along[1] - paper[1] * along[0]
        half = width / 2 / across
        flip = -1 if (i - 1 if i else 0) % 2 else 1  # each crease turns the paper's left to the other side
        creases.append(
            (
                (x - along[0] * half * flip, y - along[1] * half * flip),
                (x + along[0] * half * flip, y + along[1] * half * flip),
            )
        )
    return [Piece(creases[i], creases[i + 1], i % 2 == 0) for i in range(len(path) - 1)]


def _between(ends: tuple[Point, Point], share: float) -> Point:
    (x0, y0), (x1, y1) = ends
    return x0 + (x1 - x0) * share, y0 + (y1 - y0) * share


def _ribbon(sheet: Sheet, law: Law, chance: Chance, path: list[Point], width: float, inks: tuple[int, int]) -> None:
    stacked: deque[tuple[int, Piece]] = deque()
    for i, piece in enumerate(_pieces(path, width)):
        if chance.happens(0.72):
            stacked.append((i, piece))
        else:
            stacked.appendleft((i, piece))
    last, gap = len(path) - 2, 0.006 + width * 0.02
    tails = chance.of(law.ends), chance.of(law.ends)
    for i, piece in stacked:
        ink, line = inks if piece.front else inks[::-1]
        for halo in (gap, 0.0):
            outline = [_wider(piece, side, at, width, halo) for side, at in ((0, 0), (0, 1), (1, 1), (1, 0))]
            if i == 0:
                outline = [*outline, *_end(tails[0], piece, 0, width)]
            if i == last:
                outline = [*outline[:2], *_end(tails[1], piece, 1, width), *outline[2:]]
            sheet.shape(outline, 0 if halo else ink, _unit(path[i], path[i + 1]), BODY)
        _lines(sheet, law, piece, width, line if piece.front else 0)
        if law.hatch and i < last:
            _shade(sheet, piece, width, 4 if 4 not in inks else 0)


def _wider(piece: Piece, side: int, at: int, width: float, by: float) -> Point:
    """A corner of a piece, moved out sideways by `by`."""
    ends = (piece.begin, piece.end)[at]
    return _between(ends, -by / width if not side else 1 + by / width)


def _end(kind: str, piece: Piece, at: int, width: float) -> list[Point]:
    """What an end that is no crease adds between its two corners."""
    heading = _unit(_between(piece.begin, 0.5), _between(piece.end, 0.5))
    x, y = _between((piece.begin, piece.end)[at], 0.5)
    if kind == "tail":
        inward = width * 0.42 * (1 if at == 0 else -1)
        return [(x + heading[0] * inward, y + heading[1] * inward)]
    if kind == "slant":
        out = width * 0.5 * (-1 if at == 0 else 1)
        return [(x + heading[0] * out, y + heading[1] * out)]
    return []


def _lines(sheet: Sheet, law: Law, piece: Piece, width: float, ink: int) -> None:
    """Borders and rules that run along the ribbon, and on with it over every crease."""
    shares = [(i + 1) / (law.lines + 1) for i in range(law.lines)]
    thick = width * 0.05 if law.lines > 1 else width * 0.14
    for share in shares:
        sheet.stroke([_between(piece.begin, share), _between(piece.end, share)], thick, ink, 1.1)
    if law.edge:
        for share in (law.edge * 0.8, 1 - law.edge * 0.8):
            sheet.stroke([_between(piece.begin, share), _between(piece.end, share)], width * law.edge * 0.4, ink, 1.1)


def _shade(sheet: Sheet, piece: Piece, width: float, ink: int) -> None:
    """Lines of different length that end at the crease."""
    heading = _unit(_between(piece.begin, 0.5), _between(piece.end, 0.5))
    count = max(4, int(width / 0.008))
    for i in range(count):
        x, y = _between(piece.end, (i + 0.5) / count)
        far = width * (0.16 + 0.3 * ((i * 7) % 5) / 5)
        sheet.stroke([(x - heading[0] * far, y - heading[1] * far), (x, y)], [0.0008, width / count * 0.42], ink, 1.0)


FOLD_1 = Voice("fold", "paper ribbons, folded flat, over and under themselves", law, compose)
FOLD = replace(FOLD_1, law=through_law, edition=2)
