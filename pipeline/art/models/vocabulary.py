"""The vocabulary: structured noise, a set of continuous random fields that pictures can be composed from.

Each group of fields is written by hand, has no weights, and is a pure function of a token's random numbers and of
points on the canvas, so a picture can be sampled anywhere and at any resolution. What to make of the fields is learned
(`painter.py`). Points are x to the right and y down, both in [-1, 1]; fields lie roughly in [-1, 1] too, and most are
signed distances, positive inside, so that a crisp edge is one threshold away.

Layout: points are (B, N), a token's numbers are (B, ...), fields are (B, C, N).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from pipeline.art.models.canvas import (
    Canvas,
    Noise,
    Numbers,
    bend,
    choice,
    crisp,
    draw_canvas,
    labels,
    look_up,
    plane_waves,
    sign,
    smooth,
)


class Group(NamedTuple):
    channels: int
    draw: Callable[[Noise], Numbers]
    fields: Callable[[Numbers, Canvas], list[Tensor]]


def draw_numbers(noise: Noise, families: Tensor) -> Numbers:
    """All numbers of B tokens; `families` (B, F) are the weights that say how often each bends and tilts."""
    numbers = draw_canvas(noise, families)
    for group in GROUPS.values():
        numbers |= group.draw(noise)
    return tabulated(numbers)


def tabulated(numbers: Numbers) -> Numbers:
    """Drawn numbers with the tables that fields read, computed where the numbers lie."""
    return numbers | _ridges_tables(numbers) if "ridges.octave0" in numbers else numbers


def fields(
    numbers: Numbers,
    x: Tensor,
    y: Tensor,
    groups: Sequence[str] | None = None,
    *,
    bent: bool | None = None,
    tilted: bool | None = None,
) -> Tensor:
    """The fields at (B, N) points: (B, C, N), every group in order, or only those named; see `bend`."""
    canvas = bend(numbers, x, y, bent, tilted)
    names = GROUPS if groups is None else groups
    return torch.stack([field for name in names for field in GROUPS[name].fields(numbers, canvas)], 1)


# ── place and smooth noise ───────────────────────────────────────────────────────────────────────────────────


def _place_fields(numbers: Numbers, canvas: Canvas) -> list[Tensor]:
    return [canvas.x, canvas.y]


def _draw_smooth(noise: Noise) -> Numbers:
    return {
        "smooth.broad": plane_waves(noise, "smooth.broad", 2, 8, 0.3, 0.7),
        "smooth.middle": plane_waves(noise, "smooth.middle", 1, 10, 0.8, 1.6),
        "smooth.fine": plane_waves(noise, "smooth.fine", 1, 10, 1.8, 3.6),
        "smooth.veins": 1.5 + 2 * noise.uniform("smooth.veins"),
    }


def _smooth_fields(numbers: Numbers, canvas: Canvas) -> list[Tensor]:
    broad = smooth(numbers["smooth.broad"], canvas.bent_x, canvas.bent_y)
    middle = smooth(numbers["smooth.middle"], canvas.bent_x, canvas.bent_y)[:, 0]
    fine = smooth(numbers["smooth.fine"], canvas.bent_x, canvas.bent_y)[:, 0]
    turbulence = broad[:, 0] + 0.55 * middle + 0.3 * fine
    return [broad[:, 0], broad[:, 1], middle, turbulence, torch.sin(turbulence * numbers["smooth.veins"][:, None])]


# ── lattice: square cells, each with a turned motif of its own ───────────────────────────────────────────────

_CELLS = 16  # cells per side of the table of numbers; a lattice larger than that repeats
_MOTIFS = 8


class _Grid(NamedTuple):
    column: Tensor  # (B, N)
    row: Tensor
    cell: Tensor  # row of the table of numbers
    u: Tensor  # place inside the cell, 0 to 1
    v: Tensor


def _grid(count: Tensor, x: Tensor, y: Tensor) -> _Grid:
    across, down = (x + 1) * (count[:, None] / 2), (y + 1) * (count[:, None] / 2)
    column, row = across.floor(), down.floor()
    cell = (row.remainder(_CELLS) * _CELLS + column.remainder(_CELLS)).long()
    return _Grid(column, row, cell, across - column, down - row)


def _draw_lattice(noise: Noise) -> Numbers:
    usual, other = (noise.uniform("lattice.two", 2, 1) * _MOTIFS).floor().unbind(1)
    two = torch.where(noise.uniform("lattice.often", _CELLS**2) < 0.7, usual, other)
    any_motif = (noise.uniform("lattice.motifs", _CELLS**2) * _MOTIFS).floor()
    return {
        "lattice.count": choice(noise, "lattice.count", [2, 3, 4, 4, 5, 6]),
        "lattice.motifs": torch.where(noise.uniform("lattice.few", 1) < 0.7, two, any_motif),
        "lattice.turns": (noise.uniform("lattice.turns", _CELLS**2) * 4).floor(),
        "lattice.hashes": labels(noise, "lattice.hashes", 2 * _CELLS**2),  # of papers, then of figures
    }


def _lattice_fields(numbers: Numbers, canvas: Canvas) -> list[Tensor]:
    _, _, cell, u, v = _grid(numbers["lattice.count"], canvas.tilted_x, canvas.tilted_y)
    edge = 0.5 - torch.maximum((u - 0.5).abs(), (v - 0.5).abs())
    turn = numbers["lattice.turns"].gather(1, cell)
    odd, flat = turn.remainder(2) == 1, turn >= 2
    u, v = torch.where(odd, v, u), torch.where(odd, 1 - u, v)
    u, v = torch.where(flat, 1 - u, u), torch.where(flat, 1 - v, v)

    near, far, middle = u.hypot(v), (1 - u).hypot(1 - v), (u - 0.5).hypot(v - 0.5)
    distances = (  # to the motif's outline, in cells, positive inside
        1 - near,  # quarter disc
        0.25 - (near - 0.75).abs(),  # quarter ring
        0.4 - middle,  # disc
        0.11 - (middle - 0.31).abs(),  # ring
        (1 - u - v) * math.sqrt(0.5),  # triangle
        0.5 - (u - 0.5).hypot(v),  # half disc
        torch.sin(u * (4 * math.pi)) / (4 * math.pi),  # bars
        1 - torch.maximum(near, far),  # leaf
    )
    inside = _at(torch.stack(distances, 1), numbers["lattice.motifs"].gather(1, cell).long()[:, None])
    owner = torch.where(inside > 0, cell + _CELLS**2, cell)
    return [crisp(inside), inside * 2, edge * 4 - 1, *look_up(numbers["lattice.hashes"], owner)]


# ── tiles: quarter arcs that always meet (Truchet's tiling in Smith's round form, 1987) ──────────────────────


def _draw_tiles(noise: Noise) -> Numbers:
    bias = choice(noise, "tiles.bias", [50, 50, 80], 1) / 100
    return {
        "tiles.count": choice(noise, "tiles.count", [3, 4, 5, 6, 6, 8]),
        "tiles.flipped": (noise.uniform("tiles.flips", _CELLS**2) < bias).float(),
        "tiles.pitch": 0.05 + 0.07 * noise.uniform("tiles.pitch", 1),
    }


def _tiles_fields(numbers: Numbers, canvas: Canvas) -> list[Tensor]:
    column, row, cell, u, v = _grid(numbers["tiles.count"], canvas.tilted_x, canvas.tilted_y)
    flipped = numbers["tiles.flipped"].gather(1, cell) > 0
    u = torch.where(flipped, 1 - u, u)
    arc = torch.minimum(u.hypot(v), (1 - u).hypot(1 - v)) - 0.5  # distance to the nearer arc, in cells
    odd = (column + row).remainder(2) == 1
    two = torch.where(odd ^ flipped, arc, -arc)  # the plane's two sides of all arcs
    echo = arc.abs() / numbers["tiles.pitch"]
    echoes = torch.minimum(torch.sin(echo * math.pi), 4 - echo).clamp(-1, 1)  # two lines along each side of an arc
    return [crisp(two), 1 - arc.abs() * (1 / 0.15), echoes]


# ── panes: Voronoi cells with an even distance to their edges (Worley 1996) ──────────────────────────────────


def _draw_panes(noise: Noise) -> Numbers:
    jitter = 0.4 + 0.55 * noise.uniform("panes.jitter", 1, 1)
    return {
        "panes.count": choice(noise, "panes.count", [3, 4, 5, 6, 7, 8]),
        "panes.sites": (noise.uniform("panes.sites", _CELLS**2, 2) - 0.5) * jitter + 0.5,
        "panes.hashes": labels(noise, "panes.hashes", _CELLS**2),
    }


def _panes_fields(numbers: Numbers, canvas: Canvas) -> list[Tensor]:
    half = numbers["panes.count"][:, None] / 2
    across, down = (canvas.bent_x + 1) * half + 2, (canvas.bent_y + 1) * half + 2
    column, row = across.floor(), down.floor()
    u, v = across - column, down - row
    step = torch.arange(9, device=u.device)[:, None]  # the cell itself and those around it, row by row
    below, right = step // 3 - 1, step % 3 - 1
    cells = ((row[:, None] + below).remainder(_CELLS) * _CELLS + (column[:, None] + right).remainder(_CELLS)).long()
    sites_x, sites_y = (found.view(cells.shape) for found in look_up(numbers["panes.sites"], cells.flatten(1)))
    sites = torch.stack([sites_x + right - u[:, None], sites_y + below - v[:, None]])  # (2, B, 9, N)
    squares = sites[0].square().addcmul(sites[1], sites[1])
    first, second = squares[:, 0], torch.full_like(u, torch.inf)
    nearest, next_to = torch.zeros_like(u), torch.zeros_like(u)
    for number, square in enumerate(squares.unbind(1)[1:], 1):  # of several that are as near the first
        best = square < first
        next_to = torch.where(best, nearest, torch.where(square < second, float(number), next_to))
        second = torch.where(best, first, torch.minimum(second, square))
        nearest, first = torch.where(best, float(number), nearest), torch.minimum(first, square)
    nearest, next_to = nearest.long()[:, None], next_to.long()[:, None]
    pane = _at(cells, nearest)
    apart = sites.gather(2, nearest.expand(2, -1, -1, -1)) - sites.gather(2, next_to.expand(2, -1, -1, -1))
    gap = torch.hypot(*apart[:, :, 0]).clamp_min(1e-3)
    edge = (second - first) / (2 * gap)  # distance to the bisector, in cells
    return [first.sqrt() * 1.5 - 0.7, (edge * 5).clamp_max(1), *look_up(numbers["panes.hashes"], pane)]


# ── ridges: a landscape and its sun ──────────────────────────────────────────────────────────────────────────

_RIDGES, _OCTAVES = 7, 6
_COLUMNS = 1025  # heights are tabulated across the canvas and read in between


def _draw_ridges(noise: Noise) -> Numbers:
    rough = 0.25 + 0.35 * noise.uniform("ridges.rough", 1, 1)
    count = 3 + (noise.uniform("ridges.count", 1, 1) * 5).floor()
    top = noise.uniform("ridges.top", 1, 1) * 0.45 - 0.25
    swing = 0.08 + 0.12 * noise.uniform("ridges.swing", _RIDGES, 1)
    waves = {
        f"ridges.octave{octave}": plane_waves(noise, f"ridges.octave{octave}", _RIDGES, 6, 0.5 * 2**octave, 2.0**octave)
        for octave in range(_OCTAVES)
    }
    return {
        "ridges.count": count[:, :, 0],
        "ridges.rough": rough,
        "ridges.top": top,
        "ridges.swing": swing,
        "ridges.first": 0.3 + 0.5 * noise.uniform("ridges.first", _RIDGES),
        **waves,
        "ridges.hashes": noise.uniform("ridges.hashes", _RIDGES + 1, 1) * 2 - 1,
        "ridges.sun": noise.uniform("ridges.sun", 4),
    }


def _ridges_tables(numbers: Numbers) -> Numbers:
    """The heights of each ridge's line, (B, ridges, columns)."""
    rough, first = numbers["ridges.rough"], numbers["ridges.first"]
    x = torch.linspace(-1, 1, _COLUMNS, device=rough.device).expand(len(rough), -1)
    line = torch.zeros(len(rough), _RIDGES, _COLUMNS, device=rough.device)
    for octave in range(_OCTAVES):
        waves = numbers[f"ridges.octave{octave}"]
        waves = torch.cat([waves[..., :1] * first[:, :, None, None], 0 * waves[..., 1:2], waves[..., 2:]], -1)
        line += smooth(waves, x, x) * rough**octave
    ridge, top = torch.arange(_RIDGES, device=rough.device)[None, :, None], numbers["ridges.top"]
    count = numbers["ridges.count"][..., None]
    height = line * 0.8 * numbers["ridges.swing"] + top + ridge / count * (1 - top) * 0.9
    return {"ridges.heights": torch.where(ridge < count, height, 9.0)}  # 9: far below the canvas


def _ridges_fields(numbers: Numbers, canvas: Canvas) -> list[Tensor]:
    place = (canvas.x.clamp(-1, 1) + 1) * ((_COLUMNS - 1) / 2)
    left = place.long().clamp_max(_COLUMNS - 2)
    share, heights = place - left, numbers["ridges.heights"]
    left = left[:, None].expand(-1, _RIDGES, -1)
    depth = canvas.y[:, None] - torch.lerp(heights.gather(2, left), heights.gather(2, left + 1), share[:, None])
    level, top = _topmost(depth > 0)
    nearest = _at(depth, top).where(level > 0, -0.3)
    (tone,) = look_up(numbers["ridges.hashes"], level.long())
    sun = numbers["ridges.sun"]
    from_sun = (canvas.x - (sun[:, :1] * 1.2 - 0.6)).hypot(canvas.y - (sun[:, 1:2] * 0.55 - 0.7))
    radius = 0.12 + 0.28 * sun[:, 2:3]
    disc, low = radius - from_sun, (canvas.y - (sun[:, 1:2] * 0.55 - 0.7)) / radius
    slit = (sun[:, 3:] < 0.3) & (low > 0) & ((low * 6).floor().remainder(2) == 0)  # some suns are sliced below
    sky = level == 0
    halo = torch.where(sky, (disc * 4).clamp_min(-1), -1.0)
    shining = torch.where(sky & ~slit, crisp(disc * 4), -1.0)
    return [level / numbers["ridges.count"] * 2 - 1, nearest * 2, sign(sky), tone, halo, shining]


# ── petals: rings of n-fold petals, painted inwards, and beads ───────────────────────────────────────────────

_RINGS, _BEADS = 8, 2


def _draw_petals(noise: Noise) -> Numbers:
    count = 5 + (noise.uniform("petals.count", 1) * 4).floor()
    ring = torch.arange(_RINGS, device=count.device)
    size = 1 - ring / count  # (B, rings)
    depth = (0.05 + 0.25 * noise.uniform("petals.depth", _RINGS)) * size
    reach = 0.96 * size + noise.uniform("petals.reach", _RINGS) * 0.06
    form = (noise.uniform("petals.form", _RINGS, 1) * 16).floor() == torch.arange(16, device=count.device)
    return {
        "petals.fold": choice(noise, "petals.fold", [3, 4, 5, 6, 6, 8, 8, 10, 12]),
        "petals.turn": noise.uniform("petals.turn"),
        "petals.reach": torch.where(ring < count, reach, -9.0),
        "petals.form": torch.where(form, -depth[..., None], 0.0),  # (B, rings, 16): one of 4 folds x 4 outlines
        "petals.hashes": labels(noise, "petals.hashes", _RINGS + 1),
        "petals.beads": noise.uniform("petals.beads", _BEADS, 3),
    }


def _petals_fields(numbers: Numbers, canvas: Canvas) -> list[Tensor]:
    r = canvas.bent_x.hypot(canvas.bent_y)
    turn = torch.atan2(canvas.bent_y, canvas.bent_x) / math.tau + numbers["petals.turn"][:, None]
    n = numbers["petals.fold"][:, None]
    single, double = turn * n, turn * n * 2
    f = torch.stack([single, single + 0.5, double, double + 0.5], 1)
    f = ((f - f.floor()) - 0.5).abs() * 2  # (B, 4, N), 0 on the axis
    folds, square = f.unbind(1), f * f
    outlines = torch.stack([f.sqrt(), f, square, square * f], 2).flatten(1, 2)  # (B, 16, N)
    rims = torch.baddbmm(numbers["petals.reach"][..., None], numbers["petals.form"], outlines)  # (B, rings, N)

    margin = rims - r[:, None]
    level, top = _topmost(margin > 0)
    inside = _at(margin, top).where(level > 0, -0.5)

    place, phase, size = numbers["petals.beads"][..., None].unbind(2)  # (B, beads, 1)
    angle = torch.where(phase < 0.5, folds[0][:, None], folds[1][:, None]) * math.pi / n[:, None]
    middle, radius = 0.25 + 0.65 * place, 0.03 + 0.06 * size
    from_middle = (r[:, None] * angle.cos() - middle).hypot(r[:, None] * angle.sin())
    bead = (1 - from_middle / radius).amax(1).clamp_min(-1)
    hashes = look_up(numbers["petals.hashes"], level.long())
    return [r - 0.7, folds[0] * 2 - 1, folds[2] * 2 - 1, inside * 4, level / 4 - 1, bead, *hashes]


# ── waves and bands ──────────────────────────────────────────────────────────────────────────────────────────

_TRAINS = 3


def _draw_trains(noise: Noise) -> Numbers:
    return {
        "trains.count": 1 + (noise.uniform("trains.count", 1) * _TRAINS).floor(),
        "trains.kind": (noise.uniform("trains.kind", _TRAINS, 1) * 4).floor(),
        "trains.centre": noise.uniform("trains.centre", _TRAINS, 2) * 2 - 1,
        "trains.pace": 2 + 4.5 * noise.uniform("trains.pace", _TRAINS),
        "trains.angle": noise.uniform("trains.angle", _TRAINS) * math.pi,
        "trains.waver": noise.uniform("trains.waver", _TRAINS, 3),
        "trains.spiral": (noise.uniform("trains.spiral", _TRAINS) * 3).floor(),
    }


def _trains_fields(numbers: Numbers, canvas: Canvas) -> list[Tensor]:
    trains, count = _trains(numbers, canvas), numbers["trains.count"]
    crossed = trains[:, 0]
    for i in range(1, _TRAINS):
        crossed = torch.where(count > i, crossed * trains[:, i], crossed)
    return [*(trains * 3).clamp(-1, 1).unbind(1), (crossed * 4).clamp(-1, 1)]


def _trains(numbers: Numbers, canvas: Canvas) -> Tensor:
    """(B, trains, N): rings, wavering lines, a fan or spiral, or square rings; 0 where its ink changes."""
    names = ("kind", "pace", "angle", "spiral")
    kind, pace, angle, spiral = (numbers[f"trains.{name}"].view(-1, _TRAINS, 1) for name in names)
    centre, waver = numbers["trains.centre"], numbers["trains.waver"]
    dx, dy = canvas.bent_x[:, None] - centre[..., :1], canvas.bent_y[:, None] - centre[..., 1:]
    cos, sin = angle.cos(), angle.sin()
    along, across, r = dx * cos + dy * sin, dy * cos - dx * sin, dx.hypot(dy)
    wobble = torch.sin(across * (2 + 4 * waver[..., :1]) + waver[..., 1:2] * math.tau) * waver[..., 2:] * 0.2
    arms = (pace * 1.6).floor()
    fan = torch.atan2(dy, dx) / math.tau * arms + r * spiral
    square = torch.maximum(dx.abs(), dy.abs()) * pace
    lines = (along + wobble) * pace
    phase = torch.where(kind == 0, r * pace, torch.where(kind == 1, lines, torch.where(kind == 2, fan, square)))
    return torch.sin(phase * math.tau)


def _draw_bands(noise: Noise) -> Numbers:
    return {
        "bands.waves": plane_waves(noise, "bands.waves", 1, 10, 0.25, 0.75),
        "bands.count": 5 + 9 * noise.uniform("bands.count"),
        "bands.swing": 0.25 + 0.25 * noise.uniform("bands.swing"),
        "bands.slope": 0.2 + 0.8 * noise.uniform("bands.slope"),
        "bands.angle": math.tau * noise.uniform("bands.angle"),
        "bands.hashes": labels(noise, "bands.hashes", 128),
    }


def _bands_fields(numbers: Numbers, canvas: Canvas) -> list[Tensor]:
    count, swing, slope, angle = (numbers[f"bands.{name}"][:, None] for name in ("count", "swing", "slope", "angle"))
    tilted = (canvas.bent_x * angle.cos() + canvas.bent_y * angle.sin()) * slope
    height = (smooth(numbers["bands.waves"], canvas.bent_x, canvas.bent_y)[:, 0] * swing + tilted) * count
    band = height.floor()
    return [(height - band) * 2 - 1, *look_up(numbers["bands.hashes"], (band + 64).clamp(0, 127).long())]


# ── shapes and leaves: figures painted one over another ──────────────────────────────────────────────────────

_SHAPES, _LEAVES = 14, 8
_PANEL_CUTS = 2  # what leaves lie on
_NEVER = 50.0  # a bound that does not bind

_OUTLINES = (  # a figure is where three bounds hold: on the distance to its middle, on |u|, on v
    # ring radius, its half width, half width, lean, middle of v, half height
    (0.00, 1.00, _NEVER, 0.0, 0.0, _NEVER),  # disc
    (0.85, 0.12, _NEVER, 0.0, 0.0, _NEVER),  # ring
    (0.00, _NEVER, 1.80, 0.0, 0.0, 0.08),  # bar
    (0.00, _NEVER, 1.00, 0.0, 0.0, 0.00),  # box; its height is the token's
    (0.00, _NEVER, 0.50, 0.5, 1.0, 1.60),  # triangle
    (0.00, 1.00, _NEVER, 0.0, 1.0, 1.00),  # half disc
)


def _draw_shapes(noise: Noise) -> Numbers:
    kind = (noise.uniform("shapes.kind", _SHAPES) * len(_OUTLINES)).long()
    outline = torch.tensor(_OUTLINES, device=kind.device)[kind]  # (B, shapes, 6)
    slim = 0.08 + 0.72 * noise.uniform("shapes.slim", _SHAPES, 1)
    box = torch.arange(6, device=kind.device) == 5
    outline = torch.where((kind == 3)[..., None] & box, slim, outline)
    layer = torch.arange(_SHAPES, device=kind.device)
    count = 5 + (noise.uniform("shapes.count", 1) * 10).floor()
    return {
        "shapes.outline": outline,
        "shapes.centre": noise.uniform("shapes.centre", _SHAPES, 2) * 1.8 - 0.9,
        "shapes.size": (0.12 + 0.48 * noise.uniform("shapes.size", _SHAPES)) * (1 - layer * 0.04),
        "shapes.angle": noise.uniform("shapes.angle", _SHAPES) * math.tau,
        "shapes.shown": (layer < count).float(),
        "shapes.ground": noise.uniform("shapes.ground", 3),  # whether the ground has two halves; where they meet
        "shapes.hashes": labels(noise, "shapes.hashes", _SHAPES + 2),
    }


def _shapes_fields(numbers: Numbers, canvas: Canvas) -> list[Tensor]:
    u, v = _local(numbers, "shapes", canvas)
    ring, half_ring, half_u, lean, middle, half_v = numbers["shapes.outline"][..., None].unbind(2)
    margin = torch.minimum(half_ring - (u.hypot(v) - ring).abs(), half_u - u.abs() - lean * v)
    margin = torch.minimum(margin, half_v - (v - middle).abs())
    level, top = _topmost((margin > 0) & (numbers["shapes.shown"][..., None] > 0))
    none = level == 0
    inside, height = _at(margin, top).where(~none, -0.3), _at(v, top).where(~none, 0.0)
    halved, place, angle = numbers["shapes.ground"][..., None].unbind(1)
    side = canvas.x * (angle * math.tau).cos() + canvas.y * (angle * math.tau).sin() - place * 0.8 + 0.3
    owner = torch.where((level == 0) & (halved < 0.4) & (side > 0), _SHAPES + 1.0, level)
    return [inside, sign(level > 0), height, *look_up(numbers["shapes.hashes"], owner.long())]


def _draw_leaves(noise: Noise) -> Numbers:
    count = 3 + (noise.uniform("leaves.count", 1) * 6).floor()
    layer = torch.arange(_LEAVES, device=count.device)
    return {
        "leaves.centre": noise.uniform("leaves.centre", _LEAVES, 2) * 1.6 - 0.8,
        "leaves.size": 0.25 + 0.5 * noise.uniform("leaves.size", _LEAVES),
        "leaves.angle": noise.uniform("leaves.angle", _LEAVES) * math.tau,
        "leaves.slim": 1 + noise.uniform("leaves.slim", _LEAVES),
        "leaves.lobes": choice(noise, "leaves.lobes", [2, 3, 5, 5, 6, 7, 9], _LEAVES),
        "leaves.notch": 0.1 + 0.25 * noise.uniform("leaves.notch", _LEAVES),
        "leaves.shown": (layer < count).float(),
        **_draw_cuts(noise, "leaves", _PANEL_CUTS, 0.45),
        "leaves.hashes": labels(noise, "leaves.hashes", _LEAVES + 2**_PANEL_CUTS),
    }


def _leaves_fields(numbers: Numbers, canvas: Canvas) -> list[Tensor]:
    u, v = _local(numbers, "leaves", canvas)
    v = v * numbers["leaves.slim"][..., None]
    lobe = torch.cos(torch.atan2(v, u) * numbers["leaves.lobes"][..., None])
    margin = 0.65 + numbers["leaves.notch"][..., None] * lobe - u.hypot(v)
    level, top = _topmost((margin > 0) & (numbers["leaves.shown"][..., None] > 0))
    inside = _at(margin, top).where(level > 0, -0.3)
    *_, panel = _cut(numbers, "leaves", _PANEL_CUTS, canvas.x, canvas.y, torch.ones_like(canvas.x))
    owner = torch.where(level > 0, level.long() - 1, panel - 2**_PANEL_CUTS + _LEAVES)
    return [inside * 2, sign(level > 0), *look_up(numbers["leaves.hashes"], owner)]


def _local(numbers: Numbers, group: str, canvas: Canvas) -> tuple[Tensor, Tensor]:
    """The canvas as each figure sees it, (B, figures, N): moved, turned, scaled."""
    centre, angle, size = (numbers[f"{group}.{name}"] for name in ("centre", "angle", "size"))
    cos, sin = (angle.cos() / size)[..., None], (angle.sin() / size)[..., None]
    dx, dy = canvas.x[:, None] - centre[..., :1], canvas.y[:, None] - centre[..., 1:]
    return dx * cos + dy * sin, dy * cos - dx * sin


def _topmost(covers: Tensor) -> tuple[Tensor, Tensor]:
    """Of figures that cover points (B, figures, N) the last: its number, counted from 1, or 0.0 where none does, (B, N); and
    where its numbers are found, or those of the first, (B, 1, N)."""
    numbers = torch.arange(1, covers.shape[1] + 1, dtype=torch.float32, device=covers.device)[:, None]
    level = torch.where(covers, numbers, 0.0).amax(1)
    return level, (level - 1).clamp_min(0).long()[:, None]


def _at(values: Tensor, place: Tensor) -> Tensor:
    """Of (B, figures, N) the figure in its place at each point, (B, N)."""
    return values.gather(1, place)[:, 0]


# ── rooms: a plane that is cut again and again ───────────────────────────────────────────────────────────────

_CUTS = 5


def _draw_rooms(noise: Noise) -> Numbers:
    return {
        **_draw_cuts(noise, "rooms", _CUTS, 0.0),
        "rooms.hashes": labels(noise, "rooms.hashes", 2 ** (_CUTS + 1)),
    }


def _rooms_fields(numbers: Numbers, canvas: Canvas) -> list[Tensor]:
    reach = torch.where(numbers["canvas.tilt"] > 0, math.sqrt(2), 1.0)[:, None] + 3 * numbers["canvas.bend"][:, None]
    x, y = canvas.tilted_x, canvas.tilted_y
    left, top, right, bottom, node = _cut(numbers, "rooms", _CUTS, x, y, reach.expand_as(x))
    edge = torch.minimum(torch.minimum(x - left, right - x), torch.minimum(y - top, bottom - y))
    u = (x - left) / (right - left).clamp_min(1e-3) * 2 - 1
    return [(edge * 8).clamp_max(1), u, *look_up(numbers["rooms.hashes"], node)]


def _draw_cuts(noise: Noise, group: str, cuts: int, whole: float) -> Numbers:
    """Where the rooms of each depth are cut; `whole` is how often the first stays as it is, deep ones do so oftener."""
    nodes = 2**cuts
    cut = 0.25 + 0.5 * noise.uniform(f"{group}.cut", nodes)
    depth = torch.arange(nodes, device=cut.device).clamp_min(1).float().log2().floor()
    odds = torch.full_like(depth, whole) + (depth - 1.5).clamp(0, 3) * 0.15
    return {
        f"{group}.cut": torch.where(noise.uniform(f"{group}.whole", nodes) < odds, 1.0, cut),
        f"{group}.lean": 0.6 + 0.8 * noise.uniform(f"{group}.lean", nodes),
    }


def _cut(
    numbers: Numbers, group: str, cuts: int, x: Tensor, y: Tensor, reach: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """The room of each point: left, top, right, bottom, and its number, 2^cuts to 2^(cuts + 1)."""
    low, high, node = -reach.expand(2, *x.shape), reach.expand(2, *x.shape), torch.ones_like(x, dtype=torch.long)
    point = torch.stack([x, y])
    for _ in range(cuts):
        width, height = high - low
        wide = width * numbers[f"{group}.lean"].gather(1, node) > height
        cut = torch.lerp(low, high, numbers[f"{group}.cut"].gather(1, node))
        across, down = point >= cut
        second, axis = torch.where(wide, across, down), torch.stack([wide, ~wide])
        low, high = torch.where(axis & second, cut, low), torch.where(axis > second, cut, high)
        node = node * 2 + second
    left, top, right, bottom = *low, *high
    return left, top, right, bottom, node


GROUPS: dict[str, Group] = {
    "place": Group(2, lambda noise: {}, _place_fields),
    "smooth": Group(5, _draw_smooth, _smooth_fields),
    "lattice": Group(6, _draw_lattice, _lattice_fields),
    "tiles": Group(3, _draw_tiles, _tiles_fields),
    "panes": Group(5, _draw_panes, _panes_fields),
    "ridges": Group(6, _draw_ridges, _ridges_fields),
    "petals": Group(9, _draw_petals, _petals_fields),
    "trains": Group(4, _draw_trains, _trains_fields),
    "bands": Group(4, _draw_bands, _bands_fields),
    "shapes": Group(6, _draw_shapes, _shapes_fields),
    "leaves": Group(5, _draw_leaves, _leaves_fields),
    "rooms": Group(5, _draw_rooms, _rooms_fields),
}
CHANNELS = sum(group.channels for group in GROUPS.values())
