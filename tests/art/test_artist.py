"""The default generator: a picture depends on its seed and on nothing else, and is never noise."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils._python_dispatch import TorchDispatchMode

from pipeline.art.compose.palettes import PALETTES
from pipeline.art.draw import Drawing, Generator, is_blank, load_generator, token_seed
from pipeline.art.draw.artist import SYMMETRIES, Artist, default_artist, open_device
from pipeline.art.draw.palettes import NAMES, palette_colours
from pipeline.art.draw.tokens import FOLDS, reflect, reflect_each
from pipeline.art.models.families import FAMILIES, INKS
from pipeline.base.errors import BadArgument

SEEDS = [token_seed(5, token_id) for token_id in range(1, 9)]


def trait(drawing: Drawing, name: str) -> str | int | float | None:
    return next((a.value for a in drawing.attributes if a.trait_type == name), None)


def test_order_neighbours_and_restarts_change_nothing(generator: Generator) -> None:
    once = {seed: generator.draw(seed, 64) for seed in SEEDS}
    again = load_generator("default", threads=2)
    for seed in random.Random(1).sample(SEEDS * 2, len(SEEDS) * 2):
        repeated = again.draw(seed, 64)
        assert np.array_equal(repeated.pixels, once[seed].pixels)
        assert repeated.attributes == once[seed].attributes


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_the_number_of_threads_changes_nothing(generator: Generator, threads: int) -> None:
    other = load_generator("default", threads=threads)
    for seed in SEEDS[:2]:
        assert np.array_equal(other.draw(seed, 200).pixels, generator.draw(seed, 200).pixels)


def test_batches_differ_by_no_more_than_a_last_bit(generator: Generator) -> None:
    """Class B: what a GPU does by default, on the CPU. The bounds are those of `scripts/measure-drift`."""
    assert isinstance(generator, Artist) and generator.batch == 1
    drawings = [*generator.draw_batch(SEEDS[:3], 96), *generator.draw_batch(SEEDS[3:8], 96)]
    for seed, batched in zip(SEEDS, drawings, strict=True):
        single = generator.draw(seed, 96)
        levels = np.abs(batched.pixels.astype(int) - single.pixels).max(2)
        assert batched.seed == seed and batched.attributes == single.attributes
        assert (levels > 0).mean() < 0.001 and levels.max() <= 16


def test_torch_threads_of_the_caller_change_nothing(generator: Generator) -> None:
    before, threads = generator.draw(SEEDS[0], 200).pixels, torch.get_num_threads()
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            assert np.array_equal(load_generator("default", threads=2).draw(SEEDS[0], 200).pixels, before)
    finally:
        torch.set_num_threads(threads)


def test_drawings_from_several_threads_do_not_mix(generator: Generator) -> None:
    expected = {seed: generator.draw(seed, 48).pixels for seed in SEEDS}
    found: dict[int, np.ndarray] = {}
    drawers = [threading.Thread(target=lambda s=s: found.update({s: generator.draw(s, 48).pixels})) for s in SEEDS]
    for drawer in drawers:
        drawer.start()
    for drawer in drawers:
        drawer.join()
    assert all(np.array_equal(found[seed], expected[seed]) for seed in SEEDS)


@pytest.mark.parametrize("size", [16, 17, 64, 512, 1024])
def test_every_size_shows_the_same_picture(generator: Generator, size: int) -> None:
    drawing, reference = generator.draw(SEEDS[1], size), generator.draw(SEEDS[1], 256)
    assert drawing.pixels.shape == (size, size, 3) and drawing.pixels.dtype == np.uint8
    assert drawing.attributes == reference.attributes
    difference = thumbnail(drawing.pixels) - thumbnail(reference.pixels)
    assert np.abs(difference).mean() < (30 if size < 64 else 4)  # levels


@pytest.mark.parametrize("size", [0, 7, 4097, 100_000])
def test_a_size_out_of_range_is_refused(generator: Generator, size: int) -> None:
    with pytest.raises(BadArgument):
        generator.draw(1, size)


def test_different_seeds_look_different(generator: Generator) -> None:
    thumbnails = [thumbnail(generator.draw(seed, 64).pixels) for seed in SEEDS]
    for i, one in enumerate(thumbnails):
        assert all(np.abs(one - other).mean() > 5 for other in thumbnails[:i])


def test_known_seeds_still_look_as_they_did(generator: Generator) -> None:
    """Thumbnails, since the last bit of a pixel differs between processors. New weights need a new strip:

    `WRITE_GOLDEN=1 pytest tests/art/test_artist.py -k known_seeds`, and a look at it.
    """
    strip = np.hstack([thumbnail(generator.draw(seed, 128).pixels) for seed in SEEDS])  # (16, 16 x 8, 3)
    golden = Path(__file__).with_name("golden.png")
    if os.environ.get("WRITE_GOLDEN"):
        Image.fromarray(strip.round().astype(np.uint8)).save(golden)
    assert np.abs(strip - np.asarray(Image.open(golden), np.float32)).mean() < 1.0  # levels


def test_a_picture_has_the_colours_of_its_palette(generator: Generator) -> None:
    """Each colour lies near the hull of the palette's five, with shade towards white or black."""
    for seed in SEEDS:
        drawing = generator.draw(seed, 64)
        palette = palette_colours(str(trait(drawing, "Palette"))).numpy() * 255
        pixels = drawing.pixels.reshape(-1, 3).astype(np.float64)
        nearest = np.abs(pixels[:, None] - palette).max(2).min(1)
        assert np.median(nearest) < 80
        assert pixels.max() <= np.maximum(palette.max(), 255) and (nearest < 24).mean() > 0.02


def test_symmetry_is_in_the_pixels(generator: Generator) -> None:
    seen = set()
    for token_id in range(60):
        seed = token_seed(8, token_id)
        drawing = generator.draw(seed, 64)
        symmetry = str(trait(drawing, "Symmetry"))
        if symmetry == "None" or symmetry in seen:
            continue
        seen.add(symmetry)
        near = drawing.pixels.astype(int)
        assert np.mean(np.abs(near - near[:, ::-1]) > 40) < 0.05
        if symmetry != "Mirror":
            assert np.mean(np.abs(near - near[::-1]) > 40) < 0.05
        if symmetry == "Kaleidoscope":
            assert np.mean(np.abs(near - near.transpose(1, 0, 2)) > 40) < 0.05
    assert seen == {"Mirror", "Quad", "Kaleidoscope"}


@pytest.mark.parametrize("symmetry", sorted(set(SYMMETRIES)))
def test_reflections_land_on_the_canvas(symmetry: str) -> None:
    x, y = torch.rand(2, 100) * 2 - 1
    folded_x, folded_y = reflect(symmetry, x, y)
    assert folded_x.abs().max() <= 1 and folded_y.abs().max() <= 1
    assert symmetry == "None" or all(map(torch.equal, reflect(symmetry, -x, y), (folded_x, folded_y)))


def test_tokens_of_a_batch_are_folded_each_its_own_way() -> None:
    x, y = torch.rand(2, len(FOLDS), 100) * 2 - 1
    folds = torch.arange(len(FOLDS)).float()[:, None]
    each = [reflect(name, *point) for name, *point in zip(FOLDS, x, y, strict=True)]
    assert all(map(torch.equal, reflect_each(folds, x, y), map(torch.stack, zip(*each, strict=True))))


def test_a_token_is_composed_alike_to_the_last_bit_whoever_is_composed_with_it(generator: Generator) -> None:
    assert isinstance(generator, Artist)
    together = generator.compose(SEEDS)
    for row, seed in enumerate(SEEDS):
        alone = generator.compose([seed])
        assert alone.tokens == together.tokens[row : row + 1]
        assert all(torch.equal(value[0], together.numbers[name][row]) for name, value in alone.numbers.items())
        assert torch.equal(alone.folded.head[0], together.folded.head[row])
        assert torch.equal(alone.folded.hidden[0][0][0], together.folded.hidden[0][0][row])


class Launches(TorchDispatchMode):
    """Counts operations that a device would have to be told; views are none."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += not func.is_view
        return func(*args, **(kwargs or {}))


class Here:
    """A pool whose work is done at once, in the thread that asks for it: there a dispatch mode sees it."""

    def submit(self, work: Callable[..., Any], *given: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(work(*given))
        return done


def test_a_batch_is_painted_in_few_launches_and_looks_the_same(
    generator: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a device that has memory for all points of 16 pictures at once: their number is that of larger ones too."""
    device = default_artist("cpu", 1, batch=16, chunk=1 << 20)
    launches = Launches()
    monkeypatch.setattr(device, "_pool", Here())
    seeds = [token_seed(6, token_id) for token_id in range(16)]
    composed = device.compose(seeds)
    monkeypatch.setattr(device, "compose", lambda seeds: composed)  # the host's part
    with launches:
        drawings = device.draw_batch(seeds, 64)
    assert launches.count / len(seeds) <= 150
    for seed, drawing in zip(seeds[:4], drawings, strict=False):
        levels = np.abs(drawing.pixels.astype(int) - generator.draw(seed, 64).pixels).max(2)
        assert (levels > 0).mean() < 0.001 and levels.max() <= 16


def test_attributes_are_few_typed_and_from_closed_lists(generator: Generator) -> None:
    for seed in SEEDS:
        drawing = generator.draw(seed, 16)
        kinds = [a.trait_type for a in drawing.attributes]
        assert len(kinds) == len(set(kinds)) and {"Family", "Palette", "Symmetry", "Inks", "Detail"} <= set(kinds)
        assert trait(drawing, "Palette") in NAMES
        assert {part.lower() for part in str(trait(drawing, "Family")).split(" × ")} <= set(FAMILIES)
        assert 1 <= int(trait(drawing, "Inks") or 0) <= INKS


def test_palettes_are_curated_and_complete() -> None:
    assert len(PALETTES) >= 20
    for name in NAMES:
        colours = palette_colours(name)
        assert colours.shape == (INKS, 3)
        assert torch.pdist(colours).min() > 0.12, f"two colours of {name} are hard to tell apart"
        assert (colours[0] - colours[4]).norm() > 0.8, f"{name} has no contrast"


def test_a_picture_says_itself_that_it_is_next_to_blank(generator: Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    drawings = [generator.draw(token_seed(2, token_id), 64) for token_id in range(60)]
    assert sum(bool(drawing.flaw) or is_blank(drawing.pixels) for drawing in drawings) <= 2
    monkeypatch.setattr("pipeline.art.draw.artist.DULL", 2.0)  # no picture is as rich as that
    assert generator.draw(SEEDS[0], 16).flaw == "blank"


def test_numbers_that_are_none_are_told(generator: Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "pipeline.art.draw.artist.colour", lambda planes, colours: torch.full((1, 3, planes.shape[2]), torch.nan)
    )
    assert generator.draw(SEEDS[0], 16).flaw == "not finite"


def test_when_memory_runs_out_a_picture_is_painted_in_smaller_parts(
    generator: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, tried, whole = generator.draw(SEEDS[0], 64).pixels, list[int](), Artist._band

    def scarce(artist: Artist, batch: Any, size: int, top: int, rows: int) -> object:
        tried.append(rows)
        if rows > 20:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return whole(artist, batch, size, top, rows)

    monkeypatch.setattr(Artist, "_band", scarce)
    assert np.array_equal(generator.draw(SEEDS[0], 64).pixels, expected)
    assert tried[:3] == [64, 32, 16] and set(tried[3:]) == {16}


def test_auto_finds_a_device() -> None:
    assert open_device("auto").type in ("cpu", "cuda", "mps")


def thumbnail(pixels: np.ndarray) -> np.ndarray:
    """(16, 16, 3) mean colours."""
    planes = torch.from_numpy(pixels.astype(np.float32)).permute(2, 0, 1)[None]
    return torch.nn.functional.adaptive_avg_pool2d(planes, 16)[0].permute(1, 2, 0).numpy()
