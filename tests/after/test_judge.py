"""`pipeline judge` and `--proofs`, from rejected tokens to tokens that are proved to have been chosen as recorded."""

from __future__ import annotations

import json
import signal
from pathlib import Path

from conftest import Pipeline

MINT = ("mint", "--batch", "4", "--size", "48", "--seed", "3", "--voice", "braid")


def test_a_judge_learns_from_what_was_rejected_and_chooses_the_tokens_that_are_added(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    refused = pipeline(*MINT, "--count", "2", "--proofs", "3")
    assert refused.code != 0 and "pipeline judge" in refused.err
    assert pipeline(*MINT, "--count", "9", "--stop-after", "generate").code == 0
    assert pipeline("judge").code != 0  # nothing is decided yet
    assert pipeline("reject", *(str(token_id) for token_id in range(1, 9))).code == 0
    assert pipeline(*MINT, "--count", "9").code == 0

    told = pipeline("judge", "--json")
    assert told.code == 0, told.err
    assert (told.json["kept"], told.json["rejected"]) == (9, 8) and 0 <= told.json["held_out"] <= 1

    more = ("mint", "--more", "--count", "4", "--proofs", "3", "--json")
    killed = pipeline(*more, env={"PIPELINE_CRASH_AT": "artwork_recorded:2"})
    assert killed.code == -signal.SIGKILL
    waiting = pipeline("judge")
    assert waiting.code != 0 and "unfinished run" in waiting.err
    ended = pipeline(*more)
    assert ended.code == 0, ended.err
    verified = pipeline("verify", "--regenerate", "--json")
    assert verified.code == 0, verified.err
    assert json.loads(verified.out)["ok"] is not False
