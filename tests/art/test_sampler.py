"""A trained checkpoint as a generator: the same rules as for the one that ships."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from pipeline.art.draw import Generator, load_generator
from pipeline.art.draw.checkpoint import MODEL_FORMAT, write_trained
from pipeline.art.draw.notes import WEIGHTS
from pipeline.art.draw.sampler import contact_sheet, measured_traits, resize, trait_cuts
from pipeline.art.models.blueprint import blueprint
from pipeline.base.errors import BadArgument, GenerationError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a training leaves behind, without the training."""
    folder = tmp_path_factory.mktemp("runs") / "x"
    torch.manual_seed(0)
    model = blueprint("stylegan2")
    sizes = model.config(size=32, width=16, critic_width=8, w_dim=16, z_dim=8)
    notes = {"cuts": {"tone": [0.3, 0.4, 0.5], "detail": [0.01, 0.02, 0.03]}, "licence": "my own work"}
    write_trained(folder / WEIGHTS, model, sizes, model.generator(sizes).state_dict(), notes)
    return folder


@pytest.fixture(scope="module")
def trained(folder: Path) -> Generator:
    return load_generator(folder)


def test_a_folder_and_its_weights_are_the_same_generator(folder: Path, trained: Generator) -> None:
    file = load_generator(folder / WEIGHTS)
    assert trained.name == "x" and trained.weights_sha256 == file.weights_sha256
    assert trained.renderer == file.renderer and trained.renderer.startswith("sampler-1/stylegan2/torch-")
    assert np.array_equal(trained.draw(5, 32).pixels, file.draw(5, 32).pixels)


def test_a_picture_depends_on_its_seed_alone(trained: Generator) -> None:
    alone = trained.draw(7, 32)
    for seed in (1, 9, 3):
        trained.draw(seed, 64)
    again = trained.draw(7, 32)
    assert np.array_equal(alone.pixels, again.pixels) and alone.attributes == again.attributes
    assert not np.array_equal(alone.pixels, trained.draw(8, 32).pixels)


@pytest.mark.parametrize("size", [16, 31, 32, 100, 512])
def test_any_size_is_drawn_with_the_same_traits(trained: Generator, size: int) -> None:
    drawing = trained.draw(7, size)
    assert drawing.pixels.shape == (size, size, 3) and drawing.pixels.dtype == np.uint8
    assert drawing.attributes == trained.draw(7, 32).attributes


@pytest.mark.parametrize("size", [0, 7, 100_000])
def test_a_size_out_of_range_is_refused(trained: Generator, size: int) -> None:
    with pytest.raises(BadArgument, match="size"):
        trained.draw(7, size)


def test_scaling_down_is_by_area() -> None:
    pixels = np.zeros((4, 4, 3), np.uint8)
    pixels[::2] = 200
    assert (resize(pixels, 2) == 100).all() and np.array_equal(resize(pixels, 4), pixels)


def test_traits_say_what_can_be_seen() -> None:
    cuts: dict[str, tuple[float, ...]] = {"tone": (0.25, 0.5, 0.75), "detail": (0.02, 0.05, 0.1)}

    def traits(*colour: int) -> dict[str, object]:
        pixels = np.broadcast_to(np.array(colour, np.uint8), (8, 8, 3))
        return {trait.trait_type: trait.value for trait in measured_traits(pixels, cuts)}

    assert traits(0, 0, 0) == {"Tone": "Dark", "Detail": "Calm"}
    assert traits(255, 0, 0) == {"Tone": "Dim", "Detail": "Calm", "Colour": "Red"}
    assert traits(0, 0, 255)["Colour"] == "Blue" and traits(0, 255, 0)["Colour"] == "Green"
    noise = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    assert ("Detail", "Dense") in {(trait.trait_type, trait.value) for trait in measured_traits(noise, cuts)}


def test_cuts_are_quartiles_of_what_was_drawn() -> None:
    pictures = np.repeat(np.arange(0, 250, 10, dtype=np.uint8), 48).reshape(25, 4, 4, 3)
    assert trait_cuts(pictures)["tone"] == pytest.approx([60 / 255, 120 / 255, 180 / 255], abs=1e-4)
    assert contact_sheet(pictures).shape == (30, 30, 3)


def test_the_same_weights_are_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    model = blueprint("stylegan2")
    tensors = load_file(folder / WEIGHTS)
    sizes = model.config(size=32, width=16, critic_width=8, w_dim=16, z_dim=8)
    for name in ("a", "b", "c"):
        write_trained(tmp_path / name, model, sizes, tensors, {"steps": 1})
    assert len({(tmp_path / name).read_bytes() for name in ("a", "b", "c")}) == 1


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"model": "nonsense"}, "nonsense"),
        ({"sizes": '{"size": 64, "width": 16, "critic_width": 8, "w_dim": 16, "z_dim": 8}'}, "do not fit"),
        ({"sizes": '{"size": 100000}'}, "size is 100000"),
        ({"sizes": '{"width": 512, "w_dim": 1024, "size": 512}'}, "do not fit"),
        ({"sizes": "["}, "cannot be read"),
        ({"sizes": "[]"}, "cannot be read"),
        ({"notes": "[]"}, "notes"),
        ({"format": "other"}, "not weights of this model"),
    ],
)
def test_a_checkpoint_that_claims_something_else_is_refused(
    folder: Path, tmp_path: Path, changed: dict[str, str], said: str
) -> None:
    sizes = {"size": 32, "width": 16, "critic_width": 8, "w_dim": 16, "z_dim": 8}
    metadata = {"format": MODEL_FORMAT, "model": "stylegan2", "sizes": json.dumps(sizes), "notes": "{}"} | changed
    save_file(load_file(folder / WEIGHTS), tmp_path / WEIGHTS, metadata)
    with pytest.raises(GenerationError, match=said) as caught:
        load_generator(tmp_path)
    assert caught.value.hint


def test_a_checkpoint_that_is_cut_or_holds_nan_is_refused(folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / WEIGHTS, tmp_path / "cut.safetensors")
    with (tmp_path / "cut.safetensors").open("r+b") as file:
        file.truncate(5000)
    with pytest.raises(GenerationError, match="cannot use"):
        load_generator(tmp_path / "cut.safetensors")
    with pytest.raises(GenerationError, match="there are no weights"):
        load_generator(tmp_path)  # a folder without a checkpoint
