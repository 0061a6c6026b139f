"""The judge: what it learns, and that attempts chosen by it are the same again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.art.draw import Drawing, Gate, token_seed
from pipeline.art.draw.taste import COUNT, FEWEST, features, learn, read_judge, write_judge
from pipeline.base.errors import GenerationError
from pipeline.base.records import Address, TokenSpec

NOBODY, SEED = Address("0x" + "00" * 20), 6


def picture(number: int, busy: int) -> np.ndarray:
    chance, pixels = np.random.default_rng(number), np.full((96, 96, 3), 210, np.uint8)
    for x, y in chance.integers(0, 84, (busy, 2)):
        pixels[x : x + 12, y : y + 12] = chance.integers(0, 256, 3)
    return pixels


def of_seed(seed: int, size: int) -> Drawing:
    """Some seeds draw busy pictures, some calm ones."""
    return Drawing(seed, picture(seed, 40 if seed % 3 == 0 else 6), ())


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    learned = learn([picture(n, 40) for n in range(20)], [picture(n, 6) for n in range(20, 40)])
    assert learned.held_out > 0.9 and (learned.kept, learned.rejected) == (20, 20)
    path = tmp_path_factory.mktemp("judge") / "judge.json"
    write_judge(path, learned.judge)
    return read_judge(path)


def test_what_nobody_could_learn_is_told_as_chance() -> None:
    alike = [picture(n, 20) for n in range(60)]
    assert 0.2 < learn(alike[:30], alike[30:]).held_out < 0.8


def test_too_few_decisions_are_refused_with_a_way_to_more() -> None:
    some = [picture(n, 5) for n in range(FEWEST)]
    with pytest.raises(GenerationError, match="7 rejected") as caught:
        learn(some, some[1:])
    assert "reject" in caught.value.hint


def test_a_judge_sees_the_same_at_any_size() -> None:
    large = np.kron(picture(1, 20), np.ones((4, 4, 1), np.uint8))
    assert len(features(large)) == COUNT and np.allclose(features(large), features(picture(1, 20)))


@pytest.mark.parametrize(
    "data", [b"", b"{}", b'{"format": "nft-pipeline/judge/v1", "middle": [1], "spread": [1], "weights": [1]}']
)
def test_a_file_that_is_no_judge_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "judge.json").write_bytes(data)
    with pytest.raises(GenerationError, match="cannot use the judge"):
        read_judge(tmp_path / "judge.json")
    with pytest.raises(GenerationError, match="no judge has learned") as caught:
        read_judge(tmp_path / "none.json")
    assert "pipeline judge" in caught.value.hint


def test_of_three_proofs_the_best_is_taken_and_is_taken_again(judge) -> None:  # type: ignore[no-untyped-def]
    def gate() -> Gate:
        return Gate(SEED, near=None, proofs=3, ranked=lambda seeds: judge.ranked(of_seed, seeds))

    chosen = set()
    for token_id in range(1, 30):
        seeds = [token_seed(SEED, token_id, attempt) for attempt in range(3)]
        spec, _, _ = gate().first_good(TokenSpec(token_id, seeds[0], NOBODY), lambda seed: of_seed(seed, 96))
        assert spec.seed == seeds[spec.attempt]
        assert (spec.seed % 3 == 0) == any(seed % 3 == 0 for seed in seeds)
        again, _, _ = gate().first_good(spec, lambda seed: of_seed(seed, 96))  # as after its file was lost
        assert again == spec
        chosen.add(spec.attempt)
    assert chosen == {0, 1, 2}


def test_what_the_gate_refuses_gives_way_to_the_next_best(judge) -> None:  # type: ignore[no-untyped-def]
    token = TokenSpec(4, token_seed(SEED, 4), NOBODY)
    ranked = judge.ranked(of_seed, [token_seed(SEED, 4, attempt) for attempt in range(3)])
    gate = Gate(SEED, near=None, proofs=3, ranked=lambda seeds: judge.ranked(of_seed, seeds))

    def draw(seed: int) -> Drawing:
        return Drawing(seed, picture(seed, 9), (), "blurred" if seed == ranked[0] else "")

    assert gate.first_good(token, draw)[0].seed == ranked[1]
