"""`mint --dry-run`: the bill is what is paid afterwards, and asking for it changes nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import REPOSITORY, Ended, Pipeline
from eth_account import Account
from eth_typing import HexStr
from nodes import anvil, fund

from pipeline.mint.alternatives import ALTERNATIVES
from pipeline.mint.chain import Chain, connect, fixed_bytes

MINT = ("mint", "--size", "32", "--seed", "1")
ONE_DIGEST = 400  # gas: a digest of 32 bytes has more or fewer zeros than another


def _receipts(chain: Chain, hashes: list[str]) -> list[int]:
    found = [chain.receipt(fixed_bytes(tx)) for tx in hashes]
    return [receipt.gas_used for receipt in found if receipt is not None]


def _agrees(bill: dict[str, Any], gas: list[int]) -> None:
    assert len(bill["lines"]) == len(gas)
    for line, used in zip(bill["lines"], gas, strict=True):
        assert abs(line["gas"] - used) <= ONE_DIGEST, (line, used)


def _bill(ended: Ended) -> dict[str, Any]:
    assert ended.code == 0, ended.err
    bill: dict[str, Any] = ended.json
    assert bill["gas"] == sum(line["gas"] for line in bill["lines"])
    assert bill["wei"] == bill["gas"] * (bill["base_fee_wei"] + bill["priority_fee_wei"])
    return bill


def test_a_fresh_workspace_stays_empty(pipeline: Pipeline, tmp_path: Path) -> None:
    bill = _bill(pipeline(*MINT, "--count", "50", "--dry-run", "--json"))
    assert list(tmp_path.iterdir()) == []
    assert [line["what"] for line in bill["lines"]] == ["deploy", "mint 1-50"]
    assert bill["wei_per_token"] == bill["wei"] // 50
    assert [other["name"] for other in bill["alternatives"]] == [other.name for other in ALTERNATIVES]
    assert bill["alternatives"][-1]["times"] > 9  # the tutorial's way
    table = pipeline(*MINT, "--count", "50", "--dry-run")
    assert f"{bill['gas']:,}" in table.out and "OpenZeppelin" in table.out and "Nothing was planned" in table.err


def test_other_contracts_cost_what_the_gas_table_says() -> None:
    rows = [line.strip("| \n").split(" | ") for line in (REPOSITORY / "docs" / "contract.md").read_text().splitlines()]
    measured = {row[0]: row for row in rows if len(row) == 10}
    for other in ALTERNATIVES:
        _, _, deploy, first, job, later, further, *_ = measured[other.name]
        assert (f"{other.deploy:,}", f"{other.first:,}", f"{other.later:,}") == (deploy, first, later)
        assert f"{other.further:,}" == further
        assert f"{other.gas([50], deployed=False):,}" == job


def test_the_bill_is_what_is_paid(pipeline: Pipeline, tmp_path: Path) -> None:
    with anvil() as url:
        chain = connect(url)
        words = (*MINT, "--rpc-url", url, "--batch", "7")
        first = _bill(pipeline(*words, "--count", "17", "--dry-run", "--json"))
        assert chain.head().number == 0 and list(tmp_path.iterdir()) == []
        assert first["balance_wei"] > 0 and abs(first["node_estimates_deploy"] / first["lines"][0]["gas"] - 1) < 0.02
        minted = pipeline(*words, "--count", "17", "--json")
        assert minted.code == 0, minted.err
        _agrees(first, _receipts(chain, minted.json["transactions"]))

        assert _bill_is_empty(pipeline(*words, "--count", "17", "--dry-run", "--json"))
        blocks = chain.head().number
        more = _bill(pipeline(*words, "--count", "9", "--more", "--dry-run", "--json"))
        assert chain.head().number == blocks
        added = pipeline(*words, "--count", "9", "--more", "--json")
        _agrees(more, _receipts(chain, added.json["transactions"][len(minted.json["transactions"]) :]))


def _bill_is_empty(ended: Ended) -> bool:
    return ended.code == 0 and (ended.json["gas"], ended.json["lines"], ended.json["tokens"]) == (0, [], 0)


def test_the_bill_of_many_recipients_is_what_is_paid(pipeline: Pipeline, tmp_path: Path) -> None:
    people = [Account.from_key(bytes([number]) * 32).address for number in range(1, 13)]
    counts = [1, 1, 1, 1, 2, 3, 1, 1, 1, 5, 1, 1]
    lines = [f"{address},{count}" for address, count in zip(people, counts, strict=True)]
    lines += [f"{people[0]},1", f"{people[9]},2", f"{people[1]},6"]
    (tmp_path / "friends.csv").write_text("\n".join(lines))
    with anvil() as url:
        words = (*MINT, "--rpc-url", url, "--to", "friends.csv", "--batch", "4")
        bill = _bill(pipeline(*words, "--dry-run", "--json"))
        assert bill["alternatives"] == []  # measured for one owner only
        minted = pipeline(*words, "--json")
        assert minted.code == 0, minted.err
        _agrees(bill, _receipts(connect(url), minted.json["transactions"]))


def test_an_interrupted_run_is_billed_for_its_rest(pipeline: Pipeline, tmp_path: Path) -> None:
    words = (*MINT, "--count", "6", "--batch", "3")
    assert pipeline(*words, env={"PIPELINE_CRASH_AT": "run_planned"}).code != 0
    before = (tmp_path / "workspace" / "ledger.sqlite").read_bytes()
    bill = _bill(pipeline(*words, "--dry-run", "--json"))
    assert [line["what"] for line in bill["lines"]] == ["deploy", "mint 1-3", "mint 4-6"]
    assert (tmp_path / "workspace" / "ledger.sqlite").read_bytes() == before
    assert pipeline(*words, "--seed", "2", "--dry-run").code == 2


@pytest.mark.parametrize("more", [(), ("--network", "mainnet", "--keystore", "key.json")])
def test_a_mainnet_is_billed_without_a_password_or_a_confirmation(
    pipeline: Pipeline, tmp_path: Path, more: tuple[str, ...]
) -> None:
    key = "0x" + "5e" * 32
    (tmp_path / "key.json").write_text(json.dumps(Account.encrypt(HexStr(key), "x", kdf="pbkdf2", iterations=1000)))
    (tmp_path / "key.json").chmod(0o600)
    with anvil("--chain-id", "1") as url:
        fund(url, Account.from_key(key).address, 1)
        bill = _bill(pipeline(*MINT, "--count", "3", "--rpc-url", url, "--dry-run", "--json", *more))
    assert bill["chain_id"] == 1
    assert bill["balance_wei"] == (10**18 if more else None)


def test_a_bill_refuses_what_mint_would(pipeline: Pipeline, tmp_path: Path) -> None:
    assert pipeline(*MINT, "--dry-run").code == 2
    assert pipeline(*MINT, "--count", "3", "--to", "vitalik.eth", "--dry-run").code == 2
    assert pipeline(*MINT, "--count", "3", "--more", "--dry-run").code == 2
    assert pipeline(*MINT, "--count", "3", "--network", "sepolia", "--dry-run").code == 2
    assert list(tmp_path.iterdir()) == []
