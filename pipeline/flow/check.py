"""Whether art can be minted: all that `mint` would say of it, and nothing planned, opened or written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.art.cover import read_cover
from pipeline.art.source import Asked, open_source
from pipeline.base.errors import BadArgument, BadFiles, CollectionExists
from pipeline.base.observer import Observer
from pipeline.base.workspace import Workspace
from pipeline.flow.open import SOMEBODY
from pipeline.flow.plan import collection_settings, must_fit, must_have_room, nothing_to_add_to, wanted_collection
from pipeline.ledger import Collection, Ledger
from pipeline.settings import Settings


@dataclass(frozen=True, slots=True)
class Checked:
    """What `check` found."""

    tokens: int
    faults: list[tuple[str, str]]  # a file's name, and what was expected of it
    folder: str  # where the art's files lie; empty where it has none


def check_art(
    config: Settings, workspace: Workspace, observer: Observer, *, count: int | None = None, more: bool = False
) -> Checked:
    """Read the art that settings choose as a new collection's; with `more` as further tokens of the last (or named) one,
    held against those that it has. Raises BadArgument where nothing says how many tokens, or there is no such collection.
    """
    source, faults = open_source(config), list[tuple[str, str]]()
    try:
        tokens, about = source.count(count, list), source.about()
    except BadFiles as error:
        return Checked(0, error.fields["faults"], str(Path(error.fields["folder"]).resolve()))
    if tokens is None:
        expected = "the number of tokens, which this art does not say; or --images, a folder of them"
        raise BadArgument(name="--count", value="", expected=expected)
    earlier = _earlier(config, workspace) if more else _Earlier()
    given = config.collection.cover
    needs_cover = not (given or earlier.has_cover)
    try:
        source.plan(
            Asked(
                seed=config.art.seed or 0,
                first=earlier.next,
                count=tokens,
                needs_cover=needs_cover,
                digests=lambda: earlier.digests,
                observer=observer,
                plans=lambda: earlier.plans,
            )
        )
    except BadFiles as error:
        faults += error.fields["faults"]
    except BadArgument as error:
        faults.append((Path(str(error.fields["value"])).name, str(error.fields["expected"])))
    try:
        if given:
            read_cover(Path(given), "--cover")
        if earlier.collection is not None:
            must_fit(earlier.collection, config)
            must_have_room(earlier.collection.max_supply, earlier.next, tokens)
        else:
            collection_settings(config, config.collection.name or about.name_for(config.art.seed or 0), SOMEBODY, about)
    except CollectionExists as error:
        faults.append(("--name", str(error)))
    except BadArgument as error:
        faults.append((str(error.fields["name"]), f"{error.fields['value']!r}; expected {error.fields['expected']}"))
    return Checked(tokens, faults, about.folder)


@dataclass(frozen=True, slots=True)
class _Earlier:
    """What a collection has already; nothing, where one begins."""

    collection: Collection | None = None
    next: int = 1
    digests: Mapping[bytes, int] = field(default_factory=dict)
    plans: Sequence[str] = ()

    @property
    def has_cover(self) -> bool:
        known = self.collection
        return known is not None and (known.cover is not None or known.info_root is not None)


def _earlier(config: Settings, workspace: Workspace) -> _Earlier:
    if not Ledger.exists(workspace.ledger):
        raise nothing_to_add_to()
    with Ledger(workspace.ledger, readonly=True) as ledger:
        known = wanted_collection(ledger, config, more=True)
        assert known is not None, "`more` is refused where there is none"
        return _Earlier(
            known, ledger.runs.next_token(known), ledger.tokens.digests(known.id), ledger.tokens.plans(known.id)
        )
