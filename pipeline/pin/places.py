"""Several pinners at once: all get the same content, and enough of them have to prove it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pipeline.base.errors import BadArgument, BadCar, OnlyClaimed, PinError
from pipeline.base.records import Pin, PinnedRoot
from pipeline.pin import Pinner
from pipeline.pin.patience import BUDGET_S, MOST_AT_ONCE, Patience

log = logging.getLogger(__name__)


class Places:
    """The pinners of a run by name; content counts as pinned when `quorum` of them proved it (0: all).

    Raises BadArgument for a quorum that cannot be reached.
    """

    def __init__(
        self,
        pinners: Mapping[str, Pinner],
        quorum: int = 0,
        pause: Callable[[float], None] = time.sleep,
        budget_s: float = BUDGET_S,
    ) -> None:
        if quorum > len(pinners):
            raise BadArgument(
                name="--quorum", value=quorum, expected=f"at most {len(pinners)}, the number of places in --pin"
            )
        self._pinners = dict(pinners)
        self._quorum = quorum or len(pinners)
        self._patience = {name: Patience(pause=pause, budget_s=budget_s) for name in pinners}

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._pinners)

    def pin(self, car: Path, root: PinnedRoot, name: str) -> tuple[Pin, ...]:
        """Pin everywhere at the same time, and say how each place did, in order.

        Raises the first place's PinError when fewer than the quorum proved it; what the others have they keep. Raises
        BadCar, Corrupt and the like for content that is not sound here, whatever the quorum.
        """
        failures: dict[str, PinError] = {}

        def one(place: str) -> Pin:
            try:
                return self._pin_at(place, car, root, name)
            except BadCar:
                raise
            except PinError as error:
                failures[place] = error
                return failed(root, place, error)

        if len(self._pinners) == 1:
            pins = tuple(map(one, self._pinners))
        else:
            with ThreadPoolExecutor(len(self._pinners), thread_name_prefix="pin") as threads:
                pins = tuple(threads.map(one, self._pinners))
        if not self.are_enough(sum(pin.state == "proved" for pin in pins)):
            raise next(failures[place] for place in self._pinners if place in failures)
        for place, error in failures.items():
            log.warning("%s has not got %s: %s; `pipeline repin` tries again", place, root.cid, error)
        return pins

    def pin_each(self, jobs: Iterable[tuple[str, Path, PinnedRoot, str]]) -> Iterator[Pin]:
        """Pin each (place, CAR, root, name) and say how it went, in any order; no quorum. As many at once as each
        place can take. Raises as `pin` does for content that is not sound here."""

        def one(job: tuple[str, Path, PinnedRoot, str]) -> Pin:
            place, car, root, name = job
            try:
                return self._pin_at(place, car, root, name)
            except BadCar:
                raise
            except PinError as error:
                return failed(root, place, error)

        with ThreadPoolExecutor(MOST_AT_ONCE * len(self._pinners), thread_name_prefix="pin") as threads:
            yield from threads.map(one, jobs)

    def missing(self, root: PinnedRoot) -> dict[str, PinError]:
        """The places that do not say now that they keep `root`, and what they say; nothing is read back."""
        found = dict[str, PinError]()
        for place, pinner in self._pinners.items():
            try:
                for _, climb in pinner.rungs(root)[:-1]:
                    self._patience[place].call(climb)
            except BadCar:
                raise
            except PinError as error:
                found[place] = error
        return found

    def are_enough(self, number: int) -> bool:
        """Whether content that so many places keep counts as pinned."""
        return number >= self._quorum

    def unpin(self, place: str, root: PinnedRoot) -> None:
        """Let go of a root at one place. Raises PinError."""
        self._patience[place].call(lambda: self._pinners[place].unpin(root))

    def check(self, place: str, root: PinnedRoot) -> None:
        """Return when a place proves that it keeps `root`. Raises PinError."""
        self._patience[place].call(lambda: self._pinners[place].check(root))

    def _pin_at(self, place: str, car: Path, root: PinnedRoot, name: str) -> Pin:
        self._patience[place].call(lambda: self._pinners[place].pin(car, root, name))
        return Pin(root.cid, place, "proved")


def failed(root: PinnedRoot, place: str, error: PinError) -> Pin:
    """How a place stands that did not prove a root."""
    return Pin(root.cid, place, "claimed" if isinstance(error, OnlyClaimed) else "failed", str(error)[:500])
