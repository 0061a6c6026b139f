"""What every verb shares: the call it gets, the line of the table it stands in, and the words it says on stderr."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pipeline.base.errors import BadArgument
from pipeline.base.words import Expected
from pipeline.base.workspace import Workspace
from pipeline.settings import Scope, Setting, Settings, every_setting
from pipeline.settings.forms import whole

CONTINUES = "everything so far is recorded. Give the same command again: it continues."

Takes = tuple[Scope | str, ...]  # settings that a verb has flags for, by their scope or one by one
CONTENT: Takes = (Scope.PLACE, "pin")


@dataclass(frozen=True, slots=True)
class Call:
    """What a verb gets: its arguments, the settings in force, the workspace, and where to write."""

    arguments: argparse.Namespace
    config: Settings
    workspace: Workspace

    @property
    def as_json(self) -> bool:
        return bool(self.arguments.json)


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
        parser = verbs.add_parser(
            self.name,
            parents=[everywhere],
            help=self.help,
            description=self.help[0].upper() + self.help[1:] + ".",
            epilog="examples:\n" + "\n".join(f"  pipeline {example}" for example in self.examples),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        parser.set_defaults(run=self.run, ended=self.ended)
        for word, options in self.arguments:
            parser.add_argument(word, **options)
        groups: dict[Scope, Any] = {}
        for line in every_setting():
            if self.takes(line):
                group = groups.get(line.scope) or groups.setdefault(
                    line.scope, parser.add_argument_group(line.scope.value)
                )
                group.add_argument(line.flag, dest=line.name, metavar=line.form.hint, help=described(line))

    def takes(self, line: Setting) -> bool:
        return line.name in self.settings or line.scope in self.settings


def described(line: Setting) -> str:
    default = line.said(line.default)
    return (line.help + (f" ({default})" if default else "")).replace("%", "%%")


def say(text: str) -> None:
    """Tell the person something that is not the result; a closed stderr is no reason to stop."""
    with contextlib.suppress(OSError):
        print(text, file=sys.stderr, flush=True)


def next_command(command: str, why: str) -> None:
    say(f"next: {command}   ({why})")


def number(name: str, text: str, low: int, high: int) -> int:
    """A whole number of the command line. Raises BadArgument."""
    try:
        return whole(low, high).read(text)
    except Expected as expected:
        raise BadArgument(name=name, value=text, expected=str(expected)) from None


def chosen_name(call: Call) -> str | None:
    return call.config.collection.name if call.config.given("name") else None
