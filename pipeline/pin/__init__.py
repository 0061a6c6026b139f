"""Pinning: content is stored, and proven to read back, in every place that was asked for.

A pinner is a plug-in: `embedded` and `kubo` are built in, other packages add theirs by an entry point in the group
`pipeline.pinners`, a function of (store, settings) that returns a `Pinner`.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Sequence
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pipeline.errors import BadArgument
from pipeline.records import PinnedRoot

if TYPE_CHECKING:
    from pipeline.pin.store import CarStore

__all__ = ["Pinner", "Settings", "load_pinners"]

ENTRY_POINTS = "pipeline.pinners"


class Pinner(Protocol):
    """A place that keeps content."""

    name: str  # for messages

    def pin(self, car: Path, root: PinnedRoot, name: str) -> None:
        """Keep the DAG in `car` under `name`; return only when all of it was read back. Pinning again is harmless.

        Raises PinnerUnavailable where a second try may help, another PinError where it will not.
        """

    def check(self, root: PinnedRoot) -> None:
        """Return when all of `root` is still kept and reads back. Raises as `pin` does."""


class Settings(Protocol):
    """Configuration values by name; pinners read theirs when they are loaded."""

    def __getitem__(self, name: str, /) -> Any: ...


Factory = Callable[["CarStore", Settings], Pinner]


def _embedded(store: CarStore, settings: Settings) -> Pinner:
    return store


def _kubo(store: CarStore, settings: Settings) -> Pinner:
    from pipeline.pin.kubo import kubo_from

    return kubo_from(settings["ipfs_api"], os.environ)


BUILT_IN: dict[str, Factory] = {"embedded": _embedded, "kubo": _kubo}


def load_pinners(names: Sequence[str], store: CarStore, settings: Settings) -> list[Pinner]:
    """Make the pinners of these names, in their order. Raises BadArgument for an unknown one, with a near name."""
    added = {entry.name: entry for entry in entry_points(group=ENTRY_POINTS)}
    return [_factory(name, added)(store, settings) for name in names]


def _factory(name: str, added: dict[str, EntryPoint]) -> Factory:
    if name in BUILT_IN:
        return BUILT_IN[name]
    if name in added:
        factory: Factory = added[name].load()
        return factory
    known = [*BUILT_IN, *added]
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    guess = f"; did you mean {near[0]!r}?" if near else ""
    raise BadArgument(name="pinner", value=name, expected=f"one of {', '.join(known)}{guess}")
