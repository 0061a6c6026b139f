"""Several devices of one machine as one generator: a worker for each, and tokens shared out in whole batches.

Each batch has the tokens that it would have on one device, so the pictures are the same to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from pipeline.art.draw.generator import BatchGenerator, Drawing, Generator, LaidOut
from pipeline.art.draw.stage import at_once


class Several:
    """A BatchGenerator of others that differ in their device alone."""

    def __init__(self, workers: Sequence[BatchGenerator]) -> None:
        first = workers[0]
        self._workers, self.devices = workers, len(workers)
        self.name, self.weights_sha256, self.renderer = first.name, first.weights_sha256, first.renderer
        self.device = first.device.partition(":")[0]  # of each: a run goes on with as many as there are then
        self.dtype, self.threads = first.dtype, first.threads
        self.batch = first.batch * len(workers)
        self._pool = ThreadPoolExecutor(len(workers), "device")

    def draw(self, seed: int, size: int) -> Drawing:
        return self._workers[0].draw(seed, size)

    def draw_batch(self, seeds: Sequence[int], size: int) -> list[Drawing]:
        """A drawing for each seed, in their order: a batch of them on each device at a time."""
        step = at_once(self._workers[0], size)
        parts = [seeds[at : at + step] for at in range(0, len(seeds), step)]

        def draw(number: int) -> list[list[Drawing]]:
            worker = self._workers[number]
            return [worker.draw_batch(part, size) for part in parts[number :: self.devices]]

        drawn = list(self._pool.map(draw, range(self.devices)))
        return [drawing for at in range(len(parts)) for drawing in drawn[at % self.devices][at // self.devices]]


class SeveralLaidOut(Several):
    """The same of generators that know where they put what."""

    def layout(self, seed: int) -> NDArray[np.float32]:
        worker = self._workers[0]
        assert isinstance(worker, LaidOut), "made of those alone"
        return worker.layout(seed)


def on_every(open_one: Callable[[str], Generator], device: str) -> Generator:
    """The generator on a device, or on all of its kind where there are several: `cuda:1` is one, `cuda` and `auto` are all."""
    first = open_one(device)
    if device not in ("auto", "cuda") or first.device != "cuda" or not isinstance(first, BatchGenerator):
        return first
    import torch

    if (count := torch.cuda.device_count()) < 2:
        return first
    return shared([open_one(f"cuda:{number}") for number in range(count)])


def shared(workers: Sequence[Generator]) -> Generator:
    """Generators of several devices as one."""
    able = [worker for worker in workers if isinstance(worker, BatchGenerator)]
    return SeveralLaidOut(able) if isinstance(able[0], LaidOut) else Several(able)
