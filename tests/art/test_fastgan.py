"""The few-shot model: what excites what, what its critic remembers, and that it learns."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from pipeline.art.models.blueprint import SelfTaught, blueprint
from pipeline.art.models.fastgan import Critic, FastGanConfig, Generator
from pipeline.art.train.data import Pictures
from pipeline.art.train.games import game_of
from pipeline.art.train.trainer import Trainer

SMALL: dict[str, Any] = {"width": 4, "critic_width": 4, "z_dim": 16}


@pytest.mark.parametrize(("size", "pairs"), [(32, 1), (64, 1), (128, 2), (256, 3), (512, 4)])
def test_a_map_excites_the_one_that_is_sixteen_times_as_large(size: int, pairs: int) -> None:
    with torch.device("meta"):
        generator, critic = Generator(FastGanConfig(size)), Critic(FastGanConfig(size))
        assert generator(torch.randn(2, 256)).shape == (2, 3, size, size)
    assert len(generator.gates) == pairs
    weights = sum(p.numel() for p in generator.parameters())
    assert 5e6 < weights < 10e6 and sum(p.numel() for p in critic.parameters()) < 10e6


def test_large_sides_pass_what_the_style_s_small_ones_say() -> None:
    torch.manual_seed(0)
    generator = Generator(FastGanConfig(64, **SMALL)).eval()
    z, style = torch.randn(2, 2, 16)
    with torch.no_grad():
        assert torch.equal(generator.mixed(z, z), generator(z))
        mixed = generator.mixed(z, style)
        assert not torch.equal(mixed, generator(z))
        nearer = (mixed - generator(z)).abs().mean() < (mixed - generator(style)).abs().mean()
    assert nearer  # the composition is that of z


@pytest.mark.parametrize("size", [28, 32, 64])
def test_a_critic_learns_to_draw_a_picture_from_its_maps(size: int) -> None:
    torch.manual_seed(0)
    critic = Critic(FastGanConfig(size, **SMALL))
    images = torch.nn.functional.interpolate(torch.rand(4, 3, 4, 4) * 2 - 1, size=size, mode="nearest")
    assert isinstance(critic, SelfTaught)
    adam, errors = torch.optim.Adam(critic.parameters(), 2e-3), []
    for step in range(30):
        logits, error = critic.taught(images, step % 4)
        assert logits.shape == (4,)
        adam.zero_grad()
        error.backward()
        adam.step()
        errors.append(error.item())
    assert sum(errors[-4:]) < 0.7 * sum(errors[:4])


def test_it_learns_from_sixteen_pictures_and_says_what_its_critic_remembers() -> None:
    torch.manual_seed(0)
    images = torch.nn.functional.interpolate(torch.rand(16, 3, 4, 4), size=32, mode="nearest").mul(255).byte()
    pictures = Pictures(images, tuple(map(str, range(16))), "none")
    model = blueprint("fastgan")
    sizes = model.config(size=32, **SMALL)
    trainer = Trainer(game_of(model, sizes, replace(model.recipe, lr=1e-3, critic_lr=1e-3), pictures, "folder"))
    lessons = [record["lesson"] for record in (trainer.advance() for _ in range(31)) if record]
    assert len(lessons) == 4 and lessons[-1] < lessons[0]
    assert all(torch.isfinite(p).all() for p in trainer.average.parameters())
