"""Adversarial training of the default painter, on pictures that `families.py` draws.

Two critics judge each fake against a real picture of the same family at the same places: one sees the whole canvas,
one sees a crop. The loss is the relativistic pairing of Jolicoeur-Martineau (2019) with zero-centred gradient
penalties on both sides (R1 + R2), as in R3GAN (Huang et al. 2024). Nothing is reconstructed and no picture is copied:
the painter only ever learns through the critics, beside a small price on open gates.

A run is a folder: `log.jsonl`, `state.pt` (everything needed to continue, bit for bit) and `default.safetensors`.
"""

from __future__ import annotations

import copy
import json
import logging
import math
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.files import whole_file, write_whole
from pipeline.generate.checkpoint import write_checkpoint
from pipeline.generate.families import FAMILIES, INKS, MAX_SHADE, ORDERED, PLANES, UPRIGHT, paint
from pipeline.generate.losses import zero_centred
from pipeline.generate.models.critic import Critic
from pipeline.generate.models.painter import Painter, PainterConfig, paint_fields
from pipeline.generate.models.vocabulary import GROUPS, draw_numbers, fields
from pipeline.generate.traits import PROOF, edge_density

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """One run; every number that changes its result."""

    steps: int = 9000
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
            inks = torch.randperm(3, generator=rng) + 1
            x, y = ((axis * 0.5 + 0.5) * self.side for axis in grid(corner[i : i + 1], scale[i : i + 1], side))
            x, y = x[0].long(), y[0].long()
            x = self.side - 1 - x if flip_x else x
            upright = family in UPRIGHT
            y = self.side - 1 - y if flip_y and not upright else y
            picture = self.planes[family, number]
            square = picture[:, x][:, :, y].mT if swap and not upright else picture[:, y][:, :, x]
            out[i] = square.float() / 255
            if family not in ORDERED:
                out[i, 1:4] = out[i, inks]
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


class Trainer:
    """The state of a run. `advance` takes one step; `save` and `restore` stop and continue it bit for bit."""

    def __init__(self, config: TrainConfig, model: PainterConfig | None = None) -> None:
        torch.manual_seed(config.seed)  # initial weights
        self.config, self.step = config, 0
        self.model = model or PainterConfig()
        self.rng = torch.Generator().manual_seed(config.seed)
        self.painter = Painter(self.model)
        self.average = copy.deepcopy(self.painter).requires_grad_(False)
        self.canvas_critic = Critic(len(FAMILIES), config.canvas, (32, 64, 128, 192))
        self.crop_critic = Critic(len(FAMILIES), config.crop, (64, 128, 192))
        weights = [p for name, p in self.painter.named_parameters() if name != "gates"]
        self.painter_adam = torch.optim.Adam(
            [{"params": weights, "peak": config.lr_painter}, {"params": [self.painter.gates], "peak": config.lr_gates}],
            betas=(0.0, 0.99),
        )
        critics = [*self.canvas_critic.parameters(), *self.crop_critic.parameters()]
        self.critic_adam = torch.optim.Adam([{"params": critics, "peak": config.lr_critic}], betas=(0.0, 0.99))
        self.gallery: Gallery | None = None

    def advance(self) -> dict[str, float]:
        """One step of the critics and one of the painter, on the same fakes; the losses."""
        config = self.config
        if self.gallery is None:
            self.gallery = Gallery(config)
        self._set_learning_rates()
        if self.step == config.prune_at:
            unused = self.painter.openness() < config.prune_below
            unused[:, list(GROUPS).index("place")] = False  # where a point lies is no noise: it cannot disturb
            for painter in (self.painter, self.average):
                painter.shut_gates(unused)
        families = torch.randint(len(FAMILIES), (config.tokens,), generator=self.rng)
        weights = F.one_hot(families, len(FAMILIES)).float()
        others = (families + torch.randint(1, len(FAMILIES), families.shape, generator=self.rng)) % len(FAMILIES)
        others = F.one_hot(others, len(FAMILIES)).float()
        views = self._views()
        fakes = self._fakes(weights, views)
        reals = [self.gallery.read(families, v.corner, v.scale, v.side, self.rng) for v in views]
        places = [v.place() for v in views]
        critics = (self.canvas_critic, self.crop_critic)

        with_penalty = self.step % config.penalty_every == 0
        loss_critic, penalty, baselines = torch.zeros(()), torch.zeros(()), []
        for critic, real, fake, place in zip(critics, reals, fakes, places, strict=True):
            real, fake = real.requires_grad_(with_penalty), fake.detach().requires_grad_(with_penalty)
            seen = critic.see(real, place)
            on_real, on_fake = critic.judge(seen, weights), critic(fake, place, weights)
            mismatched = critic.judge(seen, others)  # real pictures under another family's name (Reed et al. 2016)
            loss_critic = loss_critic + pairing_loss(on_real, on_fake)
            loss_critic = loss_critic + config.mismatch * pairing_loss(on_real, mismatched)
            baselines.append(on_real.detach())
            if with_penalty:
                penalty = penalty + zero_centred(on_real, real) + zero_centred(on_fake, fake)
        self.critic_adam.zero_grad()
        torch.autograd.backward(loss_critic + penalty * (config.gamma / 2 * config.penalty_every))
        self.critic_adam.step()

        loss_painter = torch.zeros(())
        for critic, on_real, fake, place in zip(critics, baselines, fakes, places, strict=True):
            critic.requires_grad_(False)
            loss_painter = loss_painter + pairing_loss(critic(fake, place, weights), on_real)
            critic.requires_grad_(True)
        price = self.painter.openness().sum(1).mean() * config.gate_price
        self.painter_adam.zero_grad()
        torch.autograd.backward(loss_painter + price)
        self.painter_adam.step()

        self._follow()
        self.step += 1
        return {
            "critic": loss_critic.item(),
            "painter": loss_painter.item(),
            "penalty": penalty.item(),
            "spread": _spread(fakes[0].detach()) / max(_spread(reals[0].detach()), 1e-6),
        }

    def _views(self) -> list[View]:
        config, n = self.config, self.config.tokens
        scale = torch.exp(torch.empty(n).uniform_(math.log(0.12), math.log(0.7), generator=self.rng))
        corner = torch.rand(n, 2, generator=self.rng) * (1 - scale[:, None])
        return [View(torch.zeros(n, 2), torch.ones(n), config.canvas), View(corner, scale, config.crop)]

    def _fakes(self, weights: Tensor, views: Iterable[View]) -> list[Tensor]:
        noise = BatchNoise(len(weights), self.rng)
        z = noise.normal("z", self.model.z_dim)
        numbers = draw_numbers(noise, weights)
        views = list(views)
        points = [v.points() for v in views]
        x, y = (torch.cat(axis, 1) for axis in zip(*points, strict=True))  # (B, N of all views)
        with torch.no_grad():
            vocabulary = fields(numbers, x, y)
        planes = paint_fields(self.painter.fold(z, weights), vocabulary)  # (B, 6, N)
        parts = torch.split(planes, [v.side**2 for v in views], 2)
        return [part.reshape(-1, PLANES, v.side, v.side) for part, v in zip(parts, views, strict=True)]

    def _set_learning_rates(self) -> None:
        config, done = self.config, self.step / self.config.steps
        late = max(0.0, (done - config.decay_from) / (1 - config.decay_from))
        rate = min(1.0, (self.step + 1) / config.warm_up) * (1 - 0.9 * late)
        for optimiser in (self.painter_adam, self.critic_adam):
            for group in optimiser.param_groups:
                group["lr"] = group["peak"] * rate

    @torch.no_grad()
    def _follow(self) -> None:
        keep = min(self.config.ema, (self.step + 1) / (self.step + 10))  # a short memory at first
        for average, weight in zip(self.average.parameters(), self.painter.parameters(), strict=True):
            average.lerp_(weight, 1 - keep)

    def _parts(self) -> dict[str, nn.Module | torch.optim.Optimizer]:
        return {
            "painter": self.painter,
            "average": self.average,
            "canvas_critic": self.canvas_critic,
            "crop_critic": self.crop_critic,
            "painter_adam": self.painter_adam,
            "critic_adam": self.critic_adam,
        }

    def save(self, path: Path) -> None:
        state: dict[str, Any] = {name: part.state_dict() for name, part in self._parts().items()}
        state |= {"step": self.step, "rng": self.rng.get_state(), "config": asdict(self.config)}
        with whole_file(path) as file:
            torch.save(state, file)

    def restore(self, path: Path) -> None:
        """Continue from `path`. Refuses the state of another configuration."""
        state = torch.load(path, weights_only=True)
        if state["config"] != asdict(self.config):
            raise ValueError(f"{path} belongs to a run with another configuration: {state['config']}")
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        self.step = state["step"]
        self.rng.set_state(state["rng"])


def pairing_loss(winner: Tensor, loser: Tensor) -> Tensor:
    """Mean softplus(loser - winner): how far the winner's logit fails to exceed that of its pair."""
    return F.softplus(loser - winner).mean()


def _spread(planes: Tensor) -> float:
    """Mean distance between the coarse pictures of a batch: a collapse shows as a falling ratio of fake to real."""
    return float(torch.pdist(F.avg_pool2d(planes[:, :INKS], 8).flatten(1)).mean())


@torch.no_grad()
def detail_cuts(painter: Painter, pictures: int = 66) -> list[float]:
    """Quartiles of the edge density: where the degrees of the trait Detail begin."""
    rng, found = torch.Generator().manual_seed(1), list[float]()
    weights = torch.eye(len(FAMILIES))
    x, y = View(torch.zeros(len(weights), 2), torch.ones(len(weights)), PROOF).points()
    while len(found) < pictures:
        noise = BatchNoise(len(weights), rng)
        numbers, folded = draw_numbers(noise, weights), painter.fold(noise.normal("z", painter.config.z_dim), weights)
        planes = paint_fields(folded, fields(numbers, x, y)).reshape(-1, PLANES, PROOF, PROOF)
        found += [edge_density(picture) for picture in planes]
    cuts: list[float] = torch.tensor(found).quantile(torch.tensor([0.25, 0.5, 0.75])).tolist()
    return [round(cut, 4) for cut in cuts]


def train(config: TrainConfig, folder: Path, save_every: int = 250) -> Path:
    """Run, or continue, the training in `folder`; the path of its weights."""
    folder.mkdir(parents=True, exist_ok=True)
    trainer, state, weights = Trainer(config), folder / "state.pt", folder / "default.safetensors"
    if state.exists():
        trainer.restore(state)
    began, smoothed = time.monotonic(), dict[str, float]()
    with (folder / "log.jsonl").open("a") as journal:
        while trainer.step < config.steps:
            for name, value in trainer.advance().items():
                if name != "penalty" or value:
                    smoothed[name] = value if name not in smoothed else smoothed[name] * 0.98 + value * 0.02
            if trainer.step % 50 == 0:
                record = {"step": trainer.step, "seconds": round(time.monotonic() - began, 1)}
                journal.write(json.dumps(record | {k: round(v, 4) for k, v in smoothed.items()}) + "\n")
                journal.flush()
            if trainer.step % save_every == 0 or trainer.step == config.steps:
                trainer.save(state)
                notes: dict[str, Any] = {"steps": trainer.step}
                if trainer.step == config.steps:
                    notes["detail_cuts"] = detail_cuts(trainer.average)
                write_checkpoint(weights, trainer.average.state_dict(), trainer.model, notes)
                log.info("step %d of %d: weights in %s", trainer.step, config.steps, weights)
    return weights


def main() -> None:
    """Train the weights that ship: `python -m pipeline.generate.default_training [FOLDER] [--steps N]`."""
    import argparse

    shipped = Path(__file__).parent / "weights" / "default.safetensors"
    parser = argparse.ArgumentParser(description="Train the default generator, or continue its training.")
    parser.add_argument(
        "folder", nargs="?", type=Path, help="run folder; without one, the weights that ship are replaced"
    )
    parser.add_argument("--steps", type=int, default=TrainConfig().steps)
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)  # sums in one order: the same machine trains the same weights
    weights = train(TrainConfig(steps=given.steps), given.folder or Path("build/train-default"))
    if given.folder is None:
        write_whole(shipped, weights.read_bytes())


if __name__ == "__main__":
    main()
