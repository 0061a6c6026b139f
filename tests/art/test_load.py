"""Finding a generator: by name, by path, by entry point."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from pipeline.art.draw import BUILT_IN, Drawing, Generator, load_generator


class Other:
    name, weights_sha256, renderer, dtype = "other", "0" * 64, "other-1", "float32"

    def __init__(self, device: str, threads: int | None) -> None:
        self.device, self.threads = device, threads or 1

    def draw(self, seed: int, size: int) -> Drawing:
        raise NotImplementedError


def test_the_default_says_what_it_is(generator: Generator) -> None:
    assert (generator.name, generator.device, generator.threads) == ("default", "cpu", 2)
    assert len(generator.weights_sha256) == 64 and generator.renderer.startswith("vocabulary-4/torch-")
    assert set(BUILT_IN) == {"default"}


def test_a_checkpoint_is_found_by_its_path(untrained_weights: Path) -> None:
    for path in (untrained_weights, str(untrained_weights)):
        assert load_generator(path).name == "untrained.safetensors"


def test_a_package_adds_a_generator_by_an_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("other", f"{__name__}:Other", "pipeline.generators")
    monkeypatch.setattr(EntryPoint, "load", lambda self: Other)
    monkeypatch.setattr("pipeline.art.draw.entry_points", lambda group: [point])
    found = load_generator("other", device="cuda", threads=3)
    assert (found.name, found.device, found.threads) == ("other", "cuda", 3)


def test_what_a_plug_in_of_0_1_imports_is_still_there() -> None:
    import pipeline.base.cid
    import pipeline.base.errors
    import pipeline.base.records
    import pipeline.cid
    import pipeline.errors
    import pipeline.generate
    import pipeline.records

    assert pipeline.records.Attribute is pipeline.base.records.Attribute
    assert pipeline.errors.GenerationError is pipeline.base.errors.GenerationError
    assert pipeline.cid.CID is pipeline.base.cid.CID
    assert pipeline.generate.Drawing is Drawing
