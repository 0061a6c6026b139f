"""Rarity against values that were worked out by hand from OpenRarity's formula."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from conftest import Pipeline
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipeline.after.rarity import ABSENT, rarity, shares
from pipeline.base.records import Attribute

HATS = {  # share of tokens: red 1/2, blue 1/4, none 1/4; eyes 1 on 3/4, eyes 2 on 1/4
    1: [Attribute("Hat", "Red"), Attribute("Eyes", 1, "number")],
    2: [Attribute("Hat", "Red"), Attribute("Eyes", 1, "number")],
    3: [Attribute("Hat", "Blue"), Attribute("Eyes", 1, "number")],
    4: [Attribute("Eyes", 2, "number")],
}


def test_scores_are_bits_over_the_collections_entropy() -> None:
    three_quarters = 0.4150375  # -log2 of it; halves have 1 bit, quarters 2
    entropy = (0.5 * 1 + 2 * 0.25 * 2) + (0.75 * three_quarters + 0.25 * 2)
    assert entropy == pytest.approx(2.3112781)
    scores = {entry.token_id: entry.score for entry in rarity(HATS)}
    assert scores == pytest.approx({1: 0.612232, 2: 0.612232, 3: 1.044893, 4: 1.730644}, abs=1e-6)
    assert scores[4] == pytest.approx((2 + 2) / entropy)  # the missing hat counts as one token in four does


def test_equal_scores_share_a_rank_and_the_next_counts_them_all() -> None:
    ranks = [(entry.rank, entry.token_id) for entry in rarity({**HATS, 5: HATS[3], 6: HATS[3]})]
    assert ranks == [(1, 4), (2, 1), (2, 2), (4, 3), (4, 5), (4, 6)]  # now red is the rarer hat


def test_numbers_are_compared_by_value_and_words_without_case() -> None:
    one = rarity({1: [Attribute("Fold", 3, "number")], 2: [Attribute("fold", 3.0)], 3: [Attribute(" FOLD", "3 ")]})
    assert [(entry.score, entry.rank) for entry in one] == [(0, 1)] * 3
    assert shares({1: [Attribute("Fold", 3)], 2: [Attribute("Fold", 4)], 3: []}) == {
        "fold": {ABSENT: 1 / 3, "3": 1 / 3, "4": 1 / 3}
    }


def test_a_trait_that_stands_twice_on_a_token_has_both_values() -> None:
    both = [Attribute("Charm", "Star"), Attribute("Charm", "Moon")]
    assert shares({1: both, 2: both[::-1], 3: both[:1]}) == {"charm": {"moon, star": 2 / 3, "star": 1 / 3}}


def test_a_single_token_and_a_collection_without_traits_have_a_rank() -> None:
    assert [(entry.score, entry.rank) for entry in rarity({7: HATS[1]})] == [(0, 1)]
    assert [(entry.token_id, entry.rank) for entry in rarity({1: [], 2: []})] == [(1, 1), (2, 1)]
    assert rarity({}) == []


_VALUE = st.one_of(st.integers(-3, 3), st.sampled_from(["a", "b", "c"]))
_TOKEN = st.dictionaries(st.sampled_from(["x", "y", "z"]), _VALUE).map(
    lambda traits: [Attribute(name, value) for name, value in traits.items()]
)


@given(st.lists(_TOKEN, min_size=1, max_size=20))
def test_the_mean_score_is_one_unless_all_tokens_are_alike(tokens: list[list[Attribute]]) -> None:
    ranked = rarity(dict(enumerate(tokens, 1)))
    mean = math.fsum(entry.score for entry in ranked) / len(tokens)
    assert mean == pytest.approx(1) or {entry.score for entry in ranked} == {0}
    assert [entry.rank for entry in ranked] == sorted(entry.rank for entry in ranked)
    assert ranked == rarity(dict(reversed(list(enumerate(tokens, 1)))))  # the order of reading is no trait


def test_the_verb_tells_ranks_as_a_table_as_json_and_as_a_plot(pipeline: Pipeline, tmp_path: Path) -> None:
    assert pipeline("rarity").code == 2
    assert pipeline("mint", "--count", "6", "--size", "32", "--seed", "3").code == 0
    report = pipeline("rarity", "--json").json
    assert [token["rank"] for token in report["tokens"]] == sorted(token["rank"] for token in report["tokens"])
    assert sorted(token["token_id"] for token in report["tokens"]) == [1, 2, 3, 4, 5, 6]
    assert report["tokens"][0]["rarest"]["share"] <= 0.5
    table = pipeline("rarity")
    assert table.code == 0 and "rank" in table.out and report["plot"] in table.err
    picture = np.asarray(Image.open(tmp_path / report["plot"]).convert("L"))
    assert picture.std() > 10  # there is something on it
    attributes = pipeline("show", "1", "--json").json[
        "attributes"
    ]  # ranks move with every further token: no trait has one
    assert not {"rank", "score", "rarity"} & set(json.dumps(attributes).lower().split('"'))
