"""The ladder of proof that pinned content is there: each rung asks more, and believes less, than the one below.

    recompute      the root, cut anew from the files on this disk, is the one that the chain commits to
    <place>: …     every pinner of the run climbs its own rungs: what it counted, what it lists, what it gives back
    gateway        everything comes back through somebody else's gateway, each block hashed and each link walked

That a place says «pinned» proves nothing; that somebody other than us gave the bytes back does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.after.verify.content import GatewayContent, within_patience
from pipeline.after.verify.steps import Tally
from pipeline.after.verify.walk import Found, follow_uri, sample_of
from pipeline.art.artworks import image_files
from pipeline.base.errors import Corrupt, DigestMismatch, PipelineError
from pipeline.base.files import open_regular
from pipeline.base.limits import FILE_BYTES
from pipeline.base.observer import Observer
from pipeline.base.workspace import Workspace
from pipeline.ledger import Collection, Ledger
from pipeline.ledger.pins import KnownRoot
from pipeline.pin import Pinner, load_pinners, unixfs
from pipeline.pin.fetch import read_back
from pipeline.pin.store import CarStore
from pipeline.settings import Settings

if TYPE_CHECKING:
    from pipeline.base.cid import CID


@dataclass(frozen=True, slots=True)
class Ladder:
    """How high to climb: through a gateway where one is given, and of `sample` tokens there instead of whole roots."""

    gateway: str | None = None
    sample: int | None = None


def climb(
    ladder: Ladder, workspace: Workspace, config: Settings, ledger: Ledger, collection: Collection, observer: Observer
) -> list[Tally]:
    """Climb for every root of a collection, and count each rung. What fails is counted, and the others go on."""
    store = CarStore(workspace.cars)
    known = [ledger.pins.known(root) for root in ledger.collections.roots(collection.id)]
    images = {root: plan for plan, root, _ in ledger.batches.sealed(collection.id)}
    tallies = _Tallies()
    pinners = _pinners(known, store, config, tallies)
    for done, entry in enumerate(known, 1):
        cid = entry.root.cid
        files = image_files(workspace, ledger, collection.id, images[cid]) if cid in images else []
        tallies.climb("recompute", "root(s) cut anew from the files", cid, partial(_recompute, cid, files, store))
        for place in (pin.place for pin in entry.pins if pin.place in pinners):
            for name, rung in pinners[place].rungs(entry.root):
                tallies.climb(f"{place}: {name}", "root(s)", cid, rung)
        if ladder.gateway and ladder.sample is None:
            _fetch_back(entry, ladder.gateway, tallies)
        observer.progress("verify", done, len(known))
    if ladder.gateway and ladder.sample is not None:
        _fetch_sample(ladder, ledger, collection, tallies)
    return tallies.in_order()


class _Tallies:
    """Sums by the name of the rung, in the order in which they were first climbed."""

    def __init__(self) -> None:
        self._by_name: dict[str, Tally] = {}

    def of(self, name: str, unit: str) -> Tally:
        return self._by_name.setdefault(name, Tally(name, unit))

    def climb(self, name: str, unit: str, root: CID, rung: Callable[[], object]) -> None:
        tally = self.of(name, unit)
        with tally.guarded(str(root)):
            rung()
            tally.passed += 1

    def in_order(self) -> list[Tally]:
        return list(self._by_name.values())


def _pinners(known: Iterable[KnownRoot], store: CarStore, config: Settings, tallies: _Tallies) -> dict[str, Pinner]:
    """Every place that was asked to keep a root. One that cannot be opened, for want of its token, is not checked."""
    found: dict[str, Pinner] = {}
    for place in dict.fromkeys(pin.place for entry in known for pin in entry.pins):
        try:
            found |= load_pinners([place], store, config)
        except PipelineError as error:
            tallies.of(f"{place}: open", "").unchecked.append(f"{error}; {error.hint}" if error.hint else str(error))
    return found


def _recompute(root: CID, files: list[Path], store: CarStore) -> None:
    """Cut a directory into blocks again: from its files on disk, else from those in its CAR. Raises DigestMismatch."""
    profile = store.profile
    nodes: Iterator[tuple[str, unixfs.Node]]
    if files:
        nodes = ((path.name, unixfs.add_file(_chunks(path, profile.chunk), _drop, profile)) for path in files)
        again = unixfs.add_directory(nodes, _drop, profile).cid
    else:
        with store.open(root) as car:
            nodes = (
                (
                    name,
                    unixfs.add_file(
                        _cut(unixfs.read_bytes(cid, car.get_block, FILE_BYTES), profile.chunk), _drop, profile
                    ),
                )
                for name, cid in unixfs.entries(root, car.get_block)
            )
            again = unixfs.add_directory(nodes, _drop, profile).cid
    if again != root:
        raise DigestMismatch(where="cutting its files anew", got=again, expected=root)


def _drop(cid: CID, block: bytes) -> None:
    """Only the names of the blocks are wanted."""


def _chunks(path: Path, size: int) -> Iterator[bytes]:
    try:
        with open_regular(path) as file:
            while chunk := file.read(size):
                yield chunk
    except OSError as error:
        raise Corrupt(what=path, reason=error.strerror or str(error)) from error


def _cut(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


def _fetch_back(entry: KnownRoot, gateway: str, tallies: _Tallies) -> None:
    tallies.climb(
        "gateway",
        "root(s) back whole, every block hashed and every link walked",
        entry.root.cid,
        within_patience(lambda: read_back(entry.root, gateway)),
    )


def _fetch_sample(ladder: Ladder, ledger: Ledger, collection: Collection, tallies: _Tallies) -> None:
    assert ladder.gateway is not None
    tally = tallies.of("gateway", "token(s) of the sample back, document and image, every block hashed")
    content = GatewayContent(ladder.gateway)
    pinned = [token for token in ledger.tokens.of(collection.id) if token.token_uri]
    for index in sample_of(len(pinned), ladder.sample):
        token = pinned[index - 1]
        steps = follow_uri(content, Found(token.token_id, token.token_uri or ""))
        broken = [step for step in steps if step.ok is False or step.not_checked]
        if broken:
            tally.add(broken[0], f"token {token.token_id}")
        else:
            tally.passed += 1
