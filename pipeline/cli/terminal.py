"""Progress on stderr: bars on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import contextlib
import getpass
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pipeline.base.secrets import redacted
from pipeline.base.untrusted import printable
from pipeline.cli.call import MAX_SAID
from pipeline.flow.consent import Person

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from pipeline.base.observer import Observer

LINE_EVERY_S = 5.0  # often enough to see that it lives, seldom enough for a log
LABELS = {
    "draw": "drawing",
    "pin": "pinning",
    "mint": "minting",
    "verify": "verifying",
    "repair": "rebuilding",
    "read": "reading",
    "train": "training",
    "repin": "pinning again",
    "unpin": "letting go",
    "site": "writing the show",
}


def _shown(text: str) -> str:
    return printable(redacted(text), MAX_SAID, lines=True)


@contextmanager
def progress_on_stderr() -> Iterator[Observer]:
    """Give an observer that shows a run's progress in whatever way stderr can."""
    if not sys.stderr.isatty():
        yield _Lines()
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description:>10}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    progress = Progress(*columns, console=Console(stderr=True))
    try:
        yield _Bars(progress)
    finally:
        progress.stop()


def person_here(confirm_name: str | None = None) -> Person:
    """Whoever sits at the terminal; nobody to ask when stdin is a file or a pipe."""
    if not sys.stdin.isatty():
        return Person(confirm_name)
    return Person(confirm_name, _ask, getpass.getpass)


def _ask(prompt: str) -> str:
    """One line from the terminal with its end, empty when nothing comes; the prompt is no result, so it goes to stderr."""
    print(prompt, end="", file=sys.stderr, flush=True)
    return sys.stdin.readline()


class _Bars:
    """One bar for each stage."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}
        self._lock = threading.Lock()

    def notice(self, text: str) -> None:
        self._progress.console.print(_shown(text), markup=False, highlight=False)

    def progress(self, stage: str, done: int, total: int) -> None:
        with self._lock:
            self._progress.start()  # not before: until now a person may be typing
            if stage not in self._tasks:
                self._tasks[stage] = self._progress.add_task(LABELS[stage], total=total)
        self._progress.update(self._tasks[stage], completed=done, total=total)


class _Lines:
    """One line per stage every few seconds, and one when it ends. A closed stderr is no reason to stop a run."""

    def __init__(self) -> None:
        self._told: dict[str, float] = {}

    def notice(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            print(_shown(text), file=sys.stderr, flush=True)

    def progress(self, stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        if done == total or now - self._told.setdefault(stage, now - LINE_EVERY_S + 1) >= LINE_EVERY_S:
            self._told[stage] = now
            self.notice(f"{LABELS[stage]} {done:,} of {total:,}")
