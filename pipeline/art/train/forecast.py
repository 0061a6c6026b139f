"""How long a training will take, told before it begins: a few steps are taken by a trainer that is then thrown away."""

from __future__ import annotations

import time
from dataclasses import dataclass

from pipeline.art.draw.stage import is_out_of_memory
from pipeline.art.train.runs import Until
from pipeline.art.train.trainer import Trainer

TRIED = 3  # steps; the first is not counted, since it warms up and has the penalty
LONG_S = 5.0  # a step that takes longer is counted at once


@dataclass(frozen=True, slots=True)
class Forecast:
    seconds_per_step: float
    advised: int  # steps

    def told(self, until: Until) -> str:
        """`at this rate you get N steps; M are advised`, with what helps where N is less."""
        if until.seconds is not None:
            steps = int(until.seconds / self.seconds_per_step)
            steps = min(steps, until.steps or steps)
            gives = f"{_minutes(until.seconds)} give about {steps:,} steps"
        else:
            steps = until.steps or 0
            gives = f"{steps:,} steps take about {_minutes(steps * self.seconds_per_step)}"
        needed = f"{self.advised:,} are advised"
        if steps >= self.advised:
            return f"at this rate {gives}; {needed}"
        more = f"--minutes {max(1, round(self.advised * self.seconds_per_step / 60)):.0f} gives as many"
        return f"at this rate {gives}; {needed}: {more}, a smaller --size or a GPU gets there sooner"


def forecast(trainer: Trainer, advised: int) -> Forecast | None:
    """From a few steps of a trainer that is not used afterwards; None where they do not fit into memory as they are.

    `advised` is a number of pictures. All of several processes must ask at once.
    """
    spent = list[float]()
    try:
        for _ in range(TRIED):
            began = time.monotonic()
            trainer.advance()
            spent.append(time.monotonic() - began)
            if trainer.processes.any(spent[-1] > LONG_S):
                break
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return None
    counted = spent[1:] or spent
    mean = trainer.processes.mean({"seconds": sum(counted) / len(counted)})["seconds"]
    return Forecast(max(mean, 1e-6), -(-advised // trainer.batch))


def _minutes(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"
