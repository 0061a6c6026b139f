"""The process that speaks with Ray: `workers.py` starts it, and it runs `main`.

It is a process of its own because what comes from a cluster is unpickled, and so may act: here is no key, no ledger and no
password to be had, only what is drawn. It gets seeds and gives pictures over its standard streams, as frames.

A plain pool of actors: each has one batch at a time, since Ray runs the task of a killed worker again and a pool of its own
loses the rest when one actor dies. A batch whose worker died is given to another, seed by seed, and at most TRIES times.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

from pipeline.art.draw import BatchGenerator, Drawing, Generator, load_generator
from pipeline.art.draw.frames import Closed, read_frame, write_frame
from pipeline.art.draw.generator import LaidOut, OfOneSide
from pipeline.art.draw.stage import draw, is_out_of_memory
from pipeline.base import __version__
from pipeline.base.errors import PipelineError

TRIES = 3  # of a seed whose worker died
OBJECT_STORE = 256 << 20  # bytes: a window's pictures, packed
Packed = tuple[dict[str, Any], bytes]


class Painter:
    """What runs at a worker: a generator, from a name that is known there or from weights that were sent."""

    def __init__(self, asked: dict[str, Any], weights: bytes) -> None:
        model = str(asked["model"])
        if asked["sha256"]:
            if hashlib.sha256(weights).hexdigest() != asked["sha256"]:
                raise ValueError("the weights that arrived are not those that were sent")
            self._folder = tempfile.TemporaryDirectory(prefix="weights-")
            place = Path(self._folder.name) / Path(model).name
            model = str(place)
            (place / asked["file"]).parent.mkdir(exist_ok=True)
            (place / asked["file"]).write_bytes(weights)
        self._generator: Generator = load_generator(model, device=asked["device"], threads=asked["threads"])

    def who(self) -> dict[str, Any]:
        """What it draws with: the same at every worker, or they draw no collection together."""
        made = self._generator
        return {
            "version": __version__,
            **{
                name: getattr(made, name)
                for name in ("name", "weights_sha256", "renderer", "device", "dtype", "threads")
            },
            "batch": made.batch if isinstance(made, BatchGenerator) else 1,
            "side": made.side if isinstance(made, OfOneSide) else None,
            "laid_out": isinstance(made, LaidOut),
        }

    def draw(self, seeds: list[int], size: int) -> list[Packed] | str:
        """The pictures, packed; a sentence where the generator refuses them."""
        try:
            return [packed(drawing) for drawing in self._drawings(seeds, size)]
        except PipelineError as error:
            return str(error)

    def _drawings(self, seeds: list[int], size: int) -> Sequence[Drawing]:
        if isinstance(self._generator, BatchGenerator) and len(seeds) > 1:
            try:
                return self._generator.draw_batch(seeds, size)
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
        return [draw(self._generator, seed, size) for seed in seeds]


def packed(drawing: Drawing) -> Packed:
    pixels = drawing.pixels.tobytes()
    layout = b"" if drawing.layout is None else drawing.layout.tobytes()
    body = zlib.compress(pixels, 1)
    header = {
        "seed": drawing.seed,
        "sha256": hashlib.sha256(pixels + layout).hexdigest(),
        "attributes": [asdict(attribute) for attribute in drawing.attributes],
        "flaw": drawing.flaw,
        "layout": None if drawing.layout is None else list(drawing.layout.shape),
        "packed": len(body),
    }
    return header, body + layout


class Pool:
    """The workers of a cluster, each with a painter."""

    def __init__(self, asked: dict[str, Any], weights: bytes) -> None:
        import ray

        self._ray = ray
        self._asked = asked
        self._weights = ray.put(weights)
        cpus, gpus = ray.cluster_resources().get("CPU", 1.0), ray.cluster_resources().get("GPU", 0.0)
        on_gpu = gpus >= 1 and asked["device"] not in ("cpu",)
        threads = max(1, asked["threads"] or 1)
        self._share = {"num_gpus": 1, "num_cpus": 1} if on_gpu else {"num_cpus": min(threads, cpus)}
        if not on_gpu:
            self._asked = asked | {"threads": threads}
        self._painters = [self._painter() for _ in range(max(1, int(gpus if on_gpu else cpus // threads)))]
        known = ray.get([painter.who.remote() for painter in self._painters])
        if any(one != known[0] for one in known):
            other = next(one for one in known if one != known[0])
            differs = ", ".join(
                f"{key} {known[0][key]} and {other[key]}" for key in other if other[key] != known[0][key]
            )
            raise ValueError(f"the workers do not draw the same: {differs}")
        self.who: dict[str, Any] = known[0] | {"workers": len(self._painters)}

    def _painter(self) -> Any:
        return self._ray.remote(Painter).options(**self._share).remote(self._asked, self._weights)

    def draw(self, seeds: Sequence[int], size: int) -> Iterator[Packed]:
        """Pictures as they are done. Raises ValueError naming the seeds whose workers died again and again."""
        from ray.exceptions import RayError

        step = max(1, self.who["batch"])
        waiting = deque((list(seeds[at : at + step]), 0) for at in range(0, len(seeds), step))
        free = list(range(len(self._painters)))
        busy: dict[Any, tuple[int, list[int], int]] = {}
        while waiting or busy:
            while free and waiting:
                number, (batch, tries) = free.pop(), waiting.popleft()
                busy[self._painters[number].draw.remote(batch, size)] = number, batch, tries
            (done, *_), _ = self._ray.wait(list(busy), num_returns=1)
            number, batch, tries = busy.pop(done)
            try:
                found = self._ray.get(done)
            except RayError as error:
                if tries + 1 >= TRIES:
                    named = ", ".join(map(str, batch))
                    raise ValueError(f"{TRIES} workers ended while they drew seed {named} ({_first(error)})") from error
                self._ray.kill(self._painters[number])
                self._painters[number] = self._painter()
                waiting.extend(([seed], tries + 1) for seed in batch)
            else:
                if isinstance(found, str):
                    raise ValueError(found)
                yield from found
            free.append(number)


def _first(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0][:200]


def _join(address: str, folder: str) -> None:
    import ray

    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
    if address.startswith("ray://"):
        ray.init(address, **quiet)
        return
    ray.init(
        include_dashboard=False,
        num_cpus=int(address.removeprefix("ray:local").removeprefix(":") or os.cpu_count() or 1),
        object_store_memory=OBJECT_STORE,
        _node_ip_address="127.0.0.1",
        _temp_dir=folder,
        **quiet,
    )


def main() -> None:
    """Speak with whoever started this until the stream ends."""
    source = sys.stdin.buffer
    target: BinaryIO = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever Ray prints is no frame
    try:
        asked, weights = read_frame(source)
        _join(asked["address"], asked["folder"])
        pool = Pool(asked, weights)
        write_frame(target, {"ready": pool.who})
        while True:
            wish, _ = read_frame(source)
            for header, body in pool.draw(wish["draw"], wish["size"]):
                write_frame(target, header, body)
            write_frame(target, {"done": True})
    except (Closed, BrokenPipeError):
        pass
    except Exception as error:  # whatever it is, it is told in words: the other side unpickles nothing
        write_frame(target, {"error": f"{_first(error)}" or type(error).__name__})
