"""What verification says: steps, their sums, and the forms that people, scripts and CI servers read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from xml.etree import ElementTree

from pipeline.base.errors import PipelineError
from pipeline.base.secrets import redacted
from pipeline.base.untrusted import printable

SHOWN = 3  # failures named in the detail of a sum; the rest are counted


@dataclass(frozen=True, slots=True)
class Step:
    """One claim: whether it holds, and what was found. `ok` is None where there is nothing that could be checked.

    The detail is safe to show: what strangers wrote stands in it without control and direction characters.
    """

    name: str
    ok: bool | None
    detail: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "detail", printable(redacted(self.detail)))


@dataclass(frozen=True, slots=True)
class Report:
    """All checks of a collection, in the order of the way back."""

    collection: str
    checks: tuple[Step, ...]

    @property
    def ok(self) -> bool:
        return all_hold(self.checks)


def all_hold(steps: Sequence[Step]) -> bool:
    """Whether nothing failed and something was checked."""
    return any(step.ok for step in steps) and all(step.ok is not False for step in steps)


@dataclass(slots=True)
class Tally:
    """Counts what one check looked at, and what it found wrong."""

    name: str
    unit: str
    passed: int = 0
    failures: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)

    @property
    def seen(self) -> bool:
        """Whether anything was counted."""
        return bool(self.passed or self.failures or self.unchecked)

    def expect(self, got: object, expected: object, what: str) -> None:
        if got == expected:
            self.passed += 1
        else:
            self.failures.append(f"{what} is {got}, expected {expected}")

    def add(self, step: Step, what: str) -> None:
        """Count a step of one token."""
        if step.ok:
            self.passed += 1
        else:
            (self.unchecked if step.ok is None else self.failures).append(f"{what}: {step.detail}")

    @contextmanager
    def guarded(self, what: str) -> Iterator[None]:
        """What the block raises is a failure, and the checking goes on behind it."""
        try:
            yield
        except PipelineError as error:
            self.failures.append(f"{what}: {error}")

    def step(self) -> Step:
        """The sum: failures first, then what held, then what could not be checked."""
        if self.failures:
            return Step(self.name, False, _few(self.failures))
        if self.unchecked and not self.passed:
            return Step(self.name, None, _few(self.unchecked))
        more = f"; not checked: {_few(self.unchecked)}" if self.unchecked else ""
        return Step(self.name, self.passed > 0, f"{self.passed:,} {self.unit}{more}")


def _few(sentences: Sequence[str]) -> str:
    more = len(sentences) - SHOWN
    return "; ".join(sentences[:SHOWN]) + (f"; and {more:,} more" if more > 0 else "")


def junit(suite: str, cases: Sequence[tuple[str, Step]]) -> bytes:
    """The JUnit XML of (class name, step) pairs, as CI servers read it: a step is a test case.

    Source: the Apache Ant JUnit task's format, which Jenkins, GitLab and GitHub reporters share.
    """
    failed = sum(step.ok is False for _, step in cases)
    skipped = sum(step.ok is None for _, step in cases)
    counts = {"tests": str(len(cases)), "failures": str(failed), "errors": "0", "skipped": str(skipped)}
    suites = ElementTree.Element("testsuites", counts)
    parent = ElementTree.SubElement(suites, "testsuite", {"name": printable(suite), **counts})
    for group, step in cases:
        case = ElementTree.SubElement(parent, "testcase", {"classname": printable(group), "name": step.name})
        if step.ok:
            ElementTree.SubElement(case, "system-out").text = step.detail
        else:
            ElementTree.SubElement(case, "failure" if step.ok is False else "skipped", {"message": step.detail})
    ElementTree.indent(suites)
    document: bytes = ElementTree.tostring(suites, encoding="utf-8", xml_declaration=True)
    return document + b"\n"
