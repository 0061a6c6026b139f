"""The one that does jobs: a thread that takes them from the ledger one after another and mints.

A job is a run like any other: its arguments name the job, so the same call continues it after any interruption and
nobody else can. That the run's result is told and that the job has ended is one commit. Killed at any instant, the next
worker on the same workspace goes on, and every accepted job ends exactly once.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from pipeline.base.crash import crash_point
from pipeline.base.errors import Interrupted, PipelineError, WorkspaceLocked
from pipeline.base.secrets import redacted
from pipeline.base.workspace import Workspace
from pipeline.flow.abandon import abandon
from pipeline.flow.consent import Person
from pipeline.flow.run import Outcome, mint_run
from pipeline.ledger import Ledger, Run
from pipeline.ledger.jobs import Job, Jobs
from pipeline.settings import Settings

log = logging.getLogger(__name__)

LOOK_S = 1.0  # how often a job that has to wait looks again
FAULT_S = 5.0  # after the ledger could not be written, by a full disk for instance


@dataclass(frozen=True, slots=True)
class Live:
    """What only this process knows of a job: how far its stages are, and what it waits for."""

    progress: dict[str, tuple[int, int]] = field(default_factory=dict)  # stage → (done, of how many) tokens
    waiting_for: str | None = None
    run: int | None = None


class Witness(Protocol):
    """Is told what happens to jobs, from the worker's threads; must return at once."""

    def run_ended(self, outcome: Outcome) -> None: ...


class Worker:
    """Does the jobs of a workspace. `start` it once; `stop` it before the process ends, or kill it at any time."""

    def __init__(self, workspace: Workspace, config: Settings, witness: Witness) -> None:
        self._workspace, self._config, self._witness = workspace, config, witness
        self._thread = threading.Thread(target=self._work, name="worker", daemon=True)
        self._news, self._stopping = threading.Event(), threading.Event()
        self._cancelling: set[int] = set()
        self._live: dict[int, Live] = {}

    def start(self) -> None:
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    @property
    def is_busy(self) -> bool:
        """True while a job is under way."""
        return any(live.progress or live.run for live in self._live.values())

    def stop(self, patience_s: float) -> bool:
        """End at the next thing that is recorded; the job under way stays as it is. False when it takes too long."""
        self._stopping.set()
        self._news.set()
        self._thread.join(patience_s)
        return not self._thread.is_alive()

    def wake(self) -> None:
        """There is something new in the ledger."""
        self._news.set()

    def cancel(self, job: int) -> None:
        """End a job at the next thing that is recorded, if it is under way."""
        self._cancelling.add(job)

    def live(self, job: int) -> Live:
        return self._live.get(job, Live())

    # ── in the thread ────────────────────────────────────────────────────────────────────────────────────────

    def _work(self) -> None:
        while not self._stopping.is_set():
            try:
                with Ledger(self._workspace.ledger) as ledger:
                    self._work_on(ledger)
            except PipelineError as error:  # the ledger itself: what is wrong may be put right meanwhile
                log.error("jobs stand still: %s", error)
                self._stopping.wait(FAULT_S)

    def _work_on(self, ledger: Ledger) -> None:
        while not self._stopping.is_set():
            self._news.clear()
            job = self._claimed(ledger)
            obstacle = None
            if job is not None:
                try:
                    obstacle = self._do(ledger, job)
                finally:
                    ledger.release(_claim(job))
            if job is not None and obstacle is not None:
                self._live[job.id] = Live(waiting_for=redacted(obstacle))
            if job is None or obstacle is not None:
                self._news.wait(LOOK_S)

    def _claimed(self, ledger: Ledger) -> Job | None:
        """The next job that no other service on this ledger is at; one whose service died is free again at once."""
        for listed in ledger.jobs.unended():
            try:
                ledger.hold(_claim(listed), at_once=True)
            except WorkspaceLocked:
                continue
            job = ledger.jobs.job(listed.id)  # as it is now: the other one may just have ended it
            if not job.has_ended or job.cancelling:
                return job
            ledger.release(_claim(job))
        return None

    def _do(self, ledger: Ledger, job: Job) -> str | None:
        """Walk a job's run to its end; what kept it from beginning, if something did."""
        jobs = ledger.jobs
        try:
            with self._workspace.lock():
                pass
        except WorkspaceLocked as error:
            return str(error)
        if job.has_ended:
            return self._let_go(ledger, job)
        jobs.begin(job.id)
        if job.cancelling:
            self._cancelling.add(job.id)
        observer = _JobObserver(ledger, job, self._live, self._must_end, self.cancel)
        log.info("job begun", extra={"job": job.id})
        try:
            outcome = self._mint(job, observer)
        except WorkspaceLocked as error:  # somebody came between our look and our call
            jobs.wait_again(job.id)
            return str(error)
        except Interrupted:
            if job.id not in self._cancelling:
                return "the service is ending"
            jobs.end(job.id, "cancelled")
        except PipelineError as error:
            self._fail(jobs, job, str(error), error.hint)
        except Exception as error:
            log.exception("job failed", extra={"job": job.id})
            self._fail(jobs, job, f"internal error ({type(error).__name__})", "the service's log tells more")
        else:
            crash_point("job_run_done")
            with ledger.atomic():
                jobs.set_run(job.id, outcome.run.id)
                jobs.end(job.id, "done")
                outcome.mark_reported(ledger)
                crash_point("inside_job_end")
            crash_point("job_ended")
            self._witness.run_ended(outcome)
        self._cancelling.discard(job.id)
        self._live.pop(job.id, None)
        log.info("job ended", extra={"job": job.id, "state": jobs.job(job.id).state})
        return None

    def _let_go(self, ledger: Ledger, job: Job) -> str | None:
        """End for good what an ended job left: nothing of it is minted any more, and what is minted stays."""
        try:
            found = abandon(
                self._workspace,
                self._config_of(job),
                None,
                _LogObserver(job.id),
                Person(job.body.get("confirm_name")),
                job=str(job.id),
            )
        except WorkspaceLocked as error:
            return str(error)
        except PipelineError as error:
            self._fail(ledger.jobs, job, f"what the job left could not be let go of: {error}", error.hint)
        else:
            ledger.jobs.end(job.id, "cancelled")
            log.info("job let go", extra={"job": job.id, "kept": len(found.kept) if found else 0})
        return None

    def _config_of(self, job: Job) -> Settings:
        said = {name: str(value) for name, value in job.body.items() if name not in ("count", "confirm_name")}
        return self._config.for_job(str(job.id), said)

    def _mint(self, job: Job, observer: _JobObserver) -> Outcome:
        return mint_run(
            self._config_of(job),
            job.body["count"],
            self._workspace,
            observer,
            more=job.kind == "mint",
            new=job.kind == "collection",
            person=Person(job.body.get("confirm_name")),
        )

    def _fail(self, jobs: Jobs, job: Job, error: str, hint: str) -> None:
        jobs.end(job.id, "failed", redacted(error), redacted(hint))

    def _must_end(self, job: int) -> bool:
        return self._stopping.is_set() or job in self._cancelling


def _claim(job: Job) -> str:
    """What a service holds at the server while it is at a job."""
    return f"job {job.id}"


class _LogObserver:
    """Writes what it is told into the log."""

    def __init__(self, job: int) -> None:
        self._job = job

    def notice(self, text: str) -> None:
        log.info("%s", text, extra={"job": self._job})

    def progress(self, stage: str, done: int, total: int) -> None:
        pass


class _JobObserver:
    """Hears how a run goes, notes which run it is, and ends it where that was asked for."""

    def __init__(
        self,
        ledger: Ledger,
        job: Job,
        live: dict[int, Live],
        must_end: Callable[[int], bool],
        cancel: Callable[[int], None],
    ) -> None:
        self._ledger, self._job, self._live, self._must_end, self._cancel = ledger, job, live, must_end, cancel
        self._looked = time.monotonic()
        self._run: Run | None = None
        live[job.id] = Live()

    def notice(self, text: str) -> None:
        log.info("%s", text, extra={"job": self._job.id, "run": self._run and self._run.id})
        self._check()

    def progress(self, stage: str, done: int, total: int) -> None:
        run = self._run = self._run or self._noted_run()
        if run is None:  # pictures are read before anything is planned
            self._check()
            return
        live = self._live[self._job.id]
        self._live[self._job.id] = Live({**live.progress, stage: (done, total)}, run=run.id)
        latest = run.start + done - 1  # the token that has just passed the stage, as the last of `done`
        log.debug(
            *("%s %d of %d", stage, done, total),
            extra={
                "job": self._job.id,
                "run": run.id,
                "stage": stage,
                "token_id": latest,
                "done": done,
                "total": total,
            },
        )
        self._check()

    def _noted_run(self) -> Run | None:
        run = next((run for run in self._ledger.runs.all_unfinished() if run.job == str(self._job.id)), None)
        if run is not None:
            self._ledger.jobs.set_run(self._job.id, run.id)
        return run

    def _check(self) -> None:
        if time.monotonic() > self._looked + LOOK_S:  # the request to end it may have come to another service
            self._looked = time.monotonic()
            if self._ledger.jobs.job(self._job.id).cancelling:
                self._cancel(self._job.id)
        if self._must_end(self._job.id):
            raise Interrupted
