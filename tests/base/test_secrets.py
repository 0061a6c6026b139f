"""What must not be told is told nowhere: by part, in any case, in errors, in values that a call repeats."""

from __future__ import annotations

import base64

import pytest

from pipeline.base.errors import BadArgument, PinError, RpcError
from pipeline.base.secrets import know_environment, know_url, redacted, shown_url, shown_value

KEY = "Abc123Def456Ghi789"
PAIR = base64.b64encode(f"alice:{KEY}".encode()).decode()


@pytest.mark.parametrize(
    "url",
    [
        f"https://node.example/v3/{KEY}",
        f"https://node.example/{KEY}/rpc?network=main",
        f"https://node.example/?apikey={KEY}",
        f"https://alice:{KEY}@node.example/",
        f"https://{KEY}@node.example/",
        f"wss://node.example/v3/{KEY}#x",
        f"https://[/{KEY}",
    ],
)
def test_a_key_in_an_address_is_hidden_wherever_a_stranger_repeats_it(url: str) -> None:
    know_url(url)
    for words in (f"project id {KEY} is not allowed", KEY.upper(), f"no {KEY.lower()}!"):
        assert KEY.lower() not in redacted(words).lower()
    error = RpcError(rpc="x", method="y", code=1, message=f"who is {KEY}?", data=None)
    assert KEY not in str(error) and KEY not in str(error.fields)


def test_the_header_that_an_address_becomes_is_hidden_too() -> None:
    know_url(f"https://alice:{KEY}@node.example/")
    assert PAIR not in redacted(f"no such account: {PAIR}") and "alice" not in redacted("user alice?")


def test_words_of_an_address_stay_words() -> None:
    know_url("https://node.example/rpc/mainnet/v3")
    assert redacted("mainnet rpc v3 of node.example") == "mainnet rpc v3 of node.example"


def test_the_environment_is_hidden_by_the_names_in_it() -> None:
    know_environment({"PIPELINE_PRIVATE_KEY": "0x" + "ab" * 32, "SOME_API_TOKEN": "hunter22", "HOME": "/root"})
    assert redacted(f"{'AB' * 32} hunter22 /root") == "… … /root"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"wss://user:{KEY}@node.example:8/v3/{KEY}?k={KEY}", "wss://node.example:8"),
        ("http://[::1]:8545/x", "http://[::1]:8545"),
        (KEY, "(hidden)"),
        ("http://[", "(hidden)"),
        ("http://x:99999/", "(hidden)"),
        ("http://a\x1b[2J/", "(hidden)"),
    ],
)
def test_of_an_address_scheme_host_and_port_are_shown(url: str, shown: str) -> None:
    assert shown_url(url) == shown


@pytest.mark.parametrize(
    "value",
    [
        f"https://u:{KEY}@h/{KEY}?{KEY}",
        f"/home/me/https:/u:{KEY}@h/{KEY}?{KEY}",
        f"0x70wss://h/{KEY}",  # glued to what stood before it
        "0x" + "7f" * 32,
        "7f" * 32,
        "test test test test test test test test test test test junk",
    ],
)
def test_an_argument_that_was_pasted_into_the_wrong_place_is_not_repeated(value: str) -> None:
    told = str(BadArgument(name="--to", value=value, expected="an address"))
    assert not any(part in told for part in (KEY, "7f7f", "junk")) and "--to" in told


def test_an_argument_without_a_secret_is_repeated_as_it_was() -> None:
    for value in ("ipfs://bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi/1.json", "-5", "0x" + "ab" * 20):
        assert shown_value(value) == value


def test_no_error_holds_a_character_that_acts() -> None:
    error = PinError(reason="\x1b]0;owned\x07\nFAKE LINE \u202e", hint="give --name '\x1b[2J'")
    assert str(error) == r"\u{1b}]0;owned\u{7}\u{a}FAKE LINE \u{202e}" and "\x1b" not in error.hint
    assert "a number of" in str(BadArgument(name="--count", value=10**5_000, expected="less"))
