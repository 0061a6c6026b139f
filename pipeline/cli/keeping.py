"""The verb about where the ledger is kept."""

from __future__ import annotations

from dataclasses import asdict

from pipeline.base.errors import BadArgument
from pipeline.base.words import Expected, database_url
from pipeline.cli.call import Call, Verb, say
from pipeline.cli.tables import print_json, print_table

FILE = "file"


def _ledger(call: Call) -> int:
    from pipeline.after.moving import move_ledger

    to = call.arguments.place
    try:
        server = "" if to == FILE else database_url(to)
    except Expected as expected:
        raise BadArgument(name="TO", value=to, expected=f"{FILE}, or {expected}") from None
    moved = move_ledger(call.workspace, server)
    if call.as_json:
        print_json(
            {
                "from": str(moved.source),
                "to": str(moved.target),
                "retired": moved.retired and str(moved.retired),
                "tables": [asdict(table) for table in moved.tables],
            }
        )
    else:
        print_table(
            ("table", "rows", "sha256 at both places"),
            [(table.table, f"{table.rows:,}", table.sha256[:16]) for table in moved.tables],
        )
    say(f"The ledger is now {moved.target}: equal row by row.")
    if moved.retired is not None:
        say(f"The file that it was is {moved.retired}, as a copy to keep.")
    if server:
        say("Say so at the top of pipeline.toml, `ledger = …` with the address that you gave, or as PIPELINE_LEDGER.")
    else:
        say("Take `ledger` out of pipeline.toml and of the environment.")
    return 0


VERBS = (
    Verb(
        "ledger",
        _ledger,
        "move the ledger between its file and a PostgreSQL database, and prove that both say the same",
        (
            "ledger copy postgresql://minter@db.example.org/art",
            "ledger copy file --ledger postgresql://minter@db.example.org/art",
        ),
        (),
        (
            ("action", {"metavar": "copy", "choices": ("copy",), "help": "copy"}),
            (
                "place",
                {"metavar": "TO", "help": "postgresql://ROLE@HOST/DATABASE, or `file`: ledger.sqlite in the folder"},
            ),
        ),
        "nothing was moved, or all of it: give the same command again.",
    ),
)
