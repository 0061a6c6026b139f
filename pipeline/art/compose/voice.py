"""A voice: a law that a collection draws once, and a composer that every token of it draws with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from pipeline.art.compose.chance import Chance
from pipeline.art.compose.marks import Composition
from pipeline.base.records import Attribute

L = TypeVar("L")


@dataclass(frozen=True)
class Voice(Generic[L]):
    """One system of composition. `law` draws what a collection keeps, `compose` what a token adds."""

    name: str
    about: str  # a few words for a list
    law: Callable[[Chance], L]
    compose: Callable[[L, Chance], Composition]
    palettes: tuple[str, ...] = ()  # that suit it; empty: all
    edition: int = 1  # goes up whenever it composes something else for the same law and seed; earlier ones are kept

    @property
    def recorded(self) -> str:
        """What a collection writes down of it: `fold.2`, and the name alone for a first edition."""
        return self.name if self.edition == 1 else f"{self.name}.{self.edition}"

    def bound(self, law_seed: int) -> Callable[[int], Composition]:
        """The composer of one collection: a token's seed to its composition."""
        found = self.law(Chance(law_seed, f"{self.name}/law"))
        return lambda seed: self.compose(found, Chance(seed, f"{self.name}/token"))


def number(trait: str, value: int) -> Attribute:
    return Attribute(trait, value, "number")
