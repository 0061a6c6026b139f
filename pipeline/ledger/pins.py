"""Which roots there are, and where each of them is kept."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.base.cid import CID
from pipeline.base.errors import Corrupt
from pipeline.base.records import Pin, PinnedRoot
from pipeline.ledger.database import Database


@dataclass(frozen=True, slots=True)
class KnownRoot:
    """A root of a collection, what it is, and the last word of every place that was asked to keep it."""

    root: PinnedRoot
    name: str
    pins: tuple[Pin, ...]
    told: tuple[float, ...]  # when, for each pin: seconds since 1970

    def state_at(self, place: str) -> str | None:
        return next((pin.state for pin in self.pins if pin.place == place), None)

    @property
    def proved_at(self) -> tuple[str, ...]:
        return tuple(pin.place for pin in self.pins if pin.state == "proved")


class Pins:
    """The roots of a ledger and their places."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def known(self, cid: CID) -> KnownRoot:
        """What the ledger has of a root that something in it names. Raises Corrupt."""
        row = self._db.row("SELECT name, blocks, bytes, car_sha256 FROM root WHERE cid = ?", (str(cid),))
        if row is None:
            raise Corrupt(what=f"{self._db.path}: root {cid}", reason="a collection or batch names it, and it is gone")
        pins = self._db.rows("SELECT pinner, state, reason, told FROM pin WHERE root = ? ORDER BY pinner", (str(cid),))
        return KnownRoot(
            PinnedRoot(cid, row["blocks"], row["bytes"], row["car_sha256"]),
            row["name"],
            tuple(Pin(cid, pin["pinner"], pin["state"], pin["reason"]) for pin in pins),
            tuple(pin["told"] for pin in pins),
        )

    def proved_at(self, cid: CID) -> tuple[str, ...]:
        """Names of the places that proved to hold a root."""
        rows = self._db.rows("SELECT pinner FROM pin WHERE root = ? AND state = 'proved' ORDER BY pinner", (str(cid),))
        return tuple(row["pinner"] for row in rows)

    def orphans(self) -> list[KnownRoot]:
        """Roots of what was let go of: no collection and no batch has them."""
        rows = self._db.rows(
            "SELECT cid FROM root WHERE NOT EXISTS (SELECT 1 FROM collection WHERE root.cid IN (cover_root, info_root))"
            " AND NOT EXISTS (SELECT 1 FROM batch WHERE root.cid IN (images_root, metadata_root))"
            " AND cid NOT IN (SELECT ref FROM event WHERE kind = 'site.pinned') ORDER BY cid"
        )
        return [self.known(CID.parse(row["cid"])) for row in rows]

    def sites(self) -> list[KnownRoot]:
        """Roots of shows that were pinned as a folder, in the order in which each was first."""
        rows = self._db.rows(
            "SELECT cid FROM root JOIN event ON event.ref = root.cid WHERE kind = 'site.pinned'"
            " GROUP BY cid ORDER BY min(seq)"
        )
        return [self.known(CID.parse(row["cid"])) for row in rows]

    def record_site(self, root: PinnedRoot, name: str, pins: Iterable[Pin]) -> None:
        """Enter a show that is pinned as a folder: no collection has its root, and it is kept all the same."""
        with self._db.atomic():
            self.record_root(root, name)
            self._db.log("site.pinned", str(root.cid), name=name)
        self.record(pins)

    def drop(self, orphan: KnownRoot) -> None:
        """Forget a root that nothing has, and every word about it."""
        with self._db.atomic():
            self._db.execute("DELETE FROM pin WHERE root = ?", (str(orphan.root.cid),))
            self._db.execute("DELETE FROM root WHERE cid = ?", (str(orphan.root.cid),))

    def record_root(self, root: PinnedRoot, name: str) -> None:
        """Enter a root; to be called inside `atomic`. Doing it again changes nothing."""
        self._db.execute(
            "INSERT INTO root (cid, name, blocks, bytes, car_sha256) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (str(root.cid), name, root.blocks, root.block_bytes, root.car_sha256),
        )

    def record(self, pins: Iterable[Pin]) -> None:
        """Enter how places stand, over what they said before; with roots that are entered."""
        with self._db.atomic():
            for pin in pins:
                self._db.execute(
                    "INSERT INTO pin (root, pinner, told, state, reason) VALUES (?, ?, ?, ?, ?) "
                    "ON CONFLICT (root, pinner) "
                    "DO UPDATE SET told = excluded.told, state = excluded.state, reason = excluded.reason",
                    (str(pin.root), pin.place, time.time(), pin.state, pin.reason),
                )

    def forget(self, root: CID, place: str) -> None:
        """Enter that a place let go of a root."""
        with self._db.atomic():
            self._db.execute("DELETE FROM pin WHERE root = ? AND pinner = ?", (str(root), place))
            self._db.log("pin.released", str(root), pinner=place)
