"""`pipeline init`: what a person answers, or a flag says, stands in a pipeline.toml that every later command reads."""

from __future__ import annotations

import contextlib
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from conftest import REPOSITORY, Pipeline
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nodes import typed
from other_values import OTHER

from pipeline.base.errors import BadArgument
from pipeline.settings import SETTINGS, Settings, load_settings
from pipeline.settings.written import toml_of

ASKED = ["Night Linos", "NITE", "Zoë Ħ.", "", "CC-BY-4.0", "250", "sepolai", "", "kubo,embedded"]


def test_answers_become_the_settings_of_the_folder(tmp_path: Path) -> None:
    ended = typed(tmp_path, ["init"], ASKED)
    assert ended.code == 0 and "did you mean" not in ended.out and "sepolai" in ended.err
    told = load_settings({}, {}, tmp_path)
    collection = told.collection
    assert (collection.name, collection.symbol, collection.artist) == ("Night Linos", "NITE", "Zoë Ħ.")
    assert (collection.licence, collection.royalty_bps, told.pin.places) == ("CC-BY-4.0", 250, ("kubo", "embedded"))
    assert not told.given("statement") and not told.given("network")


def test_flags_alone_do_and_a_file_that_is_there_is_left_as_it_is(pipeline: Pipeline, tmp_path: Path) -> None:
    ended = pipeline("init", "--name", "Night Linos", "--statement", 'One "two"\n\\three')
    assert ended.code == 0 and "next: " in ended.err, ended.err
    before = (tmp_path / "pipeline.toml").read_bytes()
    assert load_settings({}, {}, tmp_path).collection.statement == 'One "two"\n\\three'
    again = pipeline("init", "--name", "Other")
    assert again.code == 2 and "left as it is" in again.err
    assert (tmp_path / "pipeline.toml").read_bytes() == before


def test_what_mint_would_refuse_is_refused_before_anything_is_written(pipeline: Pipeline, tmp_path: Path) -> None:
    for words in (("--network", "sepolai"), ("--pin", "kubbo"), ("--licence", "none of that"), ("--name", "x" * 32)):
        assert pipeline("init", *words).code == 2
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_among_the_questions_leaves_nothing(tmp_path: Path) -> None:
    here, there = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline", "init"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdin=there,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stderr is not None
    said = b""
    while b"Name of the collection" not in said:
        said += os.read(process.stderr.fileno(), 1024)
    for _ in range(5):  # one that comes just before Python begins to read is seen once it has read
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
            break
    assert process.returncode == 130
    process.stderr.close()
    os.close(here)
    os.close(there)
    assert list(tmp_path.iterdir()) == []


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.dictionaries(st.sampled_from(["name", "artist", "statement", "description", "images"]), st.text(max_size=40)))
def _read_again(folder: Path, words: dict[str, Any]) -> None:
    try:
        said = Settings.of(**words)
    except BadArgument:
        return
    (folder / "pipeline.toml").write_text(toml_of({name: said.text(name) for name in words}))
    read = load_settings({}, {}, folder)
    assert read.collection == said.collection and read.art == said.art


def test_what_is_written_is_read_as_it_was_meant(tmp_path: Path) -> None:
    (tmp_path / "pipeline.toml").write_text(toml_of(OTHER))
    read = load_settings({}, {}, tmp_path)
    assert {line.name: read.text(line.name) for line in SETTINGS} == {
        line.name: line.said(line.form.read(OTHER[line.name])) for line in SETTINGS
    }
    (tmp_path / "pipeline.toml").write_text(toml_of({}))
    assert load_settings({}, {}, tmp_path).sources == {}
    _read_again(tmp_path)
