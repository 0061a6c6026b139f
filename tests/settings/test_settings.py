"""Settings: one table, which source wins, what is said about a bad value, and what follows from a setting's line."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import pytest
from conftest import REPOSITORY, Pipeline
from hypothesis import HealthCheck, given
from hypothesis import settings as sampled
from hypothesis import strategies as st
from other_values import OTHER
from plugins import install

from pipeline.art.source import About
from pipeline.base.errors import BadArgument, UnknownSetting, UsageError
from pipeline.base.records import Address
from pipeline.flow.plan import collection_settings
from pipeline.settings import SETTINGS, Settings, load_settings
from pipeline.settings.table import SECTIONS, ArtSettings, table_of

OWNER = Address("0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266")
PAGE = REPOSITORY / "docs" / "settings.md"


def _file(folder: Path, text: str) -> None:
    (folder / "pipeline.toml").write_text(text)


def test_every_setting_is_here_once() -> None:
    assert [line.name for line in SETTINGS] == list(dict.fromkeys(line.name for line in SETTINGS))
    assert set(OTHER) == {line.name for line in SETTINGS}


@pytest.mark.parametrize("line", SETTINGS, ids=lambda line: line.name)
def test_a_setting_is_the_same_from_every_source(tmp_path: Path, line) -> None:  # type: ignore[no-untyped-def]
    if line.name != "name":  # which its art has of its own, and nobody can say as nothing
        assert line.form.read(line.said(line.default)) == line.default
    text = OTHER[line.name]
    by_flag = load_settings({line.name: text}, {}, tmp_path)
    assert by_flag.source(line.name) == line.flag and by_flag.text(line.name) == text != line.said(line.default)
    assert not Settings().given(line.name)
    escaped = text.replace("\n", "\\n")
    _file(tmp_path, f'[{line.section}]\n{line.field} = "{escaped}"\n' if line.section else f'{line.field} = "{text}"\n')
    others = {
        "pipeline.toml": load_settings({}, {}, tmp_path),
        line.variable: load_settings({}, {line.variable: text}, tmp_path),
        "the call": Settings.of(**{line.name: by_flag.value(line.name)}),
    }
    for source, settings in others.items():
        assert settings.value(line.name) == by_flag.value(line.name) and settings.source(line.name) == source
    job = by_flag.for_job("3", {})
    assert (
        by_flag.said_now(line.name) and not job.said_now(line.name) and job.value(line.name) == by_flag.value(line.name)
    )
    assert others["the call"].said_now(line.name) and not others["pipeline.toml"].said_now(line.name)


def test_a_flag_wins_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    _file(tmp_path, "[art]\nsize = 64\nseed = 1\nthreads = 3\n")
    settings = load_settings({"size": "256"}, {"PIPELINE_SIZE": "128", "PIPELINE_SEED": "2"}, tmp_path)
    assert (settings.art.size, settings.art.seed, settings.art.threads) == (256, 2, 3)
    assert settings.without_flags().art.size == 128
    assert settings.collection.name == "" and not settings.given("name")


def test_a_file_of_the_first_version_is_read(tmp_path: Path) -> None:
    _file(tmp_path, '[generate]\nsize = 64\n[pin]\npin = ["embedded", "kubo"]\n')
    settings = load_settings({}, {}, tmp_path)
    assert settings.art.size == 64 and settings.pin.places == ("embedded", "kubo")


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("[art]\nsiez = 64\n", "art.size"),
        ("[ar]\nsize = 64\n", "art.size"),
        ("[mint]\nsize = 64\n", "mint."),
        ("worksapce = 'w'\n", "workspace"),
    ],
)
def test_an_unknown_key_of_the_file_is_refused_with_a_near_name(tmp_path: Path, text: str, near: str) -> None:
    _file(tmp_path, text)
    with pytest.raises(UnknownSetting, match="pipeline.toml") as caught:
        load_settings({}, {}, tmp_path)
    assert near in str(caught.value)


def test_an_unknown_variable_is_refused_with_a_near_name(tmp_path: Path) -> None:
    with pytest.raises(UnknownSetting, match="PIPELINE_SZE.*'PIPELINE_SIZE'"):
        load_settings({}, {"PIPELINE_SZE": "1"}, tmp_path)
    load_settings({}, {"PIPELINE_PRIVATE_KEY": "x", "PIPELINE_CRASH_AT": "", "OTHER": ""}, tmp_path)


def test_an_unknown_name_of_a_caller_is_refused_with_a_near_name(tmp_path: Path) -> None:
    with pytest.raises(UnknownSetting, match="'sze'.*'size'"):
        Settings.of(sze=1)
    with pytest.raises(UnknownSetting, match="'sze'.*'size'"):
        load_settings({"sze": "1"}, {}, tmp_path)
    with pytest.raises(UnknownSetting, match="job 3"):
        Settings().for_job("3", {"sze": "1"})


def test_no_section_can_hold_what_its_settings_refuse() -> None:
    with pytest.raises(BadArgument, match=r"art\.size is '7'; expected a whole number from 16"):
        ArtSettings(size=7)
    with pytest.raises(FrozenInstanceError):
        Settings().art.size = 8  # type: ignore[misc]


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("size", "0", "16 to 4,096"),
        ("size", "9" * 5_000, "16 to 4,096"),
        ("seed", str(2**53), "0 to 9,007,199,254,740,991"),
        ("batch", "501", "0 to 500"),
        ("chain", "hardhat", "anvil or ganache"),
        ("rpc_url", "localhost:8545", "http"),
        ("rpc_url", "http://[", "http"),
        ("royalty_bps", "10001", "10,000"),
        ("max_fee_gwei", "1e3", "decimal"),
        ("max_fee_gwei", "-1", "decimal"),
        ("max_run_eth", "0.0", "above 0"),
        ("pin", " , ", "names"),
        ("name", "x" * 32, "1 to 31 bytes"),
        ("name", "é" * 16, "1 to 31 bytes"),
        ("name", "A\x07B", "without U+0007"),
        ("name", "A\nB", "without U+000A"),
        ("name", "a\u202eb", "without U+202E"),
        ("name", "a\u200bb", "without U+200B"),
        ("symbol", "A\x1bB", "without U+001B"),
        ("description", "x" * 10_001, "1 to 10,000 characters"),
        ("description", "שלום\u200f", "without U+200F"),
        ("licence", "all rights reserved", "SPDX"),
        ("licence", "javascript:alert(1)", "SPDX"),
        ("artist", "Zo\u202eë", "without U+202E"),
        ("external_url", "http://a b", "percent-encoded"),
        ("external_url", "http://a.b/<x>", "percent-encoded"),
        *(("external_url", f"http://{host}/", "browsers take") for host in ("1.2.3.4.5", "256.1.1.1", "a.5", "a%25b")),
        ("royalty_receiver", "0x" + "0" * 40, "zero address"),
        ("royalty_receiver", "vitalik.eth", "names are not looked up"),
        ("royalty_receiver", "0x0", "40 hex digits"),
        ("royalty_receiver", "0x70997970c51812dc3A010C7d01b50e0d17dc79C8", "checksum"),
        ("to", "vitalik.eth", "names are not looked up"),
        ("model", "a\nb", "control characters"),
    ],
)
def test_a_bad_value_is_refused_whatever_its_source(tmp_path: Path, name: str, value: str, expected: str) -> None:
    variable = f"PIPELINE_{name.upper()}"
    for flags, environ, source in (
        ({name: value}, {}, f"--{name.replace('_', '-')}"),
        ({}, {variable: value}, variable),
    ):
        with pytest.raises(BadArgument) as caught:
            load_settings(flags, environ, tmp_path)
        assert caught.value.exit_code == 2
        assert source in str(caught.value) and expected in str(caught.value)
    with pytest.raises(BadArgument, match=name):
        Settings.of(**{name: value})


def test_what_is_harmless_is_cleaned(tmp_path: Path) -> None:
    settings = Settings.of(
        description=" One\r\nTwo\tthree\r",
        name="Cafe\u0301 👩\u200d🎨 ",
        royalty_receiver="0x70997970c51812dc3a010c7d01b50e0d17dc79c8",
    )
    assert settings.collection.description == "One\nTwo three"
    assert settings.collection.name == "Café 👩\u200d🎨"
    assert settings.collection.royalty_receiver == OTHER["royalty_receiver"]


@pytest.mark.parametrize(
    "text",
    [
        "size: 64\n",
        "x = " + "9" * 5_000 + "\n",
        "x = " + "[" * 100_000,
        "[a]\nsize = true\n",
        "[art]\nsize = 0x" + "f" * 9_000,
    ],
)
def test_a_file_that_is_not_meant_is_named(tmp_path: Path, text: str) -> None:
    _file(tmp_path, text)
    with pytest.raises(UsageError, match="pipeline.toml"):
        load_settings({}, {}, tmp_path)


def test_a_folder_in_place_of_the_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "pipeline.toml").mkdir()
    with pytest.raises(BadArgument, match="pipeline.toml"):
        load_settings({}, {}, tmp_path)


def test_the_page_of_settings_is_as_the_table_has_it(tmp_path: Path) -> None:
    checked = subprocess.run([REPOSITORY / "scripts/settings-page", "--check"], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
    example = re.search(r"```toml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert example
    _file(tmp_path, example[1])
    settings = load_settings({}, {}, tmp_path)
    assert settings.here.workspace == "night" and settings.pin.places == ("embedded", "kubo")


def test_a_plug_in_has_settings_of_its_own(pipeline: Pipeline, tmp_path: Path) -> None:
    """As the page shows it, from every source, beside a secret; and refused where it is not one."""
    example = re.search(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert example
    install(tmp_path, "shelf", example[1], "Shelf", group="pipeline.settings")
    near = {"PYTHONPATH": f"{REPOSITORY}{os.pathsep}{tmp_path}", "PIPELINE_SHELF_TOKEN": "hidden-canary"}

    def said(*words: str, **environment: str) -> dict[str, str]:
        told = pipeline("config", "--json", *words, env={**near, **environment})
        assert told.code == 0 and "canary" not in told.out, told.err
        return {row["setting"]: f"{row['value']} by {row['source']}" for row in told.json}

    assert said()["shelf.url"] == "http://127.0.0.1:9999 by default"
    _file(tmp_path, '[shelf]\nurl = "http://127.0.0.1:1"\n')
    assert said()["shelf.url"] == "http://127.0.0.1:1 by pipeline.toml"
    assert said("--shelf-url", "http://127.0.0.1:3")["shelf.url"] == "http://127.0.0.1:3 by --shelf-url"
    refused = pipeline("config", env={**near, "PIPELINE_SHELF_ULR": "x"})
    assert refused.code == 2 and "'PIPELINE_SHELF_URL'" in refused.err
    place = (
        "from pipeline.settings import load_settings; from pathlib import Path\n"
        "from shelf import Shelf\n"
        "settings = load_settings({'shelf_url': 'http://127.0.0.1:7'}, {}, Path('.'))\n"
        "print(settings.of_plugin(Shelf).url)"
    )
    python = subprocess.run([sys.executable, "-c", place], env={**os.environ, **near}, capture_output=True, text=True)
    assert python.stdout == "http://127.0.0.1:7\n", python.stderr
    (tmp_path / "shelf.py").write_text("import nothing_of_that_name")
    broken = pipeline("status", env=near)
    assert broken.code == 2 and "shelf" in broken.err and "Traceback" not in broken.err


def test_every_section_says_its_settings_and_nothing_else() -> None:
    assert sum(len(table_of(kind)) for kind in SECTIONS) == len(SETTINGS)
    assert all(
        line.help and line.help[0].islower() or line.help.startswith(("ERC", "PNG", "CPU", "S3", "Kubo"))
        for line in SETTINGS
    )


WORDS = st.text(max_size=40) | st.text(
    st.characters(categories=("Cc", "Cf", "Zl", "Zp", "Lo", "Mn", "So")), max_size=12
)


@given(
    words=st.fixed_dictionaries(
        {},
        optional={
            "name": WORDS,
            "symbol": WORDS,
            "description": WORDS | st.text(min_size=9_990, max_size=10_010),
            "external_url": WORDS.map("https://a.example/".__add__) | WORDS,
            "royalty_receiver": st.from_regex(r"0[xX][0-9a-fA-F]{40}", fullmatch=True) | WORDS,
            "royalty_bps": st.integers(-1, 10_001),
            "max_supply": st.integers(-1, 2**48),
        },
    )
)
@sampled(max_examples=100, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def _take_and_write(words: dict[str, Any]) -> None:
    try:
        taken = Settings.of(**words)
    except BadArgument:
        return
    first = collection_settings(taken, taken.collection.name or "Untitled", OWNER, About())
    again = Settings.of(**{name: taken.value(name) for name in words})
    assert again.collection == taken.collection and first.name == (taken.collection.name or "Untitled")


def test_what_the_settings_take_can_be_written() -> None:
    """Whatever passes the door passes the writers of the contract's arguments and of the metadata: or it is refused here."""
    collection_settings(Settings(), "Lino", OWNER, About())  # web3 sets the recursion limit when it is imported
    _take_and_write()
