"""Who is told how a call goes: the terminal, a job of the service, a notebook, nobody."""

from __future__ import annotations

from typing import Protocol


class Observer(Protocol):
    """Is told how a run goes; may be called from any thread, and must return at once.

    It may raise Interrupted: the run ends there, with everything so far recorded.
    """

    def notice(self, text: str) -> None:
        """A sentence for the reader: what was found, what was decided."""

    def progress(self, stage: str, done: int, total: int) -> None:
        """`done` of `total` tokens have passed the stage: draw, pin or mint."""


class Silence:
    """An observer that is told and says nothing."""

    def notice(self, text: str) -> None:
        return

    def progress(self, stage: str, done: int, total: int) -> None:
        return
