"""Two services, each in a folder of its own, on one ledger at a server and one chain: every job is done once."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import httpx
from postgres import Postgres
from serve.conftest import service, small

from pipeline.base.workspace import Server
from pipeline.ledger import Ledger
from pipeline.mint.devnet import devnet


def test_two_services_on_one_ledger_do_each_job_once_also_when_one_is_killed(
    postgres: Postgres, tmp_path: Path
) -> None:
    place = postgres.place()
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
    with Ledger(place) as ledger:
        token = ledger.access.new("mint", "test")[1]
    with devnet(tmp_path / "anvil") as url:
        words = ("--ledger", place.url, "--rpc-url", url)
        with service(folders[0], *words, env={"PIPELINE_CRASH_AT": "job_run_done:1"}) as doomed:
            with doomed.client(token) as client, suppress(httpx.TransportError):  # it dies within the first job
                _ask(client)
            with service(folders[1], *words) as other, other.client(token) as client:
                assert _ask(client) == [1, 2, 3]  # the same keys are the same jobs, whichever service is asked
                ended = [other.ended(client, job) for job in (1, 2, 3)]
                assert [job["state"] for job in ended] == ["done"] * 3, ended
    with Ledger(Server(place.url), readonly=True) as ledger:
        ledger.check()
        assert [run.count for key in (1, 2, 3) for run in ledger.runs.of(key)] == [2, 2, 2]
        assert sorted(ledger.collections.get(key).name for key in (1, 2, 3)) == ["A", "B", "C"]
        done = ledger.rows("SELECT ref FROM event WHERE kind = 'job.done' ORDER BY ref")
        assert [row["ref"] for row in done] == ["1", "2", "3"]


def _ask(client: httpx.Client) -> list[int]:
    answers = [
        client.post("/v1/collections", json=small(name), headers={"Idempotency-Key": name}) for name in ("A", "B", "C")
    ]
    return [answer.json()["id"] for answer in answers]
