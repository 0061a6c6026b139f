"""What can be seen of a training that goes wrong, and what is done about it.

| alarm    | seen as                                                        | done                                  |
|----------|----------------------------------------------------------------|---------------------------------------|
| diverged | a loss or gradient is NaN, infinite or beyond LIMIT            | stop; the last checkpoint stands      |
| collapse | fakes differ from each other half as much as they already did, | halve both rates; stop the third time |
|          | or not half as much as reals do, and hardly more than before   |                                       |
| won      | the critic's loss stays next to zero: it teaches nothing more  | halve the critic's rate               |

A divergence is not tried again from the last checkpoint: where that was made depends on when somebody stopped the run, or
on the clock, and a run that was killed would no longer end with the weights of one that was not.

How much pictures differ is the mean distance between the coarse pictures of a batch, fakes over reals: about 1 in a
healthy run. Decisions depend on recorded numbers alone, so a resumed run takes the same ones.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

LIMIT = 1e6  # of any loss or gradient norm: nothing comes back from there
WINDOW = 5  # records that are averaged
GRACE = 10  # records before the first alarm: everything is wild at first
PATIENCE = 20  # records after an alarm in which its cure may work
FALL = 0.5  # of the best spread so far, or of the reals'
KNOWN = 0.3  # spread that must have been reached before a fall means anything
STILL = 30  # records whose first and last SOME are compared while the spread is below half of the reals'
SOME = 8
# Growth of the spread between them: mlp_gan, the slowest of healthy models, has 1.37 or more in four seeds; a run that drew
# the mean digit had 1.02. Fewer records do not tell them apart.
GROWTH = 1.2
CHANCES = 2  # cures of a collapse before the run is stopped


@dataclass(frozen=True, slots=True)
class Alarm:
    kind: str  # diverged, collapse or won
    reason: str
    stop: bool
    rate: float = 1.0  # multiplies both learning rates
    critic_rate: float = 1.0  # multiplies the critic's as well


@dataclass
class Watch:
    """Sees every record of a run once; its state is part of the checkpoint."""

    won: float | None = None  # the loss's threshold
    seen: int = 0
    quiet_until: int = 0
    best: float = 0.0
    collapses: int = 0
    fallen: str = ""  # why pictures are called all alike, as long as they are
    recent: list[dict[str, float]] = field(default_factory=list)
    spreads: list[float] = field(default_factory=list)  # the last STILL

    def look(self, record: Mapping[str, float]) -> Alarm | None:
        """What this record gives reason for, if anything."""
        for name, value in record.items():
            if not abs(value) < LIMIT:
                return Alarm("diverged", f"{name.replace('_', ' ')} is {value:g}", stop=True)
        self.seen += 1
        self.recent = [*self.recent, dict(record)][-WINDOW:]
        self.spreads = [*self.spreads, record.get("spread", math.nan)][-STILL:]
        spread = self._mean("spread")
        alarm = None
        if self.seen > max(GRACE, self.quiet_until) and len(self.recent) == WINDOW:
            alarm = self._collapse(spread) or self._won()
        if alarm:
            self.quiet_until = self.seen + PATIENCE
        self.best = max(self.best, spread)
        if alarm and alarm.kind == "collapse":
            self.fallen = alarm.reason
        elif spread >= FALL * max(self.best, 1.0):
            self.fallen = ""
        return alarm

    def _collapse(self, spread: float) -> Alarm | None:
        fell = self.best > KNOWN and spread < FALL * self.best
        still = len(self.spreads) == STILL and sum(self.spreads[-SOME:]) < GROWTH * sum(self.spreads[:SOME])
        if not (fell or (spread < FALL and still)):
            return None
        self.collapses += 1
        before = f"it was {self.best:.2f}" if fell else f"it has been {self.best:.2f} at best"
        reason = f"pictures differ {spread:.2f} times as much as real ones do; {before}"
        return Alarm("collapse", reason, stop=self.collapses > CHANCES, rate=0.5)

    def _won(self) -> Alarm | None:
        critic = self._mean("critic")
        if self.won is None or not critic < self.won:
            return None
        reason = f"the critic's loss is {critic:.3f}: it tells every picture apart, and teaches nothing"
        return Alarm("won", reason, stop=False, critic_rate=0.5)

    def _mean(self, name: str) -> float:
        values = [record[name] for record in self.recent if name in record]
        return sum(values) / len(values) if values else math.nan

    def state(self) -> dict[str, Any]:
        names = ("seen", "quiet_until", "best", "collapses", "fallen", "recent", "spreads")
        return {name: getattr(self, name) for name in names}

    def restore(self, state: Mapping[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)
