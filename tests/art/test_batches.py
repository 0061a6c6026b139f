"""Several tokens drawn at once, as on a GPU: the same tokens in the same order, judged by the same gate."""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.after.verify.pixels import distance
from pipeline.art.draw import BatchGenerator, Drawing, Gate, Generator, generate, load_generator, token_seed
from pipeline.art.draw.artist import Artist, batch_on, default_artist, renderer_id
from pipeline.art.draw.checkpoint import read_trained, write_trained
from pipeline.art.draw.gates import ATTEMPTS
from pipeline.art.draw.generator import LaidOut
from pipeline.art.draw.lino import lino
from pipeline.art.draw.sampler import Sampler
from pipeline.art.draw.several import shared
from pipeline.art.draw.stage import BATCH_PIXELS, IN_FLIGHT, determinism_by, determinism_of
from pipeline.art.draw.tokens import Batch
from pipeline.art.models.blueprint import blueprint
from pipeline.base.errors import GenerationError, NothingPasses
from pipeline.base.records import Address, Artwork, TokenSpec

OWNER = Address("0x" + "00" * 20)
COLLECTION, BATCH, SIZE = 3, 4, 16


class Singly:
    """A generator that knows twelve pictures, and draws one at a time."""

    name, weights_sha256, renderer, device, dtype, threads = "few", "0" * 64, "few-1", "cpu", "float64", 1

    def __init__(self) -> None:
        self.alone: list[int] = []

    def draw(self, seed: int, size: int) -> Drawing:
        self.alone.append(seed)
        return self.picture(seed, size)

    def picture(self, seed: int, size: int) -> Drawing:
        return Drawing(seed, np.random.default_rng(seed % 12).integers(0, 256, (size, size, 3), np.uint8), ())


class Together(Singly):
    """The same, four at a time where there is memory for so many."""

    def __init__(self, memory: int = BATCH, batch: int = BATCH) -> None:
        super().__init__()
        self.memory, self.batch = memory, batch
        self.batches: list[list[int]] = []

    def draw_batch(self, seeds: Sequence[int], size: int) -> list[Drawing]:
        self.batches.append(list(seeds))
        if len(seeds) > self.memory:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return [self.picture(seed, size) for seed in seeds]


def specs(first: int, last: int) -> list[TokenSpec]:
    return [TokenSpec(token_id, token_seed(COLLECTION, token_id), OWNER) for token_id in range(first, last + 1)]


def seeds(first: int, last: int) -> list[int]:
    return [spec.seed for spec in specs(first, last)]


def stage(generator: Generator, folder: Path, items: Sequence[TokenSpec | Artwork], size: int = SIZE) -> list[Artwork]:
    gate = Gate(COLLECTION, {a.token_id: a.phash or 0 for a in items if isinstance(a, Artwork)})
    return list(generate(items, generator, size, gate, lambda i: folder / f"{i}.png"))


def told(artworks: Sequence[Artwork]) -> list[tuple[object, ...]]:
    return [(a.token_id, a.attempt, a.seed, a.phash, a.image_sha256) for a in artworks]


# ── the stage ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("count", [1, 3, 4, 5, 11])
def test_tokens_attempts_and_bytes_are_those_of_one_at_a_time(tmp_path: Path, count: int) -> None:
    """Twelve pictures for eleven tokens: the gate refuses many, and what it refuses depends on what passed before."""
    one, several = Singly(), Together()
    alone = stage(one, tmp_path / "one", specs(1, count))
    assert told(stage(several, tmp_path / "several", specs(1, count))) == told(alone)
    assert count < 11 or max(artwork.attempt for artwork in alone) > 1
    together = [seed for batch in several.batches for seed in batch]
    assert sorted(together + several.alone) == sorted(one.alone), "nothing is drawn twice"
    assert together == seeds(1, count - count % BATCH if count % BATCH == 1 else count)


def test_a_generator_that_draws_one_at_a_time_is_asked_for_no_more(tmp_path: Path) -> None:
    one = Together(batch=1)
    stage(one, tmp_path, specs(1, 5))
    assert not one.batches and not isinstance(Singly(), BatchGenerator) and isinstance(one, BatchGenerator)


def test_artworks_among_the_specs_keep_their_turn(tmp_path: Path) -> None:
    undisturbed = stage(Singly(), tmp_path / "whole", specs(1, 9))
    kept = {artwork.token_id: artwork for artwork in undisturbed if artwork.token_id in (1, 2, 5, 6, 7, 8)}
    again = Together()
    resumed = stage(again, tmp_path / "rest", [kept.get(spec.token_id, spec) for spec in specs(1, 9)])
    assert [artwork.token_id for artwork in resumed] == list(range(1, 10))
    assert all(artwork is kept[artwork.token_id] for artwork in resumed if artwork.token_id in kept)
    assert again.batches == [seeds(3, 4)] and again.alone[-1] in [undisturbed[8].seed, seeds(9, 9)[0]]


def test_specs_are_taken_ahead_by_two_batches_at_most(tmp_path: Path) -> None:
    taken = 0

    def endless() -> Iterator[TokenSpec]:
        nonlocal taken
        for token_id in range(1, 1000):
            taken += 1
            yield TokenSpec(token_id, token_id, OWNER)

    artworks = generate(endless(), Together(), SIZE, Gate(1, near=None), lambda i: tmp_path / f"{i}.png")
    assert taken == 0
    for seen in range(1, 30):
        next(artworks)
        assert taken <= seen + IN_FLIGHT + 2 * BATCH
    artworks.close()  # type: ignore[attr-defined]
    assert not list(tmp_path.rglob("*.partial")) and len(list(tmp_path.iterdir())) <= taken


def test_the_next_batch_is_drawn_while_this_one_is_judged_and_encoded(tmp_path: Path) -> None:
    """A device that sleeps: it is asked for a batch before the pictures of the one before it are all stored, and what waits
    for it in vain would wait for ever."""

    class Device(Together):
        began = {number: threading.Event() for number in range(3)}

        def draw_batch(self, seeds: Sequence[int], size: int) -> list[Drawing]:
            self.began[len(self.batches)].set()
            return super().draw_batch(seeds, size)

    device = Device()

    def path(token_id: int) -> Path:  # asked for by an encoder, of each picture
        if token_id <= BATCH:
            assert device.began[1].wait(60), "the device waits for an encoder"
        return tmp_path / f"{token_id}.png"

    found = list(generate(specs(1, 3 * BATCH), device, SIZE, Gate(COLLECTION, near=None), path))
    assert [artwork.token_id for artwork in found] == list(range(1, 3 * BATCH + 1))


def test_a_generator_never_draws_two_things_at_once(tmp_path: Path) -> None:
    """What the gate refuses is drawn alone, while the next batch might be."""
    busy, clashes = threading.Lock(), list[int]()

    class Device(Together):
        def picture(self, seed: int, size: int) -> Drawing:
            if not busy.acquire(blocking=False):
                clashes.append(seed)
                return super().picture(seed, size)
            try:
                return super().picture(seed, size)
            finally:
                busy.release()

    artworks = stage(Device(), tmp_path, specs(1, 11))
    assert max(artwork.attempt for artwork in artworks) > 1 and not clashes


def test_several_devices_share_out_whole_batches_and_draw_what_one_draws(tmp_path: Path) -> None:
    one = default_artist("cpu", 1, batch=2)
    several = shared([default_artist("cpu", 1, batch=2) for _ in range(3)])
    assert isinstance(several, BatchGenerator) and several.batch == 6 and several.renderer == one.renderer
    alone = stage(one, tmp_path / "one", specs(1, 9), 32)
    assert told(stage(several, tmp_path / "several", specs(1, 9), 32)) == told(alone)


def test_several_devices_know_layouts_where_each_does() -> None:
    prints = [lino("lino:hills:Kiln", "cpu", 1) for _ in range(2)]
    several = shared(prints)
    assert isinstance(several, LaidOut) and np.array_equal(several.layout(5), prints[0].layout(5))
    assert not isinstance(shared([default_artist("cpu", 1)]), LaidOut)


def test_large_pictures_wait_for_their_encoders_in_small_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.art.draw.stage.HELD_PIXELS", 3 * SIZE**2)
    monkeypatch.setattr("pipeline.art.draw.stage.IN_FLIGHT", 17)
    taken = 0

    def counted() -> Iterator[TokenSpec]:
        nonlocal taken
        for spec in specs(1, 100):
            taken += 1
            yield spec

    artworks = generate(counted(), Singly(), SIZE, Gate(1, near=None), lambda i: tmp_path / f"{i}.png")
    next(artworks)
    assert taken <= 4
    artworks.close()  # type: ignore[attr-defined]


def test_no_more_drawings_are_held_than_two_batches_and_those_being_encoded(tmp_path: Path) -> None:
    alive: list[weakref.ref[np.ndarray]] = []

    class Counted(Together):
        def picture(self, seed: int, size: int) -> Drawing:
            drawing = super().picture(seed, size)
            alive.append(weakref.ref(drawing.pixels))
            return drawing

    for _ in generate(specs(1, 40), Counted(), SIZE, Gate(1, near=None), lambda i: tmp_path / f"{i}.png"):
        assert sum(one() is not None for one in alive) <= IN_FLIGHT + 2 * BATCH


@pytest.mark.parametrize(("size", "batch"), [(512, 16), (1024, 16), (2048, 4), (4096, 1)])
def test_large_pictures_come_in_smaller_batches(tmp_path: Path, size: int, batch: int) -> None:
    class Small(Together):
        def draw_batch(self, seeds: Sequence[int], size: int) -> list[Drawing]:
            self.batches.append(list(seeds))
            raise KeyboardInterrupt

        def draw(self, seed: int, size: int) -> Drawing:
            self.alone.append(seed)
            raise KeyboardInterrupt

    generator = Small(batch=16)
    with pytest.raises(KeyboardInterrupt):
        stage(generator, tmp_path, specs(1, 20), size)
    assert [len(batch) for batch in generator.batches] == ([batch] if batch > 1 else [])
    assert len(generator.alone) == (batch == 1) and batch * size**2 <= BATCH_PIXELS


def test_a_stream_that_fails_leaves_what_came_before_drawn_again_and_no_thread(tmp_path: Path) -> None:
    def broken() -> Iterator[TokenSpec]:
        yield from specs(1, 10)
        raise OSError("the disk is gone")

    artworks, seen = generate(broken(), Together(), SIZE, Gate(COLLECTION), lambda i: tmp_path / f"{i}.png"), 0
    with pytest.raises(OSError, match="the disk is gone"):
        for seen, _ in enumerate(artworks, 1):  # noqa: B007
            pass
    assert seen >= 8 - IN_FLIGHT and not list(tmp_path.rglob("*.partial"))


def test_two_tokens_of_one_seed_are_two_tokens(tmp_path: Path) -> None:
    same = [TokenSpec(token_id, 5, OWNER) for token_id in range(1, 7)]
    artworks = list(generate(same, Together(), SIZE, Gate(1, near=None), lambda i: tmp_path / f"{i}.png"))
    assert [artwork.token_id for artwork in artworks] == list(range(1, 7))
    assert len({artwork.image_sha256 for artwork in artworks}) == 1


def test_a_token_that_nothing_passes_for_ends_the_batch_with_its_name(tmp_path: Path) -> None:
    """Twelve pictures are not enough for thirteen tokens."""
    with pytest.raises(NothingPasses) as caught:
        stage(Together(), tmp_path, specs(1, 13))
    assert caught.value.fields["attempts"] == ATTEMPTS


# ── memory ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("memory", "tried"), [(3, [4, 2, 2, 2, 2]), (2, [4, 2, 2, 2, 2]), (1, [4, 2])])
def test_when_memory_runs_out_the_batch_is_halved_for_good(
    tmp_path: Path, memory: int, tried: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    scarce = Together(memory)
    with caplog.at_level(logging.WARNING):
        artworks = stage(scarce, tmp_path / "scarce", specs(1, 8))
    assert [len(batch) for batch in scarce.batches] == tried
    assert told(artworks) == told(stage(Singly(), tmp_path / "one", specs(1, 8)))
    assert "4 pictures at once need too much memory: going on with 2" in caplog.text


def test_other_errors_of_a_batch_keep_their_name(tmp_path: Path) -> None:
    class Broken(Together):
        def draw_batch(self, seeds: Sequence[int], size: int) -> list[Drawing]:
            raise RuntimeError("device-side assert triggered")

    with pytest.raises(RuntimeError, match="device-side assert"):
        stage(Broken(), tmp_path, specs(1, 4))


@pytest.mark.parametrize("wrong", ["one too few", "another order", "another size"])
def test_a_batch_that_is_not_what_was_asked_for_is_refused(tmp_path: Path, wrong: str) -> None:
    class Wrong(Together):
        def draw_batch(self, seeds: Sequence[int], size: int) -> list[Drawing]:
            if wrong == "another size":
                return super().draw_batch(seeds, size + 1)
            drawings = super().draw_batch(seeds, size)
            return drawings[1:] if wrong == "one too few" else drawings[::-1]

    with pytest.raises(GenerationError, match="were asked for|was asked for"):
        stage(Wrong(), tmp_path, specs(1, 4))
    assert not list(tmp_path.glob("*.png"))


# ── the generators here ──────────────────────────────────────────────────────────────────────────────────────


def test_the_default_generator_in_batches_is_within_the_bounds_and_says_so(
    generator: Generator, tmp_path: Path
) -> None:
    four = default_artist("cpu", 2, BATCH)
    kind, *_, said, device = four.renderer.split("/")
    assert (said, device) == ("batch-4", "cpu") and generator.renderer == f"{kind}/{four.renderer.split('/')[1]}/cpu"
    assert (determinism_of(four), determinism_of(generator)) == ("B", "A")
    for artwork in stage(four, tmp_path, specs(1, 6), 64):
        from PIL import Image

        single = generator.draw(artwork.seed, 64)
        with Image.open(artwork.path) as image:
            assert distance(np.asarray(image), single.pixels).within_bounds
        assert artwork.attributes == single.attributes and artwork.determinism == "B"


def test_a_batch_of_pictures_gives_way_before_a_picture_is_painted_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    four, rows_tried, whole = default_artist("cpu", 1, BATCH), list[tuple[int, int]](), Artist._band

    def scarce(artist: Artist, batch: Batch, size: int, top: int, rows: int) -> object:
        rows_tried.append((len(batch.tokens), rows))
        if len(batch.tokens) * rows > 16:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return whole(artist, batch, size, top, rows)

    monkeypatch.setattr(Artist, "_band", scarce)
    with pytest.raises(torch.OutOfMemoryError):
        four.draw_batch(seeds(1, 2), 32)
    assert rows_tried == [(2, 32)]
    four.draw(1, 32)
    assert rows_tried[1:] == [(1, 32), (1, 16), (1, 16)]


def test_pictures_of_a_batch_do_not_keep_each_other_in_memory(generator: Generator) -> None:
    assert isinstance(generator, Artist)
    assert all(drawing.pixels.base is None for drawing in generator.draw_batch(seeds(1, 2), 32))


@pytest.mark.parametrize("model", ["stylegan2", "dcgan", "mlp_gan", "vae"])
def test_trained_models_draw_in_batches_too(tmp_path: Path, model: str) -> None:
    kind = blueprint(model)
    sizes = kind.config()
    torch.manual_seed(0)
    write_trained(tmp_path / "model.safetensors", kind, sizes, kind.generator(sizes).state_dict(), {})
    trained = read_trained(tmp_path / "model.safetensors")
    one, four = Sampler(trained, "x"), Sampler(trained, "x", batch=BATCH)
    assert one.batch == 1 and one.renderer.endswith("/cpu") and four.renderer.endswith("/batch-4/cpu")
    assert (determinism_of(one), determinism_of(four)) == ("A", "B")
    for drawing in four.draw_batch(seeds(1, 5), 32):
        single = one.draw(drawing.seed, 32)
        assert distance(drawing.pixels, single.pixels).largest <= 1 and drawing.attributes == single.attributes
        assert drawing.pixels.base is None or drawing.pixels.base.nbytes <= 32 * 32 * 3


def test_only_a_cpu_with_one_token_at_a_time_promises_equal_bytes() -> None:
    cpu, cuda = torch.device("cpu"), torch.device("cuda", 1)
    assert (batch_on(cpu), batch_on(cuda)) == (1, 16)
    assert determinism_by(renderer_id("vocabulary-3", 1, cpu)) == "A"
    assert determinism_by(renderer_id("vocabulary-3", 4, cpu)) == "B"
    assert renderer_id("vocabulary-3", 16, cuda).endswith("/batch-16/cuda")
    assert [determinism_by(renderer_id("x-1", batch, cuda)) for batch in (1, 16)] == ["B", "B"]
    assert determinism_by("batch") == determinism_by("") == "B"


def test_on_the_cpu_nothing_is_drawn_together(generator: Generator) -> None:
    assert isinstance(generator, BatchGenerator) and generator.batch == 1
    assert load_generator("default", "cpu", 1).renderer.endswith("/cpu")
