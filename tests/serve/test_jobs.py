"""Jobs over HTTP: asked for once, done once, followed, cancelled, resumed."""

from __future__ import annotations

import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import REPOSITORY, Pipeline
from serve.conftest import Service, new_token, service, small

from pipeline.base.records import Address, Fingerprint, TokenSpec


def _post(client: httpx.Client, key: str, body: dict[str, Any], path: str = "/v1/collections") -> httpx.Response:
    return client.post(path, json=body, headers={"Idempotency-Key": key})


def _supplies(folder: Path) -> dict[str, int]:
    """Tokens of each collection that the ledger has as mined."""
    db = sqlite3.connect(folder / "workspace" / "ledger.sqlite")
    rows = db.execute(
        "SELECT c.name, sum(b.quantity) FROM batch b JOIN collection c ON c.id = b.collection "
        "WHERE b.state IN ('mined', 'final') GROUP BY c.name"
    ).fetchall()
    db.close()
    return dict(rows)


def test_a_collection_and_more_of_it(shared: Service, client: httpx.Client, pipeline: Pipeline) -> None:
    accepted = _post(client, "first", small("Night Linos", 3, symbol="NITE", royalty_bps=250))
    assert accepted.status_code == 202, accepted.text
    job = accepted.json()
    assert accepted.headers["Location"] == f"/v1/jobs/{job['id']}"
    assert job["state"] in ("queued", "running") and job["kind"] == "collection"
    done = shared.ended(client, job["id"])
    assert done["state"] == "done" and done["tokens"]["first_token_id"] == 1 and done["tokens"]["count"] == 3
    more = _post(client, "more", {"count": 2}, f"/v1/collections/{done['tokens']['collection']}/mints")
    done = shared.ended(client, more.json()["id"])
    assert done["state"] == "done", done
    assert done["tokens"] | {"collection": 1} == {"collection": 1, "first_token_id": 4, "count": 2}
    assert pipeline("verify", "--name", "Night Linos", cwd=shared.folder).code == 0


def test_the_same_key_is_the_same_job_and_another_body_is_refused(shared: Service, client: httpx.Client) -> None:
    first = _post(client, "again", small("Again"))
    second = _post(client, "again", small("Again"))
    assert first.status_code == second.status_code == 202 and first.json()["id"] == second.json()["id"]
    other = _post(client, "again", small("Again", 3))
    assert other.status_code == 409 and str(first.json()["id"]) in other.json()["error"]
    shared.ended(client, first.json()["id"])
    later = _post(client, "again", small("Again"))
    assert later.json()["id"] == first.json()["id"] and later.json()["state"] == "done"


def test_a_hundred_requests_at_once_with_ten_keys_are_ten_jobs(tmp_path: Path) -> None:
    with service(tmp_path) as running, running.client(new_token(tmp_path, "mint")) as client:

        def post(number: int) -> tuple[int, int]:
            answer = _post(client, f"key-{number % 10}", small(f"Ten {number % 10}", 1))
            return number % 10, answer.json()["id"]

        with ThreadPoolExecutor(100) as pool:
            told = set(pool.map(post, range(100)))
        assert len(told) == 10 and {key for key, _ in told} == set(range(10))
        jobs = client.get("/v1/jobs", params={"limit": 100}).json()["jobs"]
        assert sorted(job["id"] for job in jobs) == sorted(job for _, job in told)
        assert {running.ended(client, job)["state"] for _, job in told} == {"done"}
        assert _supplies(tmp_path) == {f"Ten {number}": 1 for number in range(10)}


def test_a_job_survives_the_client_that_hung_up(shared: Service, client: httpx.Client, token: str) -> None:
    body = b'{"name": "Hung up", "count": 1, "size": 32}'
    with socket.create_connection(shared.address) as connection:
        connection.sendall(
            b"POST /v1/collections HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            b"Idempotency-Key: hung\r\nAuthorization: Bearer " + token.encode() + b"\r\n"
            b"Content-Length: " + str(len(body)).encode() + b"\r\n\r\n" + body
        )
        assert connection.recv(12) == b"HTTP/1.1 202"  # and nobody reads on
    jobs = [job for job in client.get("/v1/jobs").json()["jobs"] if job["request"].get("name") == "Hung up"]
    assert shared.ended(client, jobs[0]["id"])["state"] == "done"


def test_events_tell_each_change_until_the_end(shared: Service, client: httpx.Client) -> None:
    job = _post(client, "followed", small("Followed", 4, batch=2)).json()["id"]
    with client.stream("GET", f"/v1/jobs/{job}/events") as events:
        assert events.headers["content-type"].startswith("text/event-stream")
        lines = list(events.iter_lines())
    states = [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]
    assert states[-1] == "done" and set(states) <= {"queued", "running", "done"}
    assert '"state":"done"' in [line for line in lines if line.startswith("data: ")][-1]


def test_a_cancelled_job_keeps_nobody_waiting_and_goes_on_when_resumed(tmp_path: Path, pipeline: Pipeline) -> None:
    with service(tmp_path) as running, running.client(new_token(tmp_path, "mint")) as client:
        job = _post(client, "long", small("Long", 40, batch=10, size=128)).json()["id"]
        other = _post(client, "after", small("After", 1)).json()["id"]
        _cancelled_while_drawing(running, client, job)
        assert client.get(f"/v1/jobs/{job}").json()["tokens"]["count"] == 40
        assert running.ended(client, other)["state"] == "done"
        by_hand = pipeline("mint", "--count", "1", "--size", "32", "--name", "By hand")
        assert by_hand.code == 0, by_hand.err
        assert client.post(f"/v1/jobs/{job}/resume").json()["state"] == "queued"
        assert running.ended(client, job)["state"] == "done"
        assert _supplies(tmp_path) == {"Long": 40, "After": 1, "By hand": 1}


def test_what_an_ended_job_left_is_let_go_of_when_it_is_cancelled_again(tmp_path: Path, pipeline: Pipeline) -> None:
    with service(tmp_path) as running, running.client(new_token(tmp_path, "mint")) as client:
        job = _post(client, "long", small("Long", 40, batch=2, size=128)).json()["id"]
        _until(lambda: client.get(f"/v1/jobs/{job}").json()["progress"].get("mint", {}).get("done", 0) > 2)
        assert client.post(f"/v1/jobs/{job}/cancel").status_code == 202
        assert running.ended(client, job)["state"] == "cancelled"
        more = {"count": 2}
        held = client.post("/v1/collections/1/mints", json=more, headers={"Idempotency-Key": "more"}).json()["id"]
        refused = running.ended(client, held)
        assert refused["state"] == "failed" and "unfinished run of 'Long'" in refused["error"]
        assert client.post(f"/v1/jobs/{job}/cancel").json()["cancelling"] is True
        _until(lambda: not client.get(f"/v1/jobs/{job}").json()["cancelling"])
        kept = client.get(f"/v1/jobs/{job}").json()["tokens"]["count"]
        assert client.post(f"/v1/jobs/{held}/resume").status_code == 202
        done = running.ended(client, held)
        assert done["state"] == "done" and done["tokens"]["first_token_id"] == kept + 1
        assert _supplies(tmp_path) == {"Long": kept + 2}
    assert pipeline("verify").code == 0


def test_what_a_job_left_unsigned_gives_way_to_whoever_asks_for_the_same_name(tmp_path: Path) -> None:
    with service(tmp_path) as running, running.client(new_token(tmp_path, "mint")) as client:
        _leave_a_planned_run(running, tmp_path, client)
        again = _post(client, "again", small("Same", 1)).json()["id"]
        assert running.ended(client, again)["state"] == "done"
        assert _supplies(tmp_path) == {"Same": 1}


def _leave_a_planned_run(running: Service, folder: Path, client: httpx.Client) -> None:
    """A job of the collection Same that failed once it was planned, before anything was signed."""
    from pipeline.base.workspace import Workspace
    from pipeline.ledger import Ledger, NewCollection, RunPlan

    with Workspace(folder / "workspace").lock(), Ledger(folder / "workspace" / "ledger.sqlite") as ledger:
        job, _ = ledger.jobs.accept("first", "collection", small("Same", 3))
        ledger.jobs.end(job.id, "failed", "no luck", "try again")
        with ledger.atomic():
            chain = ledger.collections.enter_chain(31337, bytes(32), "anvil")
            nobody = Address("0x" + "0" * 40)
            key = ledger.collections.plan(chain, NewCollection("Same", "S", "", "", 0, nobody, 0, nobody, 1))
            made = Fingerprint("m", "w", "r", "e", 32)
            plan = RunPlan({"job": str(job.id), "count": 1}, made, 1, 1, 1, ("embedded",), "")
            ledger.runs.plan(key, plan, iter([TokenSpec(1, 1, nobody)]))


def _cancelled_while_drawing(running: Service, client: httpx.Client, job: int) -> None:
    _until(lambda: client.get(f"/v1/jobs/{job}").json()["progress"].get("draw", {}).get("done", 0) > 2)
    assert client.post(f"/v1/jobs/{job}/cancel").status_code == 202
    assert running.ended(client, job)["state"] == "cancelled"


def _until(reached: Callable[[], bool], patience_s: float = 120) -> None:
    deadline = time.monotonic() + patience_s
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_waiting_job_is_cancelled_at_once_and_never_begun(tmp_path: Path) -> None:
    from pipeline.base.workspace import Workspace

    with service(tmp_path) as running, running.client(new_token(tmp_path, "mint")) as client:
        with Workspace(tmp_path / "workspace").lock():  # somebody mints by hand
            job = _post(client, "waits", small("Waits")).json()["id"]
            deadline = time.monotonic() + 60
            while "in use by another run" not in (client.get(f"/v1/jobs/{job}").json()["waiting_for"] or ""):
                assert time.monotonic() < deadline, "the job does not say what it waits for"
                time.sleep(0.1)
            assert client.post(f"/v1/jobs/{job}/cancel").json()["state"] == "cancelled"
            second = _post(client, "second", small("Second", 1)).json()["id"]
        assert running.ended(client, second)["state"] == "done"
        assert _supplies(tmp_path) == {"Second": 1}


def test_minting_by_hand_beside_the_service(tmp_path: Path, pipeline: Pipeline) -> None:
    """The two take turns by the workspace's lock, and neither continues the other's run."""
    by_hand = ("mint", "--count", "4", "--name", "Hand", "--size", "32", "--seed", "7")
    with service(tmp_path) as running, running.client(new_token(tmp_path, "mint")) as client:
        hand = subprocess.Popen(
            [sys.executable, "-m", "pipeline", *by_hand],
            cwd=tmp_path,
            env={"PYTHONPATH": str(REPOSITORY), "PATH": "/usr/bin:/bin"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        job = _post(client, "beside", small("Beside", 3)).json()["id"]
        assert running.ended(client, job)["state"] == "done"
        if hand.wait(120):  # it came while the job had the lock
            assert pipeline(*by_hand).code == 0
        assert _supplies(tmp_path) == {"Hand": 4, "Beside": 3}


def test_an_error_of_a_job_is_the_sentence_of_the_command_line(shared: Service, client: httpx.Client) -> None:
    _post(client, "capped", small("Capped", 1, max_supply=2))
    job = _post(client, "capped-again", small("Capped", 1)).json()["id"]
    failed = shared.ended(client, job)
    assert failed["state"] == "failed"
    assert "'Capped' is complete with 1 token," in failed["error"] and failed["hint"]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"name": "x", "count": 0}, "count"),
        ({"name": "x" * 32, "count": 1}, "name"),
        ({"name": "ü" * 16, "count": 1}, "31 bytes"),
        ({"name": "a\u202eb", "count": 1}, "name"),
        ({"name": "x", "count": 1, "to": "/etc/passwd"}, "to"),
        ({"name": "x", "count": 1, "to": "0xf39fd6e51aad88F6F4ce6aB8827279cffFb92266"}, "to"),
        ({"name": "x", "count": 1, "external_url": "javascript:alert(1)"}, "external_url"),
        ({"name": "x", "count": 1, "cover": "/etc/passwd"}, "cover"),
        ({"name": "x", "count": 1, "model": "../../evil.pt"}, "model"),
        ({"name": "x", "count": True}, "count"),
    ],
)
def test_a_bad_request_is_refused_before_it_becomes_a_job(
    client: httpx.Client, body: dict[str, Any], told: str
) -> None:
    before = client.get("/v1/jobs").json()["jobs"]
    refused = _post(client, f"bad {told}".replace(" ", "-"), body)
    assert refused.status_code == 422 and told in refused.json()["error"], refused.text
    assert [job["id"] for job in client.get("/v1/jobs").json()["jobs"]] == [job["id"] for job in before]


def test_a_request_without_a_key_or_for_no_collection_is_refused(client: httpx.Client) -> None:
    assert "Idempotency-Key" in client.post("/v1/collections", json=small("No key")).json()["error"]
    assert _post(client, "nobody", {"count": 1}, "/v1/collections/999/mints").status_code == 404
    assert client.get("/v1/jobs/999").status_code == 404


def test_it_ends_by_a_signal_and_the_job_goes_on_next_time(tmp_path: Path) -> None:
    token = None
    for sign, code in ((signal.SIGTERM, 143), (signal.SIGINT, 130)):
        with service(tmp_path) as running:
            token = token or new_token(tmp_path, "mint")
            with running.client(token) as client:
                job = _post(client, "one", small("One", 40, batch=10, size=128)).json()["id"]
                while not client.get(f"/v1/jobs/{job}").json()["progress"]:
                    time.sleep(0.05)
            assert running.stop(sign) == code, running.log.read_text()
            assert "go on when it is started again" in running.log.read_text()
    with service(tmp_path) as running, running.client(token) as client:
        assert running.ended(client, job)["state"] == "done"
        assert _supplies(tmp_path) == {"One": 40}
        assert running.stop() == 0
