"""Town: houses that crowd a slope, drawn from the back to the front: wall, side in the shade, roof, windows."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pipeline.art.compose.chance import Chance, cosines, sin, sines
from pipeline.art.compose.landscape import ridge
from pipeline.art.compose.marks import Composition, Sheet
from pipeline.art.compose.voice import Voice, number
from pipeline.base.records import Attribute

Border = Callable[[float], float]  # y at each x


@dataclass(frozen=True)
class Law:
    margin: float
    unit: float  # width of a house
    walls: tuple[int, ...]
    roofs: tuple[int, ...]
    roof: str
    window: int
    lit: int
    lamps: float
    full: float
    tall: tuple[float, float]
    outline: bool  # a gap of ground about each house
    plans: tuple[str, ...]


def law(chance: Chance) -> Law:
    inks = chance.shuffled((1, 2, 3))
    return Law(
        margin=chance.one(0.055, 0.07),
        unit=chance.one(0.05, 0.07, 0.1),
        walls=chance.one((0, 0, inks[0]), (0, inks[0], inks[1]), (inks[0], inks[1], inks[2]), (inks[0], inks[0], 0)),
        roofs=chance.one((inks[1],), (inks[1], inks[2]), (4, inks[2])),
        roof=chance.one("gable", "flat", "dome", "steep"),
        window=4,
        lit=chance.sign(),
        lamps=chance.one(0.0, 0.12, 0.3),
        full=chance(0.82, 1.0),
        tall=chance.one((0.6, 1.2), (0.8, 1.8), (1.2, 3.0)),
        outline=chance.happens(0.4),
        plans=tuple(chance.shuffled(("hill", "wall", "rock", "valley", "steps"))[:4]),
    )


@dataclass(frozen=True)
class House:
    y: float  # its foot
    x: float
    wide: float
    high: float
    wall: int
    shade: int
    roof: str
    roof_ink: int


def compose(law: Law, chance: Chance) -> Composition:
    sheet, plan = Sheet(), chance.of(law.plans)
    houses = _sites(law, chance, plan)
    towers = set(chance.shuffled(range(len(houses)))[: chance.whole(0, 2)]) if houses else set()
    windows = lamps = 0
    for i, house in enumerate(houses):
        if i in towers:
            house = House(
                house.y, house.x, house.wide * 0.7, house.high * 2.2, house.wall, house.shade, "steep", law.roofs[-1]
            )
        drawn, lit = _house(sheet, law, chance, house)
        windows += drawn
        lamps += lit
    sheet.frame(law.margin)
    return sheet.composition(
        [
            number("Houses", len(houses)),
            number("Windows", windows),
            number("Lamps", lamps),
            number("Towers", len(towers)),
            Attribute("Site", plan.capitalize()),
        ]
    )


def _sites(law: Law, chance: Chance, plan: str) -> list[House]:
    """Where houses stand, those behind first."""
    low, high = law.margin, 1 - law.margin
    top, bottom = _slope(law, chance, plan)
    unit = law.unit * chance.one(0.7, 1.0, 1.5)
    rows = max(4, int(0.55 / unit * (1.2 if plan == "wall" else 0.9)))
    houses = []
    for row in range(rows):
        depth = row / (rows - 1)
        scale = unit * (0.6 + 0.7 * depth)
        x = low + chance(-0.5, 0.5) * scale
        while x < high:
            wide = scale * chance(0.6, 1.5)
            upper, lower = top(x + wide / 2), bottom(x + wide / 2)
            y = upper + (lower - upper) * (depth * 0.95 + 0.05) + chance(-0.01, 0.01)
            if lower - upper > 0.02 and chance.happens(law.full):
                houses.append(_drawn(law, chance, y, x, wide, scale * chance(*law.tall)))
            x += wide * chance(0.82, 1.2)
    houses.sort(key=lambda house: house.y)
    return houses


def _slope(law: Law, chance: Chance, plan: str) -> tuple[Border, Border]:
    """The upper and the lower border of the town."""
    line = ridge(chance, 129, 0.47)
    middle, wide = chance(0.35, 0.65), chance(0.2, 0.34)
    lift, lean = chance(0.22, 0.45), chance(-0.2, 0.2)
    base, count = chance(0.7, 0.85), chance.whole(3, 5)

    def height(x: float) -> float:
        return float(line[min(128, max(0, int(x * 128)))])

    def hump(x: float) -> float:
        away = (x - middle) / wide
        return 1 / (1 + away * away * away * away)

    def level(y: float) -> Border:
        return lambda x: y

    borders: dict[str, tuple[Border, Border]] = {
        "wall": (level(0.02), level(1.08)),
        "rock": (
            lambda x: base - hump(x) * (base - lift + 0.1),
            lambda x: base - 0.02 + 0.2 * hump(x) * (1 - abs(x - middle)),
        ),
        "valley": (lambda x: 0.62 - 0.67 * abs(x - middle) + 0.05 * height(x), level(1.06)),
        "steps": (lambda x: 0.2 + lift * 0.3 + 0.5 * (int(x * count + middle) / count), level(1.06)),
        "hill": (
            lambda x: lift + lean * (x - 0.5) + 0.3 * (1 - height(x)),
            lambda x: 0.9 + 0.04 * sin(x * 5 + middle * 9),
        ),
    }
    return borders[plan]


def _drawn(law: Law, chance: Chance, y: float, x: float, wide: float, high: float) -> House:
    wall = chance.of(law.walls)
    shade = min(4, wall + chance.whole(1, 2)) if wall < 3 else 4
    roof = law.roof if chance.happens(0.78) else "flat"
    roofs = [ink for ink in law.roofs if ink != wall] or [4 if wall != 4 else 3]
    return House(y, x, wide, high, wall, shade, roof, chance.of(roofs))


def _house(sheet: Sheet, law: Law, chance: Chance, house: House) -> tuple[int, int]:
    x, y, w, h = house.x, house.y, house.wide, house.high
    deep = w * 0.32 * -law.lit
    near = x + w if law.lit < 0 else x  # the corner between the wall and the side in the shade
    gap = 0.003 if law.outline else 0.0
    if gap:
        left, right = min(x, near + deep) - gap, max(x + w, near + deep) + gap
        sheet.shape([(left, y), (right, y), (right, y - h - gap), (left, y - h - gap)], 0)
    sheet.shape(
        [(near, y), (near + deep, y - abs(deep) * 0.3), (near + deep, y - h - abs(deep) * 0.3), (near, y - h)],
        house.shade,
        (0.0, 1.0),
    )
    sheet.shape([(x, y), (x + w, y), (x + w, y - h), (x, y - h)], house.wall, (0.0, 1.0))
    _roof(sheet, chance, house, near, deep)
    return _windows(sheet, law, chance, house)


def _roof(sheet: Sheet, chance: Chance, house: House, near: float, deep: float) -> None:
    x, top, w = house.x, house.y - house.high, house.wide
    ink = house.roof_ink
    dark = min(4, ink + 1) if ink != 4 else 3
    if house.roof in ("gable", "steep"):
        rise = w * (0.42 if house.roof == "gable" else 1.1)
        apex = (x + w / 2, top - rise)
        back = (apex[0] + deep, apex[1] - abs(deep) * 0.3)
        sheet.shape([(near, top), (near + deep, top - abs(deep) * 0.3), back, apex], dark)
        sheet.shape([(x - w * 0.05, top), (x + w * 1.05, top), apex], ink)
    elif house.roof == "dome":
        arc = np.linspace(math.pi, 2 * math.pi, 25)
        sheet.shape(np.stack([x + w / 2 + w * 0.42 * cosines(arc), top + w * 0.42 * sines(arc)], 1), ink)
        sheet.line((x + w / 2, top - w * 0.4), (x + w / 2, top - w * 0.6), w * 0.05, ink)
    else:
        sheet.stroke([(x - w * 0.05, top), (x + w * 1.05, top)], max(0.004, w * 0.13), ink, 1.2)


def _windows(sheet: Sheet, law: Law, chance: Chance, house: House) -> tuple[int, int]:
    columns, rows = max(1, int(house.wide / 0.024)), max(1, int(house.high / 0.032))
    ink = law.window if house.wall != law.window else 0
    arched = chance.happens(0.3)
    drawn = lit = 0
    for row in range(rows):
        for column in range(columns):
            if not chance.happens(0.74):
                continue
            lamp = chance.happens(law.lamps)
            x = house.x + house.wide * (column + 0.5) / columns
            y = house.y - house.high + house.high * (row + 0.32) / rows
            tall = min(0.015, house.high * 0.36 / rows)
            sheet.stroke(
                [(x, y), (x, y + tall)],
                min(0.0095, house.wide * 0.34 / columns),
                3 if lamp else ink,
                1.2,
                round_ends=arched,
            )
            drawn += 1
            lit += lamp
    return drawn, lit


TOWN = Voice("town", "houses that crowd a slope, back to front", law, compose)
