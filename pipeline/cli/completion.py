"""Completion in bash, zsh and fish: the verb `completion` prints what a shell has to be told, and the shell then asks us."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator

from pipeline.base.installation import extra
from pipeline.cli.call import Call, Verb, say
from pipeline.cli.tables import print_json
from pipeline.settings import every_setting

SHELLS = {  # where each reads such lines from, in words for people
    "bash": 'in ~/.bashrc: eval "$(pipeline completion bash)"',
    "zsh": 'in ~/.zshrc, behind compinit: eval "$(pipeline completion zsh)"',
    "fish": "pipeline completion fish > ~/.config/fish/completions/pipeline.fish",
}
ASKED = "_ARGCOMPLETE"  # in the environment of a call that a shell makes for what could come next


def is_asked() -> bool:
    return ASKED in os.environ


def complete(parser: argparse.ArgumentParser) -> None:
    """Answer a shell that asks what may stand at the cursor, and end the process; without the extra, do nothing."""
    try:
        from argcomplete import autocomplete
    except ImportError:
        return
    known = {line.name: [*line.form.schema["enum"]] for line in every_setting() if "enum" in line.form.schema}
    known |= _names()
    for action in _actions(parser):
        if action.dest in known and not action.choices:
            vars(action)["completer"] = _offer(known[action.dest])
    autocomplete(parser)


def _names() -> dict[str, list[str]]:
    """Names that settings look up, where that costs nothing to know."""
    from pipeline.mint.networks import NETWORKS
    from pipeline.pin import BUILT_IN

    return {"network": [network.name for network in NETWORKS], "pin": [*BUILT_IN]}


def _offer(names: list[str]) -> object:
    return lambda prefix, **_: [name for name in names if name.startswith(prefix)]


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for verb in action.choices.values():
                yield from _actions(verb)


def _completion(call: Call) -> int:
    with extra("terminal"):
        from argcomplete.shell_integration import shellcode

    shell = call.arguments.shell
    code = shellcode(["pipeline"], shell=shell)
    if call.as_json:
        print_json({"shell": shell, "code": code, "install": SHELLS[shell]})
    else:
        print(code)
    say(f"to keep it: {SHELLS[shell]}")
    return 0


VERBS = (
    Verb(
        "completion",
        _completion,
        "what a shell needs to complete verbs, options and names at Tab",
        ("completion bash", "completion zsh", "completion fish"),
        (),
        (("shell", {"metavar": "bash|zsh|fish", "choices": (*SHELLS,), "help": "your shell"}),),
    ),
)
