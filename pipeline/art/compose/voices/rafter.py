"""Rafter: frames in which every beam rests on its neighbour and none ends at a corner, like hands that hold each other."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from pipeline.art.compose.chance import Chance, cos, sin
from pipeline.art.compose.marks import BODY, Composition, Sheet
from pipeline.art.compose.voice import Voice, number
from pipeline.base.records import Attribute

Point = tuple[float, float]
Line = tuple[Point, Point, float]  # its middle, the unit vector along it, half its length
Mesh = tuple[list[Point], list[tuple[int, int]]]  # corners, and the pairs that an edge joins


@dataclass(frozen=True)
class Law:
    margin: float
    swirl: float  # how far a beam is turned about its middle, in radians
    width: float
    filled: float  # share of the openings between beams that are
    over: float  # how far a beam reaches beyond the one that it rests on, in widths
    inks: tuple[int, ...]
    panes: tuple[int, ...]
    line: int
    accent: int
    grain: str
    uneven: float
    cropped: float  # share of tokens whose frame goes on beyond the picture
    plans: tuple[str, ...]
    whole: bool = False  # never so near that only a few beams are seen


def law(chance: Chance) -> Law:
    inks = chance.shuffled((1, 2, 3))
    dark = chance.happens(0.6)  # beams in the contrast, panes in the other inks; or the other way round
    return Law(
        margin=chance.one(0.06, 0.08),
        swirl=chance(0.2, 0.42) * chance.sign(),
        width=chance.one(0.24, 0.32, 0.42),
        filled=chance.one(0.55, 0.8, 1.0),
        over=chance.one(0.25, 0.5, 0.9),
        inks=(4,) if dark else chance.one((inks[0],), (inks[0], inks[0], inks[1])),
        panes=(inks[0], inks[1], inks[0], 0) if dark else (inks[1], 4, 4, 0),
        line=0,
        accent=inks[2],
        grain=chance.one("edge", "cords", "plain", "plain"),
        uneven=chance.one(0.0, 0.35, 0.7),
        cropped=chance.one(0.5, 0.8, 1.0),
        plans=tuple(chance.shuffled(("square", "dome", "triangle"))[:2]),
    )


def whole_law(chance: Chance) -> Law:
    """The second edition's: frames that are seen as such, with most of their openings filled."""
    found = law(chance)
    return replace(found, whole=True, filled=max(found.filled, 0.7), cropped=min(found.cropped, 0.8))


@dataclass(frozen=True)
class Beam:
    begin: Point
    end: Point
    width: float
    ink: int


def compose(law: Law, chance: Chance) -> Composition:
    sheet, plan = Sheet(), chance.of(law.plans)
    cropped = plan != "dome" and chance.happens(law.cropped)
    corners, edges = _mesh(law, chance, plan, 0.25 if cropped else 0.0)
    edges = _thinned(law, chance, corners, edges)
    swirl = law.swirl * chance(0.75, 1.25) * (1 if chance.happens(0.8) else -1)
    lines = _lines(corners, edges, swirl)
    panes = _panes(sheet, law, chance, corners, edges, lines)
    beams, rests = _beams(law, chance, corners, edges, lines, swirl)
    for beam in beams:
        _beam(sheet, law, beam, 0.0, 1.0)
    for upper, at, below in rests:  # each end once more, above the beam that carries it
        far = _far(beams[upper])
        part = min(0.5, (law.over + 0.9) * beams[upper].width + beams[below].width) / far
        _beam(sheet, law, beams[upper], *((0.0, part) if at == 0 else (1 - part, 1.0)))
    if cropped:
        sheet.frame(law.margin)
    rare = sum(1 for beam in beams if beam.ink == law.accent)
    return sheet.composition(
        [
            number("Beams", len(beams)),
            number("Rests", len(rests)),
            number("Panes", panes),
            number("Accents", rare),
            Attribute("Frame", plan.capitalize()),
            Attribute("Turn", "Left" if swirl < 0 else "Right"),
        ]
    )


# ── meshes ───────────────────────────────────────────────────────────────────────────────────────────────────


def _mesh(law: Law, chance: Chance, plan: str, beyond: float) -> Mesh:
    low, high = law.margin + 0.03 - beyond, 1 - law.margin - 0.03 + beyond
    if plan == "dome":
        return _dome(chance, (high - low) / 2)
    near, far = ((3, 4, 5, 7), (3, 4, 5, 7)) if law.whole else ((3, 4, 5, 7), (2, 3, 4, 6))
    count = chance.one(*(far if beyond else near))
    tilt, squash = chance.one(0.0, 0.0, math.pi / 4, chance(0.0, 0.8)), chance(0.75, 1.2)
    step = (1 - 2 * law.margin) / count
    points, edges = (_square if plan == "square" else _triangle)(count * 3)
    c, s = cos(tilt), sin(tilt)
    placed = []
    for x, y in points:
        x, y = x * step, y * step * squash
        wobble = step * 0.12 * (1 if chance.happens(0.5) else 0)
        placed.append(
            (0.5 + c * x - s * y + chance.normal(wobble * 0.4), 0.5 + s * x + c * y + chance.normal(wobble * 0.4))
        )
    inside = [low <= x <= high and low <= y <= high for x, y in placed]
    return placed, [(a, b) for a, b in edges if inside[a] and inside[b]]


def _joined(points: list[Point], reach: float) -> Mesh:
    """All pairs that are one step apart."""
    pairs = []
    for i, (x, y) in enumerate(points):
        for j in range(i):
            dx, dy = points[j][0] - x, points[j][1] - y
            if dx * dx + dy * dy < reach * reach:
                pairs.append((j, i))
    return points, pairs


def _square(count: int) -> Mesh:
    half = (count - 1) / 2
    return _joined([(i - half, j - half) for j in range(count) for i in range(count)], 1.1)


def _triangle(count: int) -> Mesh:
    half = (count - 1) / 2
    return _joined([(i - half + (j % 2) / 2, (j - half) * 0.8660254) for j in range(count) for i in range(count)], 1.1)


def _dome(chance: Chance, radius: float) -> Mesh:
    """Rings about a middle, and spokes."""
    rings, spokes, turn = chance.whole(2, 5), chance.whole(6, 14), chance(0.0, 6.28)
    points, edges = list[Point](), list[tuple[int, int]]()
    previous: list[int] = []
    for ring in range(1, rings + 1):
        far = radius * (ring + 0.35) / (rings + 0.35)
        now = list(range(len(points), len(points) + spokes))
        for k in range(spokes):
            angle = turn + 2 * math.pi * k / spokes
            points.append((0.5 + far * cos(angle), 0.5 + far * sin(angle)))
        edges += [(now[k], now[(k + 1) % spokes]) for k in range(spokes)]
        edges += zip(previous, now, strict=False)
        previous = now
    return points, edges


def _thinned(law: Law, chance: Chance, corners: list[Point], edges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Leave out a region, as a designed emptiness."""
    hole = (
        (chance(0.15, 0.85), chance(0.15, 0.85), chance(0.12, 0.2 if law.whole else 0.3))
        if len(edges) > (100 if law.whole else 40) and chance.happens(0.3)
        else (0.0, 0.0, 0.0)
    )
    kept = []
    for a, b in edges:
        x, y = (corners[a][0] + corners[b][0]) / 2 - hole[0], (corners[a][1] + corners[b][1]) / 2 - hole[1]
        if x * x + y * y > hole[2] * hole[2]:
            kept.append((a, b))
    return kept or edges


# ── beams ────────────────────────────────────────────────────────────────────────────────────────────────────


def _lines(corners: list[Point], edges: list[tuple[int, int]], swirl: float) -> list[Line]:
    """Every edge, turned about its middle."""
    c, s = cos(swirl), sin(swirl)
    lines = []
    for a, b in edges:
        (x0, y0), (x1, y1) = corners[a], corners[b]
        dx, dy = x1 - x0, y1 - y0
        far = math.sqrt(dx * dx + dy * dy)
        lines.append((((x0 + x1) / 2, (y0 + y1) / 2), ((c * dx - s * dy) / far, (s * dx + c * dy) / far), far / 2))
    return lines


def _panes(
    sheet: Sheet, law: Law, chance: Chance, corners: list[Point], edges: list[tuple[int, int]], lines: list[Line]
) -> int:
    """Fill openings between beams: those of the mesh, and the small ones that the swirl leaves at its corners."""
    round_ = _round(corners, edges)
    at = {edge: i for i, edge in enumerate(edges)}
    following: dict[tuple[int, int], tuple[int, int]] = {}  # half an edge -> the next of the same face
    for corner, sides in round_.items():
        ends = [edges[i][1] if edges[i][0] == corner else edges[i][0] for i in sides]
        for k, end in enumerate(ends):
            following[(end, corner)] = (corner, ends[k - 1])
    drawn, seen = 0, set[tuple[int, int]]()
    for half in sorted(following):
        face = list[tuple[int, int]]()
        while half not in seen:
            seen.add(half)
            face.append(half)
            half = following[half]
        if 3 <= len(face) <= 6 and chance.happens(law.filled):
            chain = [at.get(one, at.get(one[::-1], 0)) for one in face]
            drawn += _pane(sheet, chance, [lines[i] for i in chain], chance.of(law.panes))
    for sides in round_.values():
        if len(sides) > 2 and chance.happens(law.filled):
            drawn += _pane(sheet, chance, [lines[i] for i in sides], law.accent)
    return drawn


def _pane(sheet: Sheet, chance: Chance, around: list[Line], ink: int) -> int:
    """The polygon that these lines enclose, one after the other."""
    points = []
    for one, other in zip(around, around[1:] + around[:1], strict=True):
        far = _meeting(one, other)
        if far is None or abs(far) > one[2] * 1.6:
            return 0
        (x, y), (ux, uy), _ = one
        points.append((x + ux * far, y + uy * far))
    sheet.shape(points, ink, around[0][1])
    return 1


def _round(corners: list[Point], edges: list[tuple[int, int]]) -> dict[int, list[int]]:
    """The edges that meet at each corner, in turn."""
    found: dict[int, list[int]] = {}
    for i, (a, b) in enumerate(edges):
        found.setdefault(a, []).append(i)
        found.setdefault(b, []).append(i)
    return {corner: sorted(sides, key=lambda i: _heading(corners, edges[i], corner)) for corner, sides in found.items()}


def _beams(
    law: Law, chance: Chance, corners: list[Point], edges: list[tuple[int, int]], lines: list[Line], swirl: float
) -> tuple[list[Beam], list[tuple[int, int, int]]]:
    """Every line as a beam, cut where it rests on the next one round each corner."""
    average = sum(half for _, _, half in lines) / len(lines)
    slab = chance.whole(0, len(lines) - 1)
    widths = [
        average * law.width * (1 - law.uneven * chance()) * (1.5 if i == slab else 1.0) for i in range(len(lines))
    ]
    reach = [[-half, half] for _, _, half in lines]
    rests: list[tuple[int, int, int]] = []
    for corner, sides in _round(corners, edges).items():
        for k, i in enumerate(sides if len(sides) > 1 else []):
            following = sides[(k + (1 if swirl > 0 else -1)) % len(sides)]
            at = 0 if edges[i][0] == corner else 1
            far = _meeting(lines[i], lines[following])
            if far is not None and 0.1 < abs(far) / lines[i][2] < 1.7 and (far < 0) == (at == 0):
                reach[i][at] = far + (law.over * widths[i] + widths[following] / 2) * (-1 if at == 0 else 1)
                rests.append((i, at, following))
    beams = []
    rare = set(chance.shuffled(range(len(lines)))[: max(1, len(lines) // 14)])
    for i, ((x, y), (ux, uy), _) in enumerate(lines):
        low, high = reach[i]
        ink = law.accent if i in rare else chance.of(law.inks)
        beams.append(Beam((x + ux * low, y + uy * low), (x + ux * high, y + uy * high), widths[i], ink))
    return beams, rests


def _heading(corners: list[Point], edge: tuple[int, int], corner: int) -> float:
    a, b = edge
    x0, y0 = corners[corner]
    x1, y1 = corners[b if a == corner else a]
    return round(math.atan2(y1 - y0, x1 - x0) * 2.0**20)


def _meeting(one: Line, other: Line) -> float | None:
    """How far along the one line the other crosses it."""
    (x0, y0), (ux, uy), _ = one
    (x1, y1), (vx, vy), _ = other
    across = ux * vy - uy * vx
    return None if abs(across) < 0.08 else ((x1 - x0) * vy - (y1 - y0) * vx) / across


def _far(beam: Beam) -> float:
    dx, dy = beam.end[0] - beam.begin[0], beam.end[1] - beam.begin[1]
    return math.sqrt(dx * dx + dy * dy) + 1e-9


def _beam(sheet: Sheet, law: Law, beam: Beam, begin: float, end: float) -> None:
    """A part of a beam, with the gap of ground that sets it off from what it lies on."""
    (x0, y0), (x1, y1) = beam.begin, beam.end
    dx, dy, far = x1 - x0, y1 - y0, _far(beam)
    nx, ny = -dy / far, dx / far
    gap = 0.005 + beam.width * 0.05

    def along(share: float, side: float = 0.0) -> Point:
        return x0 + dx * share + nx * side, y0 + dy * share + ny * side

    slack = gap / far
    halo = (begin - slack if begin == 0 else begin, end + slack if end == 1 else end)
    sheet.stroke([along(halo[0]), along(halo[1])], beam.width + gap * 2, 0, BODY)
    ends = (begin, end)
    sheet.stroke([along(e) for e in ends], beam.width, beam.ink, BODY)
    w = beam.width
    if law.grain == "edge":
        sheet.stroke([along(e, w * 0.3) for e in ends], w * 0.12, law.line, 1.0)
    elif law.grain == "cords":
        for side in (-0.25, 0.0, 0.25):
            sheet.stroke([along(e, w * side) for e in ends], w * 0.07, law.line, 1.0)


RAFTER_1 = Voice("rafter", "beams in which each rests on the next, all round", law, compose)
RAFTER = replace(RAFTER_1, law=whole_law, edition=2)
