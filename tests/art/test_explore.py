"""`pipeline sample`: grids, truncation, mixed styles, films, and the picture nearest to one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Pipeline
from PIL import Image

from pipeline.art.draw.checkpoint import write_trained
from pipeline.art.draw.explore import Explorer, tiled, write_film
from pipeline.art.draw.notes import WEIGHTS
from pipeline.art.models.blueprint import blueprint
from pipeline.base.errors import BadArgument, GenerationError

TINY = {
    "stylegan2": {"size": 16, "width": 16, "critic_width": 8, "w_dim": 16, "z_dim": 8},
    "fastgan": {"size": 16, "width": 4, "critic_width": 4, "z_dim": 8},
    "vae": {"size": 16, "width": 8, "z_dim": 8},
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders as trainings leave them, of untrained models."""
    folder = tmp_path_factory.mktemp("runs")
    torch.manual_seed(3)
    for name, given in TINY.items():
        model = blueprint(name)
        sizes = model.config(**given)
        write_trained(folder / name / WEIGHTS, model, sizes, model.generator(sizes).state_dict(), {})
    return folder


@pytest.mark.parametrize("name", TINY)
def test_a_grid_has_a_row_for_each_truncation_and_less_of_it_is_more_alike(runs: Path, name: str) -> None:
    explorer = Explorer(runs / name)
    grid = explorer.grid(range(4), [0.05, 1.0])
    assert grid.shape == (2, 4, 16, 16, 3) and tiled(grid).shape == (40, 80, 3)
    spread = grid.astype(float).std(1).mean((1, 2, 3))
    assert spread[0] < spread[1]
    assert np.array_equal(explorer.grid(range(4), [0.05, 1.0]), grid)


def test_mixed_styles_agree_on_the_diagonal_with_what_is_not_mixed(runs: Path) -> None:
    for name in ("stylegan2", "fastgan"):
        explorer = Explorer(runs / name)
        mixed, plain = explorer.mixed(range(3), 0.9), explorer.grid(range(3), [0.9])[0]
        for i in range(3):
            assert np.abs(mixed[i, i].astype(int) - plain[i]).max() <= 1
    mixed = Explorer(runs / "stylegan2").mixed(range(2), 0.9)
    assert not np.array_equal(mixed[0, 1], mixed[0, 0]) and not np.array_equal(mixed[0, 1], mixed[1, 1])
    with pytest.raises(BadArgument, match="vae has no styles"):
        Explorer(runs / "vae").mixed(range(2), 1.0)


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png"])
def test_a_film_goes_from_seed_to_seed_and_ends_where_it_began(runs: Path, tmp_path: Path, suffix: str) -> None:
    explorer = Explorer(runs / "stylegan2")
    frames = list(explorer.film(range(2), 0.9, 0.5))
    plain = explorer.grid(range(2), [0.9])[0]
    assert len(frames) == 10 and np.array_equal(frames[0], plain[0])
    steps = [np.abs(a.astype(int) - b).mean() for a, b in zip(frames, [*frames[1:], frames[0]], strict=True)]
    assert max(steps) < 2.5 * sum(steps) / len(steps)  # no frame jumps, the last to the first neither
    write_film(tmp_path / f"walk{suffix}", frames)
    with Image.open(tmp_path / f"walk{suffix}") as film:
        assert (getattr(film, "n_frames", 1), film.size, film.info["loop"]) == (10, (16, 16), 0)


def test_a_film_that_no_memory_holds_and_a_name_that_is_no_film_are_refused(runs: Path, tmp_path: Path) -> None:
    with pytest.raises(BadArgument, match="--seconds"):
        next(Explorer(runs / "vae").film(range(2), 1.0, 1e6))
    with pytest.raises(BadArgument, match=".gif, .webp"):
        write_film(tmp_path / "walk.mp4", [])


def test_a_picture_that_the_model_can_draw_is_found_again(runs: Path, tmp_path: Path) -> None:
    explorer = Explorer(runs / "vae")
    Image.fromarray(explorer.grid([1000], [1.0])[0, 0]).save(tmp_path / "mine.png")
    found = explorer.project(tmp_path / "mine.png", 60, 1.0)
    assert found.sheet.shape == (1, 3, 16, 16, 3) and found.after < 0.6 * found.before
    (tmp_path / "none.png").write_text("<html>")
    with pytest.raises(BadArgument, match="--project"):
        explorer.project(tmp_path / "none.png", 1, 1.0)


def test_the_verb_writes_each_kind_and_refuses_two_at_once(pipeline: Pipeline, runs: Path, tmp_path: Path) -> None:
    run = str(runs / "stylegan2")
    for words, name, size in (
        (("--psi", "0.3,1"), "stylegan2-grid.png", (100, 40)),
        (("--mix",), "stylegan2-mix.png", (100, 100)),
    ):
        done = pipeline("sample", run, "--count", "5", *words)
        assert done.code == 0 and done.out.strip() == name, done.err
        with Image.open(tmp_path / name) as picture:
            assert picture.size == size
    assert pipeline("sample", run, "--mix", "--film").code == 2


def test_the_model_that_composes_has_nothing_to_walk_among() -> None:
    import pipeline.art.draw as draw

    shipped: Any = Path(draw.__file__).parent / "weights" / "default.safetensors"
    with pytest.raises(GenerationError, match="no latents|not a trained model"):
        Explorer(shipped)
