"""Eleven families of procedural pictures: the training data, drawn by this file and by nothing else.

A picture is painted in *inks*, not in colours: five weights that sum to one at every point, and a shade. Ink 0 is the
ground, 1 to 3 are the middle inks, 4 is the contrast. A palette turns inks into colours afterwards.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

INKS = 5
GROUND, CONTRAST = 0, 4
PLANES = INKS + 1  # five weights and one shade
MAX_SHADE = 0.75

Rng = np.random.Generator
Picture = tuple[Tensor, Tensor]  # ink per point, (H, W) int64, or weights, (5, H, W); and shade, (H, W)


def paint(family: int, seed: int, side: int) -> Tensor:
    """Picture number `seed` of a family: (6, side, side), drawn at twice the size and averaged."""
    axis = (torch.arange(2 * side) + 0.5) / side - 1
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    ink, shade = PAINTERS[family](np.random.default_rng([family, seed]), x, y)
    weights = F.one_hot(ink, INKS).movedim(-1, 0).float() if ink.dim() == 2 else ink
    planes = torch.cat([weights, shade.clamp(-MAX_SHADE, MAX_SHADE)[None]])  # (6, 2 side, 2 side)
    return F.avg_pool2d(planes[None], 2)[0]


# ── the families ─────────────────────────────────────────────────────────────────────────────────────────────


def flow(rng: Rng, x: Tensor, y: Tensor) -> Picture:
    """Contour bands of a smooth height field."""
    height = smooth(rng, x, y, rng.uniform(0.35, 0.9)) * rng.uniform(0.25, 0.5)
    height = height + tilt(x, y, rng.uniform(0, math.tau)) * rng.uniform(0.2, 1.0)
    level = height * rng.uniform(5, 14)
    table = torch.from_numpy(rng.integers(0, 4, 512))
    if rng.random() < 0.4:
        table = table * torch.from_numpy(rng.integers(0, 2, 512))  # half the bands are ground
    ink, phase = table[(level.floor().long() + 256).clamp(0, 511)], level - level.floor()
    if rng.random() < 0.6:
        ink = torch.where(phase < rng.uniform(0.06, 0.3), CONTRAST, ink)
    return ink, (phase - 0.5) * pick(rng, 0.0, 0.3, 0.6)


def hills(rng: Rng, x: Tensor, y: Tensor) -> Picture:
    """Ridges in mist before a sky with a sun."""
    ink, shade = torch.zeros_like(x, dtype=torch.long), -y * 0.35
    across, down, radius = rng.uniform(-0.6, 0.6), rng.uniform(-0.7, -0.15), rng.uniform(0.12, 0.4)
    from_sun = (x - across).hypot(y - down)
    sun = from_sun < radius
    if rng.random() < 0.3:
        sun &= ~((((y - down) / radius * 6).floor() % 2 == 0) & (y > down))  # the low sun, in slices
    ink[sun] = int(pick(rng, 3, 3, CONTRAST))
    if rng.random() < 0.35:
        halo = ((from_sun - radius) / rng.uniform(0.06, 0.15)).floor()
        shade = torch.where(from_sun > radius, shade + (halo % 2 - 0.5) * 0.25, shade)
    count, top, rough = int(rng.integers(3, 8)), rng.uniform(-0.25, 0.2), rng.uniform(0.25, 0.6)
    for ridge in range(count):
        line = skyline(rng, x[0], rough) * rng.uniform(0.08, 0.2) + top + ridge / count * (1 - top) * 0.9
        below = y > line
        nearest = ridge == count - 1
        ink = torch.where(below, int(pick(rng, CONTRAST, CONTRAST, 2)) if nearest else 1 + ridge * 3 // count, ink)
        shade = torch.where(below, 0.15 - (y - line) * rng.uniform(0.2, 0.9), shade)
    return ink, shade.clamp(-0.6, 0.6)


def bauhaus(rng: Rng, x: Tensor, y: Tensor) -> Picture:
    """Quarter discs, discs, rings, triangles and bars on a square grid."""
    n = int(pick(rng, 2, 3, 4, 4, 5, 6))
    column, row, u, v = lattice(x, y, n)
    turn = torch.from_numpy(rng.integers(0, 4, (n, n)))[row, column]
    u, v = quarter_turn(turn, u, v)
    near, centre, far = u.hypot(v), (u - 0.5).hypot(v - 0.5), (1 - u).hypot(1 - v)
    motifs = torch.stack(
        [
            near < 1,
            (near < 1) & (near > 0.5),
            centre < 0.4,
            (centre < 0.42) & (centre > 0.2),
            u + v < 1,
            (u - 0.5).hypot(v) < 0.5,
            (u * 4).long() % 2 == 0,
            (near < 1) & (far < 1),
        ]
    )
    choice = rng.integers(0, 8, (n, n))
    if rng.random() < 0.7:  # most sheets keep to two motifs
        often = rng.random((n, n)) < 0.7
        usual, other = rng.integers(0, 8, 2)
        choice = np.where(often, usual, other)
    inside = motifs.gather(0, torch.from_numpy(choice)[row, column][None])[0]
    paper = rng.integers(0, INKS, (n, n))
    figure = (paper + rng.integers(1, INKS, (n, n))) % INKS
    return torch.where(inside, torch.from_numpy(figure)[row, column], torch.from_numpy(paper)[row, column]), 0 * x


def glass(rng: Rng, x: Tensor, y: Tensor) -> Picture:
    """Leaded glass: Voronoi panes between cames of even width."""
    n = int(rng.integers(3, 9))
    if rng.random() < 0.3:
        bend = rng.uniform(0.03, 0.1)
        x, y = x + bend * smooth(rng, x, y, 0.8), y + bend * smooth(rng, x, y, 0.8)
    nearest, came, pane = voronoi(rng, x, y, n, rng.uniform(0.4, 0.95))
    ink = torch.from_numpy(rng.integers(0, 4, 1024))[pane]
    if rng.random() < 0.85:
        ink = torch.where(came < rng.uniform(0.03, 0.1), CONTRAST, ink)
    glow = torch.from_numpy(rng.uniform(-0.25, 0.25, 1024)).float()[pane] + (0.25 - nearest * 0.5) * pick(
        rng, 0, 0.6, 1
    )
    return ink, glow.clamp(-0.6, 0.6)


def moire(rng: Rng, x: Tensor, y: Tensor) -> Picture:
    """Two or three wave trains, laid over each other."""
    trains = [(wave_train(rng, x, y).floor() % 2).long() for _ in range(int(rng.integers(1, 4)))]
    paper = int(pick(rng, GROUND, GROUND, 1, 2, 3))
    if rng.random() < 0.6:
        return torch.where(sum(trains[1:], trains[0]) % 2 == 1, CONTRAST, paper), 0 * x
    table = torch.from_numpy(rng.integers(0, INKS, 8))
    table[0], table[1] = GROUND, CONTRAST
    return table[sum(train << place for place, train in enumerate(trains))], 0 * x


def marble(rng: Rng, x: Tensor, y: Tensor) -> Picture:
    """Ink floated on water: a warped turbulence that runs softly through all five inks."""
    sway, swell, bend = smooth(rng, x, y, 0.6), smooth(rng, x, y, 0.6), rng.uniform(0.1, 0.35)
    x, y = x + bend * sway, y + bend * swell
    depth = torch.zeros_like(x)
    for octave in range(5):
        depth += smooth(rng, x, y, 0.6 * 2**octave) * 0.55**octave
    depth = torch.sin(depth * rng.uniform(1.5, 3.5)) * 1.5 if rng.random() < 0.6 else depth
    place = (depth * 1.4 + 2).clamp(0, INKS - 1)
    weights = (1 - (place - torch.arange(INKS)[:, None, None]).abs()).clamp_min(0)  # (5, H, W)
    return weights, (sway * 0.2).clamp(-0.4, 0.4) * pick(rng, 0, 1, 1)


def kandinsky(rng: Rng, x: Tensor, y: Tensor) -> Picture:
    """Discs, rings, lines, boxes, triangles and half discs, painted one over another."""
    ink, shade = torch.zeros_like(x, dtype=torch.long), 0 * x
    if rng.random() < 0.4:
        ink = torch.where(tilt(x, y, rng.uniform(0, math.tau)) > rng.uniform(-0.3, 0.5), int(rng.integers(1, 4)), ink)
    for layer in range(int(rng.integers(6, 16))):
        size, angle = rng.uniform(0.12, 0.6) * (1 - layer * 0.04), rng.uniform(0, math.tau)
        dx, dy = x - rng.uniform(-0.9, 0.9), y - rng.uniform(-0.9, 0.9)
        u, v = tilt(dx, dy, angle) / size, tilt(dx, dy, angle + math.pi / 2) / size
        inside = shape(int(rng.integers(0, 6)), u, v, rng.uniform(0.08, 0.8))
        ink = torch.where(inside, int(rng.integers(1, INKS)), ink)
        shade = torch.where(inside, -v * pick(rng, 0, 0, 0.3), shade)
    return ink, shade


def truchet(rng: Rng, x: Tensor, y: Tensor) -> Picture:
    """Quarter arcs on square tiles that always meet: Truchet's tiling in Smith's round form (1987)."""
    n = int(pick(rng, 3, 4, 5, 6, 6, 8))
    column, row, u, v = lattice(x, y, n)
    flipped = torch.from_numpy(rng.random((n, n)) < pick(rng, 0.5, 0.5, 0.8))[row, column]
    u = torch.where(flipped, 1 - u, u)
    arc = torch.minimum(u.hypot(v), (1 - u).hypot(1 - v))
    rim, width = (arc - 0.5).abs(), rng.uniform(0.08, 0.2)
    inside = (arc < 0.5) ^ ((column + row) % 2 == 0) ^ flipped
    one, two, line = INK_TRIOS[int(rng.integers(len(INK_TRIOS)))]
    base, kind = (
        torch.where(inside, one, two),
        int(rng.integers(0 if one != two else 1, 4)),
    )  # two equal inks need a line
    if kind == 3:
        ink = torch.where(((rim / (width * 0.55)).floor() % 2 == 0) & (rim < width * 2.2), line, one)
    else:
        ink = base if kind == 0 else torch.where(rim < width, line, base)
    return torch.where(rim < width * 0.45, int(rng.integers(1, 4)), ink) if kind == 2 else ink, 0 * x


def mandala(rng: Rng, x: Tensor, y: Tensor) -> Picture:
    """Rings of petals about the middle, with beads between them."""
    n = int(pick(rng, 4, 5, 6, 6, 8, 8, 10, 12))
    r, turn = x.hypot(y), torch.atan2(y, x) / math.tau + rng.uniform(0, 1)
    ink, count = torch.zeros_like(x, dtype=torch.long), int(rng.integers(5, 9))
    shade = (0.4 - r) * pick(rng, 0, 0.35)
    for ring in range(count):
        reach, depth = 0.98 * (1 - ring / count) + rng.uniform(-0.02, 0.04), rng.uniform(0.05, 0.3) * (1 - ring / count)
        fold = (((turn * n * int(pick(rng, 1, 1, 2)) + pick(rng, 0, 0.5)) % 1) - 0.5).abs() * 2  # 0 on a petal's axis
        inside = r < reach - depth * fold ** float(pick(rng, 0.7, 1, 2, 3))
        ink = torch.where(inside, int(rng.integers(0, INKS)), ink)
    for _ in range(int(rng.integers(0, 3))):
        bead, middle = rng.uniform(0.03, 0.09), rng.uniform(0.25, 0.9)
        fold = ((turn * n + pick(rng, 0, 0.5)) % 1 - 0.5) * math.tau / n
        inside = (r * fold.cos() - middle).hypot(r * fold.sin()) < bead
        ink = torch.where(inside, int(rng.integers(1, INKS)), ink)
    return ink, shade


def mondrian(rng: Rng, x: Tensor, y: Tensor) -> Picture:
    """Rectangles of a plane that was cut again and again, ruled with even lines."""
    angle = pick(rng, 0, 0, 0, math.pi / 4)
    x, y = tilt(x, y, angle) / (1.42 if angle else 1), tilt(x, y, angle + math.pi / 2) / (1.42 if angle else 1)
    ink, shade, ruling = torch.zeros_like(x, dtype=torch.long), 0 * x, torch.ones_like(x)
    odds = pick_row(rng, (0.55, 0.15, 0.15, 0.15), (0.25, 0.25, 0.25, 0.25))
    glow = pick(rng, 0, 0, 0.7)
    for left, top, right, bottom in rectangles(rng, int(rng.integers(8, 28))):
        inside = (x >= left) & (x < right) & (y >= top) & (y < bottom)
        ink = torch.where(inside, int(rng.choice(4, p=odds)), ink)
        shade = torch.where(inside, glow * ((x - left) / (right - left) - 0.5), shade)
        edge = torch.minimum(torch.minimum(x - left, right - x), torch.minimum(y - top, bottom - y))
        ruling = torch.where(inside, edge, ruling)
    return torch.where(ruling < pick(rng, 0.015, 0.03, 0.045), CONTRAST, ink), shade


def cutout(rng: Rng, x: Tensor, y: Tensor) -> Picture:
    """Lobed leaves of painted paper, pasted on panels."""
    ink = torch.zeros_like(x, dtype=torch.long)
    for left, top, right, bottom in rectangles(rng, int(rng.integers(0, 5))):
        inside = (x >= left) & (x < right) & (y >= top) & (y < bottom)
        ink = torch.where(inside, int(rng.integers(0, 4)), ink)
    for _ in range(int(rng.integers(3, 10))):
        size, angle, lobes = rng.uniform(0.25, 0.75), rng.uniform(0, math.tau), int(pick(rng, 2, 3, 5, 5, 6, 7, 9))
        dx, dy = x - rng.uniform(-0.8, 0.8), y - rng.uniform(-0.8, 0.8)
        u, v = tilt(dx, dy, angle) / size, tilt(dx, dy, angle + math.pi / 2) / size * rng.uniform(1, 2)
        reach = 0.65 + rng.uniform(0.1, 0.35) * torch.cos(torch.atan2(v, u) * lobes)
        ink = torch.where(u.hypot(v) < reach, int(rng.integers(0, INKS)), ink)
    return ink, 0 * x


PAINTERS: tuple[Callable[[Rng, Tensor, Tensor], Picture], ...] = (
    flow,
    hills,
    bauhaus,
    glass,
    moire,
    marble,
    kandinsky,
    truchet,
    mandala,
    mondrian,
    cutout,
)
FAMILIES = tuple(painter.__name__ for painter in PAINTERS)
UPRIGHT = frozenset({FAMILIES.index("hills")})  # a landscape upside down is no landscape
ORDERED = frozenset({FAMILIES.index("hills"), FAMILIES.index("marble")})  # their inks follow each other: never permuted
ANY_PAPER = frozenset({FAMILIES.index("moire"), FAMILIES.index("truchet")})  # the ground is an ink like the others


def free_inks(family: int) -> range:
    """The inks that may change places: the picture stays one of its family."""
    first = CONTRAST if family in ORDERED else GROUND if family in ANY_PAPER else 1
    return range(first, CONTRAST)


INK_TRIOS = ((0, 1, 4), (0, 2, 4), (1, 2, 4), (0, 3, 4), (2, 3, 0), (0, 0, 4), (4, 4, 1), (1, 3, 0))


# ── what they are made of ────────────────────────────────────────────────────────────────────────────────────


def pick(rng: Rng, *values: float) -> float:
    return values[int(rng.integers(len(values)))]


def pick_row(rng: Rng, *rows: tuple[float, ...]) -> tuple[float, ...]:
    return rows[int(rng.integers(len(rows)))]


def tilt(x: Tensor, y: Tensor, angle: float) -> Tensor:
    """The first coordinate in axes turned by `angle`."""
    return x * math.cos(angle) + y * math.sin(angle)


def smooth(rng: Rng, x: Tensor, y: Tensor, cycles: float, waves: int = 10) -> Tensor:
    """A random field of unit variance: plane waves of up to `cycles` periods per half canvas."""
    angles, speeds = rng.uniform(0, math.tau, waves), math.tau * cycles * rng.uniform(0.5, 1, waves)
    total = torch.zeros_like(x)
    for angle, speed, phase in zip(angles, speeds, rng.uniform(0, math.tau, waves), strict=True):
        total += torch.sin(tilt(x, y, angle) * speed + phase)
    return total * math.sqrt(2 / waves)


def skyline(rng: Rng, x: Tensor, rough: float) -> Tensor:
    """One ridge: five octaves along x."""
    first = rng.uniform(0.3, 0.8)
    return sum((smooth(rng, x, 0 * x, first * 2**k, 6) * rough**k for k in range(6)), torch.zeros_like(x)) * 0.8


def lattice(x: Tensor, y: Tensor, n: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Column, row, and place inside the cell (0 to 1) of an n by n grid."""
    across, down = (x + 1) / 2 * n, (y + 1) / 2 * n
    column, row = across.long().clamp(0, n - 1), down.long().clamp(0, n - 1)
    return column, row, across - column, down - row


def quarter_turn(turn: Tensor, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """(u, v) of the unit square, turned about its middle by `turn` times 90 degrees."""
    flat, odd = turn >= 2, turn % 2 == 1
    u, v = torch.where(odd, v, u), torch.where(odd, 1 - u, v)
    return torch.where(flat, 1 - u, u), torch.where(flat, 1 - v, v)


def voronoi(rng: Rng, x: Tensor, y: Tensor, n: int, jitter: float) -> tuple[Tensor, Tensor, Tensor]:
    """Distance to the nearest of n by n jittered sites, distance to the pane's edge, number of the pane.

    In cells. The edge is the bisector of the two nearest sites, which gives cames of even width.
    """
    across, down = (x + 1) / 2 * n + 1, (y + 1) / 2 * n + 1
    side = n + 3
    sites = torch.from_numpy(rng.uniform(-0.5, 0.5, (side * side, 2)) * jitter + 0.5).float()
    squares, panes = [], []
    for step_down in (-1, 0, 1):
        for step_across in (-1, 0, 1):
            row, column = down.floor() + step_down, across.floor() + step_across
            pane = (row.clamp(0, side - 1) * side + column.clamp(0, side - 1)).long()
            site = sites[pane]
            squares.append((column + site[..., 0] - across).square() + (row + site[..., 1] - down).square())
            panes.append(pane)
    two, place = torch.stack(squares).topk(2, 0, largest=False)
    pane, other = torch.stack(panes).gather(0, place)
    gap = sites[pane] + torch.stack([pane % side, pane // side], -1) - sites[other]
    gap = gap - torch.stack([other % side, other // side], -1)
    return two[0].sqrt(), (two[1] - two[0]) / (2 * gap.norm(dim=-1).clamp_min(1e-3)), pane % 1024


def wave_train(rng: Rng, x: Tensor, y: Tensor) -> Tensor:
    """The phase of one train of waves, one per half period: rings, wavering lines, a fan or spiral, or square rings."""
    dx, dy, pace = x - rng.uniform(-1, 1), y - rng.uniform(-1, 1), rng.uniform(4, 13)
    kind = int(rng.integers(4))
    if kind == 0:
        return dx.hypot(dy) * pace
    if kind == 1:
        angle = rng.uniform(0, math.pi)
        waver = torch.sin(rng.uniform(2, 6) * tilt(x, y, angle + math.pi / 2) + rng.uniform(0, math.tau))
        return (tilt(x, y, angle) + rng.uniform(0, 0.2) * waver) * pace
    if kind == 2:
        return torch.atan2(dy, dx) / math.pi * int(rng.integers(4, 16)) + dx.hypot(dy) * pick(rng, 0, 2, 4)
    return torch.maximum(dx.abs(), dy.abs()) * pace


def shape(kind: int, u: Tensor, v: Tensor, slim: float) -> Tensor:
    """Where disc, ring, bar, box, triangle or half disc number `kind` of unit size covers (u, v)."""
    d = u.hypot(v)
    match kind:
        case 0:
            return d < 1
        case 1:
            return (d - 0.85).abs() < 0.12
        case 2:
            return (u.abs() < 1.8) & (v.abs() < 0.08)
        case 3:
            return (u.abs() < 1) & (v.abs() < slim)
        case 4:
            return (v > -0.6) & (v < 1 - 2 * u.abs())
        case _:
            return (d < 1) & (v > 0)


def rectangles(rng: Rng, cuts: int) -> list[tuple[float, float, float, float]]:
    """The unit square of the canvas, cut `cuts` times, a large piece each time and across its longer side."""
    pieces = [(-1.0, -1.0, 1.0, 1.0)]
    for _ in range(cuts):
        areas = [(r - l) * (b - t) * rng.uniform(0.2, 1) for l, t, r, b in pieces]  # noqa: E741
        left, top, right, bottom = pieces.pop(int(np.argmax(areas)))
        share = rng.uniform(0.25, 0.75)
        if (right - left) * rng.uniform(0.6, 1.4) > bottom - top:
            middle = left + (right - left) * share
            pieces += [(left, top, middle, bottom), (middle, top, right, bottom)]
        else:
            middle = top + (bottom - top) * share
            pieces += [(left, top, right, middle), (left, middle, right, bottom)]
    return pieces
