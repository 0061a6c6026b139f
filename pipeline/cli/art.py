"""Verbs about pictures: `rarity`."""

from __future__ import annotations

from pipeline.cli.call import Call, Verb, chosen_name, next_command, say
from pipeline.cli.tables import print_json, print_table

LONG_TABLE = 100  # rows after which nobody reads on


def _rarity(call: Call) -> int:
    from pipeline.rarity import rarity_report

    report = rarity_report(call.workspace, chosen_name(call))
    if call.as_json:
        print_json(report)
        return 0
    rows = [
        (
            token["rank"],
            token["token_id"],
            f"{token['score']:.3f}",
            "{trait_type}: {value}".format(**token["rarest"]) if token["rarest"] else "",
            f"{token['rarest']['share']:.1%}" if token["rarest"] else "",
        )
        for token in report["tokens"][:LONG_TABLE]
    ]
    if len(report["tokens"]) > LONG_TABLE:
        rows.append(("…", "", "", f"{len(report['tokens']) - LONG_TABLE:,} more: `--json` has them all", ""))
    print_table(("rank", "token id", "score", "its rarest trait", "of tokens"), rows)
    if report["ranked"] < report["planned"]:
        say(f"{report['ranked']:,} of {report['planned']:,} tokens are drawn: ranks change with the others.")
    say(f"plot: {report['plot']}")
    next_command(f"pipeline show {report['tokens'][0]['token_id']}", "shows the rarest token")
    return 0


VERBS = (
    Verb(
        "rarity",
        _rarity,
        "rank the tokens by how rare their traits are",
        ("rarity", "rarity --name 'Night Linos' --json"),
        ("name",),
    ),
)
