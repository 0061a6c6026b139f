"""Fault: ground laid down layer by layer, bent, worn away, broken along faults, and laid down again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.art.compose.chance import Chance, sines
from pipeline.art.compose.marks import Composition, Points, Sheet, on_grid
from pipeline.art.compose.voice import Voice, number
from pipeline.base.records import Attribute

WIDE = 0.25  # by which layers reach beyond the canvas: a fault may move them in
SAMPLES = 181
MOST_EVENTS = 140


@dataclass(frozen=True)
class Law:
    margin: float
    bend: float
    dip: float  # of faults: how far they lean
    throw: float
    textures: tuple[str, ...]
    inks: tuple[int, ...]
    thin: float
    accent: int
    dikes: float
    plans: tuple[str, ...]


def law(chance: Chance) -> Law:
    inks = chance.shuffled((1, 2, 3, 4))
    return Law(
        margin=chance.one(0.055, 0.07, 0.085),
        bend=chance.one(0.03, 0.07, 0.12),
        dip=chance.one(0.15, 0.4, 0.8),
        throw=chance.one(0.06, 0.11, 0.17),
        textures=tuple(chance.shuffled(("plain", "ruled", "dashed", "pebbles", "bricks", "fine"))[:4]),
        inks=(*inks[:3], inks[0], 0),
        thin=chance.one(0.25, 0.45),
        accent=inks[3],
        dikes=chance.one(0.0, 0.35, 0.7),
        plans=tuple(chance.shuffled(("quiet", "broken", "folded", "basin", "slope"))[:3]),
    )


@dataclass(frozen=True)
class Layer:
    top: Points  # (N, 2), from left to right
    ink: int
    texture: str
    line: int  # ink of its texture
    pitch: float


def compose(law: Law, chance: Chance) -> Composition:
    sheet, plan = Sheet(), chance.of(law.plans)
    layers, faults, worn = _history(law, chance, plan)
    frame = (law.margin, 1 - law.margin)
    for layer in layers:  # the youngest first: what is older lies below it and covers its foot
        _lay(sheet, chance, layer, frame)
    dikes = int(chance.happens(law.dikes))
    if dikes:
        sheet.shape(clipped(_dike(law, chance), frame), law.accent, (0.0, 1.0))
    return sheet.composition(
        [
            number("Layers", len(layers)),
            number("Faults", faults),
            number("Unconformities", worn),
            number("Dikes", dikes),
            Attribute("Plan", plan.capitalize()),
        ]
    )


# plan -> how often each kind of event comes
EVENTS = {
    "quiet": (("lay", 8.0), ("bend", 1.0), ("wear", 1.0), ("break", 0.6)),
    "broken": (("lay", 6.0), ("bend", 0.5), ("wear", 1.0), ("break", 3.0)),
    "folded": (("lay", 6.0), ("bend", 3.0), ("wear", 1.3), ("break", 0.5)),
    "basin": (("lay", 6.0), ("bend", 1.5), ("wear", 2.2), ("break", 0.8)),
    "slope": (("lay", 6.0), ("tilt", 1.6), ("wear", 1.0), ("break", 1.0)),
}


def _history(law: Law, chance: Chance, plan: str) -> tuple[list[Layer], int, int]:
    """Everything that happened, from the first layer on: the layers as they lie now, the youngest first."""
    x = np.linspace(-WIDE, 1 + WIDE, SAMPLES)
    surface = np.stack([x, np.full(SAMPLES, 1.15)], 1)
    sky = chance(0.0, 0.5)
    layers: list[Layer] = []
    faults = worn = 0
    events, weights = [event for event, _ in EVENTS[plan]], [weight for _, weight in EVENTS[plan]]
    for _ in range(MOST_EVENTS):
        event = chance.weighted(events, weights) if layers else "lay"
        if event == "lay":
            surface = _risen(law, chance, surface)
            layers.append(_layer(law, chance, surface, layers[-1].ink if layers else 0))
        elif event == "break" and faults < 5:
            fault = (chance(0.1, 0.9), law.dip * chance(0.5, 1.4) * chance.sign(), law.throw * chance(0.4, 1.2))
            layers = [_moved(layer, _broken(layer.top, *fault)) for layer in layers]
            surface = _levelled(_broken(surface, *fault), x)
            faults += 1
        elif event == "wear" and len(layers) > 2:
            cut = _cut(chance, surface)
            layers = [_moved(layer, _worn(layer.top, cut)) for layer in layers]
            surface = cut
            worn += 1
        elif event in ("bend", "tilt"):
            waves, phase = chance(1.5, 5.0), chance(0.0, 6.28)
            much = law.bend * chance(0.4, 1.2)
            rise = (chance(-0.3, 0.3), 0.0) if event == "tilt" else (0.0, much)
            layers = [_moved(layer, _bent(layer.top, rise, waves, phase)) for layer in layers]
            surface = _bent(surface, rise, waves, phase)
        if event == "lay" and surface[SAMPLES // 4 : -SAMPLES // 4, 1].max() < sky + 0.16:
            break
    return layers[::-1], faults, worn


def _layer(law: Law, chance: Chance, top: Points, below: int) -> Layer:
    ink = chance.of([one for one in law.inks if one != below])
    if chance.happens(0.04):
        ink = law.accent
    line = chance.of([one for one in (0, *law.inks[:3], law.accent) if one != ink])
    return Layer(top, ink, chance.of(law.textures), line, chance(0.009, 0.02))


def _moved(layer: Layer, top: Points) -> Layer:
    return Layer(top, layer.ink, layer.texture, layer.line, layer.pitch)


def _risen(law: Law, chance: Chance, surface: Points) -> Points:
    """The surface after a layer more: some layers drape over it, some fill its low places."""
    thick = chance(0.008, 0.03) if chance.happens(law.thin) else chance(0.035, 0.13)
    x, y = surface[:, 0], surface[:, 1]
    wobble = sines(x * chance(3.0, 14.0) + chance(0.0, 6.28)) * thick * 0.18
    draped = y - thick + wobble
    if chance.happens(0.35):
        level = float(np.sort(y)[SAMPLES // 2]) - thick
        draped = np.minimum(draped + thick * 0.7, np.maximum(level + wobble * 0.4, draped - 0.05))
    return np.stack([x, draped], 1)


def _cut(chance: Chance, surface: Points) -> Points:
    """A valley, or a plain, worn into the surface."""
    x, y = surface[:, 0], surface[:, 1]
    middle, wide, deep = chance(0.1, 0.9), chance(0.12, 0.45), chance(0.06, 0.2)
    away = (x - middle) / wide
    valley = y + deep / (1 + away * away * away * away) + sines(x * 17 + middle * 9) * 0.006
    if chance.happens(0.4):
        valley = np.maximum(valley, float(np.sort(y)[SAMPLES // 2]))
    return np.stack([x, valley], 1)


def _worn(top: Points, cut: Points) -> Points:
    """A boundary, lowered to the cut where it stood above it."""
    below = np.interp(top[:, 0], cut[:, 0], cut[:, 1])
    return on_grid(np.stack([top[:, 0], np.maximum(top[:, 1], below)], 1))


def _bent(top: Points, rise: tuple[float, float], waves: float, phase: float) -> Points:
    tilt, much = rise
    return np.stack([top[:, 0], top[:, 1] + tilt * (top[:, 0] - 0.5) + much * sines(top[:, 0] * waves + phase)], 1)


def _broken(top: Points, where: float, lean: float, throw: float) -> Points:
    """A boundary cut by a leaning fault: what lies right of it slides down along it."""
    right = top[:, 0] - where - lean * (top[:, 1] - 0.6)  # positive right of the fault
    crossing = np.nonzero((right[:-1] < 0) & (right[1:] >= 0))[0]
    if not len(crossing):
        return top
    i = int(crossing[0])
    share = right[i] / (right[i] - right[i + 1])
    at = top[i] + (top[i + 1] - top[i]) * share
    slide = np.array([lean * throw, throw])
    return np.concatenate([top[: i + 1], [at], [at + slide], top[i + 1 :] + slide])


def _levelled(surface: Points, x: NDArray[np.float64]) -> Points:
    """A broken surface as one height for each x: the scarp weathers at once."""
    order = np.argsort(surface[:, 0], kind="stable")
    return on_grid(np.stack([x, np.interp(x, surface[order, 0], surface[order, 1])], 1))


def _dike(law: Law, chance: Chance) -> Points:
    """A vein that comes up from below and ends in a point."""
    x, lean, wide, top = chance(0.15, 0.85), chance(-0.25, 0.25), chance(0.012, 0.05), chance(0.35, 0.7)
    t = np.linspace(0.0, 1.0, 25)
    y = 1.1 + (top - 1.1) * t
    middle = x + lean * t + sines(t * 9 + x * 20) * 0.012
    half = wide * np.sqrt(1 - t * t * 0.999) / 2 * (1 + 0.3 * sines(t * 23))
    return np.concatenate([np.stack([middle - half, y], 1), np.stack([middle + half, y], 1)[::-1]])


# ── drawing ──────────────────────────────────────────────────────────────────────────────────────────────────


def _lay(sheet: Sheet, chance: Chance, layer: Layer, frame: tuple[float, float]) -> None:
    """A layer from its top down to the frame, and its texture: older layers will cover what is too deep."""
    (x0, _), (x1, _) = layer.top[0], layer.top[-1]
    whole = clipped(np.concatenate([layer.top, [(x1, 1.3), (x0, 1.3)]]), frame)
    if len(whole) < 3:
        return
    sheet.shape(whole, layer.ink)
    depths = [layer.pitch * (0.6 + k) for k in range(int(0.16 / layer.pitch))]
    if layer.texture == "plain":
        return
    if layer.texture == "pebbles":
        _pebbles(sheet, chance, layer, frame)
        return
    for k, depth in enumerate(depths):
        line = layer.top + (0.0, depth)
        thick = layer.pitch * {"ruled": 0.34, "fine": 0.12, "dashed": 0.3, "bricks": 0.12}[layer.texture]
        for path in inside(line, frame):
            if layer.texture == "dashed":
                _dashes(sheet, path, thick, layer, k)
            else:
                sheet.stroke(path, thick, layer.line, 1.0)
            if layer.texture == "bricks":
                for point in path[(k % 2) * 3 :: 7]:
                    sheet.line(point, (point[0], min(point[1] + layer.pitch, frame[1])), thick, layer.line)


def _dashes(sheet: Sheet, path: Points, thick: float, layer: Layer, row: int) -> None:
    for i in range((row * 2) % 5, len(path) - 2, 5):
        sheet.stroke(path[i : i + 3], thick, layer.line, 1.0, round_ends=True)


def _pebbles(sheet: Sheet, chance: Chance, layer: Layer, frame: tuple[float, float]) -> None:
    low, high = frame
    for x, y in layer.top[::1]:
        for _ in range(2):
            size = layer.pitch * chance(0.1, 0.36)
            px, py = x + chance(-0.006, 0.006), y + size + 0.004 + chance(0.0, 1.0) * chance(0.0, 1.0) * 0.12
            if low + size < px < high - size and low + size < py < high - size:
                sheet.disc(px, py, size, layer.line, 0.75)


def inside(path: Points, frame: tuple[float, float]) -> list[Points]:
    """The parts of a line within the frame; they end on its sides."""
    low, high = frame
    x = np.clip(path[:, 0], low, high)
    kept = (path[:, 0] > low) & (path[:, 0] < high) & (path[:, 1] > low) & (path[:, 1] < high)
    wider = kept | np.concatenate([kept[1:], [False]]) | np.concatenate([[False], kept[:-1]])
    wider &= (path[:, 1] > low) & (path[:, 1] < high)
    held = np.stack([x, path[:, 1]], 1)
    step = np.diff(np.concatenate([[0], wider.astype(np.int8), [0]]))
    runs = zip(np.nonzero(step == 1)[0].tolist(), np.nonzero(step == -1)[0].tolist(), strict=True)
    return [held[begin:end] for begin, end in runs if end - begin > 1]


def clipped(polygon: Points, frame: tuple[float, float]) -> Points:
    """A polygon, cut to the frame: Sutherland and Hodgman (1974), one side after the other."""
    low, high = frame
    points = [tuple(point) for point in polygon.tolist()]
    for axis, bound, sign in ((0, low, 1), (0, high, -1), (1, low, 1), (1, high, -1)):
        kept: list[tuple[float, ...]] = []
        for one, other in zip(points, points[1:] + points[:1], strict=True):
            a, b = (one[axis] - bound) * sign, (other[axis] - bound) * sign
            if a >= 0:
                kept.append(one)
            if (a >= 0) != (b >= 0):
                share = a / (a - b)
                kept.append(tuple(p + (q - p) * share for p, q in zip(one, other, strict=True)))
        points = kept
        if not points:
            break
    return np.array(points, np.float64).reshape(-1, 2)


FAULT = Voice("fault", "ground laid down, bent, worn away and broken", law, compose)
