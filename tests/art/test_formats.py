"""What version 0.1 wrote of trainings and weights, byte for byte: `tests/golden/0.1`, made by its own code, is never made again."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from conftest import REPOSITORY

from pipeline.art.draw.checkpoint import read_checkpoint, read_trained, write_trained
from pipeline.art.models.painter import PainterConfig
from pipeline.art.train.runs import begin_or_continue, read_settings

OLD = REPOSITORY / "tests" / "golden" / "0.1"


def test_a_training_that_0_1_began_is_read_and_its_run_json_written_alike(tmp_path: Path) -> None:
    settings = read_settings(OLD)
    model, sizes, recipe = settings.blueprint()
    assert (model.name, sizes, recipe) == ("dcgan", model.config(), model.recipe)
    begin_or_continue(tmp_path, settings)
    assert (tmp_path / "run.json").read_bytes() == (OLD / "run.json").read_bytes()


def test_a_training_that_0_1_began_goes_on_as_it_was_written(tmp_path: Path) -> None:
    shutil.copy(OLD / "run.json", tmp_path)
    begin_or_continue(tmp_path, read_settings(OLD))
    assert (tmp_path / "run.json").read_bytes() == (OLD / "run.json").read_bytes()


def test_weights_that_0_1_trained_are_read_and_written_alike(tmp_path: Path) -> None:
    old = read_trained(OLD / "dcgan.safetensors")
    assert old.notes == {"data": "digits", "licence": "CC BY 4.0", "steps": 3}
    write_trained(tmp_path / "again.safetensors", old.model, old.sizes, old.tensors, old.notes)
    assert (tmp_path / "again.safetensors").read_bytes() == (OLD / "dcgan.safetensors").read_bytes()


def test_weights_of_0_1s_default_model_are_read() -> None:
    old = read_checkpoint(OLD / "vocabulary.safetensors")
    assert (old.config, old.detail_cuts()) == (PainterConfig(), (0.1, 0.2, 0.3))
    assert old.tensors["w"].tolist() == pytest.approx([0.5, -1.0])
