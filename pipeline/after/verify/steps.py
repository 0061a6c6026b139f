"""What verification says: steps, their sums, and the forms that people, scripts and CI servers read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from xml.etree import ElementTree

from pipeline.base.errors import PipelineError
from pipeline.base.secrets import redacted
from pipeline.base.untrusted import printable
from pipeline.base.words import counted

SHOWN = 3  # failures named in the detail of a sum; the rest are counted


class Verdict(StrEnum):
    """What all steps together say."""

    HOLDS = "holds"
    FALSE = "false"  # something is not as it is claimed to be, whatever else was found
    NOT_CHECKED = "not checked"  # nothing is false, and whoever could tell more gave no answer
    NOTHING_YET = "nothing to prove yet"

    @classmethod
    def of(cls, steps: Iterable[Step]) -> Verdict:
        steps = tuple(steps)
        if any(step.ok is False for step in steps):
            return cls.FALSE
        if any(step.not_checked for step in steps):
            return cls.NOT_CHECKED
        return cls.HOLDS if any(step.ok for step in steps) else cls.NOTHING_YET


@dataclass(frozen=True, slots=True)
class Step:
    """One claim: whether it holds, and what was found. `ok` is None where there is nothing that could be checked, and
    where `not_checked`: where nobody who could tell has answered.

    The detail is safe to show: what strangers wrote stands in it without control and direction characters.
    """

    name: str
    ok: bool | None
    detail: str
    not_checked: bool = False  # something of it, at least

    def __post_init__(self) -> None:
        object.__setattr__(self, "detail", printable(redacted(self.detail)))


@dataclass(frozen=True, slots=True)
class Report:
    """All checks of a collection, in the order of the way back."""

    collection: str
    chain_id: int | None  # None: it has no chain yet
    contract: str | None
    pending: str  # what of it cannot be proved yet, because it is not minted; empty: nothing
    verdict: Verdict
    checks: tuple[Step, ...]

    @property
    def ok(self) -> bool:
        """Whether all that can be proved by now holds."""
        return self.verdict in (Verdict.HOLDS, Verdict.NOTHING_YET)

    def cases(self) -> list[tuple[str, Step]]:
        """For JUnit: each check, and what is not minted yet."""
        later = [Step("not minted yet", None, self.pending)] if self.pending else []
        return [(self.collection, step) for step in (*self.checks, *later)]


@dataclass(frozen=True, slots=True)
class Proof:
    """What was found of each collection of a workspace, or of the one that was named."""

    collections: tuple[Report, ...]

    @property
    def ok(self) -> bool:
        return all(report.ok for report in self.collections)

    @property
    def verdict(self) -> Verdict:
        found = {report.verdict for report in self.collections}
        order = (Verdict.FALSE, Verdict.NOT_CHECKED, Verdict.HOLDS, Verdict.NOTHING_YET)
        return next((verdict for verdict in order if verdict in found), Verdict.NOTHING_YET)


@dataclass(slots=True)
class Tally:
    """Counts what one check looked at, what it found wrong, and what it could not look at."""

    name: str
    unit: str  # as `counted` takes it
    passed: int = 0
    failures: list[str] = field(default_factory=list)
    without: list[str] = field(default_factory=list)  # there is nothing to check
    unchecked: list[str] = field(default_factory=list)  # nobody who could tell has answered

    @property
    def seen(self) -> bool:
        """Whether anything was counted."""
        return bool(self.passed or self.failures or self.without or self.unchecked)

    def expect(self, got: object, expected: object, what: str) -> None:
        if got == expected:
            self.passed += 1
        else:
            self.failures.append(f"{what} is {got}, expected {expected}")

    def add(self, step: Step, what: str) -> None:
        """Count a step of one token."""
        if step.ok:
            self.passed += 1
        elif step.ok is None:
            (self.unchecked if step.not_checked else self.without).append(f"{what}: {step.detail}")
        else:
            self.failures.append(f"{what}: {step.detail}")

    @contextmanager
    def guarded(self, what: str) -> Iterator[None]:
        """What the block raises is a failure, or could not be checked, and the checking goes on behind it."""
        try:
            yield
        except PipelineError as error:
            (self.unchecked if error.proves_nothing else self.failures).append(f"{what}: {error}")

    def step(self) -> Step:
        """The sum: failures first, then what held, then what could not be checked."""
        not_checked = bool(self.unchecked)
        if self.failures:
            return Step(self.name, False, _few(self.failures), not_checked)
        missing = [*self.unchecked, *self.without]
        if not self.passed:
            return Step(self.name, None, _few(missing), not_checked)
        more = f"; not checked: {_few(missing)}" if missing else ""
        return Step(self.name, None if not_checked else True, f"{counted(self.passed, self.unit)}{more}", not_checked)


def _few(sentences: Sequence[str]) -> str:
    more = len(sentences) - SHOWN
    return "; ".join(sentences[:SHOWN]) + (f"; and {more:,} more" if more > 0 else "")


def junit(suite: str, cases: Sequence[tuple[str, Step]]) -> bytes:
    """The JUnit XML of (class name, step) pairs, as CI servers read it: a step is a test case.

    Source: the Apache Ant JUnit task's format, which Jenkins, GitLab and GitHub reporters share.
    """
    failed = sum(step.ok is False for _, step in cases)
    errors = sum(_kind(step) == "error" for _, step in cases)
    skipped = sum(_kind(step) == "skipped" for _, step in cases)
    counts = {"tests": str(len(cases)), "failures": str(failed), "errors": str(errors), "skipped": str(skipped)}
    suites = ElementTree.Element("testsuites", counts)
    parent = ElementTree.SubElement(suites, "testsuite", {"name": printable(suite), **counts})
    for group, step in cases:
        case = ElementTree.SubElement(parent, "testcase", {"classname": printable(group), "name": step.name})
        if step.ok:
            ElementTree.SubElement(case, "system-out").text = step.detail
        else:
            ElementTree.SubElement(case, _kind(step), {"message": step.detail})
    ElementTree.indent(suites)
    document: bytes = ElementTree.tostring(suites, encoding="utf-8", xml_declaration=True)
    return document + b"\n"


def _kind(step: Step) -> str:
    """What a step that does not hold is called there: an error is a test that could not be run."""
    if step.ok is False:
        return "failure"
    return "error" if step.not_checked else "skipped"
