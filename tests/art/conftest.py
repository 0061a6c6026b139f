"""Shared by the tests of generation: one generator with the weights that ship, and one that was never trained."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pipeline.art.draw import Generator, load_generator
from pipeline.art.draw.artist import Artist
from pipeline.art.draw.checkpoint import write_trained
from pipeline.art.models.family_gan import DEFAULT
from pipeline.art.models.painter import Painter, PainterConfig


@pytest.fixture(autouse=True, scope="session")
def _one_torch_thread() -> None:
    """Small tensors gain nothing from more, and threads that wait for a busy core lose minutes."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def generator() -> Generator:
    return load_generator("default", threads=2)


@pytest.fixture(scope="session")
def untrained_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    painter, path = Painter(PainterConfig()), tmp_path_factory.mktemp("weights") / "untrained.safetensors"
    write_trained(path, DEFAULT, painter.config, painter.state_dict(), {})
    return path


@pytest.fixture
def untrained(untrained_weights: Path) -> Artist:
    return Artist(untrained_weights, threads=1)
