"""What a request may say: the table's settings, by the rules that hold for flags."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from pipeline.serve.jobs import MoreTokens, NewCollection
from pipeline.serve.problems import _fault

GOOD = {"name": "Spring", "count": 1}
RECEIVER = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("description", "שלום\u200f", "U\\+200F"),
        ("description", "x" * 10_001, "10,000"),
        ("description", "a\x07", "U\\+0007"),
        ("name", "A\nB", "U\\+000A"),
        ("name", "é" * 16, "31 bytes"),
        ("name", "", "text"),
        ("symbol", 5, "text"),
        ("external_url", "http://a b", "percent-encoded"),
        ("external_url", "javascript:1", "http"),
        ("royalty_receiver", "0x" + "0" * 40, "zero address"),
        ("royalty_receiver", "alice.eth", "names are not looked up"),
        ("royalty_bps", 10_001, "10,000"),
        ("royalty_bps", True, "whole number"),
        ("royalty_bps", 1.5, "whole number"),
        ("size", 7, "16"),
        ("to", "recipients.csv", "40 hex digits"),
        ("model", "runs/x", "Extra inputs"),
        ("rpc_url", "http://10.0.0.1", "Extra inputs"),
        ("count", 0, "greater than or equal to 1"),
    ],
)
def test_a_request_is_refused_for_what_a_flag_would_be(field: str, value: Any, told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        NewCollection.model_validate(GOOD | {field: value})


def test_what_is_harmless_is_cleaned_and_numbers_are_numbers() -> None:
    asked = NewCollection.model_validate(
        GOOD | {"description": "one\ttwo\r\n", "royalty_receiver": RECEIVER.lower(), "size": 64.0, "seed": None}
    )
    assert asked.model_dump(exclude_none=True) == GOOD | {
        "description": "one two",
        "royalty_receiver": RECEIVER,
        "size": 64,
    }


def test_more_tokens_say_who_gets_them_and_nothing_of_the_collection() -> None:
    assert MoreTokens.model_validate({"count": 2, "to": RECEIVER.lower(), "batch": 1}).model_dump(
        exclude_none=True
    ) == {
        "count": 2,
        "to": RECEIVER,
        "batch": 1,
    }
    with pytest.raises(ValidationError, match="Extra inputs"):
        MoreTokens.model_validate({"count": 2, "symbol": "X"})


def test_a_key_that_was_pasted_as_the_name_of_a_field_is_not_repeated() -> None:
    told = _fault({"type": "extra_forbidden", "loc": ("body", "0x" + "7f" * 32 + "name"), "msg": "not permitted"})
    assert "there is no such field" in told and "7f7f" not in told
    assert "\u202e" not in _fault({"type": "extra_forbidden", "loc": ("body", "\u202etxt.exe"), "msg": "not permitted"})
