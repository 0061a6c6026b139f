"""Run by torchrun in `generate/test_train.py`: train a few steps with a gradient penalty and save what came of it.

Batch statistics and dropout would make halves of a batch differ from the whole, so these networks have none.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import nn

from pipeline.generate.blueprint import Blueprint, Recipe
from pipeline.generate.data import Pictures
from pipeline.generate.games import game_of
from pipeline.generate.models.vae import Decoder, VaeConfig
from pipeline.generate.processes import joined_processes
from pipeline.generate.train import Trainer


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


def main(out: Path, penalty: str, steps: int = 4) -> None:
    torch.set_num_threads(1)
    images = torch.randint(0, 256, (20, 1, 16, 16), generator=torch.Generator().manual_seed(0)).byte()
    pictures = Pictures(images, tuple(map(str, range(20))), "none")
    with joined_processes() as processes:
        found = model(penalty)
        trainer = Trainer(game_of(found, found.config(), found.recipe, pictures, "noise"), processes=processes)
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
    main(Path(sys.argv[1]), sys.argv[2])
