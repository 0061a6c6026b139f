"""Every command that the program prints runs as it is printed."""

from __future__ import annotations

import argparse
import ast
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import REPOSITORY, Ended, Pipeline, pipeline_in
from layered import write
from nodes import typed
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


HINT = re.compile(r"`(\S+ -m pipeline [^`]+)`")
RAW = re.compile(r"`pipeline [a-z]")

# What an error leads to, by the text that names it: how it comes to be told, and how the command that it names ends.
TOLD: dict[str, tuple[str, int]] = {
    "mint --count 50": ("show 1", 0),
    "config": ("init --name A", 0),
    "generate --seed 7 --out 7.png": ("generate", 0),
    "generate --count 36 --sheet sheet.png": ("generate", 0),
    "mint --count 501 --stop-after generate": ("reject 1", 0),  # what an f-string fills in is 1 there
    "reject --help": ("judge", 0),
    "judge --help": ("mint --count 1 --more --proofs 3", 0),
    "certificate new": ("mint --count 1 --more --certificate no.pem", 0),
    "account new": ("mint --count 1 --more --keystore no.json", 0),
    "account import": ("account import 0x" + "4" * 64, 0),
    "status": ("rarity --name Early", 0),
    "abandon": ("mint --layers layers --count 2 --name Cats --new", 0),
    "train --resume 1": ("train --model mlp_gan --data digits --out 'a run' --capacity large", 130),
    "train --model dcgan --data digits --out runs/x": ("train --data digits", 130),
}
ELSEWHERE = {  # what names it -> where it is given
    "repin": "a service that has not got all of it: tests/pin/test_services.py",
    "repin --pin kubo": "a Kubo node that lost blocks: tests/pin/test_kubo_nodes.py",
    "doctor": "a Kubo node that refuses: tests/pin/test_kubo.py",
    "unpin --pin 1": "an abandoned run that Kubo keeps: tests/pin/test_mint_to_kubo.py",
    "abandon --chain-gone": "a node that began anew: tests/flow/test_abandon.py",
    "judge": "a judge that is damaged: it trains it again",
    "train --model 1 --data 1 --out runs/x": "as that with dcgan, which is given here",
    "mint --count 50 --stop-after generate": "a row of the README",
    **{f"studio {word}": "tests/flow/test_studio.py" for word in ("clear", "commit", "discard", "undo", "reroll 1")},
    "mint --help": "a name that is no setting: the test above pastes it",
    "verify": "an answer over HTTP, and it is a row of the README",
    "voices": "`--help`, and it is a row of the README",
    "access new --scope read": "an answer over HTTP, and it is a row of the README",
    "access new --scope mint": "an answer over HTTP, and it is a row of the README",
}


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
    assert mistyped.code == 2 and "'PIPELINE_SIZE'" in mistyped.err
    (hint,) = HINT.findall(mistyped.err)
    assert hint.endswith("mint --help") and _paste(f"PIPELINE_SZE=1 {hint}", tmp_path).code == 0


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


def test_every_command_that_a_text_names_is_given_somewhere() -> None:
    named = {match[1] for _, text in _texts() for match in re.finditer(r"`pipeline ([^`]*)`", text)}
    named = {words for words in named if not words.startswith(("VERB", "help VERB", "("))}
    assert named - TOLD.keys() - ELSEWHERE.keys() == set() == (TOLD.keys() | ELSEWHERE.keys()) - named


class _Reader:
    """Somebody in a folder, who gives commands and follows the hints of what was refused."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.run = folder, pipeline_in(folder)

    def give(self, command: str, **env: str) -> Ended:
        return self.run(*shlex.split(command), "--workspace", WORKSPACE, env=env)

    def prepare(self, words: str) -> None:
        """Bring the workspace to where a hint is told."""
        if words == "config":
            self.give("init --name A")
        elif words == "generate --seed 7 --out 7.png":
            (self.folder / "pipeline.toml").unlink()
        elif words == "reject --help":
            self.give("abandon")
        elif words == "status":
            assert self.give("mint --count 1 --new --name Early", PIPELINE_CRASH_AT="run_planned:1").code < 0
        elif words == "abandon":
            art = write(self.folder / "layers", '[[layers]]\nfolder = "Background"\n', *LAYERS)
            killed = self.give(TOLD[words][0], PIPELINE_CRASH_AT="image_written:1")
            assert killed.code < 0, killed.err
            (art / "Background" / "A#1.png").unlink()
        elif words == "train --resume 1":
            assert self.give("train --model mlp_gan --data digits --out 'a run' --steps 1").code == 0

    def follow(self, hint: str) -> int:
        """Paste a command into a shell, and answer what it asks."""
        words = shlex.split(hint)
        if "train" in words:
            return self._begun(hint)
        if "certificate" in words:
            return typed(self.folder, words[words.index("pipeline") + 1 :], ["Zoë"]).code
        return _paste(f"echo 0x{'1' * 64} | {hint}" if "import" in words else hint, self.folder).code

    def _begun(self, hint: str) -> int:
        """How a command that takes hours ends that was stopped once it had begun."""
        environ = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        with subprocess.Popen(
            ["sh", "-c", f"exec {hint}"],
            cwd=self.folder,
            env=environ,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        ) as process:
            assert process.stderr is not None
            assert "error" not in process.stderr.readline()
            process.send_signal(signal.SIGINT)
            process.stderr.read()
        return process.returncode


LAYERS = ("Background/A#1.png", "Background/B#1.png", "Background/C#1.png")


def _template(hint: str) -> list[str]:
    """The words of a hint that do not depend on who asks, nor where."""
    words = shlex.split(hint)
    return words[words.index("pipeline") + 1 :]


@pytest.mark.timeout(1_800)  # some forty programs, one after another
def test_every_command_in_a_hint_runs_where_it_was_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is what `TOLD` says how to come by; it names the workspace of the call, for the shell."""
    own = {"SIZE": "32", "SEED": "5", "DUPLICATE_BITS": "off", "CERTIFICATE_PASSWORD": "long enough"}
    for name, value in {**own, "KEYSTORE_PASSWORD": "long enough"}.items():
        monkeypatch.setenv(f"PIPELINE_{name}", value)
    reader, wrong = _Reader(tmp_path), {}
    for words, (command, expected) in TOLD.items():
        reader.prepare(words)
        told = reader.give(command)
        said = told.out + told.err
        assert told.code and not RAW.search(said), said
        form = re.escape(words).replace("1", ".*")
        named = [hint for hint in HINT.findall(said) if re.match(form, " ".join(_template(hint)))]
        assert named and f"--workspace '{WORKSPACE}'" in named[0], (words, said)
        if (code := reader.follow(named[0])) != expected:
            wrong[named[0]] = code
    assert wrong == {}
