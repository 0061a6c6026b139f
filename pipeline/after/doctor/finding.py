"""What an examination finds: one line per rule, with what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pipeline.base.secrets import redacted
from pipeline.base.untrusted import printable

State = Literal["ok", "warning", "failed", "unknown"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One rule and how it came out. `unknown`: nobody outside can say. Texts are safe to show, whoever wrote them."""

    subject: str  # what is examined, or who will look at it
    rule: str
    state: State
    found: str
    advice: str = ""  # empty where there is nothing to do
    source: str = ""  # where the rule is written

    def __post_init__(self) -> None:
        object.__setattr__(self, "found", printable(redacted(self.found)))
        object.__setattr__(self, "advice", printable(self.advice))


def worst(findings: list[Finding]) -> State:
    """The gravest state among findings; `unknown` weighs nothing."""
    states = {finding.state for finding in findings}
    return next((state for state in ("failed", "warning", "ok") if state in states), "unknown")
