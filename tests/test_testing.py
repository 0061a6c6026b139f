"""`pipeline.testing`: its parts hold what a plug-in must, and find out one that does not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import Pipeline
from plugins import run

from pipeline.art.draw import Drawing, load_generator
from pipeline.base.errors import PinnerUnavailable
from pipeline.base.records import PinnedRoot
from pipeline.testing import (
    MemoryPinner,
    TinyGenerator,
    chain_fixture,
    check_generator,
    check_pinner,
    install_plugin,
)

chain = chain_fixture(scope="module")


def test_the_tiny_generator_the_memory_and_the_built_in_ones_pass(tmp_path: Path) -> None:
    check_generator(TinyGenerator())
    check_generator(load_generator("default", threads=1), size=16, seeds=(1, 2))
    check_pinner(MemoryPinner(), tmp_path / "memory")


class Moody(TinyGenerator):
    """Paints its neighbours into a picture."""

    def draw(self, seed: int, size: int) -> Drawing:
        drawing = super().draw(seed, size)
        drawing.pixels[0, 0] = len(self.drawn)
        return drawing


class Clinging(MemoryPinner):
    """Lets go of nothing."""

    def unpin(self, root: PinnedRoot) -> None: ...


def test_a_generator_that_looks_at_its_neighbours_is_found_out() -> None:
    with pytest.raises(AssertionError, match="another picture in another order"):
        check_generator(Moody())


def test_a_pinner_that_keeps_what_it_has_let_go_of_is_found_out(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="let go of"):
        check_pinner(Clinging(), tmp_path)
    with pytest.raises(PinnerUnavailable):
        check_pinner(MemoryPinner("memory", PinnerUnavailable(pinner="memory", reason="gone")), tmp_path)


def test_noise_has_pixels_of_its_seed() -> None:
    one, other = TinyGenerator().draw(1, 16).pixels, TinyGenerator().draw(2, 16).pixels
    assert one.shape == (16, 16, 3) and one.dtype == np.uint8 and (one != other).any()


PINNER = "from pipeline.testing import MemoryPinner\ndef open_one(store, settings):\n    return MemoryPinner('mine')\n"


def test_plug_ins_of_every_kind_mint_on_a_chain_of_the_fixture(pipeline: Pipeline, tmp_path: Path, chain: str) -> None:
    """A generator, an art source and a pinner, each installed as a stranger's."""
    path = tmp_path / "packages"
    install_plugin(path, "tiny", "from pipeline.testing import TinyGenerator\n", "TinyGenerator")
    install_plugin(path, "tinyart", "from pipeline.testing import TinyArt\n", "TinyArt", "pipeline.art")
    install_plugin(path, "mine", PINNER, "open_one", "pipeline.pinners")
    for model in ("tiny", "tinyart"):
        words = ("mint", "--count", "2", "--size", "16", "--model", model, "--name", model, "--rpc-url", chain)
        ended = run(pipeline, path, *words, "--new", "--pin", "embedded,mine", "--json")
        assert ended.code == 0, ended.err
        ended = run(pipeline, path, "verify", "--name", model, "--regenerate", "--rpc-url", chain)
        assert ended.code == 0, ended.out + ended.err


@pytest.mark.parametrize("words", [("--model", "broken"), ("--pin", "embedded,broken")])
@pytest.mark.parametrize("source", ["import nothing_of_that_name\n", "raise RuntimeError('not today')\n"])
def test_a_plug_in_that_cannot_be_imported_is_named_with_its_package(
    pipeline: Pipeline, tmp_path: Path, words: tuple[str, ...], source: str
) -> None:
    group = "pipeline.generators" if "--model" in words else "pipeline.pinners"
    path = install_plugin(tmp_path / "packages", "broken", source, "anything", group)
    ended = run(pipeline, path, "mint", "--count", "1", "--size", "16", "--stop-after", "generate", *words)
    if "--pin" in words and ended.code == 0:  # drawing asks no place: it is found out before anything is pinned
        ended = run(pipeline, path, "mint", "--count", "1", "--size", "16", *words)
    assert ended.code == 2, ended.err
    assert "broken is a plug-in of the package broken and cannot be used" in ended.err and "Traceback" not in ended.err
