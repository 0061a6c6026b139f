"""A training that begins from other weights: what it takes over, what stays frozen, and which bases are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from pipeline.art.draw.checkpoint import mark_collapsed, read_trained, write_trained
from pipeline.art.draw.notes import WEIGHTS
from pipeline.art.models.blueprint import blueprint
from pipeline.art.train.runs import Settings, Until, read_settings
from pipeline.art.train.start import open_start
from pipeline.art.train.trainer import read_state
from pipeline.art.train.training import begun_in, new_run, train_model
from pipeline.base.errors import BadArgument, GenerationError

TINY: dict[str, Any] = {"size": 16, "width": 8, "critic_width": 8, "w_dim": 8, "z_dim": 8, "noise": False}


@pytest.fixture(scope="module")
def art(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("art")
    for number in range(16):
        pixels = np.random.default_rng(number).integers(0, 256, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((20, 20)).save(folder / f"{number:02d}.png")
    return folder


def base(folder: Path, licence: str = "my own work") -> Path:
    torch.manual_seed(5)
    model = blueprint("stylegan2")
    sizes = model.config(**TINY)
    notes = {"licence": licence} if licence else {}
    write_trained(folder / WEIGHTS, model, sizes, model.generator(sizes).state_dict(), notes)
    return folder


def train(folder: Path, settings: Settings, steps: int, start: Path | None = None) -> None:
    assert train_model(folder, settings, Until(steps, save_every=100), device="cpu", threads=1, start=start)


def test_a_run_begins_from_another_s_weights_and_critic_and_needs_them_no_more(art: Path, tmp_path: Path) -> None:
    first = base(tmp_path / "first")
    begun = new_run(None, art, "my own work", start=first, batch=4)
    assert begun.model == "stylegan2" and {**begun.sizes, **TINY} == begun.sizes
    train(tmp_path / "second", begun, 2, first)
    notes = read_trained(tmp_path / "second" / WEIGHTS).notes
    assert notes["from"] == {"model": "stylegan2", "sha256": open_start(first).trained.sha256, "licence": "my own work"}

    third = tmp_path / "third"
    frozen = new_run("stylegan2", art, "my own work", start=tmp_path / "second", batch=4, frozen=1)
    train(third, frozen, 1, tmp_path / "second")
    before = read_state(tmp_path / "second" / "state.pt")["partner"]
    after = read_state(third / "state.pt")["partner"]
    same = {name for name in before if torch.equal(before[name], after[name])}
    assert {"colour.weight", "first.0.weight", "second.0.weight", "skip.0.weight"} <= same and "last.weight" not in same
    for path in (tmp_path / "second").iterdir():
        path.unlink() if path.is_file() else None
    again = new_run("stylegan2", art, "my own work", start=tmp_path / "second", begun=begun_in(third), batch=4)
    train(third, again, 2, tmp_path / "second")
    assert read_state(third / "state.pt")["step"] == 2


def test_a_run_from_nothing_is_written_as_it_always_was(art: Path, tmp_path: Path) -> None:
    train(tmp_path / "x", new_run("stylegan2", art, "my own work", side=16, batch=4, capacity="small"), 1)
    assert "start" not in json.loads((tmp_path / "x" / "run.json").read_text())
    assert read_settings(tmp_path / "x").start == {}


@pytest.mark.parametrize(
    ("terms", "own", "said"),
    [
        ("CC BY-NC 4.0, J. Doe", "my own work", "used commercially"),
        ("non-commercial use only", "CC BY 4.0", "used commercially"),
        ("CC BY-ND 4.0", "my own work", "may be changed"),
        ("CC BY-SA 4.0", "my own work", "asks for the same ones"),
        ("", "my own work", "says nothing"),
        ("CC BY-SA 4.0", "CC BY-SA 4.0", ""),
        ("CC BY-NC 4.0", "for non-commercial study", ""),
        ("CC BY 4.0, Jane Sand and Nina Naco", "my own work", ""),
    ],
)
def test_a_base_whose_terms_do_not_fit_is_refused(art: Path, tmp_path: Path, terms: str, own: str, said: str) -> None:
    folder = base(tmp_path / "base", terms)
    if not said:
        assert new_run(None, art, own, start=folder).start["licence"] == terms
        return
    with pytest.raises(BadArgument, match=said) as caught:
        new_run(None, art, own, start=folder)
    assert caught.value.hint


def test_what_cannot_be_begun_from_is_refused(art: Path, tmp_path: Path) -> None:
    folder = base(tmp_path / "base")

    def refused(kind: type[Exception], said: str, **given: Any) -> None:
        with pytest.raises(kind, match=said):
            new_run(given.pop("model", None), art, "my own work", **given)

    refused(BadArgument, "stylegan2, the model of --from", model="dcgan", start=folder)
    refused(BadArgument, "16, as the weights of --from have", side=32, start=folder)
    refused(BadArgument, "0 to 2 for stylegan2", frozen=3, start=folder)
    refused(BadArgument, "--from beside it", model="stylegan2", frozen=1)
    refused(GenerationError, "no weights at", start=tmp_path / "nowhere")
    refused(GenerationError, "scripts/train-base|there is no base", start="base")
    mark_collapsed(folder / WEIGHTS, "all alike")
    refused(GenerationError, "of a training that collapsed: all alike", start=folder)
    assert load_file(folder / WEIGHTS)
