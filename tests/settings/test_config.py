"""Settings: which source wins, and what is said about a bad one."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.base.errors import BadArgument, UnknownSetting
from pipeline.settings.config import SETTINGS, load_config


def _file(folder: Path, text: str) -> None:
    (folder / "pipeline.toml").write_text(text)


def test_defaults_are_values_that_their_own_readers_accept() -> None:
    for setting in SETTINGS:
        assert setting.read(str(setting.default)) == setting.default, setting.key


def test_names_are_unique_so_that_flags_and_variables_are(tmp_path: Path) -> None:
    assert len({setting.name for setting in SETTINGS}) == len(SETTINGS)


def test_a_flag_wins_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    _file(tmp_path, "[generate]\nsize = 64\nseed = 1\nthreads = 3\n")
    environ = {"PIPELINE_SIZE": "128", "PIPELINE_SEED": "2"}
    config = load_config({"size": "256"}, environ, tmp_path)
    assert [(config[name], config.values[name].source) for name in ("size", "seed", "threads", "name")] == [
        (256, "--size"),
        (2, "PIPELINE_SEED"),
        (3, "pipeline.toml"),
        ("Lino", "default"),
    ]
    assert config.given("threads") and not config.given("name")


def test_a_list_in_the_file_reads_like_names_with_commas(tmp_path: Path) -> None:
    _file(tmp_path, '[pin]\npin = ["embedded", "kubo"]\n')
    assert load_config({}, {}, tmp_path)["pin"] == "embedded,kubo"


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("[generate]\nsiez = 64\n", "generate.size"),
        ("[generat]\nsize = 64\n", "generate.size"),
        ("[mint]\nsize = 64\n", "mint."),
        ("size = 64\n", ""),
    ],
)
def test_an_unknown_key_is_an_error_with_a_near_name(tmp_path: Path, text: str, near: str) -> None:
    _file(tmp_path, text)
    with pytest.raises(UnknownSetting, match="pipeline.toml") as caught:
        load_config({}, {}, tmp_path)
    assert near in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("size", "0", "16 to 4,096"),
        ("size", "7", "16 to 4,096"),
        ("size", "100000", "16 to 4,096"),
        ("seed", str(2**53), "0 to 9,007,199,254,740,991"),
        ("batch", "501", "0 to 500"),
        ("chain", "hardhat", "anvil or ganache"),
        ("rpc_url", "localhost:8545", "http"),
        ("royalty_bps", "10001", "10,000"),
        ("max_fee_gwei", "1e3", "decimal"),
        ("max_fee_gwei", "-1", "decimal"),
        ("pin", " , ", "names"),
    ],
)
def test_a_bad_value_is_refused_whatever_its_source(tmp_path: Path, name: str, value: str, expected: str) -> None:
    variable = f"PIPELINE_{name.upper()}"
    for flags, environ, source in (
        ({name: value}, {}, f"--{name.replace('_', '-')}"),
        ({}, {variable: value}, variable),
    ):
        with pytest.raises(BadArgument) as caught:
            load_config(flags, environ, tmp_path)
        assert caught.value.exit_code == 2
        assert source in str(caught.value) and expected in str(caught.value)


def test_a_file_that_is_no_toml_is_named(tmp_path: Path) -> None:
    _file(tmp_path, "size: 64\n")
    with pytest.raises(BadArgument, match="pipeline.toml"):
        load_config({}, {}, tmp_path)
