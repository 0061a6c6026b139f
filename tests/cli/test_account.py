"""Keystore files: made, imported, listed and used, without a secret in any output, argument or readable file."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import REPOSITORY, Ended, Pipeline
from eth_account import Account
from eth_typing import HexStr
from nodes import anvil, fund, typed

PASSWORD = "correct horse battery"
WITH_PASSWORD = {"PIPELINE_KEYSTORE_PASSWORD": PASSWORD}
KEY = "4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318"
ADDRESS = Account.from_key(KEY).address
MINT = ("mint", "--count", "3", "--size", "32", "--seed", "1")


def _says_no_secret(ended: Ended, *secrets: str) -> None:
    for secret in (PASSWORD, *secrets):
        assert secret not in ended.out + ended.err
    assert "Traceback" not in ended.err


def _import(folder: Path, key: str, *words: str) -> Ended:
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", "account", "import", *words],
        cwd=folder,
        env={"PYTHONPATH": str(REPOSITORY), **WITH_PASSWORD},
        input=key,
        capture_output=True,
        text=True,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def test_a_new_account_is_a_private_file_that_its_password_opens(pipeline: Pipeline, tmp_path: Path) -> None:
    made = pipeline("account", "new", "--json", env=WITH_PASSWORD)
    assert made.code == 0, made.err
    path = tmp_path / made.json["file"]
    assert path.parent == tmp_path / "workspace" / "keys"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    content = json.loads(path.read_text())
    assert content["crypto"]["kdf"] == "scrypt" and content["crypto"]["kdfparams"]["n"] >= 1 << 17
    key = Account.decrypt(content, PASSWORD)
    assert Account.from_key(key).address == made.json["address"]
    _says_no_secret(made, key.hex().removeprefix("0x"))
    assert made.json["address"] in made.err and "--keystore" in made.err
    assert pipeline("account", "list", "--json").json == [made.json]


def test_a_file_that_is_there_is_never_written_over(pipeline: Pipeline, tmp_path: Path) -> None:
    (tmp_path / "key.json").write_text("the only copy")
    ended = pipeline("account", "new", "--out", "key.json", env=WITH_PASSWORD)
    assert ended.code == 2 and "there already" in ended.err
    assert (tmp_path / "key.json").read_text() == "the only copy"


@pytest.mark.parametrize("password", ["", "short"])
def test_a_weak_password_is_refused(pipeline: Pipeline, tmp_path: Path, password: str) -> None:
    ended = pipeline("account", "new", env={"PIPELINE_KEYSTORE_PASSWORD": password})
    assert ended.code == 2 and "8 are needed" in ended.err
    assert list(tmp_path.iterdir()) == []


def test_without_a_password_and_a_person_nothing_is_made(pipeline: Pipeline, tmp_path: Path) -> None:
    ended = pipeline("account", "new")
    assert ended.code == 2 and "PIPELINE_KEYSTORE_PASSWORD" in ended.err
    assert list(tmp_path.iterdir()) == []


def test_a_key_comes_in_by_stdin(tmp_path: Path) -> None:
    ended = _import(tmp_path, f"0x{KEY}\n", "--out", "key.json", "--json")
    assert ended.code == 0, ended.err
    assert ended.json == {"address": ADDRESS, "file": "key.json"}
    assert Account.decrypt((tmp_path / "key.json").read_text(), PASSWORD).hex().removeprefix("0x") == KEY
    _says_no_secret(ended, KEY)


@pytest.mark.parametrize("key", ["", "12" * 31, "zz" * 32, "00" * 32])
def test_what_is_no_key_is_refused_without_quoting_it(tmp_path: Path, key: str) -> None:
    ended = _import(tmp_path, key)
    assert ended.code == 2 and "64 hex digits" in ended.err
    assert not key or key not in ended.err
    assert not (tmp_path / "workspace").exists()


@pytest.mark.parametrize("form", [KEY, f"0x{KEY}"])
def test_a_key_on_the_command_line_is_refused_and_not_repeated(pipeline: Pipeline, tmp_path: Path, form: str) -> None:
    for words in (("import", form), ("new", form)):
        ended = pipeline("account", *words, env=WITH_PASSWORD)
        assert ended.code == 2 and "every process of this machine can read it" in ended.err
        _says_no_secret(ended, KEY)
    ended = pipeline("account", "import", "--private-key", form, env=WITH_PASSWORD)
    assert ended.code == 2
    _says_no_secret(ended, KEY)
    assert list(tmp_path.iterdir()) == []


def test_a_key_where_a_path_belongs_is_not_repeated(pipeline: Pipeline) -> None:
    ended = pipeline("mint", "--count", "1", "--size", "16", f"--keystore={KEY}")
    assert ended.code == 2 and "No such file" in ended.err
    _says_no_secret(ended, KEY)
    for scheme in ("wss", "https"):
        ended = pipeline(
            "generate",
            "--model",
            f"{scheme}://provider.example/v3/c4n4ry0c4n4ry0",
            "--size",
            "16",
            "--out",
            "x.png",
            "--seed",
            "1",
        )
        assert ended.code != 0 and "no weights" in ended.err
        _says_no_secret(ended, "c4n4ry")


def test_a_keystore_file_of_another_program_is_imported_with_its_password(pipeline: Pipeline, tmp_path: Path) -> None:
    source = tmp_path / "UTC--other.json"
    source.write_text(json.dumps(Account.encrypt(HexStr(KEY), PASSWORD, kdf="pbkdf2", iterations=1000)))
    source.chmod(0o600)
    ended = pipeline("account", "import", source, "--json", env=WITH_PASSWORD)
    assert ended.code == 0, ended.err
    assert ended.json["address"] == ADDRESS
    assert json.loads((tmp_path / ended.json["file"]).read_text())["crypto"]["kdf"] == "scrypt"
    wrong = pipeline("account", "import", source, env={"PIPELINE_KEYSTORE_PASSWORD": "another password"})
    assert wrong.code == 2 and "wrong password" in wrong.err


def test_the_list_leaves_out_what_is_no_keystore(pipeline: Pipeline, tmp_path: Path) -> None:
    assert pipeline("account", "list", "--json").json == []
    (tmp_path / "workspace" / "keys").mkdir(parents=True)
    (tmp_path / "workspace" / "keys" / "note.json").write_text("{}")
    assert pipeline("account", "list", "--json").json == []
    assert pipeline("account", "lst").code == 2


def test_a_person_types_the_password_twice_and_then_mints_with_it(tmp_path: Path) -> None:
    differs = typed(tmp_path, ["account", "new", "--out", "key.json"], [PASSWORD, PASSWORD + "!"])
    assert differs.code == 2 and "not the same" in differs.err and not (tmp_path / "key.json").exists()
    made = typed(tmp_path, ["account", "new", "--out", "key.json", "--json"], [PASSWORD, PASSWORD])
    assert made.code == 0, made.err
    _says_no_secret(made)
    with anvil() as url:
        fund(url, made.json["address"])
        minted = typed(tmp_path, [*MINT, "--rpc-url", url, "--keystore", "key.json", "--json"], [PASSWORD])
    assert minted.code == 0, minted.err
    assert [token["owner"] for token in minted.json["tokens"]] == [made.json["address"]] * 3
    _says_no_secret(minted)


def test_a_person_types_a_key(tmp_path: Path) -> None:
    ended = typed(tmp_path, ["account", "import", "--json"], [KEY, PASSWORD, PASSWORD])
    assert ended.code == 0, ended.err
    assert ended.json["address"] == ADDRESS
    _says_no_secret(ended, KEY)
