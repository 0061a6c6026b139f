"""Jobs of the HTTP service: what was asked for under which key, and how far each has come."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from typing import Any, Literal

from pipeline.base.crash import crash_point
from pipeline.base.errors import Corrupt, KeyReused, QueueFull
from pipeline.base.records import JOB_UNENDED, JobState
from pipeline.ledger.database import Database, Row, canonical_json
from pipeline.ledger.rows import parsed
from pipeline.ledger.runs import Runs

MAX_WAITING = 1_000  # jobs: a client in a loop must not fill the disk


@dataclass(frozen=True, slots=True)
class Job:
    """One accepted request. `kind` says what is minted: a new `collection`, or more of one (`mint`)."""

    id: int
    kind: Literal["collection", "mint"]
    body: dict[str, Any]  # the request as it was validated
    state: JobState
    cancelling: bool  # somebody asked for an end, and the worker has not come to it yet
    error: str | None
    hint: str | None
    run: int | None  # ledger key of its run, once it is known
    tokens: tuple[int, int, int] | None  # of that run: collection, first token id, count
    created: float  # seconds since 1970, as the other two
    started: float | None
    ended: float | None

    @property
    def has_ended(self) -> bool:
        return self.state not in JOB_UNENDED


_JOBS = "SELECT j.*, r.collection, r.start, r.count FROM job j LEFT JOIN run r ON r.id = j.run"


class Jobs:
    """Reads and writes jobs in a ledger; every method that writes is one commit, or joins the one around it."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def accept(self, key: str, kind: str, body: dict[str, Any]) -> tuple[Job, bool]:
        """The job of an idempotency key, and whether this call made it: on the disk when this returns.

        Raises KeyReused when the key belongs to another request, QueueFull when too many wait.
        """
        text = canonical_json([kind, body])
        digest = hashlib.sha256(text.encode()).digest()
        with self._db.atomic():
            row = self._db.row(f"{_JOBS} WHERE j.idem_key = ?", (key,))
            if row is not None:
                if row["body_sha256"] != digest:
                    raise KeyReused(job=row["id"])
                return self._job(row), False
            waiting = self._db.row("SELECT count(*) AS n FROM job WHERE state = 'queued'")
            assert waiting is not None
            if waiting["n"] >= MAX_WAITING:
                raise QueueFull(waiting=waiting["n"])
            job = self._db.insert(
                "INSERT INTO job (idem_key, kind, body, body_sha256, state, created) VALUES (?, ?, ?, ?, 'queued', ?) RETURNING id",
                (key, kind, canonical_json(body), digest, time.time()),
            )
            self._db.log("job.accepted", str(job), body_sha256=digest.hex())
        crash_point("job_accepted")
        return self.job(job), True

    def job(self, key: int) -> Job:
        """Raises KeyError."""
        row = self._db.row(f"{_JOBS} WHERE j.id = ?", (key,))
        if row is None:
            raise KeyError(key)
        return self._job(row)

    def newest(self, count: int, before: int | None = None) -> list[Job]:
        """At most `count` jobs, newest first, with ids below `before`."""
        rows = self._db.rows(
            f"{_JOBS} WHERE j.id < ? ORDER BY j.id DESC LIMIT ?", (1 << 62 if before is None else before, count)
        )
        return [self._job(row) for row in rows]

    def unended(self) -> list[Job]:
        """The jobs to be done: first those whose run is to be let go of, then one that was begun, then those that wait."""
        rows = self._db.rows(
            f"{_JOBS} WHERE j.state IN ('queued', 'running') OR j.cancelling = 1"
            " ORDER BY CASE WHEN j.ended IS NOT NULL THEN 0 WHEN j.state = 'running' THEN 1 ELSE 2 END, j.id"
        )
        return [self._job(row) for row in rows]

    def counts(self) -> dict[str, int]:
        """How many jobs are in each state."""
        rows = self._db.rows("SELECT state, count(*) AS n FROM job GROUP BY state")
        return {row["state"]: row["n"] for row in rows}

    # ── what becomes of a job ────────────────────────────────────────────────────────────────────────────────

    def begin(self, job: int) -> None:
        with self._db.atomic():
            self._db.execute(
                "UPDATE job SET state = 'running', started = coalesce(started, ?) WHERE id = ? AND state = 'queued'",
                (time.time(), job),
            )
        crash_point("job_begun")

    def wait_again(self, job: int) -> None:
        """Put a job that could not begin back into the queue."""
        with self._db.atomic():
            self._db.execute("UPDATE job SET state = 'queued' WHERE id = ? AND state = 'running'", (job,))

    def set_run(self, job: int, run: int) -> None:
        with self._db.atomic():
            self._db.execute("UPDATE job SET run = ? WHERE id = ?", (run, job))

    def end(self, job: int, state: JobState, error: str | None = None, hint: str | None = None) -> None:
        """A running or waiting job has ended, or what an ended one left was let go of."""
        with self._db.atomic():
            self._db.execute(
                "UPDATE job SET state = ?, error = ?, hint = ?, ended = ?, cancelling = 0 "
                "WHERE id = ? AND (state IN ('queued', 'running') OR cancelling = 1)",
                (state, error, hint, time.time(), job),
            )
            self._db.log(f"job.{state}", str(job))

    def ask_to_cancel(self, job: int) -> Job:
        """End a waiting job now; ask the worker to end a running one, or to let go of what an ended one left unfinished.

        One that is done, or that left nothing, stays as it is.
        """
        with self._db.atomic():
            if self.job(job).state == "queued":
                self.end(job, "cancelled")
            elif self.job(job).state == "running" or self._run_of(job):
                self._db.execute("UPDATE job SET cancelling = 1 WHERE id = ?", (job,))
        return self.job(job)

    def resume(self, job: int) -> Job:
        """Put a failed or cancelled job into the queue again: it goes on where it stood. Any other stays as it is."""
        with self._db.atomic():
            if self.job(job).state in ("failed", "cancelled"):
                self._db.execute(
                    "UPDATE job SET state = 'queued', error = NULL, hint = NULL, ended = NULL, cancelling = 0 WHERE id = ?",
                    (job,),
                )
                self._db.log("job.resumed", str(job))
        return self.job(job)

    def _run_of(self, job: int) -> bool:
        """Whether a job left a run unfinished."""
        return any(run.job == str(job) for run in Runs(self._db).all_unfinished())

    def _job(self, row: Row) -> Job:
        body = parsed(row["body"], dict)
        if hashlib.sha256(canonical_json([row["kind"], body]).encode()).digest() != row["body_sha256"]:
            raise Corrupt(what=f"{self._db.path}: job {row['id']}", reason="its body does not match its hash")
        return Job(
            id=row["id"],
            kind=row["kind"],
            body=body,
            state=row["state"],
            cancelling=bool(row["cancelling"]),
            error=row["error"],
            hint=row["hint"],
            run=row["run"],
            tokens=(row["collection"], row["start"], row["count"]) if row["run"] else None,
            created=row["created"],
            started=row["started"],
            ended=row["ended"],
        )
