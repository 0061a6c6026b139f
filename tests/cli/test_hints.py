"""Every command that the program prints runs as it is printed."""

from __future__ import annotations

import argparse
import ast
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import REPOSITORY, Ended, Pipeline
from PIL import Image

from pipeline.base.workspace import Workspace
from pipeline.cli.call import Call, invoked
from pipeline.cli.main import BY_NAME, command_line
from pipeline.settings import load_settings

NAME = "it's `id` $5"
WORKSPACE = "w 1"


def _texts() -> Iterator[tuple[str, str]]:
    """Every text of the program with its place; what an f-string fills in is 1."""
    for path in sorted((REPOSITORY / "pipeline").rglob("*.py")):
        if "`pipeline " not in (source := path.read_text()):
            continue
        tree = ast.parse(source)
        told = {
            id(node.body[0])
            for node in ast.walk(tree)
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and node.body
        }
        inside = {
            id(part)
            for node in ast.walk(tree)
            if isinstance(node, ast.JoinedStr)
            for part in ast.walk(node)
            if part is not node
        }
        docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and id(node) in told}
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                parts = (part.value if isinstance(part, ast.Constant) else "1" for part in node.values)
                yield f"{path.name}:{node.lineno}", "".join(map(str, parts))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside | docstrings:
                yield f"{path.name}:{node.lineno}", node.value


def test_every_command_that_a_text_names_is_one() -> None:
    """Whatever stands as `pipeline VERB …` in a hint can be given: no placeholders, no options that are none."""
    named = [(place, match[1]) for place, text in _texts() for match in re.finditer(r"`pipeline ([^`]*)`", text)]
    assert len(named) > 15
    parser = command_line()
    for place, words in named:
        if words.startswith(
            ("VERB", "help VERB", "(")
        ):  # the page of all verbs, and the pattern that finds these texts
            continue
        assert "…" not in words, place
        try:
            parser.parse_args(shlex.split(words))
        except SystemExit as ended:
            if ended.code:  # help is what was asked for
                pytest.fail(f"{place}: `pipeline {words}` is not a command")


def _printed(ended: Ended) -> list[str]:
    """The commands of `next:` lines, and of a hint's backquotes."""
    lines = re.findall(r"^next: (.*)   \(.*\)$", ended.err, re.MULTILINE)
    return lines + re.findall(r"^  → .*`(\S+ -m pipeline mint .*)`$", ended.err, re.MULTILINE)


def _paste(command: str, folder: Path) -> Ended:
    environ = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    process = subprocess.run(
        command,
        shell=True,
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=240,
    )
    return Ended(process.returncode, process.stdout, process.stderr)


def test_what_is_printed_is_pasted_and_does_what_it_says(pipeline: Pipeline, tmp_path: Path) -> None:
    at = ("--workspace", WORKSPACE)

    def next_of(ended: Ended) -> Ended:
        assert ended.code in (0, 2), ended.err
        first, *others = [(command, _paste(command, tmp_path)) for command in _printed(ended)]
        for command, pasted in (first, *others):
            assert pasted.code == 0, f"{command}\n{pasted.err}"
            assert not (tmp_path / "workspace").exists(), command
        return first[1]

    sheet = pipeline("generate", "--count", "2", "--size", "32", "--seed", "7", "--sheet", "s.png", *at)
    minted = next_of(sheet)
    assert "every check holds" in next_of(minted).err + next_of(minted).out
    with Image.open(tmp_path / WORKSPACE / "images" / "1" / "2.png") as picture:
        assert picture.size == (32, 32)

    second = ("--new", "--name", NAME, "--size", "32", "--stop-after", "generate", *at)
    drawn = pipeline("mint", "--count", "1", *second)
    assert drawn.code == 0, drawn.err
    other = pipeline("mint", "--count", "3", *at)
    assert other.code == 2 and _printed(other) == _printed(drawn) == _printed(pipeline("status", *at))
    assert NAME in next_of(other).err

    assert next_of(pipeline("status", *at)).code == 0
    shown = next_of(pipeline("rarity", "--name", "Town", *at))
    assert "Town" in shown.out and NAME not in shown.out
    assert next_of(pipeline("access", "new", *at)).out.count("read") == 1
    told = pipeline("mint", "--json", "--count", "0", *at)
    assert told.code == told.json["exit_code"] == 2 and told.json["kind"] == "BadArgument" and "--count" in told.err
    mistyped = pipeline("status", *at, env={"PIPELINE_SZE": "1"})
    assert mistyped.code == 2 and "'PIPELINE_SIZE'" in mistyped.err and "mint --help" in mistyped.err


@pytest.mark.parametrize(
    ("argv", "typed", "words"),
    [
        ([".venv/bin/pipeline"], [".venv/bin/python"], [".venv/bin/pipeline"]),
        (["{here}/.venv/bin/pipeline"], ["{here}/.venv/bin/python"], [".venv/bin/pipeline"]),
        (["/opt/x/pipeline/__main__.py"], ["python3", "-m", "pipeline"], ["python3", "-m", "pipeline"]),
        (["/opt/x/pipeline/__main__.py"], ["{here}/.venv/bin/python"], [".venv/bin/python", "-m", "pipeline"]),
        (["{here}/on_path/pipeline"], ["/usr/bin/python3"], ["pipeline"]),
        (["/elsewhere/pipeline"], ["/usr/bin/python3"], ["/elsewhere/pipeline"]),
    ],
)
def test_the_program_is_named_as_it_was_called(
    argv: list[str], typed: list[str], words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "on_path").mkdir()
    (tmp_path / "on_path" / "pipeline").touch(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path / "on_path"))
    monkeypatch.setattr(sys, "argv", [word.format(here=tmp_path) for word in argv])
    monkeypatch.setattr(sys, "orig_argv", [word.format(here=tmp_path) for word in typed])
    assert invoked() == words


@pytest.mark.parametrize(
    ("flags", "command"),
    [
        ({"rpc_url": "http://127.0.0.1:8545"}, "verify --rpc-url http://127.0.0.1:8545"),
        ({"rpc_url": "https://eth.example/v2/KEY"}, None),
        ({"rpc_url": "https://user:pass@eth.example"}, None),
        ({"name": "-x"}, "verify --name=-x"),
        ({"name": "a 'b'"}, """verify --name 'a '"'"'b'"'"''"""),
        ({"keystore": "key.json", "size": "64"}, "verify"),
    ],
)
def test_the_next_command_repeats_where_and_never_shows_a_key(
    flags: dict[str, str], command: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["/elsewhere/pipeline"])
    call = Call(argparse.Namespace(json=False), load_settings(flags, {}, tmp_path), Workspace(tmp_path), BY_NAME)
    assert call.again("verify") == (command and f"/elsewhere/pipeline {command}")
