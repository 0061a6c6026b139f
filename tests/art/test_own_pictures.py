"""What a training takes from an artist's pictures: colour, side, and numbers that follow from both."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.art.models.blueprint import MODELS, Recipe, blueprint
from pipeline.art.train.runs import FORMAT_OF_ANY, Settings, begin_or_continue, read_settings
from pipeline.art.train.training import begun_in, new_run
from pipeline.base.errors import BadArgument, GenerationError

LEARNERS = [name for name in MODELS if not blueprint(name).draws_its_pictures]


def drawn(folder: Path, side: int, mode: str = "RGB", count: int = 16) -> Path:
    folder.mkdir()
    for number in range(count):
        pixels = np.random.default_rng(number).integers(0, 256, (5, 5, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((side + 9, side)).convert(mode).save(folder / f"{number:02d}.png")
    return folder


@pytest.fixture(scope="module")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return drawn(tmp_path_factory.mktemp("art") / "colours", 70)


def mine(model: str, folder: Path, **given: Any) -> Settings:
    return new_run(model, folder, "my own work", **given)


@pytest.mark.parametrize("name", LEARNERS)
def test_every_model_learns_in_the_colours_of_the_pictures(name: str, colours: Path) -> None:
    sizes = mine(name, colours).sizes
    assert sizes["channels"] == 3 and sizes["size"] in (32, 64)


def test_pictures_without_colour_are_learned_in_grey_and_small_ones_at_their_own_side(tmp_path: Path) -> None:
    grey = drawn(tmp_path / "grey", 28, "L")
    assert mine("dcgan", grey).sizes | {"channels": 1, "size": 28} == mine("dcgan", grey).sizes
    Image.new("RGB", (28, 28), "red").save(grey / "zz.png")
    assert mine("dcgan", grey).sizes["channels"] == 3  # one of them is enough


def test_a_gpu_takes_larger_pictures_and_their_channels_last_longer(colours: Path, tmp_path: Path) -> None:
    large = drawn(tmp_path / "large", 300, count=4)
    assert mine("stylegan2", large).sizes["size"] == 64
    on_gpu = mine("stylegan2", large, on_gpu=True)
    assert (on_gpu.sizes["size"], on_gpu.sizes["narrow_from"]) == (128, 16)
    assert blueprint("stylegan2").config(**on_gpu.sizes).widths[-1] == 16  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", LEARNERS)
def test_a_model_comes_in_three_capacities(name: str) -> None:
    model = blueprint(name)
    weights = []
    for capacity in ("small", "medium", "large"):
        sizes = model.config(size=32, channels=3, **model.capacity(capacity))
        with torch.device("meta"):
            players = model.generator(sizes), model.partner(sizes)
        weights.append(sum(p.numel() for player in players for p in player.parameters()))
    assert weights[0] * 1.5 < weights[1] < weights[2] / 1.5
    assert model.config(**model.capacity("medium")) == model.config()


def test_a_penalty_grows_with_the_area_and_falls_with_the_batch() -> None:
    usual = Recipe(penalty="r1", gamma=0.5, batch=16, lr=4e-3, critic_lr=4e-3, ema=0.998)
    assert usual.at(64, 16, 64) == usual
    assert usual.at(128, 16, 64).gamma == 2.0 and usual.at(64, 64, 64).gamma == 0.125
    fourfold = usual.at(64, 64, 64)
    assert (fourfold.lr, fourfold.critic_lr) == (8e-3, 8e-3) and fourfold.ema == pytest.approx(0.998**4, abs=1e-5)
    assert Recipe(penalty="wgan-gp", gamma=10.0).at(256, 64, 64).gamma == 10.0  # its norm is one at any side


def test_a_number_that_was_given_stands_beside_the_laws(colours: Path) -> None:
    found = mine("stylegan2", colours, side=32, batch=64, gamma=0.7, lr=1e-3)
    assert (found.recipe["gamma"], found.recipe["lr"], found.recipe["critic_lr"]) == (0.7, 1e-3, 1e-2)
    assert mine("stylegan2", colours, side=32).recipe["gamma"] == 0.125


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"capacity": "huge"}, "small or medium or large"),
        ({"side": 500}, "such as 448 or 512"),
        ({"side": 1024}, r"\(16 to 512\)"),
        ({"schedule": "decay"}, "a length beside it"),
        ({"schedule": "sudden", "steps": 9}, "constant or decay or cosine"),
    ],
)
def test_what_a_model_does_not_come_in_is_refused_with_what_it_does(
    colours: Path, given: dict[str, Any], said: str
) -> None:
    with pytest.raises(BadArgument, match=said) as caught:
        mine("stylegan2", colours, **given)
    assert "sizes of" not in str(caught.value)


def test_noise_belongs_to_models_that_have_some(colours: Path) -> None:
    with pytest.raises(BadArgument, match="dcgan has none"):
        mine("dcgan", colours, noise=False)
    sizes: Any = blueprint("stylegan2").config(**mine("stylegan2", colours, noise=False).sizes)
    generator: Any = blueprint("stylegan2").generator(sizes)
    assert generator.latent_dim == sizes.z_dim
    assert not [name for name, _ in generator.named_parameters() if name.endswith("noise")]
    assert generator.eval()(torch.randn(2, sizes.z_dim)).shape == (2, 3, sizes.size, sizes.size)


def test_schedules_end_low_and_begin_whole() -> None:
    for name in ("decay", "cosine"):
        recipe = Recipe(schedule=name, steps=100)
        assert recipe.share(0) == pytest.approx(1) and recipe.share(100) < 0.03 and recipe.share(500) < 0.03
        assert recipe.share(30) > recipe.share(90)
    assert Recipe().share(10**9) == 1


def test_the_same_call_goes_on_when_the_folder_or_a_default_changed(colours: Path, tmp_path: Path) -> None:
    folder, run = drawn(tmp_path / "mine", 40), tmp_path / "run"
    begin_or_continue(run, mine("stylegan2", folder, lr=1e-3))
    for number in range(30):
        Image.new("RGB", (400, 400), (number, 0, 200)).save(folder / f"x{number}.png")
    assert mine("stylegan2", folder).sizes["size"] == 64
    again = mine("stylegan2", folder, lr=1e-3, begun=begun_in(run))
    assert begin_or_continue(run, again).sizes["size"] == 40
    with pytest.raises(BadArgument, match=r"size 40 \(not 64\)"):
        begin_or_continue(run, mine("stylegan2", folder, side=64, begun=begun_in(run)))


def test_a_run_that_did_not_know_a_number_yet_goes_on_as_it_was(tmp_path: Path) -> None:
    now = Settings("dcgan", {"size": 28}, {"lr": 0.1, "batch": 8}, "digits", "CC BY 4.0")
    begin_or_continue(tmp_path, now)
    recipe = now.recipe | {"flips": False, "schedule": "constant", "steps": 0}
    assert begin_or_continue(tmp_path, replace(now, recipe=recipe)) == now
    with pytest.raises(BadArgument, match="flips False"):
        begin_or_continue(tmp_path, replace(now, recipe=recipe | {"flips": True}))


@pytest.mark.parametrize(
    "changed", [{"format": f"{FORMAT_OF_ANY}v9"}, {"recipe": {"warp": 9}}, {"sizes": {"depth": 9}}]
)
def test_a_run_of_another_version_is_refused_in_words(tmp_path: Path, changed: dict[str, Any]) -> None:
    begin_or_continue(tmp_path, Settings("dcgan", {"size": 28}, {}, "digits", "CC BY 4.0"))
    path = tmp_path / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))
    with pytest.raises(GenerationError, match="a run of another version") as caught:
        read_settings(tmp_path)
    assert "--out" in caught.value.hint
