"""Every setting in one table, and where its value came from: flag, environment, `pipeline.toml`, or default.

A flag wins over `PIPELINE_…`, that over the file, that over the default. Secrets are no settings: they come from the
environment (`PIPELINE_KEYSTORE_PASSWORD`, `PIPELINE_PRIVATE_KEY`, `PIPELINE_IPFS_TOKEN`, `PIPELINE_PSA_TOKEN`, …), the
keyring, or a prompt, and are never shown.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pipeline.base.errors import BadArgument, UnknownSetting
from pipeline.base.limits import MAX_BATCH, MAX_ROYALTY_BPS, MAX_SEED, MAX_TOKEN_ID

FILE_NAME = "pipeline.toml"


@dataclass(frozen=True, slots=True)
class Setting:
    """One line of the table: `section.name`, how its text is read, its default, and a sentence of help."""

    section: str
    name: str
    form: str  # what stands for the value in `--help`
    read: Callable[[str], Any]
    default: Any
    help: str

    @property
    def key(self) -> str:
        return f"{self.section}.{self.name}"

    @property
    def variable(self) -> str:
        return f"PIPELINE_{self.name.upper()}"

    @property
    def flag(self) -> str:
        return "--" + self.name.replace("_", "-")


class Expected(ValueError):
    """Raised by a reader: its text completes the sentence «expected …»."""


def text(value: str) -> str:
    return value.strip()


def whole(low: int, high: int) -> Callable[[str], int]:
    """Read a whole number between two bounds, both included."""

    def read(value: str) -> int:
        try:
            number = int(value)
        except ValueError:
            number = low - 1
        if not low <= number <= high:
            raise Expected(f"a whole number from {low:,} to {high:,}")
        return number

    return read


def decimal(value: str) -> str:
    """Read an amount of ether or gwei; it stays text, because floats lose wei."""
    digits = value.replace(".", "", 1)
    if not (digits.isascii() and digits.isdigit()):
        raise Expected("a decimal number such as 0.25")
    return value


def one_of(*names: str) -> Callable[[str], str]:
    def read(value: str) -> str:
        if value not in names:
            raise Expected(" or ".join(names))
        return value

    return read


def names(value: str) -> str:
    """Read a comma-separated list of names; it comes out without spaces and repeats."""
    found = dict.fromkeys(part.strip() for part in value.split(",") if part.strip())
    if not found:
        raise Expected("one or more names, separated by commas")
    return ",".join(found)


def http_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Expected("an http:// or https:// address")
    return value


def or_off(read: Callable[[str], Any]) -> Callable[[str], Any]:
    def read_or_off(value: str) -> Any:
        if value == "off":
            return value
        try:
            return read(value)
        except Expected as expected:
            raise Expected(f"{expected}, or off") from None

    return read_or_off


def optional(read: Callable[[str], Any]) -> Callable[[str], Any]:
    """Empty text means: not set."""
    return lambda value: read(value) if value else ""


SETTINGS: tuple[Setting, ...] = (
    Setting("collection", "name", "TEXT", text, "Lino", "name of the collection, 1 to 31 bytes"),
    Setting("collection", "symbol", "TEXT", text, "", "ticker, 1 to 31 bytes; empty: made from the name"),
    Setting("collection", "description", "TEXT", text, "", "text for marketplaces; empty: written from the model"),
    Setting("collection", "external_url", "URL", optional(http_url), "", "the project's page"),
    Setting(
        "collection", "royalty_bps", "N", whole(0, MAX_ROYALTY_BPS), 500, "ERC-2981 royalty, hundredths of a percent"
    ),
    Setting("collection", "royalty_receiver", "ADDRESS", text, "", "who gets royalties; empty: the owner"),
    Setting("collection", "cover", "FILE", text, "", "image file for the collection; empty: drawn by the model"),
    Setting(
        "collection", "max_supply", "N", whole(0, MAX_TOKEN_ID), 0, "greatest number of tokens ever; 0: no maximum"
    ),
    Setting("generate", "images", "FOLDER", text, "", "mint the images of a folder, with JSON beside them or not"),
    Setting("generate", "model", "NAME|FILE", text, "default", "generator: a built-in name or a checkpoint file"),
    Setting("generate", "size", "PX", whole(16, 4096), 512, "width and height of the artworks in pixels"),
    Setting(
        "generate", "seed", "INT", optional(whole(0, MAX_SEED)), "", "seed of the collection; empty: drawn at random"
    ),
    Setting("generate", "device", "NAME", text, "auto", "cpu, cuda, cuda:1, mps; auto: the best there is"),
    Setting("generate", "threads", "N", whole(0, 1024), 0, "CPU threads of the generator; 0: one for each core"),
    Setting("generate", "encoder", "NAME", one_of("pillow", "fpng"), "pillow", "PNG: pillow; fpng: fast, larger files"),
    Setting(
        "generate",
        "duplicate_bits",
        "N|off",
        or_off(whole(0, 16)),
        4,
        "tokens whose hashes differ in no more of 63 bits are drawn again",
    ),
    Setting(
        "pin", "pin", "NAME,…", names, "embedded", "where content is pinned: embedded, kubo, psa, filebase, pinata"
    ),
    Setting("pin", "quorum", "N", whole(0, 16), 0, "how many of these places must prove that they have it; 0: all"),
    Setting("pin", "ipfs_api", "ADDRESS", text, "/ip4/127.0.0.1/tcp/5001", "Kubo RPC, multiaddr or http URL"),
    Setting("pin", "psa_url", "URL", optional(http_url), "", "endpoint of an IPFS pinning service (psa)"),
    Setting("pin", "psa_origins", "ADDRESS,…", optional(names), "", "multiaddrs that this service may fetch from"),
    Setting(
        "pin", "s3_endpoint", "URL", http_url, "https://s3.filebase.com", "S3 service that imports CARs (filebase)"
    ),
    Setting("pin", "s3_bucket", "NAME", text, "", "bucket on IPFS that the CARs go into (filebase)"),
    Setting("pin", "pinata_url", "URL", optional(http_url), "", "empty: Pinata itself (untested against it)"),
    Setting("pin", "gateway", "URL", optional(http_url), "", "gateway that content at services is read back through"),
    Setting("chain", "chain", "NAME", one_of("anvil", "ganache"), "anvil", "embedded chain"),
    Setting("chain", "rpc_url", "URL", optional(http_url), "", "a chain of your own; empty: the embedded one"),
    Setting("chain", "network", "NAME", text, "", "the chain that the RPC URL must lead to; empty: any testnet"),
    Setting("chain", "keystore", "FILE", text, "", "keystore file of the signing account"),
    Setting("chain", "signer_url", "URL", optional(http_url), "", "a signer of your own that answers JSON-RPC"),
    Setting("chain", "signer_address", "ADDRESS", text, "", "the account that this signer signs for"),
    Setting(
        "chain",
        "confirmations",
        "N",
        whole(1, 1_000),
        1,
        "blocks until a token counts as minted; unless given, the network's",
    ),
    Setting("mint", "to", "ADDRESS|FILE", text, "", "recipient, or a CSV of address,count; empty: the signing account"),
    Setting("mint", "batch", "N", whole(0, MAX_BATCH), 0, "tokens per transaction; 0: 50, or 500 above 500 tokens"),
    Setting("mint", "max_fee_gwei", "GWEI", decimal, "200", "never pay more per gas than this"),
    Setting("mint", "max_transaction_eth", "ETH", decimal, "0.5", "never risk more on one transaction than this"),
    Setting("mint", "max_run_eth", "ETH", decimal, "2", "never risk more on one run than this"),
    Setting("mint", "max_day_eth", "ETH", decimal, "5", "never risk more in 24 hours than this"),
)
DEFAULTS = {setting.name: setting.default for setting in SETTINGS}
_BY_NAME = {setting.name: setting for setting in SETTINGS}


@dataclass(frozen=True, slots=True)
class Value:
    """A setting's value and its source: `default`, `pipeline.toml`, `PIPELINE_NAME` or `--name`."""

    value: Any
    source: str


class Config:
    """The settings in force. `config["size"]` gives a value, `config.values` all of them with their sources."""

    def __init__(self, values: Mapping[str, Value], job: str = "") -> None:
        self.values = dict(values)
        self.job = job  # number of the service's job that asks, empty for a person

    def __getitem__(self, name: str) -> Any:
        return self.values[name].value

    def given(self, name: str) -> bool:
        """True when somebody chose this value, so that it is not just the default."""
        return self.values[name].source != "default"

    def for_job(self, job: str, settings: Mapping[str, str]) -> Config:
        """These settings with those that a request to the service gave. Raises BadArgument, naming the setting."""
        given = {name: Value(_read(_BY_NAME[name], value, name), f"job {job}") for name, value in settings.items()}
        return Config(self.values | given, job)


def load_config(flags: Mapping[str, str | None], environ: Mapping[str, str], folder: Path) -> Config:
    """The settings in force for flags by name, an environment and the `pipeline.toml` of a folder.

    Raises UnknownSetting with a near name, or BadArgument saying which source holds the bad value.
    """
    values = {setting.name: Value(setting.default, "default") for setting in SETTINGS}
    for setting, value in _from_file(folder / FILE_NAME):
        values[setting.name] = Value(_read(setting, value, f"{FILE_NAME}: {setting.key}"), FILE_NAME)
    for setting in SETTINGS:
        if setting.variable in environ:
            values[setting.name] = Value(_read(setting, environ[setting.variable], setting.variable), setting.variable)
        flag = flags.get(setting.name)
        if flag is not None:
            values[setting.name] = Value(_read(setting, flag, setting.flag), setting.flag)
    return Config(values)


def _from_file(path: Path) -> list[tuple[Setting, str]]:
    if not path.exists():
        return []
    try:
        sections = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadArgument(name=str(path), value="its text", expected=f"TOML ({error})") from error
    found = []
    for section, entries in sections.items():
        if not isinstance(entries, dict):
            raise UnknownSetting(source=path.name, name=section, near=_near(section))
        for name, value in entries.items():
            setting = _BY_NAME.get(name)
            if setting is None or setting.section != section:
                raise UnknownSetting(source=path.name, name=f"{section}.{name}", near=_near(f"{section}.{name}"))
            found.append((setting, ",".join(value) if isinstance(value, list) else str(value)))
    return found


def _near(name: str) -> str:
    keys = [setting.key for setting in SETTINGS]
    close = difflib.get_close_matches(name, keys, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""


def _read(setting: Setting, value: str, source: str) -> Any:
    try:
        return setting.read(value)
    except Expected as expected:
        raise BadArgument(name=source, value=value, expected=str(expected)) from None
