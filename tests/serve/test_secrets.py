"""Canaries: secrets go into everything at DEBUG level, and come out nowhere. And what the log and the metrics tell."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from nodes import anvil
from serve.conftest import new_token, service, small

from pipeline.base.secrets import redacted
from pipeline.serve.logs import hide_secrets
from pipeline.settings import load_settings

PASSWORD, QUERY, PINNING = "canary-password-7711", "canary-query-7722", "canary-token-7733"


def test_no_secret_is_in_the_log_the_ledger_the_answers_or_the_metrics(tmp_path: Path) -> None:
    secrets = {
        "PIPELINE_KEYSTORE_PASSWORD": PASSWORD,
        "PIPELINE_IPFS_TOKEN": PINNING,
        "AWS_SECRET_ACCESS_KEY": "canary-aws-7744",
    }
    seen = b""
    with anvil() as node:
        url = node.replace("http://", f"http://user:{PASSWORD}@") + f"/?key={QUERY}"
        words = ("--rpc-url", url, "--log-level", "debug")
        with service(tmp_path, *words, env=secrets) as running:
            token = new_token(tmp_path, "mint")
            with running.client(token) as client:
                for key, body in (("one", small("One")), ("two", small("One", 3))):  # the second one fails
                    job = client.post("/v1/collections", json=body, headers={"Idempotency-Key": key}).json()["id"]
                    running.ended(client, job)
                client.post("/v1/collections", content=token, headers={"Idempotency-Key": token})
                client.get(f"/v1/jobs/{token}", params={"token": QUERY})
                paths = ("/", "/v1/jobs", "/v1/jobs/1", "/v1/collections", "/v1/collections/1", "/metrics", "/readyz")
                seen = b"".join(client.get(path).content for path in paths)
                assert client.get("/readyz").status_code == 200
            running.stop()
    with service(tmp_path, *words, env=secrets) as running, running.client(token) as client:
        # The node is gone: every error about it is told, and none tells where it was.
        job = client.post("/v1/collections", json=small("Gone"), headers={"Idempotency-Key": "gone"}).json()["id"]
        gone = running.ended(client, job)
        assert gone["state"] == "failed" and "127.0.0.1" in gone["error"]
        assert client.get("/readyz").status_code == 503
        assert client.get("/readyz").json() == {"ledger": True, "worker": True, "chain": False}
        metrics = client.get("/metrics").text
        assert 'pipeline_rpc_errors_total{method="' in metrics and "pipeline_rpc_retries_total 0.0" not in metrics
        seen += json.dumps(gone).encode() + metrics.encode()
    ledger = b"".join(path.read_bytes() for path in (tmp_path / "workspace").rglob("*.sqlite*"))
    log = (tmp_path / "serve.log").read_bytes()
    assert b'"level": "debug"' in log  # it was as talkative as it can be
    for secret in (PASSWORD, QUERY, PINNING, "canary-aws-7744", token.removeprefix("nftp_")):
        for where, text in (("log", log), ("ledger", ledger), ("answers", seen)):
            assert secret.encode() not in text, f"{secret} is in the {where}"


def test_a_log_line_is_json_with_the_ids_of_what_it_is_about(tmp_path: Path) -> None:
    with service(tmp_path, "--log-level", "debug") as running:
        with running.client(new_token(tmp_path, "mint")) as client:
            posted = client.post("/v1/collections", json=small("Logged"), headers={"Idempotency-Key": "a"})
            running.ended(client, posted.json()["id"])
            metrics = client.get("/metrics").text
        assert running.stop() == 0
    lines = [json.loads(line) for line in running.log.read_text().splitlines() if line.startswith("{")]
    assert all({"time", "level", "logger", "message"} <= line.keys() for line in lines)
    drawn = [line for line in lines if line.get("stage") == "draw"]
    assert [(line["job"], line["run"], line["token_id"]) for line in drawn] == [(1, 1, 1), (1, 1, 2)]
    assert any(line.get("path") == "/v1/collections" and line["status"] == 202 for line in lines)
    for told in (
        'pipeline_tokens{state="mined"} 2.0',
        'pipeline_jobs{state="done"} 1.0',
        'pipeline_pins{state="proved"} 4.0',
        "pipeline_queue_depth 0.0",
        "pipeline_runs_total 1.0",
        'pipeline_http_requests_total{method="POST",status="202"} 1.0',
    ):
        assert told in metrics
    values = {line.split()[0]: float(line.split()[1]) for line in metrics.splitlines() if not line.startswith("#")}
    assert values["pipeline_gas_used_total"] > 100_000 and values["pipeline_fees_eth_total"] > 0
    assert values['pipeline_stage_seconds_total{stage="draw"}'] > 0


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer abc.def-ghi",
        "token nftp_0123456789abcdefghijklmnopqrstuvwxyzABCDEFG is bad",
        "http://somebody:hunter22@node.example/",
        "key 0xCANARY1234CANARY1234",
    ],
)
def test_what_looks_secret_is_hidden(text: str, tmp_path: Path) -> None:
    hide_secrets(load_settings({}, {}, tmp_path), {"PIPELINE_PRIVATE_KEY": "0xcanary1234canary1234"})
    for secret in ("abc.def-ghi", "0123456789abcdef", "hunter22", "CANARY1234"):
        assert secret not in redacted(text)
