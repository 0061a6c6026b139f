"""Tokens that were planned together in a table, and can be planned otherwise: what the studio asks of such a source.

A source that plans so is `Arranging`. Nothing here writes: every change comes back as plans, by token id.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Locks = Mapping[int, Collection[str]]  # by token id, the layers whose values stay
Counts = Mapping[str, Mapping[str, int]]  # by layer, how many tokens shall have a value, where somebody said it
Plans = dict[int, str]


@dataclass(frozen=True, slots=True)
class Counted:
    """How often a value is wanted among tokens, and how often it is there."""

    kind: str
    layer: str
    value: str
    wanted: int
    there: int


@dataclass(frozen=True, slots=True)
class Choice:
    """A layer, by the word that says which one is meant, and its values."""

    layer: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ruled:
    """A rule as it was written, and the tokens that break it."""

    told: str
    broken: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """What an arrangement is of: every token's plan, and which of them may get another."""

    seed: int  # of the collection
    plans: Mapping[int, str]
    movable: frozenset[int]
    counts: Counts


class Arrangement(Protocol):
    """One state of the table. Raises BadArgument for tokens, layers and values that there are not, Impossible with a proof."""

    layers: Sequence[Choice]
    singles: Sequence[str]  # whole pictures, each of which is one token

    def cells(self, token_id: int) -> dict[str, str]:
        """A token's value of each layer; none where it is a whole picture."""

    def single(self, token_id: int) -> str:
        """The whole picture that a token is; empty where it is composed."""

    def counted(self) -> list[Counted]:
        """How often each value is wanted, and there."""

    def rules(self) -> list[Ruled]: ...

    def repeated(self) -> list[int]:
        """Tokens that agree with another, or with one of an earlier collection."""

    def rerolled(self, token_ids: Sequence[int], locks: Locks, seed: int) -> Plans:
        """Other values for these tokens, in layers that are not locked: what is wanted first, and rules hold.

        No other token changes, so counts may move by as many as these are; several exchange among themselves first.
        """

    def swapped(self, one: int, other: int) -> Plans:
        """Each of two tokens as the other was."""

    def placed(self, token_id: int, single: str) -> Plans:
        """A whole picture at this id; where it was elsewhere the two change places."""

    def chosen(self, token_id: int, layer: str, value: str) -> Plans:
        """A token with this value. Raises BadArgument where a rule forbids it, or another token has it all already."""

    def levelled(self, held: Collection[int], locks: Locks, seed: int) -> Plans:
        """As few other cells as are found so that counts hold again and no rule is broken; `held` tokens stay."""

    def must_count(self, layer: str, value: str, wanted: int) -> None:
        """Raise BadArgument where counts with this one could not add up."""

    def must_be_painted(self, token_ids: Sequence[int]) -> None:
        """Raise BadArgument for tokens that could not be painted as they are planned here."""

    def picture(self, token_id: int, seed: int) -> NDArray[np.uint8]:
        """The pixels of a token, (H, W, 3 or 4)."""


@runtime_checkable
class Arranging(Protocol):
    """An art source whose tokens can be arranged otherwise before they are pinned."""

    def arrangement(self, table: Table) -> Arrangement:
        """The table as it is now. Raises PipelineError where its pictures are others than it was planned with."""
