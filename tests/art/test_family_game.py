"""Training: its pictures, its losses, its arithmetic, and stopping in the middle."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import REPOSITORY, Pipeline

from pipeline.art.draw.checkpoint import read_checkpoint, read_weights, write_trained
from pipeline.art.draw.notes import WEIGHTS
from pipeline.art.draw.sampler import open_checkpoint
from pipeline.art.models.critic import Critic
from pipeline.art.models.families import CONTRAST, FAMILIES, INKS, MAX_SHADE, PLANES, paint
from pipeline.art.models.family_gan import DEFAULT, FamilyRecipe
from pipeline.art.models.losses import zero_centred
from pipeline.art.models.painter import OPEN, Painter, PainterConfig, draw_inks, paint_fields
from pipeline.art.models.vocabulary import CHANNELS, GROUPS, draw_numbers, fields
from pipeline.art.train.family_game import BatchNoise, FamilyGame, Gallery, View
from pipeline.art.train.runs import Told, Until, train
from pipeline.art.train.trainer import Trainer
from pipeline.art.train.training import new_run, train_model
from pipeline.base.errors import GenerationError

SHIPPED = REPOSITORY / "pipeline/art/draw/weights/default.safetensors"
TINY = FamilyRecipe(steps=20, batch=3, canvas=32, crop=16, pictures=1, picture_side=48, penalty_every=4, warm_up=5)


@pytest.mark.parametrize("family", range(len(FAMILIES)), ids=FAMILIES)
def test_a_family_paints_sound_planes_and_repeats_itself(family: int) -> None:
    planes = paint(family, 3, 48)
    assert planes.shape == (PLANES, 48, 48) and planes.isfinite().all()
    assert torch.allclose(planes[:INKS].sum(0), torch.ones(48, 48), atol=1e-5)
    assert planes[INKS].abs().max() <= MAX_SHADE
    assert torch.equal(planes, paint(family, 3, 48)) and not torch.equal(planes, paint(family, 4, 48))


def test_pictures_are_hardly_ever_blank() -> None:
    shares = [paint(f, k, 32)[:INKS].mean((1, 2)).max() for f in range(len(FAMILIES)) for k in range(8)]
    assert sum(share > 0.98 for share in shares) <= 2


def test_fields_are_finite_and_of_even_size() -> None:
    numbers = draw_numbers(BatchNoise(11, torch.Generator().manual_seed(1)), torch.eye(len(FAMILIES)))
    x, y = View(torch.zeros(11, 2), torch.ones(11), 48).points()
    found = fields(numbers, x, y)
    assert found.shape == (11, CHANNELS, 48 * 48) and found.isfinite().all() and found.abs().max() < 8


def test_a_group_alone_is_the_group_among_others() -> None:
    numbers = draw_numbers(BatchNoise(2, torch.Generator().manual_seed(1)), torch.eye(len(FAMILIES))[:2])
    x, y = View(torch.zeros(2, 2), torch.ones(2), 16).points()
    alone = torch.cat([fields(numbers, x, y, [name]) for name in GROUPS], 1)
    assert torch.equal(alone, fields(numbers, x, y))


def test_a_point_does_not_depend_on_the_other_points() -> None:
    numbers = draw_numbers(BatchNoise(1, torch.Generator().manual_seed(1)), torch.eye(len(FAMILIES))[:1])
    x, y = View(torch.zeros(1, 2), torch.ones(1), 16).points()
    assert torch.allclose(fields(numbers, x[:, 7:50], y[:, 7:50]), fields(numbers, x, y)[..., 7:50], atol=1e-5)


def test_petals_repeat_as_often_as_they_say() -> None:
    numbers = draw_numbers(BatchNoise(1, torch.Generator().manual_seed(4)), torch.zeros(1, len(FAMILIES)))
    n = int(numbers["petals.fold"][0])
    angle = torch.arange(n) / n * math.tau + 0.3
    found = fields(numbers, (0.5 * angle.cos())[None], (0.5 * angle.sin())[None], ["petals"])
    assert torch.allclose(found, found[..., :1].expand_as(found), atol=1e-3)


def test_gates_start_small_except_for_namesakes() -> None:
    gates = Painter(PainterConfig()).openness()
    assert gates.shape == (len(FAMILIES), len(GROUPS)) and gates.max() < OPEN / 2
    assert (gates < 0.11).float().mean() > 0.85


def test_only_inks_that_are_free_in_all_families_change_places() -> None:
    cases = {
        ("flow",): 1,
        ("hills",): 4,
        ("moire",): 0,
        ("moire", "truchet"): 0,
        ("moire", "glass"): 1,
        ("moire", "marble"): 4,
    }
    for names, first in cases.items():
        weights = torch.zeros(64, len(FAMILIES))
        weights[:, [FAMILIES.index(name) for name in names]] = 1 / len(names)
        order = draw_inks(BatchNoise(64, torch.Generator().manual_seed(1)), weights)
        assert (order.sort(1).values == torch.arange(INKS)).all()
        for ink in range(INKS):
            places = set(order[:, ink].tolist())
            assert places == (set(range(first, CONTRAST)) if first <= ink < CONTRAST else {ink}), names


def test_inks_that_change_places_change_nothing_else() -> None:
    painter, rng = Painter(PainterConfig()).requires_grad_(False), torch.Generator().manual_seed(1)
    weights = torch.eye(len(FAMILIES))
    folded = painter.fold(torch.randn(11, 32, generator=rng), weights)
    order, points = draw_inks(BatchNoise(11, rng), weights), torch.randn(11, CHANNELS, 9, generator=rng)
    before, after = paint_fields(folded, points), paint_fields(folded.with_inks(order), points)
    assert not torch.equal(order, torch.arange(INKS).repeat(11, 1))
    for row, inks in enumerate(order):
        assert torch.allclose(after[row, :INKS], before[row, inks], atol=1e-6)
    assert torch.allclose(after[:, INKS], before[:, INKS])


def test_folding_the_style_changes_nothing() -> None:
    """One token's folded matrices give what modulating every layer would."""
    torch.manual_seed(2)
    painter, x = Painter(PainterConfig()), torch.randn(2, CHANNELS, 5)
    z, families = torch.randn(2, 32), torch.eye(len(FAMILIES))[:2]
    w, gate = painter.style(z, families), (families @ painter.openness())[:, painter.channel_group]
    gated = (x * gate[..., None]).mT  # (B, N, C)
    turn = gated @ painter.phase.T * 2 * painter.phase_rate(w)[:, None] + painter.phase_shift(w)[:, None]
    h = torch.cat([gated, turn.sin(), turn.cos()], -1) * painter.gains(w)[:, None]
    for i, (layer, film) in enumerate(zip(painter.layers, painter.film, strict=True)):
        scale, shift = film(w)[:, None].chunk(2, -1)
        y = torch.nn.functional.leaky_relu(layer(h) * (1 + scale) + shift, 0.2)
        h = y if i == 0 else h + y
    own = painter.head_style(w).view(2, PLANES, -1)
    answer = painter.head(h) + h @ own[..., :-1].mT / 8 + own[:, None, :, -1]
    inks = torch.softmax(answer[..., :INKS] * painter.sharpness.exp(), -1)
    expected = torch.cat([inks, torch.tanh(answer[..., INKS:] / 2) * MAX_SHADE], -1).mT
    assert torch.allclose(paint_fields(painter.fold(z, families), x), expected, atol=1e-4)


def test_the_gradient_penalty_of_a_linear_critic_is_its_squared_norm() -> None:
    weight, planes = torch.randn(PLANES, 4, 4), torch.randn(5, PLANES, 4, 4, requires_grad=True)
    penalty = zero_centred((planes * weight).sum((1, 2, 3)), planes)
    assert penalty.item() == pytest.approx(weight.square().sum().item(), rel=1e-5)


def test_a_critic_refuses_another_side() -> None:
    critic = Critic(len(FAMILIES), 16, (8, 8))
    with pytest.raises(AssertionError):
        critic(torch.zeros(1, PLANES, 8, 8), torch.zeros(1, 3, 8, 8), torch.zeros(1, len(FAMILIES)))


def test_the_gallery_reads_real_ink_weights() -> None:
    gallery, rng = Gallery(TINY), torch.Generator().manual_seed(0)
    squares = gallery.read(torch.arange(len(FAMILIES)), torch.zeros(11, 2), torch.ones(11), 16, rng)
    assert squares.shape == (11, PLANES, 16, 16)
    assert (squares[:, :INKS].sum(1) - 1).abs().max() < 0.02 and squares[:, INKS].abs().max() <= MAX_SHADE + 0.01


def run(folder: Path, recipe: FamilyRecipe, steps: int, told: Told | None = None) -> Trainer:
    trainer = Trainer(FamilyGame(recipe))
    train(folder, trainer, Until(steps, save_every=5), told or Told())
    return trainer


def test_an_interrupted_run_ends_with_the_same_weights(tmp_path: Path) -> None:
    """Also where gates are shut on the way, and rates rise and fall."""
    recipe = replace(TINY, prune_at=12, prune_below=0.101)
    whole = run(tmp_path / "whole", recipe, 20)
    run(tmp_path / "stopped", recipe, 9)
    run(tmp_path / "stopped", recipe, 20)
    names = (WEIGHTS, "grids/0000020.png")
    for name in names:
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "stopped" / name).read_bytes()
    shut = whole.generator.get_parameter("gates") < -19
    assert shut.any() and torch.equal(shut, whole.average.get_parameter("gates") < -19)


def test_a_state_of_another_recipe_is_refused(tmp_path: Path) -> None:
    run(tmp_path, TINY, 1)
    with pytest.raises(GenerationError, match="other recipe"):
        run(tmp_path, replace(TINY, gamma=1.0), 2)


def test_rates_rise_at_first_and_fall_to_a_tenth() -> None:
    game = FamilyGame(TINY)
    rates = [game.schedule(step) for step in range(TINY.steps + 1)]
    assert rates[:6] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 1.0])
    assert rates[12] == 1 and rates == sorted(rates[:6]) + sorted(rates[6:], reverse=True)
    assert rates[-1] == pytest.approx(0.1)
    trainer = Trainer(game)
    trainer.advance()
    found = [group["lr"] for group in trainer.generator_adam.param_groups]
    assert found == pytest.approx([TINY.lr / 5, TINY.lr_gates / 5])


def test_the_run_of_the_default_is_a_run_like_others(tmp_path: Path) -> None:
    """Weights that draw, a grid, records, the data; and nothing half done."""
    heard: list[dict[str, float]] = []
    run(tmp_path / "run", replace(TINY, steps=11), 11, Told(heard.append))
    checkpoint = read_checkpoint(tmp_path / "run" / WEIGHTS)
    assert checkpoint.notes["steps"] == 11 and len(checkpoint.notes["detail_cuts"]) == 3
    assert sorted(path.name for path in (tmp_path / "run/grids").iterdir()) == [f"{n:07d}.png" for n in (5, 10, 11)]
    records = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    assert [record["step"] for record in records] == [1, 11] == [record["step"] for record in heard]
    assert {"critic", "generator", "spread", "gates", "lr", "critic_lr"} <= set(records[1])
    assert "11 families" in (tmp_path / "run/data.txt").read_text() and any((tmp_path / "run/tensorboard").iterdir())
    assert open_checkpoint(tmp_path / "run").draw(1, 32).pixels.shape == (32, 32, 3)
    assert not list(tmp_path.rglob("*.partial")) and not (tmp_path / "run/memorised.png").exists()


def test_the_default_is_trained_by_the_verb_as_any_other_model(pipeline: Pipeline, tmp_path: Path) -> None:
    sizes: dict[str, Any] = {"canvas": 32, "crop": 16, "pictures": 1, "picture_side": 48}
    began = train_model(
        tmp_path / "run", new_run("default", steps=3, batch=2, **sizes), Until(2), device="cpu", threads=1
    )
    assert began and began.steps == 2
    ended = pipeline("train", "--resume", "run", "--device", "cpu", "--threads", "1", "--json")
    assert ended.code == 0, ended.err
    assert "continuing at step 2" in ended.err and ended.json["steps"] == 3  # to the end of its schedule
    weights = tmp_path / "run" / WEIGHTS
    assert len(read_checkpoint(weights).notes["detail_cuts"]) == 3
    assert read_weights(weights).metadata["model"] == "default"
    refused = pipeline("train", "--model", "default", "--out", "run", "--batch", "3")
    assert refused.code == 2 and "batch 2 (not 3)" in refused.err
    for words in (("--data", "digits"), ("--size", "64"), ("--augment", "auto"), ("--loss", "hinge")):
        refused = pipeline("train", "--model", "default", "--out", "other", *words)
        assert refused.code == 2 and "Traceback" not in refused.err, words


def test_the_weights_that_ship_are_read_beside_those_of_today(tmp_path: Path) -> None:
    shipped = read_checkpoint(SHIPPED)
    write_trained(tmp_path / "same.safetensors", DEFAULT, shipped.config, shipped.tensors, shipped.notes)
    old, new = (open_checkpoint(path).draw(5, 32).pixels for path in (SHIPPED, tmp_path / "same.safetensors"))
    assert (old == new).all()
