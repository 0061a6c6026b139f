"""JSON from outside, in a process that has loaded what raises Python's recursion limit."""

from __future__ import annotations

import subprocess
import sys

import pytest
from conftest import REPOSITORY

from pipeline.base.errors import BadArgument
from pipeline.base.untrusted import MAX_SHOWN, parse_json, printable

DEEP = b"[" * 100_000


@pytest.mark.parametrize("text", [DEEP, b"{", b"", b"\xff", b'{"a":' * 50_000])
def test_what_is_no_json_is_a_value_error(text: bytes) -> None:
    with pytest.raises(ValueError):
        parse_json(text)


def test_deep_nesting_does_not_end_a_process_that_has_loaded_web3() -> None:
    script = (
        "import sys, web3, eth_account, py_ecc\n"
        "assert sys.getrecursionlimit() >= 100_000\n"
        "from pipeline.base.untrusted import parse_json\n"
        "try: parse_json(b'[' * 100_000)\n"
        "except ValueError: print('refused')\n"
        "assert sys.getrecursionlimit() >= 100_000\n"
    )
    ended = subprocess.run([sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (0, "refused\n"), ended.stderr


def test_text_of_strangers_is_shown_without_what_acts() -> None:
    assert printable("Linö #1 🎨 “fine”") == "Linö #1 🎨 “fine”"
    assert printable("a\nb\tc\u202ed\x9b2J\ud800\u2028") == ("a\\u{a}b\\u{9}c\\u{202e}d\\u{9b}2J\\u{d800}\\u{2028}")
    refused = BadArgument(name="--name", value="it's a\tC:\\b", expected="another")
    assert str(refused) == '--name is "it\'s a\\u{9}C:\\b"; expected another'
    assert printable("\u2066x\u200b\ufeff\u00a0\ue000") == "\\u{2066}x\\u{200b}\\u{feff}\\u{a0}\\u{e000}"


def test_long_text_of_strangers_is_cut() -> None:
    assert printable("x" * 10_000, 20) == "x" * 19 + "…"
    assert len(printable("\u202e" * 10_000)) <= MAX_SHOWN
