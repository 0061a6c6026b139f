"""Warren: tunnels dug from the surface down, chambers that keep their distance, and what is stored in them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pipeline.art.compose.chance import Chance, around, cos, cosines, length, sin, sines
from pipeline.art.compose.marks import BODY, Composition, Sheet
from pipeline.art.compose.voice import Voice, number
from pipeline.base.records import Attribute

Point = tuple[float, float]


@dataclass(frozen=True)
class Law:
    margin: float
    earth: int
    seam: int  # ink of the layers in the earth
    hollow: int  # ink of tunnels and chambers
    store: tuple[int, ...]
    plant: int
    accent: int
    flat: float  # chambers: how much wider than high
    tunnel: float
    seams: str
    growth: str
    shapes: tuple[str, ...]


def law(chance: Chance) -> Law:
    earth = chance.one(4, 4, 3, 2)
    others = [ink for ink in (1, 2, 3, 4) if ink != earth]
    order = chance.shuffled(others)
    return Law(
        margin=chance.one(0.055, 0.07),
        earth=earth,
        seam=order[0],
        hollow=0,
        store=(order[1], order[2], earth),
        plant=chance.one(earth, order[1]),
        accent=order[2],
        flat=chance(1.15, 1.8),
        tunnel=chance(0.008, 0.015),
        seams=chance.one("lines", "dashes", "grit", "none"),
        growth=chance.one("grass", "reeds", "trees", "none"),
        shapes=chance.one(("block",), ("mound", "block"), ("disc", "block"), ("mound", "disc")),
    )


@dataclass(frozen=True)
class Chamber:
    x: float
    y: float
    wide: float  # half
    high: float  # half
    dug_from: Point


def compose(law: Law, chance: Chance) -> Composition:
    sheet, shape = Sheet(), chance.of(law.shapes)
    ground = _Ground(law, chance, shape)
    sheet.shape(ground.outline(), law.earth)
    _seams(sheet, law, chance, ground)
    doors, chambers = _dug(law, chance, ground)
    for chamber in chambers:
        _tunnel(sheet, law, chance, chamber.dug_from, (chamber.x, chamber.y))
    for door in doors:
        sheet.stroke(
            [(door[0], ground.top(door[0]) - 0.012), door], law.tunnel * np.array([2.6, 1.2]), law.hollow, BODY
        )
    stored = sum(_chamber(sheet, law, chance, chamber) for chamber in chambers)
    plants = _plants(sheet, law, chance, ground, doors)
    deepest = max((chamber.y for chamber in chambers), default=0.0)
    return sheet.composition(
        [
            number("Chambers", len(chambers)),
            number("Entrances", len(doors)),
            number("Stored", stored),
            number("Plants", plants),
            Attribute("Depth", "Shallow" if deepest < 0.62 else "Deep" if deepest < 0.82 else "Deepest"),
            Attribute("Ground", shape.capitalize()),
        ]
    )


class _Ground:
    """The earth: where it begins at each x, and whether a place lies within it."""

    def __init__(self, law: Law, chance: Chance, shape: str) -> None:
        self.shape, self.margin = shape, law.margin
        self.level = chance(0.2, 0.36) if shape != "disc" else 0.5
        self.hump, self.phase, self.waves = chance(0.01, 0.06), chance(0.0, 6.28), chance(2.0, 6.0)
        self.middle, self.radius = chance(0.35, 0.65), 0.5 - law.margin - (0.03 if shape == "disc" else 0.0)
        if shape == "mound":
            self.level, self.hump = chance(0.48, 0.6), chance(0.25, 0.38)

    def top(self, x: float) -> float:
        if self.shape == "disc":
            inside = self.radius * self.radius - (x - 0.5) * (x - 0.5)
            return 0.5 - math.sqrt(max(inside, 0.0))
        if self.shape == "mound":
            away = (x - self.middle) / 0.34
            return self.level - self.hump / (1 + away * away * away * away) + 0.01 * sin(x * 23 + self.phase)
        return self.level + self.hump * sin(x * self.waves + self.phase)

    def bottom(self, x: float) -> float:
        return 1 - self.top(x) if self.shape == "disc" else 1 - self.margin

    def holds(self, x: float, y: float, wide: float, high: float) -> bool:
        if self.shape == "disc":
            return length(x - 0.5, y - 0.5) + max(wide, high) < self.radius - 0.02
        low = self.margin + 0.025
        return (
            low + wide < x < 1 - low - wide
            and y + high < self.bottom(x) - 0.02
            and all(self.top(x + side * wide) < y - high - 0.02 for side in (-1, 0, 1))
        )

    def outline(self) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
        if self.shape == "disc":
            turn = around(120)
            return np.stack([0.5 + self.radius * cosines(turn), 0.5 + self.radius * sines(turn)], 1)
        x = np.linspace(self.margin, 1 - self.margin, 121)
        y = [self.top(float(one)) for one in x]
        return np.array(
            [*zip(x.tolist(), y, strict=True), (1 - self.margin, 1 - self.margin), (self.margin, 1 - self.margin)]
        )


def _seams(sheet: Sheet, law: Law, chance: Chance, ground: _Ground) -> None:
    """What the earth is made of, before anybody digs."""
    if law.seams == "none":
        return
    if law.seams == "grit":
        for _ in range(420):
            x, y = chance(0.05, 0.95), chance(0.1, 0.97)
            size = chance(0.001, 0.0042)
            if ground.holds(x, y, size, size):
                sheet.disc(x, y, size, law.seam, chance(0.6, 1.0))
        return
    y, k = 0.12, 0
    while y < 0.98:
        bend, phase = chance(0.004, 0.02), chance(0.0, 6.28)
        thick = chance.one(0.0016, 0.0016, 0.0035, 0.008)
        run: list[Point] = []
        for i in range(97):
            x = 0.03 + 0.94 * i / 96
            place = y + bend * sin(x * 7 + phase)
            if ground.holds(x, place, 0.0, 0.0) and not (law.seams == "dashes" and (i + k * 3) % 7 > 4):
                run.append((x, place))
                continue
            if len(run) > 1:
                sheet.stroke(run, thick, law.seam, 0.9, round_ends=True)
            run = []
        if len(run) > 1:
            sheet.stroke(run, thick, law.seam, 0.9, round_ends=True)
        y += chance(0.02, 0.075)
        k += 1


def _dug(law: Law, chance: Chance, ground: _Ground) -> tuple[list[Point], list[Chamber]]:
    """Entrances, and chambers: each is dug from the nearest place that is dug already, above it where there is one."""
    doors: list[Point] = []
    for _ in range(60):
        x = chance(0.2, 0.8)
        if all(abs(x - other[0]) > 0.16 for other in doors):
            doors.append((x, ground.top(x) + 0.05))
        if len(doors) >= chance.whole(1, 3):
            break
    chambers: list[Chamber] = []
    wanted = chance.one(chance.whole(4, 7), chance.whole(9, 18), chance.whole(20, 44))
    largest = 0.3 / math.sqrt(wanted) * chance(0.8, 1.15)
    for _ in range(wanted * 30):
        high = largest * (
            1.0 if len(chambers) < 2 else chance(0.25, 0.8) if chance.happens(0.6) else chance(0.14, 0.35)
        )
        wide = high * law.flat * chance(0.85, 1.25)
        x, y = chance(0.06, 0.94), chance(0.15, 0.96)
        if not ground.holds(x, y, wide, high):
            continue
        if any(_near(x, y, wide, high, other) for other in chambers):
            continue
        places = [*doors, *((other.x, other.y) for other in chambers)]
        origin = min(places, key=lambda p: _effort(p, (x, y)))
        if _crosses(origin, (x, y), chambers):
            continue
        chambers.append(Chamber(x, y, wide, high, origin))
        if len(chambers) == wanted:
            break
    return doors, chambers


def _near(x: float, y: float, wide: float, high: float, other: Chamber) -> bool:
    return length((x - other.x) / (wide + other.wide + 0.02), (y - other.y) / (high + other.high + 0.02)) < 1


def _effort(origin: Point, to: Point) -> float:
    dx, dy = to[0] - origin[0], to[1] - origin[1]
    return math.sqrt(dx * dx + dy * dy) * (1.0 if dy > 0 else 1.8)


def _crosses(origin: Point, to: Point, chambers: list[Chamber]) -> bool:
    """Whether a straight tunnel would run into a chamber that it does not begin in."""
    for other in chambers:
        if (other.x, other.y) == origin:
            continue
        for share in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9):
            x, y = origin[0] + (to[0] - origin[0]) * share, origin[1] + (to[1] - origin[1]) * share
            if length((x - other.x) / (other.wide + 0.012), (y - other.y) / (other.high + 0.012)) < 1:
                return True
    return False


def _tunnel(sheet: Sheet, law: Law, chance: Chance, origin: Point, to: Point) -> None:
    t = np.linspace(0.0, 1.0, 17)
    dx, dy = to[0] - origin[0], to[1] - origin[1]
    sway, waves = chance(-0.13, 0.13), chance(3.0, 8.0)
    bow = t * (1 - t) * (sway * 4 + 0.16 * sines(t * waves))
    width = law.tunnel * (1 + 0.25 * sines(t * waves * 2.3)) * chance(0.7, 1.3)
    sheet.stroke(np.stack([origin[0] + dx * t - dy * bow, origin[1] + dy * t + dx * bow], 1), width, law.hollow, BODY)


def _chamber(sheet: Sheet, law: Law, chance: Chance, chamber: Chamber) -> int:
    """The hollow, flat at its floor, and what lies in it; returns how many things."""
    turn = around(48)
    floor = chamber.y + chamber.high * 0.62
    below = np.minimum(chamber.y + chamber.high * sines(turn), floor)
    outline = np.stack([chamber.x + chamber.wide * cosines(turn), below], 1)
    sheet.shape(outline, law.hollow)
    if chamber.high < 0.014:
        return 0
    kind = chance.one("heap", "heap", "row", "coil", "nest", "one", "empty")
    ink = law.accent if chance.happens(0.18) else chance.of(law.store)
    if kind == "heap":
        return _heap(sheet, chance, chamber, floor, ink)
    if kind == "row":
        size = min(chamber.high * 0.5, chamber.wide * 0.16)
        count = int(chamber.wide * 1.15 / size / 2.2)
        for k in range(count):
            x = chamber.x + (k - (count - 1) / 2) * size * 2.2
            sheet.stroke([(x, floor), (x, floor - size * 2.3)], size * 1.5, ink, 1.2, round_ends=True)
        return count
    if kind == "coil":
        turns = np.linspace(0.0, 1.0, 60)
        angle = turns * 13.0 + 1.5
        far = chamber.high * 0.62 * (1 - turns * 0.92)
        path = np.stack([chamber.x + far * cosines(angle) * 1.25, floor - chamber.high * 0.64 + far * sines(angle)], 1)
        sheet.stroke(path, chamber.high * 0.13 * (1 - turns * 0.5), ink, 1.1, round_ends=True)
        return 1
    if kind == "nest":
        rings = max(2, int(chamber.high / 0.014))
        for k in range(rings):
            wide = chamber.high * (0.8 - 0.62 * k / rings)
            arc = np.linspace(0.0, math.pi, 25)
            path = np.stack([chamber.x + wide * 1.25 * cosines(arc), floor - wide * sines(arc)], 1)
            sheet.stroke(path, chamber.high * 0.34 / rings, ink, 1.0)
        return 1
    if kind == "one":
        sheet.disc(chamber.x, floor - chamber.high * 0.55, chamber.high * 0.55, ink)
        return 1
    return 0


def _heap(sheet: Sheet, chance: Chance, chamber: Chamber, floor: float, ink: int) -> int:
    """Round things, in rows, each row between those below it."""
    size, laid = max(0.0042, chamber.high * chance(0.1, 0.2)), 0
    across = max(1, int(chamber.wide * 1.2 / (2 * size)))
    rows = min(across, max(1, int(chamber.high * 1.1 / (1.75 * size))))
    for row in range(rows):
        y = floor - size - row * size * 1.75
        for k in range(across - row):
            x = chamber.x + (k - (across - row - 1) / 2) * size * 2.05
            if length((x - chamber.x) / chamber.wide, (y - chamber.y) / chamber.high) < 0.86:
                sheet.disc(x, y, size * chance(0.84, 0.98), ink)
                laid += 1
    return laid


def _plants(sheet: Sheet, law: Law, chance: Chance, ground: _Ground, doors: list[Point]) -> int:
    """What grows above."""
    if law.growth == "none":
        return 0
    count = {"grass": chance.whole(20, 110), "reeds": chance.whole(6, 26), "trees": chance.whole(1, 7)}[law.growth]
    grown, low = 0, ground.margin + 0.02
    for _ in range(count):
        x = chance(low, 1 - low) if ground.shape != "disc" else chance(0.28, 0.72)
        if any(abs(x - door[0]) < 0.03 for door in doors):
            continue
        y, lean = ground.top(x) + 0.004, chance(-0.4, 0.4)
        room = y - ground.margin
        if law.growth == "grass":
            high = min(room, chance(0.012, 0.05))
            sheet.stroke(
                [(x, y), (x + lean * high * 0.4, y - high * 0.6), (x + lean * high, y - high)],
                [0.005, 0.003, 0.0008],
                law.plant,
                1.0,
            )
        elif law.growth == "reeds":
            high = min(room, chance(0.06, 0.19))
            tip = (x + lean * 0.3 * high, y - high)
            sheet.stroke([(x, y), (x + lean * 0.1 * high, y - high * 0.6), tip], [0.0035, 0.003, 0.002], law.plant, 1.0)
            sheet.stroke([tip, (tip[0] + lean * 0.02, tip[1] - 0.03)], [0.011, 0.008], law.accent, 1.1, round_ends=True)
        else:
            _tree(sheet, law, chance, (x, y), min(room * 0.5, chance(0.05, 0.15)), math.pi / 2, 0)
        grown += 1
    return grown


def _tree(sheet: Sheet, law: Law, chance: Chance, at: Point, high: float, angle: float, depth: int) -> None:
    tip = (at[0] + cos(angle) * high, at[1] - sin(angle) * high)
    sheet.stroke([at, tip], [high * 0.13, high * 0.09], law.plant, 1.1)
    if depth == 4 or high < 0.012:
        sheet.disc(tip[0], tip[1], high * 0.34, law.accent if chance.happens(0.2) else law.plant)
        return
    for side in (-1, 1):
        _tree(sheet, law, chance, tip, high * chance(0.55, 0.8), angle + side * chance(0.25, 0.6), depth + 1)


WARREN = Voice("warren", "tunnels and chambers dug from the surface down", law, compose)
