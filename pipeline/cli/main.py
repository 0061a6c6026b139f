"""The command line: words in, words out. It decides nothing.

stdout carries the result and nothing else; progress, notices and errors go to stderr. `--json` changes the form of a
result, never its content, and an error is a result then. Exit codes: 0 all done, 1 error, 2 usage or configuration, 3 some
tokens failed or something is false, 4 nothing is false and `verify` could not check all of it, 130 interrupted and resumable (143 when terminated).
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from pipeline.base import __version__
from pipeline.base.errors import Interrupted, PipelineError
from pipeline.base.secrets import know_environment, know_misplaced, shown_value
from pipeline.base.untrusted import json_text, printable
from pipeline.base.workspace import Workspace
from pipeline.cli import (
    art,
    beginning,
    collection,
    completion,
    content,
    doctor,
    installation,
    keeping,
    layers,
    marking,
    minting,
    pins,
    proof,
    serving,
    studio,
    training,
)
from pipeline.cli.call import CONTINUES, Call, as_invoked, described, invoked, say
from pipeline.settings import Scope, every_setting, load_settings
from pipeline.settings.table import near

SIGPIPE_EXIT = 141  # what a shell reports for a program that a closed pipe ended

GROUPS = {  # by the heading of each in `--help`
    "begin and mint": (*beginning.VERBS, *minting.VERBS),
    "pictures": (*art.VERBS, *layers.VERBS, *studio.VERBS, *training.VERBS),
    "the collection": (*collection.VERBS,),
    "where content is kept": (*pins.VERBS, *content.VERBS),
    "proof": (*proof.VERBS, *doctor.VERBS, *marking.VERBS),
    "the service": (*serving.VERBS,),
    "this installation": (*keeping.VERBS, *installation.VERBS, *completion.VERBS),
}
VERBS = tuple(verb for group in GROUPS.values() for verb in group)
BY_NAME = {verb.name: verb for verb in VERBS}


def entry() -> NoReturn:
    """Run the program with this process's arguments, and exit."""
    signal.signal(signal.SIGTERM, _terminate)
    _open_streams()
    try:
        code = main(sys.argv[1:])
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nothing left to fail at interpreter exit
    sys.exit(code)


def _open_streams() -> None:
    """stdin, stdout and stderr that are open, and that no character can break, whatever we were started with."""
    while (handle := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass  # one that was closed: the next file opened would take its number, and what is printed
    os.close(handle)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))
        else:
            stream.reconfigure(errors="backslashreplace")


class _Terminated(BaseException):
    """SIGTERM: unwinds like Ctrl-C, with an exit code of its own."""


def _terminate(*_: object) -> NoReturn:
    raise _Terminated


def main(words: Sequence[str]) -> int:
    """Run one command line and return its exit code."""
    ended = CONTINUES
    told: Callable[[str], str] = as_invoked
    try:
        parser = command_line()
        if completion.is_asked():
            completion.complete(parser)
        if words[:1] == ["help"]:  # what people type first
            words = [*words[1:], "--help"]
        arguments = _parsed(parser, words)
        if arguments.verb is None:
            parser.print_help()
            return 0
        ended = arguments.ended
        know_environment(os.environ)
        know_misplaced(part for word in words for part in (word, word.partition("=")[2]) if not part.startswith("http"))
        flags = {line.name: getattr(arguments, line.name, None) for line in every_setting()}
        settings = load_settings(flags, os.environ, Path.cwd())
        know_misplaced(settings.text(line.name) for line in every_setting() if _is_place(line.form.hint))
        call = Call(arguments, settings, Workspace(settings.folder, settings.here.ledger), BY_NAME, tuple(words))
        told = call.told
        code: int = arguments.run(call)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        return SIGPIPE_EXIT
    except (KeyboardInterrupt, Interrupted):
        say(f"\ninterrupted: {ended}")
        return Interrupted.exit_code
    except _Terminated:
        say(f"\nterminated: {ended}")
        return 128 + signal.SIGTERM
    except OSError as error:
        return _unwritten(error, words)
    except PipelineError as error:
        return _failed(str(error), told(error.hint), error.exit_code, words, kind=type(error).__name__)


def _is_place(hint: str) -> bool:
    """Whether a setting's value is a path or a name, where no address belongs."""
    return any(word in hint for word in ("FILE", "FOLDER", "DIR", "NAME"))


def _unwritten(error: OSError, words: Sequence[str]) -> int:
    """What a file system says that nobody below expected: of a file by its name, else of stdout."""
    reason = error.strerror or str(error)
    if error.filename is None:
        hint = "what was done is recorded: `pipeline status` tells it"
        return _failed(f"the result could not be written: {reason}", hint, 1, words, "Unwritten")
    return _failed(
        f"{printable(shown_value(error.filename))}: {reason}",
        "check the path and its permissions",
        1,
        words,
        "Unreadable",
    )


def _failed(error: str, hint: str, code: int, words: Sequence[str], kind: str = "UsageError") -> int:
    """Tell what went wrong: on stderr in words, and on stdout as the result where that is asked for as JSON."""
    say(f"error: {error}" + (f"\n  → {hint}" if hint else ""))
    if "--json" in words:
        with contextlib.suppress(OSError):
            print(json_text({"error": error, "hint": hint, "kind": kind, "exit_code": code}))
            sys.stdout.flush()
    return code


class _Help(argparse.RawDescriptionHelpFormatter):
    """The verbs below the headings of their groups."""

    def _format_action(self, action: argparse.Action) -> str:
        if not isinstance(action, argparse._SubParsersAction):
            return super()._format_action(action)
        parts, told = [], {verb.dest: super(_Help, self)._format_action(verb) for verb in action._get_subactions()}
        for heading, group in GROUPS.items():
            parts += [f"\n{heading}:\n", *(told[verb.name] for verb in group)]
        return "".join(parts)


class _Parser(argparse.ArgumentParser):
    """Errors in the same form as all others, with a near name and the next step."""

    def error(self, message: str) -> NoReturn:
        told = shown_value(message)  # somebody may have typed a private key
        help = shlex.join([*invoked(), *self.prog.split()[1:], "--help"])
        sys.exit(_failed(str(told), f"`{help}` shows examples", 2, sys.argv[1:]))

    def _check_value(self, action: argparse.Action, value: str) -> None:
        choices = [*map(str, action.choices or ())]
        if choices and value not in choices:
            if isinstance(action, argparse._SubParsersAction):
                self.error(f"there is no verb {value!r}{near(value, choices)}")
            self.error(
                f"{'/'.join(action.option_strings) or action.dest} is {value!r}; expected {' or '.join(choices)}"
            )

    def flags(self) -> list[str]:
        return [word for action in self._actions for word in action.option_strings if word.startswith("--")]


def _parsed(parser: _Parser, words: Sequence[str]) -> argparse.Namespace:
    """The command line as its verb has it; an option that the verb has not is refused with a near one."""
    arguments, strange = parser.parse_known_args(words, argparse.Namespace(json=False, parser=parser))
    if strange:
        mine: _Parser = arguments.parser
        first = strange[0].partition("=")[0]
        if first.startswith("-"):
            mine.error(f"there is no option {first!r}{near(first, mine.flags())}")
        mine.error(f"{first!r} is one word too many")
    return arguments


def command_line() -> _Parser:
    everywhere = argparse.ArgumentParser(add_help=False)
    for line in every_setting():
        if line.scope is Scope.WORKSPACE:
            everywhere.add_argument(
                line.flag, dest=line.name, metavar=line.form.hint, default=argparse.SUPPRESS, help=described(line)
            )
    everywhere.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="the result as JSON")
    parser = _Parser(
        prog="pipeline",
        usage="pipeline VERB [option …]",
        parents=[everywhere],
        formatter_class=_Help,
        description="From seed to pixels to CID to token, and back.",
        epilog="examples:\n"
        "  pipeline init                        asks what it is called and whose it is; writes pipeline.toml\n"
        "  pipeline mint --count 50             draw, pin and mint 50 artworks on the embedded chain\n"
        "  pipeline mint --count 10 --more      ten more of the same collection\n"
        "  pipeline show 7                      one token\n"
        "  pipeline verify                      from the chain back to the pixels\n"
        "  pipeline devnet                      the embedded chain, for wallets\n\n"
        "`pipeline VERB --help` tells more; what stands in brackets behind an option is its default.",
    )
    parser.add_argument("--version", action="version", version=f"pipeline {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", title="verbs", prog="pipeline", parser_class=_Parser)
    for verb in VERBS:
        verb.add_to(verbs, everywhere)
    return parser
