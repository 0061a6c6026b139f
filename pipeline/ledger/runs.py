"""Runs: one for each call of `mint`, however often it was interrupted. Planned as a whole before anything happens."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from itertools import islice
from typing import Any, Literal

from pipeline.base.crash import crash_point
from pipeline.base.records import TokenSpec
from pipeline.ledger.database import Database, Row, canonical_json
from pipeline.ledger.rows import Collection, Run, RunPlan, parsed

RUNS = """
    SELECT r.id, r.collection, r.arguments, r.model, r.weights_sha256, r.renderer, r.encoder, r.size, r.device,
           r.dtype, r.threads, r.duplicate_bits, r.start, r.count, r.batch_size, r.pinners, r.rpc_url, r.state, r.abandoned
      FROM run r
"""


class Runs:
    """The runs of a ledger."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def get(self, key: int) -> Run:
        """The run with a key that is known to be there."""
        return run_of(self._db.one(f"{RUNS} WHERE r.id = ?", (key,)))

    def unfinished(self) -> Run | None:
        """The newest of the runs that are unfinished."""
        return next(reversed(self.all_unfinished()), None)

    def all_unfinished(self) -> list[Run]:
        """At most one of each collection, in the order in which they were planned."""
        return [run_of(row) for row in self._db.rows(f"{RUNS} WHERE r.state = 'running' ORDER BY r.id")]

    def unfinished_of(self, collection: int) -> Run | None:
        row = self._db.row(f"{RUNS} WHERE r.collection = ? AND r.state = 'running'", (collection,))
        return run_of(row) if row else None

    def of(self, collection: int) -> list[Run]:
        """The runs of a collection, newest first."""
        return [
            run_of(row) for row in self._db.rows(f"{RUNS} WHERE r.collection = ? ORDER BY r.id DESC", (collection,))
        ]

    def with_seed(self, seed: int) -> Run | None:
        """The run that a token with this seed is of."""
        token = "SELECT b.run FROM batch b JOIN token t ON t.batch = b.id WHERE t.seed = ? LIMIT 1"
        row = self._db.row(f"{RUNS} WHERE r.id = ({token})", (seed,))
        return run_of(row) if row else None

    def next_token(self, collection: Collection | None) -> int:
        """The first token id that a new run of the collection has."""
        runs = self.of(collection.id) if collection else []
        return runs[0].start + runs[0].count if runs else 1

    # ── writing ──────────────────────────────────────────────────────────────────────────────────────────────

    def plan(self, collection: int, plan: RunPlan, tokens: Iterator[TokenSpec]) -> int:
        """Enter a run with all its batches and tokens; inside `atomic`."""
        run = self.enter(collection, plan, "running")
        end = plan.start + plan.count
        for first in range(plan.start, end, plan.batch_size):
            quantity = min(plan.batch_size, end - first)
            batch = self._db.insert(
                "INSERT INTO batch (collection, run, start, quantity, state) VALUES (?, ?, ?, ?, 'planned') RETURNING id",
                (collection, run, first, quantity),
            )
            self._db.executemany(
                "INSERT INTO token (collection, token_id, batch, seed, recipient, state) "
                "VALUES (?, ?, ?, ?, ?, 'planned')",
                ((collection, spec.token_id, batch, spec.seed, spec.recipient) for spec in islice(tokens, quantity)),
            )
        return run

    def enter(self, collection: int, plan: RunPlan, state: Literal["running", "reported"]) -> int:
        """Enter a run without its batches; inside `atomic`."""
        made = plan.fingerprint
        arguments, pinners = canonical_json(plan.arguments), ",".join(plan.pinners)
        run = self._db.insert(
            "INSERT INTO run (collection, state, started, arguments, model, weights_sha256, renderer, encoder, size,"
            " device, dtype, threads, start, count, batch_size, pinners, rpc_url)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
            (
                *(collection, state, time.time(), arguments, made.model, made.weights_sha256, made.renderer),
                *(made.encoder, made.size, made.device, made.dtype, made.threads, plan.start, plan.count),
                *(plan.batch_size, pinners, plan.rpc_url),
            ),
        )
        self._db.log(
            "run.planned",
            str(run),
            collection=collection,
            arguments=arguments,
            start=plan.start,
            count=plan.count,
            batch_size=plan.batch_size,
            pinners=pinners,
            rpc_url=plan.rpc_url,
            **asdict(made),
        )
        return run

    def place(self, run: Run, arguments: Mapping[str, Any], rpc_url: str, pinners: str) -> None:
        """Decide where a run goes that was drawn without; inside `atomic`. Its plan's event says it anew."""
        text = canonical_json(arguments)
        self._db.execute(
            "UPDATE run SET arguments = ?, rpc_url = ?, pinners = ? WHERE id = ?", (text, rpc_url, pinners, run.id)
        )
        event = self._db.one(
            "SELECT data FROM event WHERE kind = 'run.planned' AND ref = ? ORDER BY seq DESC LIMIT 1", (str(run.id),)
        )
        planned = parsed(event["data"], dict) | {"arguments": text, "rpc_url": rpc_url, "pinners": pinners}
        self._db.log("run.planned", str(run.id), **planned)

    def set_gate(self, run: int, duplicate_bits: int | None) -> None:
        """Decide how near two tokens' hashes may not be, from now on: the one thing about a planned run that may change."""
        with self._db.atomic():
            self._db.execute("UPDATE run SET duplicate_bits = ? WHERE id = ?", (duplicate_bits, run))
            self._db.log("run.gate", str(run), duplicate_bits=duplicate_bits)

    def finish(self, run: int) -> None:
        """Mark a run as done, once every batch of it is mined."""
        with self._db.atomic():
            unmined = self._db.one(
                "SELECT count(*) AS n FROM batch WHERE run = ? AND state NOT IN ('mined', 'final')", (run,)
            )
            assert unmined["n"] == 0
            self._db.execute("UPDATE run SET state = 'done' WHERE id = ? AND state = 'running'", (run,))
            self._db.log("run.done", str(run))
        crash_point("run_done")

    def reopen(self, run: int) -> bool:
        """Have a finished run go on where a reorg took batches of it; False where all of them stand."""
        with self._db.atomic():
            missing = self._db.one(
                "SELECT count(*) AS n FROM batch WHERE run = ? AND state NOT IN ('mined', 'final')", (run,)
            )
            if missing["n"]:
                self._db.execute("UPDATE run SET state = 'running' WHERE id = ?", (run,))
                self._db.log("run.reopened", str(run), batches=missing["n"])
        return bool(missing["n"])

    def mark_reported(self, run: int) -> None:
        """Remember that the caller has seen the result, so that `--more` may begin anew."""
        with self._db.atomic():
            self._db.execute("UPDATE run SET state = 'reported' WHERE id = ? AND state = 'done'", (run,))


def run_of(row: Row) -> Run:
    return Run(
        id=row["id"],
        collection=row["collection"],
        arguments=parsed(row["arguments"], dict),
        model=row["model"],
        weights_sha256=row["weights_sha256"],
        renderer=row["renderer"],
        encoder=row["encoder"],
        size=row["size"],
        device=row["device"],
        dtype=row["dtype"],
        threads=row["threads"],
        duplicate_bits=row["duplicate_bits"],
        start=row["start"],
        count=row["count"],
        batch_size=row["batch_size"],
        pinners=tuple(row["pinners"].split(",")),
        rpc_url=row["rpc_url"],
        state=row["state"],
        abandoned=row["abandoned"] is not None,
    )
