"""Adversarial training of the default painter, on pictures that `families.py` draws.

Two critics judge each fake against a real picture of the same family at the same places: one sees the whole canvas,
one sees a crop. The loss is the relativistic pairing of Jolicoeur-Martineau (2019) with zero-centred gradient
penalties on both sides (R1 + R2), as in R3GAN (Huang et al. 2024). Nothing is reconstructed and no picture is copied:
the painter only ever learns through the critics, beside a small price on open gates.

This is one more game of the one trainer: `pipeline train --model default`.
"""

from __future__ import annotations

import copy
import math
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.art.draw.artist import Artist
from pipeline.art.draw.checkpoint import COLLAPSED, write_trained
from pipeline.art.draw.traits import PROOF, edge_density
from pipeline.art.models.blueprint import completed
from pipeline.art.models.critic import Critic
from pipeline.art.models.families import FAMILIES, INKS, MAX_SHADE, PLANES, UPRIGHT, free_inks, paint
from pipeline.art.models.family_gan import DEFAULT, FamilyRecipe, critics
from pipeline.art.models.losses import LOSSES, zero_centred
from pipeline.art.models.painter import Painter, PainterConfig, paint_fields
from pipeline.art.models.vocabulary import GROUPS, draw_numbers, fields
from pipeline.art.train.alarms import Watch
from pipeline.art.train.trainer import Trainer, gradient_norm, spread

if TYPE_CHECKING:
    from numpy.typing import NDArray

DRAWN_HERE = "families"  # what a run says its pictures are: drawn by this program, from nobody's work
GRID = 36  # tokens that are drawn at each checkpoint


class BatchNoise:
    """Numbers for a training batch; see `canvas.Noise`."""

    def __init__(self, batch: int, generator: torch.Generator) -> None:
        self.batch, self.generator = batch, generator

    def uniform(self, name: str, *shape: int) -> Tensor:
        return torch.rand(self.batch, *shape, generator=self.generator)

    def normal(self, name: str, *shape: int) -> Tensor:
        return torch.randn(self.batch, *shape, generator=self.generator)


class _Mine:
    """This process's rows of a batch's numbers; every process draws all of them, so that all take the same step."""

    def __init__(self, noise: BatchNoise, trainer: Trainer) -> None:
        self._noise, self._share = noise, trainer.processes.share

    def uniform(self, name: str, *shape: int) -> Tensor:
        return self._share(self._noise.uniform(name, *shape))

    def normal(self, name: str, *shape: int) -> Tensor:
        return self._share(self._noise.normal(name, *shape))


class Gallery:
    """The real pictures, as bytes, read at any points."""

    def __init__(self, recipe: FamilyRecipe) -> None:
        side = recipe.picture_side
        self.side = side
        self.planes = torch.empty(len(FAMILIES), recipe.pictures, PLANES, side, side, dtype=torch.uint8)
        for family in range(len(FAMILIES)):
            for number in range(recipe.pictures):
                planes = paint(family, number, side)
                planes[-1] = planes[-1] / (2 * MAX_SHADE) + 0.5
                self.planes[family, number] = (planes * 255).round().byte()

    def read(self, families: Tensor, corner: Tensor, scale: Tensor, side: int, rng: torch.Generator) -> Tensor:
        """A square of side `scale` at `corner` of a random picture of each family, varied: (B, 6, side, side)."""
        out = torch.empty(len(families), PLANES, side, side)
        for i, family in enumerate(families.tolist()):
            number = int(torch.randint(self.planes.shape[1], (), generator=rng))
            flip_x, flip_y, swap = (torch.rand(3, generator=rng) < 0.5).tolist()
            free = free_inks(family)
            inks = torch.randperm(len(free), generator=rng) + free.start
            x, y = ((axis * 0.5 + 0.5) * self.side for axis in grid(corner[i : i + 1], scale[i : i + 1], side))
            x, y = x[0].long(), y[0].long()
            x = self.side - 1 - x if flip_x else x
            upright = family in UPRIGHT
            y = self.side - 1 - y if flip_y and not upright else y
            picture = self.planes[family, number]
            square = picture[:, x][:, :, y].mT if swap and not upright else picture[:, y][:, :, x]
            out[i] = square.float() / 255
            out[i, free.start : free.stop] = out[i, inks]
        out[:, INKS] = (out[:, INKS] - 0.5) * 2 * MAX_SHADE
        return out


def grid(corner: Tensor, scale: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """Axes of B squares with `corner` (B, 2) and `scale` (B,) in shares of the canvas: x (B, side), y (B, side)."""
    steps = (torch.arange(side) + 0.5) / side * scale[:, None]
    return (corner[:, :1] + steps) * 2 - 1, (corner[:, 1:] + steps) * 2 - 1


@dataclass(frozen=True, slots=True)
class View:
    """Where a batch is looked at: whole canvases, or crops."""

    corner: Tensor  # (B, 2)
    scale: Tensor  # (B,)
    side: int

    def points(self) -> tuple[Tensor, Tensor]:
        x, y = grid(self.corner, self.scale, self.side)
        shape = (len(x), self.side, self.side)
        return x[:, None, :].expand(shape).flatten(1), y[:, :, None].expand(shape).flatten(1)  # (B, N) each

    def place(self) -> Tensor:
        shape = (len(self.scale), self.side, self.side)
        x, y = (axis.view(shape) for axis in self.points())
        return torch.stack([x, y, (self.scale.log2() / 2 + 0.8)[:, None, None].expand(shape)], 1)


class FamilyGame:
    """The painter against two critics, one for whole canvases and one for crops, all told which family it is."""

    def __init__(self, recipe: FamilyRecipe, sizes: PainterConfig | None = None) -> None:
        self.recipe, self.sizes = recipe, sizes or PainterConfig()
        self.seed, self.batch, self.ema = recipe.seed, recipe.batch, recipe.ema
        self.advice = f"start anew with a lower --lr (it was {recipe.lr:g}) or --critic-lr"

    @cached_property
    def gallery(self) -> Gallery:
        return Gallery(self.recipe)

    @property
    def settings(self) -> dict[str, Any]:
        return {"model": DEFAULT.name, "sizes": self.sizes.as_dict(), "recipe": asdict(self.recipe)}

    def generator(self) -> Painter:
        return Painter(self.sizes)

    def partner(self) -> nn.ModuleDict:
        return critics(self.recipe)

    def adams(self, generator: nn.Module, partner: nn.Module) -> tuple[torch.optim.Adam, torch.optim.Adam]:
        recipe, painter = self.recipe, cast(Painter, generator)
        betas = (recipe.beta1, recipe.beta2)
        weights = [p for name, p in painter.named_parameters() if name != "gates"]
        rates = [{"params": weights, "lr": recipe.lr}, {"params": [painter.gates], "lr": recipe.lr_gates}]
        return torch.optim.Adam(rates, betas=betas), torch.optim.Adam(partner.parameters(), recipe.critic_lr, betas)

    def began_alike(self, name: str, began: Any) -> bool:
        if name == "recipe" and isinstance(began, dict):
            began = completed(type(self.recipe), began)
        return bool(began == self.settings.get(name))

    def schedule(self, step: int) -> float:
        """A linear warm-up, and a linear fall to a tenth at the end."""
        recipe, done = self.recipe, step / self.recipe.steps
        late = max(0.0, (done - recipe.decay_from) / (1 - recipe.decay_from))
        return min(1.0, (step + 1) / recipe.warm_up) * (1 - 0.9 * late)

    def watch(self) -> Watch:
        return Watch()

    def play(self, trainer: Trainer, tell: bool) -> dict[str, float]:
        """One step of the critics and one of the painter, on the same fakes."""
        recipe, rng, painter = self.recipe, trainer.rng, cast(Painter, trainer.generator)
        if trainer.step == recipe.prune_at:
            self._prune(painter, cast(Painter, trainer.average))
        families = torch.randint(len(FAMILIES), (trainer.batch,), generator=rng)
        weights = F.one_hot(families, len(FAMILIES)).float()
        others = (families + torch.randint(1, len(FAMILIES), families.shape, generator=rng)) % len(FAMILIES)
        views = self._views(trainer.batch, rng)
        fakes = self._fakes(trainer, painter, weights, views)
        reals = [trainer.mine(self.gallery.read(families, v.corner, v.scale, v.side, rng)) for v in views]
        places = [trainer.mine(v.place()) for v in views]
        weights, others = trainer.mine(weights), trainer.mine(F.one_hot(others, len(FAMILIES)).float())
        judges = [cast(Critic, trainer.partner[name]) for name in ("canvas", "crop")]  # type: ignore[index]
        loss = LOSSES[recipe.loss]

        with_penalty = trainer.step % recipe.penalty_every == 0
        loss_critic, penalty, baselines = (
            torch.zeros((), device=trainer.device),
            torch.zeros((), device=trainer.device),
            [],
        )
        for critic, real, fake, place in zip(judges, reals, fakes, places, strict=True):
            real, fake = real.requires_grad_(with_penalty), fake.detach().requires_grad_(with_penalty)
            seen = critic.see(real, place)
            on_real, on_fake = critic.judge(seen, weights), critic(fake, place, weights)
            mismatched = critic.judge(seen, others)  # real pictures under another family's name (Reed et al. 2016)
            loss_critic = loss_critic + loss.critic(on_real, on_fake)
            loss_critic = loss_critic + recipe.mismatch * loss.critic(on_real, mismatched)
            baselines.append(on_real.detach())
            if with_penalty:
                penalty = penalty + zero_centred(on_real, real) + zero_centred(on_fake, fake)
        trainer.descend(loss_critic + penalty * (recipe.gamma / 2 * recipe.penalty_every), trainer.partner)

        loss_painter = torch.zeros((), device=trainer.device)
        with trainer.frozen_partner():
            for critic, on_real, fake, place in zip(judges, baselines, fakes, places, strict=True):
                loss_painter = loss_painter + loss.generator(critic(fake, place, weights), on_real)
        price = painter.openness().sum(1).mean() * recipe.gate_price
        trainer.descend(loss_painter + price, painter)
        if not tell:
            return {}
        inks = [pictures[0][:, :INKS].detach() for pictures in (fakes, reals)]  # whole canvases
        penalties = {"penalty": penalty.item()} if with_penalty else {}
        return penalties | {
            "critic": loss_critic.item(),
            "generator": loss_painter.item(),
            "gates": price.item() / recipe.gate_price,
            "generator_gradient": gradient_norm(painter),
            "spread": spread(inks[0]) / max(spread(inks[1]), 1e-6),
        }

    def _prune(self, painter: Painter, average: Painter) -> None:
        """Shut the gates that are next to shut, for good."""
        unused = painter.openness() < self.recipe.prune_below
        unused[:, list(GROUPS).index("place")] = False  # where a point lies is no noise: it cannot disturb
        for each in (painter, average):
            each.shut_gates(unused)

    def _views(self, n: int, rng: torch.Generator) -> list[View]:
        scale = torch.exp(torch.empty(n).uniform_(math.log(0.12), math.log(0.7), generator=rng))
        corner = torch.rand(n, 2, generator=rng) * (1 - scale[:, None])
        whole = View(torch.zeros(n, 2), torch.ones(n), self.recipe.canvas)
        return [whole, View(corner, scale, self.recipe.crop)]

    def _fakes(self, trainer: Trainer, painter: Painter, weights: Tensor, views: list[View]) -> list[Tensor]:
        noise = _Mine(BatchNoise(len(weights), trainer.rng), trainer)
        weights = trainer.processes.share(weights)
        painters = painter.draw(noise, weights)
        numbers = {name: number.to(trainer.device) for name, number in draw_numbers(noise, weights).items()}
        points = [[trainer.mine(axis) for axis in v.points()] for v in views]
        x, y = (torch.cat(axis, 1) for axis in zip(*points, strict=True))  # (B, N of all views)
        with torch.no_grad():
            vocabulary = fields(numbers, x, y)
        planes = paint_fields(painters, vocabulary)  # (B, 6, N)
        parts = torch.split(planes, [v.side**2 for v in views], 2)
        return [part.reshape(-1, PLANES, v.side, v.side) for part, v in zip(parts, views, strict=True)]

    # ── what is kept ─────────────────────────────────────────────────────────────────────────────────────────

    def publish(self, path: Path, average: nn.Module, step: int, fault: str) -> NDArray[np.uint8]:
        notes: dict[str, Any] = {"steps": step, "data": DRAWN_HERE, "recipe": asdict(self.recipe)}
        notes |= {COLLAPSED: fault} if fault else {}
        if step == self.recipe.steps:
            notes["detail_cuts"] = detail_cuts(cast(Painter, copy.deepcopy(average).cpu()))
        write_trained(path, DEFAULT, self.sizes, average.state_dict(), notes)
        artist = Artist(path, threads=1)
        return np.stack([artist.draw(seed, PROOF).pixels for seed in range(GRID)])

    def measure(self, pictures: NDArray[np.uint8]) -> dict[str, float]:
        """Nothing at a checkpoint: `metrics.evaluate` wants ink planes, and minutes."""
        return {}

    def find_copies(self, average: nn.Module) -> None:
        """Not looked for: the critics see other crops at each step, and the painter never sees a picture."""

    def sources(self) -> list[str]:
        return [f"{self.recipe.pictures} pictures of each of {len(FAMILIES)} families, drawn by families.py"]


@torch.no_grad()
def detail_cuts(painter: Painter, pictures: int = 66) -> list[float]:
    """Quartiles of the edge density: where the degrees of the trait Detail begin."""
    rng, found = torch.Generator().manual_seed(1), list[float]()
    weights = torch.eye(len(FAMILIES))
    x, y = View(torch.zeros(len(weights), 2), torch.ones(len(weights)), PROOF).points()
    while len(found) < pictures:
        noise = BatchNoise(len(weights), rng)
        painters = painter.draw(noise, weights)
        planes = paint_fields(painters, fields(draw_numbers(noise, weights), x, y)).reshape(-1, PLANES, PROOF, PROOF)
        found += [edge_density(picture) for picture in planes]
    cuts: list[float] = torch.tensor(found).quantile(torch.tensor([0.25, 0.5, 0.75])).tolist()
    return [round(cut, 4) for cut in cuts]
