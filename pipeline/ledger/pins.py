"""Which roots there are, and where each of them is kept."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.base.cid import CID
from pipeline.base.records import Pin, PinnedRoot
from pipeline.ledger.ledger import Ledger


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


def record_root(ledger: Ledger, root: PinnedRoot, name: str) -> None:
    """Enter a root; to be called inside `atomic`. Doing it again changes nothing."""
    ledger.execute(
        "INSERT INTO root (cid, name, blocks, bytes, car_sha256) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (str(root.cid), name, root.blocks, root.block_bytes, root.car_sha256),
    )


def record_pins(ledger: Ledger, pins: Iterable[Pin]) -> None:
    """Enter how places stand, over what they said before; to be called inside `atomic`, with roots that are entered."""
    for pin in pins:
        ledger.execute(
            "INSERT INTO pin (root, pinner, told, state, reason) VALUES (?, ?, ?, ?, ?) ON CONFLICT (root, pinner) "
            "DO UPDATE SET told = excluded.told, state = excluded.state, reason = excluded.reason",
            (str(pin.root), pin.place, time.time(), pin.state, pin.reason),
        )


def forget_pin(ledger: Ledger, root: CID, place: str) -> None:
    """Enter that a place let go of a root."""
    with ledger.atomic():
        ledger.execute("DELETE FROM pin WHERE root = ? AND pinner = ?", (str(root), place))
        ledger.log("pin.released", str(root), pinner=place)


def pinned_at(ledger: Ledger, root: CID) -> tuple[str, ...]:
    """Names of the places that proved to hold a root."""
    rows = ledger.rows("SELECT pinner FROM pin WHERE root = ? AND state = 'proved' ORDER BY pinner", (str(root),))
    return tuple(row["pinner"] for row in rows)


def known_root(ledger: Ledger, cid: CID) -> KnownRoot:
    """What the ledger has of a root. Raises KeyError."""
    row = ledger.row("SELECT * FROM root WHERE cid = ?", (str(cid),))
    if row is None:
        raise KeyError(str(cid))
    pins = ledger.rows("SELECT * FROM pin WHERE root = ? ORDER BY pinner", (str(cid),))
    return KnownRoot(
        PinnedRoot(cid, row["blocks"], row["bytes"], row["car_sha256"]),
        row["name"],
        tuple(Pin(cid, pin["pinner"], pin["state"], pin["reason"]) for pin in pins),
        tuple(pin["told"] for pin in pins),
    )
