"""Massif: ranges from far to near, each a body and hundreds of marks that fall down its lit or its dark side."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.art.compose.chance import Chance, around, cosines, sines
from pipeline.art.compose.landscape import ridge
from pipeline.art.compose.marks import BODY, Composition, Sheet
from pipeline.art.compose.voice import Voice, number
from pipeline.base.records import Attribute

SAMPLES = 257


@dataclass(frozen=True)
class Law:
    margin: float
    rough: float
    lit: int
    marks: str  # how a slope is drawn
    dense: float
    brush: float
    steep: float
    bodies: tuple[int, ...]  # inks from the farthest range to the nearest
    light: tuple[int, ...]
    accent: int
    foot: str
    plans: tuple[str, ...]
    skies: tuple[str, ...] = ()  # what may stand behind the farthest range; none in the first edition


def law(chance: Chance) -> Law:
    order = chance.one((1, 2, 3, 4), (1, 2, 3, 4), (4, 3, 2, 1), (2, 1, 3, 4), (3, 2, 4, 4))
    return Law(
        margin=chance.one(0.055, 0.07, 0.085),
        rough=chance.one(0.46, 0.52, 0.58),
        lit=chance.sign(),
        marks=chance.one("facets", "facets", "hachures", "strata"),
        dense=chance(0.7, 1.3),
        brush=chance(0.8, 1.5),
        steep=chance(0.6, 1.3),
        bodies=order,
        light=chance.one((0, 1, 2, 3), (0, 0, 1, 2), (3, 0, 3, 1)),
        accent=chance.one(3, 3, 2),
        foot=chance.one("cut", "mirror", "fade", "lines"),
        plans=tuple(chance.shuffled(("peak", "range", "islands", "sheets", "gorge"))[:3]),
    )


def high_law(chance: Chance) -> Law:
    """The second edition's: peaks that fill their sheet, and a sky with something in it."""
    found = law(chance)
    skies = tuple(chance.shuffled(("bare", "disc", "ruled", "arcs", "rain"))[:3])
    return replace(found, skies=skies, steep=max(found.steep, 0.85))


@dataclass(frozen=True)
class Range:
    x: NDArray[np.float64]
    top: NDArray[np.float64]
    foot: NDArray[np.float64]
    depth: float  # 0 is the farthest, 1 the nearest


def compose(law: Law, chance: Chance) -> Composition:
    sheet, plan = Sheet(), chance.of(law.plans)
    sky = chance.of(law.skies) if law.skies else "bare"
    ranges = _ranges(law, chance, plan)
    _sky(sheet, law, chance, sky, ranges)
    marks = 0
    for one in ranges:
        i = min(3, int(one.depth * 3.99))
        body, light = law.bodies[i], law.light[i]
        if body == light:
            light = 0
        _body(sheet, law, one, body, plan)
        dark = body if body == 4 else min(4, body + 1)
        marks += _slopes(sheet, law, chance, one, light, dark if dark != body else 3)
        if plan in ("peak", "islands", "range") and one is ranges[-1] or plan == "islands":
            _foot(sheet, law, chance, one, body)
    sheet.frame(law.margin)
    return sheet.composition(
        [
            number("Ranges", len(ranges)),
            number("Faces", marks),
            number("Summits", sum(_summits(one.top) for one in ranges)),
            Attribute("Plan", plan.capitalize()),
            Attribute("Light", "West" if law.lit > 0 else "East"),
            *([Attribute("Sky", sky.capitalize())] if law.skies else []),
        ]
    )


def _summits(top: NDArray[np.float64]) -> int:
    """Tops that stand a good way above what lies around them."""
    coarse = top[::16]
    return int(((coarse[1:-1] < coarse[:-2] - 0.004) & (coarse[1:-1] < coarse[2:] - 0.004)).sum())


def _ranges(law: Law, chance: Chance, plan: str) -> list[Range]:
    low, high = law.margin, 1 - law.margin
    x = np.linspace(low, high, SAMPLES)
    if plan == "peak":
        base, tall = chance(0.72, 0.88), chance(0.85, 0.97) * (0.6 + 0.3 * law.steep)
        if law.skies:
            base, tall = chance(0.84, 0.94), chance(0.8, 0.97)
        rise, away = np.zeros(SAMPLES), np.full(SAMPLES, 9.0)
        for k in range(chance.one(1, 2, 3)):
            middle, wide = (chance(0.38, 0.62), chance(0.34, 0.48)) if k == 0 else (chance(0.2, 0.8), chance(0.14, 0.3))
            near = np.abs(x - middle) / wide
            slope = np.clip(1 - near, 0.0, None) * (0.72 + 0.28 * ridge(chance, SAMPLES, law.rough))
            rise = np.maximum(rise, slope * (1.0 if k == 0 else chance(0.45, 0.9)))
            away = np.minimum(away, near)
        rise += 0.1 * ridge(chance, SAMPLES, law.rough) * (away < 1)
        tall *= base - low
        kept = away < 1.02
        return [Range(x[kept], np.maximum(base - tall * rise[kept], low), np.full(int(kept.sum()), base), 0.9)]
    if plan == "islands":
        found, count = [], chance.whole(3, 7)
        for k in range(count):
            depth = (k + 0.5) / count
            middle = chance(0.18, 0.82)
            wide = chance(*((0.16, 0.3) if law.skies else (0.1, 0.24))) * (0.7 + 0.6 * depth)
            base = low + (high - low) * (0.24 + 0.68 * depth) + chance(-0.03, 0.03)
            kept = np.abs(x - middle) < wide
            away = np.abs(x[kept] - middle) / wide
            rise = (1 - away) * (0.55 + 0.45 * ridge(chance, SAMPLES, law.rough)[kept])
            under = (1 - away) * (0.3 + 0.7 * ridge(chance, SAMPLES, 0.6)[kept]) * wide * chance(0.2, 0.9)
            found.append(Range(x[kept], base - wide * 1.3 * law.steep * rise, base + under, depth))
        return found
    count = {"range": chance.whole(3, 7), "sheets": chance.whole(3, 6), "gorge": chance.whole(4, 7)}[plan]
    horizon = chance(0.16, 0.5)
    found = []
    for k in range(count):
        depth = k / max(1, count - 1)
        base = horizon + (high - horizon) * (k + 1) / count
        tall = (0.4 - 0.2 * depth) * chance(0.6, 1.2) * law.steep
        profile = ridge(chance, SAMPLES, law.rough)
        if plan == "gorge":
            middle = 0.5 + chance(-0.1, 0.1)
            profile = profile * 0.35 + np.clip(np.abs(x - middle) * 2.1 - 0.1, 0.0, 1.0)
            tall *= 1.7
        top = base - tall * profile + 0.04
        foot = np.full(SAMPLES, high + 0.02)
        if plan == "sheets":
            foot = base + 0.02 + 0.02 * ridge(chance, SAMPLES, 0.4)
        found.append(Range(x, np.maximum(top, low - 0.05), np.maximum(foot, top + 0.01), depth))
    return found


def _sky(sheet: Sheet, law: Law, chance: Chance, sky: str, ranges: list[Range]) -> None:
    """What the farthest range stands before: a disc, hairlines that close towards the ridge, arcs, or slanting rain."""
    if sky == "bare":
        return
    low, high = law.margin, 1 - law.margin
    crest = ranges[0].x[int(ranges[0].top.argmin())]
    x, y = float(crest) + chance(-0.3, 0.3), low + chance(0.08, 0.3)
    if sky == "disc":
        radius = chance.one(0.06, 0.11, 0.19)
        x, y = min(max(x, low + radius), high - radius), max(y, low + radius)
        sheet.disc(x, y, radius, law.accent)
        if chance.happens(0.5):
            for k in range(1, 9):  # cut by lines of ground, wider below
                level = y - radius + 2 * radius * k / 9
                sheet.stroke([(x - radius, level), (x + radius, level)], 0.0012 * k, 0, BODY)
    elif sky == "ruled":
        level, step = low + 0.004, chance(0.008, 0.02)
        while level < 0.8:
            begin, end = low + (chance(0.0, 0.2) if chance.happens(0.3) else 0.0), high
            sheet.stroke([(begin, level), (end, level)], 0.0016, law.accent, 1.0)
            level += step
            step = max(0.005, step * chance(0.94, 1.04))
    elif sky == "arcs":
        step = chance(0.02, 0.05)
        for k in range(1, 40):
            turn = around(96, closed=True)
            path = np.stack([x + k * step * cosines(turn), y + k * step * sines(turn)], 1)
            sheet.stroke(path, 0.0014 if k % 4 else 0.006, law.accent, 1.0)
    elif sky == "rain":
        lean = chance(0.1, 0.35) * chance.sign()
        for _ in range(chance.whole(120, 320)):
            x, y, far = chance(low, high), chance(low, 0.75), chance(0.015, 0.09)
            sheet.stroke([(x, y), (x + lean * far, y + far)], [0.0006, chance(0.0012, 0.0034)], law.accent, 1.0)


def _body(sheet: Sheet, law: Law, one: Range, ink: int, plan: str) -> None:
    if plan == "sheets":  # ground below each: the next one rises from it
        low = np.stack([one.x, np.full(len(one.x), 1.1)], 1)
        sheet.shape(np.concatenate([np.stack([one.x, one.top], 1), low[::-1]]), 0)
    outline = np.concatenate([np.stack([one.x, one.top], 1), np.stack([one.x, one.foot], 1)[::-1]])
    sheet.shape(outline, ink, (0.0, 1.0))


def _slopes(sheet: Sheet, law: Law, chance: Chance, one: Range, light: int, dark: int) -> int:
    """Marks that fall from the ridge: on the lit side in one ink, on the other in another."""
    count = len(one.x)
    smooth = np.cumsum(np.pad(np.gradient(one.top, one.x), 8, mode="edge"))
    slope = (smooth[16:] - smooth[:-16]) / 16 if len(smooth) > count + 15 else np.gradient(one.top, one.x)
    slope = np.resize(slope, count)
    deep = one.foot - one.top
    if law.marks == "strata":
        return _strata(sheet, law, chance, one, light)
    marks = int((420 if law.marks == "facets" else 620) * law.dense * (0.35 + 0.65 * count / SAMPLES))
    wander = [chance.normal(3.0) for _ in range(48)]
    places = sorted(((chance() * chance() * 1.0, chance.whole(0, count - 1)) for _ in range(marks)), reverse=True)
    laid = 0
    for t, i in places:
        j = min(max(int(i + wander[int(t * 47)] * 4), 0), count - 1)
        side = slope[j] * law.lit > 0
        room = float(deep[i])
        if room < 0.02:
            continue
        y = float(one.top[i]) + t * room
        fall = min((0.02 + 0.06 * one.depth) * chance(0.5, 1.6) * law.steep, float(one.foot[i]) - y)
        if fall < 0.006:
            continue
        lean = (1 if slope[j] > 0 else -1) * fall * chance(0.3, 1.0)
        if law.marks == "facets":
            if not side and chance.happens(0.45):
                continue
            width = (0.005 + 0.012 * one.depth) * law.brush * chance(0.5, 1.5)
            ink = law.accent if one.depth > 0.8 and chance.happens(0.03) else light if side else dark
            shape = [0.0008, width, width * 0.8, 0.0008]
        else:
            width = (0.0012 if side else 0.0042) * law.brush * chance(0.7, 1.3)
            ink, shape = light, [width * 0.6, width, width, 0.0004]
        path = [(float(one.x[i]) + lean * s, y + fall * s) for s in (0.0, 0.3, 0.65, 1.0)]
        sheet.stroke(path, shape, ink, chance(0.6, 1.2))
        laid += 1
    return laid


def _strata(sheet: Sheet, law: Law, chance: Chance, one: Range, ink: int) -> int:
    """Lines that follow the ridge, further and further below it, and break off."""
    laid, depth, room = 0, 0.012, float((one.foot - one.top).max())
    while depth < room:
        begin = chance.whole(0, 10)
        while begin < len(one.x) - 6:
            end = min(len(one.x), begin + chance.whole(14, 90))
            run = np.arange(begin, end)
            keep = one.top[run] + depth < one.foot[run] - 0.004
            if keep.all():
                share = depth / room
                y = one.top[run] + depth + 0.01 * share
                width = (0.0014 + 0.006 * share) * law.brush
                sheet.stroke(np.stack([one.x[run], y], 1)[::2], width, ink, 1.0, round_ends=True)
                laid += 1
            begin = end + chance.whole(4, 16)
        depth += 0.008 + 0.012 * chance()
    return laid


def _foot(sheet: Sheet, law: Law, chance: Chance, one: Range, ink: int) -> None:
    """What is below the nearest range: nothing, its mirror, or lines of it."""
    base = float(one.foot.max())
    if law.foot == "cut" or base > 0.9:
        return
    left, right = float(one.x[0]), float(one.x[-1])
    for _ in range(int(60 * (right - left)) + 12):
        x = chance(left, right)
        i = min(len(one.x) - 1, int((x - left) / (right - left + 1e-9) * len(one.x)))
        tall = float(one.foot[i] - one.top[i]) * (0.5 if law.foot == "mirror" else 0.3)
        y = base + chance(0.008, 1.0) * chance(0.2, 1.0) * tall
        if y < 1 and tall > 0.01:
            half = chance(0.01, 0.06) * (1.2 - (y - base) / (tall + 1e-9))
            thick = 0.0065 if law.foot == "mirror" else 0.003
            sheet.stroke([(x - half, y), (x + half, y)], thick, ink, 0.9, round_ends=True)


MASSIF_1 = Voice("massif", "ranges, far to near, with their lit and their dark sides", law, compose)
MASSIF = replace(MASSIF_1, law=high_law, edition=2)
