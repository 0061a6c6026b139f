"""The command line as scripts and people meet it: speed, help, forms of output."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from datetime import datetime
from pathlib import Path

import pytest
from conftest import REPOSITORY, Pipeline

from pipeline.after.report import Fee, Minted, MintedToken
from pipeline.cli.call import Verb
from pipeline.cli.main import VERBS, command_line, main
from pipeline.cli.minted import block
from pipeline.cli.tables import ranges, short_uri
from pipeline.settings import every_setting

HEAVY = ("torch", "web3", "numpy", "PIL", "eth_account", "ipfshttpclient", "solcx", "coincurve")


@pytest.fixture(scope="module")
def minted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("minted")
    words = ["mint", "--count", "4", "--batch", "2", "--size", "32", "--seed", "1"]
    subprocess.run(
        [sys.executable, "-m", "pipeline", *words],
        cwd=folder,
        env={"PYTHONPATH": str(REPOSITORY), "PATH": "/usr/bin:/bin"},
        check=True,
        capture_output=True,
    )
    return folder


@pytest.mark.parametrize("words", [["--help"], ["mint", "--help"], ["status"], ["show", "1"], ["config"]])
def test_quick_verbs_import_nothing_heavy(minted: Path, words: list[str]) -> None:
    """Their time is their imports: `-X importtime` names each. What it costs in seconds, scripts/bench-shell measures."""
    ended = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "pipeline", *words], cwd=minted, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in ended.stderr.splitlines()}
    assert "argparse" in imported  # the list is real
    assert imported.isdisjoint(HEAVY)


@pytest.mark.parametrize("verb", [verb.name for verb in VERBS])
def test_every_verb_has_help_with_examples(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command_line().parse_args([verb, "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert "examples:" in text and f"pipeline {verb}" in text
    assert "--workspace" in text and "--json" in text


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_no_argument_of_a_verb_is_taken_for_a_setting(verb: Verb) -> None:
    own = {options.get("dest", word.lstrip("-").replace("-", "_")) for word, options in verb.arguments}
    assert own.isdisjoint(line.name for line in every_setting())


@pytest.mark.parametrize(("asked", "shown"), [(["help"], "VERB"), (["help", "owners"], "owners --at")])
def test_help_is_a_word_too(asked: list[str], shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(asked)
    assert ended.value.code == 0 and shown in capsys.readouterr().out


def test_the_readme_names_every_verb() -> None:
    readme = (REPOSITORY / "README.md").read_text()
    assert [verb.name for verb in VERBS if f"`pipeline {verb.name}" not in readme] == []


def test_common_flags_may_stand_before_or_after_the_verb(pipeline: Pipeline, minted: Path, tmp_path: Path) -> None:
    workspace = str(minted / "workspace")
    after = pipeline("status", "--workspace", workspace, "--json")
    before = pipeline("--workspace", workspace, "--json", "status")
    assert before.json == after.json and before.json["collections"][0]["minted"] == 4
    assert list(tmp_path.iterdir()) == []  # nothing is written elsewhere


def test_json_and_table_tell_the_same(pipeline: Pipeline, minted: Path) -> None:
    table, result = pipeline("show", "2", cwd=minted).out, pipeline("show", "2", "--json", cwd=minted).json
    for key in ("contract", "token_uri", "image", "owner", "tx", "seed"):
        assert str(result[key]) in table
    for attribute in result["attributes"]:
        assert attribute["trait_type"] in table and str(attribute["value"]) in table


def test_the_result_of_mint_has_what_scripts_rely_on(pipeline: Pipeline, minted: Path) -> None:
    words = ("mint", "--count", "4", "--batch", "2", "--size", "32", "--seed", "1", "--json")
    result = pipeline(*words, cwd=minted).json
    assert {
        "contract",
        "chain_id",
        "rpc_url",
        "deploy_tx",
        "transactions",
        "images_roots",
        "metadata_roots",
        "tokens",
    } <= set(result)
    assert len(result["transactions"]) == 3 and result["transactions"][0] == result["deploy_tx"]
    for number, token in enumerate(result["tokens"], 1):
        assert set(token) == {"token_id", "owner", "token_uri", "image", "seed", "tx"}
        root = result["metadata_roots"][(number - 1) // 2]
        assert token["token_id"] == number and token["token_uri"] == f"ipfs://{root}/{number}.json"
        assert token["tx"] == result["transactions"][1 + (number - 1) // 2]
        assert (minted / "workspace" / "car" / f"{root}.car").exists()


def test_export_writes_cars_a_table_and_a_manifest(pipeline: Pipeline, minted: Path, tmp_path: Path) -> None:
    written = pipeline("export", "--out", tmp_path / "out", "--json", cwd=minted).json["files"]
    assert len([path for path in written if path.endswith(".car")]) == 6  # cover, collection, and two for each batch
    rows = (tmp_path / "out" / "tokens.csv").read_text().splitlines()
    assert rows[0].startswith("token_id,owner,token_uri") and len(rows) == 5
    assert '"tokens"' in (tmp_path / "out" / "collection.json").read_text()
    assert pipeline("export", "--format", "cvs", cwd=minted).code == 2


def test_config_shows_where_each_value_came_from(pipeline: Pipeline, tmp_path: Path) -> None:
    (tmp_path / "pipeline.toml").write_text("[generate]\nsize = 64\n")
    rows = {
        row["setting"]: row
        for row in pipeline("config", "--json", env={"PIPELINE_RPC_URL": "https://u:p@example.org/key"}).json
    }
    assert (rows["art.size"]["value"], rows["art.size"]["source"]) == (64, "pipeline.toml")  # the section of 0.1
    assert rows["chain.rpc_url"]["value"] == "https://example.org"


def _at_a_terminal(folder: Path, *words: str, columns: int = 80, **environ: str) -> str:
    """What the program prints on a terminal of so many columns that answers no question."""
    here, there = pty.openpty()
    fcntl.ioctl(there, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, columns * 8, 24 * 16))
    program = ["sh", "-c", 'exec "$@" <"$0"', os.ttyname(there), sys.executable, "-m", "pipeline", *words]
    process = subprocess.Popen(  # a session leader that opens a terminal has it as its own
        program,
        cwd=folder,
        env={"PYTHONPATH": str(REPOSITORY), "PATH": "/usr/bin:/bin", "TERM": "xterm-256color", **environ},
        stdin=subprocess.DEVNULL,
        stdout=there,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    os.close(there)
    shown = b""
    with contextlib.suppress(OSError):  # its other end is closed: the program has ended
        while data := os.read(here, 4096):
            shown += data
    os.close(here)
    assert process.wait() == 0, shown.decode()
    return shown.decode()


def test_a_terminal_that_can_show_pictures_does_and_nothing_else_gets_any(minted: Path, pipeline: Pipeline) -> None:
    assert _at_a_terminal(minted, "show", "1").count("\N{UPPER HALF BLOCK}") > 500
    for told in (
        _at_a_terminal(minted, "show", "1", NO_COLOR="1"),
        _at_a_terminal(minted, "show", "1", TERM="dumb"),
        pipeline("show", "1", cwd=minted).out,
    ):
        assert (
            "Warren #1" in told
            and not {"\N{UPPER HALF BLOCK}", "\N{LOWER HALF BLOCK}"} & {*told}
            and "\x1b_G" not in told
        )


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_no_value_of_a_table_is_cut_at_any_width(minted: Path, columns: int) -> None:
    for verb in ("status", "pins", "rarity"):
        shown = _at_a_terminal(minted, verb, columns=columns, NO_COLOR="1")
        assert "Warren" in shown or verb == "rarity"
        assert re.findall(r"\w…(?![0-9a-f]{4})", shown.replace("bafybei…", "")) == [], shown
        assert max(map(len, re.sub(r"\x1b\[[0-9;]*m", "", shown).splitlines())) <= columns


def test_one_token_is_told_with_name_rank_date_and_what_was_paid(pipeline: Pipeline, minted: Path) -> None:
    told = pipeline("show", "2", "--json", cwd=minted).json
    assert (told["name"], told["chain"], told["ranked"], told["tx_tokens"]) == ("Warren #2", "anvil", 4, 2)
    assert told["rank"] in range(1, 5) and told["tx_fee_wei"] > 0 and told["tx_gas_used"] > 21_000
    assert datetime.fromisoformat(told["minted"]).tzinfo is not None
    (collection,) = pipeline("status", "--json", cwd=minted).json["collections"]
    exported = pipeline("export", "--format", "json", "--json", cwd=minted).json["files"]
    fees = json.loads((minted / exported[0]).read_text())["fees"]
    assert [fee["purpose"] for fee in fees] == ["deploy", "mint", "mint"]
    assert collection["fee_wei"] == sum(fee["fee_wei"] for fee in fees) > told["tx_fee_wei"]
    assert collection["gas_used"] == sum(fee["gas_used"] for fee in fees)


def test_a_real_bash_completes_verbs_options_and_names(tmp_path: Path) -> None:
    program = tmp_path / "pipeline"
    program.write_text(f'#!/bin/sh\nPYTHONPATH={REPOSITORY} exec {sys.executable} -m pipeline "$@"\n')
    program.chmod(0o755)
    environ = {"PATH": f"{tmp_path}:/usr/bin:/bin", "TERM": "dumb", "HOME": str(tmp_path), "PS1": "$ "}
    here, there = pty.openpty()
    bash = ["bash", "--noprofile", "--norc", "-i"]
    shell = subprocess.Popen(
        bash, cwd=tmp_path, env=environ, stdin=there, stdout=there, stderr=there, start_new_session=True
    )
    os.close(there)

    def typed(text: str, awaited: str) -> None:
        os.write(here, text.encode())
        shown = ""
        while awaited not in shown:
            shown += os.read(here, 4096).decode()

    typed('eval "$(pipeline completion bash 2>/dev/null)"; echo rea""dy\n', "\nready")
    typed("pipeline verif\t", "pipeline verify ")
    typed("--regen\t", "--regenerate ")
    typed("\x15pipeline mint --network sepo\t", "--network sepolia ")
    typed("--chain ga\t", "--chain ganache ")
    shell.kill()
    shell.wait()
    os.close(here)


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_other_shells_are_told_how_to_complete(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    told = capsys.readouterr()
    assert "_ARGCOMPLETE" in told.out and "pipeline" in told.out and "keep it" in told.err


def test_numbers_and_uris_are_folded_for_people() -> None:
    assert ranges([1, 2, 3, 5, 8, 9]) == "1-3, 5, 8-9"
    assert (
        short_uri("ipfs://bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi/7.json")
        == "ipfs://bafybei…bzdi/7.json"
    )


def test_a_pipe_gets_a_line_a_token_with_whole_values(pipeline: Pipeline, minted: Path) -> None:
    words = ("mint", "--count", "4", "--batch", "2", "--size", "32", "--seed", "1")
    result, piped = pipeline(*words, "--json", cwd=minted).json, pipeline(*words, cwd=minted)
    lines = [line.split("\t") for line in piped.out.splitlines()]
    keys = ("token_id", "owner", "token_uri", "image", "tx")
    assert lines == [[str(token[key]) for key in keys] for token in result["tokens"]]
    assert (minted / "workspace" / "export" / "Warren" / "contact-sheet-1-4.png").exists()


def test_what_was_paid_is_what_the_transactions_took(pipeline: Pipeline, minted: Path) -> None:
    words = ("mint", "--count", "4", "--batch", "2", "--size", "32", "--seed", "1", "--json")
    result = pipeline(*words, cwd=minted).json
    assert [fee["tx"] for fee in result["fees"]] == result["transactions"]
    assert [fee["purpose"] for fee in result["fees"]] == ["deploy", "mint", "mint"]
    assert result["fee_wei"] == sum(fee["fee_wei"] for fee in result["fees"]) > 0


def _minted(*owners: str) -> Minted:
    """A result of one batch whose tokens go to these."""
    root, tx = "b" * 59, "0x" + "ab" * 32
    tokens = (
        MintedToken(n, owner, f"ipfs://{root}/{n}.json", f"ipfs://{root}/{n}.png", n, tx)
        for n, owner in enumerate(owners, 1)
    )
    fee = Fee("mint", tx, 2, 100_000, 10**15, "2026-01-02T03:04:05Z")
    return Minted(
        *("Lino", "0x" + "c" * 40, 31337, "", None, None, (tx,), (root,), (root,), {}),
        tokens=tuple(tokens),
        chain="anvil",
        fee_wei=10**15,
        fees=(fee,),
    )


def test_what_tokens_share_is_told_once_and_whole_at_every_width() -> None:
    a, b = "0x" + "a" * 40, "0x" + "b" * 40
    for width in (60, 80, 200):
        lines = block(_minted(a, a, a), width)
        assert lines[0] == "Lino   3 tokens   1-3"
        assert sum(a in line for line in lines) == 1 and sum("b" * 59 in line for line in lines) == 2
        assert any("0.001000000 ETH" in line for line in lines)
    told = block(_minted(a, a, b), 80)
    assert [line.strip() for line in told if line.strip() in ("1-2", "3")] == ["1-2", "3"]
    assert sum("b" * 59 in line for line in told) == 2  # the roots are of all three


def test_a_thousand_recipients_do_not_make_a_thousand_lines() -> None:
    owners = [f"0x{n:040x}" for n in range(1, 1_001)]
    lines = block(_minted(*owners), 80)
    assert len(lines) < 60 and "980 more ranges" in "\n".join(lines)
