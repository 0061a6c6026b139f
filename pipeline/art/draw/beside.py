"""Generators that draw in Python, in processes beside this one: as many as there are cores, ahead of whoever waits.

Each process holds the same choice and is told seeds one at a time, so a picture is the same whoever draws it. A process ends
when its input does: with this one, however that ends. It is started by its own command line, never by copying this
process or running its script again, and is given nothing of the environment but where programs are.
"""

from __future__ import annotations

import os
import pickle
import queue
import signal
import subprocess
import sys
import weakref
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import cast

from pipeline.art.draw.generator import Drawing, Generator
from pipeline.base.errors import GenerationError

KEPT = ("PATH", "HOME", "TMPDIR", "LANG", "LD_LIBRARY_PATH", "SYSTEMROOT")
_START = """
import sys
sys.path[:] = eval(sys.argv[1])
from pipeline.art.draw.beside import serve
from pipeline.art.draw.composed import composer
serve(composer(sys.argv[2]))
"""


class Beside:
    """Processes that draw what the composer of a name draws. They begin with the first picture, and end with this object, or
    when `close` is called."""

    def __init__(self, name: str, count: int) -> None:
        self._command = [sys.executable, "-c", _START, repr(sys.path), name]
        self._pool = ThreadPoolExecutor(count, "beside")  # a thread waits for each process
        self._idle: queue.SimpleQueue[subprocess.Popen[bytes]] = queue.SimpleQueue()
        self._begun: list[subprocess.Popen[bytes]] = []
        self.close = weakref.finalize(self, _end, self._pool, self._begun)

    def draw(self, seeds: Sequence[int], size: int) -> list[Drawing]:
        return list(self._pool.map(lambda seed: self._drawn(seed, size), seeds))

    def _drawn(self, seed: int, size: int) -> Drawing:
        process = self._process()
        assert process.stdin and process.stdout, "both are pipes"
        try:
            pickle.dump((seed, size), process.stdin)
            process.stdin.flush()
            answer = pickle.load(process.stdout)
        except (OSError, EOFError, pickle.PickleError) as error:
            raise GenerationError(
                reason=f"a process that was to draw seed {seed} ended with {process.wait()}",
                hint="give the same command again: what is drawn stays; where memory is short, give --threads 1",
            ) from error
        self._idle.put(process)
        if isinstance(answer, str):
            raise GenerationError(reason=f"seed {seed} could not be drawn: {answer}", hint="report this")
        return cast(Drawing, answer)

    def _process(self) -> subprocess.Popen[bytes]:
        try:
            return self._idle.get_nowait()
        except queue.Empty:
            environ = {name: os.environ[name] for name in KEPT if name in os.environ}
            process = subprocess.Popen(
                self._command, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
            self._begun.append(process)
            return process


def _end(pool: ThreadPoolExecutor, begun: Sequence[subprocess.Popen[bytes]]) -> None:
    pool.shutdown(cancel_futures=True)
    for process in begun:
        process.communicate()  # its input ends, and so does it


def serve(generator: Generator) -> None:
    """Draw what standard input asks for, until it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who asks is interrupted, and ends the input
    asked, answered = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr
    while True:
        try:
            seed, size = pickle.load(asked)
        except EOFError:
            return
        try:
            answer: object = generator.draw(seed, size)
        except Exception as error:
            answer = f"{type(error).__name__}: {error}"
        pickle.dump(answer, answered, pickle.HIGHEST_PROTOCOL)
        answered.flush()
