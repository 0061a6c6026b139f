"""A collection in memory, for questions about all of its tokens at once: search, filter, count, order.

For each trait value and each owner there is one integer whose bit *n* says that the *n*-th token has it. A filter is an
AND of a few such integers, and a count their number of ones: microseconds where SQL would read every row. What a page of
tokens shows is then read from the ledger, by id.

An index is built anew when the ledger has changed, but never so often that building takes more than a tenth of the time:
beside a running mint a reader may see the collection as it was a few seconds ago.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from pipeline.after.rarity import rarity
from pipeline.base.records import Address, Attribute
from pipeline.ledger import Ledger
from pipeline.ledger.catalogue import Entry
from pipeline.ledger.rows import attributes_of

Order = Literal["id", "-id", "rank"]
Value = str | int | float

LEAST_AGE_S = 1.0  # an index younger than this is used whatever the ledger says
SHARE_OF_TIME = 10  # an index that took n seconds to build is used for at least ten times as long
VERSION_DIGITS = 8  # of an image's digest, in addresses that may be cached for ever
MIN_OWNER_DIGITS = 3  # hex digits behind 0x from which on a word is taken for an address


@dataclass(frozen=True, slots=True)
class Query:
    """Which tokens are wanted. `traits` maps a trait to the values of which a token must have one; all traits must fit."""

    text: str = ""
    owner: str = ""
    traits: Mapping[str, frozenset[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ValueCount:
    value: Value
    count: int  # of tokens with it that the query's other conditions leave
    total: int  # in the whole collection


class Index:
    """The tokens of one collection as they stood at one moment; position *n* is the *n*-th token by id."""

    def __init__(self, entries: Sequence[Entry], owners: Mapping[int, Address]) -> None:
        self.ids = [entry.token_id for entry in entries]
        self.names = [entry.name for entry in entries] if any(entry.name for entry in entries) else []
        self.versions = [entry.image_sha256.hex()[:VERSION_DIGITS] if entry.image_sha256 else "" for entry in entries]
        self.owners = [owners.get(entry.token_id) or (entry.recipient if entry.minted else None) for entry in entries]
        self.values: dict[str, dict[str, Value]] = {}  # trait -> value as text -> value
        self._position = {token_id: position for position, token_id in enumerate(self.ids)}
        parsed = _Parsed()
        traits = {entry.token_id: parsed(entry.attributes) for entry in entries if entry.attributes}
        self.ranks = [0] * len(entries)  # 0: not drawn yet
        self.scores = [0.0] * len(entries)
        for found in rarity(traits):
            position = self._position[found.token_id]
            self.ranks[position], self.scores[position] = found.rank, found.score
        self._all = (1 << len(entries)) - 1
        self._drawn = _bits((self._position[token_id] for token_id in traits), len(entries))
        self._traits = self._trait_bits(traits)
        self._owned = _grouped(self.owners, len(entries))

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def drawn(self) -> int:
        return self._drawn.bit_count()

    def position(self, token_id: int) -> int | None:
        return self._position.get(token_id)

    def share(self, trait: str, value: Value) -> float:
        """The share of the drawn tokens that have a trait's value."""
        return self._traits.get(trait, {}).get(str(value), 0).bit_count() / max(self.drawn, 1)

    def find(self, query: Query, order: Order = "id") -> list[int]:
        """Positions of the tokens that a query leaves, in order. Tokens that are not drawn have no rank and come last."""
        found = _positions(self._left(query))
        if order == "-id":
            found.reverse()
        elif order == "rank":
            last = len(self.ids) + 1
            found.sort(key=lambda position: self.ranks[position] or last)
        return found

    def facets(self, query: Query) -> dict[str, list[ValueCount]]:
        """For each trait its values with what choosing them would leave: most frequent first, and last what leaves none."""
        counted = {}
        for trait, values in self._traits.items():
            others = {name: wanted for name, wanted in query.traits.items() if name != trait}
            left = self._left(Query(query.text, query.owner, others))
            found = [
                ValueCount(self.values[trait][text], (left & bits).bit_count(), bits.bit_count())
                for text, bits in values.items()
            ]
            counted[trait] = sorted(found, key=lambda entry: (not entry.count, -entry.total, str(entry.value)))
        return counted

    def having(self) -> dict[str, list[tuple[Value, list[int]]]]:
        """For each trait its values, and the positions of the tokens that have one."""
        return {
            trait: [(self.values[trait][text], _positions(bits)) for text, bits in values.items()]
            for trait, values in self._traits.items()
        }

    def owner_counts(self) -> list[tuple[Address, int]]:
        """Each owner with the number of tokens, who has most first."""
        counts = [(owner, bits.bit_count()) for owner, bits in self._owned.items()]
        return sorted(counts, key=lambda entry: (-entry[1], entry[0]))

    def _left(self, query: Query) -> int:
        left = self._all
        for trait, wanted in query.traits.items():
            values = self._traits.get(trait, {})
            left &= _any(values.get(text, 0) for text in wanted)
        if query.owner:
            left &= self._owners_like(query.owner)
        for word in query.text.split():
            left &= self._word(word)
        return left

    def _word(self, word: str) -> int:
        """Tokens that a word of a search fits: `7` and `#7` an id, `0x…` an owner, else a part of a value or a name."""
        if re.fullmatch(r"#?[0-9]{1,18}", word):
            position = self._position.get(int(word.lstrip("#")))
            return 0 if position is None else 1 << position
        if re.fullmatch(f"0[xX][0-9a-fA-F]{{{MIN_OWNER_DIGITS},40}}", word):
            return self._owners_like(word)
        part = word.casefold()
        named = _bits((n for n, name in enumerate(self.names) if part in name.casefold()), len(self.ids))
        return named | _any(
            bits for values in self._traits.values() for text, bits in values.items() if part in text.casefold()
        )

    def _owners_like(self, start: str) -> int:
        start = start.lower()
        return _any(bits for owner, bits in self._owned.items() if owner.lower().startswith(start))

    def _trait_bits(self, traits: Mapping[int, Sequence[Attribute]]) -> dict[str, dict[str, int]]:
        size = len(self.ids)
        found: dict[str, dict[str, bytearray]] = {}
        for token_id, attributes in traits.items():
            position = self._position[token_id]
            for attribute in attributes:
                text = str(attribute.value)
                self.values.setdefault(attribute.trait_type, {})[text] = attribute.value
                values = found.setdefault(attribute.trait_type, {})
                _set(values.setdefault(text, bytearray(size // 8 + 1)), position)
        return {
            trait: {text: int.from_bytes(bits, "little") for text, bits in values.items()}
            for trait, values in found.items()
        }


class Indexes:
    """The indexes of a workspace's collections, kept as long as they are good enough. Safe to ask from many threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, *, public: bool = False) -> None:
        """`public`: of minted tokens alone, which also rank, count and name no other."""
        self._public = public
        self._clock = clock
        self._kept: dict[int, _Kept] = {}
        self._building = threading.Lock()  # one at a time: a mint beside us needs the processor more

    def of(self, ledger: Ledger, collection: int) -> Index:
        kept = self._kept.get(collection)
        if kept and self._clock() < kept.good_until:
            return kept.index
        with self._building:
            kept = self._kept.get(collection)
            stamp = ledger.stamp()
            if kept is None or (kept.stamp != stamp and self._clock() >= kept.good_until):
                kept = self._built(ledger, collection, stamp)
                self._kept[collection] = kept
            return kept.index

    def _built(self, ledger: Ledger, collection: int, stamp: tuple[int, ...]) -> _Kept:
        began = self._clock()
        index = Index(
            ledger.catalogue.entries(collection, minted_only=self._public), ledger.owners.owners_at(collection)
        )
        now = self._clock()
        return _Kept(index, stamp, now + max(LEAST_AGE_S, SHARE_OF_TIME * (now - began)))


@dataclass(frozen=True, slots=True)
class _Kept:
    index: Index
    stamp: tuple[int, ...]
    good_until: float


class _Parsed:
    """Attributes from their JSON; a text that many tokens share is parsed once."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Attribute, ...]] = {}

    def __call__(self, text: str) -> tuple[Attribute, ...]:
        if text not in self._known:
            self._known[text] = attributes_of(text)
        return self._known[text]


def _set(bits: bytearray, position: int) -> None:
    bits[position >> 3] |= 1 << (position & 7)


def _bits(positions: Iterable[int], size: int) -> int:
    bits = bytearray(size // 8 + 1)
    for position in positions:
        _set(bits, position)
    return int.from_bytes(bits, "little")


def _grouped(owners: Sequence[Address | None], size: int) -> dict[Address, int]:
    """Each owner's tokens as bits. An owner of a few costs a few bytes, so that a million owners do as well."""
    positions: dict[Address, list[int]] = {}
    for position, owner in enumerate(owners):
        if owner is not None:
            positions.setdefault(owner, []).append(position)
    return {owner: _bits(found, found[-1]) for owner, found in positions.items()}


def _any(sets: Iterable[int]) -> int:
    found = 0
    for bits in sets:
        found |= bits
    return found


def _positions(bits: int) -> list[int]:
    """Where the ones are, in ascending order."""
    return [position for position, digit in enumerate(reversed(f"{bits:b}")) if digit == "1"] if bits else []
