"""Weights that cannot be used are refused with a reason, and nothing in them is ever run."""

from __future__ import annotations

import json
import os
import pickle
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from pipeline.art.draw import load_generator
from pipeline.art.draw.checkpoint import FORMAT, MAX_HEADER, read_checkpoint
from pipeline.art.models.painter import PainterConfig
from pipeline.base.errors import GenerationError

METADATA = {"format": FORMAT, "config": json.dumps(PainterConfig().as_dict()), "notes": "{}"}


class Bomb:
    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return os.mkdir, ("/tmp/nft-pipeline-a-pickle-was-opened",)


def refused(path: Path) -> str:
    with pytest.raises(GenerationError) as caught:
        load_generator(path)
    assert caught.value.hint
    return str(caught.value)


@pytest.mark.parametrize("protocol", [2, 4])
def test_a_pickle_is_never_opened(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "bomb.safetensors"
    path.write_bytes(pickle.dumps(Bomb(), protocol))
    assert "pickle" in refused(path)
    assert not Path("/tmp/nft-pipeline-a-pickle-was-opened").exists()


def test_a_torch_archive_is_never_opened(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(3)}, tmp_path / "model.pt")
    assert "pickle" in refused(tmp_path / "model.pt")


def test_missing_weights_are_named(tmp_path: Path) -> None:
    assert "there are no weights" in refused(tmp_path / "nowhere.safetensors")


@pytest.mark.parametrize("share", [0.0, 0.00001, 0.01, 0.5, 0.999])
def test_truncated_weights_are_refused(tmp_path: Path, untrained_weights: Path, share: float) -> None:
    data = untrained_weights.read_bytes()
    path = tmp_path / "cut.safetensors"
    path.write_bytes(data[: int(len(data) * share)])
    assert "cannot use" in refused(path)


def test_a_huge_header_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    path = tmp_path / "huge.safetensors"
    path.write_bytes(struct.pack("<Q", MAX_HEADER + 1) + b" " * (MAX_HEADER + 9))
    assert "header claims" in refused(path)
    path.write_bytes(struct.pack("<Q", 2**63) + b"{}")
    assert "cut short" in refused(path)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_none_are_refused(tmp_path: Path, untrained_weights: Path, value: float) -> None:
    tensors = load_file(untrained_weights)
    tensors["head.weight"][0, 0] = value
    save_file(tensors, tmp_path / "nan.safetensors", METADATA)
    assert "'head.weight' holds NaN" in refused(tmp_path / "nan.safetensors")


def test_tensors_of_another_shape_are_refused(tmp_path: Path, untrained_weights: Path) -> None:
    tensors = load_file(untrained_weights)
    save_file(tensors | {"head.weight": torch.zeros(7, 64)}, tmp_path / "shape.safetensors", METADATA)
    assert "do not fit" in refused(tmp_path / "shape.safetensors")
    del tensors["head.bias"]
    save_file(tensors, tmp_path / "less.safetensors", METADATA)
    assert "do not fit" in refused(tmp_path / "less.safetensors")


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"format": "another"},
        METADATA | {"config": "["},
        METADATA | {"config": '{"surprise": 1}'},
        METADATA | {"config": '{"width": 1000000000}'},
        METADATA | {"config": '{"width": "64"}'},
        METADATA | {"config": "[]"},
        METADATA | {"notes": "[]"},
    ],
)
def test_weights_of_another_model_are_refused(tmp_path: Path, metadata: dict[str, str]) -> None:
    save_file({"a": torch.zeros(2)}, tmp_path / "other.safetensors", metadata)
    assert "cannot use" in refused(tmp_path / "other.safetensors")


def test_a_checkpoint_carries_its_configuration(untrained_weights: Path) -> None:
    found = read_checkpoint(untrained_weights)
    assert found.config == PainterConfig() and len(found.sha256) == 64


def test_an_unknown_name_is_answered_with_a_near_one() -> None:
    with pytest.raises(GenerationError) as caught:
        load_generator("defualt")
    assert "'default'" in caught.value.hint


@pytest.mark.parametrize("device", ["cuda:77", "nonsense", "meta"])
def test_a_device_that_is_not_there_is_refused(device: str) -> None:
    with pytest.raises(GenerationError, match="device"):
        load_generator("default", device=device)
