"""Where a collection's content is kept, after it was minted: tell it, put it elsewhere, mend what failed, let go of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from pipeline.after.report import collection_named, reading
from pipeline.after.verify.content import with_gateways
from pipeline.base.cid import CID
from pipeline.base.errors import BadArgument, ContentMissing, Corrupt, LastPlace, PinError
from pipeline.base.observer import Observer
from pipeline.base.records import PinnedRoot
from pipeline.base.workspace import Workspace
from pipeline.ledger import Collection, Ledger
from pipeline.ledger.pins import KnownRoot
from pipeline.pin import load_pinners
from pipeline.pin.fetch import Limits, fetch
from pipeline.pin.patience import Patience
from pipeline.pin.places import Places
from pipeline.pin.store import CarStore
from pipeline.settings import Settings


@dataclass(frozen=True, slots=True)
class PinAt:
    """The last word of a place that was asked to keep a root."""

    place: str
    state: str  # proved, claimed or failed
    reason: str
    told: float  # seconds since 1970


@dataclass(frozen=True, slots=True)
class RootPins:
    """A root of a collection, and where it is kept."""

    root: str
    name: str
    blocks: int
    bytes: int
    pins: tuple[PinAt, ...]


@dataclass(frozen=True, slots=True)
class Pins:
    """Where a collection's content is kept, and the shows that `export --site --pin` put beside it."""

    collection: str
    roots: tuple[RootPins, ...]
    sites: tuple[RootPins, ...] = field(default=(), kw_only=True)


@dataclass(frozen=True, slots=True)
class Repinned(Pins):
    tried: int
    failed: int  # pins that could not be proved


@dataclass(frozen=True, slots=True)
class Unpinned(Pins):
    kept_for_others: tuple[str, ...]  # roots that another collection shares


def pins_report(workspace: Workspace, name: str | None) -> Pins:
    """Every root of a collection, and the last word of each place that was asked to keep it."""
    with reading(workspace, name) as (ledger, collection):
        sites = tuple(map(_told, ledger.pins.sites()))
        return Pins(collection.name, tuple(_told(root) for root in _roots(ledger, collection)), sites=sites)


def repin(
    workspace: Workspace, config: Settings, name: str | None, observer: Observer, *, everything: bool = False
) -> Repinned:
    """Pin a collection at the configured places wherever the ledger does not know it proved there, or everywhere.

    What a place has already is not sent again. A CAR that is gone or damaged here is first brought back through the
    configured gateway; the damaged file is set aside, under another name.
    """
    collection = collection_named(workspace, name)
    with workspace.lock(), Ledger(workspace.ledger) as ledger:
        store, places = _opened(workspace, config)
        roots = list(_roots(ledger, collection))
        jobs = [
            (place, store.path(root.root.cid), root.root, root.name)
            for root in roots
            for place in places.names
            if everything or root.state_at(place) != "proved"
        ]
        patience = with_gateways()
        for root in {job[2].cid: job[2] for job in jobs}.values():
            _bring_back(store, root, config, patience, observer)
        failures = 0
        for done, pin in enumerate(places.pin_each(jobs), 1):
            with ledger.atomic():
                ledger.pins.record([pin])
            failures += pin.state != "proved"
            if pin.state != "proved":
                observer.notice(f"{pin.place}: {pin.reason}")
            observer.progress("repin", done, len(jobs))
        told = tuple(_told(root) for root in _roots(ledger, collection))
    return Repinned(collection.name, told, tried=len(jobs), failed=failures)


def unpin(workspace: Workspace, config: Settings, name: str | None, observer: Observer) -> Unpinned:
    """Let go of a collection at the places of `--pin`, root by root, once another place proved now that it has it.

    Roots that another collection shares are kept. What a place failed to take is forgotten, and nobody is asked. Roots
    that no collection has any more, of a run that was abandoned, are let go of there as well. Raises LastPlace before a
    root would be kept nowhere.
    """
    if not config.given("pin"):
        raise BadArgument(name="--pin", value="", expected="the places that shall let go of the collection")
    collection = collection_named(workspace, name)
    with workspace.lock(), Ledger(workspace.ledger) as ledger:
        leaving = config.pin.places
        shared = _roots_of_others(ledger, collection)
        roots = [root for root in _roots(ledger, collection) if root.root.cid not in shared]
        for root in _forget_failed(ledger, roots, leaving):
            roots.remove(root)
        _, places = _opened(workspace, config) if roots else (None, None)
        if places is not None:
            others = _witnesses(workspace, config, roots, places)
            for done, root in enumerate(roots, 1):
                _check_kept_elsewhere(root, others)
                for place in (name for name in places.names if root.state_at(name) != "failed"):
                    # Forgotten first: a kill between the two leaves content that nobody counts on, never the reverse.
                    ledger.pins.forget(root.root.cid, place)
                    places.unpin(place, root.root)
                observer.progress("unpin", done, len(roots))
            _leave_orphans(ledger, places)
        told = tuple(_told(root) for root in _roots(ledger, collection))
    return Unpinned(collection.name, told, kept_for_others=tuple(sorted(map(str, shared))))


def unpin_site(workspace: Workspace, config: Settings, root: str) -> tuple[RootPins, ...]:
    """Let go of a show at the places of `--pin`, or everywhere, and return those that are kept still. It can be the last
    place: the same collections give the same show again. Raises BadArgument for a root that is no show's.
    """
    if not Ledger.exists(workspace.ledger):
        raise BadArgument(name="--site", value=root, expected="a show that is pinned; there is none")
    with workspace.lock(), Ledger(workspace.ledger) as ledger:
        sites = {str(site.root.cid): site for site in ledger.pins.sites()}
        site = sites.get(root.removeprefix("ipfs://").strip("/"))
        if site is None:
            raise BadArgument(
                name="--site", value=root, expected=f"the CID of a show ({', '.join(sites) or 'there is none'})"
            )
        store, held = CarStore(workspace.cars), [pin.place for pin in site.pins]
        leaving = [place for place in held if not config.given("pin") or place in config.pin.places]
        places = Places(load_pinners(leaving, store, config))
        for place in leaving:
            ledger.pins.forget(site.root.cid, place)
            if site.state_at(place) != "failed":
                places.unpin(place, site.root)
        if not ledger.pins.known(site.root.cid).pins:
            store.path(site.root.cid).unlink(missing_ok=True)
            ledger.pins.drop(site)
        return tuple(map(_told, ledger.pins.sites()))


def _forget_failed(ledger: Ledger, roots: Sequence[KnownRoot], leaving: Sequence[str]) -> list[KnownRoot]:
    """Forget what places failed to take; the roots of which nothing is left to let go of at any of them."""
    done = []
    for root in roots:
        failed = [place for place in leaving if root.state_at(place) == "failed"]
        for place in failed:
            ledger.pins.forget(root.root.cid, place)
        if len(failed) == len(leaving):
            done.append(root)
    return done


def _leave_orphans(ledger: Ledger, places: Places) -> None:
    """Let go of what an abandoned run left at places; the ledger forgets a root that is nowhere any more."""
    for orphan in ledger.pins.orphans():
        for place in places.names:
            if orphan.state_at(place) is not None:
                places.unpin(place, orphan.root)
                ledger.pins.forget(orphan.root.cid, place)
        if not ledger.pins.known(orphan.root.cid).pins:
            ledger.pins.drop(orphan)


def _opened(workspace: Workspace, config: Settings) -> tuple[CarStore, Places]:
    store = CarStore(workspace.cars)
    return store, Places(load_pinners(config.pin.places, store, config))


def _roots(ledger: Ledger, collection: Collection) -> Iterator[KnownRoot]:
    for cid in dict.fromkeys(ledger.collections.roots(collection.id)):
        yield ledger.pins.known(cid)


def _roots_of_others(ledger: Ledger, collection: Collection) -> set[CID]:
    own = set(ledger.collections.roots(collection.id))
    others = (other.id for other in ledger.collections.all() if other.id != collection.id)
    return {root for other in others for root in ledger.collections.roots(other)} & own


def _bring_back(store: CarStore, root: PinnedRoot, config: Settings, patience: Patience, observer: Observer) -> None:
    """Have the CAR of a root here and whole. Raises ContentMissing where it is not, and no gateway is named."""
    damaged: Corrupt | None = None
    if store.path(root.cid).exists():
        try:
            store.check(root)
            return
        except Corrupt as error:
            damaged = error
    if not config.pin.gateway:
        raise ContentMissing(
            folder=store.folder,
            roots=f"{root.cid} (damaged: {damaged.fields['reason']})" if damaged else str(root.cid),
            hint="--gateway URL brings it back from whoever has it, each block hashed",
        ) from damaged

    def fetched() -> PinnedRoot:
        return store.restore(root.cid, lambda put: fetch(root.cid, config.pin.gateway, Limits.of(root), put))

    aside = store.set_aside(root.cid) if damaged else None
    try:
        patience.call(fetched)
    except BaseException:
        if aside is not None and not store.path(root.cid).exists():
            aside.rename(store.path(root.cid))  # as it was: half of it may still be read
        raise
    store.check(root)
    if damaged and aside:
        observer.notice(f"{root.cid} was damaged ({damaged.fields['reason']}): set aside as {aside}, and brought back")


def _witnesses(workspace: Workspace, config: Settings, roots: list[KnownRoot], leaving: Places) -> Places:
    """The other places that the ledger knows of, to be asked before anything is let go."""
    names = sorted({place for root in roots for place in root.proved_at} - set(leaving.names))
    return Places(load_pinners(names, CarStore(workspace.cars), config))


def _check_kept_elsewhere(root: KnownRoot, others: Places) -> None:
    """Raises LastPlace, with why the last place that was asked could not prove it."""
    cause: PinError | None = None
    for place in others.names:
        if root.state_at(place) == "proved":
            try:
                others.check(place, root.root)
                return
            except PinError as error:
                cause = error
    raise LastPlace(cid=root.root.cid) from cause


def _told(root: KnownRoot) -> RootPins:
    pins = tuple(PinAt(pin.place, pin.state, pin.reason, told) for pin, told in zip(root.pins, root.told, strict=True))
    pinned = root.root
    return RootPins(str(pinned.cid), root.name, pinned.blocks, pinned.block_bytes, pins)
