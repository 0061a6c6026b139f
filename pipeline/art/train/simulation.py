"""A slow simulation of matter: strokes laid down in turn, each on what lies there and is still wet.

A composition's marks are laid down in LAYERS groups. Every material keeps what it knows of the surface between them: how
much of each ink lies where, how wet it is, how high it stands. A group picks up, drags, lifts, resists or flows into what
it meets. This is what the renderer learns from: far too slow to draw tokens with, and more than a pixel's own numbers tell.

It is drawn at twice the picture's pixels and averaged. The same composition, hand and size give the same matter.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from pipeline.art.compose import FEATURES, Layout
from pipeline.art.models.matter import INKS, Hand

SIMULATION = "matter-1"  # goes up whenever this code gives other matter for the same canvas
LAYERS = 14
JOINT = 14  # pixels that a stroke's parts must see of each other, or their joint shows
Field = NDArray[np.float32]  # (H, W)

FINER = 2  # pixels of the simulation, across and down, for each of the picture
MARGIN = 24  # pixels of the picture that are simulated around a window, and cut off
REFERENCE = 1024.0  # simulated pixels of a canvas whose distances below are whole pixels

Window = tuple[int, int, int, int]  # left, top, width, height
PAINTED, HAND = FEATURES.index("painted"), FEATURES.index("hand")


@dataclass(frozen=True, slots=True)
class Strokes:
    """One group of marks at each pixel, (1, 1, H, W) each; see compose.planes.FEATURES."""

    ink: Tensor  # (1, INKS, H, W), one of them 1
    heading_x: Tensor
    heading_y: Tensor
    along: Tensor
    rest: Tensor
    across: Tensor
    edge: Tensor
    half_width: Tensor
    load: Tensor
    bristle: Tensor
    paper: Tensor
    painted: Tensor
    hand: Tensor
    whole: Tensor  # 1 where it is painted, and where its strokes go on in a group before or after
    bare: Tensor  # 1 where the ground was kept clean: what lies there is taken off

    def cut(self, rows: slice, columns: slice) -> Strokes:
        return Strokes(*(getattr(self, field.name)[..., rows, columns] for field in fields(self)))


@torch.inference_mode()
def simulate(layout: Layout, hand: Hand, size: int, window: Window | None = None, device: str = "cpu") -> Tensor:
    """Matter (6, H, W) of a picture of `size` pixels, or of a window of it."""
    left, top, width, height = window or (0, 0, size, size)
    x0, y0 = max(0, left - MARGIN), max(0, top - MARGIN)
    x1, y1 = min(size, left + width + MARGIN), min(size, top + height + MARGIN)
    fine = (x0 * FINER, y0 * FINER, (x1 - x0) * FINER, (y1 - y0) * FINER)
    surface: Surface | None = None
    for strokes in groups(layout, size * FINER, fine, device):
        if surface is None:
            surface = SURFACES[hand.material](hand, strokes.paper, size * FINER)
        rows, columns = _painted_box(strokes.painted, surface.reach)
        if rows.stop > rows.start:
            surface.lay(strokes.cut(rows, columns), rows, columns)
    assert surface is not None
    matter = F.avg_pool2d(surface.dried(), FINER)[0]
    return matter[:, top - y0 : top - y0 + height, left - x0 : left - x0 + width].clone()


def groups(layout: Layout, side: int, window: Window, device: str = "cpu") -> Iterator[Strokes]:
    """The marks in their order, cut into groups that cover about as much; the first is an empty canvas."""
    found = layout.pieces
    weight = found.length * found.width.mean(1) + 1e-9
    cost = np.cumsum(weight / weight.sum() + 1 / max(1, found.count)) / 2
    ends = np.searchsorted(cost, np.linspace(0, 1, LAYERS + 1)[1:-1]).tolist()
    cuts = [0, 0, *ends, found.count]
    finished = layout.features(layout.on_top(side, window), side, window)
    at_last = np.where(finished[PAINTED] > 0, finished[HAND], -1)  # a long stroke's parts have one hand
    lying = np.full_like(at_last, -1)
    for first, last in zip(cuts, cuts[1:], strict=False):
        on_top = layout.on_top(side, window, slice(first, last))
        planes = layout.features(on_top, side, window)
        hand = np.where(planes[PAINTED] > 0, planes[HAND], -1)
        whole = _gone_on(hand, at_last, round(JOINT * max(1.0, side / REFERENCE)))
        planes[PAINTED] *= lying != hand  # parts overlap at their joints: a stroke is not laid down twice
        lying = np.where(hand >= 0, hand, lying)
        of_planes = torch.from_numpy(planes).to(device)[None]
        yield Strokes(
            F.one_hot(torch.from_numpy(layout.inks(on_top)).to(device).long(), INKS).permute(2, 0, 1)[None].float(),
            *(of_planes[:, i : i + 1] for i in range(len(FEATURES))),
            *(
                torch.from_numpy(mask.astype(np.float32)).to(device)[None, None]
                for mask in (whole, layout.bare(on_top))
            ),
        )


def _gone_on(hand: Field, at_last: Field, far: int) -> NDArray[np.bool_]:
    """Where a group is painted, and `far` pixels on where its strokes go on in other groups."""
    grown = hand.copy()
    for _ in range(far):
        for to, of in (
            (np.s_[1:], np.s_[:-1]),
            (np.s_[:-1], np.s_[1:]),
            (np.s_[:, 1:], np.s_[:, :-1]),
            (np.s_[:, :-1], np.s_[:, 1:]),
        ):
            np.copyto(grown[to], grown[of], where=(grown[of] == at_last[to]) & (grown[to] != at_last[to]))
    found: NDArray[np.bool_] = (hand >= 0) | (grown >= 0) & (grown == at_last)
    return found


def _painted_box(painted: Tensor, reach: int) -> tuple[slice, slice]:
    """The rows and columns where anything is painted, and `reach` more around them."""
    boxes = []
    for axis in (1, 0):
        where = painted[0, 0].any(axis).nonzero()[:, 0]
        if not len(where):
            return slice(0, 0), slice(0, 0)
        low, high = int(where[0]) - reach, int(where[-1]) + 1 + reach
        boxes.append(slice(max(0, low), min(painted.shape[3 - axis], high)))
    return boxes[0], boxes[1]


class Surface:
    """What lies on the canvas while it is worked on."""

    reach = 24  # pixels around its strokes that a group may touch

    def __init__(self, hand: Hand, paper: Tensor, side: int) -> None:
        self.hand, self.paper, self.side = hand, paper, side
        self.scale = side / REFERENCE
        self.inks = torch.zeros(1, INKS, *paper.shape[2:], device=paper.device)
        self.inks[:, 0] = 1
        self.height, self.wet = torch.zeros_like(paper), torch.zeros_like(paper)
        self.reach = round(24 * max(1.0, self.scale))

    def lay(self, strokes: Strokes, rows: slice, columns: slice) -> None:
        """Lay a group of strokes down on these rows and columns."""
        raise NotImplementedError

    def dried(self) -> Tensor:
        """The matter (1, 6, H, W) that it becomes."""
        raise NotImplementedError

    def crisp(self, distance: Tensor) -> Tensor:
        """1 inside and 0 outside of an edge, over about a pixel and a half."""
        return torch.sigmoid(distance * (self.side / 1.4))

    def finished(self, shade: Tensor) -> Tensor:
        inks = self.inks.clamp_min(0)
        return torch.cat([inks / inks.sum(1, keepdim=True).clamp_min(1e-4), shade.clamp(-0.75, 0.75)], 1)


class Gouache(Surface):
    """Opaque paint. The brush drags and picks up what is wet, and skips the valleys of what is dry."""

    def lay(self, strokes: Strokes, rows: slice, columns: slice) -> None:
        hand, at = self.hand, (..., rows, columns)
        inks, height, wet = self.inks[at], self.height[at], self.wet[at]
        cover, film = self._film(strokes, height, wet)

        # the brush carries the colours that it came through, bristle by bristle
        carried, reach = inks, 1.7 * max(1.0, self.scale)
        pull = strokes.painted * (0.55 + 0.4 * strokes.bristle)
        for _ in range(9):
            carried = carried + (upstream(carried, strokes, reach) - carried) * pull
        mixing = wet * hand.wet * strokes.painted * (0.25 + 0.75 * strokes.bristle)
        inks = inks + (carried - inks) * (0.55 * mixing)
        paint = strokes.ink + (carried - strokes.ink) * (0.5 * mixing * (1.15 - strokes.load).clamp(0.15, 0.8))
        inks = inks * (1 - cover) + paint * cover

        # a wet brush takes some of the wet paint away, pushes it aside, and leaves its own
        ridge = 0.24 * torch.exp(-(((strokes.across.abs() - 0.88) / 0.12) ** 2)) * (strokes.half_width > 0.003)
        start = 0.3 * torch.exp(-strokes.along / 0.006)
        own = film * (1 + 1.1 * (strokes.bristle - 0.5)) + cover * (ridge + start)
        own = own * (1 - strokes.ink[:, :1])  # the ground's paint cuts into others and lies flat
        height = height * (1 - cover * (0.35 + 0.5 * wet)) + own * cover
        wet = torch.maximum(wet * 0.78, cover * (0.35 + 0.6 * strokes.load.clamp(0, 1)))

        kept = 1 - strokes.bare
        self.inks[at] = inks * kept + strokes.ink * strokes.bare
        self.height[at], self.wet[at] = height * kept, wet * kept

    def _film(self, strokes: Strokes, height: Tensor, wet: Tensor) -> tuple[Tensor, Tensor]:
        """How far the strokes cover what they meet, and how thick they lie."""
        hand, bristle = self.hand, strokes.bristle
        lasts = (0.06 + 0.5 * (1 - hand.dry) ** 2) * (0.6 + (strokes.half_width * 50).clamp(0, 2))
        load = strokes.load * torch.exp(-strokes.along / lasts) * (0.55 + 0.9 * bristle) + 0.25 * (1 - hand.dry)
        reach = strokes.half_width.clamp_max(0.04) * hand.ragged
        begin = strokes.along - (0.2 - bristle).clamp_min(-0.1) * reach
        end = strokes.rest - bristle * bristle * (0.005 + 0.7 * reach)
        side = strokes.edge + (bristle - 0.62) * 0.2 * reach
        inside = self.crisp(torch.minimum(side, torch.minimum(begin, end)))
        tooth = strokes.paper * hand.grain * 0.9 + 0.12 - 0.35 * height.clamp(0, 1) * (1 - wet)
        film = (load - (0.12 + 0.5 * hand.dry) * tooth) * inside * strokes.painted
        cover = torch.sigmoid((film - (0.10 + 0.16 * hand.dry)) / 0.035) * strokes.painted
        return cover, film * cover

    def dried(self) -> Tensor:
        hand = self.hand
        self.inks = self.inks + (blur(self.inks) - self.inks) * (0.5 * hand.wet)
        body = blur(self.height, 2) * 0.042 * (0.25 + hand.relief) + self.paper * 0.006 * hand.grain
        thick = (self.height - 0.5).clamp(-0.4, 0.4) * 0.16 * (self.height > 0.02) * (0.4 + hand.relief)
        return self.finished(lit(body, self.side, 60.0) * 0.75 + thick)


class Wash(Surface):
    """Transparent paint in water. Water carries pigment to where it dries first, blooms into what is damp, and a stroke
    of the ground's ink lifts."""

    def __init__(self, hand: Hand, paper: Tensor, side: int) -> None:
        super().__init__(hand, paper, side)
        self.afloat = torch.zeros_like(self.inks[:, 1:])  # pigment in the water
        self.stain = torch.zeros_like(self.afloat)  # pigment in the paper
        self.wetted = torch.zeros_like(paper)  # where water may flow

    def lay(self, strokes: Strokes, rows: slice, columns: slice) -> None:
        hand, at = self.hand, (..., rows, columns)
        afloat, stain, water, wetted = self.afloat[at], self.stain[at], self.wet[at], self.wetted[at]
        paper, radius = strokes.paper, max(1, round(self.scale))
        whole = strokes.whole
        soft = blur(whole, 1 + radius)
        inside = torch.sigmoid((soft - 0.5 + (paper - 0.5) * 0.5 * hand.ragged) / 0.12)
        inside = inside * (blur(whole, radius) > 0.01) * (1 - whole + strokes.painted).clamp(0, 1)
        skipped = 0.5 * hand.dry * paper + strokes.along * hand.dry * 0.7 - 0.25 * (1 - hand.dry)
        touched = inside * torch.sigmoid(
            (strokes.load.clamp_min(0.3) * (1.3 - 0.8 * hand.dry * paper) - skipped) / 0.06
        )
        touched = torch.where(strokes.painted > 0.5, touched, inside)

        clear = blur(strokes.ink[:, :1] * strokes.painted, 1)  # the ground's ink: a thirsty brush
        full = (strokes.load >= 1.29).float() * strokes.painted
        # what lies under another ink was left out, nearly
        left_out = touched * (0.95 + 0.035 * torch.maximum(full, clear))
        afloat, stain = afloat * (1 - left_out), stain * (1 - left_out)
        dose = (
            touched
            * (1 - clear)
            * (0.35 + 0.8 * strokes.load.clamp(0, 1.3))
            * (0.82 + 0.36 * strokes.bristle * hand.dry)
        )
        colours = torch.where(strokes.painted > 0.5, strokes.ink, blur(strokes.ink * strokes.painted, 2))[:, 1:]
        afloat = afloat + colours * dose
        water = torch.maximum(water * 0.6, touched * (0.5 + 0.5 * strokes.load.clamp(0, 1.2)))
        wetted = torch.maximum(wetted * 0.5, (touched + soft * hand.wet * (paper < 0.55) * 0.6).clamp(0, 1))

        for _ in range(7):
            afloat, water = self._flowed(afloat, water, wetted, paper)
        stain, afloat = stain + 0.45 * afloat, 0.55 * afloat
        kept = 1 - strokes.bare
        self.afloat[at], self.stain[at] = afloat * kept, stain * kept
        self.wet[at], self.wetted[at] = water * kept, wetted * kept

    def _flowed(self, afloat: Tensor, water: Tensor, wetted: Tensor, paper: Tensor) -> tuple[Tensor, Tensor]:
        """One moment: water dries, soonest at its rim, levels, and carries pigment along."""
        hand = self.hand
        rim = (1 - blur(wetted)).clamp(0, 1) * wetted
        water = (water - 0.012 * (0.3 + 3.0 * rim)).clamp_min(0)
        water = water + (blur(water) - water) * 0.5 * wetted
        soak = (0.15 + 0.85 * hand.wet) * (0.35 + 0.65 * (1 - paper)) * wetted
        for axis in (-1, -2):
            open_ = torch.minimum(*_neighbours(wetted, axis))
            near, far = _neighbours(water, axis)
            # more than a tenth of a cell at once makes a chequerboard
            speed = (0.85 * (near - far) * open_).clamp(-0.11, 0.11)
            near, far = _neighbours(afloat, axis)
            flow = speed.clamp_min(0) * near + speed.clamp_max(0) * far
            flow = flow + 0.05 * hand.wet * (near - far) * torch.minimum(*_neighbours(soak, axis))
            before, after = ((1, 0), (0, 1)) if axis == -1 else ((0, 0, 1, 0), (0, 0, 0, 1))
            afloat = afloat + F.pad(flow, before) - F.pad(flow, after)
        return afloat, water

    def dried(self) -> Tensor:
        hand = self.hand
        for _ in range(round(10 * max(1.0, self.scale))):
            self.afloat, self.wet = self._flowed(self.afloat, self.wet, self.wetted, self.paper)
        settles = (1 + hand.grain * (0.42 - 0.84 * blur(self.paper))).clamp_min(0.1)
        pigment = (self.afloat + self.stain) * settles
        depth = pigment.sum(1, keepdim=True)
        clear = torch.exp(-2.1 * depth)
        self.inks = torch.cat([clear, (1 - clear) * pigment / (depth + 1e-4)], 1)
        shade = lit(self.paper * 0.010 * (0.4 + hand.relief), self.side, 55.0) * 0.5
        return self.finished(shade - (depth - 0.95).clamp(0, 1.2) * 0.2)


class Print(Surface):
    """Relief print: carved blocks, inked and pressed one after the other. Ink is squeezed to the rims, salts where the
    roller ran dry, and takes badly on ink that is wet."""

    def lay(self, strokes: Strokes, rows: slice, columns: slice) -> None:
        hand, at = self.hand, (..., rows, columns)
        inks, height, wet = self.inks[at], self.height[at], self.wet[at]
        bristle, paper, scale = strokes.bristle, strokes.paper, self.scale
        line = 0.97 - 0.26 * hand.ragged * (0.35 + 0.65 * strokes.across.abs())
        gouge = torch.sigmoid((bristle - line) / 0.02) * torch.sigmoid((strokes.half_width - 0.0035) / 0.0006)
        gouge = gouge * (strokes.load < 1.29)
        radius = round(3 + 4 * scale)
        block = strokes.whole * (1 - gouge * strokes.painted)
        for _ in range(radius):  # the knife rounds what is carved
            block = ((blur(block) - 0.5) * 2.2 + 0.5).clamp(0, 1)

        # ink is squeezed out of the middle of what stands, towards its rims
        film = block * (1.0 - 0.5 * hand.dry * (coarse(bristle, 16) - 0.3))
        soft = blur(block, radius)
        for _ in range(10):
            pressed = blur(film, 1) * block
            film = film + (pressed - film) * 0.35 + 0.03 * (block - soft).clamp(0, 1) * block
        rim = (block - soft).clamp(0, 1)
        takes = film - hand.grain * paper * 0.55 + 0.5 * rim * hand.wet - 0.35 * wet * (0.4 + paper) * hand.dry
        colours = torch.where(strokes.painted > 0.5, strokes.ink, blur(strokes.ink * strokes.painted, 1))
        colours = colours / colours.sum(1, keepdim=True).clamp_min(1e-3)
        paper_ink = colours[:, :1]  # where the block says ground, it was carved away before
        cover = block * torch.maximum(torch.sigmoid((takes - 0.5) / 0.07), paper_ink)
        cover = cover * (1 - strokes.whole + strokes.painted).clamp(0, 1)
        strength = cover * (0.95 + 0.04 * torch.maximum(paper_ink, 1 - hand.wet * torch.ones_like(paper_ink)))
        over = cover * (1 - inks[:, :1]) * (1 - paper_ink)
        inks = inks * (1 - strength) + colours * strength
        height = height * (1 - cover * paper_ink) + cover * (1 - paper_ink) * (0.35 + 0.9 * rim)
        shaded = 0.3 * over * hand.wet + 0.28 * rim * cover * (0.3 + hand.wet) * (1 - paper_ink)
        dark = self.dark[at] * (1 - cover) + shaded
        wet = torch.maximum(wet * 0.6, cover * (1 - paper_ink))

        kept = 1 - strokes.bare
        self.inks[at] = inks * kept + strokes.ink * strokes.bare
        self.height[at], self.wet[at], self.dark[at] = height * kept, wet * kept, dark * kept

    def __init__(self, hand: Hand, paper: Tensor, side: int) -> None:
        super().__init__(hand, paper, side)
        self.dark = torch.zeros_like(paper)

    def dried(self) -> Tensor:
        hand = self.hand
        body = blur(self.height) * 0.012 * hand.relief + self.paper * 0.004 * hand.grain
        return self.finished(lit(body, self.side, 55.0) * 0.5 - self.dark)


class Chalk(Surface):
    """Dry sticks on toothed paper. Dust catches on what stands up, fills the tooth, and is dragged along by the next."""

    def __init__(self, hand: Hand, paper: Tensor, side: int) -> None:
        super().__init__(hand, paper, side)
        self.dust = torch.zeros_like(paper)  # how full the tooth is

    def lay(self, strokes: Strokes, rows: slice, columns: slice) -> None:
        hand, at = self.hand, (..., rows, columns)
        inks, dust = self.inks[at], self.dust[at]
        bristle = strokes.bristle
        paper = (0.5 + 1.25 * (strokes.paper - coarse(strokes.paper, round(12 * max(1.0, self.scale))))).clamp(0, 1)

        smeared, full, reach = inks, dust, 1.9 * max(1.0, self.scale)
        pull = strokes.painted * hand.wet * (0.3 + 0.6 * bristle)
        for _ in range(8):
            smeared = smeared + (upstream(smeared, strokes, reach) - smeared) * pull
            full = full + (upstream(full, strokes, reach) - full) * pull
        inks = inks + (smeared - inks) * (0.8 * dust.clamp(0, 1))
        dust = dust + (full - dust) * 0.5

        crumbles = (paper - 0.5) * 0.012 * hand.ragged + (bristle - 0.6) * 0.006 * hand.ragged
        inside = self.crisp(strokes.edge + crumbles) * strokes.painted
        pressure = 0.62 + 0.42 * strokes.load.clamp(0, 1.3) - 0.5 * hand.dry
        pressure = pressure + 0.35 * (bristle - 0.5) - 0.18 * torch.exp(-strokes.rest / 0.02)
        valley = paper * (0.45 + 0.75 * hand.grain) + 0.28 * dust.clamp(0, 1)
        cover = inside * torch.sigmoid((pressure - valley) / 0.07)
        rubbed = inside * (0.16 + 0.3 * hand.wet)  # dust that is rubbed into the valleys
        lies = torch.maximum(cover, rubbed)
        eraser = strokes.ink[:, :1] * inside
        inks = inks * (1 - lies) + strokes.ink * lies
        dust = (dust * (1 - 0.3 * cover) + 0.8 * cover) * (1 - 0.7 * eraser)

        kept = 1 - strokes.bare
        self.inks[at] = inks * kept + strokes.ink * strokes.bare
        self.dust[at] = dust * kept

    def dried(self) -> Tensor:
        hand = self.hand
        body = blur(self.dust + self.paper * 0.5) * 0.010 * (0.2 + hand.relief) + self.paper * 0.004 * hand.grain
        bright = (self.dust - 0.6).clamp(-0.4, 0.4) * 0.10 * (self.dust > 0.02)
        return self.finished(lit(body, self.side, 55.0) * 0.6 + bright)


SURFACES: dict[str, type[Surface]] = {"gouache": Gouache, "wash": Wash, "print": Print, "chalk": Chalk}


# ── what they share ───────────────────────────────────────────────────────────────────────────────────────────────────


def blur(x: Tensor, times: int = 1) -> Tensor:
    """A binomial kernel of three, across and down, some times."""
    for _ in range(times):
        x = F.pad(x, (1, 1, 1, 1), mode="replicate")
        x = (x[..., :-2] + 2 * x[..., 1:-1] + x[..., 2:]) / 4
        x = (x[..., :-2, :] + 2 * x[..., 1:-1, :] + x[..., 2:, :]) / 4
    return x


def coarse(x: Tensor, by: int) -> Tensor:
    """Only what is larger than some pixels."""
    small = F.avg_pool2d(x, by, by, ceil_mode=True, count_include_pad=False)
    return F.interpolate(small, size=x.shape[-2:], mode="bilinear")


def upstream(x: Tensor, strokes: Strokes, far: float) -> Tensor:
    """What lies `far` pixels behind the brush."""
    height, width = x.shape[-2:]
    across = torch.arange(width, device=x.device) - strokes.heading_x[0, 0] * far
    down = torch.arange(height, device=x.device)[:, None] - strokes.heading_y[0, 0] * far
    grid = torch.stack([across / (width - 1) * 2 - 1, down / (height - 1) * 2 - 1], -1)[None]
    return F.grid_sample(x, grid, padding_mode="border", align_corners=True)


def _neighbours(x: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """Each cell but the last, and the one after it."""
    count = x.shape[axis] - 1
    return x.narrow(axis, 0, count), x.narrow(axis, 1, count)


def lit(body: Tensor, side: int, steepness: float) -> Tensor:
    """How light from the upper left falls on a surface: below zero in shadow."""
    right = F.pad(body, (1, 1, 0, 0), mode="replicate")
    down = F.pad(body, (0, 0, 1, 1), mode="replicate")
    slope = 0.6 * (right[..., 2:] - right[..., :-2]) + 0.8 * (down[..., 2:, :] - down[..., :-2, :])
    slope = slope * (steepness * side / REFERENCE)
    return slope / torch.sqrt(1 + slope * slope)
