"""Vessel: pots thrown on a wheel, banded with friezes that close round them, glazed, and set down before one another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.art.compose.chance import Chance, cosines, sin, sines
from pipeline.art.compose.marks import Composition, Sheet
from pipeline.art.compose.voice import Voice, number
from pipeline.base.records import Attribute

Numbers = NDArray[np.float64]

SLICES = 96  # of a pot, from its lip to its foot
FRIEZES = ("lines", "zigzag", "dots", "waves", "leaves", "checks", "bars", "scales", "plain")


@dataclass(frozen=True)
class Law:
    margin: float
    clays: tuple[int, ...]
    slip: int  # ink of most friezes
    second: int
    accent: int
    shelf: int
    friezes: tuple[str, ...]
    bands: tuple[int, int]
    glaze: float
    handles: float
    shade: bool
    plans: tuple[str, ...]


def law(chance: Chance) -> Law:
    inks = chance.shuffled((1, 2, 3, 4))
    return Law(
        margin=chance.one(0.07, 0.085),
        clays=tuple(inks[:3]) if chance.happens(0.5) else (inks[0], inks[0], inks[1]),
        slip=chance.one(0, 0, inks[3]),
        second=inks[2],
        accent=inks[3],
        shelf=chance.one(4, inks[1]),
        friezes=tuple(chance.shuffled(FRIEZES)[:4]),
        bands=chance.one((1, 3), (3, 6), (5, 9)),
        glaze=chance.one(0.0, 0.35, 0.8),
        handles=chance.one(0.1, 0.4),
        shade=chance.happens(0.6),
        plans=tuple(chance.shuffled(("one", "pair", "row", "shelves", "crowd"))[:4]),
    )


@dataclass(frozen=True)
class Place:
    x: float
    foot: float  # where it stands
    wide: float  # room to both sides
    high: float  # room above


@dataclass(frozen=True)
class Pot:
    """A profile: how wide it is at each height."""

    x: float
    top: float
    foot: float
    radius: Numbers  # (SLICES,) from the lip down

    def half(self, y: float) -> float:
        share = (y - self.top) / (self.foot - self.top) * (SLICES - 1)
        low = min(max(int(share), 0), SLICES - 2)
        return float(self.radius[low] + (self.radius[low + 1] - self.radius[low]) * (share - low))

    def at(self, turn: float, y: float) -> tuple[float, float]:
        """A point on its surface: `turn` is -1 at its left rim and 1 at its right, and closes in towards both."""
        return self.x + self.half(y) * sin(turn * math.pi / 2), y


def compose(law: Law, chance: Chance) -> Composition:
    sheet, plan = Sheet(), chance.of(law.plans)
    places, shelves = _places(law, chance, plan)
    for shelf in shelves:
        sheet.stroke([(law.margin, shelf), (1 - law.margin, shelf)], chance(0.008, 0.016), law.shelf, 1.3)
    bands = glazed = handled = 0
    rare = chance.whole(0, len(places) - 1)
    for i, place in enumerate(places):
        clay = law.accent if i == rare and len(places) > 2 else chance.of(law.clays)
        pot, has_handles = _pot(law, chance, place)
        _body(sheet, pot, clay, plan == "crowd")
        if has_handles:
            _handles(sheet, chance, pot, clay)
        found, drips = _decorated(sheet, law, chance, pot, clay)
        bands += found
        glazed += drips
        handled += has_handles
        if law.shade:
            _shade(sheet, pot, 4 if clay != 4 else 0)
    return sheet.composition(
        [
            number("Vessels", len(places)),
            number("Friezes", bands),
            number("Glazed", glazed),
            number("Handled", handled),
            Attribute("Plan", plan.capitalize()),
        ]
    )


def _places(law: Law, chance: Chance, plan: str) -> tuple[list[Place], list[float]]:
    """Where pots stand, those behind first, and the heights of the shelves."""
    low, high = law.margin, 1 - law.margin
    room = high - low
    if plan == "one":
        return [Place(chance.one(0.5, 0.5, 0.42, 0.58), high - 0.01, room * 0.47, room * chance(0.85, 1.0))], [high]
    if plan == "pair":
        split = chance(0.38, 0.62)
        sizes = ((split, chance(0.6, 1.0)), (1 - split, chance(0.45, 1.0)))
        places, x = [], low
        for share, tall in sizes:
            places.append(Place(x + room * share / 2, high - 0.01, room * share * 0.47, room * tall))
            x += room * share
        return places, [high]
    if plan == "crowd":
        places = []
        for row in range(3):
            foot, x = high - 0.01 - (2 - row) * room * 0.17, low
            while x < high - 0.08:
                wide = chance(0.07, 0.14)
                if x + wide * 1.7 > high:
                    break
                places.append(Place(x + wide * 0.9, foot, wide, room * chance(0.28, 0.62) * (1.0 if row < 2 else 0.7)))
                x += wide * chance(1.2, 1.8)
        return places, [high]
    rows = 1 if plan == "row" else chance.whole(2, 4)
    places, shelves = [], []
    for row in range(rows):
        foot = low + room * (row + 1) / rows
        shelves.append(foot)
        count = chance.whole(3, 6) if rows > 1 else chance.whole(3, 5)
        shares = [chance(0.5, 1.5) for _ in range(count)]
        x = low
        for share in shares:
            wide = room * share / sum(shares)
            if not (rows > 1 and chance.happens(0.07)):
                tall = room / rows * chance(0.5, 0.86) if rows > 1 else room * chance(0.3, 0.92)
                places.append(Place(x + wide / 2, foot - 0.005, wide * 0.45, tall))
            x += wide
    return places, shelves


def _pot(law: Law, chance: Chance, place: Place) -> tuple[Pot, bool]:
    """A profile through its lip, neck, shoulder, belly and foot; wide where there is room for it."""
    kind = chance.one("jar", "bottle", "bowl", "urn", "cup", "flask")
    belly = 1.0
    lip, neck, shoulder, foot, tall = {
        "jar": (0.62, 0.55, 0.85, 0.5, 1.5),
        "bottle": (0.26, 0.17, 0.5, 0.55, 2.6),
        "bowl": (1.0, 0.97, 0.9, 0.4, 0.75),
        "urn": (0.55, 0.32, 0.95, 0.34, 2.0),
        "cup": (0.86, 0.8, 0.8, 0.6, 1.15),
        "flask": (0.3, 0.22, 0.34, 0.72, 2.2),
    }[kind]
    lip, neck, shoulder, foot = (value * chance(0.8, 1.2) for value in (lip, neck, shoulder, foot))
    high = min(place.high, place.wide * 2 * tall * chance(0.75, 1.15))
    wide = min(place.wide, high / tall / 1.5 * chance(0.9, 1.3))
    at = [0.0, chance(0.05, 0.12), chance(0.2, 0.38), chance(0.45, 0.68), 0.95, 1.0]
    values = [min(lip, 1.0), min(neck, 1.0), min(shoulder, 1.0), belly, min(foot, 1.0), min(foot * 1.06, 1.0)]
    t = np.arange(SLICES, dtype=np.float64) / (SLICES - 1)
    radius = _smooth(t, at, values) * wide
    return Pot(place.x, place.foot - high, place.foot, radius), kind not in ("bowl", "cup") and chance.happens(
        law.handles
    )


def _smooth(t: Numbers, at: Sequence[float], values: Sequence[float]) -> Numbers:
    """Values between given ones, with no corner: cubic, with the slopes of the chords (Catmull and Rom, 1974)."""
    slopes = []
    for i in range(len(at)):
        before, after = max(0, i - 1), min(len(at) - 1, i + 1)
        slopes.append((values[after] - values[before]) / (at[after] - at[before]))
    found = np.zeros(len(t))
    for i in range(len(at) - 1):
        span = at[i + 1] - at[i]
        s = np.clip((t - at[i]) / span, 0.0, 1.0)
        part = (
            (2 * s * s * s - 3 * s * s + 1) * values[i]
            + (s * s * s - 2 * s * s + s) * span * slopes[i]
            + (3 * s * s - 2 * s * s * s) * values[i + 1]
            + (s * s * s - s * s) * span * slopes[i + 1]
        )
        inside = (t >= at[i]) & (t <= at[i + 1])
        found[inside] = part[inside]
    return np.clip(found, 0.1, 1.0)


def _body(sheet: Sheet, pot: Pot, clay: int, crowded: bool) -> None:
    y = pot.top + (pot.foot - pot.top) * np.arange(SLICES, dtype=np.float64) / (SLICES - 1)
    for extra in (0.007, 0.0) if crowded else (0.0,):
        left = np.stack([pot.x - pot.radius - extra, y - extra], 1)
        right = np.stack([pot.x + pot.radius + extra, y - extra], 1)
        sheet.shape(np.concatenate([left, right[::-1]]), 0 if extra else clay)


def _handles(sheet: Sheet, chance: Chance, pot: Pot, clay: int) -> None:
    """On both sides, from the shoulder to the belly."""
    high = pot.foot - pot.top
    upper, lower = pot.top + high * chance(0.1, 0.2), pot.top + high * chance(0.35, 0.5)
    out, t = high * chance(0.06, 0.12), np.linspace(0.0, 1.0, 15)
    for side in (-1, 1) if chance.happens(0.75) else (1,):
        x0, x1 = (pot.x + side * (pot.half(y) - 0.004) for y in (upper, lower))
        path = np.stack([x0 + (x1 - x0) * t + side * out * sines(t * math.pi), upper + (lower - upper) * t], 1)
        sheet.stroke(path, max(0.006, high * 0.035), clay, 1.2)


def _decorated(sheet: Sheet, law: Law, chance: Chance, pot: Pot, clay: int) -> tuple[int, int]:
    """Friezes round the pot, or a glaze that has run; returns how many of each."""
    high, drawn = pot.foot - pot.top, 0
    glazed = chance.happens(law.glaze)
    slip = law.slip if law.slip != clay else next(i for i in (0, 4, 1) if i != clay)
    second = law.second if law.second not in (clay, slip) else next(i for i in (3, 4, 2, 1) if i not in (clay, slip))
    count = chance.whole(*law.bands)
    begin, end = (0.06, 0.94) if not glazed else (0.5, 0.94)
    borders = [begin + (end - begin) * (k + chance(-0.25, 0.25) * (0 < k < count)) / count for k in range(count + 1)]
    for upper, lower in zip(borders, borders[1:], strict=False):
        if (lower - upper) * high < 0.012 or chance.happens(0.12):
            continue
        ink = second if chance.happens(0.25) else slip
        _frieze(sheet, chance, pot, chance.of(law.friezes), pot.top + high * upper, pot.top + high * lower, ink)
        drawn += 1
    if glazed:
        _glaze(sheet, chance, pot, slip or next(i for i in (law.second, 3, 1) if i != clay))
    return drawn, int(glazed)


def _frieze(sheet: Sheet, chance: Chance, pot: Pot, kind: str, top: float, bottom: float, ink: int) -> None:
    """One ornament, drawn on the surface: it grows narrow towards the rims."""
    high, middle = bottom - top, (top + bottom) / 2
    around = max(7, round(pot.half(middle) * 2.8 / max(high, 0.014)) * 2 + 1)
    turns = [-1 + 2 * (k + 0.5) / around for k in range(around)]
    half = 1 / around
    line = min(0.007, max(0.0022, high * 0.1))
    if kind in ("lines", "plain"):
        rows = 1 if kind == "plain" else max(2, int(high / 0.013))
        for k in range(rows):
            y = top + high * (k + 0.5) / rows
            _ring(sheet, pot, y, line * (1.6 if kind == "plain" else 1.0), ink)
    elif kind == "zigzag":
        path = [
            pot.at(-0.97 + 1.94 * k / (around * 2), top + high * (0.2 if k % 2 else 0.8)) for k in range(around * 2 + 1)
        ]
        sheet.stroke(path, line * 1.7, ink, 1.0)
    elif kind == "waves":
        path = [
            pot.at(-0.97 + 1.94 * k / 120, middle + high * 0.28 * sin(k * around / 120 * 2 * math.pi))
            for k in range(121)
        ]
        sheet.stroke(path, line * 1.7, ink, 1.0)
    for k, turn in enumerate(turns):
        (left, _), (right, _) = pot.at(turn - half, middle), pot.at(turn + half, middle)
        x, wide = (left + right) / 2, right - left
        if kind == "dots":
            sheet.disc(x, middle, min(wide, high) * 0.32, ink)
        elif kind == "leaves":
            path = [pot.at(turn, bottom - high * 0.1), (x, middle), pot.at(turn, top + high * 0.1)]
            sheet.stroke(path, [0.001, wide * 0.62, 0.001], ink, 1.0)
        elif kind == "bars":
            path = [pot.at(turn * 0.97, top + high * share) for share in (0.12, 0.37, 0.63, 0.88)]
            sheet.stroke(path, wide * 0.5, ink, 1.0)
        elif kind == "checks" and k % 2 == 0:
            for row in range(2):
                at = turn + 2 * half * row
                sheet.shape(
                    [
                        pot.at(at - half, top + high * row / 2),
                        pot.at(at + half, top + high * row / 2),
                        pot.at(at + half, top + high * (row + 1) / 2),
                        pot.at(at - half, top + high * (row + 1) / 2),
                    ],
                    ink,
                ) if at < 1 else None
        elif kind == "scales":
            arc = np.linspace(0.0, math.pi, 9)
            sheet.stroke(
                np.stack([x + wide * 0.46 * cosines(arc), top + high * 0.12 + high * 0.7 * sines(arc)], 1), line, ink
            )


def _ring(sheet: Sheet, pot: Pot, y: float, width: float, ink: int) -> None:
    half = pot.half(y)
    sheet.stroke([(pot.x - half, y), (pot.x + half, y)], width, ink, 1.0)


def _glaze(sheet: Sheet, chance: Chance, pot: Pot, ink: int) -> None:
    """From the lip down, and further down in runs that end round."""
    high = pot.foot - pot.top
    level = pot.top + high * chance(0.16, 0.34)
    runs = chance.whole(5, 11)
    edge, deep = [], [chance(0.0, 1.0) for _ in range(runs)]
    for k in range(121):
        turn = -1 + k / 60
        place = (turn + 1) / 2 * runs
        i = min(int(place), runs - 1)
        away = abs(place - i - 0.5) * 2
        drop = deep[i] * deep[i] * 0.3 * high * math.sqrt(max(0.0, 1 - away * away))
        edge.append(pot.at(turn, min(level + drop, pot.foot - high * 0.08)))
    rim = [
        (pot.x + pot.half(pot.top + (level - pot.top) * s) * side, pot.top + (level - pot.top) * s)
        for side, steps in ((1, range(20, -1, -1)), (-1, range(21)))
        for s in (step / 20 for step in steps)
    ]
    sheet.shape([*edge, *rim], ink)


def _shade(sheet: Sheet, pot: Pot, ink: int) -> None:
    """Fine lines down its right side, denser towards the rim."""
    high = pot.foot - pot.top
    count = max(3, int(pot.radius.max() / 0.012))
    for k in range(count):
        turn = 0.55 + 0.42 * (k + 0.5) / count
        path = [pot.at(turn, pot.top + high * (0.04 + 0.92 * s / 24)) for s in range(25)]
        sheet.stroke(path, 0.0016, ink, 0.9)


VESSEL = Voice("vessel", "pots with friezes and glazes that close round them", law, compose)
