"""Several processes that train one model: each takes its share of every batch, and gradients are averaged explicitly.

DistributedDataParallel averages inside hooks of `backward`, and a gradient penalty runs `backward` within `backward`:
its hooks then see half of the work (pytorch#47562). Here a gradient is averaged once it is complete, in the open.

    torchrun --nproc-per-node 2 -m pipeline train --model stylegan2 --data my-art --out runs/x

All processes draw the whole batch's random numbers from one stream and keep their own rows, so that two processes with
half a batch each take the step that one process takes with all of it.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch import distributed as dist

from pipeline.base.errors import BadArgument


class MemoryElsewhere(MemoryError):
    """Another process ran out of memory in this step, which none can finish without it."""


@dataclass(frozen=True, slots=True)
class Processes:
    """This process among `count`; alone, everything here is free."""

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the one that writes and speaks."""
        return self.rank == 0

    def check(self, batch: int) -> None:
        """Raise BadArgument for a batch that cannot be shared evenly."""
        if batch % self.count or batch < 2 * self.count:
            raise BadArgument(
                name="batch", value=batch, expected=f"two or more pictures for each of {self.count} processes"
            )

    def share(self, batch: Tensor) -> Tensor:
        """This process's rows of a batch that is the same everywhere."""
        rows = len(batch) // self.count
        return batch[self.rank * rows : (self.rank + 1) * rows]

    def agree(self) -> None:
        """Raise MemoryElsewhere if another process is in `give_up` instead of here."""
        if self.any(False):
            raise MemoryElsewhere

    def give_up(self) -> None:
        """Tell the others, who wait in `agree`, that memory did not suffice for this step."""
        self.any(True)

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace each gradient by its mean over all processes; in one message, since many small ones are slow.

        Raises MemoryElsewhere where another process could not compute its own.
        """
        if self.count == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        self.agree()  # after the last allocation: what comes now, all can do
        dist.all_reduce(flat)
        flat /= self.count
        parts = torch.split(flat, [gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))

    def mean(self, values: dict[str, float]) -> dict[str, float]:
        """The mean of each value over all processes, the same everywhere."""
        if self.count == 1:
            return values
        total = torch.tensor(list(values.values()), dtype=torch.float64)
        dist.all_reduce(total)
        return dict(zip(values, (total / self.count).tolist(), strict=True))

    def any(self, wish: bool) -> bool:
        """Whether any process wishes to; the same answer everywhere."""
        return self.mean({"wish": float(wish)})["wish"] > 0

    def gather(self, own: Tensor) -> list[Tensor]:
        """Each process's tensor, in order."""
        if self.count == 1:
            return [own]
        parts = [torch.empty_like(own) for _ in range(self.count)]
        dist.all_gather(parts, own)
        return parts

    def from_first(self, state: dict[str, Any]) -> dict[str, Any]:
        """The first process's state, on the CPU, in every process."""
        if self.count == 1:
            return state
        buffer = io.BytesIO()
        torch.save(state, buffer)
        message = [buffer.getvalue()]
        dist.broadcast_object_list(message, 0, device=torch.device("cpu"))
        first: dict[str, Any] = torch.load(io.BytesIO(message[0]), weights_only=True, map_location="cpu")
        return first


@contextmanager
def joined_processes() -> Iterator[Processes]:
    """The processes that torchrun started, or this one alone.

    The group's threads end with it. A thread that outlives it, and then lets go of a tensor while the interpreter ends,
    aborts the process (pytorch#190489).
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield Processes()
        return
    import torch.distributed.nn  # now: its default arguments would keep a process group that is there for good

    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield Processes(dist.get_rank(), count)
    finally:
        dist.destroy_process_group()
