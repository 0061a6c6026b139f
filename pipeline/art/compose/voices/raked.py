"""Raked: stones with rings about them, and bundles of rake lines that stop where the rings begin."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.art.compose.chance import Chance, angle_of, around, cos, cosines, length, sin, sines
from pipeline.art.compose.marks import Composition, Points, Sheet
from pipeline.art.compose.voice import Voice, number
from pipeline.base.records import Attribute

AROUND = around(72, closed=True)


@dataclass(frozen=True)
class Law:
    margin: float
    pitch: float  # from one line to the next
    fat: float  # share of the pitch that is painted
    angle: float
    swerve: float
    gap: float
    rings: tuple[int, int]
    teeth: tuple[int, int]  # of a rake
    sand: tuple[int, ...]
    stone: tuple[int, int]  # its body, its light
    moss: int
    lit: int
    layered: bool  # stones show their layers, and no rings of light
    plans: tuple[str, ...]


def law(chance: Chance) -> Law:
    dark = chance.one(4, 4, 3)
    return Law(
        margin=chance.one(0.05, 0.065, 0.08),
        pitch=chance(0.0125, 0.02),
        fat=chance(0.42, 0.66),
        angle=chance.one(0.0, 0.0, 1.5708, 0.5, -0.6),
        swerve=chance.one(0.0, 0.02, 0.05),
        gap=chance(1.35, 1.9),
        rings=chance.one((2, 5), (3, 8), (5, 12)),
        teeth=chance.one((4, 9), (7, 18)),
        sand=chance.one((1, 1, 2), (1, 2), (1, 2, 3), (2, 1, 1, 3)),
        stone=(dark, chance.one(*(ink for ink in (2, 3) if ink != dark))),
        moss=chance.one(2, 3),
        lit=chance.sign(),
        layered=chance.happens(0.4),
        plans=tuple(chance.shuffled(("one", "few", "row", "drift", "pair"))[:4]),
    )


@dataclass(frozen=True)
class Stone:
    x: float
    y: float
    size: float  # half its longer axis
    round: float  # its shorter axis, as a share
    turn: float
    rings: int
    knobs: tuple[float, float]  # how far, and where, its outline leaves an ellipse

    def reach(self, angles: NDArray[np.float64], extra: float = 0.0) -> NDArray[np.float64]:
        """How far its outline is from its middle, at these angles."""
        c, s = cosines(angles - self.turn), sines(angles - self.turn)
        ellipse = self.size * self.round / np.sqrt(self.round * self.round * c * c + s * s)
        much, where = self.knobs
        return ellipse * (1 + much * sines(3 * angles + where) + much * 0.6 * sines(2 * angles - where)) + extra

    def outline(self, extra: float = 0.0, shrink: float = 1.0) -> Points:
        far = self.reach(AROUND, extra) * shrink
        return np.stack([self.x + far * cosines(AROUND), self.y + far * sines(AROUND)], 1)

    def covers(self, points: Points, extra: float) -> NDArray[np.bool_]:
        dx, dy = points[:, 0] - self.x, points[:, 1] - self.y
        angles = np.rint(np.arctan2(dy, dx) * 2.0**20) / 2.0**20
        covered: NDArray[np.bool_] = np.sqrt(dx * dx + dy * dy) < self.reach(angles, extra)
        return covered


def compose(law: Law, chance: Chance) -> Composition:
    sheet = Sheet()
    plan = chance.of(law.plans)
    stones = _stones(law, chance, plan)
    lines = _rake(sheet, law, chance, stones)
    rings = sum(_rings(sheet, law, chance, stone, stones) for stone in stones)
    for stone in stones:
        _stone(sheet, law, chance, stone)
    leaves = _leaves(sheet, law, chance, stones)
    return sheet.composition(
        [
            number("Stones", len(stones)),
            number("Rings", rings),
            number("Rake lines", lines),
            number("Leaves", leaves),
            Attribute("Plan", plan.capitalize()),
        ]
    )


# plan -> (stones, how large the largest is, how large the others are beside it)
PLANS = {
    "one": ((1, 1), (0.17, 0.26), (0.3, 0.5)),
    "few": ((2, 4), (0.11, 0.17), (0.35, 0.7)),
    "row": ((4, 7), (0.06, 0.09), (0.6, 1.0)),
    "drift": ((6, 14), (0.08, 0.12), (0.22, 0.55)),
    "pair": ((2, 2), (0.13, 0.19), (0.5, 0.9)),
}


def _stones(law: Law, chance: Chance, plan: str) -> list[Stone]:
    """Stones that keep their distance."""
    counts, largest, others = PLANS[plan]
    wanted, heavy = chance.whole(*counts), chance(*largest)
    slope, lift = chance(-0.6, 0.6), chance(0.3, 0.7)
    found: list[Stone] = []
    for _ in range(240):
        size = heavy * (1.0 if not found else chance(*others))
        edge = law.margin + size * 0.92
        x, y = chance(edge, 1 - edge), chance(edge, 1 - edge)
        if plan == "row":
            y = lift + slope * (x - 0.5) + chance.normal(0.025)
        if not found and plan in ("few", "pair") and abs(x - 0.5) < 0.09:
            continue
        if not edge * 0.8 < y < 1 - edge * 0.8:
            continue
        if all(length(x - o.x, y - o.y) > (size + o.size) * law.gap for o in found):
            knobs = (chance(0.02, 0.075), chance(0.0, 6.28))
            found.append(Stone(x, y, size, chance(0.58, 0.98), chance(0.0, 3.14), chance.whole(*law.rings), knobs))
        if len(found) == wanted:
            break
    return found


def _inside(law: Law, points: Points) -> NDArray[np.bool_]:
    low, high = law.margin, 1 - law.margin
    x, y = points[:, 0], points[:, 1]
    return (x > low) & (x < high) & (y > low) & (y < high)


def _runs(wanted: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Begin and end of each run that is wanted."""
    step = np.diff(np.concatenate([[0], wanted.astype(np.int8), [0]]))
    return list(zip(np.nonzero(step == 1)[0].tolist(), np.nonzero(step == -1)[0].tolist(), strict=True))


def _rake(sheet: Sheet, law: Law, chance: Chance, stones: list[Stone]) -> int:
    """Draw bundles of lines over the whole garden, but for a bed or two that are left bare; return how many lines."""
    angle = law.angle + chance(-0.16, 0.16)
    dx, dy = cos(angle), sin(angle)
    beds = sorted(chance(-0.5, 0.5) for _ in range(chance.whole(0, 3)))
    bare = {chance.whole(0, len(beds))} if beds and chance.happens(0.6) else set()
    ink_of = [chance.of(law.sand) for _ in range(len(beds) + 1)]
    swerve, waves = law.swerve * chance(0.2, 1.4), chance(2.0, 6.0)
    t = np.linspace(-0.8, 0.8, 161)
    lines, tooth, teeth, offset = 0, 0, chance.whole(*law.teeth), -0.78
    ink = ink_of[0]
    while offset < 0.78:
        bed = sum(1 for border in beds if offset > border)
        if tooth == teeth:
            offset += law.pitch * chance.one(0.7, 0.7, 1.6)
            tooth, teeth = 0, chance.whole(*law.teeth)
            ink = chance.of(law.sand) if chance.happens(0.3) else ink_of[bed]
        away = offset + swerve * sines(t * waves)
        path = np.stack([0.5 + t * dx - away * dy, 0.5 + t * dy + away * dx], 1)
        free = _inside(law, path)
        for stone in stones:
            free &= ~stone.covers(path, (stone.rings + 0.9) * law.pitch + 0.004)
        for begin, end in _runs(free):
            if bed not in bare and end - begin > 2:
                kept = path[begin:end] if swerve > 0.004 else path[[begin, end - 1]]
                sheet.stroke(kept, law.pitch * law.fat * chance(0.85, 1.15), ink, chance(0.7, 1.2), round_ends=True)
                lines += 1
        offset += law.pitch
        tooth += 1
    return lines


def _rings(sheet: Sheet, law: Law, chance: Chance, stone: Stone, stones: list[Stone]) -> int:
    mixed, drawn = chance.happens(0.3), 0
    ink = chance.of(law.sand)
    for ring in range(stone.rings):
        path = stone.outline((ring + 1) * law.pitch + 0.006)
        free = _inside(law, path)
        for other in stones:
            if other is not stone and (other.size, other.x) > (stone.size, stone.x):
                free &= ~other.covers(path, (other.rings + 0.9) * law.pitch + 0.004)
        for begin, end in _runs(free):
            if end - begin > 2:
                colour = law.sand[ring % len(law.sand)] if mixed else ink
                sheet.stroke(path[begin:end], law.pitch * law.fat, colour, chance(0.8, 1.2), pace=0.2)
        drawn += 1
    return drawn


def _stone(sheet: Sheet, law: Law, chance: Chance, stone: Stone) -> None:
    """Its body, and its light: facets from the lit side, or the layers that it was pressed from."""
    body, light = law.stone
    grain = (cos(stone.turn), sin(stone.turn))
    sheet.shape(stone.outline(), body, grain)
    if law.layered:
        _layers(sheet, law, chance, stone, light)
        return
    toward = angle_of(law.lit * 0.8, -1.0) + chance(-0.3, 0.3)
    for step in range(1, 6):
        shrink, spread = 1 - step * 0.16, 1.15 - step * 0.08 + chance(-0.2, 0.2)
        angles = toward + np.linspace(-spread, spread, 17)
        far = stone.reach(angles) * shrink
        path = np.stack([stone.x + far * cosines(angles), stone.y + far * sines(angles)], 1)
        thick = stone.size * 0.075 * np.sqrt(1 - np.linspace(-1, 1, 17) ** 2 * 0.98)
        sheet.stroke(path, thick, light, chance(0.8, 1.2))
    if chance.happens(0.5):
        for _ in range(int(260 * stone.size)):
            a = chance(0.0, 6.28)
            far_ = float(stone.reach(np.array([a]))[0]) + abs(chance.normal(0.5)) * law.pitch * 1.2
            x, y = stone.x + far_ * cos(a), stone.y + far_ * sin(a)
            sheet.line((x, y), (x + chance.normal(0.008), y + chance.normal(0.008)), 0.0075, law.moss, 1.0)


def _layers(sheet: Sheet, law: Law, chance: Chance, stone: Stone, light: int) -> None:
    """Bands of the second ink across the stone, as wide as they come."""
    tilt = stone.turn + chance(-0.4, 0.4)
    dx, dy = cos(tilt), sin(tilt)
    offset = -stone.size * 0.9
    t = np.linspace(-1.3, 1.3, 105) * stone.size
    while offset < stone.size * 0.9:
        thick = stone.size * chance(0.02, 0.13)
        bow = chance(-0.1, 0.1) * stone.size
        away = offset + bow * (t / stone.size) ** 2
        path = np.stack([stone.x + t * dx - away * dy, stone.y + t * dy + away * dx], 1)
        for begin, end in _runs(stone.covers(path, -thick * 0.6)):
            if end - begin > 3:
                sheet.stroke(path[begin:end], thick, light, 1.0, round_ends=True)
        offset += thick + stone.size * chance(0.06, 0.24)


def _leaves(sheet: Sheet, law: Law, chance: Chance, stones: list[Stone]) -> int:
    """The accent: a drift of leaves, never more than a few."""
    if chance.happens(0.35):
        return 0
    x0, y0, wind, drawn = chance(0.15, 0.85), chance(0.15, 0.85), chance(0.0, 6.28), 0
    for _ in range(chance.whole(4, 15)):
        away = chance.normal(0.13)
        x, y = x0 + cos(wind) * away + chance.normal(0.03), y0 + sin(wind) * away + chance.normal(0.03)
        if _inside(law, np.array([[x, y]]))[0]:
            a = chance(0.0, 6.28)
            dx, dy = cos(a) * 0.014, sin(a) * 0.014
            sheet.stroke([(x - dx, y - dy), (x, y), (x + dx, y + dy)], [0.003, 0.013, 0.001], 3, 1.2)
            drawn += 1
    return drawn


RAKED = Voice("raked", "stones, the rings about them, and rake lines that stop there", law, compose)
