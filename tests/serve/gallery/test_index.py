from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.base.records import Address
from pipeline.base.workspace import Workspace
from pipeline.ledger import Ledger
from pipeline.ledger.catalogue import Catalogue, Entry
from pipeline.serve.index import Index, Indexes, Query

TRAITS = {"Colour": ("Red", "Green", "blue"), "Grid": (1, 2, 10), "Odd: name": ("a b", "×")}


@dataclass(frozen=True)
class Token:
    token_id: int
    traits: Mapping[str, object] = field(default_factory=dict)
    owner: str | None = None


def _index(tokens: list[Token]) -> Index:
    entries = [
        Entry(
            token.token_id,
            Address("0x" + "9" * 40),
            json.dumps([{"trait_type": name, "value": value} for name, value in token.traits.items()])
            if token.traits
            else None,
            bytes([token.token_id % 256]) * 32 if token.traits else None,
            token.owner is not None,
        )
        for token in tokens
    ]
    return Index(entries, {token.token_id: Address(token.owner) for token in tokens if token.owner})


_SOME = st.lists(
    st.tuples(
        st.fixed_dictionaries({name: st.sampled_from(values) for name, values in TRAITS.items()}), st.integers(1, 5)
    ),
    min_size=1,
    max_size=40,
)
_CHOSEN = st.fixed_dictionaries(
    {}, optional={name: st.frozensets(st.sampled_from([str(v) for v in values])) for name, values in TRAITS.items()}
)


@settings(max_examples=60, deadline=None)
@given(_SOME, _CHOSEN)
def test_filters_and_counts_are_those_of_looking_at_every_token(
    some: list[tuple[dict[str, object], int]], chosen: dict[str, frozenset[str]]
) -> None:
    tokens = [Token(2 * n + 1, traits, f"0x{owner:040x}") for n, (traits, owner) in enumerate(some)]
    index = _index(tokens)

    def fits(token: Token, wanted: Mapping[str, frozenset[str]]) -> bool:
        return all(str(token.traits[name]) in values for name, values in wanted.items())

    found = [index.ids[position] for position in index.find(Query(traits=chosen))]
    assert found == [token.token_id for token in tokens if fits(token, chosen)]
    for name, values in index.facets(Query(traits=chosen)).items():
        others = {other: wanted for other, wanted in chosen.items() if other != name}
        expected = Counter(token.traits[name] for token in tokens if fits(token, others))
        assert {value.value: value.count for value in values if value.count} == dict(expected)
        assert {value.value: value.total for value in values} == dict(Counter(token.traits[name] for token in tokens))


def test_a_search_finds_ids_owners_and_parts_of_values() -> None:
    index = _index(
        [
            Token(1, {"Colour": "Deep red", "Grid": 12}, "0xAbc" + "0" * 37),
            Token(12, {"Colour": "Green"}, "0xabcd" + "1" * 36),
            Token(120, {"Colour": "red × green"}, "0x" + "2" * 40),
        ]
    )

    def ids(text: str, owner: str = "") -> list[int]:
        return [index.ids[position] for position in index.find(Query(text, owner))]

    assert ids("12") == ids("#12") == [12]
    assert ids("RED") == [1, 120] and ids("red green") == [120]
    assert ids("0xABC") == [1, 12] and ids("0xabcd") == [12] and ids("", "0xABC") == [1, 12]
    assert ids("99") == ids("nothing") == ids("0xfff") == []
    assert ids("green 12") == [12]


def test_the_rarest_comes_first_and_what_is_not_drawn_last() -> None:
    index = _index([Token(1), Token(2, {"Colour": "Red"}), Token(3, {"Colour": "Red"}), Token(4, {"Colour": "Blue"})])
    assert [index.ids[position] for position in index.find(Query(), "rank")] == [4, 2, 3, 1]
    assert index.ranks == [0, 2, 2, 1] and index.drawn == 3
    assert index.versions[0] == "" and index.versions[3] == "04040404"
    assert [index.ids[position] for position in index.find(Query(), "-id")] == [4, 3, 2, 1]
    assert index.share("Colour", "Red") == pytest.approx(2 / 3)


def test_an_index_is_kept_until_the_ledger_has_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And never built more often than a tenth of the time allows."""
    now, built = [100.0], []

    def entries(*_: object, **__: object) -> list[object]:
        built.append(now[0])
        now[0] += 2
        return []

    monkeypatch.setattr(Catalogue, "entries", entries)
    workspace = Workspace(tmp_path)
    with Ledger(workspace.ledger) as ledger:
        indexes = Indexes(lambda: now[0])
        first = indexes.of(ledger, 1)  # takes two seconds, so it is good for twenty
        assert now[0] == 102 and indexes.of(ledger, 1) is first
        with ledger.atomic():
            ledger.log("something", "1")
        now[0] = 121
        assert indexes.of(ledger, 1) is first
        now[0] = 123
        second = indexes.of(ledger, 1)
        assert second is not first
        now[0] = 500
        assert indexes.of(ledger, 1) is second  # nothing has changed
    assert len(built) == 2
