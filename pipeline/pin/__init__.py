"""Pinning: content is stored, and proven to read back, in every place that was asked for.

A pinner is a plug-in: `embedded`, `kubo`, `psa`, `filebase` and `pinata` are built in, other packages add theirs by an
entry point in the group `pipeline.pinners`, a function of (store, settings) that returns a `Pinner`. Settings of its own it
declares in the group `pipeline.settings`, and reads with `settings.of_plugin(…)`.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pipeline.base.errors import BadArgument
from pipeline.base.installation import loaded
from pipeline.base.records import PinnedRoot
from pipeline.settings import Settings

if TYPE_CHECKING:
    from pipeline.pin.store import CarStore

__all__ = ["Pinner", "Rung", "Settings", "load_pinners", "must_be_known"]

ENTRY_POINTS = "pipeline.pinners"

Rung = tuple[str, Callable[[], str]]  # its name, and a call that says what was found or raises


class Pinner(Protocol):
    """A place that keeps content."""

    name: str  # for messages

    def pin(self, car: Path, root: PinnedRoot, name: str) -> None:
        """Keep the DAG in `car` under `name`; return only when all of it was read back. Pinning again is harmless.

        Raises PinnerUnavailable where a second try may help, OnlyClaimed where the place says that it has the content
        and nobody could read it back yet, another PinError where trying again is of no use.
        """

    def unpin(self, root: PinnedRoot) -> None:
        """Let go of `root`. Harmless where it is not kept. Raises as `pin` does."""

    def rungs(self, root: PinnedRoot) -> Sequence[Rung]:
        """The steps that prove that `root` is kept, cheapest first, none of them taken yet. Each raises as `pin` does.

        The last reads all of it back; those before it ask for what the place says of itself.
        """

    def check(self, root: PinnedRoot) -> None:
        """Return when all of `root` is still kept and reads back. Raises as `pin` does."""
        for _, climb in self.rungs(root):
            climb()


Factory = Callable[["CarStore", Settings], Pinner]


def _embedded(store: CarStore, settings: Settings) -> Pinner:
    return store


def _kubo(store: CarStore, settings: Settings) -> Pinner:
    from pipeline.pin.kubo import kubo_from

    return kubo_from(settings.pin.ipfs_api, os.environ)


def _psa(store: CarStore, settings: Settings) -> Pinner:
    from pipeline.pin.services import psa_from

    return psa_from(settings, os.environ)


def _filebase(store: CarStore, settings: Settings) -> Pinner:
    from pipeline.pin.services import filebase_from

    return filebase_from(settings, os.environ)


def _pinata(store: CarStore, settings: Settings) -> Pinner:
    from pipeline.pin.services import pinata_from

    return pinata_from(settings, os.environ)


BUILT_IN: dict[str, Factory] = {
    "embedded": _embedded,
    "kubo": _kubo,
    "psa": _psa,
    "filebase": _filebase,
    "pinata": _pinata,
}


def load_pinners(names: Iterable[str], store: CarStore, settings: Settings) -> dict[str, Pinner]:
    """Make the pinners of these names, in their order. Raises BadArgument for an unknown one, with a near name."""
    added = {entry.name: entry for entry in entry_points(group=ENTRY_POINTS)}
    return {name: _factory(name, added)(store, settings) for name in names}


def must_be_known(names: Iterable[str]) -> None:
    """Raise what `load_pinners` does for a name that is none; nothing of theirs is opened."""
    added = {entry.name: entry for entry in entry_points(group=ENTRY_POINTS)}
    for name in names:
        _factory(name, added)


def _factory(name: str, added: dict[str, EntryPoint]) -> Factory:
    if name in BUILT_IN:
        return BUILT_IN[name]
    if name in added:
        factory: Factory = loaded(added[name])
        return factory
    known = [*BUILT_IN, *added]
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    guess = f"; did you mean {near[0]!r}?" if near else ""
    raise BadArgument(name="pinner", value=name, expected=f"one of {', '.join(known)}{guess}")
