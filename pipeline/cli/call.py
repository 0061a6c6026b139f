"""What every verb shares: the call it gets, the line of the table it stands in, and the words it says on stderr."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shlex
import shutil
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.base.errors import BadArgument
from pipeline.base.secrets import redacted
from pipeline.base.untrusted import printable
from pipeline.base.words import Expected
from pipeline.base.workspace import Workspace
from pipeline.settings import Scope, Setting, Settings, every_setting
from pipeline.settings.forms import whole
from pipeline.settings.table import STANDING

if TYPE_CHECKING:
    from pipeline.flow.plan import Standing

MAX_SAID = 100_000  # characters
CONTINUES = "everything so far is recorded. Give the same command again: it continues."

Takes = tuple[Scope | str, ...]  # settings that a verb has flags for, by their scope or one by one
CONTENT: Takes = (Scope.PLACE, "pin")


_COMMAND = re.compile(r"""`pipeline ([a-z]+)((?:'[^']*'|"[^"]*"|[^`'"])*)`""")  # as hints name one: `pipeline verify`


@dataclass(frozen=True, slots=True)
class Call:
    """What a verb gets: its arguments, the settings in force, the workspace, and how to give the next command."""

    arguments: argparse.Namespace
    config: Settings
    workspace: Workspace
    verbs: Mapping[str, Verb]
    words: tuple[str, ...] = ()  # as they were given

    @property
    def as_json(self) -> bool:
        return bool(self.arguments.json)

    def again(self, verb: str, *words: object) -> str | None:
        """A command line that whoever gave this call can paste: the same program, workspace, collection, chain, signer.

        What the environment and `pipeline.toml` say still holds for it, and is not repeated. None where it would show
        an address that may hold a key.
        """
        said = [str(word) for word in words]
        for line in every_setting():
            is_standing = _is_standing(line) and self.config.source(line.name) == line.flag
            if (
                is_standing
                and (line.scope is Scope.WORKSPACE or self.verbs[verb].takes(line))
                and not _has(said, line.flag)
            ):
                said += flag(line, self.config.text(line.name))
        if any(_may_hold_a_key(word) for word in said):
            return None
        return shlex.join([*invoked(), verb, *said])

    def standing(self) -> Standing:
        """What the workspace holds now, so that no hint leads into a refusal."""
        from pipeline.flow.plan import what_stands

        return what_stands(self.workspace)

    def chosen(self, *scopes: Scope) -> list[str]:
        """The flags of this call that set something of these scopes, to be given again."""
        lines = [line for line in every_setting() if _has_scope(line, scopes)]
        return [
            word
            for line in lines
            if self.config.source(line.name) == line.flag
            for word in flag(line, self.config.text(line.name))
        ]

    def gives(self, flag: str) -> bool:
        """Whether this call itself says a setting, by its flag."""
        return self.config.source(flag.removeprefix("--").replace("-", "_")) == flag

    def next(self, why: str, verb: str, *words: object) -> None:
        """Tell what to do next, as a command that runs as it is printed."""
        command = self.again(verb, *words)
        if command is not None:
            say(f"next: {command}   ({why})")
        else:
            say(f"then, with the same addresses: `{verb}` ({why})")

    def repeat(self, why: str) -> None:
        """Tell that this very command is the next one."""
        if not any(_may_hold_a_key(word) for word in self.words):
            say(f"next: {shlex.join([*invoked(), *self.words])}   ({why})")
        else:
            say(f"then: the same command ({why})")

    def told(self, text: str) -> str:
        """A hint of a lower room, with every command that it names written out for whoever gave this call."""

        def written(match: re.Match[str]) -> str:
            if match[1] not in self.verbs:
                return match[0]
            command = self.again(match[1], *shlex.split(match[2]))
            return f"`{command}`" if command else match[0]

        return _COMMAND.sub(written, text)


def as_invoked(text: str) -> str:
    """The same where the call could not be read, and nothing but the program is known."""
    return _COMMAND.sub(lambda match: f"`{shlex.join(invoked())} {match[1]}{match[2]}`", text)


def flag(line: Setting, text: str) -> list[str]:
    """The words that set it."""
    return [f"{line.flag}={text}"] if text.startswith("-") or not text else [line.flag, text]


def alone(line: Setting) -> dict[str, Any]:
    """What argparse is told of a flag that may come without a value."""
    return {"nargs": "?", "const": line.form.alone} if line.form.alone else {}


def invoked() -> list[str]:
    """How this program was called, in words that call it again from the same folder."""
    program = Path(sys.argv[0])
    if program.name == "__main__.py":
        return [_typed(Path(sys.orig_argv[0])), "-m", "pipeline"]
    return [_typed(program)]


def _typed(program: Path) -> str:
    """A program's name where the shell finds it, else its path from here."""
    if os.sep not in str(program):
        return str(program)
    found = shutil.which(program.name)
    if found and Path(found).exists() and program.exists() and Path(found).samefile(program):
        return program.name
    here = os.path.relpath(program)
    if here.startswith(".."):
        return str(program)
    return here if os.sep in here else f".{os.sep}{here}"


def _is_standing(line: Setting) -> bool:
    """Whether the next command needs it as well: it says where, not what."""
    return line.scope in STANDING or line.name == "pin"


def _has(words: Sequence[str], flag: str) -> bool:
    return any(word == flag or word.startswith(f"{flag}=") for word in words)


def _may_hold_a_key(word: str) -> bool:
    """An URL with more than a server's name: providers put their keys into the path."""
    scheme, found, rest = word.rpartition("=")[2].partition("://") if word.startswith("--") else word.partition("://")
    return bool(found) and scheme in ("http", "https") and ("@" in rest or bool(rest.partition("/")[2]) or "?" in rest)


@dataclass(frozen=True, slots=True)
class Verb:
    """One line of the command line: what it runs, its own arguments, and the settings that it takes as flags."""

    name: str
    run: Callable[[Call], int]
    help: str
    examples: tuple[str, ...]
    settings: Takes = ()
    arguments: tuple[tuple[str, dict[str, Any]], ...] = ()
    ended: str = CONTINUES  # what is told when a signal ended it

    def add_to(self, verbs: Any, everywhere: argparse.ArgumentParser) -> None:
        needed = [options["metavar"] for word, options in self.arguments if not word.startswith("-")]
        needed += [
            f"{word} {options['metavar']}"
            for word, options in self.arguments
            if options.get("required") and "metavar" in options
        ]
        parser = verbs.add_parser(
            self.name,
            usage=" ".join(["pipeline", self.name, *needed, "[option …]"]),
            parents=[everywhere],
            help=self.help,
            description=self.help[0].upper() + self.help[1:] + ".",
            epilog="examples:\n" + "\n".join(f"  pipeline {example}" for example in self.examples),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        parser.set_defaults(run=self.run, ended=self.ended, parser=parser)
        for word, options in self.arguments:
            parser.add_argument(word, **options)
        groups: dict[Scope, Any] = {}
        for line in every_setting():
            if self.takes(line):
                group = groups.get(line.scope) or groups.setdefault(
                    line.scope, parser.add_argument_group(line.scope.value)
                )
                group.add_argument(
                    line.flag, dest=line.name, metavar=line.form.hint, help=described(line), **alone(line)
                )

    def takes(self, line: Setting) -> bool:
        return line.name in self.settings or _has_scope(line, self.settings)


def _has_scope(line: Setting, scopes: Collection[object]) -> bool:
    """Whether a setting is of these scopes; who takes the art takes all that says where pictures come from."""
    return line.scope in scopes or (Scope.ART in scopes and line.scope is Scope.RUN and line.tells_art)


def described(line: Setting) -> str:
    default = line.said(line.default)
    return (line.help + (f" ({default})" if default else "")).replace("%", "%%")


def say(text: str) -> None:
    """Tell the person something that is not the result; a closed stderr is no reason to stop."""
    with contextlib.suppress(OSError):
        print(printable(redacted(text), MAX_SAID, lines=True), file=sys.stderr, flush=True)


def number(name: str, text: str, low: int, high: int) -> int:
    """A whole number of the command line. Raises BadArgument."""
    try:
        return whole(low, high).read(text)
    except Expected as expected:
        raise BadArgument(name=name, value=text, expected=str(expected)) from None


def chosen_name(call: Call) -> str | None:
    return call.config.collection.name if call.config.given("name") else None
