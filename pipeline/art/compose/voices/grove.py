"""Grove: trees that grow towards free places until there are none (space colonisation, Runions et al. 2007)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.art.compose.chance import Chance, around, cos, cosines, length, sin, sines
from pipeline.art.compose.marks import Composition, Points, Sheet
from pipeline.art.compose.voice import Voice, number
from pipeline.base.records import Attribute

ROUNDS = 60
MOST = 1300  # nodes of one tree


@dataclass(frozen=True)
class Law:
    margin: float
    crowns: tuple[str, ...]
    crown: str  # of this token
    bark: int
    massed: float  # share of tokens whose crowns are bodies
    leaf: str
    leaf_inks: tuple[int, ...]
    accent: int
    fruit: float
    thick: float
    droop: float
    shadow: int
    ground: str
    plans: tuple[str, ...]


def law(chance: Chance) -> Law:
    inks = chance.shuffled((1, 2, 3))
    crowns = tuple(chance.shuffled(("cloud", "disc", "square", "cone", "umbrella"))[:2])
    return Law(
        margin=chance.one(0.06, 0.075),
        crowns=crowns,
        crown=crowns[0],
        bark=4,
        massed=chance.one(0.6, 0.9, 1.0),
        leaf=chance.one("leaves", "leaves", "dots", "bare", "needles"),
        leaf_inks=chance.one((inks[0], inks[0], inks[1]), (inks[0], inks[1])),
        accent=inks[2],
        fruit=chance.one(0.0, 0.03, 0.08),
        thick=chance(0.8, 1.4),
        droop=chance.one(-0.1, 0.0, 0.14),
        shadow=inks[1],
        ground=chance.one("line", "none", "roots", "band"),
        plans=tuple(chance.shuffled(("one", "pair", "row", "wood", "cropped"))[:3]),
    )


@dataclass(frozen=True)
class Tree:
    x: float
    foot: float
    high: float
    wide: float  # of its crown, half


def compose(law: Law, chance: Chance) -> Composition:
    sheet, plan = Sheet(), chance.of(law.plans)
    law = replace(law, crown=chance.of(law.crowns))
    trees = _places(law, chance, plan)
    ground = max(tree.foot for tree in trees)
    _ground(sheet, law, chance, ground, trees)
    massed = chance.happens(law.massed)
    branches = leaves = fruit = 0
    for tree in trees:
        crown = _crown(law, chance, tree)
        if massed:
            _mass(sheet, law, tree, crown, chance.of(law.leaf_inks))
        nodes, parents = _grown(law, chance, tree, _free(law, chance, tree, crown))
        load = _loads(parents)
        if law.ground == "roots":
            _roots(sheet, law, chance, tree, 0)
        branches += _branches(sheet, law, nodes, parents, load, tree)
        found, rare = _leaves(sheet, law, chance, nodes, load, tree)
        leaves += found
        fruit += rare
    if plan == "cropped":
        sheet.frame(law.margin)
    return sheet.composition(
        [
            number("Trees", len(trees)),
            number("Branches", branches),
            number("Leaves", leaves),
            number("Fruit", fruit),
            Attribute("Crown", law.crown.capitalize()),
            Attribute("Plan", plan.capitalize()),
        ]
    )


def _places(law: Law, chance: Chance, plan: str) -> list[Tree]:
    low, high = law.margin, 1 - law.margin
    foot = high - (0.13 if law.ground == "roots" else 0.015)
    if plan == "one":
        return [Tree(chance(0.42, 0.58), foot, (foot - low) * chance(0.88, 1.0), chance(0.24, 0.42))]
    if plan == "cropped":
        return [Tree(chance(0.3, 0.7), 1.05, 1.05, chance(0.5, 0.62))]
    if plan == "pair":
        tall = (foot - low) * chance(0.7, 0.98)
        split = chance(0.36, 0.64)
        return [
            Tree(low + 0.86 * split * 0.5, foot, tall * chance(0.45, 1.0), 0.4 * split),
            Tree(high - 0.86 * (1 - split) * 0.5, foot, tall, 0.4 * (1 - split)),
        ]
    count = chance.whole(3, 5) if plan == "row" else chance.whole(6, 11)
    step = (high - low) / count
    tall = (foot - low) * chance(0.6, 1.0)
    trees = []
    for k in range(count):
        x = low + step * (k + 0.5) + (chance.normal(step * 0.12) if plan == "wood" else 0.0)
        lift = chance(0.0, 0.09) if plan == "wood" else 0.0
        trees.append(
            Tree(x, foot - lift, tall * (chance(0.5, 1.0) if plan == "wood" else chance(0.88, 1.0)), step * 0.52)
        )
    return sorted(trees, key=lambda tree: tree.foot)


@dataclass(frozen=True)
class Crown:
    middle: float
    half: float
    high: float  # half, too
    lobes: tuple[tuple[float, float, float], ...]


def _crown(law: Law, chance: Chance, tree: Tree) -> Crown:
    half, high = tree.wide, tree.high * chance(0.3, 0.38)
    if law.crown == "disc":
        high = half = min(half, high * 1.15)
    lobes = [(chance(-0.5, 0.5), chance(-0.5, 0.6), chance(0.4, 0.7)) for _ in range(chance.whole(3, 6))]
    return Crown(tree.foot - tree.high + high, half, high, tuple(lobes))


def _mass(sheet: Sheet, law: Law, tree: Tree, crown: Crown, ink: int) -> None:
    """The crown as one body, cut from paper, behind its branches."""
    x, y, half, high = tree.x, crown.middle, crown.half * 1.06, crown.high * 1.05
    if law.crown == "square":
        sheet.shape([(x - half, y - high), (x + half, y - high), (x + half, y + high), (x - half, y + high)], ink)
    elif law.crown == "cone":
        sheet.shape([(x, y - high * 1.12), (x + half * 1.08, y + high), (x - half * 1.08, y + high)], ink)
    elif law.crown == "cloud":
        for a, b, s in crown.lobes:
            sheet.disc(x + a * half, y + b * high, s * half * 1.1, ink, high / half)
    else:
        turn = around(96)
        below = np.minimum(y + high * sines(turn), y + high * (0.3 if law.crown == "umbrella" else 1.0))
        sheet.shape(np.stack([x + half * cosines(turn), below], 1), ink)


def _free(law: Law, chance: Chance, tree: Tree, crown: Crown) -> Points:
    """Free places in the crown, for twigs to grow towards."""
    half, high, middle = crown.half, crown.high, crown.middle
    wanted, places = int(110 + 1500 * tree.high * half), list[tuple[float, float]]()
    for _ in range(wanted * 8):
        u, v = chance(-1.0, 1.0), chance(-1.0, 1.0)
        inside = {
            "square": True,
            "disc": u * u + v * v < 1,
            "cone": abs(u) < (v + 1.05) / 2,
            "umbrella": u * u + v * v < 1 and v < 0.25,
            "cloud": any(length((u - a) / s, (v - b) / s) < 1 for a, b, s in crown.lobes),
        }[law.crown]
        if inside:
            places.append((tree.x + u * half, middle + v * high))
        if len(places) == wanted:
            break
    return np.array(places, np.float64).reshape(-1, 2)


def _grown(law: Law, chance: Chance, tree: Tree, free: Points) -> tuple[Points, list[int]]:
    """Nodes and their parents: a trunk up to the crown, then twigs towards what is free."""
    step, lean = 0.007 + 0.006 * tree.high, chance(-0.2, 0.2)
    nodes, parents = [(tree.x, tree.foot)], [-1]
    bottom = float(free[:, 1].max()) if len(free) else tree.foot - tree.high * 0.5
    while nodes[-1][1] > bottom - tree.high * 0.06 and len(nodes) < 80:
        x, y = nodes[-1]
        nodes.append((x + step * lean * chance(0.1, 1.5), y - step))
        parents.append(len(nodes) - 2)
    grown = np.array(nodes)
    nearest, distance = np.zeros(len(free), np.int64), np.full(len(free), 9.0)
    fresh = 0
    alive = np.ones(len(free), np.bool_)
    for _ in range(ROUNDS):
        for i in range(fresh, len(grown)):
            dx, dy = free[:, 0] - grown[i, 0], free[:, 1] - grown[i, 1]
            far = dx * dx + dy * dy
            closer = far < distance
            nearest[closer], distance[closer] = i, far[closer]
        fresh = len(grown)
        alive &= distance > step * step * 1.6
        pulled = np.nonzero(alive)[0]
        if not len(pulled) or len(grown) > MOST:
            break
        pull = np.zeros_like(grown)
        toward = (free[pulled] - grown[nearest[pulled]]) / np.sqrt(distance[pulled])[:, None]
        np.add.at(pull, nearest[pulled], toward)
        strong = np.sqrt(pull[:, 0] * pull[:, 0] + pull[:, 1] * pull[:, 1])
        budding = np.nonzero(strong > 1e-6)[0]
        wobble = np.array([(chance.normal(0.16), chance.normal(0.16) + law.droop) for _ in budding])
        grown = np.concatenate([grown, grown[budding] + (pull[budding] / strong[budding, None] + wobble) * step])
        parents += budding.tolist()
    return grown, parents


def _loads(parents: list[int]) -> NDArray[np.float64]:
    """How many nodes hang on each."""
    load = np.ones(len(parents))
    for i in range(len(parents) - 1, 0, -1):
        load[parents[i]] += load[i]
    return load


def _branches(sheet: Sheet, law: Law, nodes: Points, parents: list[int], load: NDArray[np.float64], tree: Tree) -> int:
    """Chains from each tip down to what is drawn already; widths add up by their squares, as Leonardo saw it."""
    widths = (0.0016 + 0.00125 * np.sqrt(load) * (0.5 + tree.high)) * law.thick
    leaf = np.ones(len(parents), np.bool_)
    leaf[[p for p in parents if p >= 0]] = False
    done, drawn = np.zeros(len(parents), np.bool_), 0
    for tip in sorted(np.nonzero(leaf)[0].tolist(), key=lambda i: (length(*(nodes[i] - nodes[0])), i), reverse=True):
        chain = [tip]
        while parents[chain[-1]] >= 0 and not done[chain[-1]]:
            done[chain[-1]] = True
            chain.append(parents[chain[-1]])
        if len(chain) > 1:
            sheet.stroke(nodes[chain[::-1]], widths[chain[::-1]], law.bark, 1.2, pace=0.12)
            drawn += 1
    return drawn


def _leaves(
    sheet: Sheet, law: Law, chance: Chance, nodes: Points, load: NDArray[np.float64], tree: Tree
) -> tuple[int, int]:
    """On thin twigs; one here and there is a fruit."""
    if law.leaf == "bare" and law.fruit == 0:
        return 0, 0
    thin = np.nonzero(load < 7)[0]
    share = {"leaves": 1.3, "dots": 0.8, "needles": 2.0, "bare": 0.1}[law.leaf]
    laid = rare = 0
    for _ in range(int(len(thin) * share)):
        x, y = nodes[thin[chance.whole(0, len(thin) - 1)]]
        x, y = float(x) + chance.normal(0.008), float(y) + chance.normal(0.008)
        size = (0.008 + 0.014 * tree.high) * chance(0.6, 1.3)
        if chance.happens(law.fruit) or law.leaf == "bare":
            sheet.disc(x, y, size * 0.55, law.accent)
            rare += 1
            continue
        ink = chance.of(law.leaf_inks)
        angle = chance(0.0, 6.28)
        dx, dy = cos(angle) * size, sin(angle) * size
        if law.leaf == "leaves":
            sheet.stroke([(x - dx, y - dy), (x, y), (x + dx, y + dy)], [0.0008, size * 0.8, 0.0008], ink, 1.1)
        elif law.leaf == "needles":
            sheet.stroke([(x, y), (x + dx, y + dy)], [size * 0.2, 0.0008], ink, 1.0)
        else:
            sheet.disc(x, y, size * 0.4, ink)
        laid += 1
    return laid, rare


def _ground(sheet: Sheet, law: Law, chance: Chance, y: float, trees: list[Tree]) -> None:
    low, high = law.margin, 1 - law.margin
    if y >= 1 or law.ground == "none":
        return
    if law.ground == "band":
        top = min(tree.foot for tree in trees) - 0.02
        sheet.shape([(low, top), (high, top), (high, high), (low, high)], law.shadow)
    else:
        sheet.stroke([(low, y), (high, y)], 0.007, law.bark, 1.2)


def _roots(sheet: Sheet, law: Law, chance: Chance, tree: Tree, depth: int) -> None:
    """Below ground, forking twice or three times."""
    tips = [(tree.x, tree.foot, math.pi / 2 + chance(-0.2, 0.2) + k * 0.5, 0.05 + 0.06 * tree.high) for k in (-1, 0, 1)]
    width = 0.016 * tree.high * law.thick
    for level in range(4):
        following = []
        for x, y, angle, far in tips:
            to = (x + cos(angle) * far, min(y + sin(angle) * far, 1 - law.margin))
            w = width * 0.62**level
            sheet.stroke([(x, y), to], [w, w * 0.6], law.bark, 1.1, round_ends=True)
            following += [(*to, angle + side * chance(0.2, 0.6), far * chance(0.5, 0.75)) for side in (-1, 1)]
        tips = following if level < 2 else [tip for tip in following if chance.happens(0.5)]


GROVE = Voice("grove", "trees that grow towards what is free", law, compose)
