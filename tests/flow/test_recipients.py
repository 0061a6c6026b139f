"""A file of recipients: how it is read, what is said about a bad line, and that each gets what the file says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from conftest import Pipeline
from eth_account import Account
from nodes import anvil

from pipeline.base.errors import BadArgument
from pipeline.base.records import Address
from pipeline.flow.plan import batch_size
from pipeline.flow.recipients import Recipients, read_recipients, resolved_count
from pipeline.mint.chain import connect
from pipeline.settings import load_settings

A, B, C = (Address(Account.from_key(bytes([number]) * 32).address) for number in (11, 12, 13))
MINT = ("mint", "--size", "32", "--seed", "1")


def _read(folder: Path, text: str) -> Recipients:
    path = folder / "recipients.csv"
    path.write_text(text)
    found = read_recipients(str(path))
    assert found is not None
    return found


def test_a_file_gives_ids_in_its_order(tmp_path: Path) -> None:
    found = _read(tmp_path, f"Address, Count\n# friends\n\n{A},2\n  {B}\n\n# again\n{A.lower()}, 1\n")
    assert list(found) == [A, A, B, A]
    assert found.count == 4 and found.addresses == [A, B]
    assert _read(tmp_path, f"\ufeff{A},1\r\n{B},1\r\n").addresses == [A, B]
    for mark in ";\t":
        assert list(_read(tmp_path, f"# mine, all\naddress{mark}count\n{A}{mark}2\n{B}\n")) == [A, A, B]


def test_what_is_no_file_is_an_address(tmp_path: Path) -> None:
    assert read_recipients("") is None
    assert read_recipients(A) is None
    assert read_recipients("vitalik.eth") is None  # refused as an address, later


@pytest.mark.parametrize(
    ("text", "line", "expected"),
    [
        (f"{A},1\n0x1234,1\n", "line 2: address", "40 hex digits"),
        (f"# x\n\n{A[:-1]}{'0' if A[-1] != '0' else '1'},1\n", "line 3: address", "checksum"),
        (f"{'0x' + '0' * 40},1\n", "line 1: address", "zero address"),
        (f"{A},0\n", "line 1: count", "1 to 1,000,000"),
        (f"{A},two\n", "line 1: count", "1 to 1,000,000"),
        (f"{A},\n", "line 1: count", "1 to 1,000,000"),
        (f"{A},1,7\n", "line 1", "address,count"),
        (f"{A},1\naddress,count\n", "line 2: count", "1 to 1,000,000"),
        ("address,quantity\n", "line 1", "address,count"),
        ("# nobody\n", "recipients.csv", "one recipient or more"),
        (f"{A},1000000\n{B},1\n", "recipients.csv", "at most 1,000,000 tokens"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, text: str, line: str, expected: str) -> None:
    with pytest.raises(BadArgument, match=re.escape(expected)) as caught:
        _read(tmp_path, text)
    assert line in str(caught.value)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(BadArgument, match="No such file"):
        read_recipients(str(tmp_path / "nowhere.csv"))
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadArgument, match="UTF-8"):
        read_recipients(str(tmp_path / "binary.csv"))


def test_the_count_is_said_once_or_twice_the_same(tmp_path: Path) -> None:
    found = _read(tmp_path, f"{A},2\n{B},1\n")
    assert resolved_count(None, found) == resolved_count(3, found) == 3
    assert resolved_count(7, None) == 7
    for count, recipients in ((4, found), (None, None)):
        with pytest.raises(BadArgument, match="--count"):
            resolved_count(count, recipients)


def test_a_batch_with_many_recipients_fits_into_a_transaction(tmp_path: Path) -> None:
    many, one = _read(tmp_path, f"{A},400\n{B},400\n"), _read(tmp_path, f"{A},800\n")
    config = load_settings({}, {}, tmp_path)
    assert batch_size(config, 800, many) == 300 and batch_size(config, 800, one) == 500
    assert batch_size(load_settings({"batch": "7"}, {}, tmp_path), 800, many) == 7


def test_a_million_lines_are_read(tmp_path: Path) -> None:
    found = _read(tmp_path, f"{A}\n{B}\n" * 500_000)
    assert found.count == 1_000_000 and next(iter(found)) == A


def test_each_recipient_gets_what_the_file_says(pipeline: Pipeline, tmp_path: Path) -> None:
    (tmp_path / "friends.csv").write_text(f"address,count\n{A},3\n{B},1\n{C},2\n")
    words = (*MINT, "--to", "friends.csv", "--batch", "4")
    wrong = pipeline(*words, "--count", "5")
    assert wrong.code == 2 and "the sum of friends.csv" in wrong.err
    assert not (tmp_path / "workspace").exists()
    minted = pipeline(*words, "--json")
    assert minted.code == 0, minted.err
    assert [token["owner"] for token in minted.json["tokens"]] == [A, A, A, B, C, C]
    assert "3 recipients of friends.csv" in minted.err
    assert len(minted.json["transactions"]) == 3
    again = pipeline(*words, "--count", "6", "--json")
    assert again.json["tokens"] == minted.json["tokens"] and "nothing was sent" in again.err
    assert pipeline("verify").code == 0


def test_a_changed_file_is_another_call(pipeline: Pipeline, tmp_path: Path) -> None:
    file = tmp_path / "friends.csv"
    file.write_text(f"{A},2\n{B},1\n")
    words = (*MINT, "--to", "friends.csv")
    killed = pipeline(*words, env={"PIPELINE_CRASH_AT": "run_planned"})
    assert killed.code != 0
    file.write_text(f"{A},1\n{B},2\n")
    ended = pipeline(*words)
    assert ended.code == 2 and "the file of --to has another content" in ended.err
    assert "--count 3" in ended.err and "--to friends.csv" in ended.err
    file.write_text(f"{A},2\n{B},1\n")
    finished = pipeline(*words, "--json")
    assert finished.code == 0, finished.err
    assert [token["owner"] for token in finished.json["tokens"]] == [A, A, B]


def test_a_contract_among_many_recipients_is_asked_before_anything_is_planned(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    with anvil() as url:
        first = pipeline(*MINT, "--count", "1", "--rpc-url", url, "--json", "--workspace", "first")
        contract = first.json["contract"]
        (tmp_path / "friends.csv").write_text(f"{A},2\n{contract},1\n{B},1\n")
        blocks = connect(url).head().number
        ended = pipeline(*MINT, "--to", "friends.csv", "--rpc-url", url)
        assert ended.code == 2 and f"{contract} is a contract that does not accept ERC-721" in ended.err
        assert connect(url).head().number == blocks
    assert pipeline("status", "--json").json["collections"] == []
