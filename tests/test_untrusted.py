"""JSON from outside, in a process that has loaded what raises Python's recursion limit."""

from __future__ import annotations

import subprocess
import sys

import pytest
from conftest import REPOSITORY

from pipeline.untrusted import parse_json

DEEP = b"[" * 100_000


@pytest.mark.parametrize("text", [DEEP, b"{", b"", b"\xff", b'{"a":' * 50_000])
def test_what_is_no_json_is_a_value_error(text: bytes) -> None:
    with pytest.raises(ValueError):
        parse_json(text)


def test_deep_nesting_does_not_end_a_process_that_has_loaded_web3() -> None:
    script = (
        "import sys, web3, eth_account, py_ecc\n"
        "assert sys.getrecursionlimit() >= 100_000\n"
        "from pipeline.untrusted import parse_json\n"
        "try: parse_json(b'[' * 100_000)\n"
        "except ValueError: print('refused')\n"
        "assert sys.getrecursionlimit() >= 100_000\n"
    )
    ended = subprocess.run([sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (0, "refused\n"), ended.stderr
