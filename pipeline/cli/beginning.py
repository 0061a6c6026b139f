"""The verb `init`: what a collection is and where it goes, asked once and written down."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from pipeline.base.errors import BadArgument, UsageError
from pipeline.cli.call import Call, Verb, say
from pipeline.cli.tables import print_json
from pipeline.settings import Scope, Setting, Settings, every_setting, load_settings
from pipeline.settings.sources import FILE_NAME
from pipeline.settings.written import toml_of

ASKED = {
    "name": "Name of the collection (1 to 31 bytes; nothing: its art's own)",
    "symbol": "Symbol, as wallets show it (nothing: made from the name)",
    "artist": "Artist",
    "statement": "Statement (a sentence or two in your own words; longer ones go into the file)",
    "licence": "Licence (CC-BY-4.0, CC0-1.0, … or the address of your terms; nothing: all rights stay yours)",
    "royalty_bps": "Royalty in hundredths of a percent (250 is 2.5 %)",
    "network": "Network (sepolia, mainnet, …; nothing: a chain of this machine, free of charge)",
    "pin": "Places that keep the content (embedded, kubo, psa, filebase, pinata; several with commas)",
}


def _init(call: Call) -> int:
    from pipeline.cli.terminal import person_here

    path = Path(FILE_NAME)
    _must_be_free(path)
    given = {line.name: call.config.text(line.name) for line in every_setting() if _is_flag(call.config, line)}
    for name, text in given.items():
        _check(name, text)
    ask = person_here().ask
    chosen = given | (_answers(call.config, given, ask) if ask else {})
    _write_new(path, toml_of(chosen))
    if call.as_json:
        print_json({"file": str(path.absolute()), "settings": chosen})
    else:
        print(path)
    if not ask:
        say("what was not given stands there as a comment, with its default.")
    _tell_next(call)
    return 0


def _is_flag(config: Settings, line: Setting) -> bool:
    return config.source(line.name) == line.flag


def _answers(config: Settings, given: dict[str, str], ask: Callable[[str], str]) -> dict[str, str]:
    """What somebody at the terminal says of what no flag said; nothing leaves it at its default."""
    say(f"{FILE_NAME} will be written here. Enter takes what stands in brackets; Ctrl-C leaves everything as it is.")
    return {name: text for name in ASKED if name not in given and (text := _answer(config, name, ask))}


def _answer(config: Settings, name: str, ask: Callable[[str], str]) -> str:
    line = next(line for line in every_setting() if line.name == name)
    default = line.said(line.default)
    while True:
        typed = ask(f"{ASKED[name]}{f' [{default}]' if default else ''}: ")
        if not typed:
            raise UsageError(
                reason=f"the answers ended before {name}", hint=f"nothing was written; {line.flag} says it too"
            )
        if not typed.strip():
            return ""
        try:
            text = line.said(line.read(typed.strip(), name))
            _check(name, text)
        except BadArgument as error:
            say(f"  {error}")
        else:
            return text


def _check(name: str, text: str) -> None:
    """Refuse what `mint` would refuse of a name that is looked up elsewhere, and what no file of text can hold."""
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise BadArgument(name=name, value=text, expected="text in UTF-8")
    if name == "network" and text:
        from pipeline.mint.networks import network_named

        network_named(text)
    if name == "pin":
        from pipeline.pin import must_be_known

        must_be_known(text.split(","))


def _must_be_free(path: Path) -> None:
    if path.exists() or path.is_symlink():
        raise UsageError(
            reason=f"there is a {FILE_NAME} in this folder already, and it is left as it is",
            hint="change it in an editor, or begin in another folder; `pipeline config` shows what it says",
        )


def _write_new(path: Path, text: str) -> None:
    """Write a file that must not be there yet; what cannot be written whole is taken away again."""
    try:
        file = path.open("x", encoding="utf-8")
    except FileExistsError:
        _must_be_free(path)
        raise
    try:
        with file:
            file.write(text)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _tell_next(call: Call) -> None:
    """The next commands, by what the file says now."""
    from pipeline.flow.consent import wanted_network

    call = replace(call, config=load_settings({}, os.environ, Path.cwd()))
    call.next("pictures to look at; nothing is minted", "generate", "--count", 36, "--sheet", "sheet.png")
    network, standing = wanted_network(call.config), call.standing()
    if network is not None and network.worth != "devnet" and not call.config.chain.rpc_url:
        say(f"then set PIPELINE_RPC_URL to a node of {network.name}, and give a keystore: the verb account makes one.")
    elif standing.unfinished is None:
        beside = ["--new"] if standing.collections and not call.config.given("name") else []
        call.next("draws, pins and mints", "mint", "--count", 50, *beside)


VERBS = (
    Verb(
        "init",
        _init,
        "write a commented pipeline.toml: asks on a terminal, or takes flags",
        (
            "init",
            "init --name 'Night Linos' --artist Zoë --licence CC-BY-4.0 --royalty-bps 250",
            "init --network sepolia --pin embedded,kubo --workspace night",
        ),
        (Scope.NAME, Scope.COLLECTION, Scope.ART, Scope.PLACE, Scope.NODE, Scope.KEY, "pin"),
        ended="nothing was written.",
    ),
)
