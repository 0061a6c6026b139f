"""The OpenAPI document says exactly what the service does: schemathesis calls every operation by it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from galleries import unpaced_service
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.core.result import Ok
from serve.conftest import Service, new_token

load_all_checks()

EXAMPLES = 12  # of each operation
NOT_IN_A_SCHEMA = (
    ("POST /v1/collections", CHECKS.get_one("positive_data_acceptance")),  # EIP-55 checksums, and lengths in bytes
    ("GET /readyz", CHECKS.get_one("not_a_server_error")),  # 503 is what it is for: here no worker was started
)


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, str]]:
    """The application with a token, and a worker that was never started: what is accepted stays in the queue."""
    folder = tmp_path_factory.mktemp("openapi")
    with unpaced_service(folder, "localhost", "testserver") as app:
        yield app, new_token(folder, "mint")


@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode))
def test_every_operation_does_what_its_document_says(mode: schemathesis.GenerationMode, asked: tuple[Any, str]) -> None:
    """Requests of the form that is described, and requests that are not: each is answered as described."""
    app, token = asked
    described = list(schemathesis.openapi.from_asgi("/openapi.json", app).get_all_operations())
    operations = [found.ok() for found in described if isinstance(found, Ok)]
    assert len(operations) == len(described) > 20
    problems = [told for operation in operations for told in _problems(operation, mode, token)]
    assert problems == []


def _problems(operation: Any, mode: schemathesis.GenerationMode, token: str) -> list[str]:
    excluded: list[Any] = [check for label, check in NOT_IN_A_SCHEMA if operation.label.startswith(label)]
    try:
        strategy = operation.as_strategy(generation_mode=mode)
    except Unsatisfiable:  # nothing about it can be wrong
        return []

    @settings(
        max_examples=EXAMPLES, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @given(strategy)
    def ask(case: schemathesis.Case[Any]) -> None:
        case.call_and_validate(headers={"Authorization": f"Bearer {token}"}, excluded_checks=excluded)

    try:
        ask()
    except Unsatisfiable:
        return []
    except BaseExceptionGroup as failures:
        return [f"{operation.label}: {failure}" for failure in failures.exceptions]
    return []


def test_every_route_is_in_the_document(shared: Service) -> None:
    """Each may be found by its document; the page's own files have none."""
    with shared.client() as client:
        paths = client.get("/openapi.json").json()["paths"]
    picture = "/media/{collection_id}/{token_id}/{version}/image"
    for path in ("/v1/collections", "/v1/jobs", "/v1/jobs/{job}/events", "/metrics", "/healthz", "/readyz", picture):
        assert path in paths
    assert set(paths["/v1/collections"]) == {"get", "post"}
