"""The gate: what it refuses, what it draws instead, and that neither restarts nor order show."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.fft import dctn

from pipeline.art.draw import Drawing, Gate, Generator, generate, is_blank, phash, token_seed
from pipeline.art.draw.gates import ATTEMPTS, NEAR, STILL, distance
from pipeline.base.errors import GenerationError, NothingPasses
from pipeline.base.records import Address, TokenSpec

OWNER = Address("0x" + "00" * 20)
COLLECTION = 8


def noise(number: int, size: int = 32) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (size, size, 3), np.uint8)


def specs(first: int, last: int) -> list[TokenSpec]:
    return [TokenSpec(token_id, token_seed(COLLECTION, token_id), OWNER) for token_id in range(first, last + 1)]


@dataclass
class Few:
    """A generator that knows few pictures: `picture(seed)` says which a seed gives."""

    picture: Callable[[int], int]
    flaws: dict[int, str] = field(default_factory=dict)  # by seed
    name, weights_sha256, renderer, device, dtype, threads = "few", "0" * 64, "few-1", "cpu", "float64", 1

    def draw(self, seed: int, size: int) -> Drawing:
        return Drawing(seed, noise(self.picture(seed), size), (), self.flaws.get(seed, ""))


# ── the hash ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_hash_is_the_signs_of_the_low_cosine_frequencies() -> None:
    """Against SciPy's transform."""
    pixels = noise(1, 96)
    grey = Image.fromarray(pixels).convert("L").resize((32, 32), Image.Resampling.BOX)
    low = (dctn(np.asarray(grey, np.float64), type=2)[:8, :8] / 4 / STILL).round().ravel()[1:]
    expected = int("".join("1" if value > np.median(low) else "0" for value in low), 2)
    assert phash(pixels) == expected < 2**63
    assert 27 <= phash(pixels).bit_count() <= 31  # half of 63 lie above their median, or on it


def test_a_picture_keeps_its_hash_when_it_is_scaled_compressed_or_made_lighter(generator: Generator) -> None:
    for token_id in range(1, 6):
        pixels = generator.draw(token_seed(5, token_id), 256).pixels
        half = Image.fromarray(pixels).resize((128, 128), Image.Resampling.BOX)
        lighter = (pixels.astype(np.float32) * 0.8 + 40).round().astype(np.uint8)
        assert distance(phash(pixels), phash(np.asarray(half))) <= NEAR
        assert distance(phash(pixels), phash(lighter)) <= NEAR


def test_different_pictures_differ_in_many_bits(generator: Generator) -> None:
    hashes = [phash(generator.draw(token_seed(5, token_id), 64).pixels) for token_id in range(1, 31)]
    distances = [distance(one, other) for one, other in itertools.combinations(hashes, 2)]
    assert min(distances) > NEAR
    assert 20 < np.mean(distances) < 36


@pytest.mark.parametrize("fold", ["left on right", "top on bottom", "both", "a kaleidoscope"])
def test_mirrored_pictures_that_have_nothing_in_common_are_unlike(fold: str) -> None:
    """Hashed whole, a kaleidoscope would move fifteen frequencies of 63, and meet its like every few hundred."""

    def picture(seed: int) -> np.ndarray:
        part = noise(seed, 48)
        if fold == "a kaleidoscope":
            part = np.where(np.tri(48, dtype=bool)[:, :, None], part, part.transpose(1, 0, 2))
        if fold != "top on bottom":
            part = np.concatenate([part, part[:, ::-1]], axis=1)
        return part if fold == "left on right" else np.concatenate([part, part[::-1]], axis=0)

    hashes = [phash(picture(seed)) for seed in range(200)]
    assert min(distance(one, other) for one, other in itertools.combinations(hashes, 2)) > NEAR


@pytest.mark.parametrize("shape", [(64, 64), (40, 90)])
def test_one_colour_and_a_speck_on_it_are_blank(shape: tuple[int, int]) -> None:
    flat = np.full((*shape, 3), 90, np.uint8)
    speck = flat.copy()
    speck[:3, :3] = 200
    assert is_blank(flat) and is_blank(speck)
    assert not is_blank(noise(1, shape[0]))


# ── attempts ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_attempt_0_has_the_seed_that_tokens_always_had() -> None:
    assert token_seed(5, 1) == token_seed(5, 1, 0) == 8629932815222832
    assert len({token_seed(5, 1, attempt) for attempt in range(50)}) == 50


@pytest.mark.parametrize(("picture", "flaw"), [("flat", ""), ("noise", "not finite"), ("noise", "blank"), ("twin", "")])
def test_what_is_refused_is_drawn_with_the_next_attempt(picture: str, flaw: str) -> None:
    first, second = specs(1, 2)
    gate = Gate(COLLECTION, {first.token_id: phash(noise(1))})
    pictures = {"flat": np.full((32, 32, 3), 7, np.uint8), "noise": noise(2), "twin": noise(1)}

    def draw(seed: int) -> Drawing:
        return Drawing(seed, pictures[picture], (), flaw) if seed == second.seed else Drawing(seed, noise(3), ())

    spec, drawing, hashed = gate.first_good(second, draw)
    assert (spec.attempt, spec.seed) == (1, token_seed(COLLECTION, 2, 1))
    assert spec.seed == drawing.seed and hashed == phash(noise(3))


def test_near_means_up_to_so_many_bits() -> None:
    token = specs(2, 2)[0]
    for near, flipped, passes in ((4, 4, False), (4, 5, True), (0, 0, False), (0, 1, True), (None, 0, True)):
        hashed = phash(noise(1))
        gate = Gate(COLLECTION, {1: hashed ^ ((1 << flipped) - 1)}, near)
        spec, _, _ = gate.first_good(token, lambda seed: Drawing(seed, noise(1 if seed == token.seed else 2), ()))
        assert (spec.attempt == 0) is passes


def test_attempts_are_bounded_and_the_end_says_what_was_wrong_and_what_to_do() -> None:
    first, second = specs(1, 2)
    drawn: list[int] = []

    def draw(seed: int) -> Drawing:
        drawn.append(seed)
        return Drawing(seed, noise(1), (), "not finite" if len(drawn) % 4 == 0 else "")

    with pytest.raises(NothingPasses, match="token 2.*12 like token 1, 4 not finite") as caught:
        Gate(COLLECTION, {first.token_id: phash(noise(1))}).first_good(second, draw)
    assert drawn == [token_seed(COLLECTION, 2, attempt) for attempt in range(ATTEMPTS)]
    assert "--duplicate-bits" in caught.value.hint


def test_a_token_that_is_begun_at_a_later_attempt_goes_on_from_there() -> None:
    begun = TokenSpec(4, token_seed(COLLECTION, 4, 7), OWNER, 7)
    spec, _, _ = Gate(COLLECTION).first_good(
        begun, lambda seed: Drawing(seed, noise(seed), (), "blank" if seed == begun.seed else "")
    )
    assert (spec.attempt, spec.seed) == (8, token_seed(COLLECTION, 4, 8))


# ── restarts and order ───────────────────────────────────────────────────────────────────────────────────────


@given(st.lists(st.integers(0, 11), min_size=12 * ATTEMPTS, max_size=12 * ATTEMPTS), st.sets(st.integers(1, 8)))
def test_wherever_a_run_is_cut_its_tokens_have_the_same_attempts(pictures: list[int], kept: set[int]) -> None:
    """What an earlier process recorded may be any tokens (files get lost): the others come out as in one go."""
    of_seed = {
        token_seed(COLLECTION, token_id, attempt): pictures[(token_id - 1) * ATTEMPTS + attempt]
        for token_id in range(1, 9)
        for attempt in range(ATTEMPTS)
    }

    def draw(seed: int) -> Drawing:
        return Drawing(seed, noise(of_seed[seed], 16), ())

    def run(gate: Gate, wanted: list[TokenSpec]) -> dict[int, tuple[TokenSpec, int]] | None:
        try:
            passed = [gate.first_good(spec, draw) for spec in wanted]
        except NothingPasses:
            return None
        return {spec.token_id: (spec, hashed) for spec, _, hashed in passed}

    whole = run(Gate(COLLECTION), specs(1, 8))
    if whole is None:  # so few pictures that there was no way
        return
    prefix = max(kept, default=0)  # tokens are recorded in order: what is known is a prefix …
    known = {token_id: hashed for token_id, (_, hashed) in whole.items() if token_id <= prefix}
    rest = run(Gate(COLLECTION, known), specs(prefix + 1, 8))
    assert rest == {token_id: found for token_id, found in whole.items() if token_id > prefix}
    lost = [spec for token_id, (spec, _) in whole.items() if token_id in kept]  # … of which files were lost
    everything = {token_id: hashed for token_id, (_, hashed) in whole.items()}
    assert run(Gate(COLLECTION, everything), lost) == {token_id: whole[token_id] for token_id in kept}


def test_the_gate_remembers_more_tokens_than_it_had_room_for() -> None:
    gate = Gate(COLLECTION, {}, near=0)
    hashes = [gate.first_good(spec, lambda seed: Drawing(seed, noise(seed, 16), ()))[2] for spec in specs(1, 600)]
    assert [gate.twin(0, hashed) for hashed in hashes] == list(range(1, 601))
    assert gate.twin(600, hashes[599]) is None  # nothing is its own twin


# ── generators that misbehave ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "pixels", [np.zeros((16, 16), np.uint8), np.zeros((8, 16, 3), np.uint8), np.full((16, 16, 3), np.nan)]
)
def test_pixels_of_another_form_are_refused_with_what_was_found(tmp_path: Path, pixels: np.ndarray) -> None:
    few = Few(int)
    few.draw = lambda seed, size: Drawing(seed, pixels, ())  # type: ignore[method-assign]
    with pytest.raises(GenerationError, match="uint8 of the shape"):
        list(generate(specs(1, 1), few, 16, Gate(COLLECTION), lambda i: tmp_path / f"{i}.png"))
    assert not list(tmp_path.iterdir())


def test_too_little_memory_for_one_picture_is_told_with_a_way_out(tmp_path: Path) -> None:
    def picture(seed: int) -> int:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory")

    with pytest.raises(GenerationError, match="more memory than cpu has") as caught:
        list(generate(specs(1, 1), Few(picture), 16, Gate(COLLECTION), lambda i: tmp_path / f"{i}.png"))
    assert "--size" in caught.value.hint


def test_other_errors_of_a_generator_keep_their_name(tmp_path: Path) -> None:
    def picture(seed: int) -> int:
        raise RuntimeError("shape mismatch")

    with pytest.raises(RuntimeError, match="shape mismatch"):
        list(generate(specs(1, 1), Few(picture), 16, Gate(COLLECTION), lambda i: tmp_path / f"{i}.png"))
