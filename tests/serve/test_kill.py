"""kill -9 of the service at every place where a job changes hands: started again, each accepted job ends exactly once.

The real program, a real Anvil, real signals. The places inside a run itself are those of tests/flow/test_kill.py.
"""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import httpx
import pytest
from serve.conftest import Service, new_token, service, small

TOTAL_SUPPLY = "0x18160ddd"  # selector of totalSupply()

PLACES = [
    "job_accepted:1",  # the row is there, the client never hears of it
    "job_begun:1",
    "sent_not_recorded:2",
    "mined_not_recorded:2",
    "run_done:1",
    "job_run_done:1",
    "inside_job_end:1",
    "job_ended:1",
    "job_run_done:2",  # the second job, which adds to the first one's collection
]


def _ask(client: httpx.Client, key: str, path: str, body: dict[str, Any]) -> dict[str, Any] | None:
    """The job, or None when the service died before it answered."""
    try:
        answer = client.post(path, json=body, headers={"Idempotency-Key": key})
    except httpx.TransportError:
        return None
    assert answer.status_code == 202, answer.text
    accepted: dict[str, Any] = answer.json()
    return accepted


def _both(running: Service, client: httpx.Client) -> list[dict[str, Any]] | None:
    """Ask for three tokens and for two more, with the same keys every time; both jobs once they have ended."""
    try:
        first = _ask(client, "three", "/v1/collections", small("Kept", 3, batch=2))
        if first is None:
            return None
        ended = running.ended(client, first["id"])
        second = _ask(client, "two", "/v1/collections/1/mints", {"count": 2})
        if second is None:
            return None
        return [ended, running.ended(client, second["id"])]
    except httpx.TransportError:
        return None


@pytest.mark.parametrize("place", PLACES)
def test_killed_at_a_place_each_job_still_ends_exactly_once(tmp_path: Path, place: str) -> None:
    with service(tmp_path, env={"PIPELINE_CRASH_AT": place}) as doomed:
        token = new_token(tmp_path, "mint")
        with doomed.client(token) as client:
            _both(doomed, client)
        assert doomed.died() == -signal.SIGKILL, f"{place} was never passed"
    with service(tmp_path) as running, running.client(token) as client:
        ended = _both(running, client)
        assert ended is not None, running.log.read_text()
        assert [(job["state"], job["tokens"]["first_token_id"], job["tokens"]["count"]) for job in ended] == [
            ("done", 1, 3),
            ("done", 4, 2),
        ]
        assert len(client.get("/v1/jobs").json()["jobs"]) == 2
        assert _supply_on_chain(tmp_path) == 5


def _supply_on_chain(folder: Path) -> int:
    """What the contract itself says, not our ledger."""
    from pipeline.base.workspace import Workspace
    from pipeline.ledger import Ledger
    from pipeline.mint.chain import connect

    workspace = Workspace(folder / "workspace")
    with Ledger(workspace.ledger, readonly=True) as ledger:
        (only,) = ledger.collections.all()
    port = (workspace.chain / "anvil" / "port").read_text().strip()
    assert only.contract is not None
    call = {"to": only.contract, "data": TOTAL_SUPPLY}
    return int(connect(f"http://127.0.0.1:{port}").rpc.call("eth_call", [call, "latest"]), 16)
