"""A small judge of pictures, learned from what one person kept and what that person rejected.

It sees a proof of PROOF pixels as some two hundred numbers (where it is light, busy and colourful, how much of each level
there is) and weighs them by ridge-regularised logistic regression, which so few decisions can carry. It orders the
attempts of a token; it never refuses one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipeline.base.errors import GenerationError
from pipeline.base.files import read_regular, write_whole
from pipeline.base.untrusted import parse_json

if TYPE_CHECKING:
    from pipeline.art.draw import Drawing

Features = NDArray[np.float64]

FORMAT = "nft-pipeline/judge/v1"
PROOF = 96
CELLS = 8  # across and down
FEWEST = 8  # decisions of each kind
FOLDS = 5
STEPS = 30  # of Newton's method: it stands still long before
PRICES = (1.0, 10.0, 100.0, 1000.0)  # on large weights; the one that judges best what it was not shown is taken
LARGEST = 1 << 20  # bytes of a judge's file


@dataclass(frozen=True, slots=True, eq=False)
class Judge:
    middle: Features  # (F,)
    spread: Features
    weights: Features
    sha256: str = ""  # of its file

    def score(self, pixels: NDArray[np.uint8]) -> float:
        """The higher, the more like what was kept."""
        return float(((features(pixels) - self.middle) / self.spread * self.weights).sum())

    def ranked(self, draw: Callable[[int, int], Drawing], seeds: Sequence[int]) -> list[int]:
        """The seeds, those first whose proofs it likes best; a proof with a flaw goes last."""
        proofs = [draw(seed, PROOF) for seed in seeds]
        keys = [(bool(proof.flaw), -round(self.score(proof.pixels), 6), i) for i, proof in enumerate(proofs)]
        return [seeds[key[-1]] for key in sorted(keys)]


@dataclass(frozen=True, slots=True)
class Learned:
    """A judge, and how well ones like it judged decisions that they were not shown."""

    judge: Judge
    kept: int
    rejected: int
    held_out: float  # how often a kept picture is put before a rejected one: 0.5 is chance, 1 is always


def learn(kept: Sequence[NDArray[np.uint8]], rejected: Sequence[NDArray[np.uint8]]) -> Learned:
    """A judge from the pixels of decisions. Raises GenerationError for too few of a kind."""
    if min(len(kept), len(rejected)) < FEWEST:
        raise GenerationError(
            reason=f"{len(kept)} kept and {len(rejected)} rejected pictures are too few to learn from: {FEWEST} of each",
            hint="mint with --stop-after generate draws and waits; `pipeline reject --help` tells how to say what you do not like",
        )
    rows = np.array([features(pixels) for pixels in (*kept, *rejected)])
    liked = np.array([1.0] * len(kept) + [0.0] * len(rejected))
    price, held_out = max(((price, _held_out(rows, liked, price)) for price in PRICES), key=lambda pair: pair[1])
    return Learned(_fitted(rows, liked, price), len(kept), len(rejected), held_out)


def write_judge(path: Path, judge: Judge) -> None:
    values = {name: getattr(judge, name).tolist() for name in ("middle", "spread", "weights")}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps({"format": FORMAT, **values}).encode())


def read_judge(path: Path) -> Judge:
    """Raises GenerationError where there is none, or none that can be read."""
    try:
        data = read_regular(path, LARGEST)
        said = parse_json(data)
        columns = [np.array(said[name], np.float64) for name in ("middle", "spread", "weights")]
        sound = said["format"] == FORMAT and len({column.shape for column in columns}) == 1
        if not sound or not all(np.isfinite(column).all() for column in columns) or columns[0].shape != (COUNT,):
            raise ValueError("it is another version's, or cut short")
    except FileNotFoundError as error:
        raise GenerationError(
            reason="no judge has learned from decisions about this collection yet",
            hint="`pipeline judge --help` tells how one learns; leave --proofs out until then",
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise GenerationError(
            reason=f"cannot use the judge at {path}: {error}", hint="`pipeline judge` trains it again"
        ) from error
    middle, spread, weights = columns
    return Judge(middle, spread, weights, hashlib.sha256(data).hexdigest())


# ── what it sees ─────────────────────────────────────────────────────────────────────────────────────────────


def features(pixels: NDArray[np.uint8]) -> Features:
    """(H, W, 3) pixels as (COUNT,) numbers; whatever their size, those of the proof."""
    from PIL import Image

    small = np.asarray(Image.fromarray(pixels, "RGB").resize((PROOF, PROOF), Image.Resampling.BOX), np.float64) / 255
    grey, colourful = small.mean(2), small.max(2) - small.min(2)
    busy = np.zeros_like(grey)
    busy[:, 1:] += abs(np.diff(grey, axis=1))
    busy[1:] += abs(np.diff(grey, axis=0))
    cells = [_cells(plane) for plane in (abs(grey - np.median(grey)), busy, colourful)]
    levels = np.histogram(grey, 8, (0, 1))[0] / grey.size
    sorted_levels = np.sort(levels)[::-1]  # whichever they are
    whole = [float(plane.mean()) for plane in (grey, busy, colourful)] + [float(cell.std()) for cell in cells]
    lopsided = [float(abs(cell - cell[:, ::-1]).mean()) for cell in cells] + [float(cell[:4].mean()) for cell in cells]
    found: Features = np.concatenate([*(cell.ravel() for cell in cells), levels, sorted_levels, whole, lopsided])
    return found


COUNT = 3 * CELLS * CELLS + 8 + 8 + 6 + 6


def _cells(plane: Features) -> Features:
    side = PROOF // CELLS
    means: Features = plane.reshape(CELLS, side, CELLS, side).mean((1, 3))
    return means


# ── how it learns ────────────────────────────────────────────────────────────────────────────────────────────


def _fitted(rows: Features, liked: Features, price: float) -> Judge:
    """Newton's method on the logistic loss, both kinds weighing alike, with a price on the square of each weight."""
    middle, spread = rows.mean(0), rows.std(0) + 1e-6
    scaled = np.concatenate([(rows - middle) / spread, np.ones((len(rows), 1))], 1)
    each = np.where(liked > 0, 0.5 / liked.sum(), 0.5 / (1 - liked).sum()) * len(rows)
    prices = np.full(scaled.shape[1], price)
    prices[-1] = 1e-3  # where the middle lies is free
    weights = np.zeros(scaled.shape[1])
    for _ in range(STEPS):
        likely = 1 / (1 + np.exp(-np.clip(scaled @ weights, -30, 30)))
        slope = scaled.T @ (each * (likely - liked)) + prices * weights
        curve = (scaled * (each * likely * (1 - likely))[:, None]).T @ scaled + np.diag(prices)
        step = np.linalg.solve(curve, slope)
        weights -= step
        if abs(step).max() < 1e-9:
            break
    return Judge(middle, spread, weights[:-1])


def _held_out(rows: Features, liked: Features, price: float) -> float:
    """How often a kept picture comes before a rejected one, each judged by a judge that saw neither."""
    scores = np.zeros(len(rows))
    fold = np.zeros(len(rows), np.int64)
    for kind in (0.0, 1.0):  # of each kind as many in every fold
        members = np.flatnonzero(liked == kind)
        fold[members] = np.arange(len(members)) % FOLDS
    for k in range(FOLDS):
        judge = _fitted(rows[fold != k], liked[fold != k], price)
        scores[fold == k] = ((rows[fold == k] - judge.middle) / judge.spread) @ judge.weights
    same = [(scores[(fold == k) & (liked > 0)], scores[(fold == k) & (liked == 0)]) for k in range(FOLDS)]
    pairs = np.concatenate([np.sign(good[:, None] - bad[None]).ravel() for good, bad in same])
    return float((pairs.mean() + 1) / 2)
