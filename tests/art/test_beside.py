"""Composed pictures drawn by processes beside this one: the same pictures, and nobody is left behind."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from pipeline.art.draw import BatchGenerator, Drawing, load_generator, token_seed
from pipeline.art.draw.beside import Beside
from pipeline.art.draw.stage import determinism_of
from pipeline.base.errors import GenerationError

SEEDS = [token_seed(20, token_id) for token_id in range(1, 6)]
NAME = "compose:raked:flat:4711:Kiln,Tide"


@pytest.fixture
def beside() -> Iterator[Beside]:
    processes = Beside(NAME, 2)
    yield processes
    processes.close()


def same(one: Drawing, other: Drawing) -> bool:
    told = (one.seed, one.attributes, one.flaw) == (other.seed, other.attributes, other.flaw)
    assert one.layout is not None and other.layout is not None
    return told and np.array_equal(one.pixels, other.pixels) and np.array_equal(one.layout, other.layout)


def test_they_draw_what_is_drawn_here_and_end(beside: Beside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_KEY_OF_NOBODY", "0x" + "11" * 32)
    here = load_generator(NAME)
    assert all(map(same, beside.draw(SEEDS, 64), [here.draw(seed, 64) for seed in SEEDS]))
    begun = list(beside._begun)
    assert 1 <= len(begun) <= 2
    for process in begun:
        with open(f"/proc/{process.pid}/environ") as environ:
            assert "PIPELINE" not in environ.read()
    beside.close()
    assert [process.returncode for process in begun] == [0] * len(begun)


def test_one_that_is_killed_is_told(beside: Beside) -> None:
    beside.draw(SEEDS[:1], 32)
    os.kill(beside._begun[0].pid, signal.SIGKILL)
    with pytest.raises(GenerationError, match="ended with -9"):
        beside.draw(SEEDS[:1], 32)


def test_a_long_run_is_drawn_beside_and_a_short_one_here(monkeypatch: pytest.MonkeyPatch) -> None:
    composer = load_generator(NAME, threads=2)
    asked: list[int] = []
    monkeypatch.setattr("pipeline.art.draw.composed.WORTH_IT", 3)
    monkeypatch.setattr("pipeline.art.draw.composed.LARGE", 32)

    def noted(beside: Beside, seeds: Sequence[int], size: int) -> list[Drawing]:
        asked.extend(seeds)
        return []

    monkeypatch.setattr(Beside, "draw", noted)
    assert isinstance(composer, BatchGenerator) and composer.batch == 2 and determinism_of(composer) == "A"
    assert len(composer.draw_batch(SEEDS[:2], 16)) == 2 and not asked
    composer.draw_batch(SEEDS[2:4], 16)
    assert not asked
    composer.draw_batch(SEEDS[2:4], 32)
    assert asked == SEEDS[2:4]


def test_learned_materials_are_drawn_several_at_once_and_alike() -> None:
    chalk = load_generator("compose:raked:chalk:4711:Kiln,Tide", threads=2)
    assert isinstance(chalk, BatchGenerator) and isinstance(chalk._pictures, ThreadPoolExecutor)  # type: ignore[attr-defined]
    assert all(map(same, chalk.draw_batch(SEEDS[:3], 64), [chalk.draw(seed, 64) for seed in SEEDS[:3]]))
