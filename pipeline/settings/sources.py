"""The settings in force, and where each came from: a flag wins over `PIPELINE_…`, that over `pipeline.toml`, that over the default.

Whatever is no setting is refused with a near name, whichever way it came.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, TypeVar

from pipeline.base.errors import BadArgument, UnknownSetting, UsageError
from pipeline.base.files import read_regular
from pipeline.base.installation import loaded
from pipeline.base.limits import SETTINGS_BYTES
from pipeline.base.secrets import VARIABLES
from pipeline.base.untrusted import in_digits
from pipeline.settings.palettes import SECTION as PALETTES
from pipeline.settings.palettes import named, own_palettes
from pipeline.settings.table import (
    OLD_SECTIONS,
    PREFIX,
    SECTIONS,
    SETTINGS,
    ArtSettings,
    ChainSettings,
    CollectionSettings,
    Here,
    MarkSettings,
    MintSettings,
    PinSettings,
    Section,
    Setting,
    ShowSettings,
    near,
    table_of,
)

FILE_NAME = "pipeline.toml"
ENTRY_POINTS = "pipeline.settings"  # the name of each is the plug-in's, its object a Section
DEFAULT = "default"
OTHER_VARIABLES = ("PIPELINE_ANVIL", "PIPELINE_CRASH_AT")  # a tool's place, and where tests end the program

S = TypeVar("S", bound=Section)


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting, typed, by section; `sources` says by name where those came from that are not just the default.

    `Settings.of(size=256, pin="kubo")` makes them in Python; a plug-in's own section is `settings.of_plugin(Mine)`.
    """

    here: Here = field(default_factory=Here)
    collection: CollectionSettings = field(default_factory=CollectionSettings)
    art: ArtSettings = field(default_factory=ArtSettings)
    mark: MarkSettings = field(default_factory=MarkSettings)
    pin: PinSettings = field(default_factory=PinSettings)
    chain: ChainSettings = field(default_factory=ChainSettings)
    mint: MintSettings = field(default_factory=MintSettings)
    show: ShowSettings = field(default_factory=ShowSettings)
    plugins: Mapping[str, Section] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)
    palettes: Mapping[str, str] = field(default_factory=dict)  # of `pipeline.toml`: five colours by name
    around: Mapping[str, tuple[str, str]] = field(default_factory=dict)  # what file and environment say, and which
    job: str = ""  # number of the service's job that asks, empty for a person

    @classmethod
    def of(cls, **values: Any) -> Settings:
        """Settings of a Python caller. Raises UnknownSetting with a near name, BadArgument for a bad value."""
        return cls().changed("the call", values)

    @property
    def folder(self) -> Path:
        """The workspace's folder."""
        return Path(self.here.workspace)

    def given(self, name: str) -> bool:
        """True when somebody chose this value, so that it is not just the default."""
        return name in self.sources

    def said_now(self, name: str) -> bool:
        """True when this call says it: by a flag, a request or in Python, and not by what stands around it.

        Around a job stands the service, whose flags are its own.
        """
        if self.job:
            return self.source(name) == f"job {self.job}"
        return self.given(name) and self.source(name) != FILE_NAME and not self.source(name).startswith(PREFIX)

    def source(self, name: str) -> str:
        return self.sources.get(name, DEFAULT)

    def value(self, name: str) -> Any:
        """A setting's value by its name, for whoever goes through the whole table."""
        line = _line(name, "the call")
        return getattr(self._section(line), line.field)

    def text(self, name: str) -> str:
        """A setting's value as a flag would say it."""
        return _line(name, "the call").said(self.value(name))

    def of_plugin(self, kind: type[S]) -> S:
        """A plug-in's own section."""
        found = self.plugins.get(kind.section, kind())
        assert isinstance(found, kind)
        return found

    def changed(self, source: str, values: Mapping[str, Any]) -> Settings:
        """These settings with other values, from one source. Raises UnknownSetting or BadArgument."""
        return self._with({name: (value, source) for name, value in values.items()})

    def for_job(self, job: str, values: Mapping[str, Any]) -> Settings:
        """These settings with those that a request to the service gave. Raises BadArgument, naming the setting."""
        return replace(self.changed(f"job {job}", values), job=job)

    def without_flags(self) -> Settings:
        """What would be in force for a call that gives no flag: the environment, the file, the defaults."""
        return Settings(palettes=self.palettes)._with(self.around)

    def _with(self, values: Mapping[str, tuple[Any, str]]) -> Settings:
        sections: dict[str, dict[str, Any]] = {}
        for name, (value, source) in values.items():
            line = _line(name, source)
            said = value if isinstance(value, str) else line.said(value)
            read = line.read(said, _told(line, source))
            sections.setdefault(line.section, {})[line.field] = named(read, self.palettes) if name == PALETTES else read
        own: dict[str, Any] = {}
        plugins = dict(self.plugins)
        for section, fields in sections.items():
            made = replace(self._named(section), **fields)
            if section in _kinds():
                plugins[section] = made
            else:
                own[_attribute(section)] = made
        sources = {name: source for name, (_, source) in values.items()}
        return replace(self, plugins=plugins, sources={**self.sources, **sources}, **own)

    def _section(self, line: Setting) -> Section:
        return self._named(line.section)

    def _named(self, section: str) -> Section:
        if line := _kinds().get(section):
            return self.plugins.get(section, line())
        found = getattr(self, _attribute(section))
        assert isinstance(found, Section)
        return found


def _attribute(section: str) -> str:
    return section or "here"


def _told(line: Setting, source: str) -> str:
    """The name that an error gives to a setting from this source."""
    if source.startswith(("--", PREFIX)):
        return source
    return f"{source}: {line.key}" if source == FILE_NAME else line.name


# ── the table with what plug-ins add ─────────────────────────────────────────────────────────────────────────────


@cache
def _kinds() -> dict[str, type[Section]]:
    """The sections of plug-ins, by name. Raises BadArgument for one that cannot be used."""
    found: dict[str, type[Section]] = {}
    for entry in entry_points(group=ENTRY_POINTS):
        kind = loaded(entry)
        if not (isinstance(kind, type) and issubclass(kind, Section)):
            raise _unusable(entry.name, "a pipeline.settings.Section")
        if kind.section != entry.name or entry.name in {known.section for known in SECTIONS}:
            raise _unusable(entry.name, f"a section of its own, named {entry.name!r}, beside ours")
        found[entry.name] = kind
    return found


def _unusable(name: str, expected: str) -> BadArgument:
    return BadArgument(
        name="settings of the plug-in", value=name, expected=expected, hint="mend that package, or take it away"
    )


@cache
def every_setting() -> tuple[Setting, ...]:
    """The table, and behind it what plug-ins declare."""
    return (*SETTINGS, *(line for kind in _kinds().values() for line in table_of(kind, plugin=True)))


@cache
def _by_name() -> dict[str, Setting]:
    return {line.name: line for line in every_setting()}


def _line(name: str, source: str) -> Setting:
    found = _by_name().get(name)
    if found is None:
        raise UnknownSetting(source=source, name=name, near=near(name, _by_name()))
    return found


def secret_variables() -> tuple[str, ...]:
    """Variables that hold secrets: never settings, never shown."""
    return (*VARIABLES, *(PREFIX + name.upper() for kind in _kinds().values() for name in kind.secrets))


# ── loading ──────────────────────────────────────────────────────────────────────────────────────────────────────


def load_settings(flags: Mapping[str, str | None], environ: Mapping[str, str], folder: Path) -> Settings:
    """The settings in force for flags by name, an environment, and the `pipeline.toml` of a folder.

    Raises UnknownSetting with a near name, or BadArgument saying which source holds the bad value.
    """
    document = _document(folder / FILE_NAME)
    palettes = _own_palettes(document.pop(PALETTES, {}))
    entries = (_entry(section, name, value) for section, name, value in _entries(document))
    around = {line.name: (value, FILE_NAME) for line, value in entries}
    _refuse_strange(environ)
    for line in every_setting():
        if line.variable in environ:
            around[line.name] = (environ[line.variable], line.variable)
    lines = {name: _line(name, "the call") for name in flags}
    said = {name: (flag, lines[name].flag) for name, flag in flags.items() if flag is not None}
    return replace(Settings(palettes=palettes)._with(around)._with(said), around=around)


def _refuse_strange(environ: Mapping[str, str]) -> None:
    """A variable that nobody reads is a mistyped one: PIPELINE_SZE."""
    variables = [line.variable for line in every_setting()]
    known = {*variables, *secret_variables(), *OTHER_VARIABLES}
    for name in environ:
        if name.startswith(PREFIX) and name not in known:
            raise UnknownSetting(source="the environment", name=name, near=near(name, known))


def _document(path: Path) -> dict[str, Any]:
    try:
        data = read_regular(path, SETTINGS_BYTES)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise BadArgument(name=FILE_NAME, value=str(path), expected=f"a readable file ({error.strerror})") from error
    try:
        return tomllib.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:  # also: an integer of 5,000 digits
        reason = f"{path} cannot be read as TOML: {error or 'nested too deep'}"
        raise UsageError(reason=reason, hint="mend that place, or move the file away") from error


def _own_palettes(table: Any) -> dict[str, str]:
    if not isinstance(table, dict):
        raise BadArgument(
            name=f"{FILE_NAME}: {PALETTES}",
            value=in_digits(table)[:80],
            expected="a table of palettes: a choice among them stands in [art]",
            hint='write [palettes] and below it Mine = "f4ead6 e4572e 2a9d8f ffc914 2e282a"',
        )
    return own_palettes(FILE_NAME, table)


def _entries(document: Mapping[str, Any]) -> Iterable[tuple[str, str, Any]]:
    for section, entries in document.items():
        if isinstance(entries, dict):
            for name, value in entries.items():
                yield OLD_SECTIONS.get(section, section), name, value
        else:
            yield "", section, entries


def _entry(section: str, name: str, value: Any) -> tuple[Setting, str]:
    key = f"{section}.{name}" if section else name
    found = next((line for line in every_setting() if (line.section, line.field) == (section, name)), None)
    if found is None:
        known = [*(line.key for line in every_setting()), *(kind.section for kind in SECTIONS), PALETTES]
        raise UnknownSetting(source=FILE_NAME, name=key, near=near(key, known))
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return found, ",".join(value)
    if isinstance(value, bool) and found.form.schema["type"] == "boolean":
        return found, found.said(value)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise BadArgument(name=f"{FILE_NAME}: {key}", value=in_digits(value)[:80], expected="text or a number")
    return found, in_digits(value)
