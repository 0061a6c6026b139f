"""Adversarial training of the default painter, on pictures that `families.py` draws.

Two critics judge each fake against a real picture of the same family at the same places: one sees the whole canvas,
one sees a crop. The loss is the relativistic pairing of Jolicoeur-Martineau (2019) with zero-centred gradient
penalties on both sides (R1 + R2), as in R3GAN (Huang et al. 2024). Nothing is reconstructed and no picture is copied:
the painter only ever learns through the critics, beside a small price on open gates.

This is the game that the one trainer of `train.py` plays here; `runs.py` lists what a run's folder holds.
"""

from __future__ import annotations

import logging
import math
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.art.draw.checkpoint import write_checkpoint
from pipeline.art.draw.traits import PROOF, edge_density
from pipeline.art.models.critic import Critic
from pipeline.art.models.families import FAMILIES, INKS, MAX_SHADE, PLANES, UPRIGHT, free_inks, paint
from pipeline.art.models.losses import LOSSES, zero_centred
from pipeline.art.models.painter import Painter, PainterConfig, paint_fields
from pipeline.art.models.vocabulary import GROUPS, draw_numbers, fields
from pipeline.art.train.alarms import Watch
from pipeline.art.train.runs import Told, Until, train
from pipeline.art.train.trainer import Trainer, gradient_norm, spread
from pipeline.base.errors import Interrupted, PipelineError
from pipeline.base.files import write_whole

if TYPE_CHECKING:
    from numpy.typing import NDArray

log = logging.getLogger(__name__)

LOSS = LOSSES["relativistic"]
SAVE_EVERY = 250  # steps
GRID = 36  # tokens that are drawn at each checkpoint


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """One run; every number that changes its result."""

    steps: int = 13000
    tokens: int = 6  # per step; each gives one canvas and one crop
    canvas: int = 64  # side of the whole-canvas squares
    crop: int = 32
    pictures: int = 60  # per family
    picture_side: int = 384
    lr_painter: float = 2e-3
    lr_gates: float = 5e-3
    lr_critic: float = 6e-4
    warm_up: int = 100
    decay_from: float = 0.62  # share of the run after which learning rates fall to a tenth
    gamma: float = 0.5  # weight of R1 and R2
    penalty_every: int = 8
    mismatch: float = 0.5  # weight of telling a real picture from itself under another family's name
    gate_price: float = 0.03
    prune_at: int = 1000  # the step at which gates that training left nearly shut are shut for good
    prune_below: float = 0.12
    ema: float = 0.998
    seed: int = 0


class BatchNoise:
    """Numbers for a training batch; see `canvas.Noise`."""

    def __init__(self, batch: int, generator: torch.Generator) -> None:
        self.batch, self.generator = batch, generator

    def uniform(self, name: str, *shape: int) -> Tensor:
        return torch.rand(self.batch, *shape, generator=self.generator)

    def normal(self, name: str, *shape: int) -> Tensor:
        return torch.randn(self.batch, *shape, generator=self.generator)


class Gallery:
    """The real pictures, as bytes, read at any points."""

    def __init__(self, config: TrainConfig) -> None:
        side = config.picture_side
        self.side = side
        self.planes = torch.empty(len(FAMILIES), config.pictures, PLANES, side, side, dtype=torch.uint8)
        for family in range(len(FAMILIES)):
            for number in range(config.pictures):
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

    advice = "begin again in another folder, with lower rates in TrainConfig"

    def __init__(self, config: TrainConfig, model: PainterConfig | None = None) -> None:
        self.config, self.model = config, model or PainterConfig()
        self.seed, self.batch, self.ema = config.seed, config.tokens, config.ema

    @cached_property
    def gallery(self) -> Gallery:
        return Gallery(self.config)

    @property
    def settings(self) -> dict[str, Any]:
        return {"configuration": asdict(self.config), "sizes": self.model.as_dict()}

    def generator(self) -> Painter:
        return Painter(self.model)

    def partner(self) -> nn.ModuleDict:
        canvas = Critic(len(FAMILIES), self.config.canvas, (32, 64, 128, 192))
        return nn.ModuleDict({"canvas": canvas, "crop": Critic(len(FAMILIES), self.config.crop, (64, 128, 192))})

    def adams(self, generator: nn.Module, partner: nn.Module) -> tuple[torch.optim.Adam, torch.optim.Adam]:
        config, painter, betas = self.config, cast(Painter, generator), (0.0, 0.99)
        weights = [p for name, p in painter.named_parameters() if name != "gates"]
        rates = [{"params": weights, "lr": config.lr_painter}, {"params": [painter.gates], "lr": config.lr_gates}]
        return torch.optim.Adam(rates, betas=betas), torch.optim.Adam(partner.parameters(), config.lr_critic, betas)

    def schedule(self, step: int) -> float:
        """A linear warm-up, and a linear fall to a tenth at the end."""
        config, done = self.config, step / self.config.steps
        late = max(0.0, (done - config.decay_from) / (1 - config.decay_from))
        return min(1.0, (step + 1) / config.warm_up) * (1 - 0.9 * late)

    def watch(self) -> Watch:
        return Watch()

    def play(self, trainer: Trainer, tell: bool) -> dict[str, float]:
        """One step of the critics and one of the painter, on the same fakes."""
        config, rng, painter = self.config, trainer.rng, cast(Painter, trainer.generator)
        if trainer.step == config.prune_at:
            self._prune(painter, cast(Painter, trainer.average))
        families = torch.randint(len(FAMILIES), (trainer.batch,), generator=rng)
        weights = F.one_hot(families, len(FAMILIES)).float()
        others = (families + torch.randint(1, len(FAMILIES), families.shape, generator=rng)) % len(FAMILIES)
        others = F.one_hot(others, len(FAMILIES)).float()
        views = self._views(trainer.batch, rng)
        fakes = self._fakes(painter, weights, views, rng)
        reals = [self.gallery.read(families, v.corner, v.scale, v.side, rng) for v in views]
        places = [v.place() for v in views]
        critics = [cast(Critic, trainer.partner[name]) for name in ("canvas", "crop")]  # type: ignore[index]

        with_penalty = trainer.step % config.penalty_every == 0
        loss_critic, penalty, baselines = torch.zeros(()), torch.zeros(()), []
        for critic, real, fake, place in zip(critics, reals, fakes, places, strict=True):
            real, fake = real.requires_grad_(with_penalty), fake.detach().requires_grad_(with_penalty)
            seen = critic.see(real, place)
            on_real, on_fake = critic.judge(seen, weights), critic(fake, place, weights)
            mismatched = critic.judge(seen, others)  # real pictures under another family's name (Reed et al. 2016)
            loss_critic = loss_critic + LOSS.critic(on_real, on_fake)
            loss_critic = loss_critic + config.mismatch * LOSS.critic(on_real, mismatched)
            baselines.append(on_real.detach())
            if with_penalty:
                penalty = penalty + zero_centred(on_real, real) + zero_centred(on_fake, fake)
        trainer.descend(loss_critic + penalty * (config.gamma / 2 * config.penalty_every), trainer.partner)

        loss_painter = torch.zeros(())
        with trainer.frozen_partner():
            for critic, on_real, fake, place in zip(critics, baselines, fakes, places, strict=True):
                loss_painter = loss_painter + LOSS.generator(critic(fake, place, weights), on_real)
        price = painter.openness().sum(1).mean() * config.gate_price
        trainer.descend(loss_painter + price, painter)
        if not tell:
            return {}
        inks = [pictures[0][:, :INKS].detach() for pictures in (fakes, reals)]  # whole canvases
        penalties = {"penalty": penalty.item()} if with_penalty else {}
        return penalties | {
            "critic": loss_critic.item(),
            "generator": loss_painter.item(),
            "gates": price.item() / config.gate_price,
            "generator_gradient": gradient_norm(painter),
            "spread": spread(inks[0]) / max(spread(inks[1]), 1e-6),
        }

    def _prune(self, painter: Painter, average: Painter) -> None:
        """Shut the gates that are next to shut, for good."""
        unused = painter.openness() < self.config.prune_below
        unused[:, list(GROUPS).index("place")] = False  # where a point lies is no noise: it cannot disturb
        for each in (painter, average):
            each.shut_gates(unused)

    def _views(self, n: int, rng: torch.Generator) -> list[View]:
        scale = torch.exp(torch.empty(n).uniform_(math.log(0.12), math.log(0.7), generator=rng))
        corner = torch.rand(n, 2, generator=rng) * (1 - scale[:, None])
        whole = View(torch.zeros(n, 2), torch.ones(n), self.config.canvas)
        return [whole, View(corner, scale, self.config.crop)]

    def _fakes(self, painter: Painter, weights: Tensor, views: list[View], rng: torch.Generator) -> list[Tensor]:
        noise = BatchNoise(len(weights), rng)
        painters = painter.draw(noise, weights)
        numbers = draw_numbers(noise, weights)
        x, y = (torch.cat(axis, 1) for axis in zip(*(v.points() for v in views), strict=True))  # (B, N of all views)
        with torch.no_grad():
            vocabulary = fields(numbers, x, y)
        planes = paint_fields(painters, vocabulary)  # (B, 6, N)
        parts = torch.split(planes, [v.side**2 for v in views], 2)
        return [part.reshape(-1, PLANES, v.side, v.side) for part, v in zip(parts, views, strict=True)]

    # ── what is kept ─────────────────────────────────────────────────────────────────────────────────────────

    def publish(self, path: Path, average: nn.Module, step: int) -> NDArray[np.uint8]:
        from pipeline.art.draw.artist import Artist

        notes: dict[str, Any] = {"steps": step}
        if step == self.config.steps:
            notes["detail_cuts"] = detail_cuts(cast(Painter, average))
        write_checkpoint(path, average.state_dict(), self.model, notes)
        artist = Artist(path, threads=1)
        return np.stack([artist.draw(seed, PROOF).pixels for seed in range(GRID)])

    def find_copies(self, average: nn.Module) -> None:
        """Not looked for: the critics see other crops at each step, and the painter never sees a picture."""

    def sources(self) -> list[str]:
        return [f"{self.config.pictures} pictures of each of {len(FAMILIES)} families, drawn by families.py"]


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


def main() -> None:
    """Train the weights that ship: `python -m pipeline.art.train.default_training [FOLDER] [--steps N]`."""
    import argparse

    from pipeline.base.workspace import Workspace

    shipped = Path(str(resources.files("pipeline.art.draw"))) / "weights" / "default.safetensors"
    parser = argparse.ArgumentParser(description="Train the default generator, or continue its training.")
    parser.add_argument(
        "folder", nargs="?", type=Path, help="run folder; without one, the weights that ship are replaced"
    )
    parser.add_argument("--steps", type=int, default=TrainConfig().steps)
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)  # sums in one order: the same machine trains the same weights
    folder, steps = given.folder or Path("build/train-default"), given.steps
    try:
        with Workspace(folder).lock():
            trainer = Trainer(FamilyGame(TrainConfig(steps=steps)))
            report = train(folder, trainer, Until(steps, save_every=SAVE_EVERY), Told(_log_record, log.info))
    except KeyboardInterrupt:
        raise SystemExit(Interrupted.exit_code) from None
    except PipelineError as error:
        log.error("%s\n%s", error, error.hint)
        raise SystemExit(error.exit_code) from None
    log.info("step %d of %d: weights in %s", report.steps, steps, report.weights)
    if given.folder is None:
        write_whole(shipped, report.weights.read_bytes())


def _log_record(record: dict[str, float]) -> None:
    if record["step"] % 50 == 1:
        log.info(", ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in record.items()))


if __name__ == "__main__":
    main()
