"""One seed of chaos on every run of the tests; `scripts/chaos --seeds 100` is for releases."""

from __future__ import annotations

from pathlib import Path

import pytest
from mint.chaos import SURE_KILLS, chaos


@pytest.mark.timeout(900)
def test_chaos_mints_every_planned_token_once(tmp_path: Path) -> None:
    outcome = chaos(1, tmp_path)
    assert outcome.is_exact, outcome
    assert outcome.injected["kill"] >= SURE_KILLS and outcome.injected["fault"] and outcome.injected["reorg"]
    assert set(outcome.ended) <= {"RpcUnavailable"}, outcome.ended
