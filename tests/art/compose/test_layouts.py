"""Layouts of a collection: no picture twice in other colours, and neither restarts nor order show."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np
import pytest
from PIL import Image, ImageFilter

from pipeline.art.draw import Gate, drawn, token_seed
from pipeline.art.draw.composed import composer
from pipeline.art.draw.gates import is_blurred
from pipeline.art.draw.layouts import APART, WINDOW, Layouts, distance, layouts_of
from pipeline.base.records import Address, Artwork, TokenSpec

NOBODY = Address("0x" + "00" * 20)
SEED, SIZE = 556, 48  # a collection of groves whose law leaves little room
GROVES = composer("compose:grove", SEED)


def specs(ids: range) -> list[TokenSpec]:
    return [TokenSpec(token_id, token_seed(SEED, token_id), NOBODY) for token_id in ids]


def run(
    wanted: list[TokenSpec], known: Mapping[int, tuple[int, int]] | None = None, near: int | None = 4
) -> dict[int, tuple[int, int]]:
    """Attempt and seed of each token, as a process draws them that finds `known` in its ledger."""
    gate = Gate(SEED, near=near, layouts=layouts_of(GROVES, known))
    found = {}
    for item in drawn(wanted, GROVES, SIZE, gate):
        assert not isinstance(item, Artwork)
        found[item[0].token_id] = (item[0].attempt, item[0].seed)
    return found


@pytest.fixture(scope="module")
def whole() -> dict[int, tuple[int, int]]:
    return run(specs(range(1, 21)))


def test_tokens_of_a_sheet_are_no_picture_twice_in_other_colours(whole: dict[int, tuple[int, int]]) -> None:
    layouts = {token_id: (attempt, GROVES.layout(seed)) for token_id, (attempt, seed) in whole.items()}
    pairs = list(itertools.combinations(layouts.values(), 2))
    assert all(distance(one, other) >= min(APART[a], APART[b]) for (a, one), (b, other) in pairs)
    first = [GROVES.layout(token_seed(SEED, token_id)) for token_id in whole]
    assert min(distance(one, other) for one, other in itertools.combinations(first, 2)) < APART[0]  # it had to choose


@pytest.mark.parametrize("cut", [1, 9, 19])
def test_wherever_a_composed_run_is_cut_its_tokens_are_the_same(whole: dict[int, tuple[int, int]], cut: int) -> None:
    """As after kill -9, and as with `--more`: what the ledger has is a beginning."""
    known = {token_id: whole[token_id] for token_id in range(1, cut + 1)}
    assert known | run(specs(range(cut + 1, 21)), known) == whole


def test_tokens_whose_files_were_lost_are_the_same_again(whole: dict[int, tuple[int, int]]) -> None:
    lost = [TokenSpec(token_id, whole[token_id][1], NOBODY, whole[token_id][0]) for token_id in (2, 7, 15)]
    known = {token_id: found for token_id, found in whole.items() if token_id not in (2, 7, 15)}
    assert run(lost, known) == {spec.token_id: whole[spec.token_id] for spec in lost}


def test_where_nothing_is_compared_no_layout_is(whole: dict[int, tuple[int, int]]) -> None:
    compared, free = sum(a for a, _ in whole.values()), run(specs(range(1, 21)), near=None)
    assert sum(attempt for attempt, _ in free.values()) < compared


def test_a_token_is_not_its_own_twin() -> None:
    same = np.ones((5, 8, 8), np.float32)
    layouts = Layouts(lambda seed: same, {1: (0, 0)})
    assert layouts.twin(2, 0, same) == 1 and layouts.twin(1, 0, same) is None


def test_far_tokens_and_late_attempts_are_not_compared() -> None:
    same = np.ones((5, 8, 8), np.float32)
    layouts = Layouts(lambda seed: same, {1: (0, 0)})
    assert layouts.twin(1 + WINDOW, 0, same) == 1 and layouts.twin(2 + WINDOW, 0, same) is None
    assert layouts.twin(2, len(APART), same) is None


def test_a_mirrored_layout_is_the_same_picture() -> None:
    one = GROVES.layout(token_seed(SEED, 1))
    assert distance(one, one[:, :, ::-1]) == 0 and distance(one, one[:, ::-1]) > 0


def test_a_picture_without_a_clear_edge_is_blurred() -> None:
    pixels = composer("compose:braid", 1).draw(token_seed(1, 1), 256).pixels
    soft = Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(4))
    assert not is_blurred(pixels) and is_blurred(np.asarray(soft))
    assert not is_blurred(np.full((64, 64, 3), 9, np.uint8)) and not is_blurred(pixels[:8, :8])
