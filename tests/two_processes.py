"""Run by torchrun in `generate/test_train.py`: train a few steps with a gradient penalty and save what came of it; or
with memory that runs out in one of the processes.

Batch statistics and dropout would make halves of a batch differ from the whole, so these networks have none.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pipeline.art.models.blueprint import Blueprint, Recipe
from pipeline.art.models.vae import Decoder, VaeConfig
from pipeline.art.train.data import Pictures
from pipeline.art.train.games import game_of
from pipeline.art.train.processes import Processes, joined_processes
from pipeline.art.train.runs import Told, Until, train
from pipeline.art.train.trainer import Trainer

SHORT_OF_MEMORY = "short-of-memory"
# name -> the process that runs out, what it was about to do, and for which time (the critic sees six batches in a step)
CASES = {
    "first critic": (1, "partner", 7),
    "generator": (0, "partner", 12),
    "optimiser": (1, "partner_adam", 3),
}


def critic(sizes: VaeConfig) -> nn.Module:
    side = sizes.size // 4
    return nn.Sequential(
        *(nn.Conv2d(1, 8, 4, 2, 1), nn.SiLU(), nn.Conv2d(8, 8, 4, 2, 1), nn.SiLU()),
        *(nn.Flatten(), nn.Linear(8 * side * side, 1), nn.Flatten(0)),
    )


def model(penalty: str) -> Blueprint:
    """SGD-like Adam: a large epsilon would hide nothing, betas of 0.9 do not blow rounding up."""
    loss = "wgan-gp" if penalty == "wgan-gp" else "relativistic"
    recipe = Recipe(
        loss=loss, lr=1e-3, critic_lr=1e-3, beta1=0.9, batch=8, critic_steps=2, penalty=penalty, gamma=5.0,
        augment="colour,translation,cutout",
    )  # fmt: skip
    return Blueprint("tiny", VaeConfig, {"size": 16, "width": 4, "z_dim": 4}, Decoder, critic, recipe)


def new_trainer(processes: Processes, penalty: str, **changes: Any) -> Trainer:
    images = torch.randint(0, 256, (20, 1, 16, 16), generator=torch.Generator().manual_seed(0)).byte()
    pictures = Pictures(images, tuple(map(str, range(20))), "none")
    found = model(penalty)
    recipe = replace(found.recipe, **changes)
    return Trainer(game_of(found, found.config(), recipe, pictures, "noise"), processes=processes)


def run_out(trainer: Trainer, what: str, time: int) -> None:
    """Have memory run out as `what` is used for the `time`th time."""
    left = [time]

    def refuse(*_: object) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise MemoryError

    if what == "partner":
        trainer.partner.register_forward_pre_hook(refuse)
    else:
        trainer.partner_adam.register_step_post_hook(refuse)


def short_of_memory(out: Path) -> None:
    torch.set_num_threads(1)
    with joined_processes() as processes:
        for case, (rank, what, time) in CASES.items():
            trainer = new_trainer(processes, "r1+r2", batch=16)
            if processes.rank == rank:
                run_out(trainer, what, time)
            train(out / case, trainer, Until(6, save_every=3), Told())
            players = {"generator": trainer.generator, "average": trainer.average, "critic": trainer.partner}
            state = {name: player.state_dict() for name, player in players.items()}
            torch.save(state, out / case / f"{processes.rank}.pt")


def main(out: Path, penalty: str, steps: int = 4) -> None:
    torch.set_num_threads(1)
    with joined_processes() as processes:
        trainer = new_trainer(processes, penalty)
        record: dict[str, float] = {}
        for _ in range(steps):
            record |= trainer.advance()
        if processes.first:
            torch.save({"generator": trainer.generator.state_dict(), "critic": trainer.partner.state_dict()}, out)
    left = [name for name in running_threads() if "gloo" in name]
    assert not left, f"threads outlive the process group: {left}"


def running_threads() -> list[str]:
    """Names of this process's threads, torch's own among them, as Linux tells them."""
    return [path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")]


if __name__ == "__main__":
    if sys.argv[2] == SHORT_OF_MEMORY:
        short_of_memory(Path(sys.argv[1]))
    else:
        main(Path(sys.argv[1]), sys.argv[2])
